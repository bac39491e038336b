/*
 * Canceling: one command that is PENDING, or all of a device's by a task. A task is carried out at once,
 * in one script, and written down afterwards: should that fail, its caller is told so and cancels
 * once more, which finds nothing left. A task keeps the ids of its commands; what became of them is
 * read when it is shown.
 */
#include "core/command/task.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/metric.h"
#include "core/command/private.h"
#include "store/scripts_gen.h"

/* ---- one ---- */

struct cancel {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id, id;
    command_cb cb;
    void *arg;
};

static void canceled(enum redis_status status, const redisReply *reply, void *arg)
{
    struct cancel *cancel = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);
    enum error error = core_error_of(status);

    if (!error && redis_reply_is(outcome, "LATE"))
        error = ERR_COMMAND_OVER;
    else if (!error && !redis_reply_is(outcome, "OK"))
        error = ERR_COMMAND_NOT_FOUND;
    if (error) {
        cancel->cb(error, NULL, cancel->arg);
        return;
    }
    metric_add(M_COMMANDS, 1, "canceled", NULL, NULL);
    command_read(cancel->core, cancel->arena, cancel->app_id, cancel->id, cancel->cb, cancel->arg);
}

static void found(enum error error, const struct command *command, void *arg)
{
    struct cancel *cancel = arg;

    if (!error && cancel->device_id.p && !str_eq(cancel->device_id, command->device_id))
        error = ERR_COMMAND_NOT_FOUND;
    if (error)
        cancel->cb(error, NULL, cancel->arg);
    else
        command_step(cancel->core, command->device_id, "cancel", 2,
                     (struct str[]){command->id, command->app_id}, canceled, cancel);
}

void command_cancel(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                    struct str command_id, command_cb cb, void *arg)
{
    struct cancel *cancel = arena_alloc(arena, sizeof(*cancel));

    *cancel = (struct cancel){core, arena, app_id, device_id, command_id, cb, arg};
    command_read(core, arena, app_id, command_id, found, cancel);
}

/* ---- all of a device ---- */

struct making {
    struct core *core;
    struct arena *arena;
    struct str device_id;
    struct command_task task;
    enum error error;
    command_task_cb cb;
    void *arg;
};

static void commands_read(enum error error, const struct command_page *page, void *arg)
{
    struct making *making = arg;

    making->task.commands = page->list;
    making->task.command_count = page->count;
    making->cb(error, error ? NULL : &making->task, making->arg);
}

static void task_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct making *making = arg;
    struct command_task *task = &making->task;

    (void)reply;
    if (status != REDIS_DONE)
        making->cb(core_error_of(status), NULL, making->arg);
    else if (task->total == 0)
        making->cb(ERR_OK, task, making->arg);
    else
        command_read_some(making->core, making->arena, task->device_id, task->ids, task->total,
                          commands_read, making);
}

static struct str task_text(struct making *making)
{
    const struct command_task *task = &making->task;
    struct json_writer *w = json_writer_new();
    struct str text;

    json_object(w);
    json_member_str(w, "device", task->device_id);
    json_member_text(w, "status", task->status);
    json_member_i64(w, "created", task->created_ms);
    json_key(w, "commands");
    json_array(w);
    for (size_t i = 0; i < task->total; i++)
        json_str(w, task->ids[i]);
    json_array_end(w);
    json_object_end(w);
    text = arena_str(making->arena, json_writer_text(w));
    json_writer_free(w);
    return text;
}

static void store_task(struct making *making)
{
    const struct core_settings *settings = making->core->settings;
    const struct command_task *task = &making->task;
    struct decimal created, oldest, most;
    struct key order, tasks;

    redis_script(making->core->redis, &script_command_task, 2,
                 (struct str[]){key_app_cancel_order(&order, task->app_id),
                                key_app_cancel_tasks(&tasks, task->app_id)},
                 5,
                 (struct str[]){task->id, decimal_str(&created, task->created_ms),
                                task_text(making),
                                decimal_str(&oldest,
                                            task->created_ms - settings->command_keep_time_ms),
                                decimal_str(&most, settings->command_tasks)},
                 task_stored, making);
}

static void all_canceled(enum redis_status status, const redisReply *reply, void *arg)
{
    struct making *making = arg;
    struct command_task *task = &making->task;
    size_t count;

    if (status != REDIS_DONE || !redis_reply_is(redis_reply_at(reply, 0), "OK")) {
        making->cb(status == REDIS_DONE ? ERR_COMMAND_DEVICE : core_error_of(status), NULL,
                   making->arg);
        return;
    }
    count = reply->elements - 1;
    task->ids = arena_alloc(making->arena, (count + 1) * sizeof(*task->ids));
    task->total = count;
    for (size_t i = 0; i < count; i++)
        task->ids[i] = arena_str(making->arena, redis_reply_str(redis_reply_at(reply, i + 1)));
    metric_add(M_COMMANDS, (double)count, "canceled", NULL, NULL);
    store_task(making);
}

void command_task_create(struct core *core, struct arena *arena, struct str app_id,
                         struct str device_id, command_task_cb cb, void *arg)
{
    struct making *making = arena_zalloc(arena, sizeof(*making));
    char *id = arena_alloc(arena, COMMAND_TASK_ID_DIGITS + 1);

    crypto_random_hex(id, COMMAND_TASK_ID_DIGITS);
    making->core = core;
    making->arena = arena;
    making->cb = cb;
    making->arg = arg;
    making->task = (struct command_task){
        .id = str_of(id),
        .app_id = app_id,
        .device_id = device_id,
        .status = "SUCCESS", /* one script: all of those that are pending, or none */
        .created_ms = clock_now_ms(),
    };
    command_step(core, device_id, "cancel_all", 1, &app_id, all_canceled, making);
}

#include "core/command/task.h"

#include "base/decimal.h"
#include "core/command/private.h"

struct search {
    struct core *core;
    struct arena *arena;
    struct command_task_query query;
    struct command_task_page page;
    struct str *ids; /* of all that are kept, newest first */
    size_t id_count;
    size_t waiting; /* tasks of the page whose commands are read */
    enum error error;
    command_task_page_cb cb;
    void *arg;
};

/* ---- the commands of a page's tasks ---- */

struct filling {
    struct search *search;
    struct command_task *task;
};

static void one_less(struct search *search, enum error error)
{
    if (error)
        search->error = error;
    if (--search->waiting == 0)
        search->cb(search->error, search->error ? NULL : &search->page, search->arg);
}

static void filled(enum error error, const struct command_page *page, void *arg)
{
    const struct filling *filling = arg;

    filling->task->commands = page->list;
    filling->task->command_count = page->count;
    one_less(filling->search, error);
}

static void fill(struct search *search)
{
    search->waiting = 1; /* until all is asked for */
    for (size_t i = 0; i < search->page.count; i++) {
        struct filling *filling = arena_alloc(search->arena, sizeof(*filling));
        struct command_task *task = &search->page.list[i];

        if (task->total == 0)
            continue;
        *filling = (struct filling){search, task};
        search->waiting++;
        command_read_some(search->core, search->arena, task->device_id, task->ids, task->total,
                          filled, filling);
    }
    one_less(search, ERR_OK);
}

/* ---- which ones ---- */

static bool task_from(struct search *search, struct str id, struct str text,
                      struct command_task *task)
{
    const struct json *json = json_parse(search->arena, arena_str(search->arena, text), NULL);
    const struct json *commands = json_get(json, "commands");

    *task = (struct command_task){.id = id, .app_id = search->query.app_id};
    task->device_id = json_get_str(json, "device");
    task->status = json_get_str(json, "status").p;
    if (!commands || !task->status || !str_is_id(task->device_id, KEY_ID_MAX) ||
        !json_get_i64(json, "created", &task->created_ms))
        return false;
    task->ids = arena_alloc(search->arena, (commands->count + 1) * sizeof(*task->ids));
    JSON_FOREACH (command, commands)
        task->ids[task->total++] = command->text;
    return true;
}

static bool is_wanted(const struct command_task_query *query, const struct command_task *task)
{
    return (!query->task_id.p || str_eq(query->task_id, task->id)) &&
           (!query->device_id.p || str_eq(query->device_id, task->device_id)) &&
           (!query->status.p || str_eq(query->status, str_of(task->status))) &&
           task->created_ms >= query->from_ms && task->created_ms <= query->to_ms;
}

static void tasks_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct search *search = arg;
    const struct command_task_query *query = &search->query;
    struct command_task_page *page = &search->page;

    if (status != REDIS_DONE) {
        search->cb(core_error_of(status), NULL, search->arg);
        return;
    }
    page->list = arena_alloc(search->arena, (search->id_count + 1) * sizeof(*page->list));
    for (size_t i = 0; i < search->id_count; i++) {
        struct command_task task;
        struct str text = redis_reply_str(redis_reply_at(reply, i));

        if (!text.p || !task_from(search, search->ids[i], text, &task) || !is_wanted(query, &task))
            continue;
        if (page->total++ >= query->skip && page->count < query->count)
            page->list[page->count++] = task;
    }
    fill(search);
}

static void ids_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct search *search = arg;
    size_t count = status == REDIS_DONE ? reply->elements : 0;
    struct str *words;
    struct key key;

    if (count == 0) {
        search->cb(core_error_of(status), &search->page, search->arg);
        return;
    }
    words = arena_alloc(search->arena, (2 + count) * sizeof(*words));
    words[0] = STR("HMGET");
    words[1] = key_app_cancel_tasks(&key, search->query.app_id);
    for (size_t i = 0; i < count; i++)
        words[2 + i] = arena_str(search->arena, redis_reply_str(redis_reply_at(reply, i)));
    search->ids = words + 2;
    search->id_count = count;
    redis_command(search->core->redis, 2 + count, words, tasks_read, search);
}

/* Never more than command.cancel_tasks. */
static void read_ids(struct search *search)
{
    struct core *core = search->core;
    struct decimal most;
    struct key key;

    redis_command(core->redis, 4,
                  (struct str[]){STR("ZREVRANGE"), key_app_cancel_order(&key, search->query.app_id),
                                 STR("0"), decimal_str(&most, core->settings->command_tasks - 1)},
                  ids_read, search);
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct search *search = arg;

    (void)device;
    if (error)
        search->cb(error == ERR_DEVICE_NOT_FOUND ? ERR_COMMAND_DEVICE : error, NULL, search->arg);
    else
        read_ids(search);
}

void command_task_query(struct core *core, struct arena *arena,
                        const struct command_task_query *query, command_task_page_cb cb, void *arg)
{
    struct search *search = arena_zalloc(arena, sizeof(*search));

    search->core = core;
    search->arena = arena;
    search->query = *query;
    search->cb = cb;
    search->arg = arg;
    if (query->device_id.p)
        device_read(core, arena, query->app_id, query->device_id, false, device_found, search);
    else
        read_ids(search);
}

#include "core/command/private.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define STEP_ARGS_MAX     16
#define RESPONSE_NAME_MAX 512 /* bytes; a longer one is left out */

/* ---- the script ---- */

static struct str id_or_none(struct str device_id)
{
    return str_is_id(device_id, KEY_ID_MAX) ? device_id : STR("-");
}

void command_keys_of(const struct core *core, struct str device_id, struct command_keys *keys)
{
    struct str id = id_or_none(device_id);
    uint32_t partition = partition_of(core, id);
    struct key *text = keys->text;
    const struct str list[COMMAND_KEYS] = {
        key_device(&text[0], partition, id),
        key_commands(&text[1], partition, id),
        key_command_order(&text[2], partition, id),
        key_command_queue(&text[3], partition, id),
        key_command_deadlines(&text[4], partition, id),
        key_command_devices(&text[5], partition),
        key_events(&text[6], partition),
        key_timers(&text[7], partition),
        key_lease(&text[8], partition),
    };

    memcpy(keys->list, list, sizeof(list));
}

void command_step(struct core *core, struct str device_id, const char *step, size_t count,
                  const struct str *args, redis_cb cb, void *arg)
{
    struct str words[3 + STEP_ARGS_MAX];
    struct command_keys keys;
    struct decimal now;

    command_keys_of(core, device_id, &keys);
    words[0] = str_of(step);
    words[1] = id_or_none(device_id);
    words[2] = decimal_str(&now, clock_now_ms());
    memcpy(words + 3, args, count * sizeof(*args));
    redis_script(core->redis, &script_command, COMMAND_KEYS, keys.list, 3 + count, words, cb, arg);
}

/* ---- what is kept ---- */

void command_field_names(struct arena *arena, struct str id, struct str names[COMMAND_FIELDS])
{
    names[0] = id;
    names[1] = str_of(arena_printf(arena, "%.*s/s", STR_ARG(id)));
    names[2] = str_of(arena_printf(arena, "%.*s/r", STR_ARG(id)));
}

/* The line that command.lua writes. */
static bool read_state(struct str line, struct command *command, struct str *flags)
{
    int64_t *numbers[] = {&command->created_ms, &command->issued_ms, &command->delivered_ms,
                          &command->executed_ms, &command->times_sent};
    struct str rest;

    command->status = str_split(line, ' ', &rest);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        uint64_t value;

        if (!str_to_u64(str_split(rest, ' ', &rest), INT64_MAX, &value))
            return false;
        *numbers[i] = (int64_t)value;
    }
    *flags = str_split(rest, ' ', &rest);
    return command->status.len > 0 && flags->len > 0;
}

/* SENT is no news when the creation was answered with it. */
static bool has_changed(struct str status, struct str flags)
{
    if (str_eq(status, STR("SENT")))
        return !memchr(flags.p, 's', flags.len);
    return !str_eq(status, STR("PENDING"));
}

bool command_from(struct arena *arena, struct str id, const struct str fields[COMMAND_FIELDS],
                  struct command *command)
{
    const struct json *ordered =
        fields[0].p ? json_parse(arena, arena_str(arena, fields[0]), NULL) : NULL;
    const struct json *paras = json_get(ordered, "paras");
    struct str flags;

    *command = (struct command){.id = id, .max_retransmit = -1};
    if (!paras || !fields[1].p || !read_state(arena_str(arena, fields[1]), command, &flags))
        return false;
    command->app_id = json_get_str(ordered, "app");
    command->device_id = json_get_str(ordered, "device");
    command->service_id = json_get_str(ordered, "serviceId");
    command->method = json_get_str(ordered, "method");
    command->paras = paras->text;
    command->callback_url = json_get_str(ordered, "callbackUrl");
    json_get_i64(ordered, "expireTime", &command->expire_s);
    json_get_i64(ordered, "maxRetransmit", &command->max_retransmit);
    command->has_result = has_changed(command->status, flags);
    command->detail = arena_str(arena, fields[2]);
    return true;
}

/* ---- steps of whoever holds the connection ---- */

struct waiting { /* for a step's answer */
    const char *event; /* what is counted when it was done */
    command_done_cb cb;
    void *arg;
};

static enum error step_error(enum redis_status status, const redisReply *reply)
{
    const redisReply *outcome = redis_reply_at(reply, 0);

    if (status != REDIS_DONE)
        return core_error_of(status);
    if (redis_reply_is(outcome, "LATE"))
        return ERR_COMMAND_OVER;
    return redis_reply_is(outcome, "OK") ? ERR_OK : ERR_COMMAND_NOT_FOUND;
}

static void step_done(enum redis_status status, const redisReply *reply, void *arg)
{
    struct waiting *waiting = arg;
    enum error error = step_error(status, reply);

    if (!error)
        metric_add(M_COMMANDS, 1, waiting->event, NULL, NULL);
    if (waiting->cb)
        waiting->cb(error, waiting->arg);
    free(waiting);
}

static struct waiting *waiting_new(const char *event, command_done_cb cb, void *arg)
{
    struct waiting *waiting = xmalloc(sizeof(*waiting));

    *waiting = (struct waiting){event, cb, arg};
    return waiting;
}

void command_delivered(struct core *core, struct str device_id, struct str command_id,
                       command_done_cb cb, void *arg)
{
    struct decimal answer;

    command_step(core, device_id, "delivered", 2,
                 (struct str[]){command_id,
                                decimal_str(&answer, core->settings->command_answer_timeout_ms)},
                 step_done, waiting_new("delivered", cb, arg));
}

void command_failed(struct core *core, struct str device_id, struct str command_id,
                    command_done_cb cb, void *arg)
{
    command_step(core, device_id, "failed", 1, &command_id, step_done,
                 waiting_new("failed", cb, arg));
}

/* What the event says besides: ,"answered":true,"code":1,"response":"..." */
static struct str answer_members(struct arena *arena, const struct command_answer *answer)
{
    struct json_writer *w = json_writer_new();
    struct str text;

    json_object(w);
    json_member_bool(w, "answered", true);
    json_member_i64(w, "code", answer->code);
    if (answer->response_name.len && answer->response_name.len <= RESPONSE_NAME_MAX)
        json_member_str(w, "response", answer->response_name);
    json_object_end(w);
    text = json_writer_text(w);
    text = str_of(arena_printf(arena, ",%.*s", (int)text.len - 2, text.p + 1));
    json_writer_free(w);
    return text;
}

struct answering { /* kept until it is known whose command it is */
    struct core *core;
    struct arena *arena;
    struct str holder_id, device_id, command_id, members, body;
    bool is_looked_up;
    uint16_t mid;
    int64_t code;
    command_done_cb cb;
    void *arg;
};

static void take_answer(struct answering *answering);

static void answer_end(struct answering *answering, enum error error)
{
    if (error == ERR_OK)
        metric_add(M_COMMANDS, 1, "answered", NULL, NULL);
    else if (error != ERR_INTERNAL)
        metric_add(M_COMMANDS, 1, "late_answer", NULL, NULL);
    if (answering->cb)
        answering->cb(error, answering->arg);
    arena_free(answering->arena);
}

static void device_known(enum redis_status status, const redisReply *reply, void *arg)
{
    struct answering *answering = arg;
    struct str device_id = redis_reply_str(reply);

    answering->device_id = arena_str(answering->arena, device_id);
    if (status == REDIS_DONE && device_id.p)
        take_answer(answering);
    else
        answer_end(answering, status == REDIS_DONE ? ERR_COMMAND_NOT_FOUND : core_error_of(status));
}

static void answer_taken(enum redis_status status, const redisReply *reply, void *arg)
{
    struct answering *answering = arg;
    enum error error = step_error(status, reply);

    if (error == ERR_COMMAND_NOT_FOUND && !answering->is_looked_up) {
        answering->is_looked_up = true;
        command_find_device(answering->core, answering->command_id, device_known, answering);
    } else {
        answer_end(answering, error);
    }
}

static void take_answer(struct answering *answering)
{
    struct decimal mid;

    command_step(answering->core, answering->device_id, "answered", 6,
                 (struct str[]){answering->command_id, decimal_str(&mid, answering->mid),
                                answering->code ? STR("FAILED") : STR("SUCCESSFUL"),
                                answering->body, answering->members, answering->holder_id},
                 answer_taken, answering);
}

static struct str body_of(const struct core *core, struct arena *arena, const struct json *body)
{
    struct json_writer *w;
    struct str text;

    if (!body)
        return STR("");
    w = json_writer_new();
    json_value(w, body);
    text = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
    if ((int64_t)text.len <= core->settings->command_max_bytes)
        return text;
    metric_add(M_COMMANDS, 1, "large_answer", NULL, NULL);
    return STR("");
}

/* Without a device it is the holder's own, most likely. */
void command_answered(struct core *core, struct str holder_id, const struct command_answer *answer,
                      command_done_cb cb, void *arg)
{
    struct arena *arena = arena_new();
    struct answering *answering = arena_zalloc(arena, sizeof(*answering));
    bool has_id = command_id_is_valid(core, answer->command_id);

    *answering = (struct answering){
        .core = core,
        .arena = arena,
        .holder_id = arena_str(arena, holder_id),
        .device_id = arena_str(arena, answer->device_id.p ? answer->device_id : holder_id),
        .command_id = has_id ? arena_str(arena, answer->command_id) : STR(""),
        .members = answer_members(arena, answer),
        .body = body_of(core, arena, answer->body),
        .is_looked_up = answer->device_id.p || !has_id,
        .mid = answer->command_id.p ? 0 : answer->mid,
        .code = answer->code,
        .cb = cb,
        .arg = arg,
    };
    take_answer(answering);
}

/* ---- taking ---- */

struct taking {
    command_taken_cb cb;
    void *arg;
};

static bool taken_from(struct arena *arena, const redisReply *reply, struct command_taken *taken)
{
    const struct json *ordered =
        json_parse(arena, redis_reply_str(redis_reply_at(reply, 4)), NULL);
    const struct json *paras = json_get(ordered, "paras");
    const struct json *quiet = json_get(ordered, "noConfirmation");
    struct str flags = redis_reply_str(redis_reply_at(reply, 2));

    if (!paras || !flags.p)
        return false;
    *taken = (struct command_taken){
        .id = redis_reply_str(redis_reply_at(reply, 0)),
        .mid = (uint16_t)redis_reply_i64(redis_reply_at(reply, 1)),
        .service_id = json_get_str(ordered, "serviceId"),
        .method = json_get_str(ordered, "method"),
        .paras = paras->text,
        .is_immediate = memchr(flags.p, 'i', flags.len) != NULL,
        .wants_no_confirmation = quiet && quiet->type == JSON_BOOL && quiet->boolean,
        .times_sent = redis_reply_i64(redis_reply_at(reply, 3)),
    };
    return true;
}

static void next_taken(enum redis_status status, const redisReply *reply, void *arg)
{
    struct taking *taking = arg;
    struct arena *arena = arena_new();
    struct command_taken taken;
    enum error error = core_error_of(status);
    bool is_there = !error && reply->elements == 5;

    if (is_there && !taken_from(arena, reply, &taken)) {
        log_error("command", "id=%.*s state=unreadable",
                  STR_ARG(redis_reply_str(redis_reply_at(reply, 0))));
        is_there = false;
    }
    if (is_there)
        metric_add(M_COMMANDS, 1, "sent", NULL, NULL);
    taking->cb(error, is_there ? &taken : NULL, taking->arg);
    arena_free(arena);
    free(taking);
}

void command_take_next(struct core *core, const struct command_question *question,
                       command_taken_cb cb, void *arg)
{
    const struct core_settings *settings = core->settings;
    struct taking *taking = xmalloc(sizeof(*taking));
    struct decimal acknowledge, retransmit;

    *taking = (struct taking){cb, arg};
    command_step(core, question->device_id, "take", 5,
                 (struct str[]){question->session,
                                decimal_str(&acknowledge, settings->command_ack_timeout_ms),
                                decimal_str(&retransmit, settings->command_retransmit_after_ms),
                                question->holder_id, question->name},
                 next_taken, taking);
}

/* ---- deadlines ---- */

struct due {
    struct core *core;
    char device_id[KEY_ID_MAX + 1];
    command_done_cb cb;
    void *arg;
};

static void due_looked_at(enum redis_status status, const redisReply *reply, void *arg)
{
    struct due *due = arg;

    for (size_t i = 3; status == REDIS_DONE && i < reply->elements; i++) {
        struct str ended = redis_reply_str(redis_reply_at(reply, i));

        metric_add(M_COMMANDS, 1,
                   str_eq(ended, STR("EXPIRED"))   ? "expired"
                   : str_eq(ended, STR("TIMEOUT")) ? "timeout"
                                                   : "failed",
                   NULL, NULL);
    }
    if (status == REDIS_DONE && redis_reply_is(redis_reply_at(reply, 1), "1"))
        session_tell(due->core, redis_reply_str(redis_reply_at(reply, 2)),
                             str_of(due->device_id));
    if (due->cb)
        due->cb(core_error_of(status), due->arg);
    free(due);
}

void command_due(struct core *core, struct str device_id, struct str fence, command_done_cb cb,
                 void *arg)
{
    const struct core_settings *settings = core->settings;
    struct due *due = xcalloc(1, sizeof(*due));
    struct decimal acknowledge, retransmit, keep, keep_time, take;
    struct str id = id_or_none(device_id);

    memcpy(due->device_id, id.p, id.len);
    due->core = core;
    due->cb = cb;
    due->arg = arg;
    command_step(core, id, "due", 7,
                 (struct str[]){decimal_str(&acknowledge, settings->command_ack_timeout_ms),
                                decimal_str(&retransmit, settings->command_retransmit_after_ms),
                                decimal_str(&keep, settings->command_keep),
                                decimal_str(&keep_time, settings->command_keep_time_ms),
                                decimal_str(&take, settings->command_take_timeout_ms), fence,
                                settings->command_is_requeued ? STR("1") : STR("0")},
                 due_looked_at, due);
}

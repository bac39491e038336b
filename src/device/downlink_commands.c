/*
 * Commands on their way to devices. One is taken when the holder has room for it, and the next when that
 * one is delivered: acknowledged, with QoS 1, or written, with QoS 0. What could not be written has
 * failed. What was written and not acknowledged when the connection ended may have arrived, so it is not
 * sent again: a device must not do twice what was ordered once. Its answer may come by the next
 * connection, or its time runs out.
 *
 *     v5   commands/request_id={command}, answered by commands/response/request_id={command}
 *     v1   {"msgType":"cloudReq",...,"mid":N}, answered by {"msgType":"deviceRsp","mid":N,...}
 *
 * A device gets them in v1's way when it has subscribed to v1's topic, and not to v5's.
 */
#include "device/downlink.h"

#include "base/mem.h"
#include "core/command.h"

#include <stdlib.h>

#define CHILDREN_MAX 100 /* commands of a gateway's children, of which the answer is waited for */

/* An answer of v5 does not say whose it is. */
struct child_command {
    TAILQ_ENTRY(child_command) entry;
    char *command_id, *device_id;
};

/* One that was taken for a holder's connection, or is being asked for. */
struct errand {
    struct core *core;
    char *holder_id, *session_id, *device_id;
    char *command_id; /* NULL: none was taken yet */
};

static struct errand *errand_new(const struct mqtt_device *holder, struct str device_id)
{
    struct errand *errand = xcalloc(1, sizeof(*errand));

    errand->core = holder->mqtt->core;
    errand->holder_id = xstrdup(holder->session->device_id);
    errand->session_id = xstrdup(holder->session->id);
    errand->device_id = str_dup(device_id);
    return errand;
}

static void errand_free(struct errand *errand)
{
    free(errand->holder_id);
    free(errand->session_id);
    free(errand->device_id);
    free(errand->command_id);
    free(errand);
}

/* NULL: it has gone meanwhile, or connected anew. */
static struct mqtt_device *holder_of(const struct errand *errand)
{
    struct session *session = session_find(errand->core, str_of(errand->holder_id));

    return session && strcmp(session->id, errand->session_id) == 0 ? session->connection : NULL;
}

/* ---- whose answer is it? ---- */

static void forget_child(struct mqtt_device *holder, struct child_command *child)
{
    TAILQ_REMOVE(&holder->child_commands, child, entry);
    holder->child_command_count--;
    free(child->command_id);
    free(child->device_id);
    free(child);
}

static void remember_child(struct mqtt_device *holder, const struct errand *errand)
{
    struct child_command *child;

    if (strcmp(errand->device_id, errand->holder_id) == 0)
        return;
    if (holder->child_command_count == CHILDREN_MAX)
        forget_child(holder, TAILQ_FIRST(&holder->child_commands));
    child = xcalloc(1, sizeof(*child));
    child->command_id = xstrdup(errand->command_id);
    child->device_id = xstrdup(errand->device_id);
    TAILQ_INSERT_TAIL(&holder->child_commands, child, entry);
    holder->child_command_count++;
}

void downlink_commands_clear(struct mqtt_device *holder)
{
    while (!TAILQ_EMPTY(&holder->child_commands))
        forget_child(holder, TAILQ_FIRST(&holder->child_commands));
}

/* ---- sending ---- */

static void delivered(enum error error, void *arg)
{
    struct errand *errand = arg;
    struct mqtt_device *holder = holder_of(errand);

    (void)error; /* not stored: its deadline decides */
    if (holder)
        downlink_take_commands(holder, str_of(errand->device_id));
    errand_free(errand);
}

static void acknowledged(bool is_acknowledged, void *arg)
{
    struct errand *errand = arg;

    if (is_acknowledged)
        command_delivered(errand->core, str_of(errand->device_id), str_of(errand->command_id),
                          delivered, errand);
    else
        errand_free(errand);
}

static void not_written(struct errand *errand)
{
    command_failed(errand->core, str_of(errand->device_id), str_of(errand->command_id), NULL,
                   NULL);
    errand_free(errand);
}

static void write_v5(struct json_writer *w, const struct errand *errand,
                     const struct command_taken *taken)
{
    json_object(w);
    json_member_text(w, "object_device_id", errand->device_id);
    json_member_str(w, "service_id", taken->service_id);
    json_member_str(w, "command_name", taken->method);
    json_member_raw(w, "paras", taken->paras);
    json_object_end(w);
}

/* Some firmware looks at all of these without asking whether they are there. */
static void write_v1(struct json_writer *w, const struct errand *errand,
                     const struct command_taken *taken)
{
    json_object(w);
    json_member_text(w, "msgType", "cloudReq");
    json_member_str(w, "serviceId", taken->service_id);
    json_member_str(w, "cmd", taken->method);
    json_member_raw(w, "paras", taken->paras);
    json_member_i64(w, "hasMore", 0);
    json_member_i64(w, "mid", taken->mid);
    if (strcmp(errand->device_id, errand->holder_id) != 0)
        json_member_text(w, "deviceId", errand->device_id);
    json_object_end(w);
}

static bool wants_v1(const struct mqtt_device *holder)
{
    return mqtt_down_is_subscribed(holder, TOPIC_V1_COMMAND) &&
           !mqtt_down_is_subscribed(holder, TOPIC_COMMAND);
}

static void send_command(struct mqtt_device *holder, struct errand *errand,
                         const struct command_taken *taken)
{
    bool is_v1 = wants_v1(holder);
    struct json_writer *w = json_writer_new();
    struct mqtt_down message = {.kind = is_v1 ? TOPIC_V1_COMMAND : TOPIC_COMMAND,
                                .request_id = taken->id, .done = acknowledged, .arg = errand};

    (is_v1 ? write_v1 : write_v5)(w, errand, taken);
    message.payload = json_writer_text(w);
    remember_child(holder, errand);
    switch (mqtt_down_send(holder, &message)) {
    case MQTT_DOWN_WAITS:
        break;
    case MQTT_DOWN_SENT:
        acknowledged(true, errand);
        break;
    case MQTT_DOWN_NOT_SENT:
        not_written(errand);
        break;
    }
    json_writer_free(w);
}

static void command_taken(enum error error, const struct command_taken *taken, void *arg)
{
    struct errand *errand = arg;
    struct mqtt_device *holder = holder_of(errand);

    if (error || !taken) {
        errand_free(errand);
        return;
    }
    errand->command_id = str_dup(taken->id);
    if (holder)
        send_command(holder, errand, taken);
    else
        not_written(errand);
}

void downlink_take_commands(struct mqtt_device *holder, struct str device_id)
{
    struct str holder_id = str_of(holder->session->device_id);
    bool can_receive = wants_v1(holder) || downlink_speaks_v5(holder);

    if (can_receive && mqtt_down_has_room(holder))
        command_take_next(holder->mqtt->core, holder_id, str_of(holder->session->id), device_id,
                          command_taken, errand_new(holder, device_id));
}

/* ---- answers ---- */

static void answered(enum error error, void *arg)
{
    struct upload *upload = arg;

    if (error && error != ERR_INTERNAL)
        upload_ignore(upload, "answer"); /* too late, or never asked for */
    else
        upload_end(upload, error);
}

/* A code that is missing is a success, one that is no number is none. */
static int64_t code_of(const struct json *answer, const char *member)
{
    const struct json *code = json_get(answer, member);
    int64_t value;

    if (!code || code->type == JSON_NULL)
        return 0;
    return json_to_i64(code, &value) ? value : 1;
}

static struct str object_of(const struct json *answer, const char *member)
{
    const struct json *object = json_get(answer, member);

    return object && object->type == JSON_OBJECT ? object->text : STR_NONE;
}

void downlink_command_answered(struct upload *upload)
{
    struct mqtt_device *holder = upload_device(upload);
    const struct json *body = json_parse(upload->message->arena, upload->payload, NULL);
    struct command_answer answer = {.command_id = upload->topic.request_id,
                                    .code = code_of(body, "result_code"),
                                    .response_name = json_get_str(body, "response_name"),
                                    .body = object_of(body, "paras")};
    struct str device_id = upload->device_id;
    struct child_command *child;

    TAILQ_FOREACH (child, &holder->child_commands, entry) {
        if (str_eq(str_of(child->command_id), answer.command_id))
            break;
    }
    if (child) {
        device_id = arena_str(upload->message->arena, str_of(child->device_id));
        forget_child(holder, child);
    }
    command_answered(upload->core, device_id, &answer, answered, upload);
}

void downlink_v1_answered(struct upload *upload, const struct json *body)
{
    struct str child_id = json_get_str(body, "deviceId");
    struct command_answer answer = {.command_id = STR(""),
                                    .code = code_of(body, "errcode"),
                                    .response_name = STR_NONE,
                                    .body = object_of(body, "body")};
    int64_t mid;

    if (!json_get_i64(body, "mid", &mid) || mid < 1 || mid > UINT16_MAX ||
        (child_id.len && !str_is_id(child_id, KEY_ID_MAX))) {
        upload_ignore(upload, "answer");
        return;
    }
    answer.mid = (uint16_t)mid;
    command_answered(upload->core, child_id.len ? child_id : upload->device_id, &answer, answered,
                     upload);
}

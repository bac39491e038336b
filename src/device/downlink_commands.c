/*
 * Commands on their way to devices. One is taken when there is room for it, and the next when that one is
 * acknowledged, with QoS 1, or written, with QoS 0. What could not be written has failed. What was
 * written and not acknowledged when the connection ended may have arrived, so it is not sent again: a
 * device must not do twice what was ordered once. Its answer may come by the next connection, or its time
 * runs out.
 *
 *     v5   commands/request_id={command}, answered by commands/response/request_id={command}
 *     v1   {"msgType":"cloudReq",...,"mid":N}, answered by {"msgType":"deviceRsp","mid":N,...}
 *
 * A device gets them in v1's way when it has subscribed to v1's topic, and not to v5's. v5's needs no
 * subscription: so who has not shown yet what it speaks is waited for a moment, or the first command for a
 * device of v1 would go where it does not look.
 */
#include "device/downlink.h"

#include "base/mem.h"
#include "base/metric.h"
#include "core/command.h"

#include <stdlib.h>

/* TOPIC_UNKNOWN: it cannot be said yet. */
static enum mqtt_topic_kind kind_for(const struct mqtt_device *holder)
{
    if (mqtt_down_is_subscribed(holder, TOPIC_V1_COMMAND) &&
        !mqtt_down_is_subscribed(holder, TOPIC_COMMAND))
        return TOPIC_V1_COMMAND;
    return downlink_speaks_v5(holder) && !holder->is_undecided ? TOPIC_COMMAND : TOPIC_UNKNOWN;
}

/* ---- one command under way: from the question for it to its PUBACK ---- */

struct carried {
    struct core *core;
    char *holder_id, *session_id, *device_id;
    char *command_id; /* NULL: not known yet */
    void (*asked)(void *arg); /* NULL: nobody waits for it */
    void *asked_arg;
};

static struct carried *carried_new(struct mqtt_device *holder, struct str device_id)
{
    struct carried *carried = xmalloc(sizeof(*carried));

    *carried = (struct carried){
        .core = holder->mqtt->core,
        .holder_id = xstrdup(holder->session->device_id),
        .session_id = xstrdup(holder->session->id),
        .device_id = str_dup(device_id),
    };
    return carried;
}

static void carried_free(struct carried *carried)
{
    free(carried->holder_id);
    free(carried->session_id);
    free(carried->device_id);
    free(carried->command_id);
    free(carried);
}

/* NULL: that connection is gone. */
static struct mqtt_device *holder_of(const struct carried *carried)
{
    const struct session *session = session_find(carried->core, str_of(carried->holder_id));

    return session && strcmp(session->id, carried->session_id) == 0 ? session->connection : NULL;
}

static void offer_again(const struct carried *carried)
{
    struct mqtt_device *holder = holder_of(carried);

    if (holder)
        downlink_take_commands(holder, str_of(carried->device_id));
}

/* ---- writing it ---- */

static void write_v5(struct json_writer *w, const struct carried *carried,
                     const struct command_taken *taken)
{
    json_object(w);
    json_member_text(w, "object_device_id", carried->device_id);
    json_member_str(w, "service_id", taken->service_id);
    json_member_str(w, "command_name", taken->method);
    json_member_raw(w, "paras", taken->paras);
    json_object_end(w);
}

/* Devices are known that crash without one of these. */
static void write_v1(struct json_writer *w, const struct carried *carried,
                     const struct command_taken *taken)
{
    json_object(w);
    json_member_text(w, "msgType", "cloudReq");
    if (strcmp(carried->device_id, carried->holder_id) != 0)
        json_member_text(w, "deviceId", carried->device_id);
    json_member_str(w, "serviceId", taken->service_id);
    json_member_str(w, "cmd", taken->method);
    json_member_raw(w, "paras", taken->paras);
    json_member_i64(w, "hasMore", 0);
    json_member_i64(w, "mid", taken->mid);
    json_object_end(w);
}

/* Without a PUBACK nobody knows whether the device has it: it is not sent again, since it might be carried
 * out twice, and times out unless it is answered. */
static void acknowledged(bool is_acknowledged, void *arg)
{
    struct carried *carried = arg;

    if (is_acknowledged) {
        command_delivered(carried->core, str_of(carried->device_id), str_of(carried->command_id),
                          NULL, NULL);
        offer_again(carried);
    }
    carried_free(carried);
}

static void not_written(struct carried *carried)
{
    command_failed(carried->core, str_of(carried->device_id), str_of(carried->command_id), NULL,
                   NULL);
    offer_again(carried);
    carried_free(carried);
}

/* With QoS 0 having written it counts as the PUBACK. */
static void carry(struct mqtt_device *holder, struct carried *carried,
                  const struct command_taken *taken)
{
    struct json_writer *w = json_writer_new();
    struct mqtt_down message = {.kind = kind_for(holder),
                                .request_id = taken->id,
                                .is_promised = true,
                                .done = acknowledged,
                                .arg = carried};

    if (message.kind == TOPIC_V1_COMMAND)
        write_v1(w, carried, taken);
    else
        write_v5(w, carried, taken);
    message.payload = json_writer_text(w);
    switch (message.kind ? mqtt_down_send(holder, &message) : MQTT_DOWN_NOT_SENT) {
    case MQTT_DOWN_WAITS:
        break;
    case MQTT_DOWN_SENT:
        acknowledged(true, carried);
        break;
    case MQTT_DOWN_NOT_SENT:
        not_written(carried);
        break;
    }
    json_writer_free(w);
}

/* ---- asking for it ---- */

static void nothing_taken(struct mqtt_device *holder, struct carried *carried)
{
    carried_free(carried);
    if (!holder)
        return;
    holder->commands_asked_for--;
    downlink_has_room(holder); /* that of what was not there */
}

static void taken(enum error error, const struct command_taken *taken, void *arg)
{
    struct carried *carried = arg;
    struct mqtt_device *holder = holder_of(carried);
    void (*asked)(void *arg) = carried->asked;
    void *asked_arg = carried->asked_arg;

    (void)error; /* when Redis has failed, a timer comes back to it */
    if (!taken) {
        nothing_taken(holder, carried);
    } else if (!holder) {
        carried->command_id = str_dup(taken->id);
        not_written(carried);
    } else {
        carried->command_id = str_dup(taken->id);
        /* One that is immediate may stand behind it, and waits for nothing. */
        downlink_take_commands(holder, str_of(carried->device_id));
        holder->commands_asked_for--;
        carry(holder, carried, taken);
    }
    if (asked)
        asked(asked_arg); /* now it shows how much room is left */
}

/* What is asked for will be sent, so there must be room for it. */
bool downlink_has_room_for_command(const struct mqtt_device *holder)
{
    return mqtt_down_is_flowing(holder, holder->commands_asked_for) &&
           (int64_t)(holder->sent_count + holder->commands_asked_for) <
               holder->mqtt->settings->window;
}

bool downlink_takes_commands(const struct mqtt_device *holder)
{
    return kind_for(holder) != TOPIC_UNKNOWN;
}

void downlink_ask_for_command(struct mqtt_device *holder, struct str device_id,
                              void (*asked)(void *arg), void *arg)
{
    struct carried *carried = carried_new(holder, device_id);

    carried->asked = asked;
    carried->asked_arg = arg;
    holder->commands_asked_for++;
    command_take_next(holder->mqtt->core, str_of(holder->session->device_id),
                      str_of(holder->session->id), device_id, taken, carried);
}

void downlink_take_commands(struct mqtt_device *holder, struct str device_id)
{
    if (!downlink_takes_commands(holder))
        return;
    if (downlink_has_room_for_command(holder))
        downlink_ask_for_command(holder, device_id, NULL, NULL);
    else
        downlink_postpone(holder, device_id, OFFER_COMMANDS);
}

/* ---- answers ---- */

/* What cannot be taken is nothing that a device could do better by sending it again. */
static void answered(enum error error, void *arg)
{
    struct upload *upload = arg;

    if (error && error != ERR_INTERNAL)
        upload_ignore(upload, "answer");
    else
        upload_end(upload, error);
}

/* No number: no success. absent: left out, which the manual allows for a success. */
static int64_t code_of(const struct json *body, const char *name)
{
    const struct json *code = json_get(body, name);
    int64_t value = 1;

    if (!code || code->type == JSON_NULL)
        return 0;
    return json_to_i64(code, &value) ? value : 1;
}

static const struct json *object_of(const struct json *body, const char *name)
{
    const struct json *object = json_get(body, name);

    return object && object->type == JSON_OBJECT ? object : NULL;
}

static void take(struct upload *upload, const struct command_answer *answer)
{
    command_answered(upload->core, upload->device_id, answer, answered, upload);
}

void downlink_command_answered(struct upload *upload)
{
    const struct json *body = upload_parse(upload);

    if (!body || body->type != JSON_OBJECT || !upload->topic.request_id.len) {
        upload_ignore(upload, "payload");
        return;
    }
    take(upload, &(struct command_answer){.command_id = upload->topic.request_id,
                                          .code = code_of(body, "result_code"),
                                          .response_name = json_get_str(body, "response_name"),
                                          .body = object_of(body, "paras")});
}

void downlink_v1_answered(struct upload *upload, const struct json *body)
{
    struct str child_id = json_get_str(body, "deviceId");
    int64_t mid;

    if (!json_get_i64(body, "mid", &mid) || mid < 1 || mid > UINT16_MAX ||
        (child_id.p && !str_is_id(child_id, KEY_ID_MAX))) {
        upload_ignore(upload, "payload");
        return;
    }
    take(upload, &(struct command_answer){.device_id = child_id.p ? child_id : upload->device_id,
                                          .mid = (uint16_t)mid,
                                          .code = code_of(body, "errcode"),
                                          .body = object_of(body, "body")});
}

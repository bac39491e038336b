/*
 * Commands on their way to devices. One is taken when there is room for it, and the next when that one is
 * acknowledged, with QoS 1, or written, with QoS 0. What could not be written has failed. What was
 * written and not acknowledged when the connection ended may have arrived, so it is not sent again: a
 * device must not do twice what was ordered once. Its answer may come by the next connection, or its time
 * runs out. With command.requeue it is sent again all the same.
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
#include "core/command/command.h"

#include <stdlib.h>

/* TOPIC_UNKNOWN: it cannot be said yet. */
static enum mqtt_topic_kind kind_for(const struct mqtt_device *holder)
{
    if (mqtt_down_is_subscribed(holder, TOPIC_V1_COMMAND) &&
        !mqtt_down_is_subscribed(holder, TOPIC_COMMAND))
        return TOPIC_V1_COMMAND;
    return downlink_speaks_v5(holder) && !holder->is_undecided ? TOPIC_COMMAND : TOPIC_UNKNOWN;
}

/* ---- one command under way: from the question for it until what became of it is stored ---- */

struct carried {
    struct unsaid unsaid;
    struct way way;
    char *question;
    char *command_id; /* NULL: not known yet */
    void (*asked)(void *arg); /* NULL: nobody waits for it */
    void *asked_arg;
};

static void carried_free(struct carried *carried)
{
    way_clear(&carried->way);
    free(carried->question);
    free(carried->command_id);
    free(carried);
}

static void offer_again(const struct carried *carried)
{
    struct mqtt_device *holder = way_holder(&carried->way);

    if (holder)
        downlink_take_commands(holder, str_of(carried->way.device_id));
}

/* ---- what became of it ---- */

static void drop_outcome(struct unsaid *unsaid)
{
    carried_free((struct carried *)unsaid);
}

static void outcome_stored(enum error error, void *arg)
{
    struct carried *carried = arg;

    if (error == ERR_INTERNAL) {
        unsaid_add(&carried->way.mqtt->unsaid, &carried->unsaid);
        return;
    }
    if (carried->unsaid.is_late)
        offer_again(carried); /* who asked before that was told to wait */
    carried_free(carried);
}

static void say_delivered(struct unsaid *unsaid)
{
    struct carried *carried = (struct carried *)unsaid;

    command_delivered(carried->way.mqtt->core, str_of(carried->way.device_id),
                      str_of(carried->command_id), outcome_stored, carried);
}

static void say_failed(struct unsaid *unsaid)
{
    struct carried *carried = (struct carried *)unsaid;

    command_failed(carried->way.mqtt->core, str_of(carried->way.device_id),
                   str_of(carried->command_id), outcome_stored, carried);
}

/* The next one is asked for behind it, without waiting. */
static void store_outcome(struct carried *carried, void (*say)(struct unsaid *unsaid))
{
    carried->unsaid = (struct unsaid){.say = say, .drop = drop_outcome};
    say(&carried->unsaid);
    offer_again(carried);
}

/* ---- writing it ---- */

static void write_v5(struct json_writer *w, const struct carried *carried,
                     const struct command_taken *taken)
{
    json_object(w);
    json_member_text(w, "object_device_id", carried->way.device_id);
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
    if (strcmp(carried->way.device_id, carried->way.holder_id) != 0)
        json_member_text(w, "deviceId", carried->way.device_id);
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

    if (is_acknowledged)
        store_outcome(carried, say_delivered);
    else
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
        store_outcome(carried, say_failed);
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
    struct mqtt_device *holder = way_holder(&carried->way);
    void (*asked)(void *arg) = carried->asked;
    void *asked_arg = carried->asked_arg;

    if (error && holder) {
        unsaid_add(&carried->way.mqtt->unsaid, &carried->unsaid);
        return;
    }
    if (!taken) {
        nothing_taken(holder, carried);
    } else if (!holder) {
        carried->command_id = str_dup(taken->id);
        store_outcome(carried, say_failed);
    } else {
        carried->command_id = str_dup(taken->id);
        /* One that is immediate may stand behind it, and waits for nothing. */
        downlink_take_commands(holder, str_of(carried->way.device_id));
        holder->commands_asked_for--;
        carry(holder, carried, taken);
    }
    if (asked)
        asked(asked_arg); /* now it shows how much room is left */
}

/* The same question each time, so that one that was taken, though nobody heard of it, is not lost. */
static void ask(struct unsaid *unsaid)
{
    struct carried *carried = (struct carried *)unsaid;
    struct way *way = &carried->way;

    command_take_next(way->mqtt->core,
                      &(struct command_question){str_of(way->holder_id), str_of(way->session_id),
                                                 str_of(way->device_id), str_of(carried->question)},
                      taken, carried);
}

static void drop_question(struct unsaid *unsaid)
{
    struct carried *carried = (struct carried *)unsaid;
    void (*asked)(void *arg) = carried->asked;
    void *asked_arg = carried->asked_arg;

    nothing_taken(way_holder(&carried->way), carried);
    if (asked)
        asked(asked_arg);
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
    struct carried *carried = xcalloc(1, sizeof(*carried));

    way_init(&carried->way, holder, device_id);
    carried->question = xasprintf("%s/%llu", holder->session->id,
                                  (unsigned long long)++holder->last_question);
    carried->unsaid.say = ask;
    carried->unsaid.drop = drop_question;
    carried->asked = asked;
    carried->asked_arg = arg;
    holder->commands_asked_for++;
    ask(&carried->unsaid);
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

struct answering { /* in the message's arena */
    struct unsaid unsaid;
    struct device_mqtt *mqtt;
    struct upload *upload;
    struct command_answer answer;
};

static void drop_answer(struct unsaid *unsaid)
{
    upload_end(((struct answering *)unsaid)->upload, ERR_INTERNAL);
}

/* What cannot be taken is nothing that a device could do better by sending it again. */
static void answered(enum error error, void *arg)
{
    struct answering *answering = arg;

    if (error == ERR_INTERNAL)
        unsaid_add(&answering->mqtt->unsaid, &answering->unsaid);
    else if (error)
        upload_ignore(answering->upload, "answer");
    else
        upload_end(answering->upload, ERR_OK);
}

static void say_answered(struct unsaid *unsaid)
{
    struct answering *answering = (struct answering *)unsaid;
    struct upload *upload = answering->upload;

    command_answered(upload->core, upload->device_id, &answering->answer, answered, answering);
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
    struct answering *answering = arena_zalloc(upload->message->arena, sizeof(*answering));

    answering->unsaid.say = say_answered;
    answering->unsaid.drop = drop_answer;
    answering->mqtt = upload_device(upload)->mqtt;
    answering->upload = upload;
    answering->answer = *answer;
    say_answered(&answering->unsaid);
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

/*
 * What the v1 application API tells of commands: their states, to the callback that the command has
 * itself; and to subscribers, for devices that acknowledge and answer, messageConfirm and commandRsp.
 */
#include "push/render_v1.h"

#include "base/clock.h"
#include <stdio.h>

static bool is_set(const struct rendering *r, const char *name)
{
    const struct json *value = json_get(r->payload, name);

    return value && value->type == JSON_BOOL && value->boolean;
}

static bool has_status(const struct rendering *r, const char *status)
{
    return str_eq(json_get_str(r->payload, "status"), str_of(status));
}

static size_t one(const struct rendering *r)
{
    (void)r;
    return 1;
}

/* ---- the command's own callback ---- */

static void detail(const struct rendering *r, struct json_writer *w, const char *name,
                   const char *otherwise)
{
    const struct json *value = json_get(r->payload, "detail");

    json_key(w, name);
    if (value)
        json_value(w, value);
    else
        json_raw(w, str_of(otherwise));
}

static void command_status(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    json_object(w);
    json_member_str(w, "deviceId", r->facts->device_id);
    json_member_str(w, "commandId", json_get_str(r->payload, "id"));
    json_key(w, "result");
    json_object(w);
    json_member_str(w, "resultCode", json_get_str(r->payload, "status"));
    detail(r, w, "resultDetail", "null");
    json_object_end(w);
    json_object_end(w);
}

/* ---- subscribers ---- */

static struct str request_id(const struct rendering *r)
{
    struct str id = json_get_str(r->payload, "request");

    return id.p ? id : json_get_str(r->payload, "id");
}

/* Of a call, that could not be sent, too: nobody can ask for it. */
size_t render_v1_confirmations(const struct rendering *r)
{
    bool has_failed = has_status(r, "FAILED") && !is_set(r, "answered") && is_set(r, "call");

    return !is_set(r, "noConfirmation") && (has_status(r, "DELIVERED") || has_failed);
}

static void from(const struct rendering *r, struct json_writer *w, struct str service)
{
    char text[512];

    if (service.p)
        snprintf(text, sizeof(text), "/devices/%.*s/services/%.*s", STR_ARG(r->facts->device_id),
                 STR_ARG(service));
    else
        snprintf(text, sizeof(text), "/devices/%.*s", STR_ARG(r->facts->device_id));
    json_member_text(w, "from", text);
    json_member_str(w, "to", json_get_str(r->payload, "to"));
}

void render_v1_message_confirm(const struct rendering *r, size_t part, struct json_writer *w)
{
    char time[CLOCK_COMPACT_SIZE];

    (void)part;
    clock_format_compact(r->facts->time_ms, time);
    json_object(w);
    json_member_text(w, "notifyType", "messageConfirm");
    json_key(w, "header");
    json_object(w);
    json_member_str(w, "requestId", request_id(r));
    from(r, w, STR_NONE);
    json_member_text(w, "status", has_status(r, "DELIVERED") ? "delivered" : "failed");
    json_member_text(w, "timestamp", time);
    json_object_end(w);
    json_key(w, "body");
    json_object(w);
    json_object_end(w);
    json_object_end(w);
}

size_t render_v1_answers(const struct rendering *r)
{
    return is_set(r, "answered");
}

/* Its name as the device or the model says it, else that of the command with -RSP. */
static void method(const struct rendering *r, struct json_writer *w)
{
    struct str name = json_get_str(r->payload, "response");
    struct str command = json_get_str(r->payload, "method");
    char text[1024];

    snprintf(text, sizeof(text), "%.*s-RSP", STR_ARG(command));
    json_member_str(w, "method", name.len ? name : str_of(text));
}

/* The device's number for the outcome has no place but in the body, and there only when that is free. */
static void answer(const struct rendering *r, struct json_writer *w)
{
    int64_t code = 0;

    if (json_get(r->payload, "detail")) {
        detail(r, w, "body", "{}");
        return;
    }
    json_get_i64(r->payload, "code", &code);
    json_key(w, "body");
    json_object(w);
    json_member_i64(w, "errcode", code);
    json_object_end(w);
}

void render_v1_command_rsp(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    json_object(w);
    json_member_text(w, "notifyType", "commandRsp");
    json_key(w, "header");
    json_object(w);
    json_member_str(w, "requestId", request_id(r));
    from(r, w, json_get_str(r->payload, "service"));
    json_member_str(w, "deviceId", r->facts->device_id);
    json_member_str(w, "serviceType", json_get_str(r->payload, "serviceType"));
    method(r, w);
    json_object_end(w);
    answer(r, w);
    json_object_end(w);
}

/* ---- which one ---- */

static const struct notification_type status_type = {EVENT_COMMAND_STATUS, NULL, one,
                                                     command_status};
static const struct notification_type confirmation_type = {
    EVENT_COMMAND_STATUS, NULL, render_v1_confirmations, render_v1_message_confirm};

const struct notification_type *notification_of_its_own(const struct rendering *r, struct str *id,
                                                        struct str *url)
{
    bool is_end = has_status(r, "EXPIRED") || has_status(r, "CANCELED");

    if (r->facts->kind != EVENT_COMMAND_STATUS || (is_end && !r->tells_command_end))
        return NULL;
    *id = json_get_str(r->payload, "id");
    *url = json_get_str(r->payload, "url");
    if (!id->p || !url->p)
        return NULL;
    return is_set(r, "call") ? &confirmation_type : &status_type;
}

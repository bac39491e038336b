/*
 * Calling a device's service (/iocm/app/signaltrans, sendCommand): at once or not at all, and nothing of
 * it is kept. What becomes of it is told by the notifications messageConfirm and commandRsp.
 */
#include "api/v1/v1.h"

#include "base/clock.h"
#include "core/command/command.h"

#define SERVICE_ID_MAX 64

struct call_body {
    const struct json *header, *paras;
};
struct call_header {
    struct str mode, method, request_id, from, to_type, to, callback_url;
};

#define HEADER(member_, to_, max_)                                                                 \
    {member_, FIELD_STRING, offsetof(struct call_header, to_), 0, max_, 0, NULL}

static const struct field body_fields[] = {
    {"header", FIELD_OBJECT, offsetof(struct call_body, header), 0, 0, FIELD_REQUIRED, NULL},
    {"body", FIELD_OBJECT, offsetof(struct call_body, paras), 0, 0, 0, NULL},
    {0},
};
static const struct field header_fields[] = {
    HEADER("mode", mode, 16),
    HEADER("method", method, 128),
    HEADER("requestId", request_id, 128),
    HEADER("from", from, 128),
    HEADER("toType", to_type, 16),
    HEADER("to", to, 128),
    {"callbackURL", FIELD_STRING, offsetof(struct call_header, callback_url), 0, 0, 0,
     "callbackUrl"},
    {0},
};

struct calling {
    struct call *call;
    struct command_order order;
};

static bool is_one_of(struct str text, const char *one, const char *other)
{
    return !text.len || str_eq_nocase(text, str_of(one)) || str_eq_nocase(text, str_of(other));
}

static struct str given(struct str text)
{
    return text.len ? text : STR_NONE;
}

/* ---- the answer ---- */

/* When it is answered it waits for the device's connection to write it, which takes no time; should the
 * connection break in this moment, messageConfirm says so. */
static void answer_sent(enum error error, const struct command *command, void *arg)
{
    const struct calling *calling = arg;
    struct call *call = calling->call;
    struct json_writer *w = call_json(call);
    char time[CLOCK_COMPACT_SIZE];

    if (error) {
        v1_fail(call, error);
        return;
    }
    clock_format_compact(command->created_ms, time);
    json_object(w);
    json_member_text(w, "status", "sent");
    json_member_text(w, "timestamp", time);
    json_member_str(w, "requestId",
                    calling->order.request_id.p ? calling->order.request_id : command->id);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void send_own(struct call *call)
{
    struct calling *calling = call_context(call);

    command_create(v1_core(call), call_arena(call), &calling->order, answer_sent, calling);
}

/* ---- the request ---- */

static enum error read_order(struct call *call, const struct call_body *body,
                             struct command_order *order)
{
    struct call_header header = {0};

    if (fields_read(body->header, header_fields, &header, NULL) != FIELDS_OK ||
        !is_one_of(header.mode, "ACK", "NOACK") || !is_one_of(header.to_type, "GATEWAY", "CLOUD"))
        return ERR_DEVICE_PARAMETER;
    if (!header.method.len)
        return ERR_COMMAND_NAME;
    if (str_characters(call_path_param(call, "serviceId")) > SERVICE_ID_MAX)
        return ERR_CALL_SERVICE;
    *order = (struct command_order){
        .app_id = v1_app_id(call),
        .device_id = call_path_param(call, "deviceId"),
        .service_id = call_path_param(call, "serviceId"),
        .method = header.method,
        .paras = body->paras,
        .callback_url = given(header.callback_url),
        .max_retransmit = -1,
        .is_call = true,
        .wants_no_confirmation = str_eq_nocase(header.mode, STR("NOACK")),
        .request_id = given(header.request_id),
        .from = given(header.from),
    };
    return ERR_OK;
}

static void send_command(struct call *call)
{
    struct calling *calling = arena_zalloc(call_arena(call), sizeof(*calling));
    struct call_body body = {0};
    enum error error;

    calling->call = call;
    if (!v1_read_body(call, body_fields, &body, ERR_DEVICE_PARAMETER, ERR_DEVICE_PARAMETER,
                      ERR_DEVICE_PARAMETER, NULL))
        return;
    error = read_order(call, &body, &calling->order);
    if (error) {
        v1_fail(call, error);
        return;
    }
    call_set_context(call, calling);
    v1_check_app_200(call, STR_NONE, send_own);
}

const struct route v1_command_call_routes[] = {
    {EVHTTP_REQ_POST,
     "/iocm/app/signaltrans/v1.1.0/devices/{deviceId}/services/{serviceId}/sendCommand", V1_APP,
     send_command},
    {0},
};

/*
 * Commands for devices (/iocm/app/cmd): ordering and canceling them. Queries are in command_query.c,
 * commands that are not kept in command_call.c. The older paths lead to the same.
 */
#include "api/v1/command_object.h"
#include "api/v1/v1.h"
#include "core/command/task.h"

static void write_command(struct call *call, const struct command *command)
{
    v1_write_command(call_json(call), command, v1_core(call)->settings->command_has_old_status);
}

/* ---- ordering ---- */

struct create_body {
    struct str device_id, callback_url;
    const struct json *command, *expire, *retransmit;
};
struct command_body {
    struct str service_id, method;
    const struct json *paras;
};

static const struct field create_fields[] = {
    {"deviceId", FIELD_STRING, offsetof(struct create_body, device_id), 1, 64, 0, NULL},
    {"command", FIELD_OBJECT, offsetof(struct create_body, command), 0, 0, FIELD_REQUIRED, NULL},
    {"callbackUrl", FIELD_STRING, offsetof(struct create_body, callback_url), 0, 0, 0,
     "callbackurl"},
    {"expireTime", FIELD_ANY, offsetof(struct create_body, expire), 0, 0, 0, NULL},
    {"maxRetransmit", FIELD_ANY, offsetof(struct create_body, retransmit), 0, 0, 0, NULL},
    {0},
};
static const struct field command_fields[] = {
    {"serviceId", FIELD_STRING, offsetof(struct command_body, service_id), 1, 64, FIELD_REQUIRED,
     NULL},
    {"method", FIELD_STRING, offsetof(struct command_body, method), 1, 128, FIELD_REQUIRED, NULL},
    {"paras", FIELD_OBJECT, offsetof(struct command_body, paras), 0, 0, 0, NULL},
    {0},
};

struct creating {
    struct call *call;
    struct command_order order;
    int success;
};

/* Clients send numbers as texts, too. */
static bool read_number(const struct json *json, int64_t max, int64_t *value)
{
    uint64_t number;

    if (!json)
        return true;
    if (json->type != JSON_STRING && json->type != JSON_NUMBER)
        return false;
    if (!str_to_u64(json->text, (uint64_t)max, &number))
        return false;
    *value = (int64_t)number;
    return true;
}

static bool read_order(struct call *call, const struct create_body *body,
                       struct command_order *order)
{
    const struct core_settings *settings = v1_core(call)->settings;
    struct command_body command = {0};

    if (fields_read(body->command, command_fields, &command, NULL) != FIELDS_OK)
        return false;
    *order = (struct command_order){
        .app_id = v1_app_id(call),
        .device_id = body->device_id,
        .service_id = command.service_id,
        .method = command.method,
        .paras = command.paras,
        .callback_url = body->callback_url.len ? body->callback_url : STR_NONE,
        .expire_s = settings->command_cache_time_ms / 1000,
        .max_retransmit = -1,
    };
    return body->device_id.len && command.service_id.len && command.method.len &&
           read_number(body->expire, settings->command_cache_max_ms / 1000, &order->expire_s) &&
           read_number(body->retransmit, COMMAND_RETRANSMIT_MAX, &order->max_retransmit);
}

static void answer_created(enum error error, const struct command *command, void *arg)
{
    struct creating *creating = arg;

    if (error) {
        v1_fail(creating->call, error);
        return;
    }
    write_command(creating->call, command);
    call_reply_json(creating->call, creating->success);
}

static void create_own(struct call *call)
{
    struct creating *creating = call_context(call);

    command_create(v1_core(call), call_arena(call), &creating->order, answer_created, creating);
}

/* device_id STR_NONE: the body has it. */
static void create(struct call *call, struct str device_id, int success)
{
    struct creating *creating = arena_zalloc(call_arena(call), sizeof(*creating));
    struct create_body body = {0};

    creating->call = call;
    creating->success = success;
    if (!v1_read_body(call, create_fields, &body, ERR_DEVICE_PARAMETER, ERR_DEVICE_PARAMETER,
                      ERR_DEVICE_PARAMETER, NULL))
        return;
    if (device_id.p)
        body.device_id = device_id;
    if (!read_order(call, &body, &creating->order)) {
        v1_fail(call, ERR_DEVICE_PARAMETER);
        return;
    }
    call_set_context(call, creating);
    v1_check_app_mixed(call, STR_NONE, create_own);
}

static void create_command(struct call *call)
{
    create(call, STR_NONE, 201);
}

static void create_command_v1_2(struct call *call)
{
    create(call, call_path_param(call, "deviceId"), 200);
}

static void create_command_v1_3(struct call *call)
{
    create(call, call_path_param(call, "deviceId"), 201);
}

/* ---- canceling one ---- */

struct modify_body {
    struct str status;
};

static const struct field modify_fields[] = {
    {"status", FIELD_STRING, offsetof(struct modify_body, status), 0, 0, FIELD_REQUIRED, NULL},
    {0},
};

static void answer_canceled(enum error error, const struct command *command, void *arg)
{
    struct call *call = arg;

    if (error) {
        v1_fail(call, error);
        return;
    }
    write_command(call, command);
    call_reply_json(call, 200);
}

/* The older path names the device besides. */
static void cancel_own(struct call *call)
{
    command_cancel(v1_core(call), call_arena(call), v1_app_id(call),
                   call_path_param(call, "deviceId"), call_path_param(call, "deviceCommandId"),
                   answer_canceled, call);
}

static void modify(struct call *call)
{
    struct modify_body body = {0};

    if (!v1_read_body(call, modify_fields, &body, ERR_DEVICE_PARAMETER, ERR_DEVICE_PARAMETER,
                      ERR_DEVICE_PARAMETER, NULL))
        return;
    if (!str_eq(body.status, STR("CANCELED")))
        v1_fail(call, ERR_DEVICE_PARAMETER);
    else
        v1_check_app_200(call, STR_NONE, cancel_own);
}

/* ---- canceling all of a device ---- */

struct cancel_body {
    struct str device_id;
};

static const struct field cancel_fields[] = {
    {"deviceId", FIELD_STRING, offsetof(struct cancel_body, device_id), 1, 64, FIELD_REQUIRED,
     NULL},
    {0},
};

static void answer_task(enum error error, const struct command_task *task, void *arg)
{
    struct call *call = arg;

    if (error) {
        v1_fail(call, error);
        return;
    }
    v1_write_command_task(call_json(call), task,
                          v1_core(call)->settings->command_has_old_status);
    call_reply_json(call, 201);
}

static void cancel_all_own(struct call *call)
{
    const struct cancel_body *body = call_context(call);

    command_task_create(v1_core(call), call_arena(call), v1_app_id(call), body->device_id,
                        answer_task, call);
}

static void create_task(struct call *call)
{
    struct cancel_body *body = arena_zalloc(call_arena(call), sizeof(*body));

    if (!v1_read_body(call, cancel_fields, body, ERR_DEVICE_PARAMETER, ERR_DEVICE_PARAMETER,
                      ERR_DEVICE_PARAMETER, NULL))
        return;
    call_set_context(call, body);
    v1_check_app(call, STR_NONE, cancel_all_own);
}

const struct route v1_command_routes[] = {
    {EVHTTP_REQ_POST, "/iocm/app/cmd/v1.4.0/deviceCommands", V1_APP, create_command},
    {EVHTTP_REQ_PUT, "/iocm/app/cmd/v1.4.0/deviceCommands/{deviceCommandId}", V1_APP, modify},
    {EVHTTP_REQ_POST, "/iocm/app/cmd/v1.4.0/deviceCommandCancelTasks", V1_APP, create_task},
    {EVHTTP_REQ_POST, "/iocm/app/cmd/v1.3.0/devices/{deviceId}/commands", V1_APP,
     create_command_v1_3},
    {EVHTTP_REQ_POST, "/iocm/app/cmd/v1.2.0/devices/{deviceId}/commands", V1_APP,
     create_command_v1_2},
    {EVHTTP_REQ_PUT, "/iocm/app/cmd/v1.2.0/devices/{deviceId}/commands/{deviceCommandId}", V1_APP,
     modify},
    {EVHTTP_REQ_POST, "/iocm/app/cmd/v1.2.0/cancelCmd", V1_APP, create_task},
    {0},
};

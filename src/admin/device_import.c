/*
 * Registering many devices with one request:
 *
 *     {"devices":[{"nodeId":..., "mode":"secret" or "code", "secret":..., "verifyCode":..., "psk":...,
 *                  "timeout":seconds, "gatewayId":..., and members of DeviceInfo}]}
 *
 * The answer has a result per device, in their order: its credentials; or that its node id exists; or
 * what is wrong with it, which does not stop the others. Some hundreds are registered at a time.
 */
#include "admin/devices.h"

#include "admin/answer.h"
#include "base/crypto.h"
#include "base/fields.h"
#include "core/app/app.h"
#include "core/device/members.h"
#include "core/model/product.h"

#define DEVICES_MAX 500 /* per request */
#define IN_FLIGHT   250

struct import;

struct row {
    struct import *import;
    const struct json *json;
    struct device_registration registration;
    struct device_credentials made;
    bool exists;
    enum error error;
    const char *problem; /* what is wrong with it, when it was not even tried */
};

struct import {
    struct call *call;
    struct row *rows;
    size_t count, next, under_way;
};

/* ---- reading a row ---- */

struct row_body {
    struct str node_id, mode, secret, verify_code, psk, gateway_id;
    int64_t timeout_s;
};

#define TEXT(member_, to, min_, max_)                                                              \
    {member_, FIELD_STRING, offsetof(struct row_body, to), min_, max_, FIELD_EMPTY_IS_ABSENT, NULL}

static const struct field row_fields[] = {
    {"nodeId", FIELD_STRING, offsetof(struct row_body, node_id), 1, DEVICE_TEXT_MAX,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    TEXT("mode", mode, 1, 16),
    TEXT("secret", secret, DEVICE_SECRET_DIGITS, DEVICE_SECRET_DIGITS),
    TEXT("verifyCode", verify_code, 1, DEVICE_TEXT_MAX),
    TEXT("psk", psk, 8, 32),
    TEXT("gatewayId", gateway_id, 1, 128),
    {"timeout", FIELD_INT, offsetof(struct row_body, timeout_s), 0, INT32_MAX, 0, NULL},
    {0},
};

static struct str text_or_none(struct str text)
{
    return text.len ? text : STR_NONE;
}

/* What is wrong, or NULL. Without a mode: code when there is a verify code, else secret. */
static const char *set_mode(struct device_registration *registration, const struct row_body *body)
{
    registration->is_secret_mode = !body->verify_code.len;
    if (body->mode.len) {
        registration->is_secret_mode = str_eq_nocase(body->mode, STR("secret"));
        if (!registration->is_secret_mode && !str_eq_nocase(body->mode, STR("code")))
            return "mode";
    }
    if (registration->is_secret_mode && body->verify_code.len)
        return "verifyCode";
    return !registration->is_secret_mode && body->secret.len ? "secret" : NULL;
}

static const char *read_row(struct row *row)
{
    struct call *call = row->import->call;
    struct device_registration *registration = &row->registration;
    struct row_body body = {
        .timeout_s = admin_core_of(call)->settings->register_timeout_default_ms / 1000};
    const char *which = NULL;

    if (fields_read(row->json, row_fields, &body, &which))
        return which ? which : "not an object";
    which = set_mode(registration, &body);
    if (which)
        return which;
    if (body.secret.len && !crypto_is_hex(body.secret))
        return "secret";
    if (body.psk.len && !crypto_is_hex(body.psk))
        return "psk";
    if (body.gateway_id.len && !str_is_id(body.gateway_id, 128))
        return "gatewayId";
    registration->app_id = call_path_param(call, "appId");
    registration->gateway_id = text_or_none(body.gateway_id);
    registration->node_id = body.node_id;
    registration->verify_code = text_or_none(body.verify_code);
    registration->secret = text_or_none(body.secret);
    registration->psk = text_or_none(body.psk);
    registration->timeout_ms = registration->is_secret_mode ? 0 : body.timeout_s * 1000;
    return device_members_read(call_arena(call), &registration->fields, row->json, row->json);
}

/* ---- answering ---- */

static void write_result(struct json_writer *w, const struct row *row)
{
    json_object(w);
    if (row->problem) {
        json_member_text(w, "problem", row->problem);
    } else if (row->error) {
        json_member_text(w, "code", error_v1(row->error)->code);
        json_member_text(w, "problem", error_v1(row->error)->text);
    } else {
        json_member_str(w, "deviceId", row->made.device_id);
        if (row->exists) {
            json_member_bool(w, "exists", true);
        } else if (row->registration.is_secret_mode) {
            json_member_str(w, "secret", row->made.secret);
        } else {
            json_member_str(w, "verifyCode", row->made.verify_code);
            json_member_str(w, "psk", row->made.psk);
        }
    }
    json_object_end(w);
}

static void answer(struct import *import)
{
    struct json_writer *w = call_json(import->call);

    json_object(w);
    json_key(w, "results");
    json_array(w);
    for (size_t i = 0; i < import->count; i++)
        write_result(w, &import->rows[i]);
    json_array_end(w);
    json_object_end(w);
    call_add_header(import->call, "Cache-Control", "no-store");
    call_reply_json(import->call, 200);
}

/* ---- registering ---- */

static void register_more(struct import *import);

static void row_done(struct row *row, enum error error)
{
    struct import *import = row->import;

    row->error = error;
    import->under_way--;
    register_more(import);
}

/* "Taken" was said of the node id, or of something else. */
static void holder_found(enum error error, struct str device_id, void *arg)
{
    struct row *row = arg;

    if (!error) {
        row->exists = true;
        row->made.device_id = device_id;
        row->error = ERR_OK;
    }
    row_done(row, row->error);
}

static void registered(enum error error, const struct device_credentials *made, void *arg)
{
    struct row *row = arg;
    struct call *call = row->import->call;

    if (error == ERR_NODE_ID_DUPLICATE || error == ERR_DEVICE_BOUND) {
        row->error = error;
        device_find_node(admin_core_of(call), call_arena(call), row->registration.app_id,
                         row->registration.node_id, holder_found, row);
        return;
    }
    if (!error)
        row->made = *made;
    row_done(row, error);
}

static void register_more(struct import *import)
{
    struct call *call = import->call;

    while (import->next < import->count && import->under_way < IN_FLIGHT) {
        struct row *row = &import->rows[import->next++];

        row->problem = read_row(row);
        if (row->problem)
            continue;
        import->under_way++;
        product_register(admin_core_of(call), call_arena(call), &row->registration, registered, row);
    }
    if (import->under_way == 0)
        answer(import);
}

static void app_read_for_import(enum error error, const struct app *app, void *arg)
{
    struct call *call = arg;

    (void)app;
    if (error)
        admin_fail_error(call, error);
    else
        register_more(call_context(call));
}

static void import_devices(struct call *call)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    const struct json *list = json_get(body, "devices");
    struct import *import = arena_zalloc(call_arena(call), sizeof(*import));

    if (!core_is_ready(admin_core_of(call))) {
        admin_fail_error(call, ERR_INTERNAL);
        return;
    }
    if (!list || list->type != JSON_ARRAY || list->count > DEVICES_MAX) {
        admin_fail(call, 400, "devices: a list of at most 500 is needed");
        return;
    }
    import->call = call;
    import->rows = arena_zalloc(call_arena(call), (list->count + 1) * sizeof(*import->rows));
    JSON_FOREACH (one, list) {
        import->rows[import->count].import = import;
        import->rows[import->count++].json = one;
    }
    call_set_context(call, import);
    app_read(admin_core_of(call), call_path_param(call, "appId"), app_read_for_import, call);
}

const struct route admin_device_import_routes[] = {
    {EVHTTP_REQ_POST, "/admin/v1/apps/{appId}/devices", 0, import_devices},
    {0},
};

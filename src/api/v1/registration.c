/*
 * Registration of devices: verification-code mode (reg/v1.1.0 and its aliases), secret mode
 * (reg/v2.0.0), renewal of credentials, activation status.
 */
#include "api/v1/v1.h"

#include "base/crypto.h"
#include "core/device/members.h"
#include "core/model/product.h"

#define TEXT_MAX DEVICE_TEXT_MAX

/* ---- what both modes share ---- */

static bool take_members(struct call *call, struct device_fields *fields, const struct json *body)
{
    return !device_members_read(call_arena(call), fields, json_get(body, "deviceInfo"), body);
}

struct registration_body {
    struct str node_id, verify_code, psk, secret, gateway_id, app_id;
    int64_t timeout_s;
    struct field_bool is_secure, mqtt_connect;
    const struct json *info;
};

struct registering {
    struct call *call;
    struct device_registration registration;
    int64_t timeout_s;
};

static void answer_registered(enum error error, const struct device_credentials *made, void *arg)
{
    struct registering *registering = arg;
    struct call *call = registering->call;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "deviceId", made->device_id);
    if (registering->registration.is_secret_mode) {
        json_member_str(w, "secret", made->secret);
    } else {
        json_member_str(w, "verifyCode", made->verify_code);
        json_member_i64(w, "timeout", registering->timeout_s);
        json_member_str(w, "psk", made->psk);
    }
    json_object_end(w);
    call_reply_json(call, 200);
}

static void register_own(struct call *call)
{
    struct registering *registering = call_context(call);

    product_register(v1_core(call), call_arena(call), &registering->registration,
                    answer_registered, registering);
}

static void start_registration(struct call *call, struct registering *registering,
                               const struct registration_body *body)
{
    struct device_registration *registration = &registering->registration;

    registering->call = call;
    registration->app_id = v1_app_id(call);
    registration->node_id = body->node_id;
    if (body->gateway_id.len)
        registration->gateway_id = body->gateway_id;
    if (body->is_secure.is_set)
        device_fields_add(call_arena(call), &registration->fields, "isSecurity",
                          body->is_secure.value ? STR("TRUE") : STR("FALSE"));
    call_set_context(call, registering);
    v1_check_app(call, call_query(call, "appId"), register_own);
}

/* A gateway's id goes into a key. */
static bool is_gateway_id_legal(struct str id)
{
    return !id.len || str_is_id(id, 128);
}

/* ---- verification-code mode ---- */

static const struct field code_fields[] = {
    {"nodeId", FIELD_STRING, offsetof(struct registration_body, node_id), 1, TEXT_MAX,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    {"verifyCode", FIELD_STRING, offsetof(struct registration_body, verify_code), 1, TEXT_MAX,
     FIELD_EMPTY_IS_ABSENT, NULL},
    {"timeout", FIELD_INT, offsetof(struct registration_body, timeout_s), 0, INT32_MAX, 0, NULL},
    {"psk", FIELD_STRING, offsetof(struct registration_body, psk), 8, 32, FIELD_EMPTY_IS_ABSENT,
     NULL},
    {"isSecure", FIELD_BOOL, offsetof(struct registration_body, is_secure), 0, 0, 0, NULL},
    {"gatewayId", FIELD_STRING, offsetof(struct registration_body, gateway_id), 0, 128, 0, NULL},
    {"deviceInfo", FIELD_OBJECT, offsetof(struct registration_body, info), 0, 0, 0, NULL},
    {0},
};

static void register_with_code(struct call *call)
{
    struct registering *registering = arena_zalloc(call_arena(call), sizeof(*registering));
    struct device_registration *registration = &registering->registration;
    struct registration_body body = {
        .timeout_s = v1_core(call)->settings->register_timeout_default_ms / 1000};
    const struct json *json;

    if (!v1_read_body(call, code_fields, &body, ERR_BAD_MESSAGE, ERR_BAD_MESSAGE, ERR_BAD_REQUEST,
                      &json))
        return;
    if ((body.psk.len && !crypto_is_hex(body.psk)) || !is_gateway_id_legal(body.gateway_id) ||
        !take_members(call, &registration->fields, json)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    registration->verify_code = body.verify_code.len ? body.verify_code : STR_NONE;
    registration->psk = body.psk.len ? body.psk : STR_NONE;
    registration->timeout_ms = body.timeout_s * 1000;
    registering->timeout_s = body.timeout_s;
    start_registration(call, registering, &body);
}

/* ---- secret mode ---- */

static const struct field secret_fields[] = {
    {"secret", FIELD_STRING, offsetof(struct registration_body, secret), DEVICE_SECRET_DIGITS,
     DEVICE_SECRET_DIGITS, FIELD_EMPTY_IS_ABSENT, NULL},
    {"mqttConnect", FIELD_BOOL, offsetof(struct registration_body, mqtt_connect), 0, 0, 0, NULL},
    {"gatewayId", FIELD_STRING, offsetof(struct registration_body, gateway_id), 0, 128, 0, NULL},
    {"deviceInfo", FIELD_OBJECT, offsetof(struct registration_body, info), 0, 0, FIELD_REQUIRED,
     NULL},
    {0},
};

static const struct field secret_info_fields[] = {
    {"nodeId", FIELD_STRING, offsetof(struct registration_body, node_id), 1, TEXT_MAX,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    {0},
};

static void register_with_secret(struct call *call)
{
    struct registering *registering = arena_zalloc(call_arena(call), sizeof(*registering));
    struct device_registration *registration = &registering->registration;
    struct registration_body body = {0};
    enum field_problem problem;
    const struct json *json;

    if (!v1_read_body(call, secret_fields, &body, ERR_BAD_MESSAGE, ERR_BAD_MESSAGE,
                      ERR_BAD_REQUEST, &json))
        return;
    problem = fields_read(body.info, secret_info_fields, &body, NULL);
    if (problem == FIELDS_MISSING) {
        v1_fail(call, ERR_BAD_MESSAGE);
        return;
    }
    if (problem || (body.secret.len && !crypto_is_hex(body.secret)) ||
        !is_gateway_id_legal(body.gateway_id) ||
        !take_members(call, &registration->fields, json)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    registration->is_secret_mode = true;
    registration->secret = body.secret.len ? body.secret : STR_NONE;
    start_registration(call, registering, &body);
}

/* ---- renewal ---- */

struct renewing {
    struct call *call;
    struct device_renewal renewal;
};

static void answer_renewed(enum error error, const struct device_credentials *made, void *arg)
{
    struct renewing *renewing = arg;
    struct call *call = renewing->call;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    if (renewing->renewal.is_secret_mode) {
        json_member_str(w, "deviceId", made->device_id);
        json_member_str(w, "secret", made->secret);
    } else {
        json_member_str(w, "verifyCode", made->verify_code);
        json_member_i64(w, "timeout", renewing->renewal.timeout_ms / 1000);
    }
    json_object_end(w);
    call_reply_json(call, 200);
}

static void renew_own(struct call *call)
{
    struct renewing *renewing = call_context(call);

    device_renew(v1_core(call), call_arena(call), v1_app_id(call),
                 call_path_param(call, "deviceId"), &renewing->renewal, answer_renewed, renewing);
}

static void renew(struct call *call, const struct registration_body *body, bool is_secret_mode)
{
    struct renewing *renewing = arena_zalloc(call_arena(call), sizeof(*renewing));

    renewing->call = call;
    renewing->renewal = (struct device_renewal){
        .is_secret_mode = is_secret_mode,
        .node_id = body->node_id.len ? body->node_id : STR_NONE,
        .verify_code = body->verify_code.len ? body->verify_code : STR_NONE,
        .secret = body->secret.len ? body->secret : STR_NONE,
        .timeout_ms = is_secret_mode ? 0 : body->timeout_s * 1000,
    };
    call_set_context(call, renewing);
    v1_check_app(call, call_query(call, "appId"), renew_own);
}

static const struct field renew_code_fields[] = {
    {"nodeId", FIELD_STRING, offsetof(struct registration_body, node_id), 1, TEXT_MAX,
     FIELD_EMPTY_IS_ABSENT, NULL},
    {"verifyCode", FIELD_STRING, offsetof(struct registration_body, verify_code), 1, TEXT_MAX,
     FIELD_EMPTY_IS_ABSENT, NULL},
    {"timeout", FIELD_INT, offsetof(struct registration_body, timeout_s), 0, INT32_MAX, 0, NULL},
    {0},
};

#define RENEWAL_TIMEOUT_S 180 /* what the protocol says of a renewal that names none */

static void renew_code(struct call *call)
{
    struct registration_body body = {.timeout_s = RENEWAL_TIMEOUT_S};

    if (v1_read_body(call, renew_code_fields, &body, ERR_BAD_MESSAGE, ERR_BAD_MESSAGE,
                     ERR_BAD_REQUEST, NULL))
        renew(call, &body, false);
}

static const struct field renew_secret_fields[] = {
    {"nodeId", FIELD_STRING, offsetof(struct registration_body, node_id), 1, TEXT_MAX,
     FIELD_EMPTY_IS_ABSENT, NULL},
    {"secret", FIELD_STRING, offsetof(struct registration_body, secret), DEVICE_SECRET_DIGITS,
     DEVICE_SECRET_DIGITS, FIELD_EMPTY_IS_ABSENT, NULL},
    {0},
};

static void renew_secret(struct call *call)
{
    struct registration_body body = {0};

    if (!v1_read_body(call, renew_secret_fields, &body, ERR_BAD_MESSAGE, ERR_BAD_MESSAGE,
                      ERR_BAD_REQUEST, NULL))
        return;
    if (body.secret.len && !crypto_is_hex(body.secret))
        v1_fail(call, ERR_BAD_REQUEST);
    else
        renew(call, &body, true);
}

/* ---- activation status ---- */

static void answer_activation(enum error error, const struct device *device, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "deviceId", device->id);
    json_member_bool(w, "activated", device->is_activated);
    json_member_str(w, "name", device_member(device, "name"));
    json_object_end(w);
    call_reply_json(call, 200);
}

static void query_own_activation(struct call *call)
{
    device_read(v1_core(call), call_arena(call), v1_app_id(call),
                call_path_param(call, "deviceId"), false, answer_activation, call);
}

static void query_activation(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own_activation);
}

const struct route v1_registration_routes[] = {
    {EVHTTP_REQ_POST, "/iocm/app/reg/v1.1.0/deviceCredentials", V1_APP, register_with_code},
    {EVHTTP_REQ_POST, "/iocm/app/reg/v1.2.0/deviceCredentials", V1_APP, register_with_code},
    {EVHTTP_REQ_POST, "/iocm/app/reg/v1.2.0/devices", V1_APP, register_with_code},
    {EVHTTP_REQ_POST, "/iocm/app/reg/v1.1.0/devices", V1_APP, register_with_code},
    {EVHTTP_REQ_POST, "/iocm/app/reg/v2.0.0/deviceCredentials", V1_APP, register_with_secret},
    {EVHTTP_REQ_PUT, "/iocm/app/reg/v1.1.0/deviceCredentials/{deviceId}", V1_APP, renew_code},
    {EVHTTP_REQ_PUT, "/iocm/app/reg/v1.1.0/devices/{deviceId}", V1_APP, renew_code},
    {EVHTTP_REQ_PUT, "/iocm/app/reg/v2.0.0/deviceCredentials/{deviceId}", V1_APP, renew_secret},
    {EVHTTP_REQ_GET, "/iocm/app/reg/v1.1.0/deviceCredentials/{deviceId}", V1_APP,
     query_activation},
    {EVHTTP_REQ_GET, "/iocm/app/reg/v1.1.0/devices/{deviceId}", V1_APP, query_activation},
    {0},
};

/*
 * The right to speak is checked by the script that stores a report, in the same step; so a body is
 * read before the token is known to be good, and every fault of the body asks for the token first: a
 * stranger learns nothing but that his token is wrong.
 */
#include "device/https.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/metric.h"
#include "core/data/report.h"
#include "core/device/verify.h"
#include "store/keys.h"

#define CHILDREN_MAX     50
#define REPORT_MAX_BYTES (1024 * 1024)
#define TIMESTAMP_DIGITS 10

static struct core *core_of(const struct call *call)
{
    return call_api_context(call);
}

/* ---- errors ---- */

static void write_error(struct json_writer *w, enum error error, const char *text)
{
    json_object(w);
    json_member_text(w, "error_code", error_v5(error)->code);
    json_member_text(w, "error_msg", text);
    json_object_end(w);
}

/* Some texts say which limit was reached. */
static const char *error_text(struct call *call, enum error error)
{
    struct arena *arena = call_arena(call);

    int64_t limit = error == ERR_APP_REPORT_RATE ? core_of(call)->settings->app_report_limit
                                                 : CHILDREN_MAX;
    const char *text = error_v5(error)->text;
    const char *place = strstr(text, "%s");

    return place ? arena_printf(arena, "%.*s%lld%s", (int)(place - text), text, (long long)limit,
                                place + 2)
                 : text;
}

static void fail(struct call *call, enum error error)
{
    json_writer_reset(call_json(call));
    write_error(call_json(call), error, error_text(call, error));
    call_reply_json(call, error_v5(error)->status);
}

static void refuse(struct json_writer *w, int status)
{
    enum error error = status == 413 ? ERR_REPORT_TOO_LARGE : error_of_http_status(status);

    write_error(w, error, error_v5(error)->text);
}

/* ---- login ---- */

static void answer_token(enum error error, const struct device_token *token, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        fail(call, error);
        return;
    }
    json_object(w);
    json_member_text(w, "access_token", token->text);
    json_member_i64(w, "expires_in", token->life_s);
    json_object_end(w);
    call_add_header(call, "Cache-Control", "no-store");
    call_reply_json(call, 200);
}

static bool are_digits(struct str s)
{
    uint64_t ignored;

    return str_to_u64(s, INT64_MAX, &ignored);
}

static void log_in(struct call *call)
{
    struct core *core = core_of(call);
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    struct str device_id = json_get_str(body, "device_id");
    struct str timestamp = json_get_str(body, "timestamp");
    struct str password = json_get_str(body, "password");
    int64_t sign_type;

    if (!str_is_id(device_id, KEY_ID_MAX) || !json_get_i64(body, "sign_type", &sign_type) ||
        sign_type < 0 || sign_type > 1 || timestamp.len != TIMESTAMP_DIGITS ||
        !are_digits(timestamp) || password.len != CRYPTO_SHA256_HEX_SIZE - 1) {
        fail(call, ERR_BAD_REQUEST);
        return;
    }
    if (!rate_allows(core->device_rate, device_id)) {
        metric_add(M_THROTTLED, 1, "device", NULL, NULL);
        fail(call, ERR_THROTTLED);
        return;
    }
    if (sign_type == 1 && !device_hour_is_near(core, timestamp)) {
        fail(call, ERR_DEVICE_AUTH);
        return;
    }
    device_login(core, call_arena(call), device_id, timestamp, password, answer_token, call);
}

/* ---- what the three reports share ---- */

struct fault { /* of a body, to be told when the token turns out to be good */
    struct call *call;
    enum error error;
};

static void tell_fault(enum error error, void *arg)
{
    struct fault *fault = arg;

    metric_add(M_REPORTS, 1, "https", "refused", NULL);
    fail(fault->call, error ? error : fault->error);
}

static void fail_after_token(struct call *call, enum error error)
{
    struct fault *fault = arena_alloc(call_arena(call), sizeof(*fault));

    *fault = (struct fault){call, error};
    report_check_token(core_of(call), call_arena(call), call_path_param(call, "device_id"),
                       call_header(call, "access_token"), tell_fault, fault);
}

/* What can be refused without asking Redis. */
static bool may_report(struct call *call)
{
    struct str device_id = call_path_param(call, "device_id");
    struct str token = call_header(call, "access_token");
    enum error error;

    if (!str_is_id(device_id, KEY_ID_MAX) || token.len < 1 || token.len > 256) {
        metric_add(M_REPORTS, 1, "https", "refused", NULL);
        fail(call, ERR_TOKEN_INVALID);
        return false;
    }
    error = report_check_rate(core_of(call), device_id);
    if (error) {
        metric_add(M_REPORTS, 1, "https", "throttled", NULL);
        metric_add(M_THROTTLED, 1, error == ERR_THROTTLED ? "device" : "app_reports", NULL, NULL);
        fail(call, error);
        return false;
    }
    if (call_body(call).len > REPORT_MAX_BYTES) {
        fail_after_token(call, ERR_REPORT_TOO_LARGE);
        return false;
    }
    return true;
}

static void answer_report(enum error error, void *arg)
{
    struct call *call = arg;

    metric_add(M_REPORTS, 1, "https", error ? "refused" : "ok", NULL);
    if (error)
        fail(call, error);
    else
        call_reply_empty(call, 200);
}

/* ---- properties, messages ---- */

static void report_own_properties(struct call *call)
{
    const struct json *body, *services;
    struct report_source source = {.token = call_header(call, "access_token")};

    if (!may_report(call))
        return;
    body = json_parse(call_arena(call), call_body(call), NULL);
    services = json_get(body, "services");
    if (!report_services_are_valid(services)) {
        fail_after_token(call, ERR_BAD_REQUEST);
        return;
    }
    report_properties(core_of(call), call_arena(call), call_path_param(call, "device_id"),
                      &source, services, answer_report, call);
}

static void report_own_message(struct call *call)
{
    struct report_source source = {.token = call_header(call, "access_token")};

    if (may_report(call))
        report_message(core_of(call), call_arena(call), call_path_param(call, "device_id"),
                       &source, call_body(call), answer_report, call);
}

/* ---- a gateway's report for its children ---- */

struct family {
    struct call *call;
    const struct json *devices;
    struct str gateway_id;
    size_t waiting;
    enum error error;
};

static void child_stored(enum error error, void *arg)
{
    struct family *family = arg;

    if (error)
        family->error = error;
    if (--family->waiting == 0)
        answer_report(family->error, family->call);
}

static void store_children(enum error error, void *arg)
{
    struct family *family = arg;
    struct report_source source = {.token = STR_NONE, .gateway_id = family->gateway_id};

    if (error) {
        answer_report(error, family->call);
        return;
    }
    family->waiting = family->devices->count;
    JSON_FOREACH (device, family->devices)
        report_properties(core_of(family->call), call_arena(family->call),
                          json_get_str(device, "device_id"), &source,
                          json_get(device, "services"), child_stored, family);
}

/* All or nothing: every child is looked at before the first is stored. */
static void check_children(enum error error, void *arg)
{
    struct family *family = arg;
    struct call *call = family->call;
    struct str *ids;
    size_t n = 0;

    if (error) {
        answer_report(error, call);
        return;
    }
    ids = arena_alloc(call_arena(call), family->devices->count * sizeof(*ids));
    JSON_FOREACH (device, family->devices)
        ids[n++] = json_get_str(device, "device_id");
    report_check_children(core_of(call), call_arena(call), family->gateway_id, ids, n,
                          store_children, family);
}

static enum error family_fault(const struct json *devices)
{
    if (!devices || devices->type != JSON_ARRAY || devices->count == 0)
        return ERR_BAD_REQUEST;
    JSON_FOREACH (device, devices) {
        if (!json_get_str(device, "device_id").len ||
            !report_services_are_valid(json_get(device, "services")))
            return ERR_BAD_REQUEST;
    }
    return devices->count > CHILDREN_MAX ? ERR_CHILDREN_COUNT : ERR_OK;
}

static void report_children(struct call *call)
{
    struct family *family = arena_zalloc(call_arena(call), sizeof(*family));
    enum error error;

    if (!may_report(call))
        return;
    family->call = call;
    family->gateway_id = call_path_param(call, "device_id");
    family->devices = json_get(json_parse(call_arena(call), call_body(call), NULL), "devices");
    error = family_fault(family->devices);
    if (error)
        fail_after_token(call, error);
    else
        report_check_token(core_of(call), call_arena(call), family->gateway_id,
                           call_header(call, "access_token"), check_children, family);
}

static void enter(struct call *call)
{
    if (core_is_ready(core_of(call)))
        call_proceed(call);
    else
        fail(call, ERR_INTERNAL);
}

static const struct route routes[] = {
    {EVHTTP_REQ_POST, "/v5/device-auth", 0, log_in},
    {EVHTTP_REQ_POST, "/v5/devices/{device_id}/sys/properties/report", 0, report_own_properties},
    {EVHTTP_REQ_POST, "/v5/devices/{device_id}/sys/messages/up", 0, report_own_message},
    {EVHTTP_REQ_POST, "/v5/devices/{device_id}/sys/gateway/sub-devices/properties/report", 0,
     report_children},
    {0},
};

static const char *const prefixes[] = {"/v5/", NULL};
static const struct route *const tables[] = {routes, NULL};

struct http_api device_https_api = {
    .name = "device",
    .prefixes = prefixes,
    .tables = tables,
    .enter = enter,
    .refuse = refuse,
};

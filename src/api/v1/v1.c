#include "api/v1/v1.h"

#include "base/metric.h"
#include "core/app/token.h"
#include <string.h>
#include <strings.h>

struct core *v1_core(const struct call *call)
{
    return call_api_context(call);
}

/* ---- errors ---- */

static void write_error(struct json_writer *w, enum error error)
{
    const struct error_form *form = error_v1(error);

    json_object(w);
    if (error_is_gateway(error)) { /* its own envelope, and the common one for everybody else */
        json_member_text(w, "resultcode", form->code);
        json_member_text(w, "resultmsg", form->text);
    }
    json_member_text(w, "error_code", form->code);
    json_member_text(w, "error_desc", form->text);
    json_object_end(w);
}

void v1_fail(struct call *call, enum error error)
{
    json_writer_reset(call_json(call));
    write_error(call_json(call), error);
    call_reply_json(call, error_v1(error)->status);
}

static void refuse(struct json_writer *w, int status)
{
    write_error(w, error_of_http_status(status));
}

/* ---- access ---- */

/* Proxies drop header names with an underscore, so the other spelling is one too. */
static struct str app_key(const struct call *call)
{
    struct str key = call_header(call, "app_key");

    return key.len ? key : call_header(call, "x-app-key");
}

/* "Bearer TOKEN" in any case, with any number of blanks; or an old client's header of its own. */
static struct str access_token(const struct call *call)
{
    struct str header = call_header(call, "Authorization");
    struct str token;
    struct str scheme = str_split(str_trim(header), ' ', &token);

    if (header.len && str_eq_nocase(scheme, STR("bearer")) && token.p)
        return str_trim(token);
    return call_header(call, "access_token");
}

struct str v1_app_id(const struct call *call)
{
    return app_key(call);
}

static void admit(struct call *call, const struct app *app)
{
    struct str token = access_token(call);

    if (!token.len || !token_is_valid(app, token) || app->is_frozen) {
        v1_fail(call, ERR_TOKEN_INVALID);
    } else if (!rate_allows(v1_core(call)->api_rate, str_of(app->id))) {
        metric_add(M_THROTTLED, 1, "api", NULL, NULL);
        v1_fail(call, ERR_THROTTLED);
    } else {
        call_proceed(call);
    }
}

static void caller_read(enum error error, const struct app *app, void *arg)
{
    struct call *call = arg;

    if (error)
        v1_fail(call, error == ERR_APP_NOT_FOUND ? ERR_TOKEN_INVALID : error);
    else
        admit(call, app);
}

static void enter(struct call *call)
{
    struct str key = app_key(call);
    const struct app *app;

    if (key.len)
        call_set_app(call, key);
    if (!core_is_ready(v1_core(call))) {
        v1_fail(call, ERR_INTERNAL);
        return;
    }
    if (call_route(call)->auth == V1_OPEN) {
        call_proceed(call);
        return;
    }
    if (!key.len) {
        v1_fail(call, ERR_NO_APP_KEY);
        return;
    }
    app = app_cached(v1_core(call), key);
    if (app)
        admit(call, app);
    else
        app_read(v1_core(call), key, caller_read, call);
}

static void other_app_read(enum error error, const struct app *app, void *arg)
{
    (void)app;
    v1_fail(arg, error ? error : ERR_APP_NOT_AUTHORIZED);
}

static void other_app_read_200(enum error error, const struct app *app, void *arg)
{
    (void)app;
    v1_fail(arg, !error                       ? ERR_APP_NOT_AUTHORIZED_200
                 : error == ERR_APP_NOT_FOUND ? ERR_APP_NOT_FOUND_200
                                              : error);
}

static void other_app_read_mixed(enum error error, const struct app *app, void *arg)
{
    other_app_read(error == ERR_APP_NOT_FOUND ? ERR_APP_NOT_FOUND_200 : error, app, arg);
}

/* The first that is not the caller's, or STR_NONE. */
static struct str other_app(const struct call *call, struct str app_id)
{
    struct str named[] = {app_id, call_query(call, "appId"), call_query(call, "accessAppId")};

    for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++) {
        if (named[i].len && !str_eq(named[i], v1_app_id(call)))
            return named[i];
    }
    return STR_NONE;
}

static void check_app(struct call *call, struct str app_id, call_handler next, app_cb refuse_other)
{
    struct str other = other_app(call, app_id);

    if (other.p)
        app_read(v1_core(call), other, refuse_other, call);
    else
        next(call);
}

void v1_check_app(struct call *call, struct str app_id, call_handler next)
{
    check_app(call, app_id, next, other_app_read);
}

void v1_check_app_200(struct call *call, struct str app_id, call_handler next)
{
    check_app(call, app_id, next, other_app_read_200);
}

void v1_check_app_mixed(struct call *call, struct str app_id, call_handler next)
{
    check_app(call, app_id, next, other_app_read_mixed);
}

/* ---- bodies ---- */

bool v1_read_body(struct call *call, const struct field *table, void *out, enum error malformed,
                  enum error missing, enum error invalid, const struct json **json)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    enum error error = ERR_OK;

    switch (body ? fields_read(body, table, out, NULL) : FIELDS_NOT_OBJECT) {
    case FIELDS_OK:
        break;
    case FIELDS_NOT_OBJECT:
        error = malformed;
        break;
    case FIELDS_MISSING:
        error = missing;
        break;
    default:
        error = invalid;
    }
    if (error) {
        v1_fail(call, error);
        return false;
    }
    if (json)
        *json = body;
    return true;
}

static const char *const prefixes[] = {"/iocm/", "/iodm/", NULL};
static const struct route *const tables[] = {v1_security_routes, v1_registration_routes,
                                             v1_device_routes, v1_device_query_routes,
                                             v1_history_routes, v1_shadow_routes,
                                             v1_subscription_routes, v1_group_routes,
                                             v1_service_routes, v1_model_routes,
                                             v1_command_routes, v1_command_query_routes,
                                             v1_command_call_routes, NULL};

struct http_api v1_api = {
    .name = "v1",
    .prefixes = prefixes,
    .tables = tables,
    .enter = enter,
    .refuse = refuse,
};

#include "admin/admin.h"

#include "base/crypto.h"
#include "base/metric.h"
#include "admin/answer.h"
#include "admin/apps.h"
#include "admin/certificates.h"
#include "admin/delivery.h"
#include "admin/deployment.h"
#include "admin/commands.h"
#include "admin/devices.h"
#include "admin/groups.h"
#include "admin/models.h"
#include "admin/shadow.h"
#include "admin/sessions.h"
#include "admin/signing.h"
#include "admin/watches.h"

static void refuse(struct json_writer *w, int status)
{
    admin_write_error(w, status, status == 404 ? "no such path" : NULL);
}

/* What changes something is audited, and so is who was not let in. */
static void enter(struct call *call)
{
    struct str app_id = call_path_param(call, "appId");

    if (app_id.p)
        call_set_app(call, app_id);
    if (call_route(call)->method != EVHTTP_REQ_GET)
        call_audit(call, "admin", STR_NONE);
    call_proceed(call);
}

static void enter_with_token(struct call *call)
{
    struct str token;
    struct str scheme = str_split(call_header(call, "Authorization"), ' ', &token);
    struct str wanted = str_of(admin_context_of(call)->token);

    if (str_eq_nocase(scheme, STR("bearer")) && wanted.len &&
        crypto_equal(str_trim(token), wanted)) {
        enter(call);
        return;
    }
    call_audit(call, "admin", STR("unauthorized"));
    call_add_header(call, "WWW-Authenticate", "Bearer");
    admin_fail(call, 401, "a token is needed: Authorization: Bearer TOKEN");
}

/* ---- health, metrics, status ---- */

static void healthz(struct call *call)
{
    call_reply_text(call, 200, "text/plain", STR("ok\n"));
}

static void readyz(struct call *call)
{
    struct admin_context *context = admin_context_of(call);
    const char *why_not = "";

    if (context->is_ready(&why_not, context->arg)) {
        call_reply_text(call, 200, "text/plain", STR("ok\n"));
        return;
    }
    call_reply_text(call, 503, "text/plain",
                    str_of(arena_printf(call_arena(call), "not ready: %s\n", why_not)));
}

static void metrics(struct call *call)
{
    struct admin_context *context = admin_context_of(call);
    struct buf text = {0};

    context->refresh_metrics(context->arg);
    metric_write_all(&text);
    call_reply_text(call, 200, "text/plain; version=0.0.4", buf_str(&text));
    buf_clear(&text);
}

static void status(struct call *call)
{
    struct admin_context *context = admin_context_of(call);
    struct json_writer *w = call_json(call);
    const char *why_not = "";
    bool is_ready = context->is_ready(&why_not, context->arg);

    json_object(w);
    json_member_bool(w, "ready", is_ready);
    if (!is_ready)
        json_member_text(w, "reason", why_not);
    context->write_status(w, context->arg);
    json_object_end(w);
    call_reply_json(call, 200);
}

static const struct route health_routes[] = {
    {EVHTTP_REQ_GET, "/healthz", 0, healthz},
    {EVHTTP_REQ_GET, "/readyz", 0, readyz},
    {EVHTTP_REQ_GET, "/metrics", 0, metrics},
    {0},
};

static const struct route status_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/status", 0, status},
    {0},
};

static const char *const prefixes[] = {"/", NULL};
static const struct route *const all_tables[] = {health_routes,
                                                 status_routes,
                                                 admin_app_routes,
                                                 admin_certificate_routes,
                                                 admin_deployment_routes,
                                                 admin_device_routes,
                                                 admin_device_import_routes,
                                                 admin_model_routes,
                                                 admin_delivery_routes,
                                                 admin_deadletter_routes,
                                                 admin_session_routes,
                                                 admin_signing_routes,
                                                 admin_group_routes,
                                                 admin_shadow_routes,
                                                 admin_command_routes,
                                                 admin_watch_routes,
                                                 NULL};
static const struct route *const health_tables[] = {health_routes, NULL};

struct http_api admin_socket_api = {
    .name = "admin", .prefixes = prefixes, .tables = all_tables, .enter = enter, .refuse = refuse};
struct http_api admin_http_api = {.name = "admin",
                                  .prefixes = prefixes,
                                  .tables = all_tables,
                                  .enter = enter_with_token,
                                  .refuse = refuse};
struct http_api admin_metrics_api = {
    .name = "metrics", .prefixes = prefixes, .tables = health_tables, .refuse = refuse};

void admin_set_context(struct admin_context *context)
{
    admin_socket_api.context = context;
    admin_http_api.context = context;
    admin_metrics_api.context = context;
}

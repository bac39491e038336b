#include "admin/delivery.h"

#include "admin/answer.h"
#include "core/app/subscription.h"
#include "core/deployment.h"
#include "push/push.h"

static struct push *push_of(const struct call *call)
{
    return admin_context_of(call)->push;
}

/* ---- which callback URL ---- */

struct which {
    struct str url, app_id;
};

/* The body: {"url":..., "app":...}, the application being optional. */
static bool read_which(struct call *call, struct which *which)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);

    which->url = json_get_str(body, "url");
    which->app_id = json_get_str(body, "app");
    if (!which->url.len || !subscription_url_is_url(which->url)) {
        admin_fail(call, 400, "url: the callback URL is needed, as it is subscribed");
        return false;
    }
    if (which->app_id.p && !str_is_id(which->app_id, 128)) {
        admin_fail(call, 400, "app: not an application's id");
        return false;
    }
    if (!core_is_ready(admin_core_of(call))) {
        admin_fail_error(call, ERR_INTERNAL);
        return false;
    }
    return true;
}

/* true: the answer has been given. */
static bool fails(struct call *call, enum error error, size_t count)
{
    if (error)
        admin_fail_error(call, error);
    else if (count == 0)
        admin_fail(call, 404,
                   "no application uses this callback URL, as far as this instance knows; name the "
                   "application");
    return error || count == 0;
}

/* ---- showing ---- */

static void list_endpoints(struct call *call)
{
    struct json_writer *w = call_json(call);

    json_object(w);
    json_key(w, "endpoints");
    push_write_endpoints(push_of(call), str_eq(call_query(call, "failing"), STR("true")), w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void answer_show(enum error error, const struct push_endpoint *endpoints, size_t count,
                        void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (fails(call, error, count))
        return;
    json_object(w);
    json_key(w, "endpoints");
    json_array(w);
    for (size_t i = 0; i < count; i++)
        push_write_endpoint(push_of(call), &endpoints[i], w);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void show_endpoint(struct call *call)
{
    struct which which;

    if (read_which(call, &which))
        push_show_endpoints(push_of(call), call_arena(call), which.app_id, which.url, answer_show,
                            call);
}

/* ---- probing, forgetting failures, throwing away ---- */

static void answer_probe(enum error error, const struct push_endpoint *endpoints, size_t count,
                         void *arg)
{
    struct call *call = arg;
    bool is_done = false;

    if (fails(call, error, count))
        return;
    for (size_t i = 0; i < count; i++)
        is_done |= endpoints[i].is_done;
    if (is_done)
        call_reply_empty(call, 204);
    else
        admin_fail(call, 409, "the callback URL is not invalid: there is nothing to probe");
}

static void probe_endpoint(struct call *call)
{
    struct which which;

    if (read_which(call, &which))
        push_probe_endpoints(push_of(call), call_arena(call), which.app_id, which.url, answer_probe,
                             call);
}

static void answer_reset(enum error error, const struct push_endpoint *endpoints, size_t count,
                         void *arg)
{
    (void)endpoints;
    if (!fails(arg, error, count))
        call_reply_empty(arg, 204);
}

static void reset_endpoint(struct call *call)
{
    struct which which;

    if (read_which(call, &which))
        push_reset_endpoints(push_of(call), call_arena(call), which.app_id, which.url, answer_reset,
                             call);
}

static void answer_drop(enum error error, const struct push_endpoint *endpoints, size_t count,
                        void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    int64_t dropped = 0;

    if (fails(call, error, count))
        return;
    for (size_t i = 0; i < count; i++)
        dropped += endpoints[i].parked;
    json_object(w);
    json_member_i64(w, "dropped", dropped);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void drop_parked(struct call *call)
{
    struct which which;

    if (read_which(call, &which))
        push_drop_parked(push_of(call), call_arena(call), which.app_id, which.url, answer_drop,
                         call);
}

/* ---- holding back ---- */

/* Here at once, elsewhere soon. */
static void switches_known(enum error error, const struct deployment_switches *switches, void *arg)
{
    struct call *call = arg;

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    push_take_switches(push_of(call), switches);
    call_reply_empty(call, 204);
}

static void switch_set(enum error error, void *arg)
{
    struct call *call = arg;

    if (error == ERR_BAD_REQUEST)
        admin_fail(call, 409, "too many callback URLs are paused already");
    else if (error)
        admin_fail_error(call, error);
    else
        deployment_read_switches(admin_core_of(call), switches_known, call);
}

static void switch_delivery(struct call *call, bool is_paused)
{
    struct which which = {STR_NONE, STR_NONE};

    if (call_body(call).len == 0 || read_which(call, &which))
        deployment_set_paused(admin_core_of(call), which.url, is_paused, switch_set, call);
}

static void pause_delivery(struct call *call)
{
    switch_delivery(call, true);
}

static void resume_delivery(struct call *call)
{
    switch_delivery(call, false);
}

const struct route admin_delivery_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/endpoints", 0, list_endpoints},
    {EVHTTP_REQ_POST, "/admin/v1/endpoints/show", 0, show_endpoint},
    {EVHTTP_REQ_POST, "/admin/v1/endpoints/probe", 0, probe_endpoint},
    {EVHTTP_REQ_POST, "/admin/v1/endpoints/reset", 0, reset_endpoint},
    {EVHTTP_REQ_POST, "/admin/v1/endpoints/drop-parked", 0, drop_parked},
    {EVHTTP_REQ_POST, "/admin/v1/delivery/pause", 0, pause_delivery},
    {EVHTTP_REQ_POST, "/admin/v1/delivery/resume", 0, resume_delivery},
    {0},
};

#include "admin/watches.h"

#include "admin/answer.h"
#include "base/clock.h"
#include "core/device/watch.h"
#include "push/push.h"

#define WAIT_MAX_S 60

static void fail(struct call *call, enum error error)
{
    switch (error) {
    case ERR_OVERLOADED:
        admin_fail(call, 429, "as many watches are open as there may be: watch.max_open");
        break;
    case ERR_NOT_FOUND:
        admin_fail(call, 404, "there is no such watch, or it has ended");
        break;
    case ERR_BAD_REQUEST:
        admin_fail(call, 409, "somebody waits for this watch already");
        break;
    case ERR_INTERNAL:
        admin_fail(call, 503, "Redis does not answer, or the server is stopping");
        break;
    default:
        admin_fail_error(call, error);
    }
}

/* ---- beginning and ending ---- */

static void answer_opened(enum error error, struct str watch_id, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "watch", watch_id);
    json_member_i64(w, "lifeSeconds", admin_core_of(call)->settings->watch_life_ms / 1000);
    json_object_end(w);
    call_reply_json(call, 201);
}

static void begin(struct call *call)
{
    struct str device_id = call_path_param(call, "deviceId");
    enum error error = watch_open(admin_core_of(call), device_id, answer_opened, call);

    call_audit(call, "admin", device_id);
    if (error)
        fail(call, error);
}

static void end(struct call *call)
{
    if (watch_close(admin_core_of(call), call_path_param(call, "watchId")))
        call_reply_empty(call, 204);
    else
        fail(call, ERR_NOT_FOUND);
}

/* ---- what happens ---- */

static void write_event(struct json_writer *w, const struct watch_event *event)
{
    const struct event_facts *facts = &event->facts;
    char time[CLOCK_MILLIS_SIZE];

    clock_format_millis(facts->time_ms, time);
    json_object(w);
    json_member_text(w, "time", time);
    json_member_text(w, "kind", event_kind_name(facts->kind));
    json_member_str(w, "device", facts->device_id);
    json_member_str(w, "gateway", facts->gateway_id);
    json_member_str(w, "application", facts->app_id);
    json_member_str(w, "event", event->id);
    json_member_raw(w, "facts", facts->payload);
    json_object_end(w);
}

/* Why nothing comes, although something may be stored; NULL: it comes. */
static const char *remark_of(const struct call *call, const struct watch_news *news)
{
    switch (news->state) {
    case WATCH_NO_REDIS:
        return "Redis does not answer";
    case WATCH_UNOWNED:
        return "nobody owns the device's partition: events come when an instance does";
    case WATCH_GOES:
        break;
    }
    return push_is_paused(admin_context_of(call)->push)
               ? "all deliveries are paused: events come when they go on"
               : NULL;
}

static void answer_news(enum error error, const struct watch_news *news, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        fail(call, error);
        return;
    }
    json_object(w);
    json_member_text(w, "remark", remark_of(call, news));
    json_member_bool(w, "interrupted", news->was_interrupted);
    json_member_i64(w, "dropped", (int64_t)news->dropped);
    json_key(w, "events");
    json_array(w);
    for (size_t i = 0; i < news->count; i++)
        write_event(w, &news->events[i]);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void wait_for_events(struct call *call)
{
    struct str text = call_query(call, "wait");
    uint64_t wait_s = 0;
    enum error error;

    if (text.p && !str_to_u64(text, WAIT_MAX_S, &wait_s)) {
        admin_fail(call, 400, "wait: seconds, 0 to 60");
        return;
    }
    error = watch_wait(admin_core_of(call), call_path_param(call, "watchId"),
                       (int64_t)wait_s * 1000, answer_news, call);
    if (error)
        fail(call, error);
}

const struct route admin_watch_routes[] = {
    {EVHTTP_REQ_POST, "/admin/v1/devices/{deviceId}/watches", 0, begin},
    {EVHTTP_REQ_GET, "/admin/v1/watches/{watchId}", 0, wait_for_events},
    {EVHTTP_REQ_DELETE, "/admin/v1/watches/{watchId}", 0, end},
    {0},
};

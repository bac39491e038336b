/*
 * From an event to deliveries: which subscriptions match, and one rendered body per notification
 * type, shared by all that want it.
 *
 * Subscriptions come from the cache. When it has none for the application, its events wait in order
 * for one reading; events that come meanwhile queue behind them, so order is kept.
 */
#include "push/delivery.h"

#include "base/log.h"
#include "base/mem.h"
#include "push/notification.h"
#include <stdlib.h>

#define AGAIN_MS 200

/* ---- the end of a delivery ---- */

static void event_less(struct push_event *event)
{
    if (--event->pending == 0)
        event_done(event);
}

void delivery_end(struct delivery *delivery)
{
    if (--delivery->body->references == 0)
        free(delivery->body);
    TAILQ_REMOVE(&delivery->event->deliveries, delivery, in_event);
    event_less(delivery->event);
    free(delivery);
}

/* ---- rendering and matching ---- */

struct dispatch {
    struct push_app *app;
    struct push_event *event;
    struct arena *arena;
    struct json_writer *writer;
    struct rendering rendering;
};

static struct body *render(struct dispatch *dispatch, const struct notification_type *type,
                           size_t part)
{
    struct str text;
    struct body *body;

    json_writer_reset(dispatch->writer);
    type->render(&dispatch->rendering, part, dispatch->writer);
    text = json_writer_text(dispatch->writer);
    body = xmalloc(sizeof(*body) + text.len + 1);
    body->references = 0;
    body->len = text.len;
    memcpy(body->text, text.p, text.len + 1);
    return body;
}

/* The payload is parsed only when somebody wants the event. */
static bool prepare(struct dispatch *dispatch)
{
    const struct push_event *event = dispatch->event;

    if (dispatch->arena)
        return dispatch->rendering.payload != NULL;
    dispatch->arena = arena_new();
    dispatch->writer = json_writer_new();
    dispatch->rendering = (struct rendering){
        .facts = &event->facts,
        .payload = json_parse(dispatch->arena, event->facts.payload, NULL),
        .has_old_status_set = event->push->core->settings->has_old_status_set,
        .sends_node_id = event->push->settings->sends_node_id,
    };
    if (!dispatch->rendering.payload)
        log_error("push", "event=%s state=dropped reason=unreadable", event->id);
    return dispatch->rendering.payload != NULL;
}

static void dispatch_part(struct dispatch *dispatch, const struct notification_type *type,
                          size_t part)
{
    const struct subscriptions *subscriptions = dispatch->app->subscriptions;
    struct body *body = render(dispatch, type, part);

    for (size_t i = 0; i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].type, str_of(type->name)))
            lane_add(dispatch->app, &subscriptions->list[i], dispatch->event, body,
                     (unsigned)part);
    }
    if (body->references == 0)
        free(body);
}

static bool is_wanted(const struct subscriptions *subscriptions, const char *type)
{
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].type, str_of(type)))
            return true;
    }
    return false;
}

static void dispatch_now(struct push_app *app, struct push_event *event)
{
    struct dispatch dispatch = {.app = app, .event = event};

    event->pending = 1; /* until all is matched: a delivery could end at once */
    for (const struct notification_type *type = notification_types; type->name; type++) {
        if (type->kind != event->facts.kind || !is_wanted(app->subscriptions, type->name) ||
            !prepare(&dispatch))
            continue;
        for (size_t part = 0, parts = type->parts(&dispatch.rendering); part < parts; part++)
            dispatch_part(&dispatch, type, part);
    }
    if (dispatch.arena) {
        json_writer_free(dispatch.writer);
        arena_free(dispatch.arena);
    }
    event_less(event);
}

/* ---- applications and their subscriptions ---- */

static struct push_app *app_of(struct push *push, struct str id)
{
    struct push_app *app;

    HASH_FIND(hh, push->apps, id.p, id.len, app);
    if (app)
        return app;
    app = xcalloc(1, sizeof(*app) + id.len + 1);
    memcpy(app->id, id.p, id.len);
    app->push = push;
    TAILQ_INIT(&app->waiting);
    TAILQ_INIT(&app->lanes);
    HASH_ADD(hh, push->apps, id[0], id.len, app);
    return app;
}

static void app_forget_if_idle(struct push_app *app)
{
    if (app->is_reading || !TAILQ_EMPTY(&app->waiting) || !TAILQ_EMPTY(&app->lanes))
        return;
    HASH_DEL(app->push->apps, app);
    subscriptions_release(app->subscriptions);
    if (app->again)
        event_free(app->again);
    free(app);
}

static bool is_same_list(const struct subscriptions *a, const struct subscriptions *b)
{
    if (!a || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!str_eq(a->list[i].id, b->list[i].id) || !str_eq(a->list[i].url, b->list[i].url))
            return false;
    }
    return true;
}

/* What waits follows its subscription: to its new callback, or away with it. */
static void follow_changes(struct push_app *app)
{
    struct lane *lane, *next;

    for (lane = TAILQ_FIRST(&app->lanes); lane; lane = next) {
        const struct subscription *subscription =
            subscriptions_find(app->subscriptions, lane->subscription_id);

        next = TAILQ_NEXT(lane, in_app);
        if (subscription)
            lane_retarget(lane, subscription->url);
        else
            lane_drop_all(lane, "unsubscribed");
    }
}

static void take_subscriptions(struct push_app *app, struct subscriptions *subscriptions)
{
    bool is_same = is_same_list(app->subscriptions, subscriptions);

    if (app->subscriptions != subscriptions) {
        subscriptions_hold(subscriptions);
        subscriptions_release(app->subscriptions);
        app->subscriptions = subscriptions;
    }
    if (!is_same)
        follow_changes(app);
}

static void read_subscriptions(struct push_app *app);

static void read_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_subscriptions(arg);
}

static void subscriptions_came(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct push_app *app = arg;
    struct push_event *event;

    if (error) {
        struct timeval pause = {0, AGAIN_MS * 1000};

        if (!app->again)
            app->again = evtimer_new(app->push->core->base, read_again, app);
        event_add(app->again, &pause);
        return;
    }
    app->is_reading = false;
    take_subscriptions(app, subscriptions);
    while ((event = TAILQ_FIRST(&app->waiting))) {
        TAILQ_REMOVE(&app->waiting, event, link);
        event->is_waiting = false;
        dispatch_now(app, event);
    }
    app_forget_if_idle(app);
}

static void read_subscriptions(struct push_app *app)
{
    app->is_reading = true;
    subscriptions_read(app->push->core, str_of(app->id), subscriptions_came, app);
}

void dispatch_event(struct push_event *event)
{
    struct push *push = event->push;
    struct push_app *app = app_of(push, event->facts.app_id);
    struct subscriptions *subscriptions = subscriptions_cached(push->core, str_of(app->id));

    if (app->is_reading || !subscriptions) {
        TAILQ_INSERT_TAIL(&app->waiting, event, link);
        event->is_waiting = true;
        if (!app->is_reading)
            read_subscriptions(app);
        return;
    }
    take_subscriptions(app, subscriptions);
    dispatch_now(app, event);
    app_forget_if_idle(app);
}

void dispatch_forget(struct push_event *event)
{
    struct push_app *app = app_of(event->push, event->facts.app_id);

    TAILQ_REMOVE(&app->waiting, event, link);
    event->is_waiting = false;
}

void dispatch_subscriptions_changed(struct push *push, struct str app_id)
{
    struct push_app *app;

    HASH_FIND(hh, push->apps, app_id.p, app_id.len, app);
    if (app && !app->is_reading)
        read_subscriptions(app);
}

void dispatch_refresh(struct push *push)
{
    struct push_app *app, *next;

    HASH_ITER (hh, push->apps, app, next) {
        if (!app->is_reading && !subscriptions_cached(push->core, str_of(app->id)))
            read_subscriptions(app);
    }
}

void dispatch_free(struct push *push)
{
    struct push_app *app, *next;

    HASH_ITER (hh, push->apps, app, next) {
        HASH_DEL(push->apps, app);
        subscriptions_release(app->subscriptions);
        if (app->again)
            event_free(app->again);
        free(app);
    }
}

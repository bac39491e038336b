/*
 * From an event to deliveries: which subscriptions match, and one rendered body per notification
 * type, shared by all that want it.
 *
 * Subscriptions come from the cache, and are read again before they are too old. When it has none for the application, its events wait in order
 * for one reading; events that come meanwhile queue behind them, so order is kept.
 */
#include "push/park.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "push/notification.h"
#include "push/scope.h"
#include <stdlib.h>

#define AGAIN_MS 200

/* ---- the end of a delivery ---- */

void delivery_end(struct delivery *delivery)
{
    if (delivery->is_parked_too && !delivery->event->is_forgotten)
        handover_take_back(delivery);
    if (--delivery->body->references == 0)
        free(delivery->body);
    TAILQ_REMOVE(&delivery->event->deliveries, delivery, in_event);
    delivery->event->is_begun = true;
    event_less(delivery->event);
    free(delivery);
}

/* ---- rendering and matching ---- */

/* What is needed for one event at a time, made once. */
struct dispatch {
    struct push_app *app;
    struct push_event *event;
    struct arena *arena;
    struct json_writer *writer;
    bool is_prepared;
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

    if (dispatch->is_prepared)
        return dispatch->rendering.payload != NULL;
    dispatch->is_prepared = true;
    dispatch->rendering = (struct rendering){
        .facts = &event->facts,
        .payload = json_parse(dispatch->arena, event->facts.payload, NULL),
        .has_old_status_set = event->push->core->settings->has_old_status_set,
        .sends_node_id = event->push->settings->sends_node_id,
        .tells_command_end = event->push->core->settings->command_tells_end,
    };
    if (!dispatch->rendering.payload) {
        log_error("push", "event=%.*s state=dropped reason=unreadable",
                  STR_ARG(event->origin_id));
        metric_add(M_DROPPED, 1, "unreadable", NULL, NULL);
    }
    return dispatch->rendering.payload != NULL;
}

/* To one subscription: into memory, or into a park. What comes out of a park goes back into it only if
 * its subscription leads elsewhere now. */
static void dispatch_to(struct dispatch *dispatch, const struct subscription *subscription,
                        const struct notification_type *type, const struct delivery_facts *which,
                        struct body **body)
{
    struct push_event *event = dispatch->event;
    struct push_app *app = dispatch->app;
    struct target *target = target_get(app->push, str_of(app->id), subscription->url);
    bool is_unparked = event->stream->park && event->stream->park->target == target;

    target->has_own |= event_is_own(event, which->subscription_id);
    if (!is_unparked && park_wants(target, event->stream->partition)) {
        park_add(target, event, which);
        return;
    }
    if (!*body)
        *body = render(dispatch, type, which->part);
    if (!lane_add(app, target, event, *body, which))
        metric_add(M_DROPPED, 1, "unreadable", NULL, NULL); /* no id is as long as that */
}

static void body_leave(struct body *body)
{
    if (body && body->references == 0)
        free(body);
}

static void dispatch_part(struct dispatch *dispatch, const struct notification_type *type,
                          size_t part)
{
    const struct subscriptions *subscriptions = dispatch->app->subscriptions;
    struct body *body = NULL;

    for (size_t i = 0; i < subscriptions->count; i++) {
        const struct subscription *subscription = &subscriptions->list[i];
        const struct delivery_facts which = {.subscription_id = subscription->id,
                                             .part = (unsigned)part};

        if (str_eq(subscription->type, str_of(type->name)))
            dispatch_to(dispatch, subscription, type, &which, &body);
    }
    body_leave(body);
}

static bool is_wanted(const struct subscriptions *subscriptions, const char *type)
{
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].type, str_of(type)))
            return true;
    }
    return false;
}

/* To the callback that the event names itself. which NULL: for the first time. */
static void dispatch_own(struct dispatch *dispatch, const struct delivery_facts *which)
{
    struct subscription own = {0};
    const struct notification_type *type =
        prepare(dispatch) ? notification_of_its_own(&dispatch->rendering, &own.id, &own.url) : NULL;
    const struct delivery_facts first = {.subscription_id = own.id};
    struct body *body = NULL;

    if (type && type->parts(&dispatch->rendering) > 0)
        dispatch_to(dispatch, &own, type, which ? which : &first, &body);
}

static void dispatch_all(struct dispatch *dispatch)
{
    if (dispatch->event->facts.kind == EVENT_COMMAND_STATUS)
        dispatch_own(dispatch, NULL);
    for (const struct notification_type *type = notification_types; type->name; type++) {
        if (type->kind != dispatch->event->facts.kind ||
            !is_wanted(dispatch->app->subscriptions, type->name) || !prepare(dispatch))
            continue;
        for (size_t part = 0, parts = type->parts(&dispatch->rendering); part < parts; part++)
            dispatch_part(dispatch, type, part);
    }
}

static const struct notification_type *type_of(const struct push_event *event,
                                               const struct subscription *subscription)
{
    const struct notification_type *type = notification_types;

    while (type->name && (type->kind != event->facts.kind ||
                          !str_eq(subscription->type, str_of(type->name))))
        type++;
    return type->name ? type : NULL;
}

static void dispatch_only(struct dispatch *dispatch, const struct delivery_facts *which)
{
    const struct subscription *subscription =
        subscriptions_find(dispatch->app->subscriptions, which->subscription_id);
    const struct notification_type *type =
        subscription ? type_of(dispatch->event, subscription) : NULL;
    struct body *body = NULL;

    if (event_is_own(dispatch->event, which->subscription_id)) {
        dispatch_own(dispatch, which);
        return;
    }
    if (!type)
        metric_add(M_DROPPED, 1, "unsubscribed", NULL, NULL);
    else if (prepare(dispatch) && which->part < type->parts(&dispatch->rendering))
        dispatch_to(dispatch, subscription, type, which, &body);
    body_leave(body);
}

static struct dispatch *dispatch_begin(struct push_app *app, struct push_event *event)
{
    struct dispatch *dispatch = app->push->dispatch;

    arena_reset(dispatch->arena);
    dispatch->app = app;
    dispatch->event = event;
    dispatch->is_prepared = false;
    return dispatch;
}

void dispatch_one(struct push_app *app, struct push_event *event, const struct delivery_facts *which)
{
    dispatch_only(dispatch_begin(app, event), which);
}

static void dispatch_now(struct push_app *app, struct push_event *event)
{
    struct dispatch *dispatch = dispatch_begin(app, event);

    event->pending = 1; /* until all is matched: a delivery could end at once */
    if (event->only.subscription_id.p)
        dispatch_only(dispatch, &event->only);
    else
        dispatch_all(dispatch);
    event_less(event);
}

/* ---- applications and their subscriptions ---- */

struct push_app *push_app_get(struct push *push, struct str id)
{
    struct push_app *app;

    HASH_FIND(hh, push->apps, id.p, id.len, app);
    if (app)
        return app;
    app = xcalloc(1, sizeof(*app) + id.len + 1);
    memcpy(app->id, id.p, id.len);
    app->push = push;
    TAILQ_INIT(&app->unparked);
    TAILQ_INIT(&app->waiting);
    TAILQ_INIT(&app->lanes);
    TAILQ_INIT(&app->targets);
    HASH_ADD(hh, push->apps, id[0], id.len, app);
    refresh_soon(app);
    return app;
}

static void app_free(struct push_app *app)
{
    refresh_leave(app);
    HASH_DEL(app->push->apps, app);
    subscriptions_release(app->subscriptions);
    subscriptions_release(app->fresh);
    share_free(app->breakers);
    if (app->again)
        event_free(app->again);
    free(app);
}

static struct push_event_list *waiting_list(const struct push_event *event, struct push_app *app)
{
    return event->stream->park ? &app->unparked : &app->waiting;
}

bool push_app_is_ready(const struct push_app *app)
{
    return TAILQ_EMPTY(&app->unparked) && TAILQ_EMPTY(&app->waiting);
}

bool push_app_may_use(const struct push_app *app, struct str url)
{
    const struct subscriptions *subscriptions = app->subscriptions;

    for (size_t i = 0; subscriptions && i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].url, url))
            return true;
    }
    return subscriptions == NULL;
}

bool push_app_leads_to(const struct push_app *app, struct str circuit_name)
{
    const struct subscriptions *subscriptions = app->subscriptions;

    for (size_t i = 0; subscriptions && i < subscriptions->count; i++) {
        if (scope_has(circuit_name, subscriptions->list[i].url))
            return true;
    }
    return subscriptions == NULL;
}

void push_app_leave(struct push_app *app)
{
    if (!app->is_reading && push_app_is_ready(app) && TAILQ_EMPTY(&app->lanes) &&
        TAILQ_EMPTY(&app->targets))
        app_free(app);
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
        if (lane->is_own)
            continue;
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
    if (!is_same) {
        target_find_leftovers(app);
        follow_changes(app);
    }
}

static void read_again(evutil_socket_t fd, short what, void *arg)
{
    struct push_app *app = arg;

    (void)fd;
    (void)what;
    app->is_reading = false;
    push_app_read(app);
}

static void reading_failed(struct push_app *app)
{
    struct timeval pause = {0, AGAIN_MS * 1000};

    if (!app->again)
        app->again = evtimer_new(app->push->core->base, read_again, app);
    event_add(app->again, &pause);
}

static void take_breakers(struct push_app *app)
{
    struct target *target;

    TAILQ_FOREACH (target, &app->targets, in_app) {
        if (circuit_is_first(&target->member))
            share_apply(target->member.circuit);
    }
}

void push_app_go_on(struct push_app *app)
{
    struct push_event *event;

    /* What comes out of a park was stored before anything that has not been dispatched yet. */
    while ((event = TAILQ_FIRST(&app->unparked)) || (event = TAILQ_FIRST(&app->waiting))) {
        TAILQ_REMOVE(waiting_list(event, app), event, link);
        event->is_waiting = false;
        dispatch_now(app, event);
    }
    if (app->is_outdated)
        push_app_read(app);
    push_app_leave(app);
}

/* The second of two answers. */
static void breakers_came(bool is_read, struct push_app *app)
{
    if (!is_read || !app->fresh) {
        reading_failed(app);
        return;
    }
    app->is_reading = false;
    refresh_join(app);
    take_breakers(app);
    take_subscriptions(app, app->fresh);
    subscriptions_release(app->fresh);
    app->fresh = NULL;
    share_forget_unused(app);
    push_app_go_on(app);
}

static void subscriptions_came(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct push_app *app = arg;

    subscriptions_release(app->fresh);
    app->fresh = error ? NULL : subscriptions_hold(subscriptions);
}

/* Both are sent at once, and answered in this order. */
void push_app_read(struct push_app *app)
{
    if (app->is_reading)
        return;
    app->is_outdated = app->is_refresh = false;
    app->is_reading = true;
    subscriptions_read(app->push->core, str_of(app->id), subscriptions_came, app);
    share_read(app, breakers_came);
}

void dispatch_event(struct push_event *event)
{
    struct push *push = event->push;
    struct push_app *app = push_app_get(push, event->facts.app_id);
    struct subscriptions *subscriptions = subscriptions_cached(push->core, str_of(app->id));

    if ((app->is_reading && !app->is_refresh) || !push_app_is_ready(app) || !subscriptions ||
        !app->breakers) {
        TAILQ_INSERT_TAIL(waiting_list(event, app), event, link);
        event->is_waiting = true;
        push_app_read(app);
        return;
    }
    take_subscriptions(app, subscriptions);
    dispatch_now(app, event);
    push_app_leave(app);
}

void dispatch_forget(struct push_event *event)
{
    struct push_app *app = push_app_get(event->push, event->facts.app_id);

    TAILQ_REMOVE(waiting_list(event, app), event, link);
    event->is_waiting = false;
}

void dispatch_subscriptions_changed(struct push *push, struct str app_id)
{
    struct push_app *app = push_app_get(push, app_id);

    app->is_outdated = app->is_reading; /* what is under way may not know of it */
    app->is_refresh = false;
    push_app_read(app);
}

struct dispatch *dispatch_new(void)
{
    struct dispatch *dispatch = xcalloc(1, sizeof(*dispatch));


    dispatch->arena = arena_new();
    dispatch->writer = json_writer_new();
    return dispatch;
}

void dispatch_free(struct push *push)
{
    struct push_app *app, *next;

    HASH_ITER (hh, push->apps, app, next)
        app_free(app);
    arena_free(push->dispatch->arena);
    json_writer_free(push->dispatch->writer);
    free(push->dispatch);
}

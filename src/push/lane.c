/*
 * A lane keeps the order of one device's notifications to one subscription: only its head is sent,
 * and while the head waits for its next attempt, so does the rest. Lanes are made with their first
 * delivery and freed with their last. With push.ordering = none there is nothing to keep.
 */
#include "push/park.h"

#include "base/mem.h"
#include "core/command/command.h"
#include <stdio.h>
#include <stdlib.h>

#define PART_MAX      16 /* " ." and a number */
#define ORDERING_NONE 1  /* push.ordering */

/* Subscription, NUL, device; where no order is wanted (push.ordering) each notification is alone in
 * its lane. 0: longer than any that is legal. */
static size_t make_key(const struct push *push, const struct push_event *event,
                       const struct delivery_facts *which, char key[LANE_KEY_MAX])
{
    struct str subscription_id = which->subscription_id, device_id = event->facts.device_id;
    size_t len = subscription_id.len + 1 + device_id.len;

    if (len > LANE_KEY_MAX - EVENT_ID_SIZE - PART_MAX)
        return 0;
    memcpy(key, subscription_id.p, subscription_id.len);
    key[subscription_id.len] = '\0';
    memcpy(key + subscription_id.len + 1, device_id.p, device_id.len);
    if (push->settings->ordering == ORDERING_NONE)
        len += (size_t)snprintf(key + len, LANE_KEY_MAX - len, " %.*s.%u",
                                STR_ARG(event->origin_id), which->part);
    return len;
}

bool event_is_own(const struct push_event *event, struct str subscription_id)
{
    return event->facts.kind == EVENT_COMMAND_STATUS && subscription_id.len == COMMAND_ID_DIGITS;
}

static struct lane *lane_new(struct push_app *app, const char *key, size_t key_len,
                             size_t subscription_id_len)
{
    struct lane *lane = xcalloc(1, sizeof(*lane) + key_len + 1);

    memcpy(lane->key, key, key_len);
    lane->key_len = key_len;
    lane->subscription_id = str_n(lane->key, subscription_id_len);
    lane->push = app->push;
    lane->app = app;
    TAILQ_INIT(&lane->deliveries);
    HASH_ADD_KEYPTR(hh, app->push->lanes, lane->key, key_len, lane);
    TAILQ_INSERT_TAIL(&app->lanes, lane, in_app);
    return lane;
}

static void lane_free(struct lane *lane)
{
    HASH_DEL(lane->push->lanes, lane);
    TAILQ_REMOVE(&lane->app->lanes, lane, in_app);
    if (lane->pause)
        event_free(lane->pause);
    free(lane);
}

void lane_make_ready(struct lane *lane, bool first)
{
    lane->state = LANE_READY;
    if (first)
        TAILQ_INSERT_HEAD(&lane->target->ready, lane, in_ready);
    else
        TAILQ_INSERT_TAIL(&lane->target->ready, lane, in_ready);
    target_wake(lane->target);
}

bool lane_add(struct push_app *app, struct target *target, struct push_event *event,
              struct body *body, const struct delivery_facts *which)
{
    char key[LANE_KEY_MAX];
    size_t key_len;
    struct delivery *delivery;
    struct lane *lane;

    key_len = make_key(app->push, event, which, key);
    if (!key_len)
        return false;
    HASH_FIND(hh, app->push->lanes, key, key_len, lane);
    if (!lane)
        lane = lane_new(app, key, key_len, which->subscription_id.len);
    lane->is_own = event_is_own(event, which->subscription_id);
    if (!lane->target)
        lane->target = target;
    delivery = xcalloc(1, sizeof(*delivery));
    delivery->event = event;
    delivery->body = body;
    delivery->lane = lane;
    delivery->part = which->part;
    delivery->attempts = which->attempts;
    delivery->refusals = which->refusals;
    event->pending++;
    body->references++;
    TAILQ_INSERT_TAIL(&event->deliveries, delivery, in_event);
    TAILQ_INSERT_TAIL(&lane->deliveries, delivery, in_lane);
    target_attach(lane->target, delivery);
    if (lane->state == LANE_EMPTY)
        lane_make_ready(lane, false);
    return true;
}

/* What is ready, unless nothing may be sent: then it is parked. */
static void go_on(struct lane *lane)
{
    if (target_holds_back(lane->target))
        lane_park(lane);
    else
        lane_make_ready(lane, false);
}

void lane_advance(struct lane *lane)
{
    lane->state = LANE_EMPTY;
    if (TAILQ_EMPTY(&lane->deliveries))
        lane_free(lane);
    else
        go_on(lane);
}

static void pause_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

void lane_pause(struct lane *lane, int64_t pause_ms)
{
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    if (!lane->pause)
        lane->pause = evtimer_new(lane->push->core->base, pause_over, lane);
    lane->state = LANE_PAUSED;
    event_add(lane->pause, &pause);
}

void lane_leave_queue(struct lane *lane)
{
    if (lane->state == LANE_READY)
        TAILQ_REMOVE(&lane->target->ready, lane, in_ready);
    else if (lane->state == LANE_PAUSED)
        event_del(lane->pause);
}

void lane_retarget(struct lane *lane, struct str url)
{
    struct target *old = lane->target;
    struct target *target;
    struct delivery *delivery;

    if (str_eq(str_of(old->url), url))
        return;
    target = target_get(lane->push, str_of(lane->app->id), url);
    if (lane->state != LANE_IN_FLIGHT)
        lane_leave_queue(lane);
    TAILQ_FOREACH (delivery, &lane->deliveries, in_lane) {
        target_detach(old, delivery);
        target_attach(target, delivery);
    }
    lane->target = target;
    if (lane->state != LANE_IN_FLIGHT)
        go_on(lane);
}

void lane_remove(struct lane *lane, struct delivery *delivery)
{
    target_detach(lane->target, delivery);
    TAILQ_REMOVE(&lane->deliveries, delivery, in_lane);
    delivery_end(delivery);
    if (TAILQ_EMPTY(&lane->deliveries)) {
        lane_leave_queue(lane);
        lane_free(lane);
    }
}

void lane_drop_all(struct lane *lane, const char *reason)
{
    bool is_in_flight = lane->state == LANE_IN_FLIGHT;
    struct delivery *delivery = TAILQ_FIRST(&lane->deliveries);

    if (is_in_flight)
        delivery = TAILQ_NEXT(delivery, in_lane); /* what is on the wire is not cut */
    while (delivery) {
        struct delivery *next = TAILQ_NEXT(delivery, in_lane);

        target_detach(lane->target, delivery);
        TAILQ_REMOVE(&lane->deliveries, delivery, in_lane);
        target_drop(delivery, reason);
        delivery = next;
    }
    if (!is_in_flight) {
        lane_leave_queue(lane);
        lane_free(lane);
    }
}

static bool is_in_its_park(const struct target *target, const struct push_event *event)
{
    return event->stream->park && event->stream->park->target == target;
}

/* What was unparked is still in Redis; it is written again only if more was tried meanwhile. */
static void park_delivery(struct target *target, struct delivery *delivery)
{
    struct push_event *event = delivery->event;
    const struct delivery_facts which = {delivery->lane->subscription_id, delivery->part,
                                         delivery->attempts, delivery->refusals};

    delivery->is_parked_too = false; /* but parked alone */
    if (event->is_forgotten)
        return; /* its partition's new owner has it */
    if (!is_in_its_park(target, event) || which.attempts != event->only.attempts)
        park_add(target, event, &which);
    if (is_in_its_park(target, event))
        event_leave_stream(event);
}

void lane_park(struct lane *lane)
{
    struct target *target = lane->target;
    struct delivery *delivery = TAILQ_FIRST(&lane->deliveries), *next;
    bool is_in_flight = lane->state == LANE_IN_FLIGHT;

    if (is_in_flight)
        delivery = TAILQ_NEXT(delivery, in_lane);
    for (; delivery; delivery = next) {
        next = TAILQ_NEXT(delivery, in_lane);
        park_delivery(target, delivery);
        target_detach(target, delivery);
        TAILQ_REMOVE(&lane->deliveries, delivery, in_lane);
        delivery_end(delivery);
    }
    if (is_in_flight)
        return;
    lane_leave_queue(lane);
    lane_free(lane);
}

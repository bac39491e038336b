/*
 * A target is one callback URL of one application: the deliveries that wait for it in memory, its
 * parks, and its place in the circuit that guards it. What may be sent when is in target_send.c, what a
 * result does in outcome.c.
 */
#include "push/park.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"
#include "push/scope.h"
#include <stdlib.h>

#define IDLE_KEEP_MS   60000 /* a target without deliveries is forgotten after this */
#define SLOW_SWEEPS    8     /* a queue that takes longer than this is a slow one's */

/* ---- life ---- */

static bool leads_nowhere(const struct target *target)
{
    return !push_app_may_use(target->app, str_of(target->url));
}

static void name_target(struct target *target, struct str key)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];

    memcpy(target->key, key.p, key.len);
    target->key_len = key.len;
    crypto_sha256_hex(key, digest);
    memcpy(target->digest, digest, TARGET_DIGEST_SIZE - 1);
}

static void join_circuit(struct target *target)
{
    struct push *push = target->push;
    char buffer[SCOPE_NAME_SIZE];
    struct str name = scope_name((enum breaker_scope)push->settings->breaker_scope_v1,
                                 str_of(target->url), buffer);

    circuit_join(circuit_get(push->circuits, target->app, str_of(target->app->id), name),
                 &target->member, target);
    if (circuit_is_last(&target->member)) /* it was just made */
        share_apply(target->member.circuit);
}

static struct target *target_new(struct push *push, struct str key, struct str app_id)
{
    struct target *target = xcalloc(1, sizeof(*target) + key.len + 1);
    struct url url;

    name_target(target, key);
    target->push = push;
    target->app = push_app_get(push, app_id);
    TAILQ_INSERT_TAIL(&target->app->targets, target, in_app);
    target->url = target->key + app_id.len + 1;
    target->shown_url = url_without_query(str_of(target->url));
    /* A URL in Redis was checked when it was stored; one that is not legal now is never sent to. */
    target->path = str_dup(url_parse(str_of(target->url), &url) ? url.target : STR(""));
    target->endpoint = endpoint_get(push->endpoints, app_id, str_of(target->url));
    target->idle_since_ms = clock_tick_ms();
    TAILQ_INIT(&target->ready);
    TAILQ_INIT(&target->deliveries);
    target->is_paused = switches_is_paused(push, str_of(target->url));
    target->is_left_over = leads_nowhere(target);
    HASH_ADD_KEYPTR(hh, push->targets, target->key, target->key_len, target);
    join_circuit(target);
    return target;
}

struct target *target_find(const struct push *push, struct str app_id, struct str url)
{
    char buffer[SCOPE_KEY_MAX];
    struct str key = scope_key(buffer, app_id, url);
    struct target *target;

    HASH_FIND(hh, push->targets, key.p, key.len, target);
    return target;
}

struct target *target_get(struct push *push, struct str app_id, struct str url)
{
    char buffer[SCOPE_KEY_MAX];
    struct str key = scope_key(buffer, app_id, url);
    struct target *target;

    HASH_FIND(hh, push->targets, key.p, key.len, target);
    return target ? target : target_new(push, key, str_n(key.p, app_id.len));
}

static void target_free(struct target *target)
{
    struct push_app *app = target->app;

    HASH_DEL(target->push->targets, target);
    circuit_leave(&target->member);
    endpoint_dequeue(target);
    endpoint_release(target->endpoint);
    free(target->path);
    TAILQ_REMOVE(&app->targets, target, in_app);
    free(target);
    push_app_leave(app);
}

static bool is_unparked(const struct target *target, const struct delivery *delivery)
{
    const struct park *park = delivery->event->stream->park;

    return park && park->target == target;
}

static bool is_busy(const struct target *target)
{
    return target->delivery_count > 0 || target->unparking_count > 0;
}

void target_unparking(struct target *target, size_t more, size_t less)
{
    target->push->busy_targets -= is_busy(target);
    target->push->unparking_count += more - less;
    target->unparking_count += more - less;
    target->push->busy_targets += is_busy(target);
}

void target_attach(struct target *target, struct delivery *delivery)
{
    TAILQ_INSERT_TAIL(&target->deliveries, delivery, in_target);
    target->push->busy_targets -= is_busy(target);
    target->delivery_count++;
    target->push->busy_targets += is_busy(target);
    target->push->queued_count++;
    target->unparked_count += is_unparked(target, delivery);
}

void target_detach(struct target *target, struct delivery *delivery)
{
    TAILQ_REMOVE(&target->deliveries, delivery, in_target);
    target->push->busy_targets -= is_busy(target);
    if (--target->delivery_count == 0)
        target->idle_since_ms = clock_tick_ms();
    target->push->busy_targets += is_busy(target);
    target->push->queued_count--;
    target->unparked_count -= is_unparked(target, delivery);
}

/* ---- limits ---- */

/* A fair share of a quarter of the window, so that slow targets don't keep what the others need (the
 * reader goes on below a half). */
static size_t fair_share(const struct target *target)
{
    const struct push *push = target->push;
    size_t most = (size_t)push->settings->queue_events;
    size_t targets = push->busy_targets + !is_busy(target);
    size_t share = (size_t)push->settings->window_events / 4 / targets;

    return share < 1 ? 1 : share < most ? share : most;
}

/* While there is plenty of room, as many as the settings say. */
size_t target_queue_limit(const struct target *target)
{
    const struct push *push = target->push;
    const struct push_settings *settings = push->settings;

    if ((int64_t)push->event_count * 4 < settings->window_events &&
        (int64_t)push->event_bytes * 4 < settings->window_bytes)
        return (size_t)settings->queue_events;
    return fair_share(target);
}

/* What is taken out must have a place when room gets scarce, or it would go back and forth; but a
 * fast one may have what it sends in a moment. */
size_t target_unpark_limit(const struct target *target)
{
    size_t share = fair_share(target);

    return target->pace > share ? target->pace : share;
}

/* ---- once in a while ---- */

/* Heads only: what stands behind an older head that is in flight expires after it. What may be
 * another's by now is not given up: that one may have delivered it. */
static void drop_expired(struct target *target)
{
    struct delivery *delivery, *next;
    int64_t now_ms = clock_tick_ms();

    for (delivery = TAILQ_FIRST(&target->deliveries); delivery; delivery = next) {
        struct lane *lane = delivery->lane;

        if (!target_is_expired(target->push, delivery->event))
            return;
        next = TAILQ_NEXT(delivery, in_target);
        if (lane->state != LANE_IN_FLIGHT && TAILQ_FIRST(&lane->deliveries) == delivery &&
            partition_may_send(delivery->event->stream->partition, now_ms))
            target_drop_head(lane, "expired");
    }
}

/* More than its share waits, and longer than a moment at the pace it has: that is parked. A fast one
 * may fill the window with its backlog, which costs the others that moment at most. */
static void park_if_slow(struct target *target)
{
    bool was_full = target->is_full;

    target->pace = (size_t)(target->delivered - target->delivered_before);
    target->delivered_before = target->delivered;
    target->is_full = target->delivery_count > target_queue_limit(target);
    if (target->is_full && was_full && target->delivery_count > target->pace * SLOW_SWEEPS)
        target_park_all(target);
}

void target_park_slow(struct push *push)
{
    struct target *target, *next;

    HASH_ITER (hh, push->targets, target, next)
        park_if_slow(target);
}

/* An invalid URL stays known until its probe time has come and nobody asked for it, unless no
 * subscription leads there any more. */
static bool is_to_be_forgotten(const struct target *target)
{
    int64_t idle_ms = clock_tick_ms() - target->idle_since_ms;
    enum breaker_state state = circuit_state(target->member.circuit);

    if (target->delivery_count > 0 || target->in_flight > 0 || target->park_count > 0 ||
        target->reads_under_way > 0)
        return false;
    if (target->is_left_over && !target->has_own && state == BREAKER_DOWN)
        return true;
    return idle_ms >= IDLE_KEEP_MS &&
           (state == BREAKER_UP || idle_ms >= target->push->settings->v1_cache_time_ms);
}

/* What others were told of it goes with the last that leads there. */
static void forget(struct target *target)
{
    struct circuit *circuit = target->member.circuit;

    if (circuit_is_last(&target->member) && circuit_state(circuit) == BREAKER_DOWN &&
        !push_app_leads_to(target->app, circuit_name(circuit)))
        share_up(circuit);
    target_free(target);
}

bool target_has_leftovers(const struct target *target)
{
    if (!target->is_left_over || target->unread_parks == 0)
        return false;
    for (uint32_t i = 0; i < target->push->core->partition_count; i++) {
        const struct park *park = target->parks[i];

        if (park && park->has_unread && !park->is_looked_through)
            return true;
    }
    return false;
}

static void find_leftovers(struct target *target)
{
    bool was_left_over = target->is_left_over;

    target->is_left_over = leads_nowhere(target);
    if (target->is_left_over == was_left_over)
        return;
    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        if (target->parks[i])
            target->parks[i]->is_looked_through = false;
    }
}

void target_find_leftovers(struct push_app *app)
{
    struct target *target;

    app->has_leftovers = false;
    TAILQ_FOREACH (target, &app->targets, in_app) {
        find_leftovers(target);
        app->has_leftovers |= target_has_leftovers(target);
    }
    TAILQ_FOREACH (target, &app->targets, in_app)
        unpark_wake(target);
}

static void count_leftovers(struct push *push)
{
    struct push_app *app;
    struct target *target;

    for (app = push->apps; app; app = app->hh.next)
        app->has_leftovers = false;
    for (target = push->targets; target; target = target->hh.next)
        target->app->has_leftovers |= target_has_leftovers(target);
}

void target_sweep(struct push *push)
{
    struct target *target, *next;

    count_leftovers(push);
    HASH_ITER (hh, push->targets, target, next) {
        drop_expired(target);
        unpark_sweep(target);
        park_sweep(target);
        if (circuit_is_first(&target->member))
            circuit_settle(target->member.circuit);
        if (is_to_be_forgotten(target))
            forget(target);
        else
            target_wake(target);
    }
}

static void free_lane(struct push *push, struct lane *lane)
{
    struct delivery *delivery;

    while ((delivery = TAILQ_FIRST(&lane->deliveries))) {
        TAILQ_REMOVE(&lane->deliveries, delivery, in_lane);
        if (--delivery->body->references == 0)
            free(delivery->body);
        if (delivery->event->is_forgotten && --delivery->event->pending == 0)
            free(delivery->event); /* the others go with their stream */
        free(delivery);
    }
    HASH_DEL(push->lanes, lane);
    TAILQ_REMOVE(&lane->app->lanes, lane, in_app);
    if (lane->pause)
        event_free(lane->pause);
    free(lane);
}

void target_free_all(struct push *push)
{
    struct lane *lane, *next_lane;
    struct target *target, *next;

    HASH_ITER (hh, push->lanes, lane, next_lane)
        free_lane(push, lane);
    HASH_ITER (hh, push->targets, target, next) {
        park_free_all(target);
        target_free(target);
    }
}

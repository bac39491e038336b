/*
 * A target is one callback URL of one application: the deliveries that wait for it, and its breaker.
 * Here are the rules of what an attempt's result does: who tries again and when, what is given up,
 * when the URL becomes invalid, and how it comes back.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/url.h"
#include "push/result.h"
#include <stdio.h>
#include <stdlib.h>

#define LEASE_DOUBT_MS 200
#define IDLE_KEEP_MS  60000 /* a target without deliveries is forgotten after this */
#define DROP_LOG_MS   60000 /* one line per URL and minute */

/* ---- life ---- */

static void wake_up(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    target_wake(arg);
}

static struct target *target_new(struct push *push, const char *key, size_t key_len,
                                 size_t app_id_len)
{
    struct target *target = xcalloc(1, sizeof(*target) + key_len + 1);
    struct url url;

    memcpy(target->key, key, key_len);
    target->key_len = key_len;
    target->push = push;
    target->url = target->key + app_id_len + 1;
    /* A URL in Redis was checked when it was stored; one that is not legal now is never sent to. */
    target->path = url_parse(str_of(target->url), &url) ? url.target : STR_NONE;
    target->endpoint = endpoint_get(push->endpoints, str_of(target->url));
    target->idle_since_ms = clock_tick_ms();
    breaker_init(&target->breaker);
    push->breaker_counts[BREAKER_UP]++;
    TAILQ_INIT(&target->ready);
    TAILQ_INIT(&target->deliveries);
    target->wake = evtimer_new(push->core->base, wake_up, target);
    HASH_ADD_KEYPTR(hh, push->targets, target->key, key_len, target);
    return target;
}

struct target *target_get(struct push *push, struct str app_id, struct str url)
{
    char key[TARGET_KEY_MAX];
    size_t key_len = app_id.len + 1 + url.len;
    struct target *target;

    /* Both were bounded when they were stored. */
    if (key_len > sizeof(key))
        url.len = sizeof(key) - app_id.len - 1, key_len = sizeof(key);
    memcpy(key, app_id.p, app_id.len);
    key[app_id.len] = ' ';
    memcpy(key + app_id.len + 1, url.p, url.len);
    HASH_FIND(hh, push->targets, key, key_len, target);
    return target ? target : target_new(push, key, key_len, app_id.len);
}

static void target_free(struct target *target)
{
    HASH_DEL(target->push->targets, target);
    target->push->breaker_counts[target->breaker.state]--;
    endpoint_dequeue(target);
    endpoint_release(target->endpoint);
    event_free(target->wake);
    free(target);
}

void target_attach(struct target *target, struct delivery *delivery)
{
    TAILQ_INSERT_TAIL(&target->deliveries, delivery, in_target);
    target->delivery_count++;
    target->push->queued_count++;
}

void target_detach(struct target *target, struct delivery *delivery)
{
    TAILQ_REMOVE(&target->deliveries, delivery, in_target);
    target->delivery_count--;
    target->push->queued_count--;
    target->idle_since_ms = clock_tick_ms();
}

/* ---- breaker ---- */

static void note_state(struct target *target, enum breaker_state before)
{
    enum breaker_state now = target->breaker.state;

    if (now == before)
        return;
    target->push->breaker_counts[before]--;
    target->push->breaker_counts[now]++;
    if (now == BREAKER_DOWN && before != BREAKER_PROBE)
        log_warn("push", "url=%s state=invalid failures=%lld reason=%s waiting=%zu", target->url,
                 (long long)target->breaker.fails, target->last_error, target->delivery_count);
    else if (now == BREAKER_UP || (now == BREAKER_DRAIN && before != BREAKER_UP))
        log_info("push", "url=%s state=%s waiting=%zu", target->url, breaker_state_name(now),
                 target->delivery_count);
}

static void schedule_wake(struct target *target, int64_t at_ms)
{
    int64_t pause_ms = at_ms - clock_tick_ms();
    struct timeval pause = {0, 0};

    if (pause_ms > 0)
        pause = (struct timeval){pause_ms / 1000, pause_ms % 1000 * 1000};
    event_add(target->wake, &pause);
}

void target_wake(struct target *target)
{
    if (!TAILQ_EMPTY(&target->ready))
        endpoint_enqueue(target);
}

/* The oldest head among those that wait: what a probe is made with. Lanes whose head pauses after
 * its last attempt count too, since a probe is that attempt. */
static struct lane *oldest_lane(struct target *target)
{
    struct delivery *delivery;

    TAILQ_FOREACH (delivery, &target->deliveries, in_target) {
        struct lane *lane = delivery->lane;

        if (lane->state != LANE_IN_FLIGHT && TAILQ_FIRST(&lane->deliveries) == delivery)
            return lane;
    }
    return NULL;
}

static bool is_expired(const struct target *target, const struct delivery *delivery)
{
    return clock_now_ms() - delivery->event->facts.time_ms >=
           target->push->settings->v1_cache_time_ms;
}

/* false: the lane left the ready ones. */
static bool may_send(struct target *target, struct lane *lane, int64_t now_ms)
{
    const struct delivery *head = TAILQ_FIRST(&lane->deliveries);

    if (is_expired(target, head)) {
        target_drop_head(lane, "expired");
        return false;
    }
    if (!partition_may_send(head->event->partition, now_ms)) {
        lane_leave_queue(lane); /* until the lease is known to be ours */
        lane_pause(lane, LEASE_DOUBT_MS);
        return false;
    }
    return true;
}

struct lane *target_take_lane(struct target *target)
{
    const struct push_settings *settings = target->push->settings;
    int64_t now_ms = clock_tick_ms();
    enum breaker_state before = target->breaker.state;
    struct lane *lane;

    while ((lane = TAILQ_FIRST(&target->ready)) && !may_send(target, lane, now_ms))
        ;
    if (!lane)
        return NULL;
    if (now_ms < target->paused_until_ms) {
        schedule_wake(target, target->paused_until_ms);
        return NULL;
    }
    if (!breaker_allows(&target->breaker, settings, now_ms, target->in_flight)) {
        int64_t next_ms = breaker_next_ms(&target->breaker, settings, now_ms);

        if (next_ms)
            schedule_wake(target, next_ms);
        return NULL;
    }
    if (before == BREAKER_DOWN)
        lane = oldest_lane(target);
    if (!lane)
        return NULL;
    breaker_sent(&target->breaker, now_ms);
    note_state(target, before);
    lane_leave_queue(lane);
    lane->state = LANE_IN_FLIGHT;
    target->in_flight++;
    target->push->in_flight_count++;
    return lane;
}

/* ---- giving up ---- */

static void log_drop(struct target *target, const char *reason)
{
    int64_t now_ms = clock_tick_ms();

    target->dropped_since_log++;
    if (target->last_drop_log_ms && now_ms - target->last_drop_log_ms < DROP_LOG_MS)
        return;
    log_warn("push", "url=%s dropped=%llu reason=%s error=%s", target->url,
             (unsigned long long)target->dropped_since_log, reason, target->last_error);
    target->last_drop_log_ms = now_ms;
    target->dropped_since_log = 0;
}

void target_drop(struct delivery *delivery, const char *reason)
{
    metric_add(M_DROPPED, 1, reason, NULL, NULL);
    log_drop(delivery->lane->target, reason);
    delivery_end(delivery);
}

static struct delivery *take_head(struct lane *lane)
{
    struct delivery *head = TAILQ_FIRST(&lane->deliveries);

    TAILQ_REMOVE(&lane->deliveries, head, in_lane);
    target_detach(lane->target, head);
    return head;
}

void target_drop_head(struct lane *lane, const char *reason)
{
    struct delivery *head = take_head(lane);

    lane_leave_queue(lane);
    target_drop(head, reason);
    lane_advance(lane);
}

/* ---- what a result does ---- */

static const struct delivery *head_of(const struct lane *lane)
{
    return TAILQ_FIRST(&lane->deliveries);
}

static void note_error(struct target *target, const struct http_result *result)
{
    if (result->outcome == HTTP_ANSWERED)
        snprintf(target->last_error, sizeof(target->last_error), "status %d", result->status);
    else
        snprintf(target->last_error, sizeof(target->last_error), "%s",
                 result->reason ? result->reason : "no answer");
}

static void delivered(struct target *target, struct lane *lane)
{
    struct delivery *head = take_head(lane);
    double age_s = (double)(clock_now_ms() - head->event->facts.time_ms) / 1000.0;

    metric_observe(M_PUSH_LATENCY, age_s, NULL);
    delivery_end(head);
    breaker_succeeded(&target->breaker, target->delivery_count == 0);
    lane_advance(lane);
}

static double random_fraction(void)
{
    return (double)random() / (double)RAND_MAX;
}

static void refused(struct lane *lane)
{
    struct delivery *head = TAILQ_FIRST(&lane->deliveries);
    int64_t pause_ms = result_refused_pause_ms(lane->push->settings, ++head->refusals);

    if (pause_ms >= 0) {
        metric_inc(M_RETRIES);
        lane_pause(lane, pause_ms);
        return;
    }
    take_head(lane);
    target_drop(head, "refused");
    lane_advance(lane);
}

static void not_delivered(struct target *target, struct lane *lane, enum result_class class,
                          const struct http_result *result)
{
    const struct push_settings *settings = target->push->settings;
    int64_t now_ms = clock_tick_ms();

    note_error(target, result);
    if (result_counts(class, result))
        breaker_failed(&target->breaker, settings, now_ms);
    else
        breaker_neutral(&target->breaker, settings, now_ms);
    if (class == RESULT_REFUSED) {
        refused(lane);
        return;
    }
    metric_inc(M_RETRIES);
    if (class == RESULT_THROTTLE) {
        target->paused_until_ms = now_ms + result_throttle_ms(result, settings);
        lane_pause(lane, result_throttle_ms(result, settings));
    } else {
        lane_pause(lane, result_retry_pause_ms(settings, head_of(lane)->attempts,
                                               random_fraction()));
    }
}

/* The lane was moved to another callback while this attempt ran: it goes on there. */
static bool was_moved(const struct target *target, const struct lane *lane)
{
    return lane->target != target;
}

static void attempt_ended(struct target *target)
{
    struct push *push = target->push;

    target->in_flight--;
    if (--push->in_flight_count == 0 && push->is_stopping)
        event_active(push->stop_check, EV_TIMEOUT, 0);
}

void target_attempt_done(struct target *target, struct lane *lane,
                         const struct http_result *result)
{
    const struct push_settings *settings = target->push->settings;
    enum result_class class = result_classify(result, settings);
    enum breaker_state before = target->breaker.state;

    attempt_ended(target);
    metric_add(M_PUSH_REQUESTS, 1, result_class_name(class), NULL, NULL);
    if (class == RESULT_OK) {
        delivered(target, lane);
    } else if (head_of(lane)->event->is_forgotten) {
        breaker_neutral(&target->breaker, settings, clock_tick_ms());
        delivery_end(take_head(lane)); /* the partition's new owner sends it */
        lane_advance(lane);
    } else if (was_moved(target, lane)) {
        if (result_counts(class, result))
            breaker_failed(&target->breaker, settings, clock_tick_ms());
        lane_make_ready(lane, true);
    } else {
        not_delivered(target, lane, class, result);
    }
    note_state(target, before);
    target_wake(target);
}

void target_attempt_postponed(struct target *target, struct lane *lane, int64_t pause_ms)
{
    enum breaker_state before = target->breaker.state;

    attempt_ended(target);
    if (before == BREAKER_PROBE) /* it was not made: the next one is due at once */
        target->breaker.state = BREAKER_DOWN;
    note_state(target, before);
    if (pause_ms)
        lane_pause(lane, pause_ms);
    else
        lane_make_ready(lane, true);
}

/* ---- once in a while ---- */

/* Heads only: what stands behind an older head that is in flight expires after it. */
static void drop_oldest_heads(struct target *target, const char *reason,
                              bool (*goes)(const struct target *, const struct delivery *))
{
    struct delivery *delivery, *next;

    for (delivery = TAILQ_FIRST(&target->deliveries); delivery; delivery = next) {
        struct lane *lane = delivery->lane;

        if (!goes(target, delivery))
            return;
        next = TAILQ_NEXT(delivery, in_target);
        if (lane->state != LANE_IN_FLIGHT && head_of(lane) == delivery)
            target_drop_head(lane, reason);
    }
}

static bool is_too_many(const struct target *target, const struct delivery *delivery)
{
    (void)delivery;
    return target->breaker.state != BREAKER_UP &&
           (int64_t)target->delivery_count > target->push->settings->queue_events;
}

void target_sweep(struct push *push)
{
    struct target *target, *next;
    int64_t now_ms = clock_tick_ms();

    HASH_ITER (hh, push->targets, target, next) {
        drop_oldest_heads(target, "expired", is_expired);
        drop_oldest_heads(target, "queue_full", is_too_many);
        if (target->delivery_count > 0 || target->in_flight > 0) {
            target_wake(target);
            continue;
        }
        /* An invalid URL stays known until its probe time has come and nobody asked for it. */
        if (now_ms - target->idle_since_ms >= IDLE_KEEP_MS &&
            (target->breaker.state == BREAKER_UP ||
             now_ms - target->idle_since_ms >= push->settings->v1_cache_time_ms))
            target_free(target);
    }
}

void target_free_all(struct push *push)
{
    struct lane *lane, *next_lane;
    struct target *target, *next;

    HASH_ITER (hh, push->lanes, lane, next_lane) {
        struct delivery *delivery;

        while ((delivery = TAILQ_FIRST(&lane->deliveries))) {
            TAILQ_REMOVE(&lane->deliveries, delivery, in_lane);
            if (--delivery->body->references == 0)
                free(delivery->body);
            if (delivery->event->is_forgotten && --delivery->event->pending == 0)
                free(delivery->event); /* the others go with their partition */
            free(delivery);
        }
        HASH_DEL(push->lanes, lane);
        if (lane->pause)
            event_free(lane->pause);
        free(lane);
    }
    HASH_ITER (hh, push->targets, target, next)
        target_free(target);
}

static void write_target(const struct target *target, struct json_writer *w)
{
    const struct delivery *oldest = TAILQ_FIRST(&target->deliveries);
    int64_t age_ms = oldest ? clock_now_ms() - oldest->event->facts.time_ms : 0;

    json_object(w);
    json_member_text(w, "url", target->url);
    json_member_str(w, "application", str_split(str_of(target->key), ' ', &(struct str){0}));
    json_member_text(w, "state", breaker_state_name(target->breaker.state));
    json_member_i64(w, "failures", target->breaker.fails);
    json_member_i64(w, "waiting", (int64_t)target->delivery_count - target->in_flight);
    json_member_i64(w, "inFlight", target->in_flight);
    json_member_i64(w, "oldestSeconds", age_ms / 1000);
    json_member_text(w, "lastError", target->last_error);
    json_object_end(w);
}

void push_write_endpoints(const struct push *push, bool is_failing_only, struct json_writer *w)
{
    const struct target *target;

    json_array(w);
    for (target = push->targets; target; target = target->hh.next) {
        if (!is_failing_only || target->breaker.state != BREAKER_UP || target->breaker.fails > 0)
            write_target(target, w);
    }
    json_array_end(w);
}

void target_write_status(struct push *push, struct json_writer *w)
{
    for (int state = 0; state < BREAKER_STATES; state++)
        json_member_i64(w, breaker_state_name((enum breaker_state)state),
                        (int64_t)push->breaker_counts[state]);
}

/*
 * What an attempt's result does: who tries again and when, what is given up, when the URL becomes
 * invalid, and how it comes back.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "core/deadletter.h"
#include <stdlib.h>

#define DROP_LOG_MS 60000 /* one line per URL and minute */

/* ---- giving up ---- */

static void log_drop(struct target *target, const char *reason)
{
    int64_t now_ms = clock_tick_ms();

    target->dropped_since_log++;
    if (target->last_drop_log_ms && now_ms - target->last_drop_log_ms < DROP_LOG_MS)
        return;
    log_warn("push", "url=%.*s dropped=%llu reason=%s error=%s", STR_ARG(target->shown_url),
             (unsigned long long)target->dropped_since_log, reason, target_last_error(target));
    target->last_drop_log_ms = now_ms;
    target->dropped_since_log = 0;
}

bool target_is_expired(const struct push *push, const struct push_event *event)
{
    return clock_now_ms() - event->facts.time_ms >= push->settings->v1_cache_time_ms;
}

/* For a look, and another try. */
static void keep_letter(const struct target *target, const struct push_event *event,
                        const struct delivery_facts *which, const char *reason)
{
    const struct push *push = target->push;

    if (push->settings->deadletter_entries == 0)
        return;
    deadletter_keep(push->core,
                    &(struct deadletter){
                        .reason = str_of(reason),
                        .url = str_of(target->url),
                        .subscription_id = which->subscription_id,
                        .last_error = str_of(target_last_error(target)),
                        .origin_id = event->origin_id,
                        .part = which->part,
                        .attempts = which->attempts,
                        .dropped_ms = clock_now_ms(),
                        .event = event->facts,
                    },
                    push->settings->deadletter_entries);
}

static void count_drop(struct target *target, const struct push_event *event,
                       const struct delivery_facts *which, const char *reason)
{
    metric_add(M_DROPPED, 1, reason, NULL, NULL);
    target->dropped++;
    log_drop(target, reason);
    keep_letter(target, event, which, reason);
}

void target_drop(struct delivery *delivery, const char *reason)
{
    const struct delivery_facts which = {delivery->lane->subscription_id, delivery->part,
                                         delivery->attempts, delivery->refusals};

    count_drop(delivery->lane->target, delivery->event, &which, reason);
    delivery_end(delivery);
}

void target_drop_parked(struct target *target, struct push_event *event, const char *reason)
{
    count_drop(target, event, &event->only, reason);
    event->is_given_up = true;
    target->given_up_bytes += (int64_t)event->bytes;
    event_done(event);
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

static void delivered(struct target *target, struct lane *lane)
{
    struct delivery *head = take_head(lane);
    int64_t age_ms = clock_now_ms() - head->event->facts.time_ms;

    metric_observe(M_PUSH_LATENCY, (double)age_ms / 1000.0, NULL);
    latency_add(&target->latency, age_ms);
    target->delivered++;
    delivery_end(head);
    circuit_succeeded(&target->member);
    lane_advance(lane);
}

static double random_fraction(void)
{
    return (double)random() / (double)RAND_MAX;
}

/* The head is to be tried again, in a while; if nothing may be sent at all, it is parked with what
 * stands behind it. */
static void try_again(struct lane *lane, int64_t pause_ms)
{
    metric_inc(M_RETRIES);
    if (target_holds_back(lane->target))
        lane_park(lane);
    else if (pause_ms > 0)
        lane_pause(lane, pause_ms);
    else
        lane_make_ready(lane, true);
}

static void refused(struct lane *lane)
{
    struct delivery *head = TAILQ_FIRST(&lane->deliveries);
    int64_t pause_ms = result_refused_pause_ms(lane->push->settings, ++head->refusals);

    if (pause_ms < 0 && !partition_may_send(head->event->stream->partition, clock_tick_ms()))
        pause_ms = 0; /* perhaps another has it, and goes on with it */
    if (pause_ms >= 0) {
        try_again(lane, pause_ms);
        return;
    }
    take_head(lane);
    target_drop(head, "refused");
    lane_advance(lane);
}

static void count_failure(struct target *target, enum result_class class,
                          const struct http_result *result)
{
    result_write(result, target->last_error);
    if (result_counts(class, result))
        circuit_failed(&target->member, target->last_error);
    else
        circuit_neutral(&target->member, target->last_error, class == RESULT_REFUSED);
}

static void not_delivered(struct target *target, struct lane *lane, enum result_class class,
                          const struct http_result *result)
{
    const struct push_settings *settings = target->push->settings;

    if (class == RESULT_REFUSED) {
        refused(lane);
    } else if (class == RESULT_THROTTLE) {
        int64_t pause_ms = result_throttle_ms(result, settings);

        circuit_pause(target->member.circuit, pause_ms);
        try_again(lane, pause_ms);
    } else {
        try_again(lane, result_retry_pause_ms(settings, head_of(lane)->attempts,
                                              random_fraction()));
    }
}

/* The lane was moved to another callback while this attempt ran: it goes on there. */
static bool was_moved(const struct target *target, const struct lane *lane)
{
    return lane->target != target;
}

/* While this attempt ran. */
static bool is_unsubscribed(const struct lane *lane)
{
    const struct subscriptions *subscriptions = lane->app->subscriptions;

    return !lane->is_own && subscriptions &&
           !subscriptions_find(subscriptions, lane->subscription_id);
}

static void attempt_ended(struct target *target, struct lane *lane)
{
    struct partition *partition = head_of(lane)->event->stream->partition;

    lane->state = LANE_EMPTY; /* not in flight, and not yet anything else */
    target->in_flight--;
    target->push->in_flight_count--;
    partition->in_flight--;
    owner_partition_moved(partition);
}

void target_attempt_done(struct target *target, struct lane *lane,
                         const struct http_result *result)
{
    enum result_class class = result_classify(result, target->push->settings);

    attempt_ended(target, lane);
    metric_add(M_PUSH_REQUESTS, 1, result_class_name(class), NULL, NULL);
    if (class == RESULT_OK) {
        delivered(target, lane);
    } else {
        count_failure(target, class, result);
        if (head_of(lane)->event->is_forgotten) {
            delivery_end(take_head(lane)); /* the partition's new owner sends it */
            lane_advance(lane);
        } else if (is_unsubscribed(lane)) {
            lane_drop_all(lane, "unsubscribed");
        } else if (was_moved(target, lane)) {
            try_again(lane, 0);
        } else {
            not_delivered(target, lane, class, result);
        }
    }
    circuit_follow(target->member.circuit);
    target_wake(target);
}

void target_attempt_postponed(struct target *target, struct lane *lane, int64_t pause_ms)
{
    attempt_ended(target, lane);
    circuit_postponed(&target->member);
    circuit_follow(target->member.circuit);
    if (is_unsubscribed(lane))
        lane_drop_all(lane, "unsubscribed");
    else if (pause_ms)
        lane_pause(lane, pause_ms);
    else
        lane_make_ready(lane, true);
}

/*
 * What may be sent to a target, and when: its side of the circuit that guards it.
 */
#include "push/park.h"

#include "base/clock.h"
#include "base/log.h"

#define LEASE_DOUBT_MS 200

/* ---- now, or not ---- */

bool target_holds_back(const struct target *target)
{
    return target->is_paused ||
           circuit_holds_back(&target->member,
                              target->unread_parks > 0 || target->delivery_count > 0);
}

const char *target_last_error(const struct target *target)
{
    const struct circuit *circuit = target->member.circuit;
    enum breaker_state state = circuit_state(circuit);

    return state == BREAKER_DOWN || state == BREAKER_PROBE || !target->last_error[0]
               ? circuit_reason(circuit)
               : target->last_error;
}

void target_wake(struct target *target)
{
    if (circuit_state(target->member.circuit) == BREAKER_DOWN) {
        circuit_offer(&target->member);
        return;
    }
    if (!TAILQ_EMPTY(&target->ready))
        endpoint_enqueue(target);
    unpark_wake(target);
}

/* From the application's lanes, since a lane that goes takes several deliveries along. */
void target_park_all(struct target *target)
{
    struct lane *lane, *next;

    for (lane = TAILQ_FIRST(&target->app->lanes); lane; lane = next) {
        next = TAILQ_NEXT(lane, in_app);
        if (lane->target == target)
            lane_park(lane);
    }
}

void target_set_paused(struct target *target, bool is_paused)
{
    if (target->is_paused == is_paused)
        return;
    target->is_paused = is_paused;
    log_info("push", "url=%.*s deliveries=%s", STR_ARG(target->shown_url),
             is_paused ? "paused" : "resumed");
    if (is_paused)
        target_park_all(target);
    else
        target_wake(target);
}

/* ---- what its circuit asks ---- */

static void wake(void *user)
{
    target_wake(user);
}

static bool can_probe(const void *user)
{
    const struct target *target = user;
    const struct push *push = target->push;

    return !target->is_paused && !push->is_stopping && !push->is_paused &&
           (!TAILQ_EMPTY(&target->ready) || target->unread_parks > 0);
}

/* 0: what is parked has not been looked at. */
static int64_t oldest_ms(const void *user)
{
    const struct target *target = user;
    const struct delivery *first = TAILQ_FIRST(&target->deliveries);
    int64_t parked_ms = park_oldest_ms(target);

    return first && first->event->facts.time_ms < parked_ms ? first->event->facts.time_ms : parked_ms;
}

static void probe(void *user)
{
    struct target *target = user;

    if (!TAILQ_EMPTY(&target->ready))
        endpoint_enqueue(target);
    else
        unpark_probe(target);
}

static bool is_settled(const void *user)
{
    const struct target *target = user;

    return target->unread_parks == 0 && target->unparked_count == 0;
}

static void count(const void *user, size_t *waiting, int64_t *parked)
{
    const struct target *target = user;

    *waiting += target->delivery_count;
    *parked += target->parked_entries;
}

static void rest(struct circuit *circuit)
{
    struct lane *lane, *next;

    for (lane = TAILQ_FIRST(&circuit_app(circuit)->lanes); lane; lane = next) {
        next = TAILQ_NEXT(lane, in_app);
        if (lane->target->member.circuit == circuit)
            lane_park(lane);
    }
}

static int64_t instance_count(void *arg)
{
    return (int64_t)owner_instance_count(arg);
}

const struct circuit_calls target_circuit_calls = {
    .wake = wake,
    .can_probe = can_probe,
    .oldest_ms = oldest_ms,
    .probe = probe,
    .is_settled = is_settled,
    .count = count,
    .rest = rest,
    .ask_probe = share_ask_probe,
    .tell_down = share_down,
    .tell_up = share_up,
    .instance_count = instance_count,
};

/* ---- sending ---- */

/* false: the lane left the ready ones. */
static bool may_send(struct target *target, struct lane *lane, int64_t now_ms)
{
    const struct delivery *head = TAILQ_FIRST(&lane->deliveries);

    if (!partition_may_send(head->event->stream->partition, now_ms)) {
        lane_leave_queue(lane); /* until the lease is known to be ours */
        lane_pause(lane, LEASE_DOUBT_MS);
        return false;
    }
    if (target_is_expired(target->push, head->event)) {
        target_drop_head(lane, "expired");
        return false;
    }
    return true;
}

struct lane *target_take_lane(struct target *target)
{
    int64_t now_ms = clock_tick_ms();
    struct lane *lane;

    while ((lane = TAILQ_FIRST(&target->ready)) && !may_send(target, lane, now_ms))
        ;
    if (!lane || target->is_paused) {
        circuit_pass(&target->member);
        return NULL;
    }
    if (!circuit_lets_through(&target->member))
        return NULL;
    circuit_sent(&target->member);
    lane_leave_queue(lane);
    lane->state = LANE_IN_FLIGHT;
    TAILQ_FIRST(&lane->deliveries)->event->stream->partition->in_flight++;
    target->in_flight++;
    target->push->in_flight_count++;
    return lane;
}

#include "push/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "push/trust.h"
#include <stdlib.h>

#define SWEEP_MS          250
#define SWEEPS_PER_SECOND 4
#define STOP_MARGIN_MS    5000

void push_set_paused(struct push *push, bool is_paused)
{
    struct target *target, *next;

    if (push->is_paused == is_paused)
        return;
    log_info("push", "deliveries=%s", is_paused ? "paused" : "resumed");
    push->is_paused = is_paused;
    if (is_paused)
        return;
    reader_resume(push->reader);
    HASH_ITER (hh, push->targets, target, next)
        target_wake(target);
}

bool push_is_paused(const struct push *push)
{
    return push->is_paused;
}

static void sweep(evutil_socket_t fd, short what, void *arg)
{
    struct push *push = arg;
    int64_t oldest_ms = reader_oldest_event_ms(push);

    (void)fd;
    (void)what;
    endpoints_sweep(push->endpoints);
    target_park_slow(push);
    if (push->sweeps++ % SWEEPS_PER_SECOND == 0)
        target_sweep(push);
    if (push->sweeps % SWEEPS_PER_SECOND == 0 && push->has_redis)
        switches_refresh(push);
    metric_set(M_EVENTS_PENDING, (double)push->event_count, NULL);
    metric_set(M_EVENT_OLDEST,
               oldest_ms ? (double)(clock_now_ms() - oldest_ms) / 1000.0 : 0.0, NULL);
    metric_set(M_PARKED_EVENTS, (double)push->parked_entries, NULL);
    metric_set(M_PARKED_BYTES, (double)push->parked_bytes, NULL);
    metric_set(M_PUSH_IN_FLIGHT, (double)push->in_flight_count, NULL);
    metric_set(M_PUSH_CONNECTIONS, (double)endpoints_connection_count(push->endpoints), NULL);
    metric_set(M_DELIVERIES_QUEUED, (double)(push->queued_count - push->in_flight_count), NULL);
    for (int state = 0; state < BREAKER_STATES; state++)
        metric_set(M_ENDPOINTS, (double)circuits_count(push->circuits, (enum breaker_state)state),
                   breaker_state_name((enum breaker_state)state));
}

static void subscriptions_changed(struct str app_id, void *arg)
{
    dispatch_subscriptions_changed(arg, app_id);
}

struct push *push_new(const struct push_config *config, char **error)
{
    struct event_base *base = config->core->base;
    const char *user_agent = config->settings->user_agent;
    struct push *push = xcalloc(1, sizeof(*push));

    push->core = config->core;
    push->settings = config->settings;
    push->trusts = trusts_new(push->core, push->settings, error);
    if (!push->trusts) {
        free(push);
        return NULL;
    }
    push->resolver = config->resolver;
    push->policy = config->core->policy;
    push->user_agent = xstrdup(*user_agent ? user_agent : "iotpush/" PACKAGE_VERSION);
    push->endpoints = endpoints_new(push);
    push->circuits = circuits_new(&(struct circuits_config){.base = base,
                                                            .settings = push->settings,
                                                            .calls = &target_circuit_calls,
                                                            .arg = push});
    push->instance_id = config->instance_id;
    push->owner = owner_new(push);
    push->reader = reader_new(push, config->reader);
    push->acknowledger = acknowledger_new(push);
    push->parker = parker_new(push);
    push->timers = timers_new(push);
    push->indexer = indexer_new(push);
    push->dispatch = dispatch_new();
    watcher_start(push);
    push->refresh = refresh_new(push);
    push->sweep = event_new(base, -1, EV_PERSIST, sweep, push);
    event_add(push->sweep, &(struct timeval){0, SWEEP_MS * 1000});
    subscription_set_listener(subscriptions_changed, push);
    return push;
}

/* Nothing is owned, read or sent before it is known what operators hold back. */
void push_start(struct push *push)
{
    push->is_going = false;
    push->has_redis = true;
    switches_refresh(push);
}

void push_go(struct push *push)
{
    if (push->is_going)
        return;
    push->is_going = true;
    owner_start(push->owner);
    reader_start(push->reader);
    acknowledger_start(push->acknowledger);
    parker_start(push->parker);
    timers_start(push->timers);
    indexer_start(push->indexer);
}

void push_redis_lost(struct push *push)
{
    push->has_redis = false;
    reader_stop(push->reader);
}

/* ---- stopping ---- */

/* What is on the wire may take its time, but systemd, say, waits for our end. */
void push_stop(struct push *push, void (*stopped)(void *arg), void *arg)
{
    int64_t limit_ms = push->settings->timeout_ms + STOP_MARGIN_MS;

    if (limit_ms > push->settings->stop_timeout_ms)
        limit_ms = push->settings->stop_timeout_ms;
    push->is_stopping = true;
    timers_stop(push->timers);
    indexer_stop(push->indexer);
    owner_stop(push->owner, limit_ms, stopped, arg);
}

static void free_partitions(struct push *push)
{
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        struct push_event *event, *next;

        HASH_ITER (hh, push->partitions[i].stream.events, event, next) {
            HASH_DEL(push->partitions[i].stream.events, event);
            free(event);
        }
    }
    free(push->partitions);
}

void push_free(struct push *push)
{
    if (!push)
        return;
    subscription_set_listener(NULL, NULL);
    target_free_all(push);
    dispatch_free(push);
    refresh_free(push->refresh);
    endpoints_free(push->endpoints);
    circuits_free(push->circuits);
    free_partitions(push);
    owner_free(push->owner);
    reader_free(push->reader);
    acknowledger_free(push->acknowledger);
    parker_free(push->parker);
    switches_free(push);
    timers_free(push->timers);
    indexer_free(push->indexer);
    watcher_free(push);
    event_free(push->sweep);
    trusts_free(push->trusts);
    free(push->user_agent);
    free(push);
}

void push_settings_changed(struct push *push)
{
    trusts_reload(push->trusts);
}

const struct certificates *push_platform_certificate(const struct push *push)
{
    return trusts_platform_certificate(push->trusts);
}

void push_count(const struct push *push, struct push_figures *figures)
{
    *figures = (struct push_figures){
        .partitions = owner_partition_count(push),
        .events = push->event_count,
        .queued = push->queued_count - push->in_flight_count,
        .in_flight = push->in_flight_count,
        .invalid_urls = circuits_count(push->circuits, BREAKER_DOWN) +
                        circuits_count(push->circuits, BREAKER_PROBE),
    };
}

void push_write_status(struct push *push, struct json_writer *w)
{
    json_object(w);
    json_member_i64(w, "partitionsOwned", (int64_t)owner_partition_count(push));
    json_member_i64(w, "eventsPending", (int64_t)push->event_count);
    json_member_i64(w, "deliveriesQueued", (int64_t)(push->queued_count - push->in_flight_count));
    json_member_i64(w, "inFlight", (int64_t)push->in_flight_count);
    json_member_i64(w, "parked", push->parked_entries);
    json_member_i64(w, "parkedBytes", push->parked_bytes);
    json_member_i64(w, "connections", (int64_t)endpoints_connection_count(push->endpoints));
    json_key(w, "callbackUrls");
    json_object(w);
    for (int state = 0; state < BREAKER_STATES; state++)
        json_member_i64(w, breaker_state_name((enum breaker_state)state),
                        (int64_t)circuits_count(push->circuits, (enum breaker_state)state));
    json_object_end(w);
    json_object_end(w);
}

/*
 * From the event streams to callbacks: reading the partitions' streams, matching subscriptions,
 * rendering, sending, retrying, acknowledging. The parts: owner (partitions), dispatch (match and
 * render), endpoint (connections), target (breaker and queues of one callback URL).
 */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

#include "core/core.h"

struct resolver;
struct json_writer;

struct push_settings {
    int64_t timeout_ms, connect_timeout_ms;
    bool strict200;
    int64_t retry_first_ms, retry_max_ms;
    int64_t v1_cache_time_ms;
    char *refused_pauses; /* list of times */
    int64_t retry_after_max_ms, retry_after_default_ms;
    int64_t fail_limit, fail_window_ms, probe_interval_ms;
    int64_t drain_rate, drain_fail_limit;
    int64_t max_connections; /* per endpoint */
    int64_t connections;     /* to all endpoints together */
    int64_t idle_close_ms, max_age_ms;
    int64_t max_response_header_bytes, discard_body_bytes, discard_time_ms;
    int64_t queue_events;   /* deliveries in memory for a callback URL that is not valid */
    int64_t window_events;  /* events in memory, all partitions */
    char *allow_networks, *deny_networks;
    char *ca_file; /* empty = the system's */
    char *user_agent;
    bool sends_node_id; /* deviceInfoChanged always carries nodeId */
    int64_t timer_interval_ms;
};

struct push;

struct push_config {
    struct core *core;
    const struct push_settings *settings;
    struct redis *reader; /* a connection of its own, for blocking reads */
    const char *instance_id; /* outlives the engine */
    struct resolver *resolver;
};

struct push *push_new(const struct push_config *config, char **error);
/* Redis can be used (again): take the partitions, read them from the start. */
void push_start(struct push *push);
void push_redis_lost(struct push *push);
/* Stops reading and sending; attempts in flight end (at most timeout_ms), their acknowledgements
 * are written, then stopped(arg). */
void push_stop(struct push *push, int64_t timeout_ms, void (*stopped)(void *arg), void *arg);
void push_free(struct push *push);
/* Holds all sending and reading of this instance back. The deployment's switch, which each instance
 * looks at once a second, is core/deployment.h. */
void push_set_paused(struct push *push, bool is_paused);

/* An array: each callback URL in memory, with its state; only those that are not valid or have
 * failed when is_failing_only. */
void push_write_endpoints(const struct push *push, bool is_failing_only, struct json_writer *w);

struct push_figures {
    size_t partitions, events, queued, in_flight, invalid_urls;
};
void push_count(const struct push *push, struct push_figures *figures);
void push_write_status(struct push *push, struct json_writer *w);

#endif

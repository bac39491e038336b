/*
 * From the event streams to callbacks: reading the partitions' streams, matching subscriptions,
 * rendering, sending, retrying, acknowledging. The parts: owner (partitions), dispatch (match and
 * render), endpoint and pool (connections), target (breaker and queues of one callback URL).
 */
#ifndef PUSH_PUSH_H
#define PUSH_PUSH_H

#include "base/arena.h"
#include "core/core.h"

struct resolver;
struct json_writer;

struct push_settings {
    int64_t timeout_ms, connect_timeout_ms;
    int64_t stop_timeout_ms; /* attempts under way are waited for so long, whatever the timeout */
    bool strict200;
    char *fail_statuses; /* list: which of the statuses from 500 on count as failures */
    bool follows_same_origin; /* 307 and 308 within scheme, host and port, once */
    int64_t retry_first_ms, retry_max_ms;
    int64_t v1_cache_time_ms;
    char *refused_pauses; /* list of times */
    int64_t retry_after_max_ms, retry_after_default_ms;
    int breaker_scope_v1; /* index into "url host" */
    int64_t fail_limit, fail_window_ms, probe_interval_ms;
    int64_t drain_rate, drain_fail_limit;
    int64_t max_connections; /* per endpoint */
    int64_t rate;            /* a second and endpoint, of all instances; 0 = no limit */
    char *source_address;    /* list of an IPv4 and an IPv6 address; empty = the system chooses */
    int ordering;            /* index into "device none" */
    int64_t connections;     /* to all endpoints together */
    int64_t idle_close_ms, max_age_ms;
    int64_t max_response_header_bytes, discard_body_bytes, discard_time_ms;
    int64_t queue_events;   /* deliveries in memory per callback URL; more are parked in Redis */
    int64_t stack_bytes;    /* parked per callback URL; beyond it the oldest go */
    int64_t window_events, window_bytes; /* in memory, all partitions */
    int64_t deadletter_entries;          /* 0 = none are kept */
    char *allow_networks, *deny_networks;
    char *ca_file; /* empty = the system's */
    int https_default_trust; /* of callbacks without a certificate entry: index into "system none" */
    int tls_min_version;     /* index into "1.2 1.3" */
    char *platform_certificate, *platform_key; /* files; empty = the platform has none */
    int64_t trust_profiles;                    /* contexts in memory */
    int64_t tls_sessions, tls_session_life_ms; /* to be resumed */
    char *user_agent;
    bool sends_id; /* X-Notify-Id, and with it the signature */
    bool signs; /* for applications that have a signing key */
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
/* Stops reading and sending; attempts in flight end (push.timeout and a little, but push.stop_timeout
 * at most), what they leave is written, then stopped(arg). */
void push_stop(struct push *push, void (*stopped)(void *arg), void *arg);
void push_free(struct push *push);
/* After a reload: the platform's certificate is read again. */
void push_settings_changed(struct push *push);
/* What the platform shows to callbacks that ask for it; NULL: nothing. */
struct certificates;
const struct certificates *push_platform_certificate(const struct push *push);
/* What operators hold back, as just read or changed; asked for once a second besides. */
struct deployment_switches;
bool push_is_paused(const struct push *push); /* everything, by an operator */
void push_take_switches(struct push *push, const struct deployment_switches *switches);

/* An array: each callback URL in memory, with its state; only those that are not valid or have
 * failed when is_failing_only. */
void push_write_endpoints(const struct push *push, bool is_failing_only, struct json_writer *w);

/* One callback URL, in all the deployment. app_id "": of every application that this instance knows to
 * use it. The list is empty when there is none. It lives in the arena, which lives until the
 * callback. */
struct push_endpoint {
    struct str app_id, url;
    int64_t parked, parked_bytes, oldest_seconds;
    bool is_done;       /* push_probe_endpoints: it was invalid, and is probed now */
    const char *digest; /* private */
    struct str breaker; /* private */
};
typedef void (*push_endpoints_cb)(enum error error, const struct push_endpoint *endpoints,
                                  size_t count, void *arg);
void push_show_endpoints(struct push *push, struct arena *arena, struct str app_id,
                         struct str url, push_endpoints_cb cb, void *arg);
void push_write_endpoint(const struct push *push, const struct push_endpoint *endpoint,
                         struct json_writer *w);
void push_probe_endpoints(struct push *push, struct arena *arena, struct str app_id,
                          struct str url, push_endpoints_cb cb, void *arg);
/* Valid again, with a count of failures from 0 and without a Retry-After: invalid ones at all instances
 * within cache.life; failures that others counted without coming to the limit stay there. */
void push_reset_endpoints(struct push *push, struct arena *arena, struct str app_id,
                          struct str url, push_endpoints_cb cb, void *arg);
/* Throws away what is parked, which `parked` counts then. */
void push_drop_parked(struct push *push, struct arena *arena, struct str app_id, struct str url,
                      push_endpoints_cb cb, void *arg);

struct push_figures {
    size_t partitions, events, queued, in_flight, invalid_urls;
};
void push_count(const struct push *push, struct push_figures *figures);
void push_write_status(struct push *push, struct json_writer *w);

#endif

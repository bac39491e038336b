/*
 * The things that move through the push engine, and who owns them. Private to src/push.
 *
 *   push_event  an entry of a partition's stream; in memory until its deletion in Redis is confirmed
 *   body        a rendered notification, shared by the deliveries of one event
 *   delivery    one body for one subscription
 *   lane        the deliveries of one device to one subscription, in order; only its head is sent
 *   target      a callback URL of an application: its breaker, and the lanes that lead there
 *   endpoint    scheme, host and port: connections, shared by its targets
 *   push_app    an application with events under way: its subscriptions as last seen, its lanes
 */
#ifndef PUSH_DELIVERY_H
#define PUSH_DELIVERY_H

#include "base/hash.h"
#include "base/json.h"
#include "core/event.h"
#include "core/subscription.h"
#include "push/breaker.h"
#include "push/push.h"
#include <sys/queue.h>

#define FENCE_SIZE    160 /* instance id, ':', epoch */
#define EVENT_ID_SIZE 44 /* two 64-bit numbers, '-' and NUL */
#define TARGET_KEY_MAX 2048

struct delivery;
TAILQ_HEAD(delivery_list, delivery);

struct push_event {
    struct push *push;
    struct partition *partition;
    char id[EVENT_ID_SIZE];
    struct event_facts facts;
    struct delivery_list deliveries; /* that are not done */
    unsigned pending;  /* their number, and one more while it is being matched */
    bool is_waiting;   /* for its application's subscriptions: stands in push_app.waiting */
    bool is_forgotten; /* the partition was lost: what is on the wire ends, nothing is acknowledged */
    TAILQ_ENTRY(push_event) link; /* waits for subscriptions, or for its acknowledgement */
    UT_hash_handle hh;            /* in the partition's table, by id */
    char entry[];                 /* what facts point into */
};
TAILQ_HEAD(push_event_list, push_event);

struct body {
    unsigned references;
    size_t len;
    char text[];
};

struct delivery {
    struct push_event *event;
    struct body *body;
    struct lane *lane;
    unsigned part;     /* which of the event's notifications of this type */
    unsigned attempts; /* made so far */
    unsigned refusals;
    bool needs_fresh_connection; /* an idle one broke under it */
    TAILQ_ENTRY(delivery) in_event;
    TAILQ_ENTRY(delivery) in_lane;
    TAILQ_ENTRY(delivery) in_target; /* by arrival: age and limits take the oldest */
};

enum lane_state { LANE_EMPTY, LANE_READY, LANE_IN_FLIGHT, LANE_PAUSED };

struct lane {
    struct push *push;
    struct push_app *app;
    struct target *target;
    enum lane_state state;
    struct delivery_list deliveries;
    struct event *pause; /* timer; made when first needed */
    TAILQ_ENTRY(lane) in_ready;
    TAILQ_ENTRY(lane) in_app;
    UT_hash_handle hh;
    struct str subscription_id; /* points into key */
    size_t key_len;
    char key[]; /* "<subscription id> <device id>" */
};
TAILQ_HEAD(lane_list, lane);

struct push_app {
    struct push *push;
    struct subscriptions *subscriptions; /* held; NULL until the first reading */
    bool is_reading;
    struct push_event_list waiting; /* for that reading, in order */
    struct lane_list lanes;
    struct event *again; /* timer: read again after Redis failed */
    UT_hash_handle hh;
    char id[];
};

struct endpoint;

struct target {
    struct push *push;
    struct endpoint *endpoint;
    struct breaker breaker;
    struct lane_list ready;
    struct delivery_list deliveries; /* all of them, by arrival */
    size_t delivery_count;
    int64_t in_flight;
    int64_t paused_until_ms; /* tick; a Retry-After */
    int64_t idle_since_ms;   /* tick; when nothing was left */
    int64_t last_drop_log_ms;
    uint64_t dropped_since_log;
    struct event *wake; /* timer: probe, drain rate, Retry-After */
    bool is_in_queue;
    TAILQ_ENTRY(target) in_queue; /* of the endpoint: targets that may have something to send */
    UT_hash_handle hh;
    const char *url;      /* points into key */
    struct str path;      /* request target; points into url */
    char last_error[96];
    size_t key_len;
    char key[]; /* "<application> <url>" */
};
TAILQ_HEAD(target_list, target);

struct push {
    struct core *core;
    const struct push_settings *settings;
    struct resolver *resolver;
    struct netpolicy const *policy;
    struct ssl_ctx_st *tls;
    char *user_agent;
    const char *instance_id;
    struct partition *partitions; /* all of the deployment; NULL until their number is known */
    struct owner *owner;
    struct reader *reader;
    struct acknowledger *acknowledger;
    struct timers *timers;
    struct endpoints *endpoints;
    struct push_app *apps;     /* hash */
    struct lane *lanes;        /* hash */
    struct target *targets;    /* hash */
    struct event *sweep;       /* timer: age, idle targets, subscriptions that changed elsewhere */
    size_t event_count, queued_count, in_flight_count;
    size_t breaker_counts[BREAKER_STATES];
    bool is_stopping, is_paused;
    unsigned sweeps;
    void (*stopped)(void *arg);
    void *stopped_arg;
    struct event *stop_timer, *stop_check;
    bool is_stop_time_over, is_giving_back;
};

enum partition_state {
    PARTITION_FREE,      /* not ours, or nobody's */
    PARTITION_CLAIMING,
    PARTITION_OWNED,     /* read, delivered from, acknowledged in */
    PARTITION_RELEASING, /* no longer read; what is in memory ends first */
};

struct partition {
    struct push *push;
    uint32_t number;
    enum partition_state state;
    char fence[FENCE_SIZE];  /* "<instance>:<epoch>": shown with every write of an owner */
    int64_t lease_until_ms;  /* tick; what we may believe without asking */
    int64_t release_by_ms;   /* tick; RELEASING longer than this is given up */
    char last_id[EVENT_ID_SIZE];
    bool is_to_be_read_anew;         /* from its start; a read under way is not the one */
    struct push_event *events;       /* hash by id: all in memory */
    struct push_event_list done;     /* wait for their deletion to be sent */
    struct push_event_list deleting; /* deletion under way, in the order of the commands */
};

/* owner.c: leases of partitions, and who lives */
struct owner *owner_new(struct push *push);
void owner_free(struct owner *owner);
void owner_start(struct owner *owner); /* Redis can be used (again) */
/* Gives all partitions back; stopped(arg) when Redis has heard of it, or is not there. */
void owner_stop(struct owner *owner, void (*stopped)(void *arg), void *arg);
void owner_lost(struct partition *partition);  /* somebody else owns it */
void owner_partition_emptied(struct partition *partition);
size_t owner_partition_count(const struct push *push);
bool partition_may_send(const struct partition *partition, int64_t now_ms);

/* reader.c: from the streams into memory */
struct reader *reader_new(struct push *push, struct redis *redis);
void reader_free(struct reader *reader);
void reader_start(struct reader *reader); /* all owned partitions are read from their start again */
void reader_stop(struct reader *reader);
void reader_resume(struct reader *reader); /* there is room in the window, or another partition */
int64_t reader_oldest_event_ms(const struct push *push); /* 0: none in memory */

/* acknowledger.c: from memory and the streams out */
struct acknowledger *acknowledger_new(struct push *push);
void acknowledger_free(struct acknowledger *acknowledger);
void acknowledger_start(struct acknowledger *acknowledger); /* sends what is due */
bool acknowledger_is_idle(const struct push *push);
void event_done(struct push_event *event); /* takes it: nothing more is to be done for it */
void event_free_memory(struct push_event *event);
/* The partition is not ours any more: its events leave memory, except what is on the wire. */
void partition_forget_events(struct partition *partition);

/* dispatch.c: from an event to deliveries */
void dispatch_event(struct push_event *event);
void dispatch_subscriptions_changed(struct push *push, struct str app_id); /* made here */
void dispatch_refresh(struct push *push); /* changed elsewhere: once in a while */
void dispatch_free(struct push *push);
/* One delivery less; when it was the last, the event is acknowledged. */
void delivery_end(struct delivery *delivery);
void dispatch_forget(struct push_event *event); /* out of the waiting ones */

/* lane.c */
void lane_add(struct push_app *app, const struct subscription *subscription,
              struct push_event *event, struct body *body, unsigned part);
/* The head was delivered or given up: the next one may go. Frees an empty lane. */
void lane_advance(struct lane *lane);
void lane_leave_queue(struct lane *lane); /* out of ready or pause, before it changes */
void lane_pause(struct lane *lane, int64_t pause_ms); /* then ready again */
void lane_make_ready(struct lane *lane, bool first);
void lane_retarget(struct lane *lane, struct str url); /* its subscription has a new callback */
void lane_remove(struct lane *lane, struct delivery *delivery); /* not in flight; not counted */
void lane_drop_all(struct lane *lane, const char *reason); /* except what is in flight */

/* target.c */
struct target *target_get(struct push *push, struct str app_id, struct str url);
void target_attach(struct target *target, struct delivery *delivery);
void target_detach(struct target *target, struct delivery *delivery);
/* Counts a delivery that was given up, and ends it. It has left its lane and target. */
void target_drop(struct delivery *delivery, const char *reason);
/* The head of the lane is given up, not being in flight; the lane goes on. */
void target_drop_head(struct lane *lane, const char *reason);
void target_wake(struct target *target); /* something may be sendable */
/* The next lane to send from, taken out of the ready list; NULL: none may be sent now. */
struct lane *target_take_lane(struct target *target);
void target_sweep(struct push *push);
void target_free_all(struct push *push);
void target_write_status(struct push *push, struct json_writer *w);

struct http_result;
/* An attempt is over: the rules of results, breaker, retries. */
void target_attempt_done(struct target *target, struct lane *lane,
                         const struct http_result *result);
/* The attempt could not be made for reasons of our own: nothing is counted, and it is made again. */
void target_attempt_postponed(struct target *target, struct lane *lane, int64_t pause_ms);

/* endpoint.c: connections */
struct endpoints *endpoints_new(struct push *push);
void endpoints_free(struct endpoints *endpoints);
struct endpoint *endpoint_get(struct endpoints *endpoints, struct str url);
void endpoint_release(struct endpoint *endpoint); /* one target less */
void endpoint_enqueue(struct target *target);     /* it may have something to send */
void endpoint_dequeue(struct target *target);
void endpoints_sweep(struct endpoints *endpoints); /* idle and old connections */
size_t endpoints_connection_count(const struct endpoints *endpoints);

/* timers.c: durable timers of the partitions */
struct timers *timers_new(struct push *push);
void timers_start(struct timers *timers);
void timers_stop(struct timers *timers);
void timers_free(struct timers *timers);

#endif

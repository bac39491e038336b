/*
 * The things that move through the push engine, and who owns them. Private to src/push.
 *
 *   stream      entries in Redis that are to be delivered, in order: the event stream of a partition,
 *               or what is parked in a partition for one target
 *   push_event  an entry of a stream; in memory until its deletion in Redis is confirmed
 *   body        a rendered notification, shared by the deliveries of one event
 *   delivery    one body for one subscription
 *   lane        the deliveries of one device to one subscription, in order; only its head is sent
 *   target      a callback URL of an application: the lanes that lead there
 *   circuit     the breaker that guards a target, or all of an application on one host
 *   park        the deliveries of a partition that are set aside in Redis for a target
 *   endpoint    scheme, host and port (and application, over HTTPS): connections, shared by its
 *               targets
 *   push_app    an application with events under way: its subscriptions as last seen, its lanes
 */
#ifndef PUSH_DELIVERY_H
#define PUSH_DELIVERY_H

#include "base/hash.h"
#include "base/json.h"
#include "core/app/subscription.h"
#include "core/event.h"
#include "push/circuit.h"
#include "push/latency.h"
#include "push/push.h"
#include "push/result.h"
#include <sys/queue.h>

#define FENCE_SIZE         160 /* instance id, ':', epoch */
#define EVENT_ID_SIZE      44  /* two 64-bit numbers, '-' and NUL */
#define LANE_KEY_MAX       512
#define TARGET_DIGEST_SIZE 33
#define DIGEST_SIZE        41

struct delivery;
TAILQ_HEAD(delivery_list, delivery);
struct push_event;
TAILQ_HEAD(push_event_list, push_event);

struct stream {
    struct partition *partition;
    struct park *park;               /* NULL: the partition's event stream */
    struct push_event *events;       /* hash by id: all in memory that are not forgotten */
    size_t held;                     /* in memory, forgotten ones too: they point here */
    struct push_event_list done;     /* wait for their deletion to be sent */
    struct push_event_list deleting; /* deletion under way, in the order of the commands */
    bool is_dirty;                   /* stands in the acknowledger's list */
    TAILQ_ENTRY(stream) in_dirty;
};
TAILQ_HEAD(stream_list, stream);

/* One delivery of an event, with what was tried before it was parked. */
struct delivery_facts {
    struct str subscription_id;
    unsigned part, attempts, refusals;
};

struct push_event {
    struct push *push;
    struct stream *stream;
    struct str id;              /* in its stream */
    struct str origin_id;       /* of the event as it was first stored: what receivers see */
    struct delivery_facts only; /* for this subscription alone; without an id: for all that match */
    struct event_facts facts;
    size_t bytes; /* of its entry in Redis */
    struct delivery_list deliveries; /* that are not done */
    unsigned pending;  /* their number, and of writes to a park, and 1 while it is being matched */
    bool is_begun;     /* one of its deliveries ended, or is in a park by itself */
    bool is_waiting;   /* for its application's subscriptions: stands in push_app.waiting */
    bool is_forgotten; /* left its stream's memory: nothing is acknowledged for it */
    bool is_recorded;  /* its deletion is confirmed; kept until a read has ended */
    bool is_given_up;  /* out of a park, without having been tried again */
    TAILQ_ENTRY(push_event) link; /* waits for subscriptions, or for its acknowledgement */
    UT_hash_handle hh;            /* in the stream's table, by id */
    char text[];                  /* what ids and facts point into */
};

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
    bool is_parked_too;          /* on the wire when its partition was given away */
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
    bool is_own;                /* of an event with a callback of its own: no subscription */
    struct str subscription_id; /* the beginning of key */
    size_t key_len;
    char key[]; /* subscription id, NUL, device id; without order also what is delivered */
};
TAILQ_HEAD(lane_list, lane);

struct target;
TAILQ_HEAD(target_list, target);

struct push_app {
    struct push *push;
    struct subscriptions *subscriptions; /* held; NULL until the first reading */
    struct subscriptions *fresh;         /* just read; the breakers are still to come */
    struct shared_breakers *breakers;    /* that were invalid at the last reading */
    bool is_reading, is_outdated; /* outdated: to be read once more behind that */
    struct push_event_list unparked, waiting; /* for that reading, in order; unparked ones are older */
    struct lane_list lanes;
    struct target_list targets;
    bool is_refresh;    /* the reading under way: nothing is known to have changed */
    int64_t refresh_ms; /* tick: then it is read again; 0: it is not in that list */
    char digest[DIGEST_SIZE]; /* of what was read last; empty: not known */
    bool is_digest_old;       /* that of the question under way: something was changed here */
    TAILQ_ENTRY(push_app) in_refresh;
    bool has_leftovers; /* parked for callbacks that no subscription has any more: they go first */
    struct event *again; /* timer: read again after Redis failed */
    UT_hash_handle hh;
    char id[];
};
TAILQ_HEAD(push_app_list, push_app);

struct endpoint;

struct target {
    struct push *push;
    struct push_app *app;
    struct endpoint *endpoint;
    struct circuit_member member;
    bool is_paused;    /* by an operator */
    bool is_left_over; /* no subscription leads there any more */
    bool has_own;      /* events lead there that name it themselves */
    struct lane_list ready;
    struct delivery_list deliveries; /* all of them, by arrival */
    size_t delivery_count;
    int64_t in_flight;
    int64_t idle_since_ms; /* tick; when nothing was left */
    int64_t last_drop_log_ms;
    uint64_t dropped_since_log;
    bool is_in_queue;
    TAILQ_ENTRY(target) in_app;
    TAILQ_ENTRY(target) in_queue; /* of the endpoint: targets that may have something to send */

    struct park **parks;    /* by partition number; NULL until the first */
    size_t park_count;      /* of those that exist */
    size_t unread_parks;    /* of those with entries that are not in memory */
    size_t reads_under_way; /* of parks */
    size_t unparking_count; /* entries that these reads may bring into memory */
    size_t unparked_count;  /* deliveries in memory that come from a park of this target */
    int64_t parked_bytes, parked_entries; /* in Redis, of all its parks */
    int64_t given_up_bytes; /* of these, what is dropped and not deleted yet */
    bool is_trimming;       /* the oldest are being read, to be dropped */

    struct latency latency; /* from an event's storing to its 2xx */
    uint64_t delivered, dropped;
    uint64_t delivered_before; /* at the last look for slow ones */
    size_t pace;               /* delivered between the last two looks */
    bool is_full;              /* at the last look: more than its limit was in memory */
    UT_hash_handle hh;
    const char *url;      /* points into key */
    struct str shown_url; /* for the log: without its query, which may hold a password */
    char *path;      /* request target */
    char last_error[RESULT_TEXT_SIZE];
    char digest[TARGET_DIGEST_SIZE]; /* of key: names its parks */
    size_t key_len;
    char key[]; /* "<application> <url>" */
};

/* What partitions that ceased to be owned have left to their next owners. */
struct leavings {
    size_t partitions, lost; /* lost: of these, to another owner */
    size_t parked;           /* deliveries of events that others have had */
    size_t on_wire;          /* attempts that are not waited for: these come once more */
    size_t unconfirmed; /* events that somebody has had, as Redis was not told: they may come once more */
};

struct push {
    struct core *core;
    const struct push_settings *settings;
    struct resolver *resolver;
    struct netpolicy const *policy;
    struct trusts *trusts;
    char *user_agent;
    const char *instance_id;
    struct partition *partitions; /* all of the deployment; NULL until their number is known */
    struct owner *owner;
    struct reader *reader;
    struct acknowledger *acknowledger;
    struct parker *parker;
    struct timers *timers;
    struct indexer *indexer;
    struct endpoints *endpoints;
    struct circuits *circuits;
    struct dispatch *dispatch;
    struct refresh *refresh;
    struct push_app *apps;     /* hash */
    struct lane *lanes;        /* hash */
    struct target *targets;    /* hash */
    struct watched *watched;   /* hash: devices that somebody watches; NULL as a rule */
    uint64_t watch_begins;
    struct event *watch_check; /* timer: are they still watched? */
    struct switched *paused;   /* hash: callback URLs that an operator paused */
    struct event *sweep;       /* timer: age, idle targets, subscriptions that changed elsewhere */
    size_t event_count, event_bytes, queued_count, in_flight_count;
    size_t unparking_count; /* parked entries asked for and not here yet */
    size_t busy_targets;    /* with deliveries in memory, or asked for */
    int64_t parked_bytes, parked_entries;
    uint64_t shared_changes; /* of breakers, written from here */
    bool has_redis; /* and knows its partitions */
    bool is_going;  /* since Redis was (last) reached, and the switches were read */
    bool is_stopping, is_paused;
    struct leavings left; /* since the log spoke of it */
    unsigned sweeps;
    int64_t beaten_ms; /* tick: the last heartbeat; 0: none yet */
};

enum partition_state {
    PARTITION_FREE,      /* not ours, or nobody's */
    PARTITION_CLAIMING,
    PARTITION_OWNED,     /* read, delivered from, acknowledged in */
    PARTITION_RELEASING, /* no longer read or sent from; what is on the wire ends first */
};

TAILQ_HEAD(park_list, park);

struct partition {
    struct push *push;
    uint32_t number;
    enum partition_state state;
    char fence[FENCE_SIZE];  /* "<instance>:<epoch>": shown with every write of an owner */
    int64_t lease_until_ms;  /* tick; what we may believe without asking */
    int64_t release_by_ms;   /* tick; then what is on the wire is not waited for any more */
    size_t in_flight;        /* attempts with its events */
    int64_t written_ms;      /* tick; of what is written then, the last confirmation; 0: it is not time */
    size_t closings;         /* acknowledgements under way of what is on the wire and parked besides */
    bool is_closed;          /* they were sent, and none was refused */
    bool is_doubted;         /* a write was refused: what a renewal says is waited for */
    bool is_wanted;          /* by this instance, at the last heartbeat */
    char last_id[EVENT_ID_SIZE];
    bool is_to_be_read_anew; /* from its start; a read under way is not the one */
    bool is_index_behind;    /* devices are, or may be, marked */
    bool is_indexing;
    struct stream stream;    /* its events */
    struct park_list parks;
};

/* owner.c: leases of partitions, and who lives */
struct owner *owner_new(struct push *push);
void owner_free(struct owner *owner);
void owner_start(struct owner *owner); /* Redis can be used (again) */
/* Gives all partitions back, each when what is on the wire has ended, or after limit_ms; stopped(arg)
 * when Redis has heard of it, or is not there. */
void owner_stop(struct owner *owner, int64_t limit_ms, void (*stopped)(void *arg), void *arg);
/* A write was refused: is it somebody else's, or did only the lease run out? What was refused is to be
 * sent again; it comes behind the renewal. */
void owner_doubt(struct partition *partition);
/* Something of it ended: if it is being given away, that may go on. */
void owner_partition_moved(struct partition *partition);
size_t owner_partition_count(const struct push *push);
size_t owner_instance_count(const struct push *push); /* alive, at least 1 */
/* Nobody else owns it, and it is not being given away: from it may be sent, and given up. */
bool partition_may_send(const struct partition *partition, int64_t now_ms);

/* handover.c: the end of owning */
/* Of all partitions that are being given away: what others have had is parked. */
void handover_park_begun(struct push *push);
/* Can the lease be given back? Does what is still to be done for it. */
bool handover_is_over(struct partition *partition, int64_t now_ms);
/* Before its events are forgotten: what of them may come once more. */
void handover_count(const struct partition *partition, bool is_lost);
/* Redis has confirmed something that was written for it. */
void handover_written(struct partition *partition);
/* It was on the wire while it was parked, and has been answered: out of the park. */
void handover_take_back(struct delivery *delivery);
void handover_say(struct push *push); /* a line about what was counted, and the metric */

/* stream.c: entries in memory */
void stream_init(struct stream *stream, struct partition *partition, struct park *park);
struct entry_facts { /* what an entry of a stream says, before it is copied */
    struct str id, origin_id, text;
    struct delivery_facts only;
    size_t bytes;
};
bool stream_has(const struct stream *stream, struct str id);
/* A copy in memory; NULL: unreadable, which is counted, and the entry is acknowledged. */
struct push_event *stream_remember(struct stream *stream, const struct entry_facts *facts);
void event_less(struct push_event *event); /* one of `pending`; with the last it is done */
void event_free_memory(struct push_event *event);
/* It will not be acknowledged: it leaves memory when its last delivery has ended. */
void event_leave_stream(struct push_event *event);
/* It leaves memory without acknowledgement, as soon as nothing of it is on the wire. */
void event_forget(struct push_event *event);
/* The partition is not ours any more: its events leave memory, except what is on the wire. */
void partition_forget_events(struct partition *partition);

/* reader.c: from the event streams into memory */
struct reader *reader_new(struct push *push, struct redis *redis);
void reader_free(struct reader *reader);
void reader_start(struct reader *reader); /* all owned partitions are read from their start again */
void reader_stop(struct reader *reader);
void reader_resume(struct reader *reader); /* not paused any more, or another partition */
/* Its deletion is confirmed: freed, as soon as no read under way can bring it once more. */
void reader_let_go(struct reader *reader, struct push_event *event);
void reader_room_grew(struct reader *reader); /* an event left memory */
int64_t reader_oldest_event_ms(const struct push *push); /* 0: none in memory */

/* acknowledger.c: from memory and the streams out */
struct acknowledger *acknowledger_new(struct push *push);
void acknowledger_free(struct acknowledger *acknowledger);
void acknowledger_start(struct acknowledger *acknowledger); /* sends what is due */
/* Events that are on the wire and parked besides: for their partition, which is given away, they are
 * done. is_closed says whether that holds when no closings are under way. */
void acknowledger_close(struct partition *partition);
void event_done(struct push_event *event); /* takes it: nothing more is to be done for it */
void acknowledger_forget(struct stream *stream); /* what was not sent yet */

/* dispatch.c: from an event to deliveries */
void dispatch_event(struct push_event *event);
/* A change that was made here. Also of an application without events: what is kept of a callback goes
 * with its last subscription. */
void dispatch_subscriptions_changed(struct push *push, struct str app_id);
struct dispatch *dispatch_new(void);
void dispatch_free(struct push *push); /* with the applications */
/* One delivery less; when it was the last, the event is acknowledged. */
void delivery_end(struct delivery *delivery);
void dispatch_forget(struct push_event *event); /* out of the waiting ones */
void dispatch_one(struct push_app *app, struct push_event *event,
                  const struct delivery_facts *which);
struct push_app *push_app_get(struct push *push, struct str id);
void push_app_read(struct push_app *app); /* its subscriptions and breakers, unless under way */
bool push_app_is_ready(const struct push_app *app); /* no event waits for subscriptions */
bool push_app_may_use(const struct push_app *app, struct str url); /* as far as is known */
bool push_app_leads_to(const struct push_app *app, struct str circuit_name); /* the same */
void push_app_go_on(struct push_app *app); /* it has been read: with what waits for that */
void push_app_leave(struct push_app *app); /* forgotten when nobody needs it */

/* refresh.c: what others may have changed is read again */
struct refresh *refresh_new(struct push *push);
void refresh_free(struct refresh *refresh); /* after the applications */
void refresh_join(struct push_app *app);    /* just read: again in a while */
void refresh_soon(struct push_app *app); /* just made, perhaps for what is parked: nobody has read it */
void refresh_leave(struct push_app *app);
void refresh_doubt(struct push_app *app); /* its breakers were changed here */

/* lane.c */
/* false: the device's id is longer than any that was made. */
bool lane_add(struct push_app *app, struct target *target, struct push_event *event,
              struct body *body, const struct delivery_facts *which);
/* The head was delivered or given up: the next one may go. Frees an empty lane. */
void lane_advance(struct lane *lane);
void lane_leave_queue(struct lane *lane); /* out of ready or pause, before it changes */
void lane_pause(struct lane *lane, int64_t pause_ms); /* then ready again */
/* The id is not a subscription's, but says that the event names its callback itself. */
bool event_is_own(const struct push_event *event, struct str subscription_id);
void lane_make_ready(struct lane *lane, bool first);
void lane_retarget(struct lane *lane, struct str url); /* its subscription has a new callback */
void lane_remove(struct lane *lane, struct delivery *delivery); /* not in flight; not counted */
void lane_drop_all(struct lane *lane, const char *reason); /* except what is in flight */
/* Into the parks, all of it except what is in flight. Frees the lane if that leaves it empty. */
void lane_park(struct lane *lane);

/* target.c, target_send.c: a callback URL, and what may be sent to it */
struct target *target_get(struct push *push, struct str app_id, struct str url);
struct target *target_find(const struct push *push, struct str app_id, struct str url); /* or NULL */
void target_attach(struct target *target, struct delivery *delivery);
void target_detach(struct target *target, struct delivery *delivery);
void target_wake(struct target *target); /* something may be sendable, or unparked */
/* The next lane to send from, taken out of the ready list; NULL: none may be sent now. */
struct lane *target_take_lane(struct target *target);
/* Deliveries that it may have in memory for long; more are parked. */
size_t target_queue_limit(const struct target *target);
/* Deliveries that may come back into memory; never more than that. */
size_t target_unpark_limit(const struct target *target);
void target_unparking(struct target *target, size_t more, size_t less); /* entries asked for */
/* Has something parked that may belong to subscriptions that lead elsewhere now. */
bool target_has_leftovers(const struct target *target);
void target_park_all(struct target *target); /* what waits for it in memory */
const char *target_last_error(const struct target *target); /* what keeps deliveries from it; or "" */
extern const struct circuit_calls target_circuit_calls;
bool target_holds_back(const struct target *target); /* nothing is sent; what comes is parked */
void target_set_paused(struct target *target, bool is_paused);
void target_find_leftovers(struct push_app *app); /* its subscriptions changed */
void target_park_slow(struct push *push); /* often */
void target_sweep(struct push *push);     /* once in a while */
void target_free_all(struct push *push);

/* result rules: outcome.c */
/* An attempt is over: the rules of results, breaker, retries. */
void target_attempt_done(struct target *target, struct lane *lane,
                         const struct http_result *result);
/* The attempt could not be made for reasons of our own: nothing is counted, and it is made again. */
void target_attempt_postponed(struct target *target, struct lane *lane, int64_t pause_ms);
/* Counts a delivery that was given up, and ends it. It has left its lane and target. */
void target_drop(struct delivery *delivery, const char *reason);
/* The head of the lane is given up, not being in flight; the lane goes on. */
void target_drop_head(struct lane *lane, const char *reason);
/* A parked entry, just read, that is given up. Takes the event. */
void target_drop_parked(struct target *target, struct push_event *event, const char *reason);
bool target_is_expired(const struct push *push, const struct push_event *event);

/* park.c: deliveries out of memory, into a park */
struct parker *parker_new(struct push *push);
void parker_free(struct parker *parker);
void parker_start(struct parker *parker);  /* Redis can be used (again) */
void parker_resume(struct parker *parker); /* sends what is due */
/* Does the delivery of this partition have to be parked, for the sake of order or room? */
bool park_wants(const struct target *target, const struct partition *partition);
void park_add(struct target *target, struct push_event *event,
              const struct delivery_facts *which);
/* A new owner hears of what is parked: the fields and values of the table. */
void park_take_over(struct partition *partition, const struct redisReply *table);
/* After an acknowledgement: what is left in Redis. */
void park_set_size(struct park *park, int64_t bytes, int64_t entries);
void park_forget(struct partition *partition); /* the partition is not ours any more */
void park_sweep(struct target *target);        /* frees parks that are empty */
void park_free_all(struct target *target);
int64_t park_oldest_ms(const struct target *target); /* wall; INT64_MAX: nothing is parked */

/* unpark.c: out of the parks into memory */
void unpark_wake(struct target *target);  /* reads what there is room for */
void unpark_probe(struct target *target); /* reads the oldest one, for a probe */
void unpark_trim(struct target *target);  /* gives up the oldest when too much is parked */
void unpark_sweep(struct target *target); /* and what is too old */
void unpark_forgotten(struct park *park, int64_t time_ms); /* one is in Redis only: read it again */

/* share.c: what is invalid, as other instances see it */
void share_down(struct circuit *circuit);
void share_up(struct circuit *circuit);
void share_ask_probe(struct circuit *circuit);
void share_probe_now(struct circuit *circuit); /* an invalid one, whatever its time says */
/* Reads those of an application; cb when it is done, also when it went wrong. */
void share_read(struct push_app *app, void (*cb)(bool is_read, struct push_app *app));
void share_apply(struct circuit *circuit); /* its state as last read */
/* What no subscription leads to any more, and nobody here knows; and what is of another scope, and
 * nobody has asked for. */
void share_forget_unused(struct push_app *app);
void share_free(struct shared_breakers *breakers);

/* push.c */
void push_set_paused(struct push *push, bool is_paused); /* all sending and reading of this instance */
void push_go(struct push *push); /* the switches are known: everything else starts, once */

/* switches.c: what an operator paused */
bool switches_is_paused(const struct push *push, struct str url);
void switches_refresh(struct push *push); /* asks Redis */
void switches_free(struct push *push);

/* endpoint.c: connections */
struct endpoints *endpoints_new(struct push *push);
void endpoints_free(struct endpoints *endpoints);
struct endpoint *endpoint_get(struct endpoints *endpoints, struct str app_id, struct str url);
void endpoint_release(struct endpoint *endpoint); /* one target less */
void endpoint_enqueue(struct target *target);     /* it may have something to send */
void endpoint_dequeue(struct target *target);
void endpoints_sweep(struct endpoints *endpoints); /* idle and old connections */
size_t endpoints_connection_count(const struct endpoints *endpoints);

/* sweep_sessions.c: connections of devices at instances that are dead; at each heartbeat */
void sweep_sessions(struct push *push, const redisReply *instances);
void sessions_late(struct push *push); /* others may have swept ours */

/* watcher.c: events of devices that somebody watches (core/device/watch.h) are copied */
void watcher_start(struct push *push);
void watcher_free(struct push *push);
/* A new owner hears of them: "<watch> <device>" each. */
void watcher_take_over(struct partition *partition, const struct redisReply *watches);
void watcher_entry_read(struct partition *partition, const struct entry_facts *entry);
void watcher_begin(struct partition *partition, const struct event_facts *facts); /* EVENT_WATCH_STARTED */
void watcher_forget(struct partition *partition); /* it is not ours any more */

/* timers.c: durable timers of the partitions */
struct timers *timers_new(struct push *push);
void timers_start(struct timers *timers);
void timers_stop(struct timers *timers);
void timers_free(struct timers *timers);

/* indexer.c: the index of devices follows their records */
struct indexer *indexer_new(struct push *push);
void indexer_start(struct indexer *indexer);
void indexer_stop(struct indexer *indexer);
void indexer_free(struct indexer *indexer);
/* An event of this kind was read: it may have marked its device. */
void indexer_event_read(struct partition *partition, enum event_kind kind);

#endif

/*
 * The owner's work on its partitions' event streams: read what is new, keep it until every delivery is
 * done, then delete it from the stream.
 *
 * One blocking XREAD over all owned partitions is always under way on a connection of its own. A
 * stream is read from its start when the partition is taken, and again after each reconnect: what is
 * in memory already is recognised by its id and left alone. The window bounds events in memory:
 * above it no XREAD is sent until half of it has drained.
 *
 * Acknowledgements (XDEL) are collected for a moment and sent one command per partition. An event
 * stays in memory until its XDEL is confirmed; after a lost connection the same ids are sent again.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include <stdlib.h>

#define READ_COUNT     "64"   /* entries per stream and read */
#define READ_BLOCK     "1000" /* ms; a lost wake-up costs no more than this */
#define ACK_DELAY_MS   20
#define ACK_MAX        200 /* ids per XDEL */
#define READ_RETRY_MS  200

struct partition_reader {
    struct owner *owner;
    uint32_t number;
    char last_id[EVENT_ID_SIZE];
    struct push_event *events; /* hash by id: all in memory */
    struct push_event_list done;    /* wait for their XDEL to be sent */
    struct push_event_list deleting; /* XDEL under way */
};

struct owner {
    struct push *push;
    struct redis *reader;
    struct partition_reader *partitions;
    size_t count;
    bool is_running, is_reading;
    size_t deleting; /* XDELs under way */
    size_t done;     /* events that wait for one */
    struct event *ack_timer, *read_timer;
};

static void read_more(struct owner *owner);

/* ---- events ---- */

static void forget_event(struct push_event *event)
{
    HASH_DEL(event->partition->events, event);
    event->push->event_count--;
    free(event);
}

static struct push_event *remember_event(struct partition_reader *partition, struct str id,
                                    struct str entry)
{
    struct push_event *event = xmalloc(sizeof(*event) + entry.len + 1);

    memset(event, 0, sizeof(*event));
    memcpy(event->entry, entry.p, entry.len);
    event->entry[entry.len] = '\0';
    memcpy(event->id, id.p, id.len);
    event->push = partition->owner->push;
    event->partition = partition;
    HASH_ADD(hh, partition->events, id[0], id.len, event);
    event->push->event_count++;
    return event;
}

static void take_entry(struct partition_reader *partition, const redisReply *entry)
{
    struct str id = redis_reply_str(redis_reply_at(entry, 0));
    struct str text = redis_reply_str(redis_reply_at(redis_reply_at(entry, 1), 1));
    struct push_event *event;

    if (id.len == 0 || id.len >= EVENT_ID_SIZE)
        return;
    memcpy(partition->last_id, id.p, id.len);
    partition->last_id[id.len] = '\0';
    HASH_FIND(hh, partition->events, id.p, id.len, event);
    if (event)
        return; /* read before the connection was lost */
    event = remember_event(partition, id, text.p ? text : STR(""));
    if (!event_read(str_n(event->entry, text.len), &event->facts)) {
        log_error("push", "event=%u-%s state=dropped reason=unreadable", partition->number,
                  event->id);
        metric_inc(M_EVENTS_MALFORMED);
        owner_acknowledge(event);
        return;
    }
    metric_add(M_EVENTS, 1, event_kind_name(event->facts.kind), NULL, NULL);
    dispatch_event(event);
}

/* ---- reading ---- */

static struct partition_reader *partition_of_stream(struct owner *owner, struct str key)
{
    /* {p<N>}:q */
    uint64_t number;
    struct str rest;

    if (key.len < 4)
        return NULL;
    if (!str_to_u64(str_split(str_n(key.p + 2, key.len - 2), '}', &rest), owner->count - 1,
                    &number))
        return NULL;
    return &owner->partitions[number];
}

static void retry_reading(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_more(arg);
}

static void read_later(struct owner *owner)
{
    struct timeval pause = {0, READ_RETRY_MS * 1000};

    event_add(owner->read_timer, &pause);
}

static void streams_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;

    owner->is_reading = false;
    if (status != REDIS_DONE) {
        if (status == REDIS_ERROR)
            log_error("push", "what=read state=failed reason=%s", reply->str);
        if (owner->is_running)
            read_later(owner);
        return;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *stream = redis_reply_at(reply, i);
        const redisReply *entries = redis_reply_at(stream, 1);
        struct partition_reader *partition =
            partition_of_stream(owner, redis_reply_str(redis_reply_at(stream, 0)));

        for (size_t n = 0; partition && entries && n < entries->elements; n++)
            take_entry(partition, redis_reply_at(entries, n));
    }
    read_more(owner);
}

static void read_more(struct owner *owner)
{
    size_t argc = 6 + 2 * owner->count, n = 6;
    struct str *argv;
    struct key *keys;

    if (!owner->is_running || owner->is_reading || owner->push->is_stopping ||
        (int64_t)owner->push->event_count >= owner->push->settings->window_events)
        return;
    argv = xcalloc(argc, sizeof(*argv));
    keys = xcalloc(owner->count, sizeof(*keys));
    argv[0] = STR("XREAD");
    argv[1] = STR("COUNT");
    argv[2] = STR(READ_COUNT);
    argv[3] = STR("BLOCK");
    argv[4] = STR(READ_BLOCK);
    argv[5] = STR("STREAMS");
    for (size_t i = 0; i < owner->count; i++)
        argv[n++] = key_events(&keys[i], owner->partitions[i].number);
    for (size_t i = 0; i < owner->count; i++)
        argv[n++] = str_of(owner->partitions[i].last_id);
    owner->is_reading = true;
    redis_command(owner->reader, argc, argv, streams_read, owner);
    free(argv);
    free(keys);
}

void owner_resume(struct owner *owner)
{
    if ((int64_t)owner->push->event_count * 2 < owner->push->settings->window_events)
        read_more(owner);
}

/* ---- acknowledging ---- */

struct ack {
    struct owner *owner;
    struct partition_reader *partition;
    size_t count; /* from the head of `deleting`: replies come in order */
};

static void schedule_acks(struct owner *owner)
{
    struct timeval pause = {0, ACK_DELAY_MS * 1000};

    if (!event_pending(owner->ack_timer, EV_TIMEOUT, NULL))
        event_add(owner->ack_timer, &pause);
}

static void check_stopped(struct owner *owner)
{
    if (owner->push->is_stopping && owner_is_idle(owner))
        event_active(owner->push->stop_check, EV_TIMEOUT, 0);
}

static void events_deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct ack *ack = arg;
    struct partition_reader *partition = ack->partition;
    struct owner *owner = ack->owner;

    (void)reply;
    owner->deleting--;
    for (size_t i = 0; i < ack->count; i++) {
        struct push_event *event = TAILQ_FIRST(&partition->deleting);

        TAILQ_REMOVE(&partition->deleting, event, link);
        if (status == REDIS_DONE) {
            forget_event(event);
        } else {
            TAILQ_INSERT_TAIL(&partition->done, event, link);
            owner->done++;
        }
    }
    free(ack);
    if (owner->done > 0 && owner->is_running)
        schedule_acks(owner);
    owner_resume(owner);
    check_stopped(owner);
}

static void delete_some(struct partition_reader *partition)
{
    struct str argv[2 + ACK_MAX];
    struct key key;
    struct ack *ack = xcalloc(1, sizeof(*ack));
    struct push_event *event;

    ack->owner = partition->owner;
    ack->partition = partition;
    argv[0] = STR("XDEL");
    argv[1] = key_events(&key, partition->number);
    while (ack->count < ACK_MAX && (event = TAILQ_FIRST(&partition->done))) {
        TAILQ_REMOVE(&partition->done, event, link);
        TAILQ_INSERT_TAIL(&partition->deleting, event, link);
        argv[2 + ack->count++] = str_of(event->id);
        partition->owner->done--;
    }
    partition->owner->deleting++;
    redis_command(partition->owner->push->core->redis, 2 + ack->count, argv, events_deleted, ack);
}

static void send_acks(evutil_socket_t fd, short what, void *arg)
{
    struct owner *owner = arg;

    (void)fd;
    (void)what;
    if (!redis_is_connected(owner->push->core->redis))
        return; /* owner_start sends them after the reconnect */
    for (size_t i = 0; i < owner->count; i++) {
        while (!TAILQ_EMPTY(&owner->partitions[i].done))
            delete_some(&owner->partitions[i]);
    }
}

void owner_acknowledge(struct push_event *event)
{
    struct owner *owner = event->partition->owner;

    TAILQ_INSERT_TAIL(&event->partition->done, event, link);
    owner->done++;
    schedule_acks(owner);
}

bool owner_is_idle(const struct owner *owner)
{
    return owner->deleting == 0 && owner->done == 0;
}

/* ---- start and end ---- */

static void take_partitions(struct owner *owner)
{
    owner->count = owner->push->core->partition_count;
    owner->partitions = xcalloc(owner->count, sizeof(*owner->partitions));
    for (size_t i = 0; i < owner->count; i++) {
        owner->partitions[i].owner = owner;
        owner->partitions[i].number = (uint32_t)i;
        TAILQ_INIT(&owner->partitions[i].done);
        TAILQ_INIT(&owner->partitions[i].deleting);
    }
    metric_set(M_PARTITIONS_OWNED, (double)owner->count, NULL);
}

void owner_start(struct owner *owner)
{
    if (!owner->partitions)
        take_partitions(owner);
    for (size_t i = 0; i < owner->count; i++)
        memcpy(owner->partitions[i].last_id, "0-0", 4);
    owner->is_running = true;
    if (owner->done > 0)
        schedule_acks(owner);
    read_more(owner);
}

void owner_redis_lost(struct owner *owner)
{
    owner->is_running = false;
}

void owner_stop_reading(struct owner *owner)
{
    event_del(owner->read_timer);
    if (owner->done > 0)
        event_active(owner->ack_timer, EV_TIMEOUT, 0);
}

struct owner *owner_new(struct push *push, struct redis *reader)
{
    struct owner *owner = xcalloc(1, sizeof(*owner));

    owner->push = push;
    owner->reader = reader;
    owner->ack_timer = evtimer_new(push->core->base, send_acks, owner);
    owner->read_timer = evtimer_new(push->core->base, retry_reading, owner);
    return owner;
}

void owner_free(struct owner *owner)
{
    for (size_t i = 0; i < owner->count; i++) {
        struct push_event *event, *next;

        HASH_ITER (hh, owner->partitions[i].events, event, next)
            forget_event(event);
    }
    event_free(owner->ack_timer);
    event_free(owner->read_timer);
    free(owner->partitions);
    free(owner);
}

unsigned owner_partition_number(const struct partition_reader *partition)
{
    return partition->number;
}

size_t owner_partition_count(const struct owner *owner)
{
    return owner->count;
}

int64_t owner_oldest_event_ms(const struct owner *owner)
{
    int64_t oldest_ms = 0;

    for (size_t i = 0; i < owner->count; i++) {
        /* uthash keeps the order of insertion: the first one is the oldest of its partition */
        const struct push_event *event = owner->partitions[i].events;

        if (event && (!oldest_ms || event->facts.time_ms < oldest_ms))
            oldest_ms = event->facts.time_ms;
    }
    return oldest_ms;
}

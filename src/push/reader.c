/*
 * From the event streams into memory.
 *
 * One blocking XREAD over all owned partitions is always under way on a connection of its own. A
 * stream is read from its start when the partition is taken, and again after each reconnect: what is
 * in memory already is recognised by its id and left alone. While such a read is under way, what was
 * deleted in Redis meanwhile stays in memory: the reply, which comes over another connection, may still
 * have it. The window bounds events in memory:
 * above it no XREAD is sent until half of it has drained.
 */
#include "push/delivery.h"

#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include <stdlib.h>

#define READ_COUNT    64    /* entries per stream and read */
#define READ_BLOCK    "500" /* ms; a partition taken meanwhile waits no longer than this */
#define READ_RETRY_MS 200

struct reader {
    struct push *push;
    struct redis *redis;
    bool is_running, is_reading;
    bool is_catching_up; /* the read under way may bring what was read before */
    size_t asked;        /* entries of each stream, by the read under way */
    struct push_event_list kept; /* deleted, but perhaps in its reply */
    size_t large_bytes; /* of an entry, as it was lately: the largest, or less with time */
    struct event *retry;
};

/* ---- what was read ---- */

/* An entry has one field, or a second one, when it is for one subscription only:
 * "<id of the event as first stored> <part> <subscription>". */
static bool read_entry(const redisReply *entry, struct entry_facts *facts)
{
    const redisReply *fields = redis_reply_at(entry, 1);
    struct str only = redis_reply_field(fields, "only"), rest;
    uint64_t part;

    *facts = (struct entry_facts){.id = redis_reply_str(redis_reply_at(entry, 0)),
                                  .text = redis_reply_field(fields, "e")};
    facts->bytes = facts->text.len;
    if (!facts->text.p)
        facts->text = STR("");
    if (only.p) {
        facts->origin_id = str_split(only, ' ', &rest);
        if (str_to_u64(str_split(rest, ' ', &rest), UINT32_MAX, &part))
            facts->only = (struct delivery_facts){rest, (unsigned)part, 0, 0};
    }
    return facts->id.len > 0 && facts->id.len < EVENT_ID_SIZE;
}

static void take_entry(struct reader *reader, struct partition *partition,
                       const redisReply *entry)
{
    struct entry_facts facts;
    struct push_event *event;

    if (!read_entry(entry, &facts))
        return;
    if (facts.bytes > reader->large_bytes)
        reader->large_bytes = facts.bytes;
    memcpy(partition->last_id, facts.id.p, facts.id.len);
    partition->last_id[facts.id.len] = '\0';
    if (reader->push->watched)
        watcher_entry_read(partition, &facts);
    if (stream_has(&partition->stream, facts.id))
        return; /* read before the connection was lost */
    event = stream_remember(&partition->stream, &facts);
    if (!event)
        return;
    metric_add(M_EVENTS, 1, event_kind_name(event->facts.kind), NULL, NULL);
    indexer_event_read(partition, event->facts.kind);
    if (event->facts.kind == EVENT_WATCH_STARTED)
        watcher_begin(partition, &event->facts);
    dispatch_event(event);
}

/* "{p<N>}:q" */
static struct partition *partition_of_stream(struct push *push, struct str key)
{
    struct str rest;
    uint64_t number;

    if (key.len < 4 || !str_to_u64(str_split(str_n(key.p + 2, key.len - 2), '}', &rest),
                                   push->core->partition_count - 1, &number))
        return NULL;
    return &push->partitions[number];
}

static void take_stream(struct reader *reader, const redisReply *stream)
{
    const redisReply *entries = redis_reply_at(stream, 1);
    struct partition *partition =
        partition_of_stream(reader->push, redis_reply_str(redis_reply_at(stream, 0)));

    /* It may have been lost, or released, or even come back since the read was sent: then what was
     * read would stand behind what is still to be read. */
    if (!partition || !entries || partition->state != PARTITION_OWNED ||
        partition->is_to_be_read_anew)
        return;
    for (size_t n = 0; n < entries->elements; n++)
        take_entry(reader, partition, redis_reply_at(entries, n));
}

/* ---- reading ---- */

static void read_more(struct reader *reader);

static void read_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_more(arg);
}

void reader_let_go(struct reader *reader, struct push_event *event)
{
    if (!reader->is_reading || !reader->is_catching_up) {
        event_free_memory(event);
        return;
    }
    event->is_recorded = true;
    TAILQ_INSERT_TAIL(&reader->kept, event, link);
}

static void free_kept(struct reader *reader)
{
    struct push_event *event;

    while ((event = TAILQ_FIRST(&reader->kept))) {
        TAILQ_REMOVE(&reader->kept, event, link);
        event_free_memory(event);
    }
}

static bool has_full_stream(const struct reader *reader, const redisReply *reply)
{
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *entries = redis_reply_at(redis_reply_at(reply, i), 1);

        if (entries && entries->elements >= reader->asked)
            return true;
    }
    return false;
}

static void streams_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reader *reader = arg;

    reader->is_reading = false;
    if (status != REDIS_DONE) {
        struct timeval pause = {0, READ_RETRY_MS * 1000};

        free_kept(reader);
        if (status == REDIS_ERROR)
            log_error("push", "what=read state=failed reason=%s", reply->str);
        if (reader->is_running)
            event_add(reader->retry, &pause);
        return;
    }
    for (size_t i = 0; i < reply->elements; i++)
        take_stream(reader, redis_reply_at(reply, i));
    free_kept(reader);
    if (!has_full_stream(reader, reply))
        reader->is_catching_up = false;
    read_more(reader);
}

static bool has_room(const struct push *push)
{
    return (int64_t)push->event_count < push->settings->window_events &&
           (int64_t)push->event_bytes < push->settings->window_bytes;
}

/* Entries to ask for, of each stream: few when they were large lately, so that what comes at once
 * stays within the window. */
static int64_t read_count(const struct reader *reader, size_t streams)
{
    int64_t room = reader->push->settings->window_bytes - (int64_t)reader->push->event_bytes;
    int64_t count = room / (int64_t)streams / (int64_t)(reader->large_bytes + 1);

    return count < 1 ? 1 : count > READ_COUNT ? READ_COUNT : count;
}

static void read_more(struct reader *reader)
{
    struct push *push = reader->push;
    uint32_t count = push->partitions ? push->core->partition_count : 0;
    size_t streams = 0;
    struct str *argv;
    struct decimal entries;
    struct key *keys;

    if (!reader->is_running || reader->is_reading || push->is_stopping ||
        push->is_paused || !has_room(push))
        return;
    for (uint32_t i = 0; i < count; i++)
        streams += push->partitions[i].state == PARTITION_OWNED;
    if (streams == 0)
        return;
    reader->large_bytes -= reader->large_bytes / 16;
    argv = xcalloc(6 + 2 * streams, sizeof(*argv));
    keys = xcalloc(streams, sizeof(*keys));
    reader->asked = (size_t)read_count(reader, streams);
    memcpy(argv,
           (struct str[]){STR("XREAD"), STR("COUNT"),
                          decimal_str(&entries, (int64_t)reader->asked), STR("BLOCK"),
                          STR(READ_BLOCK), STR("STREAMS")},
           6 * sizeof(*argv));
    for (uint32_t i = 0, n = 0; i < count; i++) {
        struct partition *partition = &push->partitions[i];

        if (partition->state != PARTITION_OWNED)
            continue;
        if (partition->is_to_be_read_anew) {
            memcpy(partition->last_id, "0-0", 4);
            reader->is_catching_up = true;
        }
        partition->is_to_be_read_anew = false;
        argv[6 + n] = key_events(&keys[n], i);
        argv[6 + streams + n++] = str_of(partition->last_id);
    }
    reader->is_reading = true;
    redis_command(reader->redis, 6 + 2 * streams, argv, streams_read, reader);
    free(argv);
    free(keys);
}

void reader_resume(struct reader *reader)
{
    read_more(reader);
}

/* Not here and now: the event may be one of many that leave. */
void reader_room_grew(struct reader *reader)
{
    const struct push *push = reader->push;

    if (reader->is_running && !reader->is_reading &&
        (int64_t)push->event_count * 2 < push->settings->window_events &&
        (int64_t)push->event_bytes * 2 < push->settings->window_bytes)
        event_active(reader->retry, EV_TIMEOUT, 0);
}

void reader_start(struct reader *reader)
{
    struct push *push = reader->push;

    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++)
        push->partitions[i].is_to_be_read_anew = true;
    reader->is_running = true;
    read_more(reader);
}

void reader_stop(struct reader *reader)
{
    reader->is_running = false;
    event_del(reader->retry);
}

struct reader *reader_new(struct push *push, struct redis *redis)
{
    struct reader *reader = xcalloc(1, sizeof(*reader));

    reader->push = push;
    reader->redis = redis;
    reader->retry = evtimer_new(push->core->base, read_again, reader);
    TAILQ_INIT(&reader->kept);
    return reader;
}

void reader_free(struct reader *reader)
{
    event_free(reader->retry);
    free(reader);
}

int64_t reader_oldest_event_ms(const struct push *push)
{
    int64_t oldest_ms = 0;

    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        /* uthash keeps the order of insertion: the first one is the oldest of its partition */
        const struct push_event *event = push->partitions[i].stream.events;

        if (event && (!oldest_ms || event->facts.time_ms < oldest_ms))
            oldest_ms = event->facts.time_ms;
    }
    return oldest_ms;
}

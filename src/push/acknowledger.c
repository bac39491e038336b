/*
 * From memory and the streams out: entries whose deliveries are all done are deleted in Redis,
 * collected for a moment and sent as one script per stream, which refuses when the lease was lost.
 * An entry stays in memory until its deletion is confirmed; after a lost connection the same ids are
 * sent again.
 */
#include "push/delivery.h"
#include "push/park.h"

#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define DELAY_MS 50 /* what a kill -9 may cost in repeated notifications, against commands */
#define IDS_MAX  200 /* per script */

struct acknowledger {
    struct push *push;
    struct event *timer;
    struct stream_list dirty; /* with entries in `done` */
};

struct batch {
    struct stream *stream;
    char fence[FENCE_SIZE];
    size_t count; /* from the head of `deleting`: replies come in order */
};

static void schedule(struct acknowledger *acknowledger)
{
    struct timeval pause = {0, DELAY_MS * 1000};

    if (!event_pending(acknowledger->timer, EV_TIMEOUT, NULL))
        event_add(acknowledger->timer, &pause);
}

static void make_dirty(struct acknowledger *acknowledger, struct stream *stream)
{
    if (!stream->is_dirty)
        TAILQ_INSERT_TAIL(&acknowledger->dirty, stream, in_dirty);
    stream->is_dirty = true;
    schedule(acknowledger);
}

static void make_clean(struct acknowledger *acknowledger, struct stream *stream)
{
    if (stream->is_dirty)
        TAILQ_REMOVE(&acknowledger->dirty, stream, in_dirty);
    stream->is_dirty = false;
}

/* ---- answers ---- */

/* A batch's events leave `deleting` one by one from its head. */
static void take_out(struct batch *batch, bool is_over)
{
    struct stream *stream = batch->stream;

    for (size_t i = 0; i < batch->count; i++) {
        struct push_event *event = TAILQ_FIRST(&stream->deleting);

        TAILQ_REMOVE(&stream->deleting, event, link);
        if (is_over && !event->is_forgotten && !stream->park)
            reader_let_go(event->push->reader, event);
        else if (is_over || event->is_forgotten)
            event_free_memory(event);
        else
            TAILQ_INSERT_TAIL(&stream->done, event, link);
    }
}

/* The event stream's script answers 1, a park's {bytes, entries}; both 0 when the lease is lost. */
static bool is_deletion(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY || redis_reply_i64(reply) == 1;
}

static void batch_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct batch *batch = arg;
    struct stream *stream = batch->stream;
    struct partition *partition = stream->partition;
    bool is_ours = strcmp(batch->fence, partition->fence) == 0;
    bool is_deleted = status == REDIS_DONE && is_deletion(reply);

    take_out(batch, is_deleted || !is_ours);
    if (is_ours && status == REDIS_DONE && !is_deleted)
        owner_doubt(partition);
    if (is_deleted && is_ours)
        handover_written(partition);
    if (is_deleted && is_ours && stream->park)
        park_set_size(stream->park, redis_reply_i64(redis_reply_at(reply, 0)),
                      redis_reply_i64(redis_reply_at(reply, 1)));
    if (!TAILQ_EMPTY(&stream->done))
        make_dirty(partition->push->acknowledger, stream);
    owner_partition_moved(partition);
    free(batch);
}

/* ---- sending ---- */

static size_t fill(struct batch *batch, struct str *ids)
{
    struct stream *stream = batch->stream;
    struct push_event *event;

    while (batch->count < IDS_MAX && (event = TAILQ_FIRST(&stream->done))) {
        TAILQ_REMOVE(&stream->done, event, link);
        TAILQ_INSERT_TAIL(&stream->deleting, event, link);
        ids[batch->count++] = event->id;
    }
    return batch->count;
}

static void send_batch(struct stream *stream)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    const struct partition *partition = stream->partition;
    struct redis *redis = partition->push->core->redis;
    struct str args[2 + IDS_MAX] = {str_of(partition->fence)};
    struct key lease, entries, table;
    struct str keys[] = {key_lease(&lease, partition->number), STR_NONE, STR_NONE};

    batch->stream = stream;
    memcpy(batch->fence, partition->fence, sizeof(batch->fence));
    if (stream->park) {
        args[1] = str_of(stream->park->target->digest);
        keys[1] = key_parked(&entries, partition->number, args[1]);
        keys[2] = key_parked_table(&table, partition->number);
        redis_script(redis, &script_unpark, 3, keys, 2 + fill(batch, args + 2), args,
                     batch_answered, batch);
    } else {
        keys[1] = key_events(&entries, partition->number);
        redis_script(redis, &script_acknowledge, 2, keys, 1 + fill(batch, args + 1), args,
                     batch_answered, batch);
    }
}

static void send_all(evutil_socket_t fd, short what, void *arg)
{
    struct acknowledger *acknowledger = arg;
    struct stream *stream;

    (void)fd;
    (void)what;
    if (!redis_is_connected(acknowledger->push->core->redis))
        return; /* acknowledger_start sends them after the reconnect */
    while ((stream = TAILQ_FIRST(&acknowledger->dirty))) {
        make_clean(acknowledger, stream);
        while (!TAILQ_EMPTY(&stream->done))
            send_batch(stream);
    }
}

void event_done(struct push_event *event)
{
    if (event->is_forgotten) {
        event_free_memory(event);
        return;
    }
    TAILQ_INSERT_TAIL(&event->stream->done, event, link);
    make_dirty(event->push->acknowledger, event->stream);
}

void acknowledger_forget(struct stream *stream)
{
    struct push_event *event;

    make_clean(stream->partition->push->acknowledger, stream);
    while ((event = TAILQ_FIRST(&stream->done))) {
        TAILQ_REMOVE(&stream->done, event, link);
        event_free_memory(event);
    }
}

/* ---- at the end of owning ---- */

struct closing {
    struct partition *partition;
    char fence[FENCE_SIZE];
};

static void closing_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct closing *closing = arg;
    struct partition *partition = closing->partition;
    bool is_ours = strcmp(closing->fence, partition->fence) == 0;

    free(closing);
    if (!is_ours)
        return;
    partition->closings--;
    if (status != REDIS_DONE || !is_deletion(reply))
        partition->is_closed = false;
    if (status == REDIS_DONE && !is_deletion(reply))
        owner_doubt(partition);
    owner_partition_moved(partition);
}

static void send_closing(struct partition *partition, struct str *args, size_t count)
{
    struct closing *closing = xcalloc(1, sizeof(*closing));
    struct key lease, entries;

    closing->partition = partition;
    memcpy(closing->fence, partition->fence, sizeof(closing->fence));
    partition->closings++;
    args[0] = str_of(partition->fence);
    redis_script(partition->push->core->redis, &script_acknowledge, 2,
                 (struct str[]){key_lease(&lease, partition->number),
                                key_events(&entries, partition->number)},
                 1 + count, args, closing_answered, closing);
}

void acknowledger_close(struct partition *partition)
{
    struct str args[1 + IDS_MAX];
    const struct push_event *event;
    size_t count = 0;

    partition->is_closed = true; /* unless an answer says otherwise */
    for (event = partition->stream.events; event; event = event->hh.next) {
        if (TAILQ_EMPTY(&event->deliveries) || !TAILQ_FIRST(&event->deliveries)->is_parked_too)
            continue;
        args[1 + count++] = event->id;
        if (count == IDS_MAX) {
            send_closing(partition, args, count);
            count = 0;
        }
    }
    if (count > 0)
        send_closing(partition, args, count);
}

void acknowledger_start(struct acknowledger *acknowledger)
{
    event_active(acknowledger->timer, EV_TIMEOUT, 0);
}

struct acknowledger *acknowledger_new(struct push *push)
{
    struct acknowledger *acknowledger = xcalloc(1, sizeof(*acknowledger));

    acknowledger->push = push;
    acknowledger->timer = evtimer_new(push->core->base, send_all, acknowledger);
    TAILQ_INIT(&acknowledger->dirty);
    return acknowledger;
}

void acknowledger_free(struct acknowledger *acknowledger)
{
    event_free(acknowledger->timer);
    free(acknowledger);
}

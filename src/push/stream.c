/*
 * Entries of a stream in memory: from their reading to the confirmation of their deletion in Redis,
 * or until they are forgotten, which leaves them in Redis for whoever reads the stream next.
 */
#include "push/delivery.h"
#include "push/park.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include <stdlib.h>

void stream_init(struct stream *stream, struct partition *partition, struct park *park)
{
    stream->partition = partition;
    stream->park = park;
    TAILQ_INIT(&stream->done);
    TAILQ_INIT(&stream->deleting);
}

bool stream_has(const struct stream *stream, struct str id)
{
    struct push_event *event;

    HASH_FIND(hh, stream->events, id.p, id.len, event);
    return event != NULL;
}

static struct str put(char **end, struct str s)
{
    struct str copy = str_n(*end, s.len);

    if (!s.p)
        return STR_NONE;
    memcpy(*end, s.p, s.len);
    *end += s.len;
    *(*end)++ = '\0';
    return copy;
}

struct push_event *stream_remember(struct stream *stream, const struct entry_facts *facts)
{
    struct push *push = stream->partition->push;
    size_t size = facts->id.len + facts->origin_id.len + facts->only.subscription_id.len +
                  facts->text.len + 4;
    struct push_event *event = xmalloc(sizeof(*event) + size);
    char *end = event->text;

    memset(event, 0, sizeof(*event));
    event->push = push;
    event->stream = stream;
    event->id = put(&end, facts->id);
    event->origin_id = facts->origin_id.p ? put(&end, facts->origin_id) : event->id;
    event->only = facts->only;
    event->only.subscription_id = put(&end, facts->only.subscription_id);
    event->bytes = facts->bytes;
    TAILQ_INIT(&event->deliveries);
    HASH_ADD_KEYPTR(hh, stream->events, event->id.p, event->id.len, event);
    stream->held++;
    push->event_count++;
    push->event_bytes += event->bytes;
    if (event_read(put(&end, facts->text), &event->facts))
        return event;
    log_error("push", "event=%u-%.*s state=dropped reason=unreadable", stream->partition->number,
              STR_ARG(event->origin_id));
    metric_inc(M_EVENTS_MALFORMED);
    metric_add(M_DROPPED, 1, "unreadable", NULL, NULL);
    event_done(event);
    return NULL;
}

void event_less(struct push_event *event)
{
    if (--event->pending == 0)
        event_done(event);
}

void event_free_memory(struct push_event *event)
{
    struct partition *partition = event->stream->partition;

    if (!event->is_forgotten) /* it left the table then */
        HASH_DEL(event->stream->events, event);
    event->stream->held--;
    if (event->is_given_up)
        event->stream->park->target->given_up_bytes -= (int64_t)event->bytes;
    event->push->event_count--;
    event->push->event_bytes -= event->bytes;
    reader_room_grew(event->push->reader);
    free(event);
    owner_partition_moved(partition);
}

/* At once: should its stream be read again, it is there anew. */
void event_leave_stream(struct push_event *event)
{
    HASH_DEL(event->stream->events, event);
    event->is_forgotten = true;
    if (event->stream->park)
        unpark_forgotten(event->stream->park, event->facts.time_ms);
}

void event_forget(struct push_event *event)
{
    struct delivery *delivery, *next;

    if (event->is_forgotten)
        return;
    event_leave_stream(event);
    if (event->is_waiting) {
        dispatch_forget(event);
        event_free_memory(event);
        return;
    }
    if (event->pending == 0)
        return; /* its deletion is under way; the answer frees it */
    event->pending++; /* it must not end in the middle of this */
    for (delivery = TAILQ_FIRST(&event->deliveries); delivery; delivery = next) {
        struct lane *lane = delivery->lane;

        next = TAILQ_NEXT(delivery, in_event);
        if (lane->state != LANE_IN_FLIGHT || TAILQ_FIRST(&lane->deliveries) != delivery)
            lane_remove(lane, delivery);
    }
    event_less(event);
}

static void stream_forget(struct stream *stream)
{
    struct push_event *event, *next;

    acknowledger_forget(stream);
    HASH_ITER (hh, stream->events, event, next)
        event_forget(event);
}

void partition_forget_events(struct partition *partition)
{
    struct park *park;

    stream_forget(&partition->stream);
    TAILQ_FOREACH (park, &partition->parks, in_partition)
        stream_forget(&park->stream);
    park_forget(partition);
}

/*
 * Giving a partition away, to whom it should belong or because we stop, without loss and without
 * repetition.
 *
 * It is not read any more, and nothing more of it is sent. What is on the wire ends. What one
 * subscription has had and another has not is parked for that other, since whoever reads such an
 * event anew would send it to both. When all that is written and what is done is acknowledged, the
 * lease is given back. What nobody has had is in the stream still.
 *
 * What is on the wire when the time is over is not waited for: if others have had the event it is
 * parked for this subscription too, and comes there once more; else it is left in the stream.
 */
#include "push/park.h"

#define GRACE_MS 5000 /* for what is to be written then */

/* ---- what others have had ---- */

static bool is_leaving(const struct lane *lane)
{
    const struct delivery *head = TAILQ_FIRST(&lane->deliveries);

    return head->event->stream->partition->state == PARTITION_RELEASING;
}

static bool has_begun(const struct lane *lane)
{
    const struct delivery *delivery;

    TAILQ_FOREACH (delivery, &lane->deliveries, in_lane) {
        if (delivery->event->is_begun && !delivery->event->is_forgotten)
            return true;
    }
    return false;
}

/* Behind what is on the wire; if that fails it is parked as well, for the sake of order.
 * false: there was nothing to do. */
static bool park_begun(struct lane *lane)
{
    const struct delivery *head = TAILQ_FIRST(&lane->deliveries);
    bool has_changed = lane->state != LANE_IN_FLIGHT || !head->event->is_begun ||
                       TAILQ_NEXT(head, in_lane) != NULL;

    head->event->is_begun = true;
    lane_park(lane);
    return has_changed;
}

/* A lane is parked as a whole, to keep its order, so further events of its device are begun then. */
void handover_park_begun(struct push *push)
{
    struct lane *lane, *next;
    bool has_changed;

    do {
        has_changed = false;
        HASH_ITER (hh, push->lanes, lane, next) {
            if (is_leaving(lane) && has_begun(lane) && park_begun(lane))
                has_changed = true;
        }
    } while (has_changed);
}

/* What is left of a begun event is on the wire. */
static void park_in_flight(struct partition *partition)
{
    struct push_event *event;
    struct delivery *delivery;

    for (event = partition->stream.events; event; event = event->hh.next) {
        if (!event->is_begun)
            continue;
        TAILQ_FOREACH (delivery, &event->deliveries, in_event) {
            const struct delivery_facts which = {delivery->lane->subscription_id, delivery->part,
                                                 delivery->attempts, delivery->refusals};

            if (!delivery->is_parked_too)
                park_add(delivery->lane->target, event, &which);
            delivery->is_parked_too = true;
        }
    }
}

/* ---- what is to be written ---- */

static bool is_written(const struct stream *stream)
{
    return TAILQ_EMPTY(&stream->done) && TAILQ_EMPTY(&stream->deleting);
}

static bool is_all_written(const struct partition *partition)
{
    const struct park *park;

    TAILQ_FOREACH (park, &partition->parks, in_partition) {
        if (park->batches > 0 || !TAILQ_EMPTY(&park->writes) || !is_written(&park->stream))
            return false;
    }
    return is_written(&partition->stream);
}

bool handover_is_over(struct partition *partition, int64_t now_ms)
{
    struct push *push = partition->push;

    if (partition->in_flight > 0 && now_ms < partition->release_by_ms)
        return false;
    if (now_ms >= partition->release_by_ms + GRACE_MS)
        return true; /* Redis does not take it: better once more than never */
    if (redis_is_connected(push->core->redis))
        park_in_flight(partition);
    if (!is_all_written(partition)) {
        parker_resume(push->parker);
        acknowledger_start(push->acknowledger);
        return false;
    }
    acknowledger_send_parked(partition);
    return true;
}

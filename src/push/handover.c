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
 * parked for this subscription too, and comes there once more unless it is answered before the lease
 * is given back; else it is left in the stream. Nothing else comes twice as long as Redis answers: what
 * has been had is waited for until it is recorded. How much may come once more is said in the log.
 */
#include "push/headers.h"
#include "push/park.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

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

static bool is_on_wire(const struct delivery *delivery)
{
    return delivery->lane->state == LANE_IN_FLIGHT &&
           TAILQ_FIRST(&delivery->lane->deliveries) == delivery;
}

static void count_parked(struct lane *lane)
{
    const struct delivery *delivery;

    TAILQ_FOREACH (delivery, &lane->deliveries, in_lane)
        lane->push->left.parked += !is_on_wire(delivery) && !delivery->event->stream->park;
}

/* Behind what is on the wire; if that fails it is parked as well, for the sake of order.
 * false: there was nothing to do. */
static bool park_begun(struct lane *lane)
{
    const struct delivery *head = TAILQ_FIRST(&lane->deliveries);
    bool has_changed = lane->state != LANE_IN_FLIGHT || !head->event->is_begun ||
                       TAILQ_NEXT(head, in_lane) != NULL;

    head->event->is_begun = true;
    count_parked(lane);
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

            if (delivery->is_parked_too)
                continue;
            park_add(delivery->lane->target, event, &which);
            delivery->is_parked_too = true;
            partition->push->left.parked++;
        }
    }
}

/* ---- what was parked, and is answered all the same ---- */

struct take_back {
    struct park *park;
    char fence[FENCE_SIZE];
};

static void taken_back(enum redis_status status, const redisReply *reply, void *arg)
{
    struct take_back *take_back = arg;
    struct park *park = take_back->park;
    struct partition *partition = park->stream.partition;

    park->batches--;
    if (status == REDIS_DONE && reply->type == REDIS_REPLY_ARRAY &&
        strcmp(take_back->fence, partition->fence) == 0)
        park_set_size(park, redis_reply_i64(redis_reply_at(reply, 0)),
                      redis_reply_i64(redis_reply_at(reply, 1)));
    owner_partition_moved(partition);
    free(take_back);
}

/* Behind the write of it. Should Redis not do it, the delivery comes once more. */
static void send_take_back(struct park *park, const char *name)
{
    const struct partition *partition = park->stream.partition;
    struct take_back *take_back = xcalloc(1, sizeof(*take_back));
    struct str digest = str_of(park->target->digest);
    struct key lease, entries, table;

    take_back->park = park;
    memcpy(take_back->fence, partition->fence, sizeof(take_back->fence));
    park->batches++;
    redis_script(park->target->push->core->redis, &script_unpark, 3,
                 (struct str[]){key_lease(&lease, partition->number),
                                key_parked(&entries, partition->number, digest),
                                key_parked_table(&table, partition->number)},
                 3, (struct str[]){str_of(partition->fence), digest, str_of(name)}, taken_back,
                 take_back);
}

static bool cancel_write(struct park *park, const char *name)
{
    struct parking *parking;

    TAILQ_FOREACH (parking, &park->writes, link) {
        if (strcmp(parking->name, name) != 0)
            continue;
        TAILQ_REMOVE(&park->writes, parking, link);
        park->write_count--;
        park->writes_sent++; /* there is nothing of it to be read */
        event_less(parking->event);
        free(parking);
        return true;
    }
    return false;
}

void handover_take_back(struct delivery *delivery)
{
    const struct push_event *event = delivery->event;
    const struct target *target = delivery->lane->target;
    struct park *park =
        target->parks ? target->parks[event->stream->partition->number] : NULL;
    char name[PARK_NAME_SIZE];

    if (!park || !park_write_name(name, event->origin_id, delivery->part,
                                  delivery->lane->subscription_id))
        return; /* its subscription leads elsewhere now */
    if (!cancel_write(park, name))
        send_take_back(park, name);
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

void handover_written(struct partition *partition)
{
    if (partition->written_ms)
        partition->written_ms = clock_tick_ms();
}

/* For as long as a lease lives nothing was confirmed: it would be refused by now. */
static bool is_given_up(struct partition *partition, int64_t now_ms)
{
    if (!partition->written_ms)
        partition->written_ms = now_ms;
    return now_ms - partition->written_ms >= partition->push->core->settings->lease_ms;
}

bool handover_is_over(struct partition *partition, int64_t now_ms)
{
    struct push *push = partition->push;

    if (partition->in_flight > 0 && now_ms < partition->release_by_ms)
        return false;
    if (is_given_up(partition, now_ms))
        return true;
    if (redis_is_connected(push->core->redis))
        park_in_flight(partition);
    if (!is_all_written(partition)) {
        partition->is_closed = false;
        parker_resume(push->parker);
        acknowledger_start(push->acknowledger);
        return false;
    }
    if (!partition->is_closed && partition->closings == 0)
        acknowledger_close(partition);
    return partition->is_closed && partition->closings == 0;
}

/* ---- what comes once more ---- */

static void count_on_wire(struct push *push, const struct push_event *event)
{
    const struct delivery *delivery;

    TAILQ_FOREACH (delivery, &event->deliveries, in_event) {
        char id[NOTIFY_ID_SIZE];

        if (!is_on_wire(delivery))
            continue;
        push->left.on_wire++;
        notify_id_write(delivery, id);
        log_debug("owner", "notification=%s state=left reason=on_wire", id);
    }
}

/* Somebody has had it, and Redis has not confirmed that. What is for one subscription alone has been
 * had when nothing is left of it. */
static bool is_unconfirmed(const struct push_event *event)
{
    const struct partition *partition = event->stream->partition;
    const struct delivery *delivery = TAILQ_FIRST(&event->deliveries);

    if (!event->is_begun || event->is_recorded || (delivery && event->only.subscription_id.p))
        return false;
    return !delivery || !delivery->is_parked_too || !partition->is_closed || partition->closings > 0;
}

static void count_stream(const struct stream *stream)
{
    struct push *push = stream->partition->push;
    const struct push_event *event;

    for (event = stream->events; event; event = event->hh.next) {
        count_on_wire(push, event);
        if (!is_unconfirmed(event))
            continue;
        push->left.unconfirmed++;
        log_debug("owner", "event=%u-%.*s state=left reason=unconfirmed",
                  (unsigned)stream->partition->number, STR_ARG(event->origin_id));
    }
}

void handover_count(const struct partition *partition, bool is_lost)
{
    struct push *push = partition->push;
    const struct park *park;

    push->left.partitions++;
    push->left.lost += is_lost;
    count_stream(&partition->stream);
    TAILQ_FOREACH (park, &partition->parks, in_partition)
        count_stream(&park->stream);
}

void handover_say(struct push *push)
{
    const struct leavings *left = &push->left;

    if (left->partitions == 0)
        return;
    log_write(left->unconfirmed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "owner",
              "state=given_away partitions=%zu lost=%zu parked=%zu on_wire=%zu unconfirmed=%zu",
              left->partitions, left->lost, left->parked, left->on_wire, left->unconfirmed);
    metric_add(M_HANDED_OVER, left->parked, "parked", NULL, NULL);
    metric_add(M_HANDED_OVER, left->on_wire, "on_wire", NULL, NULL);
    metric_add(M_HANDED_OVER, left->unconfirmed, "unconfirmed", NULL, NULL);
    push->left = (struct leavings){0};
}

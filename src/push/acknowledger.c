/*
 * From memory and the streams out: events whose deliveries are all done are deleted in Redis,
 * collected for a moment and sent as one script per partition, which refuses when the lease was lost.
 * An event stays in memory until its deletion is confirmed; after a lost connection the same ids are
 * sent again.
 */
#include "push/delivery.h"

#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define DELAY_MS 20
#define IDS_MAX  200 /* per script */

struct acknowledger {
    struct push *push;
    struct event *timer;
};

struct batch {
    struct partition *partition;
    char fence[FENCE_SIZE];
    size_t count; /* from the head of `deleting`: replies come in order */
};

void event_free_memory(struct push_event *event)
{
    struct partition *partition = event->partition;

    if (!event->is_forgotten) /* it left the table then */
        HASH_DEL(partition->events, event);
    event->push->event_count--;
    free(event);
    owner_partition_emptied(partition);
}

static void schedule(struct acknowledger *acknowledger)
{
    struct timeval pause = {0, DELAY_MS * 1000};

    if (!event_pending(acknowledger->timer, EV_TIMEOUT, NULL))
        event_add(acknowledger->timer, &pause);
}

/* A batch's events leave `deleting` one by one from its head. */
static void batch_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct batch *batch = arg;
    struct partition *partition = batch->partition;
    struct push *push = partition->push;
    bool is_ours = strcmp(batch->fence, partition->fence) == 0;
    bool is_deleted = status == REDIS_DONE && redis_reply_i64(reply) == 1;

    for (size_t i = 0; i < batch->count; i++) {
        struct push_event *event = TAILQ_FIRST(&partition->deleting);

        TAILQ_REMOVE(&partition->deleting, event, link);
        if (is_deleted || !is_ours || event->is_forgotten)
            event_free_memory(event);
        else
            TAILQ_INSERT_TAIL(&partition->done, event, link);
    }
    if (is_ours && status == REDIS_DONE && !is_deleted)
        owner_lost(partition);
    if (!TAILQ_EMPTY(&partition->done))
        schedule(push->acknowledger);
    reader_resume(push->reader);
    if (push->is_stopping)
        event_active(push->stop_check, EV_TIMEOUT, 0);
    free(batch);
}

static void send_batch(struct partition *partition)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    struct str args[1 + IDS_MAX];
    struct key lease, events;
    struct str keys[] = {key_lease(&lease, partition->number),
                         key_events(&events, partition->number)};
    struct push_event *event;

    batch->partition = partition;
    memcpy(batch->fence, partition->fence, sizeof(batch->fence));
    args[0] = str_of(partition->fence);
    while (batch->count < IDS_MAX && (event = TAILQ_FIRST(&partition->done))) {
        TAILQ_REMOVE(&partition->done, event, link);
        TAILQ_INSERT_TAIL(&partition->deleting, event, link);
        args[1 + batch->count++] = str_of(event->id);
    }
    redis_script(partition->push->core->redis, &script_acknowledge, 2, keys, 1 + batch->count,
                 args, batch_answered, batch);
}

static void send_all(evutil_socket_t fd, short what, void *arg)
{
    struct acknowledger *acknowledger = arg;
    struct push *push = acknowledger->push;

    (void)fd;
    (void)what;
    if (!push->partitions || !redis_is_connected(push->core->redis))
        return; /* acknowledger_start sends them after the reconnect */
    for (uint32_t i = 0; i < push->core->partition_count; i++) {
        while (!TAILQ_EMPTY(&push->partitions[i].done))
            send_batch(&push->partitions[i]);
    }
}

void event_done(struct push_event *event)
{
    if (event->is_forgotten) {
        event_free_memory(event);
        return;
    }
    TAILQ_INSERT_TAIL(&event->partition->done, event, link);
    schedule(event->push->acknowledger);
}

/* ---- a partition that is not ours any more ---- */

/* It leaves the table at once: should the partition come back to us, it is read anew. */
static void forget_event(struct push_event *event)
{
    struct delivery *delivery, *next;

    HASH_DEL(event->partition->events, event);
    event->is_forgotten = true;
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
    if (--event->pending == 0)
        event_done(event);
}

void partition_forget_events(struct partition *partition)
{
    struct push_event *event, *next;

    while ((event = TAILQ_FIRST(&partition->done))) {
        TAILQ_REMOVE(&partition->done, event, link);
        event_free_memory(event);
    }
    HASH_ITER (hh, partition->events, event, next)
        forget_event(event);
}

bool acknowledger_is_idle(const struct push *push)
{
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        if (!TAILQ_EMPTY(&push->partitions[i].done) || !TAILQ_EMPTY(&push->partitions[i].deleting))
            return false;
    }
    return true;
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
    return acknowledger;
}

void acknowledger_free(struct acknowledger *acknowledger)
{
    event_free(acknowledger->timer);
    free(acknowledger);
}

/*
 * The owner of a partition brings the index of devices up to date with what is marked there
 * (core/device/index.h). That something is marked it learns from the events, which the same scripts
 * write; a moment later it takes the marks, so that a device that changes often is written once.
 * Besides it counts the marks of its partitions once per timer_interval, and finds those whose event it
 * has not read (what is paused is not read), or that has none.
 */
#include "push/delivery.h"

#include "base/mem.h"
#include "base/metric.h"
#include "core/device/index.h"
#include "store/keys.h"
#include <stdlib.h>

#define PAUSE_MS  100 /* from the first event to the taking of the marks */
#define AGAIN_MS  1000 /* after a failure */
#define MOST      8   /* partitions worked at together */

struct indexer {
    struct push *push;
    struct event *work, *look;
    bool is_running;
    size_t working;   /* partitions */
    size_t counting;  /* replies still to come */
    int64_t backlog;
};

static void work_soon(struct indexer *indexer, int64_t pause_ms)
{
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    if (indexer->is_running && !evtimer_pending(indexer->work, NULL))
        event_add(indexer->work, &pause);
}

/* ---- working ---- */

static void sync(struct partition *partition);

static void synced(enum error error, bool has_more, void *arg)
{
    struct partition *partition = arg;
    struct indexer *indexer = partition->push->indexer;

    partition->is_indexing = false;
    indexer->working--;
    if (error)
        partition->is_index_behind = true;
    if (has_more && indexer->is_running && partition->state == PARTITION_OWNED)
        sync(partition);
    else if (indexer->is_running)
        work_soon(indexer, error ? AGAIN_MS : PAUSE_MS);
}

static void sync(struct partition *partition)
{
    partition->is_index_behind = false;
    partition->is_indexing = true;
    partition->push->indexer->working++;
    device_index_sync(partition->push->core, partition->number, str_of(partition->fence), synced,
                      partition);
}

/* The rest has its turn when one of these is done. */
static void work(evutil_socket_t fd, short what, void *arg)
{
    struct indexer *indexer = arg;
    struct push *push = indexer->push;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        struct partition *partition = &push->partitions[i];

        if (indexer->working >= MOST || !redis_is_connected(push->core->redis))
            return;
        if (partition->is_index_behind && !partition->is_indexing &&
            partition->state == PARTITION_OWNED)
            sync(partition);
    }
}

void indexer_event_read(struct partition *partition, enum event_kind kind)
{
    if (kind == EVENT_PROPERTY_REPORTED || kind == EVENT_MESSAGE_REPORTED)
        return;
    partition->is_index_behind = true;
    work_soon(partition->push->indexer, PAUSE_MS);
}

/* ---- looking ---- */

static void schedule_look(struct indexer *indexer)
{
    int64_t pause_ms = indexer->push->settings->timer_interval_ms;
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    event_add(indexer->look, &pause);
}

static void marks_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct partition *partition = arg;
    struct indexer *indexer = partition->push->indexer;
    int64_t count = status == REDIS_DONE ? redis_reply_i64(reply) : 0;

    indexer->backlog += count;
    if (count > 0) {
        partition->is_index_behind = true;
        work_soon(indexer, PAUSE_MS);
    }
    if (--indexer->counting > 0)
        return;
    metric_set(M_INDEX_BACKLOG, (double)indexer->backlog, NULL);
    if (indexer->is_running)
        schedule_look(indexer);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
    struct indexer *indexer = arg;
    struct push *push = indexer->push;
    uint32_t count = push->partitions ? push->core->partition_count : 0;

    (void)fd;
    (void)what;
    indexer->backlog = 0;
    for (uint32_t i = 0; i < count && redis_is_connected(push->core->redis); i++) {
        struct key key;

        if (push->partitions[i].state != PARTITION_OWNED)
            continue;
        indexer->counting += 2;
        redis_command(push->core->redis, 2, (struct str[]){STR("SCARD"), key_index_marks(&key, i)},
                      marks_counted, &push->partitions[i]);
        redis_command(push->core->redis, 2,
                      (struct str[]){STR("SCARD"), key_index_working(&key, i)}, marks_counted,
                      &push->partitions[i]);
    }
    if (indexer->counting == 0)
        schedule_look(indexer);
}

/* ---- life ---- */

struct indexer *indexer_new(struct push *push)
{
    struct indexer *indexer = xcalloc(1, sizeof(*indexer));

    indexer->push = push;
    indexer->work = evtimer_new(push->core->base, work, indexer);
    indexer->look = evtimer_new(push->core->base, look, indexer);
    return indexer;
}

void indexer_start(struct indexer *indexer)
{
    indexer->is_running = true;
    if (indexer->counting == 0)
        schedule_look(indexer);
}

void indexer_stop(struct indexer *indexer)
{
    indexer->is_running = false;
    event_del(indexer->work);
    event_del(indexer->look);
}

void indexer_free(struct indexer *indexer)
{
    event_free(indexer->work);
    event_free(indexer->look);
    free(indexer);
}

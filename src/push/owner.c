/*
 * Who owns which partition.
 *
 * Each instance says every `heartbeat` that it lives, and learns who else does. The wanted owner of a
 * partition is the live instance with the highest hash of (instance, partition), so everybody comes
 * to the same answer without talking, and a change of instances moves few partitions.
 *
 * Owning is a lease in Redis with a fence, "<instance>:<epoch>", that each claim makes anew. Every
 * write of an owner shows its fence to the script, so an owner that was asleep while its lease ran out
 * is refused, whatever it believes. It stops believing by itself, too: when its own clock says that
 * the lease may be over it sends nothing more until a renewal has gone well.
 *
 * What should belong to somebody else is released when nothing of it is in memory any more, or after
 * RELEASE_MS; the other one claims it at its next heartbeat. Nothing is lost on the way, since what is
 * not acknowledged is still in the stream, and nothing is sent twice when the release was clean.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define RELEASE_MS 5000

struct owner {
    struct push *push;
    struct event *heartbeat;
    bool is_beating;  /* a heartbeat is under way */
    size_t instances; /* alive at the last one */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

size_t owner_partition_count(const struct push *push)
{
    size_t owned = 0;

    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++)
        owned += push->partitions[i].state == PARTITION_OWNED ||
                 push->partitions[i].state == PARTITION_RELEASING;
    return owned;
}

size_t owner_instance_count(const struct push *push)
{
    return push->owner->instances ? push->owner->instances : 1;
}

static void count_owned(struct owner *owner)
{
    metric_set(M_PARTITIONS_OWNED, (double)owner_partition_count(owner->push), NULL);
}

bool partition_may_send(const struct partition *partition, int64_t now_ms)
{
    return now_ms < partition->lease_until_ms;
}

static struct str lease_life(const struct owner *owner, struct decimal *decimal)
{
    return decimal_str(decimal, owner->push->core->settings->lease_ms);
}

/* ---- who should own it ---- */

static uint64_t weight(struct str instance, uint32_t partition)
{
    char text[KEY_ID_MAX + 16], digest[CRYPTO_SHA256_HEX_SIZE];
    int len = snprintf(text, sizeof(text), "%.*s/%u", STR_ARG(instance), (unsigned)partition);

    crypto_sha256_hex(str_n(text, (size_t)len), digest);
    digest[16] = '\0';
    return strtoull(digest, NULL, 16);
}

static bool should_own(const struct owner *owner, const redisReply *instances, uint32_t partition)
{
    uint64_t own = weight(str_of(owner->push->instance_id), partition);

    for (size_t i = 0; i < instances->elements; i++) {
        struct str id = redis_reply_str(redis_reply_at(instances, i));

        if (id.len <= KEY_ID_MAX && !str_eq(id, str_of(owner->push->instance_id)) &&
            weight(id, partition) > own)
            return false;
    }
    return true;
}

/* ---- losing and giving back ---- */

static void set_free(struct partition *partition)
{
    partition->state = PARTITION_FREE;
    partition->fence[0] = '\0';
    partition->lease_until_ms = 0;
    partition_forget_events(partition);
    count_owned(partition->push->owner);
}

void owner_lost(struct partition *partition)
{
    if (partition->state == PARTITION_FREE)
        return;
    log_warn("owner", "partition=%u state=lost", (unsigned)partition->number);
    metric_inc(M_LEASE_LOSSES);
    set_free(partition);
}

static void release_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)status; /* a lease that could not be given back runs out */
    (void)reply;
    (void)arg;
}

static void release(struct partition *partition)
{
    struct key lease;

    redis_script(partition->push->core->redis, &script_lease_release, 1,
                 (struct str[]){key_lease(&lease, partition->number)}, 1,
                 (struct str[]){str_of(partition->fence)}, release_answered, NULL);
    set_free(partition);
}

static void start_release(struct partition *partition)
{
    partition->state = PARTITION_RELEASING;
    partition->release_by_ms = clock_tick_ms() + RELEASE_MS;
    owner_partition_emptied(partition);
}

void owner_partition_emptied(struct partition *partition)
{
    if (partition->state == PARTITION_RELEASING && partition_is_empty(partition))
        release(partition);
}

/* ---- claiming and renewing ---- */

static void own(struct partition *partition, struct str fence)
{
    memcpy(partition->fence, fence.p, fence.len);
    partition->fence[fence.len] = '\0';
    partition->state = PARTITION_OWNED;
    /* from when the claim was sent */
    partition->lease_until_ms += partition->push->core->settings->lease_ms;
    partition->is_to_be_read_anew = true;
    count_owned(partition->push->owner);
}

/* One read for all that were claimed together: the first one's would block without the others. */
static void read_when_all_are_claimed(struct push *push)
{
    for (uint32_t i = 0; i < push->core->partition_count; i++) {
        if (push->partitions[i].state == PARTITION_CLAIMING)
            return;
    }
    reader_resume(push->reader);
}

static void claimed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct partition *partition = arg;
    struct push *push = partition->push;
    struct str fence = redis_reply_str(redis_reply_at(reply, 0));

    if (partition->state != PARTITION_CLAIMING)
        return;
    partition->state = PARTITION_FREE;
    if (status == REDIS_DONE && fence.len > 0 && fence.len < FENCE_SIZE) {
        own(partition, fence); /* else it is held by another; the next heartbeat tries again */
        park_take_over(partition, redis_reply_at(reply, 1));
    }
    read_when_all_are_claimed(push);
}

static void claim(struct partition *partition)
{
    struct owner *owner = partition->push->owner;
    struct key lease, epoch, table;
    struct decimal life;

    partition->state = PARTITION_CLAIMING;
    partition->lease_until_ms = clock_tick_ms();
    redis_script(partition->push->core->redis, &script_lease_claim, 3,
                 (struct str[]){key_lease(&lease, partition->number),
                                key_epoch(&epoch, partition->number),
                                key_parked_table(&table, partition->number)},
                 2, (struct str[]){str_of(partition->push->instance_id), lease_life(owner, &life)},
                 claimed, partition);
}

struct renewal {
    struct partition *partition;
    char fence[FENCE_SIZE];
    int64_t sent_ms;
};

static void renewed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct renewal *renewal = arg;
    struct partition *partition = renewal->partition;

    if (status == REDIS_DONE && strcmp(renewal->fence, partition->fence) == 0) {
        if (redis_reply_i64(reply) == 1)
            partition->lease_until_ms =
                renewal->sent_ms + partition->push->core->settings->lease_ms;
        else
            owner_lost(partition);
    }
    free(renewal);
}

static void renew(struct partition *partition)
{
    struct renewal *renewal = xcalloc(1, sizeof(*renewal));
    struct key lease;
    struct decimal life;

    renewal->partition = partition;
    memcpy(renewal->fence, partition->fence, sizeof(renewal->fence));
    renewal->sent_ms = clock_tick_ms();
    redis_script(partition->push->core->redis, &script_lease_renew, 1,
                 (struct str[]){key_lease(&lease, partition->number)}, 2,
                 (struct str[]){str_of(partition->fence),
                                lease_life(partition->push->owner, &life)},
                 renewed, renewal);
}

/* ---- heartbeat ---- */

static void look_at(struct partition *partition, bool is_wanted)
{
    if (partition->push->is_stopping) { /* keeps what it has until the end */
        if (partition->fence[0])
            renew(partition);
        return;
    }
    switch (partition->state) {
    case PARTITION_FREE:
        if (is_wanted)
            claim(partition);
        break;
    case PARTITION_CLAIMING:
        break;
    case PARTITION_OWNED:
        renew(partition);
        if (!is_wanted)
            start_release(partition);
        break;
    case PARTITION_RELEASING:
        if (is_wanted)
            partition->state = PARTITION_OWNED;
        else if (clock_tick_ms() >= partition->release_by_ms)
            release(partition);
        else
            renew(partition);
        break;
    }
}

static void schedule_heartbeat(struct owner *owner)
{
    int64_t pause_ms = owner->push->core->settings->heartbeat_ms;
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    event_add(owner->heartbeat, &pause);
}

static void instances_known(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;
    struct push *push = owner->push;

    owner->is_beating = false;
    schedule_heartbeat(owner);
    if (status != REDIS_DONE)
        return;
    if (owner->instances != reply->elements)
        log_info("owner", "instances=%zu", reply->elements);
    owner->instances = reply->elements;
    for (uint32_t i = 0; i < push->core->partition_count; i++)
        look_at(&push->partitions[i], should_own(owner, reply, i));
}

static void beat(evutil_socket_t fd, short what, void *arg)
{
    struct owner *owner = arg;
    struct core *core = owner->push->core;
    struct key instances;
    struct decimal silence;

    (void)fd;
    (void)what;
    if (owner->is_beating)
        return;
    owner->is_beating = true;
    redis_script(core->redis, &script_instance_beat, 1,
                 (struct str[]){key_instances(&instances)}, 2,
                 (struct str[]){str_of(owner->push->instance_id), lease_life(owner, &silence)},
                 instances_known, owner);
}

/* ---- start and end ---- */

static void make_partitions(struct push *push)
{
    push->partitions = xcalloc(push->core->partition_count, sizeof(*push->partitions));
    for (uint32_t i = 0; i < push->core->partition_count; i++) {
        push->partitions[i].push = push;
        push->partitions[i].number = i;
        stream_init(&push->partitions[i].stream, &push->partitions[i], NULL);
        TAILQ_INIT(&push->partitions[i].parks);
    }
}

void owner_start(struct owner *owner)
{
    if (!owner->push->partitions)
        make_partitions(owner->push);
    event_active(owner->heartbeat, EV_TIMEOUT, 0);
}

static void goodbye_said(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;

    (void)status;
    (void)reply;
    owner->stopped(owner->stopped_arg);
}

/* The answer to the last command comes after those of all releases. */
void owner_stop(struct owner *owner, void (*stopped)(void *arg), void *arg)
{
    struct push *push = owner->push;
    struct key instances;

    event_del(owner->heartbeat);
    owner->stopped = stopped;
    owner->stopped_arg = arg;
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        if (push->partitions[i].fence[0])
            release(&push->partitions[i]);
    }
    redis_command(push->core->redis, 3,
                  (struct str[]){STR("ZREM"), key_instances(&instances),
                                 str_of(push->instance_id)},
                  goodbye_said, owner);
}

struct owner *owner_new(struct push *push)
{
    struct owner *owner = xcalloc(1, sizeof(*owner));

    owner->push = push;
    owner->heartbeat = evtimer_new(push->core->base, beat, owner);
    return owner;
}

void owner_free(struct owner *owner)
{
    event_free(owner->heartbeat);
    free(owner);
}

/*
 * Who owns which partition.
 *
 * Each instance says every `heartbeat` that it lives, and learns who else does; from that everybody
 * comes to the same answer, without talking, who should own what (assignment.h).
 *
 * Owning is a lease in Redis with a fence, "<instance>:<epoch>", that each claim makes anew. Every
 * write of an owner shows its fence to the script, so an owner that was asleep while its lease ran out
 * is refused, whatever it believes. It stops believing by itself, too: when its own clock says that
 * the lease may be over it sends nothing more until a renewal has gone well. A lease that ran out and
 * that nobody else has claimed is renewed all the same, so being late alone costs nothing.
 *
 * An instance that dies is noticed when it has been silent for as long as a lease lives, to the
 * millisecond and not at the next heartbeat; and a lease that is still held by then is claimed again
 * when it ends. What should belong to somebody else is given away (handover.c).
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "push/assignment.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define RELEASE_MS    5000 /* what is on the wire is waited for so long, unless we stop */
#define LOOK_AGAIN_MS 100

struct owner {
    struct push *push;
    struct event *heartbeat;
    bool is_beating;  /* a heartbeat is under way */
    bool was_late;    /* the last one: nothing was concluded from it */
    size_t instances; /* alive at the last one */
    struct event *claim_again; /* timer: a lease ends before the next heartbeat */
    int64_t claim_again_ms;    /* tick */
    struct event *look;        /* at partitions that are being given away; timer */
    size_t releases; /* under way */
    bool has_said_goodbye;
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
    return partition->state == PARTITION_OWNED && now_ms < partition->lease_until_ms;
}

static struct str lease_life(const struct owner *owner, struct decimal *decimal)
{
    return decimal_str(decimal, owner->push->core->settings->lease_ms);
}

/* ---- losing and giving back ---- */

static void set_free(struct partition *partition, bool is_lost)
{
    handover_count(partition, is_lost);
    partition->state = PARTITION_FREE;
    partition->fence[0] = '\0';
    partition->lease_until_ms = 0;
    partition->is_doubted = false;
    partition->closings = 0; /* their answers are nobody's */
    partition_forget_events(partition);
    watcher_forget(partition);
    count_owned(partition->push->owner);
}

static void owner_lost(struct partition *partition)
{
    if (partition->state == PARTITION_FREE)
        return;
    log_warn("owner", "partition=%u state=lost", (unsigned)partition->number);
    metric_inc(M_LEASE_LOSSES);
    set_free(partition, true);
    event_active(partition->push->owner->look, EV_TIMEOUT, 0); /* to say what that costs */
}

static void release_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;

    (void)status; /* a lease that could not be given back runs out */
    (void)reply;
    if (--owner->releases == 0 && owner->push->is_stopping)
        event_active(owner->look, EV_TIMEOUT, 0);
}

static void release(struct partition *partition)
{
    struct key lease;

    partition->push->owner->releases++;
    redis_script(partition->push->core->redis, &script_lease_release, 1,
                 (struct str[]){key_lease(&lease, partition->number)}, 1,
                 (struct str[]){str_of(partition->fence)}, release_answered, partition->push->owner);
    set_free(partition, false);
}

static void start_release(struct partition *partition, int64_t limit_ms)
{
    partition->state = PARTITION_RELEASING;
    partition->release_by_ms = clock_tick_ms() + limit_ms;
    partition->written_ms = 0;
    partition->is_closed = false;
    owner_partition_moved(partition);
}

/* Not here and now: it may be one of many things that end. */
void owner_partition_moved(struct partition *partition)
{
    if (partition->state == PARTITION_RELEASING)
        event_active(partition->push->owner->look, EV_TIMEOUT, 0);
}

static void goodbye_said(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;

    (void)status;
    (void)reply;
    owner->stopped(owner->stopped_arg);
}

/* When nothing is held any more. */
static void say_goodbye(struct owner *owner)
{
    struct push *push = owner->push;
    struct key instances;

    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        if (push->partitions[i].state != PARTITION_FREE)
            return;
    }
    if (owner->releases > 0 || owner->has_said_goodbye)
        return;
    owner->has_said_goodbye = true;
    event_del(owner->heartbeat);
    redis_command(push->core->redis, 3,
                  (struct str[]){STR("ZREM"), key_instances(&instances),
                                 str_of(push->instance_id)},
                  goodbye_said, owner);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
    struct owner *owner = arg;
    struct push *push = owner->push;
    int64_t now_ms = clock_tick_ms();
    bool is_over = true;

    (void)fd;
    (void)what;
    if (redis_is_connected(push->core->redis))
        handover_park_begun(push);
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        struct partition *partition = &push->partitions[i];

        if (partition->state != PARTITION_RELEASING)
            continue;
        if (handover_is_over(partition, now_ms))
            release(partition);
        else
            is_over = false;
    }
    if (is_over)
        handover_say(push);
    else
        event_add(owner->look, &(struct timeval){0, LOOK_AGAIN_MS * 1000});
    if (push->is_stopping)
        say_goodbye(owner);
}

/* ---- claiming and renewing ---- */

static void own(struct partition *partition, struct str fence)
{
    memcpy(partition->fence, fence.p, fence.len);
    partition->fence[fence.len] = '\0';
    partition->state = PARTITION_OWNED;
    /* from when the claim was sent */
    partition->lease_until_ms += partition->push->core->settings->lease_ms;
    partition->is_closed = false;
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

/* The lease of another: if that one is dead it ends in a moment, else it will have been renewed. */
static void claim_when_it_ends(struct owner *owner, int64_t left_ms)
{
    int64_t pause_ms = left_ms + 1;
    int64_t at_ms = clock_tick_ms() + pause_ms;
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    if (left_ms < 0 || left_ms >= owner->push->core->settings->heartbeat_ms)
        return; /* the next heartbeat tries again */
    if (event_pending(owner->claim_again, EV_TIMEOUT, NULL) && owner->claim_again_ms <= at_ms)
        return;
    owner->claim_again_ms = at_ms;
    event_add(owner->claim_again, &pause);
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
        own(partition, fence);
        park_take_over(partition, redis_reply_at(reply, 1));
        watcher_take_over(partition, redis_reply_at(reply, 2));
        if (push->is_stopping)
            start_release(partition, 0);
    } else if (status == REDIS_DONE) {
        claim_when_it_ends(push->owner, redis_reply_i64(redis_reply_at(reply, 1)));
    }
    read_when_all_are_claimed(push);
    if (push->is_stopping)
        event_active(push->owner->look, EV_TIMEOUT, 0);
}

static void claim(struct partition *partition)
{
    struct owner *owner = partition->push->owner;
    struct key lease, epoch, table, watched;
    struct decimal life;

    partition->state = PARTITION_CLAIMING;
    partition->lease_until_ms = clock_tick_ms();
    redis_script(partition->push->core->redis, &script_lease_claim, 4,
                 (struct str[]){key_lease(&lease, partition->number),
                                key_epoch(&epoch, partition->number),
                                key_parked_table(&table, partition->number),
                                key_watched(&watched, partition->number)},
                 2, (struct str[]){str_of(partition->push->instance_id), lease_life(owner, &life)},
                 claimed, partition);
}

static void claim_wanted(evutil_socket_t fd, short what, void *arg)
{
    struct push *push = arg;

    (void)fd;
    (void)what;
    if (clock_tick_ms() - push->owner->claim_again_ms > push->core->settings->heartbeat_ms)
        return; /* the next heartbeat sees whether it is only us who are late */
    for (uint32_t i = 0; i < push->core->partition_count && !push->is_stopping; i++) {
        struct partition *partition = &push->partitions[i];

        if (partition->state == PARTITION_FREE && partition->is_wanted)
            claim(partition);
    }
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

    partition->is_doubted = false;
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
    struct key lease, epoch;
    struct decimal life;

    renewal->partition = partition;
    memcpy(renewal->fence, partition->fence, sizeof(renewal->fence));
    renewal->sent_ms = clock_tick_ms();
    redis_script(partition->push->core->redis, &script_lease_renew, 2,
                 (struct str[]){key_lease(&lease, partition->number),
                                key_epoch(&epoch, partition->number)},
                 2,
                 (struct str[]){str_of(partition->fence),
                                lease_life(partition->push->owner, &life)},
                 renewed, renewal);
}

static void renew_all(struct push *push)
{
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        if (push->partitions[i].fence[0])
            renew(&push->partitions[i]);
    }
}

void owner_doubt(struct partition *partition)
{
    if (!partition->is_doubted)
        renew(partition);
    partition->is_doubted = true;
}

/* ---- heartbeat ---- */

/* What is being given away is given away, also when it is wanted again: then it is claimed anew. */
static void look_at(struct partition *partition)
{
    switch (partition->state) {
    case PARTITION_FREE:
        if (partition->is_wanted)
            claim(partition);
        break;
    case PARTITION_OWNED:
        if (!partition->is_wanted)
            start_release(partition, RELEASE_MS);
        break;
    case PARTITION_CLAIMING:
    case PARTITION_RELEASING:
        break;
    }
}

static void schedule_heartbeat(struct owner *owner, int64_t limit_ms)
{
    int64_t heartbeat_ms = owner->push->core->settings->heartbeat_ms;
    int64_t pause_ms = limit_ms < heartbeat_ms ? limit_ms : heartbeat_ms;
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    event_add(owner->heartbeat, &pause);
}

/* The first one is this instance, whether Redis lists it or not. */
static void decide_owners(struct push *push, const redisReply *reply)
{
    struct str *instances = xcalloc(reply->elements + 1, sizeof(*instances));
    uint32_t *owners = xcalloc(push->core->partition_count, sizeof(*owners));
    size_t count = 0;

    instances[count++] = str_of(push->instance_id);
    for (size_t i = 0; i < reply->elements; i++) {
        struct str id = redis_reply_str(redis_reply_at(reply, i));

        if (id.len <= KEY_ID_MAX && !str_eq(id, instances[0]))
            instances[count++] = id;
    }
    assignment_make(instances, count, owners, push->core->partition_count);
    for (uint32_t i = 0; i < push->core->partition_count; i++)
        push->partitions[i].is_wanted = owners[i] == 0;
    free(instances);
    free(owners);
}

/* For longer than a lease nothing was heard of the others. They may have been stopped like us, with the
 * whole machine or with Redis, and not yet have beaten again: nobody is taken for dead before the next
 * heartbeat, however late that is. */
static bool beat_was_late(struct owner *owner)
{
    struct push *push = owner->push;
    int64_t now_ms = clock_tick_ms(), before_ms = push->beaten_ms;

    push->beaten_ms = now_ms;
    owner->was_late = !owner->was_late && before_ms &&
                      now_ms - before_ms > push->core->settings->lease_ms;
    return owner->was_late;
}

static void take_instances(struct owner *owner, const redisReply *instances)
{
    struct push *push = owner->push;

    if (beat_was_late(owner)) {
        sessions_late(push);
        return;
    }
    if (owner->instances != instances->elements)
        log_info("owner", "instances=%zu", instances->elements);
    owner->instances = instances->elements;
    decide_owners(push, instances);
    for (uint32_t i = 0; i < push->core->partition_count; i++)
        look_at(&push->partitions[i]);
    sweep_sessions(push, instances);
}

static void instances_known(enum redis_status status, const redisReply *reply, void *arg)
{
    struct owner *owner = arg;
    const redisReply *instances = redis_reply_at(reply, 1);

    owner->is_beating = false;
    if (owner->push->is_stopping)
        return; /* that has its own heartbeats */
    schedule_heartbeat(owner, instances ? redis_reply_i64(redis_reply_at(reply, 0)) : INT64_MAX);
    if (status == REDIS_DONE && instances)
        take_instances(owner, instances);
}

/* No sign of life any more, but what is still held is kept until it is given back. */
static void beat_while_stopping(struct owner *owner)
{
    renew_all(owner->push);
    schedule_heartbeat(owner, INT64_MAX);
}

static void beat(evutil_socket_t fd, short what, void *arg)
{
    struct owner *owner = arg;
    struct core *core = owner->push->core;
    struct key instances;
    struct decimal silence;

    (void)fd;
    (void)what;
    if (owner->push->is_stopping) {
        beat_while_stopping(owner);
        return;
    }
    if (owner->is_beating)
        return;
    owner->is_beating = true;
    renew_all(owner->push); /* before others, late like us perhaps, claim what ran out */
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

/* The others may claim each partition as soon as it is given back, so they hear of it first. */
void owner_stop(struct owner *owner, int64_t limit_ms, void (*stopped)(void *arg), void *arg)
{
    struct push *push = owner->push;
    struct key instances;

    owner->stopped = stopped;
    owner->stopped_arg = arg;
    redis_command(push->core->redis, 3,
                  (struct str[]){STR("ZREM"), key_instances(&instances),
                                 str_of(push->instance_id)},
                  NULL, NULL);
    for (uint32_t i = 0; push->partitions && i < push->core->partition_count; i++) {
        if (push->partitions[i].fence[0])
            start_release(&push->partitions[i], limit_ms);
    }
    schedule_heartbeat(owner, INT64_MAX);
    event_active(owner->look, EV_TIMEOUT, 0);
}

struct owner *owner_new(struct push *push)
{
    struct owner *owner = xcalloc(1, sizeof(*owner));

    owner->push = push;
    owner->heartbeat = evtimer_new(push->core->base, beat, owner);
    owner->claim_again = evtimer_new(push->core->base, claim_wanted, push);
    owner->look = evtimer_new(push->core->base, look, owner);
    return owner;
}

void owner_free(struct owner *owner)
{
    event_free(owner->heartbeat);
    event_free(owner->claim_again);
    event_free(owner->look);
    free(owner);
}

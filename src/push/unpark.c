/*
 * From a park back into memory: when its target can be sent to again, a few at a time and oldest
 * first; one, for a probe; and those that are given up, because they are too old or because too much
 * is parked.
 *
 * Reading leaves everything in Redis: an entry goes when its delivery is done. What was read is
 * remembered by name; `position` is where the next read begins.
 */
#include "push/park.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

#define READ_COUNT    128  /* entries per read */
#define PROBE_COUNT   16   /* some may have expired */
#define TARGET_WINDOW 1024 /* deliveries of a target in memory above which no park is read */

struct park_read {
    struct park *park;
    unsigned resets, writes_sent; /* of the park, when it was sent */
    size_t take;                  /* how many may go into memory */
    size_t count;                 /* asked for */
    bool drops_oldest;            /* too much is parked */
    size_t dropped;
};

/* Its share of what a target may have parked in the whole deployment. */
static int64_t bytes_limit(const struct push *push)
{
    int64_t partitions = (int64_t)push->core->partition_count;
    int64_t owned = (int64_t)owner_partition_count(push);

    return push->settings->stack_bytes / partitions * (owned ? owned : 1);
}

/* ---- what was read ---- */

/* Of this target, without what is given up and not deleted yet. */
static bool has_too_much(const struct target *target)
{
    return target->parked_bytes - target->given_up_bytes > bytes_limit(target->push);
}

enum verdict { TAKE, DROP, STOP };

static enum verdict judge(const struct park_read *read, struct push_event *event, size_t taken)
{
    struct target *target = read->park->target;

    if (target_is_expired(target->push, event)) {
        target_drop_parked(target, event, "expired");
        return DROP;
    }
    if (read->drops_oldest && has_too_much(target)) {
        target_drop_parked(target, event, "stack_full");
        return DROP;
    }
    return taken < read->take ? TAKE : STOP;
}

static void move_to(struct park *park, struct str name, int64_t time_ms)
{
    memcpy(park->position, name.p, name.len);
    park->position[name.len] = '\0';
    park->oldest_ms = time_ms;
}

/* What is parked for a callback that no subscription leads to any more is taken out, to follow its
 * subscription; what came here without one stays until the callback can be sent to. */
static bool is_looking_through(const struct park *park)
{
    return park->target->is_left_over && !park->is_looked_through;
}

static void leave_in_park(struct park *park, struct push_event *event)
{
    HASH_DEL(park->stream.events, event);
    event->is_forgotten = true;
    event_free_memory(event);
}

/* false: no further. */
static bool take_entry(struct park_read *read, struct str entry, size_t *taken)
{
    struct park *park = read->park;
    char origin_id[EVENT_ID_SIZE];
    struct entry_facts facts;
    struct push_event *event;
    int64_t time_ms;

    if (!park_read_entry(entry, &facts, origin_id)) /* all of it is its name then */
        facts = (struct entry_facts){
            .id = entry, .origin_id = STR(""), .text = STR(""), .bytes = entry.len};
    if (stream_has(&park->stream, facts.id)) {
        if (facts.id.len < PARK_NAME_SIZE)
            move_to(park, facts.id, park->oldest_ms);
        return true;
    }
    event = stream_remember(&park->stream, &facts);
    if (!event)
        return true; /* it is being deleted */
    time_ms = event->facts.time_ms;
    if (is_looking_through(park) && event_is_own(event, facts.only.subscription_id)) {
        leave_in_park(park, event);
        move_to(park, facts.id, time_ms);
        return true;
    }
    switch (judge(read, event, *taken)) {
    case STOP:
        leave_in_park(park, event);
        park->oldest_ms = time_ms;
        return false;
    case TAKE:
        (*taken)++;
        move_to(park, facts.id, time_ms);
        dispatch_event(event);
        return true;
    default:
        read->dropped++;
        move_to(park, facts.id, time_ms);
        return true;
    }
}

/* From now on it is read as if a subscription led there. */
static void end_looking_through(struct park *park)
{
    park->is_looked_through = true;
    park->position[0] = '\0';
    park->resets++;
    park->oldest_ms = 0; /* not known: the next sweep looks */
}

static void take_entries(struct park_read *read, const redisReply *reply)
{
    struct park *park = read->park;
    size_t taken = 0, i = 0;

    while (i < reply->elements && take_entry(read, redis_reply_str(redis_reply_at(reply, i)),
                                             &taken))
        i++;
    if (i < reply->elements || reply->elements == read->count || park->resets != read->resets)
        return;
    if (is_looking_through(park)) {
        end_looking_through(park);
    } else if (park->writes_seen == read->writes_sent) {
        park_set_unread(park, false);
        if (!park->stream.events)
            park_set_size(park, 0, 0); /* an operator may have thrown it away */
    } else if (park_may_cancel_writes(park)) {
        park_cancel_writes(park);
    }
}

static void sweep_park(struct park *park);

/* Too old or too many: page by page, as long as each has had some. */
static void give_up_more(const struct park_read *read)
{
    if (read->dropped == 0)
        return;
    sweep_park(read->park);
    unpark_trim(read->park->target);
}

static void entries_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct park_read *read = arg;
    struct park *park = read->park;
    struct target *target = park->target;

    park->is_reading = false;
    target->reads_under_way--;
    target->is_trimming &= !read->drops_oldest;
    target_unparking(target, 0, read->take);
    if (status == REDIS_DONE && park->resets == read->resets &&
        reply->type == REDIS_REPLY_ARRAY &&
        partition_may_send(park->stream.partition, clock_tick_ms())) {
        take_entries(read, reply);
        give_up_more(read);
        target_wake(target);
    }
    free(read);
}

/* ---- reading ---- */

static void send_read(struct park_read *read)
{
    struct park *park = read->park;
    char from[PARK_NAME_SIZE + 2] = "-";
    struct decimal count;
    struct key key;

    read->resets = park->resets;
    read->writes_sent = park->writes_sent;
    /* Most often what is parked is younger than all that was read; else it begins anew. What is in
     * memory is known by its name. */
    if (park_is_behind(park))
        park->position[0] = '\0';
    if (TAILQ_EMPTY(&park->writes))
        park->lowest[0] = '\0'; /* all were sent before this */
    if (park->position[0]) /* '!' follows the blank behind a name */
        snprintf(from, sizeof(from), "[%s!", park->position);
    redis_command(park->target->push->core->redis, 7,
                  (struct str[]){STR("ZRANGEBYLEX"),
                                 key_parked(&key, park->stream.partition->number,
                                            str_of(park->target->digest)),
                                 str_of(from), STR("+"), STR("LIMIT"), STR("0"),
                                 decimal_str(&count, (int64_t)read->count)},
                  entries_read, read);
}

/* Of a park that was just taken over. */
static void size_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct park_read *read = arg;

    if (status != REDIS_DONE) {
        entries_read(status, reply, read);
        return;
    }
    if (read->resets == read->park->resets)
        park_set_size(read->park, read->park->bytes, redis_reply_i64(reply));
    send_read(read);
}

static void read_park(struct park *park, const struct park_read *wanted)
{
    struct park_read *read = xmalloc(sizeof(*read));
    struct key key;

    *read = *wanted;
    read->park = park;
    read->resets = park->resets;
    park->is_reading = true;
    park->target->reads_under_way++;
    target_unparking(park->target, read->take, 0);
    if (park->entries > 0)
        send_read(read);
    else
        redis_command(park->target->push->core->redis, 2,
                      (struct str[]){STR("ZCARD"), key_parked(&key, park->stream.partition->number,
                                                              str_of(park->target->digest))},
                      size_read, read);
}

static bool can_be_read(const struct park *park)
{
    return park && park->has_unread && !park->is_reading &&
           partition_may_send(park->stream.partition, clock_tick_ms());
}

/* The one with the oldest unread entry; what subscriptions have left goes first. */
static struct park *oldest_park(const struct target *target)
{
    bool has_leftovers = target_has_leftovers(target);
    struct park *oldest = NULL;

    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        struct park *park = target->parks[i];

        if (can_be_read(park) && !(has_leftovers && park->is_looked_through) && (!oldest || park->oldest_ms < oldest->oldest_ms))
            oldest = park;
    }
    return oldest;
}

static bool may_read(const struct push *push)
{
    return !push->is_stopping && !push->is_paused && redis_is_connected(push->core->redis);
}

static bool may_unpark(const struct target *target)
{
    if (target->unread_parks == 0 || !may_read(target->push) || !target->app->subscriptions)
        return false;
    if (target_has_leftovers(target))
        return true; /* what is parked follows its subscription elsewhere */
    return !target_holds_back(target) && !target->app->has_leftovers;
}

/* Entries of the next read; 0: there is no room. Half of the window is for what comes. */
static size_t room(const struct target *target)
{
    const struct push *push = target->push;
    const struct push_settings *settings = push->settings;
    size_t window = target_unpark_limit(target);
    size_t count;

    if (window > TARGET_WINDOW)
        window = TARGET_WINDOW;
    count = window < READ_COUNT ? (window + 1) / 2 : READ_COUNT;
    if (target->delivery_count + target->unparking_count + count > window ||
        (int64_t)(push->event_count + push->unparking_count + count) * 2 > settings->window_events ||
        (int64_t)push->event_bytes * 2 >= settings->window_bytes)
        return 0;
    return count;
}

void unpark_wake(struct target *target)
{
    struct park *park;
    size_t count;

    if (!may_unpark(target))
        return;
    while ((count = room(target)) && (park = oldest_park(target)))
        read_park(park, &(struct park_read){.take = count, .count = count});
}

void unpark_probe(struct target *target)
{
    struct park *park = oldest_park(target);

    if (!park || !may_read(target->push) || target->reads_under_way > 0)
        return;
    park_write_now(park); /* what the last probe has used up is read again with its attempts */
    read_park(park, &(struct park_read){.take = 1, .count = PROBE_COUNT});
}

/* ---- giving up ---- */

/* One park at a time, so that the oldest of all go. */
void unpark_trim(struct target *target)
{
    struct park *park;

    if (target->is_trimming || !has_too_much(target) || !may_read(target->push))
        return;
    park = oldest_park(target);
    if (!park)
        return;
    target->is_trimming = true;
    read_park(park, &(struct park_read){.count = READ_COUNT, .drops_oldest = true});
}

static void sweep_park(struct park *park)
{
    int64_t limit_ms = clock_now_ms() - park->target->push->settings->v1_cache_time_ms;

    if (can_be_read(park) && park->oldest_ms <= limit_ms && may_read(park->target->push))
        read_park(park, &(struct park_read){.count = READ_COUNT});
}

void unpark_sweep(struct target *target)
{
    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        if (target->parks[i])
            sweep_park(target->parks[i]);
    }
    unpark_trim(target);
    unpark_wake(target);
}

void unpark_forgotten(struct park *park, int64_t time_ms)
{
    park->position[0] = '\0';
    park->resets++;
    park_set_unread(park, true);
    if (time_ms < park->oldest_ms)
        park->oldest_ms = time_ms;
}

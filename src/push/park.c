/*
 * From memory into a park: deliveries for a target that is invalid, paused, or has as much in memory
 * as it may. Collected for a moment and written as one script per park, which is fenced like all
 * writes of an owner. Only when Redis has confirmed it is the delivery done as far as its event is
 * concerned.
 */
#include "push/park.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define DELAY_MS        5
#define RETRY_MS        200
#define WRITES_MAX      100        /* per script */
#define WRITE_BYTES_MAX (256 << 10) /* per script, and one more */

TAILQ_HEAD(due_list, park);

struct parker {
    struct push *push;
    struct event *timer;
    struct due_list due; /* parks with writes to be sent */
};

/* ---- names ---- */

bool park_write_name(char out[PARK_NAME_SIZE], struct str origin_id, unsigned part,
                     struct str subscription_id)
{
    struct str rest;
    uint64_t ms, number;
    int len;

    if (!str_to_u64(str_split(origin_id, '-', &rest), INT64_MAX, &ms) ||
        !str_to_u64(rest, INT64_MAX, &number))
        return false;
    len = snprintf(out, PARK_NAME_SIZE, "%015llu-%012llu.%05u %.*s", (unsigned long long)ms,
                   (unsigned long long)number, part, STR_ARG(subscription_id));
    return len < PARK_NAME_SIZE;
}

bool park_read_entry(struct str entry, struct entry_facts *facts, char origin_id[EVENT_ID_SIZE])
{
    struct str rest, number_text, part_text;
    uint64_t ms, number, part, attempts, refusals;

    *facts = (struct entry_facts){.bytes = entry.len};
    if (!str_to_u64(str_split(entry, '-', &rest), INT64_MAX, &ms))
        return false;
    number_text = str_split(rest, '.', &rest);
    part_text = str_split(rest, ' ', &rest);
    facts->only.subscription_id = str_split(rest, ' ', &rest);
    if (!rest.p || !str_to_u64(number_text, INT64_MAX, &number) ||
        !str_to_u64(part_text, UINT32_MAX, &part))
        return false;
    facts->id = str_n(entry.p, (size_t)(rest.p - 1 - entry.p));
    if (facts->id.len >= PARK_NAME_SIZE ||
        !str_to_u64(str_split(rest, ' ', &rest), UINT32_MAX, &attempts) ||
        !str_to_u64(str_split(rest, ' ', &rest), UINT32_MAX, &refusals) || !rest.p)
        return false;
    snprintf(origin_id, EVENT_ID_SIZE, "%llu-%llu", (unsigned long long)ms,
             (unsigned long long)number);
    facts->origin_id = str_of(origin_id);
    facts->only.part = (unsigned)part;
    facts->only.attempts = (unsigned)attempts;
    facts->only.refusals = (unsigned)refusals;
    facts->text = rest;
    return true;
}

/* ---- parks ---- */

void park_set_unread(struct park *park, bool has_unread)
{
    if (park->has_unread == has_unread)
        return;
    park->has_unread = has_unread;
    if (has_unread)
        park->target->unread_parks++;
    else
        park->target->unread_parks--;
    if (!has_unread)
        park->oldest_ms = INT64_MAX;
}

bool park_is_over(const struct park *park)
{
    return !park->has_unread && !park->is_reading && park->stream.held == 0 && park->batches == 0 &&
           TAILQ_EMPTY(&park->writes);
}

static struct park *park_get(struct target *target, struct partition *partition)
{
    struct park *park;

    if (!target->parks)
        target->parks = xcalloc(target->push->core->partition_count, sizeof(*target->parks));
    park = target->parks[partition->number];
    if (park)
        return park;
    park = xcalloc(1, sizeof(*park));
    stream_init(&park->stream, partition, park);
    park->target = target;
    park->oldest_ms = INT64_MAX;
    TAILQ_INIT(&park->writes);
    TAILQ_INIT(&park->unsettled);
    TAILQ_INSERT_TAIL(&partition->parks, park, in_partition);
    target->parks[partition->number] = park;
    target->park_count++;
    return park;
}

static void park_free(struct park *park)
{
    struct target *target = park->target;

    TAILQ_REMOVE(&park->stream.partition->parks, park, in_partition);
    target->parks[park->stream.partition->number] = NULL;
    if (--target->park_count == 0) {
        free(target->parks);
        target->parks = NULL;
    }
    free(park);
}

bool park_wants(const struct target *target, const struct partition *partition)
{
    const struct park *park = target->parks ? target->parks[partition->number] : NULL;

    if (park && park->has_unread)
        return true; /* what came before has not been read yet */
    if (circuit_state(target->member.circuit) == BREAKER_DRAIN)
        return target->unread_parks > 0; /* new ones last */
    return target_holds_back(target) || (target->app->has_leftovers && !target->is_left_over);
}

void park_set_size(struct park *park, int64_t bytes, int64_t entries)
{
    struct target *target = park->target;

    target->parked_bytes += bytes - park->bytes;
    target->parked_entries += entries - park->entries;
    target->push->parked_bytes += bytes - park->bytes;
    target->push->parked_entries += entries - park->entries;
    park->bytes = bytes;
    park->entries = entries;
}

/* ---- writing ---- */

static void schedule(struct parker *parker, int64_t pause_ms)
{
    struct timeval pause = {0, pause_ms * 1000};

    if (!event_pending(parker->timer, EV_TIMEOUT, NULL))
        event_add(parker->timer, &pause);
}

bool park_is_behind(const struct park *park)
{
    return park->lowest[0] && strcmp(park->lowest, park->position) <= 0;
}

static void put(struct park *park, struct parking *parking)
{
    if (!park->lowest[0] || strcmp(parking->name, park->lowest) < 0)
        memcpy(park->lowest, parking->name, sizeof(park->lowest));
    TAILQ_INSERT_TAIL(&park->writes, parking, link);
    park->write_count++;
    park->writes_seen++;
}

static struct parking *take(struct park *park)
{
    struct parking *parking = TAILQ_FIRST(&park->writes);

    if (!parking)
        return NULL;
    TAILQ_REMOVE(&park->writes, parking, link);
    park->write_count--;
    park->writes_sent++;
    return parking;
}

static void make_due(struct park *park, int64_t pause_ms)
{
    struct parker *parker = park->target->push->parker;

    if (!park->is_due)
        TAILQ_INSERT_TAIL(&parker->due, park, in_due);
    park->is_due = true;
    schedule(parker, pause_ms);
}

void park_add(struct target *target, struct push_event *event, const struct delivery_facts *which)
{
    struct park *park = park_get(target, event->stream->partition);
    struct parking *parking = xmalloc(sizeof(*parking));

    /* Ids come from Redis and subscriptions' are short: this holds for all that we wrote. */
    if (!park_write_name(parking->name, event->origin_id, which->part, which->subscription_id)) {
        log_error("push", "event=%.*s state=dropped reason=id", STR_ARG(event->origin_id));
        free(parking);
        return;
    }
    parking->event = event;
    parking->which = *which;
    parking->which.subscription_id =
        str_of(parking->name + strlen(parking->name) - which->subscription_id.len);
    event->pending++;
    event->is_begun = true;
    put(park, parking);
    park_set_unread(park, true);
    if (event->facts.time_ms < park->oldest_ms)
        park->oldest_ms = event->facts.time_ms;
    make_due(park, DELAY_MS);
}

struct write {
    struct park *park;
    char fence[FENCE_SIZE];
    size_t count; /* from the head of `unsettled` */
};

static void settle(struct write *write, bool is_over)
{
    struct park *park = write->park;
    struct parking *parking;

    for (size_t i = 0; i < write->count; i++) {
        parking = TAILQ_FIRST(&park->unsettled);
        TAILQ_REMOVE(&park->unsettled, parking, link);
        if (is_over || parking->event->is_forgotten) {
            event_less(parking->event);
            free(parking);
        } else {
            put(park, parking);
        }
    }
}

static void written(enum redis_status status, const redisReply *reply, void *arg)
{
    struct write *write = arg;
    struct park *park = write->park;
    struct partition *partition = park->stream.partition;
    bool is_ours = strcmp(write->fence, partition->fence) == 0;
    bool is_parked = status == REDIS_DONE && reply->type == REDIS_REPLY_ARRAY;

    park->batches--;
    settle(write, is_parked || !is_ours);
    if (is_parked && is_ours) {
        handover_written(partition);
        park_set_size(park, redis_reply_i64(redis_reply_at(reply, 0)),
                      redis_reply_i64(redis_reply_at(reply, 1)));
    } else if (is_ours && status == REDIS_DONE) {
        owner_doubt(partition);
    }
    if (!TAILQ_EMPTY(&park->writes))
        make_due(park, RETRY_MS);
    unpark_trim(park->target);
    unpark_wake(park->target);
    owner_partition_moved(partition);
    free(write);
}

/* The texts first, in one piece; then the words that point into it. */
static void send_write(struct park *park)
{
    const struct partition *partition = park->stream.partition;
    struct write *write = xcalloc(1, sizeof(*write));
    struct target *target = park->target;
    struct key lease, entries, table;
    struct str keys[] = {key_lease(&lease, partition->number),
                         key_parked(&entries, partition->number, str_of(target->digest)),
                         key_parked_table(&table, partition->number)};
    struct str args[3 + 2 * WRITES_MAX];
    size_t ends[WRITES_MAX + 1] = {0};
    struct parking *parking;
    struct buf rests = {0};

    write->park = park;
    memcpy(write->fence, partition->fence, sizeof(write->fence));
    args[0] = str_of(partition->fence);
    args[1] = str_of(target->digest);
    args[2] = str_n(target->key, target->key_len);
    while (write->count < WRITES_MAX && rests.len < WRITE_BYTES_MAX &&
           (parking = take(park))) {
        TAILQ_INSERT_TAIL(&park->unsettled, parking, link);
        args[3 + 2 * write->count] = str_of(parking->name);
        buf_printf(&rests, "%u %u ", parking->which.attempts,
                   parking->which.refusals);
        event_write(&rests, &parking->event->facts);
        ends[++write->count] = rests.len;
    }
    for (size_t i = 0; i < write->count; i++)
        args[4 + 2 * i] = str_n(rests.p + ends[i], ends[i + 1] - ends[i]);
    park->batches++;
    redis_script(target->push->core->redis, &script_park, 3, keys, 3 + 2 * write->count, args,
                 written, write);
    buf_clear(&rests);
}

static void leave_due(struct parker *parker, struct park *park)
{
    if (park->is_due)
        TAILQ_REMOVE(&parker->due, park, in_due);
    park->is_due = false;
}

void park_write_now(struct park *park)
{
    leave_due(park->target->push->parker, park);
    while (!TAILQ_EMPTY(&park->writes))
        send_write(park);
}

static void send_all(evutil_socket_t fd, short what, void *arg)
{
    struct parker *parker = arg;
    struct park *park;

    (void)fd;
    (void)what;
    if (!redis_is_connected(parker->push->core->redis))
        return; /* parker_start sends them after the reconnect */
    while ((park = TAILQ_FIRST(&parker->due)))
        park_write_now(park);
}

/* After a reconnect nobody knows what Redis has: it is read again, and what is in memory is known by
 * its name. */
void parker_start(struct parker *parker)
{
    struct target *target;

    for (target = parker->push->targets; target; target = target->hh.next) {
        for (uint32_t i = 0; target->parks && i < parker->push->core->partition_count; i++) {
            if (target->parks[i])
                unpark_forgotten(target->parks[i], target->parks[i]->oldest_ms);
        }
    }
    parker_resume(parker);
}

void parker_resume(struct parker *parker)
{
    event_active(parker->timer, EV_TIMEOUT, 0);
}

struct parker *parker_new(struct push *push)
{
    struct parker *parker = xcalloc(1, sizeof(*parker));

    parker->push = push;
    parker->timer = evtimer_new(push->core->base, send_all, parker);
    TAILQ_INIT(&parker->due);
    return parker;
}

void parker_free(struct parker *parker)
{
    event_free(parker->timer);
    free(parker);
}

/* ---- taking over, and losing ---- */

void park_take_over(struct partition *partition, const redisReply *table)
{
    for (size_t i = 0; table && i + 1 < table->elements; i += 2) {
        struct str digest = redis_reply_str(redis_reply_at(table, i));
        struct str url, name, bytes = str_split(redis_reply_str(redis_reply_at(table, i + 1)),
                                                ' ', &name);
        struct str app_id = str_split(name, ' ', &url);
        struct target *target;
        struct park *park;
        uint64_t value = 0;

        if (!url.p || !str_to_u64(bytes, INT64_MAX, &value))
            continue;
        target = target_get(partition->push, app_id, url);
        if (!str_eq(digest, str_of(target->digest)))
            continue; /* not written by us: nothing would be found under that name */
        park = park_get(target, partition);
        park_set_unread(park, true);
        park_set_size(park, (int64_t)value, 0);
        park->oldest_ms = 0; /* not known: the first sweep looks */
        park->position[0] = '\0';
        park->resets++;
        park->is_looked_through = false;
    }
}

void park_forget(struct partition *partition)
{
    struct park *park;
    struct parking *parking;

    TAILQ_FOREACH (park, &partition->parks, in_partition) {
        leave_due(partition->push->parker, park);
        while ((parking = take(park))) {
            event_less(parking->event);
            free(parking);
        }
        park->resets++;
        park_set_unread(park, false);
        park_set_size(park, 0, 0);
    }
}

bool park_may_cancel_writes(const struct park *park)
{
    const struct target *target = park->target;

    /* What was read may wait for the application's subscriptions: this must not overtake it. */
    return park->batches == 0 && push_app_is_ready(target->app) && !park_is_behind(park) &&
           !target_holds_back(target) &&
           (circuit_state(target->member.circuit) != BREAKER_DRAIN || target->unread_parks == 1) &&
           target->delivery_count + park->write_count < target_unpark_limit(target);
}

static int by_name(const void *a, const void *b)
{
    const struct parking *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

/* In the order in which a read would have them: what was on the wire when the rest of its lane was parked
 * came behind that. */
void park_cancel_writes(struct park *park)
{
    struct parking **writes = xmalloc((park->write_count + 1) * sizeof(struct parking *));
    size_t count = 0;

    leave_due(park->target->push->parker, park);
    park_set_unread(park, false);
    while ((writes[count] = take(park))) /* all of them first: dispatching may park some again */
        count++;
    qsort(writes, count, sizeof(struct parking *), by_name);
    for (size_t i = 0; i < count; i++) {
        if (!writes[i]->event->is_forgotten)
            dispatch_one(park->target->app, writes[i]->event, &writes[i]->which);
        event_less(writes[i]->event);
        free(writes[i]);
    }
    free(writes);
}

void park_sweep(struct target *target)
{
    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        if (target->parks[i] && park_is_over(target->parks[i]))
            park_free(target->parks[i]);
    }
}

void park_free_all(struct target *target)
{
    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        struct park *park = target->parks[i];
        struct push_event *event, *next;
        struct parking *parking;

        if (!park)
            continue;
        while ((parking = take(park)))
            free(parking);
        HASH_ITER (hh, park->stream.events, event, next) {
            HASH_DEL(park->stream.events, event);
            free(event);
        }
        park_free(park);
    }
}

int64_t park_oldest_ms(const struct target *target)
{
    int64_t oldest_ms = INT64_MAX;

    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        if (target->parks[i] && target->parks[i]->oldest_ms < oldest_ms)
            oldest_ms = target->parks[i]->oldest_ms;
    }
    return oldest_ms;
}

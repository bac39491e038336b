/*
 * Copies for those who watch a device. What is read of an event stream is copied to the watch
 * before it is dispatched, on the connection that deletes it later: so it is in the watch before it
 * can be gone from the stream. Reading a stream again copies again; Redis refuses what a watch has
 * had, by its id.
 *
 * Nothing tells us of the end of a watch: its stream has expired then. We see that when we copy,
 * and look now and then at those that nothing is copied for.
 */
#include "push/delivery.h"

#include "base/decimal.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/device/watch.h"
#include "store/keys.h"
#include <stdlib.h>

struct watcher {
    LIST_ENTRY(watcher) entry;
    uint64_t lost;  /* not copied, and not told yet */
    uint64_t begin; /* its number: a watch that Redis has lost is begun again with its old id */
    char id[WATCH_ID_DIGITS + 1];
};

LIST_HEAD(watcher_list, watcher);

struct watched {
    UT_hash_handle hh;
    struct partition *partition;
    struct watcher_list watchers;
    size_t id_len;
    char id[]; /* the device's */
};

/* ---- who watches ---- */

static struct watched *watched_find(const struct push *push, struct str device_id)
{
    struct watched *watched;

    HASH_FIND(hh, push->watched, device_id.p, device_id.len, watched);
    return watched;
}

static struct watcher *watcher_find(const struct watched *watched, struct str id)
{
    struct watcher *watcher;

    if (!watched)
        return NULL;
    LIST_FOREACH (watcher, &watched->watchers, entry) {
        if (str_eq(id, str_of(watcher->id)))
            return watcher;
    }
    return NULL;
}

static void watched_free(struct push *push, struct watched *watched)
{
    struct watcher *watcher;

    while ((watcher = LIST_FIRST(&watched->watchers))) {
        LIST_REMOVE(watcher, entry);
        free(watcher);
    }
    HASH_DEL(push->watched, watched);
    free(watched);
}

static void schedule_check(struct push *push)
{
    int64_t life_ms = push->core->settings->watch_life_ms;
    struct timeval pause = {life_ms / 1000, life_ms % 1000 * 1000};

    if (!event_pending(push->watch_check, EV_TIMEOUT, NULL))
        event_add(push->watch_check, &pause);
}

static void add(struct partition *partition, struct str watch_id, struct str device_id)
{
    struct push *push = partition->push;
    struct watched *watched;
    struct watcher *watcher;

    if (!str_is_id(watch_id, WATCH_ID_DIGITS) || !str_is_id(device_id, KEY_ID_MAX))
        return;
    watched = watched_find(push, device_id);
    watcher = watcher_find(watched, watch_id);
    if (watcher) {
        watcher->begin = ++push->watch_begins;
        return;
    }
    if (!watched) {
        watched = xcalloc(1, sizeof(*watched) + device_id.len);
        watched->partition = partition;
        watched->id_len = device_id.len;
        memcpy(watched->id, device_id.p, device_id.len);
        HASH_ADD(hh, push->watched, id[0], device_id.len, watched);
    }
    watcher = xcalloc(1, sizeof(*watcher));
    watcher->begin = ++push->watch_begins;
    memcpy(watcher->id, watch_id.p, watch_id.len);
    LIST_INSERT_HEAD(&watched->watchers, watcher, entry);
    schedule_check(push);
}

void watcher_begin(struct partition *partition, const struct event_facts *facts)
{
    struct arena *arena = arena_new();

    add(partition, json_get_str(json_parse(arena, facts->payload, NULL), "watch"),
        facts->device_id);
    arena_free(arena);
}

void watcher_take_over(struct partition *partition, const redisReply *watches)
{
    for (size_t i = 0; watches && i < watches->elements; i++) {
        struct str device_id;
        struct str watch_id =
            str_split(redis_reply_str(redis_reply_at(watches, i)), ' ', &device_id);

        add(partition, watch_id, device_id);
    }
}

void watcher_forget(struct partition *partition)
{
    struct push *push = partition->push;
    struct watched *watched, *next;

    HASH_ITER (hh, push->watched, watched, next)
        if (watched->partition == partition)
            watched_free(push, watched);
}

/* ---- copying ---- */

struct copy { /* under way, or a question */
    struct push *push;
    uint64_t lost;  /* that it tells of */
    uint64_t begin; /* the watcher's then */
    char watch_id[WATCH_ID_DIGITS + 1];
    size_t device_len;
    char device_id[];
};

static struct copy *copy_new(struct push *push, const struct watched *watched,
                             struct watcher *watcher)
{
    struct copy *copy = xcalloc(1, sizeof(*copy) + watched->id_len);

    copy->push = push;
    copy->lost = watcher->lost;
    copy->begin = watcher->begin;
    watcher->lost = 0;
    memcpy(copy->watch_id, watcher->id, sizeof(copy->watch_id));
    copy->device_len = watched->id_len;
    memcpy(copy->device_id, watched->id, watched->id_len);
    return copy;
}

/* Its stream was not there, when it was last asked. */
static void remove_watcher(struct push *push, struct watched *watched, struct watcher *watcher,
                           const struct copy *asked)
{
    if (watcher->begin != asked->begin)
        return;
    LIST_REMOVE(watcher, entry);
    free(watcher);
    if (LIST_EMPTY(&watched->watchers))
        watched_free(push, watched);
}

/* An error is Redis' refusal of what is too old, since it has been copied before. Of a copy whose
 * answer did not come we say that it is lost: it may have been made, or may be made when the stream
 * is read again, but need not. */
static bool is_settled(enum redis_status status)
{
    return status == REDIS_DONE || status == REDIS_ERROR;
}

static void copied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct copy *copy = arg;
    struct push *push = copy->push;
    struct watched *watched = watched_find(push, str_n(copy->device_id, copy->device_len));
    struct watcher *watcher = watcher_find(watched, str_of(copy->watch_id));

    if (status == REDIS_DONE && reply->type != REDIS_REPLY_NIL)
        metric_add(M_WATCH_EVENTS, 1, "copied", NULL, NULL);
    else if (!is_settled(status))
        metric_add(M_WATCH_EVENTS, 1, "lost", NULL, NULL);
    if (watcher && status == REDIS_DONE && reply->type == REDIS_REPLY_NIL)
        remove_watcher(push, watched, watcher, copy); /* it has ended */
    else if (watcher && status != REDIS_DONE)
        watcher->lost += copy->lost + !is_settled(status);
    free(copy);
}

/* Few when they are large, so that all that waits stays within its bytes. */
static int64_t most_waiting(const struct push *push, size_t bytes)
{
    const struct core_settings *s = push->core->settings;
    int64_t fitting = s->watch_bytes / (int64_t)(bytes + 1);

    return fitting < 1 ? 1 : fitting < s->watch_events ? fitting : s->watch_events;
}

static void copy_to(struct partition *partition, struct watched *watched, struct watcher *watcher,
                    const struct entry_facts *entry)
{
    struct push *push = partition->push;
    struct copy *copy = copy_new(push, watched, watcher);
    struct decimal most, lost;
    struct key key;
    struct str words[] = {STR("XADD"),
                          key_watch(&key, partition->number, str_of(copy->watch_id)),
                          STR("NOMKSTREAM"),
                          STR("MAXLEN"),
                          decimal_str(&most, most_waiting(push, entry->text.len)),
                          entry->id,
                          STR("e"),
                          entry->text,
                          STR("lost"),
                          decimal_str(&lost, (int64_t)copy->lost)};

    redis_command(push->core->redis, copy->lost ? 10 : 8, words, copied, copy);
}

void watcher_entry_read(struct partition *partition, const struct entry_facts *entry)
{
    struct event_facts facts;
    struct watched *watched;
    struct watcher *watcher;

    /* What is tried again for one subscription is no news. */
    if (entry->only.subscription_id.p || !event_read(entry->text, &facts) ||
        facts.kind == EVENT_WATCH_STARTED)
        return;
    watched = watched_find(partition->push, facts.device_id);
    if (!watched)
        return;
    LIST_FOREACH (watcher, &watched->watchers, entry) {
        copy_to(partition, watched, watcher, entry);
    }
}

/* ---- are they still there? ---- */

static void looked(enum redis_status status, const redisReply *reply, void *arg)
{
    struct copy *question = arg;
    struct push *push = question->push;
    struct watched *watched = watched_find(push, str_n(question->device_id, question->device_len));
    struct watcher *watcher = watcher_find(watched, str_of(question->watch_id));

    if (watcher && status == REDIS_DONE && redis_reply_i64(reply) == 0)
        remove_watcher(push, watched, watcher, question);
    else if (watcher)
        watcher->lost += question->lost;
    free(question);
}

static void check(evutil_socket_t fd, short what, void *arg)
{
    struct push *push = arg;
    struct watched *watched, *next;
    struct watcher *watcher;

    (void)fd;
    (void)what;
    HASH_ITER (hh, push->watched, watched, next) {
        LIST_FOREACH (watcher, &watched->watchers, entry) {
            struct key key;

            redis_command(push->core->redis, 2,
                          (struct str[]){STR("EXISTS"), key_watch(&key, watched->partition->number,
                                                                  str_of(watcher->id))},
                          looked, copy_new(push, watched, watcher));
        }
    }
    if (push->watched)
        schedule_check(push);
}

void watcher_start(struct push *push)
{
    push->watch_check = evtimer_new(push->core->base, check, push);
}

void watcher_free(struct push *push)
{
    struct watched *watched, *next;

    HASH_ITER (hh, push->watched, watched, next)
        watched_free(push, watched);
    event_free(push->watch_check);
}

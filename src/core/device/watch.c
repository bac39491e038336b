#include "core/device/watch.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS           100   /* between two looks while somebody waits */
#define UNOWNED_MS        1000  /* a partition that changes hands is nobody's for a moment */
#define MOST_AT_ONCE      100   /* events of an answer */
#define MOST_IN_PARTITION "256" /* of all instances: a claim reads them */
#define CURSOR_SIZE       44    /* two 64-bit numbers, '-' and NUL */

struct watch {
    UT_hash_handle hh;
    struct core *core;
    char id[WATCH_ID_DIGITS + 1];
    char *device_id;
    char cursor[CURSOR_SIZE]; /* the last event that was read */
    int64_t accounted;    /* of all that its stream has ever had: read, or found to be dropped */
    uint64_t dropped;     /* not told yet */
    bool was_interrupted; /* not told yet */
    enum watch_state state, told_state;
    int64_t unowned_since_ms; /* tick; 0: it has an owner */
    struct event *timer;      /* the next look while somebody waits, else the end */
    bool is_busy;             /* Redis is being asked */
    bool is_closed;           /* out of the table; to be freed when Redis has answered */
    bool is_open;             /* watch_open has been answered */
    watch_opened_cb opened;
    watch_news_cb waiting; /* NULL: nobody */
    void *arg;             /* of either */
    int64_t wait_until_ms; /* tick */
};

struct watches {
    struct watch *table;
    bool is_stopping;
};

static struct timeval after(int64_t ms)
{
    return (struct timeval){ms / 1000, ms % 1000 * 1000};
}

static struct watch *watch_find(const struct core *core, struct str id)
{
    struct watch *watch = NULL;

    HASH_FIND(hh, core->watches->table, id.p, id.len, watch);
    return watch && watch->is_open ? watch : NULL;
}

/* ---- its end ---- */

static void watch_free(struct watch *watch)
{
    event_free(watch->timer);
    free(watch->device_id);
    free(watch);
}

/* Out of the table; what is left in Redis ends by itself. */
static void leave(struct watch *watch)
{
    struct watches *watches = watch->core->watches;

    HASH_DEL(watches->table, watch);
    metric_set(M_WATCHES, (double)HASH_COUNT(watches->table), NULL);
    event_del(watch->timer);
    watch->is_closed = true;
    if (!watch->is_busy)
        watch_free(watch);
}

static void forget_in_redis(const struct watch *watch)
{
    struct core *core = watch->core;
    struct str device_id = str_of(watch->device_id);
    uint32_t partition = partition_of(core, device_id);
    char member[WATCH_ID_DIGITS + KEY_ID_MAX + 2];
    struct key stream, table;
    int len = snprintf(member, sizeof(member), "%s %s", watch->id, watch->device_id);

    redis_command(core->redis, 2,
                  (struct str[]){STR("UNLINK"), key_watch(&stream, partition, str_of(watch->id))},
                  NULL, NULL);
    redis_command(
        core->redis, 3,
        (struct str[]){STR("ZREM"), key_watched(&table, partition), str_n(member, (size_t)len)},
        NULL, NULL);
}

/* ---- answering who waits ---- */

static void rest(struct watch *watch)
{
    struct timeval life = after(watch->core->settings->watch_life_ms);

    event_add(watch->timer, &life);
}

static void answer(struct watch *watch, enum error error, const struct watch_event *events,
                   size_t count)
{
    watch_news_cb waiting = watch->waiting;
    const struct watch_news news = {
        .state = watch->state,
        .was_interrupted = watch->was_interrupted,
        .dropped = watch->dropped,
        .events = events,
        .count = count,
    };

    if (!waiting)
        return;
    watch->waiting = NULL;
    watch->told_state = watch->state;
    if (!error) {
        metric_add(M_WATCH_EVENTS, count, "shown", NULL, NULL);
        metric_add(M_WATCH_EVENTS, watch->dropped, "dropped", NULL, NULL);
        watch->dropped = 0;
        watch->was_interrupted = false;
        rest(watch);
    }
    waiting(error, error ? NULL : &news, watch->arg);
}

static void look(struct watch *watch);

/* Nothing new: now, or after a while. */
static void go_on(struct watch *watch)
{
    static const struct timeval pause = {0, LOOK_MS * 1000};

    if (watch->state != watch->told_state || watch->dropped || watch->was_interrupted ||
        clock_tick_ms() >= watch->wait_until_ms)
        answer(watch, ERR_OK, NULL, 0);
    else
        event_add(watch->timer, &pause);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    if (watch->waiting) {
        look(watch);
        return;
    }
    forget_in_redis(watch);
    leave(watch);
}

/* ---- reading ---- */

static void take_owner(struct watch *watch, struct str fence)
{
    int64_t now_ms = clock_tick_ms();

    if (fence.len)
        watch->unowned_since_ms = 0;
    else if (!watch->unowned_since_ms)
        watch->unowned_since_ms = now_ms;
    watch->state = watch->unowned_since_ms && now_ms - watch->unowned_since_ms >= UNOWNED_MS
                       ? WATCH_UNOWNED
                       : WATCH_GOES;
}

/* had, has: by its stream in Redis, which may be an older one than we have seen. */
static void count_dropped(struct watch *watch, int64_t had, int64_t has)
{
    if (had - has > watch->accounted)
        watch->dropped += (uint64_t)(had - has - watch->accounted);
    watch->accounted = had - has;
}

static size_t take_events(struct watch *watch, const redisReply *reply, struct watch_event *events,
                          struct str *ids)
{
    size_t count = 0;

    for (size_t i = 3; i + 2 < reply->elements && i < 3 + 3 * MOST_AT_ONCE; i += 3) {
        struct str id = redis_reply_str(redis_reply_at(reply, i));
        int64_t lost = redis_reply_i64(redis_reply_at(reply, i + 2));

        watch->accounted++;
        if (id.len >= CURSOR_SIZE)
            continue;
        memcpy(watch->cursor, id.p, id.len);
        watch->cursor[id.len] = '\0';
        watch->dropped += lost > 0 ? (uint64_t)lost : 0;
        ids[count] = id;
        if (event_read(redis_reply_str(redis_reply_at(reply, i + 1)), &events[count].facts))
            count++;
    }
    return count;
}

static void answer_events(struct watch *watch, const redisReply *reply)
{
    struct arena *arena = arena_new();
    struct watch_event events[MOST_AT_ONCE];
    struct str ids[MOST_AT_ONCE];
    size_t count = take_events(watch, reply, events, ids);
    unsigned partition = (unsigned)partition_of(watch->core, str_of(watch->device_id));

    for (size_t i = 0; i < count; i++)
        events[i].id = str_of(arena_printf(arena, "%u-%.*s", partition, STR_ARG(ids[i])));
    if (count > 0)
        answer(watch, ERR_OK, events, count);
    else
        go_on(watch);
    arena_free(arena);
}

static void reopen(struct watch *watch);

static void read_done(enum redis_status status, const redisReply *reply, void *arg)
{
    struct watch *watch = arg;

    watch->is_busy = false;
    if (watch->is_closed) {
        watch_free(watch);
    } else if (status != REDIS_DONE) {
        watch->state = WATCH_NO_REDIS;
        go_on(watch);
    } else if (redis_reply_is(reply, "GONE")) {
        reopen(watch);
    } else {
        take_owner(watch, redis_reply_str(redis_reply_at(reply, 2)));
        count_dropped(watch, redis_reply_i64(redis_reply_at(reply, 0)),
                      redis_reply_i64(redis_reply_at(reply, 1)));
        answer_events(watch, reply);
    }
}

static void look(struct watch *watch)
{
    struct core *core = watch->core;
    struct str device_id = str_of(watch->device_id);
    uint32_t partition = partition_of(core, device_id);
    struct key stream, table, lease;
    struct decimal life, most;
    char member[WATCH_ID_DIGITS + KEY_ID_MAX + 2];
    int len = snprintf(member, sizeof(member), "%s %s", watch->id, watch->device_id);

    watch->is_busy = true;
    redis_script(core->redis, &script_watch_read, 3,
                 (struct str[]){key_watch(&stream, partition, str_of(watch->id)),
                                key_watched(&table, partition), key_lease(&lease, partition)},
                 4,
                 (struct str[]){str_n(member, (size_t)len), str_of(watch->cursor),
                                decimal_str(&life, core->settings->watch_life_ms),
                                decimal_str(&most, MOST_AT_ONCE)},
                 read_done, watch);
}

/* ---- opening ---- */

static void begin(struct watch *watch, redis_cb cb)
{
    struct core *core = watch->core;
    struct str device_id = str_of(watch->device_id);
    uint32_t partition = partition_of(core, device_id);
    struct key device, events, stream, table;
    struct decimal now, life;

    watch->is_busy = true;
    redis_script(
        core->redis, &script_watch_open, 4,
        (struct str[]){key_device(&device, partition, device_id), key_events(&events, partition),
                       key_watch(&stream, partition, str_of(watch->id)),
                       key_watched(&table, partition)},
        5,
        (struct str[]){device_id, str_of(watch->id), decimal_str(&now, clock_now_ms()),
                       decimal_str(&life, core->settings->watch_life_ms), STR(MOST_IN_PARTITION)},
        cb, watch);
}

static enum error take_begin(struct watch *watch, enum redis_status status, const redisReply *reply)
{
    struct str id = redis_reply_str(reply);

    if (status != REDIS_DONE)
        return core_error_of(status);
    if (redis_reply_is(reply, "GONE"))
        return ERR_DEVICE_NOT_FOUND;
    if (redis_reply_is(reply, "FULL") || id.len >= CURSOR_SIZE)
        return ERR_OVERLOADED;
    memcpy(watch->cursor, id.p, id.len);
    watch->cursor[id.len] = '\0';
    watch->accounted = 1; /* the place it begins at */
    return ERR_OK;
}

/* Redis has come back without it. */
static void begun_again(enum redis_status status, const redisReply *reply, void *arg)
{
    struct watch *watch = arg;
    enum error error = take_begin(watch, status, reply);

    watch->is_busy = false;
    if (watch->is_closed) {
        watch_free(watch);
    } else if (error == ERR_DEVICE_NOT_FOUND) {
        answer(watch, error, NULL, 0);
        leave(watch);
    } else if (error) {
        watch->state = WATCH_NO_REDIS;
        go_on(watch);
    } else {
        watch->state = WATCH_GOES;
        watch->was_interrupted = true;
        go_on(watch);
    }
}

static void reopen(struct watch *watch)
{
    begin(watch, begun_again);
}

static void begun(enum redis_status status, const redisReply *reply, void *arg)
{
    struct watch *watch = arg;
    enum error error = take_begin(watch, status, reply);
    char id[WATCH_ID_DIGITS + 1];

    memcpy(id, watch->id, sizeof(id));
    watch->is_busy = false;
    watch->is_open = !error;
    if (watch->is_closed)
        error = ERR_INTERNAL;
    else if (!error)
        rest(watch);
    watch->opened(error, error ? STR_NONE : str_of(id), watch->arg);
    if (watch->is_closed)
        watch_free(watch);
    else if (error)
        leave(watch);
}

enum error watch_open(struct core *core, struct str device_id, watch_opened_cb cb, void *arg)
{
    struct watches *watches = core->watches;
    struct watch *watch;

    if (!core_is_ready(core) || watches->is_stopping)
        return ERR_INTERNAL;
    if (!str_is_id(device_id, KEY_ID_MAX))
        return ERR_DEVICE_NOT_FOUND;
    if (HASH_COUNT(watches->table) >= (size_t)core->settings->watches)
        return ERR_OVERLOADED;
    watch = xcalloc(1, sizeof(*watch));
    watch->core = core;
    crypto_random_hex(watch->id, WATCH_ID_DIGITS);
    watch->device_id = str_dup(device_id);
    watch->timer = evtimer_new(core->base, on_timer, watch);
    watch->opened = cb;
    watch->arg = arg;
    HASH_ADD(hh, watches->table, id[0], WATCH_ID_DIGITS, watch);
    metric_set(M_WATCHES, (double)HASH_COUNT(watches->table), NULL);
    begin(watch, begun);
    return ERR_OK;
}

enum error watch_wait(struct core *core, struct str watch_id, int64_t wait_ms, watch_news_cb cb,
                      void *arg)
{
    struct watch *watch = watch_find(core, watch_id);

    if (core->watches->is_stopping)
        return ERR_INTERNAL;
    if (!watch)
        return ERR_NOT_FOUND;
    if (watch->waiting)
        return ERR_BAD_REQUEST;
    event_del(watch->timer);
    watch->waiting = cb;
    watch->arg = arg;
    watch->wait_until_ms = clock_tick_ms() + wait_ms;
    look(watch);
    return ERR_OK;
}

bool watch_close(struct core *core, struct str watch_id)
{
    struct watch *watch = watch_find(core, watch_id);

    if (!watch)
        return false;
    forget_in_redis(watch);
    answer(watch, ERR_NOT_FOUND, NULL, 0);
    leave(watch);
    return true;
}

/* ---- begin and end ---- */

void watches_new(struct core *core)
{
    core->watches = xcalloc(1, sizeof(*core->watches));
}

void watches_stop(struct core *core)
{
    struct watch *watch = NULL, *next;

    core->watches->is_stopping = true;
    HASH_ITER (hh, core->watches->table, watch, next) {
        if (!watch->is_open)
            continue; /* its answer comes */
        forget_in_redis(watch);
        answer(watch, ERR_INTERNAL, NULL, 0);
        leave(watch);
    }
}

void watches_free(struct core *core)
{
    if (!core->watches)
        return;
    free(core->watches);
    core->watches = NULL;
}

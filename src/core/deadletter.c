#include "core/deadletter.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include <stdlib.h>

/* ---- keeping ---- */

void deadletter_keep(struct core *core, const struct deadletter *letter, int64_t max_entries)
{
    struct decimal most, part, attempts, time;
    struct buf event = {0};
    struct key key;

    event_write(&event, &letter->event);
    redis_command(core->redis, 24,
                  (struct str[]){STR("XADD"), key_dead_letters(&key), STR("MAXLEN"), STR("~"),
                                 decimal_str(&most, max_entries), STR("*"),
                                 STR("reason"), letter->reason,
                                 STR("url"), letter->url,
                                 STR("subscription"), letter->subscription_id,
                                 STR("error"), letter->last_error,
                                 STR("origin"), letter->origin_id,
                                 STR("part"), decimal_str(&part, letter->part),
                                 STR("attempts"), decimal_str(&attempts, letter->attempts),
                                 STR("dropped"), decimal_str(&time, letter->dropped_ms),
                                 STR("e"), buf_str(&event)},
                  NULL, NULL);
    buf_clear(&event);
}

/* ---- reading ---- */

static unsigned number_of(const redisReply *fields, const char *name)
{
    uint64_t value = 0;

    str_to_u64(redis_reply_field(fields, name), UINT32_MAX, &value);
    return (unsigned)value;
}

static bool letter_from(struct arena *arena, const redisReply *entry, struct deadletter *letter)
{
    const redisReply *fields = redis_reply_at(entry, 1);
    uint64_t dropped_ms = 0;

    str_to_u64(redis_reply_field(fields, "dropped"), INT64_MAX, &dropped_ms);
    *letter = (struct deadletter){
        .id = arena_str(arena, redis_reply_str(redis_reply_at(entry, 0))),
        .reason = arena_str(arena, redis_reply_field(fields, "reason")),
        .url = arena_str(arena, redis_reply_field(fields, "url")),
        .subscription_id = arena_str(arena, redis_reply_field(fields, "subscription")),
        .last_error = arena_str(arena, redis_reply_field(fields, "error")),
        .origin_id = arena_str(arena, redis_reply_field(fields, "origin")),
        .part = number_of(fields, "part"),
        .attempts = number_of(fields, "attempts"),
        .dropped_ms = (int64_t)dropped_ms,
    };
    return letter->id.p && event_read(arena_str(arena, redis_reply_field(fields, "e")),
                                      &letter->event);
}

struct listing {
    struct arena *arena;
    deadletters_cb cb;
    void *arg;
};

static void letters_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct listing *listing = arg;
    size_t most = status == REDIS_DONE ? reply->elements : 0, count = 0;
    struct deadletter *letters = arena_zalloc(listing->arena, (most + 1) * sizeof(*letters));

    for (size_t i = 0; i < most; i++)
        count += letter_from(listing->arena, redis_reply_at(reply, i), &letters[count]);
    listing->cb(core_error_of(status), letters, count, listing->arg);
}

static void read_range(struct core *core, struct str from, struct str to, size_t count,
                       struct listing *listing)
{
    struct decimal most;
    struct key key;

    redis_command(core->redis, 6,
                  (struct str[]){STR("XRANGE"), key_dead_letters(&key), from, to, STR("COUNT"),
                                 decimal_str(&most, (int64_t)count)},
                  letters_read, listing);
}

static struct listing *listing_new(struct arena *arena, deadletters_cb cb, void *arg)
{
    struct listing *listing = arena_alloc(arena, sizeof(*listing));

    *listing = (struct listing){arena, cb, arg};
    return listing;
}

void deadletter_list(struct core *core, struct arena *arena, struct str after, size_t count,
                     deadletters_cb cb, void *arg)
{
    const char *from = after.len ? arena_printf(arena, "(%.*s", STR_ARG(after)) : "-";

    read_range(core, str_of(from), STR("+"), count, listing_new(arena, cb, arg));
}

/* ---- once more ---- */

struct replay {
    struct core *core;
    size_t waiting, done;
    enum error error;
    deadletter_done_cb cb;
    void *arg;
};

static void one_less(struct replay *replay, enum error error)
{
    if (error)
        replay->error = error;
    if (--replay->waiting == 0)
        replay->cb(replay->error, replay->done, replay->arg);
}

struct replay_one {
    struct replay *replay;
    struct str id;
};

static void letter_deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct replay_one *one = arg;

    (void)reply;
    one->replay->done += status == REDIS_DONE;
    one_less(one->replay, core_error_of(status));
}

static void event_added(enum redis_status status, const redisReply *reply, void *arg)
{
    struct replay_one *one = arg;
    struct key key;

    (void)reply;
    if (status != REDIS_DONE) {
        one_less(one->replay, core_error_of(status));
        return;
    }
    redis_command(one->replay->core->redis, 3,
                  (struct str[]){STR("XDEL"), key_dead_letters(&key), one->id}, letter_deleted,
                  one);
}

/* First into its event stream, then out of here: what breaks off in between is there twice. */
static void replay_letter(struct replay_one *one, const struct deadletter *letter)
{
    struct core *core = one->replay->core;
    struct event_facts facts = letter->event;
    struct buf event = {0}, only = {0};
    struct key key;

    facts.time_ms = clock_now_ms(); /* its age begins anew */
    event_write(&event, &facts);
    buf_printf(&only, "%.*s %u %.*s", STR_ARG(letter->origin_id), letter->part,
               STR_ARG(letter->subscription_id));
    redis_command(core->redis, 7,
                  (struct str[]){STR("XADD"),
                                 key_events(&key, partition_of(core, facts.device_id)), STR("*"),
                                 STR("e"), buf_str(&event), STR("only"), buf_str(&only)},
                  event_added, one);
    buf_clear(&event);
    buf_clear(&only);
}

struct replay_reading {
    struct replay *replay;
    struct arena *arena;
};

static void replay_read(enum error error, const struct deadletter *letters, size_t count,
                        void *arg)
{
    const struct replay_reading *reading = arg;
    struct replay *replay = reading->replay;

    replay->waiting += count;
    for (size_t i = 0; i < count; i++) {
        struct replay_one *one = arena_alloc(reading->arena, sizeof(*one));

        *one = (struct replay_one){replay, letters[i].id};
        replay_letter(one, &letters[i]);
    }
    one_less(replay, error);
}

void deadletter_replay(struct core *core, struct arena *arena, const struct str *ids, size_t count,
                       deadletter_done_cb cb, void *arg)
{
    struct replay *replay = arena_zalloc(arena, sizeof(*replay));
    struct replay_reading *reading = arena_alloc(arena, sizeof(*reading));

    *replay = (struct replay){.core = core, .waiting = 1, .cb = cb, .arg = arg};
    *reading = (struct replay_reading){replay, arena};
    for (size_t i = 0; ids && i < count; i++) {
        replay->waiting++;
        read_range(core, ids[i], ids[i], 1, listing_new(arena, replay_read, reading));
    }
    if (!ids) {
        replay->waiting++;
        read_range(core, STR("-"), STR("+"), count, listing_new(arena, replay_read, reading));
    }
    one_less(replay, ERR_OK);
}

/* ---- away with them ---- */

struct purge {
    deadletter_done_cb cb;
    void *arg;
    size_t count;
};

static void length_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct purge *purge = arg;

    if (status == REDIS_DONE)
        purge->count = (size_t)redis_reply_i64(reply);
}

static void purged(enum redis_status status, const redisReply *reply, void *arg)
{
    struct purge *purge = arg;

    (void)reply;
    purge->cb(core_error_of(status), purge->count, purge->arg);
    free(purge);
}

void deadletter_purge(struct core *core, deadletter_done_cb cb, void *arg)
{
    struct purge *purge = xcalloc(1, sizeof(*purge));
    struct key key;

    *purge = (struct purge){cb, arg, 0};
    redis_command(core->redis, 2, (struct str[]){STR("XLEN"), key_dead_letters(&key)}, length_read,
                  purge);
    redis_command(core->redis, 2, (struct str[]){STR("UNLINK"), key_dead_letters(&key)}, purged,
                  purge);
}

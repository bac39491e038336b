#include "core/deployment.h"

#include "base/clock.h"
#include "base/mem.h"
#include "core/event.h"
#include "store/keys.h"
#include <stdlib.h>

/* ---- instances ---- */

struct instances {
    struct arena *arena;
    int64_t now_ms; /* of Redis' clock, as the heartbeats are */
    deployment_instances_cb cb;
    void *arg;
};

static void time_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct instances *instances = arg;

    if (status == REDIS_DONE)
        instances->now_ms = redis_reply_i64(redis_reply_at(reply, 0)) * 1000 +
                            redis_reply_i64(redis_reply_at(reply, 1)) / 1000;
}

static void beats_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct instances *instances = arg;
    size_t count = status == REDIS_DONE ? reply->elements / 2 : 0;
    struct deployment_instance *list =
        arena_zalloc(instances->arena, (count + 1) * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i].id = redis_reply_str(redis_reply_at(reply, 2 * i));
        list[i].silent_ms =
            instances->now_ms - redis_reply_i64(redis_reply_at(reply, 2 * i + 1));
    }
    instances->cb(core_error_of(status), list, count, instances->arg);
}

void deployment_instances(struct core *core, struct arena *arena, deployment_instances_cb cb,
                          void *arg)
{
    struct instances *instances = arena_zalloc(arena, sizeof(*instances));
    struct key key;

    instances->arena = arena;
    instances->cb = cb;
    instances->arg = arg;
    redis_command(core->redis, 1, (struct str[]){STR("TIME")}, time_read, instances);
    redis_command(core->redis, 5,
                  (struct str[]){STR("ZRANGE"), key_instances(&key), STR("0"), STR("-1"),
                                 STR("WITHSCORES")},
                  beats_read, instances);
}

/* ---- partitions ---- */

struct partitions {
    struct arena *arena;
    struct deployment_partition *list;
    size_t count, waiting;
    enum error error;
    deployment_partitions_cb cb;
    void *arg;
};

struct partition_question {
    struct partitions *all;
    struct deployment_partition *partition;
};

static void one_less(struct partitions *all, enum redis_status status)
{
    if (status != REDIS_DONE)
        all->error = ERR_INTERNAL;
    if (--all->waiting == 0)
        all->cb(all->error, all->list, all->count, all->arg);
}

static void owner_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct partition_question *question = arg;
    struct str fence = redis_reply_str(reply);

    if (fence.p)
        question->partition->owner =
            arena_str(question->all->arena, str_split(fence, ':', &(struct str){0}));
    one_less(question->all, status);
}

static void length_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct partition_question *question = arg;

    question->partition->backlog = redis_reply_i64(reply);
    one_less(question->all, status);
}

static void oldest_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct partition_question *question = arg;
    const redisReply *fields = redis_reply_at(redis_reply_at(reply, 0), 1);
    struct event_facts facts;

    if (event_read(redis_reply_str(redis_reply_at(fields, 1)), &facts))
        question->partition->oldest_ms = clock_now_ms() - facts.time_ms;
    one_less(question->all, status);
}

void deployment_partitions(struct core *core, struct arena *arena, deployment_partitions_cb cb,
                           void *arg)
{
    struct partitions *all = arena_zalloc(arena, sizeof(*all));

    all->arena = arena;
    all->count = core->partition_count;
    all->list = arena_zalloc(arena, (all->count + 1) * sizeof(*all->list));
    all->waiting = all->count * 3;
    all->cb = cb;
    all->arg = arg;
    for (size_t i = 0; i < all->count; i++) {
        struct partition_question *question = arena_alloc(arena, sizeof(*question));
        uint32_t number = (uint32_t)i;
        struct key key;

        all->list[i].number = number;
        *question = (struct partition_question){all, &all->list[i]};
        redis_command(core->redis, 2, (struct str[]){STR("GET"), key_lease(&key, number)},
                      owner_read, question);
        redis_command(core->redis, 2, (struct str[]){STR("XLEN"), key_events(&key, number)},
                      length_read, question);
        redis_command(core->redis, 6,
                      (struct str[]){STR("XRANGE"), key_events(&key, number), STR("-"), STR("+"),
                                     STR("COUNT"), STR("1")},
                      oldest_read, question);
    }
}

/* ---- holding deliveries back ---- */

struct pause {
    bool value;
    deployment_done_cb cb;
    void *arg;
};

static struct pause *pause_new(bool value, deployment_done_cb cb, void *arg)
{
    struct pause *pause = xcalloc(1, sizeof(*pause));

    *pause = (struct pause){value, cb, arg};
    return pause;
}

static void pause_written(enum redis_status status, const redisReply *reply, void *arg)
{
    struct pause *pause = arg;

    (void)reply;
    pause->cb(core_error_of(status), pause->value, pause->arg);
    free(pause);
}

void deployment_set_paused(struct core *core, bool is_paused, deployment_done_cb cb, void *arg)
{
    struct key key;

    redis_command(core->redis, 4,
                  (struct str[]){STR("HSET"), key_deployment(&key), STR("paused"),
                                 is_paused ? STR("1") : STR("0")},
                  pause_written, pause_new(is_paused, cb, arg));
}

static void pause_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct pause *pause = arg;

    pause->cb(core_error_of(status), redis_reply_is(reply, "1"), pause->arg);
    free(pause);
}

void deployment_is_paused(struct core *core, deployment_done_cb cb, void *arg)
{
    struct key key;

    redis_command(core->redis, 3,
                  (struct str[]){STR("HGET"), key_deployment(&key), STR("paused")}, pause_read,
                  pause_new(false, cb, arg));
}

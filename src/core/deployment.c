#include "core/deployment.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/event.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
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

#define PAUSED          "paused"
#define PAUSED_URL      "paused " /* and the URL */
#define OTHER_FACTS_MAX 16

struct switching {
    struct core *core;
    deployment_switches_cb read_cb;
    deployment_done_cb cb;
    void *arg;
};

static struct switching *switching_new(struct core *core, void *arg)
{
    struct switching *switching = xcalloc(1, sizeof(*switching));

    switching->core = core;
    switching->arg = arg;
    return switching;
}

static void switches_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct switching *switching = arg;
    struct deployment_switches switches = {0};
    struct str *urls = NULL;

    if (status == REDIS_DONE) {
        urls = xcalloc(reply->elements / 2 + 1, sizeof(*urls));
        switches.is_paused = str_eq(redis_reply_field(reply, PAUSED), STR("1"));
        for (size_t i = 0; i < reply->elements; i += 2) {
            struct str field = redis_reply_str(redis_reply_at(reply, i));

            if (str_starts_with(field, STR(PAUSED_URL)))
                urls[switches.paused_url_count++] =
                    str_n(field.p + sizeof(PAUSED_URL) - 1, field.len - sizeof(PAUSED_URL) + 1);
        }
        switches.paused_urls = urls;
    }
    switching->read_cb(core_error_of(status), &switches, switching->arg);
    free(urls);
    free(switching);
}

void deployment_read_switches(struct core *core, deployment_switches_cb cb, void *arg)
{
    struct switching *switching = switching_new(core, arg);
    struct key key;

    switching->read_cb = cb;
    redis_command(core->redis, 2, (struct str[]){STR("HGETALL"), key_deployment(&key)},
                  switches_read, switching);
}

static void switch_written(enum redis_status status, const redisReply *reply, void *arg)
{
    struct switching *switching = arg;
    enum error error = core_error_of(status);

    if (!error && redis_reply_i64(reply) == 0)
        error = ERR_BAD_REQUEST;
    switching->cb(error, switching->arg);
    free(switching);
}

void deployment_set_paused(struct core *core, struct str url, bool is_paused,
                           deployment_done_cb cb, void *arg)
{
    struct switching *switching = switching_new(core, arg);
    char *field = url.p ? xasprintf(PAUSED_URL "%.*s", STR_ARG(url)) : xstrdup(PAUSED);
    struct decimal most;
    struct key key;

    switching->cb = cb;
    redis_script(core->redis, &script_pause_url, 1, (struct str[]){key_deployment(&key)}, 3,
                 (struct str[]){str_of(field), is_paused ? STR("1") : STR("0"),
                                decimal_str(&most, DEPLOYMENT_PAUSED_URLS_MAX + OTHER_FACTS_MAX)},
                 switch_written, switching);
    free(field);
}

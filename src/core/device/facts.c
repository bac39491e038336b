#include "core/device/facts.h"

#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include <stdlib.h>

#define LIFE_MS   3600000
#define SEPARATOR 0x1f

void device_facts_start(struct core *core)
{
    core->device_facts = cache_new((size_t)core->settings->cache_devices, free);
}

void device_facts_stop(struct core *core)
{
    cache_free(core->device_facts);
}

const struct device_facts *device_facts_cached(struct core *core, struct str device_id)
{
    return cache_get(core->device_facts, device_id);
}

static struct str put(char **end, struct str text)
{
    struct str copy = {*end, text.len};

    if (text.len)
        memcpy(*end, text.p, text.len);
    *end += text.len;
    return copy;
}

/* One piece of memory: the reference, whose parts are the members, then the application's id. */
const struct device_facts *device_facts_learn(struct core *core, struct str device_id,
                                              struct str app_id,
                                              const struct str members[DEVICE_REFERENCE_COUNT])
{
    size_t bytes = app_id.len + DEVICE_REFERENCE_COUNT;
    struct str *parts[DEVICE_REFERENCE_COUNT];
    struct device_facts *facts;
    char *text, *end;

    for (size_t i = 0; i < DEVICE_REFERENCE_COUNT; i++)
        bytes += members[i].len;
    facts = xcalloc(1, sizeof(*facts) + bytes);
    text = end = (char *)(facts + 1);
    parts[0] = &facts->model.manufacturer_id;
    parts[1] = &facts->model.name;
    parts[2] = &facts->model.device_type;
    parts[3] = &facts->model.protocol_type;
    for (size_t i = 0; i < DEVICE_REFERENCE_COUNT; i++) {
        if (i)
            *end++ = SEPARATOR;
        *parts[i] = put(&end, members[i]);
    }
    facts->reference =
        members[0].len && members[1].len ? str_n(text, (size_t)(end - text)) : STR("");
    facts->model.app_id = put(&end, app_id);
    cache_put(core->device_facts, device_id, facts, LIFE_MS);
    return facts;
}

const struct device_facts *device_facts_take(struct core *core, struct str device_id,
                                             const redisReply *reply, size_t first)
{
    struct str app_id = redis_reply_str(redis_reply_at(reply, first));
    struct str members[DEVICE_REFERENCE_COUNT];

    for (size_t i = 0; i < DEVICE_REFERENCE_COUNT; i++)
        members[i] = redis_reply_str(redis_reply_at(reply, first + 1 + i));
    return app_id.len ? device_facts_learn(core, device_id, app_id, members) : NULL;
}

struct facts_reading {
    struct core *core;
    struct str device_id;
    device_facts_cb cb;
    void *arg;
};

static void facts_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct facts_reading *reading = arg;

    if (status != REDIS_DONE)
        reading->cb(core_error_of(status), NULL, reading->arg);
    else
        reading->cb(ERR_OK, device_facts_take(reading->core, reading->device_id, reply, 0),
                    reading->arg);
}

void device_facts_read(struct core *core, struct arena *arena, struct str device_id,
                       device_facts_cb cb, void *arg)
{
    struct facts_reading *reading = arena_alloc(arena, sizeof(*reading));
    struct key key;

    *reading = (struct facts_reading){core, device_id, cb, arg};
    redis_command(core->redis, 3 + DEVICE_REFERENCE_COUNT,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("app"), DEVICE_REFERENCE_FIELDS},
                  facts_replied, reading);
}

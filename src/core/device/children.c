#include "core/device/children.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdlib.h>

/* ---- their ids ---- */

struct ids {
    struct arena *arena;
    children_ids_cb cb;
    void *arg;
};

static void ids_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct ids *ids = arg;
    size_t count = status == REDIS_DONE ? reply->elements : 0;
    struct str *list = arena_alloc(ids->arena, (count + 1) * sizeof(*list));

    for (size_t i = 0; i < count; i++) {
        list[i] = arena_str(ids->arena, redis_reply_str(redis_reply_at(reply, i)));
        if (!str_is_id(list[i], KEY_ID_MAX))
            list[i] = STR("-");
    }
    ids->cb(core_error_of(status), list, count, ids->arg);
}

void children_ids(struct core *core, struct arena *arena, struct str gateway_id,
                  children_ids_cb cb, void *arg)
{
    struct ids *ids = arena_alloc(arena, sizeof(*ids));
    struct key key;

    *ids = (struct ids){arena, cb, arg};
    redis_command(core->redis, 2,
                  (struct str[]){STR("SMEMBERS"),
                                 key_children(&key, partition_of(core, gateway_id), gateway_id)},
                  ids_read, ids);
}

/* ---- all of them ---- */

#define RECORDS_AT_ONCE 100

struct listing {
    struct core *core;
    struct arena *arena;
    struct str gateway_id;
    struct child *list;
    size_t count, next, waiting; /* next: whose record is not asked for yet */
    enum error error;
    children_cb cb;
    void *arg;
};

struct reading {
    struct listing *listing;
    struct child *child;
};

/* Those that are still behind this gateway: the set may be ahead of the records. */
static void listing_done(struct listing *listing)
{
    size_t kept = 0;

    for (size_t i = 0; i < listing->count; i++) {
        if (listing->list[i].node_id.p)
            listing->list[kept++] = listing->list[i];
    }
    listing->cb(listing->error, listing->list, kept, listing->arg);
}

static void read_next(struct listing *listing);

static void record_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;
    struct listing *listing = reading->listing;
    struct child *child = reading->child;
    struct str *const members[] = {&child->node_id,  &child->name,       &child->description,
                                   &child->manufacturer_id, &child->model, &child->product_id,
                                   &child->fw_version, &child->sw_version, &child->status};

    if (status != REDIS_DONE)
        listing->error = ERR_INTERNAL;
    else if (str_eq(redis_reply_str(redis_reply_at(reply, 0)), listing->gateway_id))
        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
            *members[i] =
                arena_str(listing->arena, redis_reply_str(redis_reply_at(reply, i + 1)));
    listing->waiting--;
    read_next(listing);
}

static void read_record(struct listing *listing, struct child *child)
{
    struct reading *reading = arena_alloc(listing->arena, sizeof(*reading));
    struct core *core = listing->core;
    struct key key;

    *reading = (struct reading){listing, child};
    redis_command(core->redis, 12,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, child->id), child->id),
                                 STR("gateway"), STR("nodeId"), STR("name"), STR("description"),
                                 STR("manufacturerId"), STR("model"), STR("productId"),
                                 STR("fwVersion"), STR("swVersion"), STR("status")},
                  record_read, reading);
}

static void read_next(struct listing *listing)
{
    while (listing->next < listing->count && listing->waiting < RECORDS_AT_ONCE) {
        listing->waiting++;
        read_record(listing, &listing->list[listing->next++]);
    }
    if (listing->waiting == 0)
        listing_done(listing);
}

static void read_records(enum error error, const struct str *ids, size_t count, void *arg)
{
    struct listing *listing = arg;

    if (count == 0) {
        listing->cb(error, NULL, 0, listing->arg);
        return;
    }
    listing->list = arena_zalloc(listing->arena, count * sizeof(*listing->list));
    listing->count = count;
    for (size_t i = 0; i < count; i++)
        listing->list[i].id = ids[i];
    read_next(listing);
}

void children_list(struct core *core, struct arena *arena, struct str gateway_id, children_cb cb,
                   void *arg)
{
    struct listing *listing = arena_zalloc(arena, sizeof(*listing));

    listing->core = core;
    listing->arena = arena;
    listing->gateway_id = gateway_id;
    listing->cb = cb;
    listing->arg = arg;
    children_ids(core, arena, gateway_id, read_records, listing);
}

/* ---- one of them ---- */

struct offline {
    child_offline_cb cb;
    void *arg;
};

static void gone(enum redis_status status, const redisReply *reply, void *arg)
{
    struct offline *offline = arg;
    enum error error = core_error_of(status);

    if (!error && redis_reply_is(reply, "GONE"))
        error = ERR_CHILD_UNKNOWN;
    offline->cb(error, redis_reply_is(reply, "OK"), offline->arg);
    free(offline);
}

void child_offline(struct core *core, struct str gateway_id, struct str device_id,
                   child_offline_cb cb, void *arg)
{
    struct offline *offline = xcalloc(1, sizeof(*offline));
    uint32_t partition = partition_of(core, device_id);
    struct key device, events, marks;
    struct decimal now;

    offline->cb = cb;
    offline->arg = arg;
    redis_script(core->redis, &script_child_offline, 3,
                 (struct str[]){key_device(&device, partition, device_id),
                                key_events(&events, partition),
                                key_index_marks(&marks, partition)},
                 3, (struct str[]){device_id, gateway_id, decimal_str(&now, clock_now_ms())}, gone,
                 offline);
}

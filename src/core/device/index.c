/* Updating the index: reading what it should say of a device; taking devices and blocks out. */
#include "core/device/update.h"

#include "base/decimal.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/partition.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

void device_update_end(struct update *update, enum error error)
{
    metric_add(M_INDEX_UPDATES, 1, error ? "failed" : "done", NULL, NULL);
    if (update->cb)
        update->cb(error, update->arg);
    free(update);
}

struct str device_index_mark(struct arena *arena, struct str app_id, struct str device_id)
{
    return str_of(arena_printf(arena, "%.*s:%.*s", STR_ARG(app_id), STR_ARG(device_id)));
}

/* ---- blocks ---- */

static struct str first_of(struct decimal *decimal, uint64_t block)
{
    return decimal_str(decimal, (int64_t)(block * INDEX_BLOCK));
}

static struct str last_of(struct decimal *decimal, uint64_t block)
{
    return decimal_str(decimal, (int64_t)(block * INDEX_BLOCK + INDEX_BLOCK - 1));
}

struct drop {
    struct str names[2 + INDEX_KEYS_ALL];
    struct key devices, blocks, keys[INDEX_KEYS_ALL];
};

/* When there is no device in it any more. */
static void drop_block(struct core *core, struct str app_id, uint64_t block, redis_cb cb, void *arg)
{
    struct drop *drop = xmalloc(sizeof(*drop));
    struct decimal number, first, last;
    struct str args[] = {decimal_str(&number, (int64_t)block), first_of(&first, block),
                         last_of(&last, block)};
    size_t count;

    drop->names[0] = key_app_devices(&drop->devices, app_id);
    drop->names[1] = key_app_blocks(&drop->blocks, app_id);
    count = 2 + index_block_keys(drop->keys, drop->names + 2, app_id, block, true);
    redis_script(core->redis, &script_index_drop, count, drop->names, 3, args, cb, arg);
    free(drop);
}

/* ---- forgetting ---- */

static void block_dropped(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)reply;
    device_update_end(arg, core_error_of(status));
}

static void forgotten(enum redis_status status, const redisReply *reply, void *arg)
{
    struct update *update = arg;

    if (status == REDIS_DONE && redis_reply_i64(reply) == 0)
        drop_block(update->core, str_of(update->app_id), index_block_of(update->ordinal), block_dropped,
                   update);
    else
        device_update_end(update, core_error_of(status));
}

static void forget(struct update *update)
{
    struct str app_id = str_of(update->app_id);
    uint64_t block = index_block_of(update->ordinal);
    struct key devices, live, members, groups_of;
    struct str keys[] = {key_app_devices(&devices, app_id), key_index_live(&live, app_id, block),
                         key_app_group_members(&members, app_id),
                         key_app_device_groups(&groups_of, app_id)};
    struct decimal ordinal, first, last;
    struct str args[] = {str_of(update->device_id),
                         decimal_str(&ordinal, (int64_t)update->ordinal), first_of(&first, block),
                         last_of(&last, block)};

    redis_script(update->core->redis, &script_index_forget, 4, keys, 4, args, forgotten, update);
}

/* ---- reading what is to be written ---- */

static void update_read(struct update *update)
{
    if (--update->waiting > 0)
        return;
    if (update->has_failed || !update->has_ordinal) {
        device_update_end(update, update->has_failed ? ERR_INTERNAL : ERR_OK);
    } else if (!update->is_there) {
        forget(update);
    } else {
        device_update_write(update);
    }
}

static void ordinal_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct update *update = arg;

    update->has_failed |= status != REDIS_DONE;
    update->has_ordinal = status == REDIS_DONE && str_to_u64(redis_reply_str(reply), INT64_MAX,
                                                             &update->ordinal);
    update_read(update);
}

static void read_ordinal(struct update *update)
{
    struct key key;

    update->waiting++;
    redis_command(update->core->redis, 3,
                  (struct str[]){STR("ZSCORE"), key_app_devices(&key, str_of(update->app_id)),
                                 str_of(update->device_id)},
                  ordinal_read, update);
}

static uint64_t number_at(const redisReply *reply, size_t index)
{
    uint64_t number = 0;

    str_to_u64(redis_reply_str(redis_reply_at(reply, index)), INT64_MAX, &number);
    return number;
}

static void record_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct update *update = arg;

    update->has_failed |= status != REDIS_DONE;
    update->is_there = redis_reply_is(redis_reply_at(reply, 0), update->app_id);
    update->version = number_at(reply, 1);
    if (update->is_there)
        index_row_write(update->row,
                        &(struct index_facts){
                            .device_id = str_of(update->device_id),
                            .version = update->version,
                            .created_ms = (int64_t)number_at(reply, 2),
                            .status = redis_reply_str(redis_reply_at(reply, 3)),
                            .gateway_id = redis_reply_str(redis_reply_at(reply, 4)),
                            .device_type = redis_reply_str(redis_reply_at(reply, 5)),
                            .name = redis_reply_str(redis_reply_at(reply, 6)),
                            .location = redis_reply_str(redis_reply_at(reply, 7)),
                            .manufacturer_id = redis_reply_str(redis_reply_at(reply, 8)),
                            .model = redis_reply_str(redis_reply_at(reply, 9)),
                        });
    update_read(update);
}

static void read_record(struct update *update)
{
    struct str id = str_of(update->device_id);
    struct key key;
    struct str words[] = {STR("HMGET"), key_device(&key, partition_of(update->core, id), id),
                          STR("app"), STR("version"), STR("created"), STR("status"),
                          STR("gateway"), STR("deviceType"), STR("name"), STR("location"),
                          STR("manufacturerId"), STR("model")};

    update->waiting++;
    redis_command(update->core->redis, sizeof(words) / sizeof(*words), words, record_read, update);
}

/* ids that cannot be ours name nothing; "-" is never given out */
static void copy_id(char out[KEY_ID_MAX + 1], struct str id)
{
    if (!str_is_id(id, KEY_ID_MAX))
        id = STR("-");
    memcpy(out, id.p, id.len);
    out[id.len] = '\0';
}

static struct update *update_new(struct core *core, struct str app_id, struct str device_id,
                                 device_done_cb cb, void *arg)
{
    struct update *update = xcalloc(1, sizeof(*update));

    update->core = core;
    copy_id(update->app_id, app_id);
    copy_id(update->device_id, device_id);
    update->cb = cb;
    update->arg = arg;
    return update;
}

void device_index_update(struct core *core, struct str app_id, struct str device_id,
                         bool is_by_request, device_done_cb cb, void *arg)
{
    struct update *update = update_new(core, app_id, device_id, cb, arg);

    update->is_by_request = update->needs_bits = is_by_request;
    read_record(update);
    read_ordinal(update);
}

void device_index_forget(struct core *core, struct str app_id, struct str device_id,
                         device_done_cb cb, void *arg)
{
    read_ordinal(update_new(core, app_id, device_id, cb, arg));
}

/* ---- an application's end ---- */

struct drop_all {
    size_t waiting;
    enum error error;
    device_done_cb cb;
    void *arg;
};

static void drop_all_less(struct drop_all *all, enum redis_status status)
{
    if (status != REDIS_DONE)
        all->error = ERR_INTERNAL;
    if (--all->waiting > 0)
        return;
    all->cb(all->error, all->arg);
    free(all);
}

static void one_dropped(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)reply;
    drop_all_less(arg, status);
}

struct drop_start {
    struct core *core;
    struct drop_all *all;
    char app_id[KEY_ID_MAX + 1];
};

static void blocks_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct drop_start *start = arg;
    struct drop_all *all = start->all;
    uint64_t block;

    for (size_t i = 0; status == REDIS_DONE && i < reply->elements; i++) {
        if (!str_to_u64(redis_reply_str(redis_reply_at(reply, i)), INT64_MAX / INDEX_BLOCK, &block))
            continue;
        all->waiting++;
        drop_block(start->core, str_of(start->app_id), block, one_dropped, all);
    }
    free(start);
    drop_all_less(all, status);
}

void device_index_drop_all(struct core *core, struct str app_id, device_done_cb cb, void *arg)
{
    struct drop_start *start = xcalloc(1, sizeof(*start));
    struct key key;

    start->core = core;
    start->all = xcalloc(1, sizeof(*start->all));
    *start->all = (struct drop_all){.waiting = 1, .cb = cb, .arg = arg};
    copy_id(start->app_id, app_id);
    redis_command(core->redis, 2,
                  (struct str[]){STR("SMEMBERS"), key_app_blocks(&key, str_of(start->app_id))},
                  blocks_read, start);
}

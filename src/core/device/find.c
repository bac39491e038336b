/*
 * Asking the index: one script per block counts its matches; then those blocks in which the page lies
 * name its devices. Between the two the index may have changed: a page is as good as its moment.
 */
#include "core/device/layout.h"

#include "base/decimal.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define WINDOW 64 /* scripts under way */
#define SCRATCH_KEYS 5

struct block {
    struct find *find;
    uint64_t number, matches;
    const struct str *ids;
    size_t id_count;
};

struct find {
    struct core *core;
    struct arena *arena;
    struct str app_id;
    struct index_conditions conditions;
    struct decimal from, to; /* times */
    struct str from_text, to_text;
    struct device_page page;
    struct block *blocks;
    size_t block_count, next, under_way;
    uint64_t total, first, end; /* of the page, in the order of registration */
    enum error error;
    struct key *keys; /* room for one script's */
    struct str *names;
    device_index_cb cb;
    void *arg;
};

static void ask(struct find *find, struct block *block, uint64_t skip, uint64_t most, redis_cb cb)
{
    const struct index_conditions *conditions = &find->conditions;
    struct decimal first, wanted, skipped, limit;
    struct str args[] = {decimal_str(&first, (int64_t)(block->number * INDEX_BLOCK)),
                         decimal_str(&wanted, (int64_t)conditions->wanted), STR(INDEX_ROW_TEXT),
                         find->from_text, find->to_text, decimal_str(&skipped, (int64_t)skip),
                         decimal_str(&limit, (int64_t)most)};

    find->names[0] = key_app_devices(&find->keys[0], find->app_id);
    find->names[1] = key_index_live(&find->keys[1], find->app_id, block->number);
    find->names[2] = key_index_rows(&find->keys[2], find->app_id, block->number);
    find->names[3] = key_index_scratch(&find->keys[3], find->app_id, 0);
    find->names[4] = key_index_scratch(&find->keys[4], find->app_id, 1);
    for (size_t i = 0; i < conditions->count; i++)
        find->names[SCRATCH_KEYS + i] =
            index_key(&find->keys[SCRATCH_KEYS + i], find->app_id, block->number, conditions->keys[i]);
    find->under_way++;
    redis_script(find->core->redis, &script_index_find, SCRATCH_KEYS + conditions->count,
                 find->names, 7, args, cb, block);
}

/* ---- the page ---- */

static void find_end(struct find *find)
{
    size_t count = 0;
    struct str *ids;

    for (size_t i = 0; i < find->block_count; i++)
        count += find->blocks[i].id_count;
    ids = arena_alloc(find->arena, (count + 1) * sizeof(*ids));
    count = 0;
    for (size_t i = 0; i < find->block_count; i++) {
        for (size_t n = 0; n < find->blocks[i].id_count; n++)
            ids[count++] = find->blocks[i].ids[n];
    }
    for (size_t i = 0; find->page.is_descending && i < count / 2; i++) {
        struct str other = ids[i];

        ids[i] = ids[count - 1 - i];
        ids[count - 1 - i] = other;
    }
    find->cb(find->error, find->total, ids, find->error ? 0 : count, find->arg);
}

static void block_named(enum redis_status status, const redisReply *reply, void *arg)
{
    struct block *block = arg;
    struct find *find = block->find;
    size_t count = status == REDIS_DONE && reply->elements ? reply->elements - 1 : 0;
    struct str *ids = arena_alloc(find->arena, (count + 1) * sizeof(*ids));

    if (status != REDIS_DONE)
        find->error = ERR_INTERNAL;
    for (size_t i = 0; i < count; i++)
        ids[i] = arena_str(find->arena, redis_reply_str(redis_reply_at(reply, i + 1)));
    block->ids = ids;
    block->id_count = count;
    if (--find->under_way == 0)
        find_end(find);
}

/* Ranks are counted in the order of registration, whatever the page's. */
static void set_ranks(struct find *find)
{
    const struct device_page *page = &find->page;
    uint64_t left = page->first < find->total ? find->total - page->first : 0;
    uint64_t count = left < page->count ? left : page->count;

    find->first = page->is_descending ? left - count : page->first;
    find->end = find->first + count;
}

static void name_page(struct find *find)
{
    uint64_t begin = 0;

    set_ranks(find);
    for (size_t i = 0; i < find->block_count && begin < find->end; i++) {
        struct block *block = &find->blocks[i];
        uint64_t end = begin + block->matches;

        if (end > find->first && find->first < find->end) {
            uint64_t from = find->first > begin ? find->first : begin;
            uint64_t to = find->end < end ? find->end : end;

            ask(find, block, from - begin, to - from, block_named);
        }
        begin = end;
    }
    if (find->under_way == 0)
        find_end(find);
}

/* ---- counting ---- */

static void count_more(struct find *find);

static void block_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct block *block = arg;
    struct find *find = block->find;

    if (status != REDIS_DONE)
        find->error = ERR_INTERNAL;
    else
        block->matches = (uint64_t)redis_reply_i64(redis_reply_at(reply, 0));
    find->total += block->matches;
    find->under_way--;
    count_more(find);
}

static void count_more(struct find *find)
{
    while (!find->error && find->next < find->block_count && find->under_way < WINDOW)
        ask(find, &find->blocks[find->next++], 0, 0, block_counted);
    if (find->under_way > 0)
        return;
    if (find->error)
        find_end(find);
    else
        name_page(find);
}

static int by_number(const void *a, const void *b)
{
    const struct block *one = a, *other = b;

    return one->number < other->number ? -1 : one->number > other->number;
}

static void blocks_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct find *find = arg;
    size_t count = status == REDIS_DONE && !find->conditions.is_never ? reply->elements : 0;

    find->error = core_error_of(status);
    find->blocks = arena_zalloc(find->arena, (count + 1) * sizeof(*find->blocks));
    for (size_t i = 0; i < count; i++) {
        struct block *block = &find->blocks[find->block_count];

        block->find = find;
        if (str_to_u64(redis_reply_str(redis_reply_at(reply, i)), INT64_MAX / INDEX_BLOCK,
                       &block->number))
            find->block_count++;
    }
    qsort(find->blocks, find->block_count, sizeof(*find->blocks), by_number);
    count_more(find);
}

void device_index_find(struct core *core, struct arena *arena, struct str app_id,
                       const struct device_filter *filter, const struct device_page *page,
                       device_index_cb cb, void *arg)
{
    struct find *find = arena_zalloc(arena, sizeof(*find));
    size_t keys;
    struct key key;

    find->core = core;
    find->arena = arena;
    find->app_id = str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-");
    index_conditions_of(&find->conditions, filter);
    keys = SCRATCH_KEYS + find->conditions.count;
    find->keys = arena_alloc(arena, keys * sizeof(*find->keys));
    find->names = arena_alloc(arena, keys * sizeof(*find->names));
    find->from_text = filter->created_from_ms ? decimal_str(&find->from, filter->created_from_ms)
                                              : STR("");
    find->to_text = filter->created_to_ms ? decimal_str(&find->to, filter->created_to_ms) : STR("");
    find->page = *page;
    find->cb = cb;
    find->arg = arg;
    redis_command(core->redis, 2, (struct str[]){STR("SMEMBERS"), key_app_blocks(&key, find->app_id)},
                  blocks_read, find);
}

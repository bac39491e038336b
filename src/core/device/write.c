/*
 * Writing the index. Updates that come together are written together: one script for those of a block,
 * as its 248 keys cost more than the devices in it. New devices side by side, as an import makes them,
 * are written by a script that gets the bytes of each bitmap ready made.
 */
#include "core/device/update.h"

#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define BATCH_MAX   100 /* devices per script: some milliseconds when all of them are new */
#define SCRIPTS_MAX 1   /* under way; what comes meanwhile is written together */
#define FILL_MIN    4   /* devices side by side; fewer are not worth 248 writes */
#define FILL_BYTES  64  /* of each bitmap, at most */

struct device_index {
    struct core *core;
    struct update_list pending;
    unsigned scripts; /* under way */
    struct event *flush;
};

static void write_pending(struct device_index *index);

/* ---- one is written ---- */

/* Nobody waits for that: where it fails, the owner of the partition takes the mark. */
static void take_mark_back(const struct update *update)
{
    struct str id = str_of(update->device_id);
    uint32_t partition = partition_of(update->core, id);
    char mark[2 * KEY_ID_MAX + 2];
    int len = snprintf(mark, sizeof(mark), "%s:%s", update->app_id, update->device_id);
    struct key device, marks;
    struct decimal version;
    struct str keys[] = {key_device(&device, partition, id), key_index_marks(&marks, partition)};

    redis_script(update->core->redis, &script_index_unmark, 2, keys, 2,
                 (struct str[]){decimal_str(&version, (int64_t)update->version),
                                str_n(mark, (size_t)len)},
                 NULL, NULL);
}

static void update_written(struct update *update, enum error error)
{
    if (!error && update->is_by_request)
        take_mark_back(update);
    device_update_end(update, error);
}

/* ---- batches ---- */

struct batch {
    struct device_index *index;
    struct update_list updates;
    size_t count;
    bool has_bits;
    bool is_mixed; /* some are not new: they cannot be filled in */
};

static void send_batch(struct batch *batch);

static bool is_refused(const struct update *update, const redisReply *refused)
{
    for (size_t i = 0; i < refused->elements; i++) {
        if (redis_reply_is(redis_reply_at(refused, i), update->device_id))
            return true;
    }
    return false;
}

static void batch_done(struct batch *batch)
{
    struct device_index *index = batch->index;

    free(batch);
    write_pending(index);
}

static void batch_written(enum redis_status status, const redisReply *reply, void *arg)
{
    struct batch *batch = arg;
    struct device_index *index = batch->index;
    struct update *update;

    index->scripts--;
    if (status == REDIS_ERROR)
        log_error("index", "what=write state=failed reason=%s", reply->str);
    while ((update = TAILQ_FIRST(&batch->updates))) {
        TAILQ_REMOVE(&batch->updates, update, link);
        if (status == REDIS_DONE && !batch->has_bits && is_refused(update, reply)) {
            update->needs_bits = true;
            TAILQ_INSERT_TAIL(&index->pending, update, link);
        } else {
            update_written(update, core_error_of(status));
        }
    }
    batch_done(batch);
}

static void batch_filled(enum redis_status status, const redisReply *reply, void *arg)
{
    struct batch *batch = arg;
    struct update *update;

    batch->index->scripts--;
    if (status == REDIS_DONE && redis_reply_i64(reply) == 0) {
        batch->is_mixed = true;
        send_batch(batch);
        return;
    }
    if (status == REDIS_ERROR)
        log_error("index", "what=fill state=failed reason=%s", reply->str);
    while ((update = TAILQ_FIRST(&batch->updates))) {
        TAILQ_REMOVE(&batch->updates, update, link);
        update_written(update, core_error_of(status));
    }
    batch_done(batch);
}

static bool belong_together(const struct update *a, const struct update *b)
{
    return a->needs_bits == b->needs_bits && index_block_of(a->ordinal) == index_block_of(b->ordinal) &&
           strcmp(a->app_id, b->app_id) == 0;
}

/* The oldest one with some of its kind. */
static struct batch *take_batch(struct device_index *index)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    struct update *first = TAILQ_FIRST(&index->pending), *update, *next;

    batch->index = index;
    batch->has_bits = first->needs_bits;
    TAILQ_INIT(&batch->updates);
    for (update = first; update && batch->count < BATCH_MAX; update = next) {
        next = TAILQ_NEXT(update, link);
        if (update != first && !belong_together(first, update))
            continue;
        TAILQ_REMOVE(&index->pending, update, link);
        TAILQ_INSERT_TAIL(&batch->updates, update, link);
        batch->count++;
    }
    return batch;
}

struct batch_words {
    struct key devices, keys[INDEX_KEYS_ALL];
    struct str names[1 + INDEX_KEYS_ALL], args[5 + 3 * BATCH_MAX];
    struct decimal first, low, ordinals[BATCH_MAX];
    char mask[FILL_BYTES], values[INDEX_KEYS_ALL * FILL_BYTES];
};

static uint64_t byte_of(const struct update *update)
{
    return update->ordinal % INDEX_BLOCK / 8;
}

static char bit_of(const struct update *update)
{
    return (char)(0x80 >> update->ordinal % 8);
}

/* Which bytes of the bitmaps, from *low on, and which bits in them are the batch's. Returns the number
 * of bytes; 0: it is no batch for filling in. */
static size_t fill_mask(struct batch_words *words, const struct batch *batch, uint64_t *low)
{
    const struct update *update;
    uint64_t high = 0;

    *low = UINT64_MAX;
    TAILQ_FOREACH (update, &batch->updates, link) {
        *low = byte_of(update) < *low ? byte_of(update) : *low;
        high = byte_of(update) > high ? byte_of(update) : high;
    }
    if (!batch->has_bits || batch->is_mixed || batch->count < FILL_MIN || high - *low >= FILL_BYTES)
        return 0;
    memset(words->mask, 0, sizeof(words->mask));
    TAILQ_FOREACH (update, &batch->updates, link) {
        char *mask = &words->mask[byte_of(update) - *low];

        if (*mask & bit_of(update))
            return 0; /* one device twice: the bits of two states must not be mixed */
        *mask |= bit_of(update);
    }
    return (size_t)(high - *low + 1);
}

/* All bitmaps but the rows, one after the other. */
static size_t fill_values(struct batch_words *words, const struct batch *batch, uint64_t low,
                          size_t bytes)
{
    const struct update *update;
    char *values = words->values;

    memset(words->values, 0, sizeof(words->values));
    for (unsigned number = 0; number < INDEX_KEYS_ALL; number++) {
        if (number == 1)
            continue;
        TAILQ_FOREACH (update, &batch->updates, link) {
            if (index_row_has(update->row, number))
                values[byte_of(update) - low] |= bit_of(update);
        }
        values += bytes;
    }
    return (size_t)(values - words->values);
}

static void send_batch(struct batch *batch)
{
    struct batch_words *words = xmalloc(sizeof(*words));
    const struct update *first = TAILQ_FIRST(&batch->updates), *update;
    struct str app_id = str_of(first->app_id);
    uint64_t block = index_block_of(first->ordinal), low;
    size_t keys, n = 0, arg = 2, bytes = fill_mask(words, batch, &low);

    words->names[0] = key_app_devices(&words->devices, app_id);
    keys = 1 + index_block_keys(words->keys, words->names + 1, app_id, block, batch->has_bits);
    words->args[0] = decimal_str(&words->first, (int64_t)(block * INDEX_BLOCK));
    words->args[1] = STR(INDEX_BLOCK_TEXT);
    if (bytes) {
        words->args[arg++] = decimal_str(&words->low, (int64_t)low);
        words->args[arg++] = str_n(words->mask, bytes);
        words->args[arg++] = str_n(words->values, fill_values(words, batch, low, bytes));
    }
    TAILQ_FOREACH (update, &batch->updates, link) {
        words->args[arg++] = str_of(update->device_id);
        words->args[arg++] = decimal_str(&words->ordinals[n++], (int64_t)update->ordinal);
        words->args[arg++] = str_n(update->row, sizeof(update->row));
    }
    batch->index->scripts++;
    redis_script(batch->index->core->redis, bytes ? &script_index_fill : &script_index_write, keys,
                 words->names, arg, words->args, bytes ? batch_filled : batch_written, batch);
    free(words);
}

static void write_pending(struct device_index *index)
{
    while (index->scripts < SCRIPTS_MAX && !TAILQ_EMPTY(&index->pending))
        send_batch(take_batch(index));
}

static void flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    write_pending(arg);
}

void device_update_write(struct update *update)
{
    struct device_index *index = update->core->device_index;

    TAILQ_INSERT_TAIL(&index->pending, update, link);
    event_active(index->flush, EV_TIMEOUT, 0);
}

/* ---- life ---- */

struct device_index *device_index_new(struct core *core)
{
    struct device_index *index = xcalloc(1, sizeof(*index));

    index->core = core;
    TAILQ_INIT(&index->pending);
    index->flush = evtimer_new(core->base, flush, index);
    return index;
}

void device_index_free(struct device_index *index)
{
    struct update *update;

    event_free(index->flush);
    while ((update = TAILQ_FIRST(&index->pending))) {
        TAILQ_REMOVE(&index->pending, update, link);
        free(update);
    }
    free(index);
}

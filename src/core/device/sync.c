/* The marks of a partition: devices whose records changed, taken and worked off by its owner. */
#include "core/device/index.h"

#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define TAKE_MAX  100
#define TAKE_TEXT "100"

struct sync {
    struct core *core;
    struct arena *arena;
    uint32_t partition;
    struct str fence;
    struct str marks[TAKE_MAX];
    size_t count, waiting;
    enum error error;
    device_index_sync_cb cb;
    void *arg;
};

static void sync_end(struct sync *sync, enum error error)
{
    sync->cb(error, !error && sync->count == TAKE_MAX, sync->arg);
    arena_free(sync->arena);
}

static void marks_removed(enum redis_status status, const redisReply *reply, void *arg)
{
    sync_end(arg, status == REDIS_DONE && redis_reply_i64(reply) == 1 ? ERR_OK : ERR_INTERNAL);
}

static void remove_marks(struct sync *sync)
{
    struct str args[1 + TAKE_MAX] = {sync->fence};
    struct key lease, working;
    struct str keys[] = {key_lease(&lease, sync->partition),
                         key_index_working(&working, sync->partition)};

    memcpy(args + 1, sync->marks, sync->count * sizeof(*args));
    redis_script(sync->core->redis, &script_index_done, 2, keys, 1 + sync->count, args,
                 marks_removed, sync);
}

/* What failed stays marked, with those that did not: they are all looked at again. */
static void device_updated(enum error error, void *arg)
{
    struct sync *sync = arg;

    if (error)
        sync->error = error;
    if (--sync->waiting > 0)
        return;
    if (sync->error)
        sync_end(sync, sync->error);
    else
        remove_marks(sync);
}

static void marks_taken(enum redis_status status, const redisReply *reply, void *arg)
{
    struct sync *sync = arg;

    if (status != REDIS_DONE || !redis_reply_is(redis_reply_at(reply, 0), "OK")) {
        sync_end(sync, ERR_INTERNAL);
        return;
    }
    for (size_t i = 1; i < reply->elements && sync->count < TAKE_MAX; i++)
        sync->marks[sync->count++] =
            arena_str(sync->arena, redis_reply_str(redis_reply_at(reply, i)));
    if (sync->count == 0) {
        sync_end(sync, ERR_OK);
        return;
    }
    sync->waiting = sync->count;
    for (size_t i = 0; i < sync->count; i++) {
        struct str device_id;
        struct str app_id = str_split(sync->marks[i], ':', &device_id);

        device_index_update(sync->core, app_id, device_id, false, device_updated, sync);
    }
}

void device_index_sync(struct core *core, uint32_t partition, struct str fence,
                       device_index_sync_cb cb, void *arg)
{
    struct arena *arena = arena_new();
    struct sync *sync = arena_zalloc(arena, sizeof(*sync));
    struct key lease, marks, working;
    struct str keys[] = {key_lease(&lease, partition), key_index_marks(&marks, partition),
                         key_index_working(&working, partition)};

    sync->core = core;
    sync->arena = arena;
    sync->partition = partition;
    sync->fence = arena_str(arena, fence);
    sync->cb = cb;
    sync->arg = arg;
    redis_script(core->redis, &script_index_take, 3, keys, 2,
                 (struct str[]){fence, STR(TAKE_TEXT)}, marks_taken, sync);
}

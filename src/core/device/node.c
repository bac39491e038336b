#include "core/device/node.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/device/layout.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

/* A reservation younger than this may belong to a registration that is still under way. */
#define RESERVATION_GRACE_MS 60000

/* ---- who holds it? ---- */

struct holding {
    struct core *core;
    struct arena *arena;
    struct str app_id, what, device_id;
    struct str held;   /* the index' value that is in the way */
    bool is_repeated;  /* a dead holder was replaced once already */
    int64_t *time_ms;
    enum error taken;  /* what to answer when a device holds it that is not activated */
    void (*again)(struct holding *holding, struct str dead);
    device_done_cb cb;
    void *arg;
};

static void holder_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct holding *holding = arg;
    struct str activated = redis_reply_str(redis_reply_at(reply, 1));

    if (status != REDIS_DONE) {
        holding->cb(ERR_INTERNAL, holding->arg);
    } else if (redis_reply_str(redis_reply_at(reply, 0)).p) {
        holding->cb(str_eq(activated, STR("1")) ? ERR_DEVICE_BOUND : holding->taken,
                    holding->arg);
    } else if (holding->is_repeated) {
        holding->cb(holding->taken, holding->arg);
    } else {
        holding->is_repeated = true;
        holding->again(holding, holding->held);
    }
}

/* held: "<device id>:<since ms>" */
static void ask_holder(struct holding *holding, struct str held)
{
    struct str since_text;
    struct str holder = str_split(held, ':', &since_text);
    uint64_t since_ms = 0;
    struct key key;

    str_to_u64(since_text, INT64_MAX, &since_ms);
    if (clock_now_ms() - (int64_t)since_ms < RESERVATION_GRACE_MS)
        holding->is_repeated = true; /* not dead, only not finished */
    holding->held = arena_str(holding->arena, held);
    if (!str_is_id(holder, KEY_ID_MAX)) {
        holding->again(holding, holding->held);
        return;
    }
    redis_command(holding->core->redis, 4,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(holding->core, holder), holder),
                                 STR("app"), STR("activated")},
                  holder_read, holding);
}

static struct holding *holding_new(struct core *core, struct arena *arena, struct str what,
                                   struct str device_id, device_done_cb cb, void *arg)
{
    struct holding *holding = arena_zalloc(arena, sizeof(*holding));

    holding->core = core;
    holding->arena = arena;
    holding->what = what;
    holding->device_id = device_id;
    holding->cb = cb;
    holding->arg = arg;
    return holding;
}

/* ---- node ids ---- */

/* A dead holder has an ordinal that nobody else would take out of the index. */
static void node_is_reserved(struct holding *holding, int64_t time_ms)
{
    struct str unused;

    if (holding->held.p)
        device_index_forget(holding->core, holding->app_id, str_split(holding->held, ':', &unused),
                            NULL, NULL);
    if (holding->time_ms)
        *holding->time_ms = time_ms;
    holding->cb(ERR_OK, holding->arg);
}

static void node_reserved(enum redis_status status, const redisReply *reply, void *arg)
{
    struct holding *holding = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);

    if (status != REDIS_DONE)
        holding->cb(ERR_INTERNAL, holding->arg);
    else if (redis_reply_is(outcome, "OK"))
        node_is_reserved(holding, redis_reply_i64(redis_reply_at(reply, 1)));
    else if (redis_reply_is(outcome, "FULL"))
        holding->cb(ERR_DEVICE_QUOTA, holding->arg);
    else if (redis_reply_is(outcome, "TAKEN"))
        ask_holder(holding, redis_reply_str(redis_reply_at(reply, 1)));
    else
        holding->cb(ERR_APP_NOT_FOUND, holding->arg);
}

static void reserve(struct holding *holding, struct str dead)
{
    struct core *core = holding->core;
    struct key app, nodes, devices, ordinals, blocks;
    struct decimal now, most;
    struct str keys[] = {key_app(&app, holding->app_id), key_app_nodes(&nodes, holding->app_id),
                         key_app_devices(&devices, holding->app_id),
                         key_app_ordinals(&ordinals, holding->app_id),
                         key_app_blocks(&blocks, holding->app_id)};
    struct str args[] = {holding->what,
                         holding->device_id,
                         decimal_str(&now, clock_now_ms()),
                         decimal_str(&most, core->settings->devices_per_app),
                         dead,
                         STR(INDEX_BLOCK_TEXT)};

    redis_script(core->redis, &script_node_reserve, 5, keys, 6, args, node_reserved, holding);
}

void node_reserve(struct core *core, struct arena *arena, struct str app_id, struct str node_id,
                  struct str device_id, int64_t *time_ms, device_done_cb cb, void *arg)
{
    struct holding *holding = holding_new(core, arena, node_id, device_id, cb, arg);

    holding->app_id = app_id;
    holding->time_ms = time_ms;
    holding->taken = ERR_NODE_ID_DUPLICATE;
    holding->again = reserve;
    reserve(holding, STR(""));
}

/* ---- verify codes ---- */

static void code_claimed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct holding *holding = arg;
    struct str held = redis_reply_str(reply);

    if (status != REDIS_DONE)
        holding->cb(ERR_INTERNAL, holding->arg);
    else if (held.len == 0)
        holding->cb(ERR_OK, holding->arg);
    else
        ask_holder(holding, held);
}

static void claim(struct holding *holding, struct str dead)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];
    struct key key;
    struct decimal now;

    crypto_sha256_hex(holding->what, digest);
    redis_script(holding->core->redis, &script_claim, 1,
                 (struct str[]){key_verify_code(&key, str_of(digest))}, 3,
                 (struct str[]){holding->device_id, decimal_str(&now, clock_now_ms()), dead},
                 code_claimed, holding);
}

void verify_code_claim(struct core *core, struct arena *arena, struct str code,
                       struct str device_id, device_done_cb cb, void *arg)
{
    struct holding *holding = holding_new(core, arena, code, device_id, cb, arg);

    holding->taken = ERR_VERIFY_CODE;
    holding->again = claim;
    claim(holding, STR(""));
}

/* ---- giving back ---- */

struct release {
    struct core *core;
    struct str app_id, device_id; /* of a device that is gone */
    device_done_cb cb;
    void *arg;
    char ids[2 * KEY_ID_MAX];
};

static void release_end(enum error error, void *arg)
{
    struct release *release = arg;

    if (error)
        log_warn("device", "what=index state=stale reason=%s", "redis did not answer");
    if (release->cb)
        release->cb(error, release->arg);
    free(release);
}

static void released(enum redis_status status, const redisReply *reply, void *arg)
{
    struct release *release = arg;

    (void)reply;
    if (status == REDIS_DONE && release->device_id.p)
        device_index_forget(release->core, release->app_id, release->device_id, release_end,
                            release);
    else
        release_end(core_error_of(status), release);
}

static struct release *release_new(device_done_cb cb, void *arg)
{
    struct release *release = xcalloc(1, sizeof(*release));

    release->cb = cb;
    release->arg = arg;
    return release;
}

void node_release(struct core *core, struct str app_id, struct str node_id, struct str device_id,
                  bool is_device_gone, device_done_cb cb, void *arg)
{
    struct release *release = release_new(cb, arg);
    struct key nodes;

    if (is_device_gone && app_id.len <= KEY_ID_MAX && device_id.len <= KEY_ID_MAX) {
        memcpy(release->ids, app_id.p, app_id.len);
        memcpy(release->ids + app_id.len, device_id.p, device_id.len);
        release->core = core;
        release->app_id = str_n(release->ids, app_id.len);
        release->device_id = str_n(release->ids + app_id.len, device_id.len);
    }
    node_unhold(core, node_id, device_id);
    redis_script(core->redis, &script_node_release, 1,
                 (struct str[]){key_app_nodes(&nodes, app_id)}, 2,
                 (struct str[]){node_id, device_id}, released, release);
}

void verify_code_release(struct core *core, struct str code, struct str device_id,
                         device_done_cb cb, void *arg)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];
    struct key key;

    crypto_sha256_hex(code, digest);
    redis_script(core->redis, &script_unclaim, 1,
                 (struct str[]){key_verify_code(&key, str_of(digest))}, 1,
                 (struct str[]){device_id}, released, release_new(cb, arg));
}

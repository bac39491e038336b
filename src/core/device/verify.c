#include "core/device/verify.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "core/device/facts.h"
#include "core/device/node.h"
#include "core/partition.h"
#include "store/keys.h"

#define HOUR_DIGITS 10

struct verification {
    struct core *core;
    struct arena *arena;
    struct device_proof proof;
    struct device_identity facts;
    size_t waiting;
    enum error error; /* of all candidates; ERR_OK: facts are of the one */
    bool is_unclear;
    device_verify_cb cb;
    void *arg;
};

struct candidate {
    struct verification *verification;
    struct str device_id;
};

static void decide(struct verification *verification)
{
    enum error error = verification->is_unclear ? ERR_DEVICE_AUTH : verification->error;

    verification->cb(error, error ? NULL : &verification->facts, verification->arg);
}

static bool password_is_right(const struct device_proof *proof, struct str secret)
{
    char expected[CRYPTO_SHA256_HEX_SIZE];

    /* Computed for unknown devices too, so that the time does not tell them apart. */
    (proof->is_sm3 ? crypto_hmac_sm3_hex : crypto_hmac_sha256_hex)(
        proof->timestamp, secret.len ? secret : STR("-"), expected);
    return crypto_equal(proof->password, str_of(expected)) && secret.len;
}

static void take_facts(struct candidate *candidate, const redisReply *reply)
{
    struct verification *verification = candidate->verification;
    struct arena *arena = verification->arena;

    if (verification->facts.device_id.p)
        verification->is_unclear = true; /* two devices with one node id and one secret */
    verification->facts = (struct device_identity){
        .device_id = candidate->device_id,
        .secret = arena_str(arena, redis_reply_str(redis_reply_at(reply, 0))),
        .app_id = arena_str(arena, redis_reply_str(redis_reply_at(reply, 3))),
        .node_id = arena_str(arena, redis_reply_str(redis_reply_at(reply, 2))),
    };
    device_facts_take(verification->core, candidate->device_id, reply, 3);
    verification->error = redis_reply_is(redis_reply_at(reply, 1), "TRUE") ? ERR_DEVICE_MUTED
                                                                           : ERR_OK;
}

static void record_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct candidate *candidate = arg;
    struct verification *verification = candidate->verification;
    const struct device_proof *proof = &verification->proof;
    struct str secret = redis_reply_str(redis_reply_at(reply, 0));
    struct str node_id = redis_reply_str(redis_reply_at(reply, 2));

    if (status != REDIS_DONE)
        verification->error = ERR_INTERNAL;
    else if (password_is_right(proof, secret) && verification->error != ERR_INTERNAL &&
             (!proof->node_id.p || str_eq(node_id, proof->node_id)))
        take_facts(candidate, reply);
    if (--verification->waiting == 0)
        decide(verification);
}

static void read_record(struct verification *verification, struct str device_id)
{
    struct candidate *candidate = arena_alloc(verification->arena, sizeof(*candidate));
    struct core *core = verification->core;
    struct key key;

    *candidate = (struct candidate){verification, device_id};
    redis_command(core->redis, 6 + DEVICE_REFERENCE_COUNT,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("secret"), STR("mute"), STR("nodeId"), STR("app"),
                                 DEVICE_REFERENCE_FIELDS},
                  record_read, candidate);
}

/* "-" is an id that is never given out: who is nobody takes as long as who is somebody. */
static void holders_known(enum error error, const struct str *ids, size_t count, void *arg)
{
    struct verification *verification = arg;

    if (error) {
        verification->cb(error, NULL, verification->arg);
        return;
    }
    verification->waiting = count ? count : 1;
    for (size_t i = 0; i < verification->waiting; i++)
        read_record(verification, count ? ids[i] : STR("-"));
}

void device_verify(struct core *core, struct arena *arena, const struct device_proof *proof,
                   device_verify_cb cb, void *arg)
{
    struct verification *verification = arena_zalloc(arena, sizeof(*verification));

    verification->core = core;
    verification->arena = arena;
    verification->proof = *proof;
    verification->error = ERR_DEVICE_AUTH;
    verification->cb = cb;
    verification->arg = arg;
    if (proof->node_id.p) {
        node_holders(core, arena, proof->node_id, holders_known, verification);
        return;
    }
    verification->waiting = 1;
    read_record(verification,
                str_is_id(proof->device_id, KEY_ID_MAX) ? proof->device_id : STR("-"));
}

bool device_hour_is_near(const struct core *core, struct str timestamp)
{
    char text[] = "YYYYMMDDTHH0000Z";
    int64_t tolerance_ms = core->settings->sign_time_tolerance_ms;
    int64_t hour_ms, now_ms = clock_now_ms();

    if (timestamp.len != HOUR_DIGITS)
        return false;
    memcpy(text, timestamp.p, 8);
    memcpy(text + 9, timestamp.p + 8, 2);
    if (!clock_parse(str_of(text), &hour_ms))
        return false;
    /* within the hour itself, or within the tolerance on either side */
    return now_ms >= hour_ms - tolerance_ms && now_ms < hour_ms + 3600000 + tolerance_ms;
}

#include "core/data/report.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "core/device/verify.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

struct login {
    struct core *core;
    struct arena *arena;
    struct str device_id, secret;
    struct device_token token;
    device_token_cb cb;
    void *arg;
};

static void activated(enum error error, void *arg)
{
    struct login *login = arg;

    if (error && error != ERR_INTERNAL)
        error = ERR_DEVICE_AUTH;
    login->cb(error, error ? NULL : &login->token, login->arg);
}

static void token_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct login *login = arg;

    if (status != REDIS_DONE)
        login->cb(ERR_INTERNAL, NULL, login->arg);
    else if (!redis_reply_is(reply, "OK"))
        login->cb(ERR_DEVICE_AUTH, NULL, login->arg);
    else
        device_seen(login->core, login->device_id, activated, login);
}

static void store_token(struct login *login)
{
    const struct core_settings *settings = login->core->settings;
    int64_t now_ms = clock_now_ms();
    char digest[CRYPTO_SHA256_HEX_SIZE];
    struct decimal now, end, old_end;
    struct key key;
    struct str keys[] = {
        key_device(&key, partition_of(login->core, login->device_id), login->device_id)};

    crypto_random_hex(login->token.text, sizeof(login->token.text) - 1);
    login->token.life_s = settings->device_token_life_ms / 1000;
    crypto_sha256_hex(str_of(login->token.text), digest);
    redis_script(login->core->redis, &script_device_token, 1, keys, 5,
                 (struct str[]){login->secret, decimal_str(&now, now_ms), str_of(digest),
                                decimal_str(&end, now_ms + settings->device_token_life_ms),
                                decimal_str(&old_end, now_ms + settings->device_token_grace_ms)},
                 token_stored, login);
}

static void verified(enum error error, const struct device_identity *facts, void *arg)
{
    struct login *login = arg;

    if (error) {
        login->cb(error == ERR_DEVICE_MUTED ? ERR_DEVICE_AUTH : error, NULL, login->arg);
        return;
    }
    login->secret = facts->secret;
    store_token(login);
}

void device_login(struct core *core, struct arena *arena, struct str device_id,
                  struct str timestamp, struct str password, device_token_cb cb, void *arg)
{
    struct device_proof proof = {.device_id = device_id, .timestamp = timestamp,
                                 .password = password};
    struct login *login = arena_zalloc(arena, sizeof(*login));

    *login = (struct login){.core = core, .arena = arena, .device_id = device_id, .cb = cb,
                            .arg = arg};
    device_verify(core, arena, &proof, verified, login);
}

#include "core/report.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "core/device_facts.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

struct login {
    struct core *core;
    struct arena *arena;
    struct str device_id, timestamp, password, secret;
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

static void secret_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct login *login = arg;
    struct str secret = redis_reply_str(redis_reply_at(reply, 0));
    char expected[CRYPTO_SHA256_HEX_SIZE];

    if (status != REDIS_DONE) {
        login->cb(ERR_INTERNAL, NULL, login->arg);
        return;
    }
    /* Computed for unknown devices too, so that the time does not tell them apart. */
    crypto_hmac_sha256_hex(login->timestamp, secret.p ? secret : STR("-"), expected);
    if (!crypto_equal(login->password, str_of(expected)) || !secret.len ||
        str_eq(redis_reply_str(redis_reply_at(reply, 1)), STR("TRUE"))) {
        login->cb(ERR_DEVICE_AUTH, NULL, login->arg);
        return;
    }
    device_facts_take(login->core, login->device_id, reply, 2);
    login->secret = arena_str(login->arena, secret);
    store_token(login);
}

void device_login(struct core *core, struct arena *arena, struct str device_id,
                  struct str timestamp, struct str password, device_token_cb cb, void *arg)
{
    struct login *login = arena_zalloc(arena, sizeof(*login));
    struct key key;

    *login = (struct login){.core = core, .arena = arena, .device_id = device_id,
                            .timestamp = timestamp, .password = password, .cb = cb, .arg = arg};
    redis_command(core->redis, 5 + DEVICE_REFERENCE_COUNT,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("secret"), STR("mute"), STR("app"),
                                 DEVICE_REFERENCE_FIELDS},
                  secret_read, login);
}

#include "core/app/signing.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/app/subscription.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

/* ---- signing ---- */

static int64_t time_of(struct str text)
{
    uint64_t value;

    return str_to_u64(text, INT64_MAX, &value) ? (int64_t)value : 0;
}

static struct crypto_hmac *key_of(struct str app_id, struct str text)
{
    unsigned char bytes[SIGNING_KEY_BYTES];
    struct crypto_hmac *key;

    if (!text.len)
        return NULL;
    if (!crypto_from_base64(text, bytes, sizeof(bytes))) {
        log_error("signing", "app=%.*s state=unsigned reason=unreadable_key", STR_ARG(app_id));
        return NULL;
    }
    key = crypto_hmac_new(bytes, sizeof(bytes));
    crypto_wipe(bytes, sizeof(bytes));
    return key;
}

void signing_keys_take(struct signing_keys *keys, struct str app_id, const redisReply *reply)
{
    signing_keys_clear(keys);
    keys->current = key_of(app_id, redis_reply_str(redis_reply_at(reply, 0)));
    if (!keys->current)
        return;
    keys->previous = key_of(app_id, redis_reply_str(redis_reply_at(reply, 1)));
    keys->previous_end_ms = time_of(redis_reply_str(redis_reply_at(reply, 2)));
}

void signing_keys_clear(struct signing_keys *keys)
{
    crypto_hmac_free(keys->current);
    crypto_hmac_free(keys->previous);
    *keys = (struct signing_keys){0};
}

static size_t add_signature(const struct crypto_hmac *key, const struct str *parts, size_t count,
                            char *text)
{
    unsigned char digest[CRYPTO_SHA256_BYTES];

    crypto_hmac_sign(key, parts, count, digest);
    memcpy(text, "v1=", 3);
    return 3 + crypto_to_base64(digest, sizeof(digest), text + 3);
}

struct str signing_keys_sign(const struct signing_keys *keys, struct str id, struct str timestamp,
                             struct str body, int64_t now_ms, char text[SIGNATURE_TEXT_SIZE])
{
    const struct str parts[] = {id, STR("."), timestamp, STR("."), body};
    size_t count = sizeof(parts) / sizeof(*parts), len;

    text[0] = '\0';
    if (!keys->current)
        return STR("");
    len = add_signature(keys->current, parts, count, text);
    if (keys->previous && now_ms < keys->previous_end_ms) {
        memcpy(text + len, ", ", 2);
        len += 2;
        len += add_signature(keys->previous, parts, count, text + len);
    }
    return str_n(text, len);
}

/* ---- administration ---- */

struct request {
    struct core *core;
    char *app_id;
    char made[CRYPTO_BASE64_SIZE(SIGNING_KEY_BYTES)]; /* empty: nothing, or the key is removed */
    signing_key_cb cb;
    void *arg;
};

static struct request *request_new(struct core *core, struct str app_id, signing_key_cb cb,
                                   void *arg)
{
    struct request *request = xcalloc(1, sizeof(*request));

    request->core = core;
    /* An id that cannot be ours names no application; ask for one that cannot exist. */
    request->app_id = str_dup(str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-"));
    request->cb = cb;
    request->arg = arg;
    return request;
}

static void request_end(struct request *request, enum error error, struct signing_key *key)
{
    key->app_id = request->app_id;
    request->cb(error, error ? NULL : key, request->arg);
    crypto_wipe(request->made, sizeof(request->made));
    free(request->app_id);
    free(request);
}

/* The reply has the id of an application that exists, or nil, before the fields. */
static void key_shown(enum redis_status status, const redisReply *reply, void *arg)
{
    struct signing_key key = {0};
    enum error error = core_error_of(status);

    if (!error && !redis_reply_str(redis_reply_at(reply, 0)).p)
        error = ERR_APP_NOT_FOUND;
    if (!error) {
        key.key = redis_reply_str(redis_reply_at(reply, 1));
        key.previous_end_ms = time_of(redis_reply_str(redis_reply_at(reply, 3)));
        if (key.previous_end_ms <= clock_now_ms())
            key.previous_end_ms = 0;
    }
    request_end(arg, error, &key);
}

void signing_key_show(struct core *core, struct str app_id, signing_key_cb cb, void *arg)
{
    struct request *request = request_new(core, app_id, cb, arg);
    struct key key;
    struct str words[] = {STR("HMGET"), key_app(&key, str_of(request->app_id)), STR("state"),
                          SIGNING_FIELDS};

    redis_command(core->redis, sizeof(words) / sizeof(*words), words, key_shown, request);
}

static void key_changed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct request *request = arg;
    struct signing_key key = {.key = str_of(request->made)};
    enum error error = core_error_of(status);

    if (!error && redis_reply_i64(redis_reply_at(reply, 0)) == 0)
        error = ERR_APP_NOT_FOUND;
    if (!error)
        key.previous_end_ms = time_of(redis_reply_str(redis_reply_at(reply, 1)));
    subscriptions_tell_changed(request->core, str_of(request->app_id));
    request_end(request, error, &key);
}

static void change(struct request *request)
{
    struct key key;
    struct decimal now, end;
    int64_t now_ms = clock_now_ms();
    struct str keys[] = {key_app(&key, str_of(request->app_id))};
    struct str args[] = {str_of(request->made), decimal_str(&now, now_ms),
                         decimal_str(&end, now_ms + request->core->settings->signature_overlap_ms)};

    redis_script(request->core->redis, &script_app_signing_key, 1, keys, 3, args, key_changed,
                 request);
}

void signing_key_renew(struct core *core, struct str app_id, signing_key_cb cb, void *arg)
{
    struct request *request = request_new(core, app_id, cb, arg);
    unsigned char bytes[SIGNING_KEY_BYTES];

    crypto_random_bytes(bytes, sizeof(bytes));
    crypto_to_base64(bytes, sizeof(bytes), request->made);
    crypto_wipe(bytes, sizeof(bytes));
    change(request);
}

void signing_key_remove(struct core *core, struct str app_id, signing_key_cb cb, void *arg)
{
    change(request_new(core, app_id, cb, arg));
}

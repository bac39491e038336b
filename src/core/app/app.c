#include "core/app/app.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/device/index.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define SALT_DIGITS   16
#define SECRET_DIGITS 32
#define APP_ID_DIGITS 24

void app_free(void *p)
{
    struct app *app = p;

    if (!app)
        return;
    free(app->id);
    free(app->name);
    free(app->secret);
    free(app->token);
    free(app->refresh);
    free(app);
}

static char *dup_or_null(struct str s)
{
    return s.p ? str_dup(s) : NULL;
}

static int64_t number_or_zero(struct str s)
{
    uint64_t value;

    return str_to_u64(s, INT64_MAX, &value) ? (int64_t)value : 0;
}

/* NULL when the reply of HGETALL shows no application. */
static struct app *app_from_reply(struct str id, const redisReply *reply)
{
    struct str secret = redis_reply_field(reply, "secret");
    struct app *app;

    if (!secret.p)
        return NULL;
    app = xcalloc(1, sizeof(*app));
    app->id = str_dup(id);
    app->name = dup_or_null(redis_reply_field(reply, "name"));
    app->secret = str_dup(secret);
    app->is_frozen = str_eq(redis_reply_field(reply, "state"), STR("frozen"));
    app->created_ms = number_or_zero(redis_reply_field(reply, "created"));
    app->token = dup_or_null(redis_reply_field(reply, "token"));
    app->token_end_ms = number_or_zero(redis_reply_field(reply, "tokenEnd"));
    app->refresh = dup_or_null(redis_reply_field(reply, "refresh"));
    app->refresh_end_ms = number_or_zero(redis_reply_field(reply, "refreshEnd"));
    return app;
}

/* ---- reading one ---- */

struct get {
    struct core *core;
    char *id;
    app_cb cb;
    void *arg;
};

static void get_done(struct get *get, enum error error, const struct app *app)
{
    get->cb(error, app, get->arg);
    free(get->id);
    free(get);
}

static void app_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct get *get = arg;
    struct app *app;

    if (status != REDIS_DONE) {
        get_done(get, ERR_INTERNAL, NULL);
        return;
    }
    app = app_from_reply(str_of(get->id), reply);
    if (!app) {
        app_forget(get->core, str_of(get->id));
        get_done(get, ERR_APP_NOT_FOUND, NULL);
        return;
    }
    cache_put(get->core->apps, str_of(get->id), app, get->core->settings->cache_life_ms);
    get_done(get, ERR_OK, app);
}

const struct app *app_cached(struct core *core, struct str app_id)
{
    return cache_get(core->apps, app_id);
}

void app_read(struct core *core, struct str app_id, app_cb cb, void *arg)
{
    struct get *get = xcalloc(1, sizeof(*get));
    struct key key;

    get->core = core;
    get->cb = cb;
    get->arg = arg;
    /* An id that cannot be ours names no application; ask for one that cannot exist. */
    get->id = str_is_id(app_id, KEY_ID_MAX) ? str_dup(app_id) : xstrdup("-");
    redis_command(core->redis, 2,
                  (struct str[]){STR("HGETALL"), key_app(&key, str_of(get->id))}, app_replied, get);
}

void app_forget(struct core *core, struct str app_id)
{
    cache_remove(core->apps, app_id);
}

/* ---- secrets ---- */

static void secret_digest(struct str salt, struct str secret, char out[CRYPTO_SHA256_HEX_SIZE])
{
    crypto_hmac_sha256_hex(salt, secret, out);
}

/* A fast digest is enough: our secrets are 128 random bits, not words that could be guessed. */
static char *stored_secret(const char *secret)
{
    char salt[SALT_DIGITS + 1], digest[CRYPTO_SHA256_HEX_SIZE];

    crypto_random_hex(salt, SALT_DIGITS);
    secret_digest(str_of(salt), str_of(secret), digest);
    return xasprintf("%s:%s", salt, digest);
}

bool app_secret_matches(const struct app *app, struct str secret)
{
    struct str stored_digest;
    struct str salt = str_split(str_of(app->secret), ':', &stored_digest);
    char digest[CRYPTO_SHA256_HEX_SIZE];

    secret_digest(salt, secret, digest);
    return crypto_equal(stored_digest, str_of(digest));
}

/* ---- creating, changing ---- */

struct change {
    struct core *core;
    char id[KEY_ID_MAX + 1];
    char secret[SECRET_DIGITS + 1];
    char *name, *stored;
    int64_t now_ms;
    app_secret_cb secret_cb;
    app_done_cb done_cb;
    void *arg;
};

static struct change *change_new(struct core *core, struct str app_id, void *arg)
{
    struct change *change = xcalloc(1, sizeof(*change));

    change->core = core;
    change->now_ms = clock_now_ms();
    change->arg = arg;
    if (str_is_id(app_id, KEY_ID_MAX))
        memcpy(change->id, app_id.p, app_id.len);
    else
        memcpy(change->id, "-", 2); /* no application has this id */
    return change;
}

static void change_done(struct change *change, enum error error)
{
    struct app_secret made = {change->id, change->secret, change->now_ms};

    app_forget(change->core, str_of(change->id));
    if (change->secret_cb)
        change->secret_cb(error, error ? NULL : &made, change->arg);
    else
        change->done_cb(error, change->arg);
    free(change->name);
    free(change->stored);
    free(change);
}

static void app_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)reply;
    change_done(arg, core_error_of(status));
}

static void app_listed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;
    struct key key;
    char created[24];

    (void)reply;
    if (status != REDIS_DONE) {
        change_done(change, ERR_INTERNAL);
        return;
    }
    snprintf(created, sizeof(created), "%lld", (long long)change->now_ms);
    redis_command(change->core->redis, 10,
                  (struct str[]){STR("HSET"), key_app(&key, str_of(change->id)), STR("name"),
                                 str_of(change->name), STR("secret"), str_of(change->stored),
                                 STR("state"), STR("active"), STR("created"), str_of(created)},
                  app_stored, change);
}

/* Listed first, stored second: a crash in between leaves an id in the list that names nothing, which
 * app_list skips. */
void app_create(struct core *core, struct str name, app_secret_cb cb, void *arg)
{
    struct change *change = change_new(core, STR_NONE, arg);
    struct key key;
    char created[24];

    change->secret_cb = cb;
    change->name = str_dup(name);
    crypto_random_hex(change->id, APP_ID_DIGITS);
    crypto_random_hex(change->secret, SECRET_DIGITS);
    change->stored = stored_secret(change->secret);
    snprintf(created, sizeof(created), "%lld", (long long)change->now_ms);
    redis_command(core->redis, 4,
                  (struct str[]){STR("ZADD"), key_apps(&key), str_of(created), str_of(change->id)},
                  app_listed, change);
}

static void app_changed(enum redis_status status, const redisReply *reply, void *arg)
{
    enum error error = core_error_of(status);

    if (!error && redis_reply_i64(reply) == 0)
        error = ERR_APP_NOT_FOUND;
    change_done(arg, error);
}

static void change_field(struct change *change, bool ends_tokens, const char *field,
                         const char *value)
{
    struct key key;
    struct str keys[] = {key_app(&key, str_of(change->id))};
    struct str args[] = {ends_tokens ? STR("1") : STR("0"), str_of(field), str_of(value)};

    redis_script(change->core->redis, &script_app_change, 1, keys, 3, args, app_changed, change);
}

void app_reset_secret(struct core *core, struct str app_id, app_secret_cb cb, void *arg)
{
    struct change *change = change_new(core, app_id, arg);

    change->secret_cb = cb;
    crypto_random_hex(change->secret, SECRET_DIGITS);
    change->stored = stored_secret(change->secret);
    change_field(change, true, "secret", change->stored);
}

void app_set_frozen(struct core *core, struct str app_id, bool is_frozen, app_done_cb cb,
                    void *arg)
{
    struct change *change = change_new(core, app_id, arg);

    change->done_cb = cb;
    change_field(change, is_frozen, "state", is_frozen ? "frozen" : "active");
}

/* ---- deleting ---- */

static void app_unlisted(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)reply;
    change_done(arg, core_error_of(status));
}

static void app_removed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;
    struct key key;

    if (status != REDIS_DONE || redis_reply_i64(reply) <= 0) {
        enum error error = status != REDIS_DONE          ? ERR_INTERNAL
                           : redis_reply_i64(reply) == 0 ? ERR_APP_NOT_FOUND
                                                         : ERR_APP_HAS_DEVICES;
        change_done(change, error);
        return;
    }
    cache_remove(change->core->subscriptions, str_of(change->id));
    redis_command(change->core->redis, 3,
                  (struct str[]){STR("ZREM"), key_apps(&key), str_of(change->id)}, app_unlisted,
                  change);
}

static void index_dropped(enum error error, void *arg)
{
    struct change *change = arg;
    struct str id = str_of(change->id);
    struct key app, nodes, devices, subscriptions, index, breakers, certificates, ordinals, blocks;
    struct key groups, names, order, members, groups_of, dead;
    struct key models, references, model_data, packages, model_events;
    struct key commands, cancel_order, cancel_tasks;
    struct str keys[] = {key_app(&app, id), key_app_devices(&devices, id),
                         key_app_nodes(&nodes, id), key_app_subscriptions(&subscriptions, id),
                         key_app_subscription_index(&index, id),
                         key_app_breakers(&breakers, id),
                         key_app_certificates(&certificates, id),
                         key_app_groups(&groups, id),
                         key_app_group_names(&names, id),
                         key_app_group_order(&order, id),
                         key_app_group_members(&members, id),
                         key_app_device_groups(&groups_of, id),
                         key_app_dead_groups(&dead, id),
                         key_app_models(&models, id), key_app_model_references(&references, id),
                         key_app_model_data(&model_data, id),
                         key_app_model_packages(&packages, id),
                         key_app_model_events(&model_events, id),
                         key_app_ordinals(&ordinals, id), key_app_blocks(&blocks, id),
                         key_app_commands(&commands, id),
                         key_app_cancel_order(&cancel_order, id),
                         key_app_cancel_tasks(&cancel_tasks, id)};

    if (error)
        change_done(change, error);
    else
        redis_script(change->core->redis, &script_app_delete, sizeof(keys) / sizeof(*keys), keys, 0,
                     NULL, app_removed, change);
}

void app_delete(struct core *core, struct str app_id, app_done_cb cb, void *arg)
{
    struct change *change = change_new(core, app_id, arg);

    change->done_cb = cb;
    device_index_drop_all(core, str_of(change->id), index_dropped, change);
}

#include "core/app/token.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

bool token_is_valid(const struct app *app, struct str access)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(access, digest);
    return app->token && clock_now_ms() < app->token_end_ms &&
           crypto_equal(str_of(app->token), str_of(digest));
}

/* ---- login and refresh ---- */

struct issue {
    struct core *core;
    char *app_id, *secret;
    char used_refresh[CRYPTO_SHA256_HEX_SIZE]; /* digest; "" for a login */
    char *checked_secret;                      /* digest that the secret matched */
    struct token_pair pair;
    char access_digest[CRYPTO_SHA256_HEX_SIZE], refresh_digest[CRYPTO_SHA256_HEX_SIZE];
    token_cb cb;
    void *arg;
};

static void issue_done(struct issue *issue, enum error error)
{
    metric_add(M_LOGINS, 1, error ? "refused" : "ok", NULL, NULL);
    app_forget(issue->core, str_of(issue->app_id));
    issue->cb(error, error ? NULL : &issue->pair, issue->arg);
    free(issue->app_id);
    free(issue->secret);
    free(issue->checked_secret);
    free(issue);
}

static void tokens_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct issue *issue = arg;

    if (status != REDIS_DONE)
        issue_done(issue, ERR_INTERNAL);
    else if (redis_reply_is(reply, "OK"))
        issue_done(issue, ERR_OK);
    else
        issue_done(issue, redis_reply_is(reply, "FROZEN") ? ERR_APP_FROZEN : ERR_LOGIN_WRONG);
}

static void store_tokens(enum redis_status status, const redisReply *reply, void *arg)
{
    struct issue *issue = arg;
    const struct core_settings *settings = issue->core->settings;
    int64_t now_ms = clock_now_ms();
    struct decimal access_end, refresh_end;
    struct key key;
    struct str keys[] = {key_app(&key, str_of(issue->app_id))};
    struct str args[] = {
        str_of(issue->checked_secret),
        str_of(issue->access_digest),
        decimal_str(&access_end, now_ms + settings->token_life_ms),
        str_of(issue->refresh_digest),
        decimal_str(&refresh_end, now_ms + settings->refresh_life_ms),
        str_of(issue->used_refresh),
    };

    (void)reply;
    if (status != REDIS_DONE) {
        issue_done(issue, ERR_INTERNAL);
        return;
    }
    redis_script(issue->core->redis, &script_token_issue, 1, keys, 6, args, tokens_stored, issue);
}

static void check_secret(enum error error, const struct app *app, void *arg)
{
    struct issue *issue = arg;
    struct decimal life;
    struct key key;

    if (error) {
        issue_done(issue, error == ERR_APP_NOT_FOUND ? ERR_LOGIN_WRONG : error);
        return;
    }
    if (!app_secret_matches(app, str_of(issue->secret))) {
        issue_done(issue, ERR_LOGIN_WRONG);
        return;
    }
    if (app->is_frozen) {
        issue_done(issue, ERR_APP_FROZEN);
        return;
    }
    if (issue->used_refresh[0] &&
        (!app->refresh || clock_now_ms() >= app->refresh_end_ms ||
         !crypto_equal(str_of(app->refresh), str_of(issue->used_refresh)))) {
        issue_done(issue, ERR_LOGIN_WRONG);
        return;
    }
    issue->checked_secret = xstrdup(app->secret);
    /* The look-up that logout needs comes first: alone it is harmless, and it expires by itself. */
    redis_command(issue->core->redis, 5,
                  (struct str[]){STR("SET"), key_token(&key, str_of(issue->access_digest)),
                                 str_of(issue->app_id), STR("PX"),
                                 decimal_str(&life, issue->core->settings->token_life_ms)},
                  store_tokens, issue);
}

static void refuse_throttled(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    issue_done(arg, ERR_THROTTLED);
}

static void issue_tokens(struct core *core, struct str app_id, struct str secret,
                         struct str refresh, token_cb cb, void *arg)
{
    struct issue *issue = xcalloc(1, sizeof(*issue));

    issue->core = core;
    issue->app_id = str_dup(app_id);
    issue->secret = str_dup(secret);
    issue->cb = cb;
    issue->arg = arg;
    if (refresh.p)
        crypto_sha256_hex(refresh, issue->used_refresh);
    crypto_random_hex(issue->pair.access, TOKEN_DIGITS);
    crypto_random_hex(issue->pair.refresh, TOKEN_DIGITS);
    crypto_sha256_hex(str_of(issue->pair.access), issue->access_digest);
    crypto_sha256_hex(str_of(issue->pair.refresh), issue->refresh_digest);
    issue->pair.life_s = core->settings->token_life_ms / 1000;
    if (!rate_allows(core->login_rate, app_id)) {
        metric_add(M_THROTTLED, 1, "login", NULL, NULL);
        event_base_once(core->base, -1, EV_TIMEOUT, refuse_throttled, issue, NULL);
        return;
    }
    app_read(core, app_id, check_secret, issue);
}

void token_login(struct core *core, struct str app_id, struct str secret, token_cb cb, void *arg)
{
    issue_tokens(core, app_id, secret, STR_NONE, cb, arg);
}

void token_refresh(struct core *core, struct str app_id, struct str secret, struct str refresh,
                   token_cb cb, void *arg)
{
    issue_tokens(core, app_id, secret, refresh, cb, arg);
}

/* ---- logout ---- */

struct logout {
    struct core *core;
    char digest[CRYPTO_SHA256_HEX_SIZE];
    char *app_id;
    token_done_cb cb;
    void *arg;
};

static void logout_done(struct logout *logout, enum error error)
{
    logout->cb(error, logout->arg);
    free(logout->app_id);
    free(logout);
}

static void token_revoked(enum redis_status status, const redisReply *reply, void *arg)
{
    struct logout *logout = arg;
    enum error error = core_error_of(status);

    if (!error && redis_reply_i64(reply) == 0)
        error = ERR_TOKEN_INVALID;
    app_forget(logout->core, str_of(logout->app_id));
    logout_done(logout, error);
}

static void token_found(enum redis_status status, const redisReply *reply, void *arg)
{
    struct logout *logout = arg;
    struct str app_id = redis_reply_str(reply);
    struct decimal now;
    struct key key;

    if (status != REDIS_DONE || !app_id.p) {
        logout_done(logout, status != REDIS_DONE ? ERR_INTERNAL : ERR_TOKEN_INVALID);
        return;
    }
    logout->app_id = str_dup(app_id);
    redis_script(logout->core->redis, &script_token_revoke, 1,
                 (struct str[]){key_app(&key, app_id)}, 2,
                 (struct str[]){str_of(logout->digest), decimal_str(&now, clock_now_ms())},
                 token_revoked, logout);
}

void token_logout(struct core *core, struct str access, token_done_cb cb, void *arg)
{
    struct logout *logout = xcalloc(1, sizeof(*logout));
    struct key key;

    logout->core = core;
    logout->cb = cb;
    logout->arg = arg;
    crypto_sha256_hex(access, logout->digest);
    redis_command(core->redis, 2,
                  (struct str[]){STR("GET"), key_token(&key, str_of(logout->digest))},
                  token_found, logout);
}

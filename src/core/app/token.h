/*
 * Access tokens of applications: login, refresh with rotation, logout. Only the newest login's
 * tokens are valid. Redis and the cache hold digests, never tokens.
 */
#ifndef CORE_APP_TOKEN_H
#define CORE_APP_TOKEN_H

#include "core/app/app.h"

#define TOKEN_DIGITS 32

struct token_pair {
    char access[TOKEN_DIGITS + 1], refresh[TOKEN_DIGITS + 1];
    int64_t life_s; /* of the access token */
};

typedef void (*token_cb)(enum error error, const struct token_pair *pair, void *arg);
typedef void (*token_done_cb)(enum error error, void *arg);

/* ERR_LOGIN_WRONG, ERR_APP_FROZEN, ERR_THROTTLED (too many logins of this application). */
void token_login(struct core *core, struct str app_id, struct str secret, token_cb cb, void *arg);
/* The same, and ERR_LOGIN_WRONG also for an unknown, used or expired refresh token. The used one and
 * the access token end at once. */
void token_refresh(struct core *core, struct str app_id, struct str secret, struct str refresh,
                   token_cb cb, void *arg);
/* ERR_TOKEN_INVALID when it is unknown or over. */
void token_logout(struct core *core, struct str access, token_done_cb cb, void *arg);

/* Is this the application's token, and alive? Constant time. */
bool token_is_valid(const struct app *app, struct str access);

#endif

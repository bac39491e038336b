/*
 * Applications: created by the administrator, known by id and secret, the owners of devices and
 * subscriptions. Redis holds a salted digest of the secret and digests of the tokens, so reading
 * Redis gives none of them away.
 *
 * All texts of answers are valid during the callback only.
 */
#ifndef CORE_APP_APP_H
#define CORE_APP_APP_H

#include "core/core.h"

#define APP_NAME_MAX 256

struct app {
    char *id, *name;
    char *secret;  /* "<salt>:<hmac-sha256>" */
    bool is_frozen;
    int64_t created_ms;
    char *token;   /* digest of the newest access token, NULL when there is none */
    int64_t token_end_ms;
    char *refresh; /* digest of the newest refresh token */
    int64_t refresh_end_ms;
};

void app_free(void *app); /* for the cache */

typedef void (*app_cb)(enum error error, const struct app *app, void *arg);

/* The one in the cache, at most cache_life_ms old, or NULL: then app_read. Valid until the loop
 * goes on. */
const struct app *app_cached(struct core *core, struct str app_id);
/* From Redis, into the cache. ERR_APP_NOT_FOUND, ERR_INTERNAL. */
void app_read(struct core *core, struct str app_id, app_cb cb, void *arg);
void app_forget(struct core *core, struct str app_id); /* after a change */

bool app_secret_matches(const struct app *app, struct str secret);

/* What creation and reset answer with; the secret is in clear here and nowhere else. */
struct app_secret {
    const char *app_id, *secret;
    int64_t created_ms;
};
typedef void (*app_secret_cb)(enum error error, const struct app_secret *made, void *arg);
typedef void (*app_done_cb)(enum error error, void *arg);

void app_create(struct core *core, struct str name, app_secret_cb cb, void *arg);
void app_reset_secret(struct core *core, struct str app_id, app_secret_cb cb, void *arg);
/* Freezing ends the tokens. */
void app_set_frozen(struct core *core, struct str app_id, bool is_frozen, app_done_cb cb,
                    void *arg);

/* Deletes an application that has no devices: ERR_APP_HAS_DEVICES otherwise. */
void app_delete(struct core *core, struct str app_id, app_done_cb cb, void *arg);

/* The first `max` applications by time of creation, with their devices and subscriptions counted. */
struct app_row {
    struct app *app;
    int64_t devices, subscriptions;
};
typedef void (*app_list_cb)(enum error error, const struct app_row *rows, size_t count,
                            void *arg);
void app_list(struct core *core, size_t max, app_list_cb cb, void *arg);
void app_show(struct core *core, struct str app_id, app_list_cb cb, void *arg);
typedef void (*app_ids_cb)(enum error error, const struct str *ids, size_t count, void *arg);
/* Ids of up to `max` devices of an application. */
void app_devices(struct core *core, struct str app_id, size_t max, app_ids_cb cb, void *arg);
/* Ids of up to `max` applications, by time of creation, without the first ones. */
void app_ids(struct core *core, size_t first, size_t max, app_ids_cb cb, void *arg);

#endif

/*
 * Subscriptions: (owner, application whose events, notification type, channel) -> callback URL.
 *
 * The push engine asks for all subscriptions of an application at each event, so they are cached as
 * one immutable list per application, counted by references: what is under way keeps the list it
 * started with. Its signing keys come with the list: whoever is called back gets signatures too.
 */
#ifndef CORE_APP_SUBSCRIPTION_H
#define CORE_APP_SUBSCRIPTION_H

#include "base/arena.h"
#include "core/app/signing.h"

#define SUBSCRIPTION_ID_DIGITS 24
#define SUBSCRIPTION_QUERY_MAX 1000 /* results of a query that asks for no page */

enum subscription_same_type { SAME_TYPE_REPLACE, SAME_TYPE_CONFLICT, SAME_TYPE_FANOUT };

struct subscription {
    struct str id, type, url, channel, index_key;
    int64_t order; /* of creation, within the application */
};

struct subscriptions {
    size_t count;
    const struct subscription *list; /* by time of creation, oldest first */
    struct signing_keys signing_keys;
    /* private: */
    struct arena *arena;
    unsigned references;
};

/* Notification types: all that can be subscribed, and those of the management API. */
bool subscription_type_exists(struct str type);
bool subscription_type_is_management(struct str type);

/* May pushes go there? Syntax, policy, and the two switches of the settings. */
bool subscription_url_is_legal(const struct core *core, struct str url);

/* Syntax alone: may it have been subscribed once? */
bool subscription_url_is_url(struct str url);

typedef void (*subscriptions_cb)(enum error error, struct subscriptions *subscriptions,
                                 void *arg);

/* The list in the cache, at most cache_life_ms old, or NULL: then subscriptions_read. Valid until
 * the loop goes on, or held. */
struct subscriptions *subscriptions_cached(struct core *core, struct str app_id);
/* From Redis, into the cache. */
void subscriptions_read(struct core *core, struct str app_id, subscriptions_cb cb, void *arg);
/* Nothing has changed since this one was read: it is as good as new. */
void subscriptions_keep(struct core *core, struct str app_id, struct subscriptions *subscriptions);
struct subscriptions *subscriptions_hold(struct subscriptions *subscriptions);
void subscriptions_release(void *subscriptions);
const struct subscription *subscriptions_find(const struct subscriptions *subscriptions,
                                              struct str id);

struct subscription_request {
    struct str app_id; /* owner, and whose events */
    struct str type, url, channel;
    bool replaces; /* whatever the setting same_type says */
};

typedef void (*subscribe_cb)(enum error error, struct str subscription_id, void *arg);

/* ERR_CALLBACK_URL, ERR_SUBSCRIBED, ERR_BAD_REQUEST (too many), ERR_APP_NOT_FOUND. */
void subscription_create(struct core *core, struct arena *arena,
                         const struct subscription_request *request, subscribe_cb cb, void *arg);

typedef void (*unsubscribe_cb)(enum error error, int64_t deleted, void *arg);

/* Deletes these out of a list just read. */
void subscription_delete(struct core *core, struct arena *arena, struct str app_id,
                         const struct subscription *const *which, size_t count, unsubscribe_cb cb,
                         void *arg);

/* After a change of the application's signing keys: the list is read anew. */
void subscriptions_tell_changed(struct core *core, struct str app_id);

/* Told after each change made here, so that what waits for a callback can follow at once. */
void subscription_set_listener(void (*changed)(struct str app_id, void *arg), void *arg);

#endif

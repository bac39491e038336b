#include "core/app/subscription.h"

#include "base/crypto.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"
#include "net/netpolicy.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

static const struct {
    const char *name;
    bool is_management;
} types[] = {
    {"deviceAdded", false},
    {"bindDevice", false},
    {"deviceInfoChanged", false},
    {"deviceDataChanged", false},
    {"deviceDatasChanged", false},
    {"deviceCapabilitiesChanged", false},
    {"deviceCapabilitiesAdded", false},
    {"deviceCapabilitiesDeleted", false},
    {"deviceDeleted", false},
    {"messageConfirm", false},
    {"commandRsp", false},
    {"deviceEvent", false},
    {"serviceInfoChanged", false},
    {"deviceModelAdded", false},
    {"deviceModelDeleted", false},
    {"ruleEvent", false},
    {"deviceDesiredPropertiesModifyStatusChanged", false},
    {"swUpgradeStateChangeNotify", true},
    {"swUpgradeResultNotify", true},
    {"fwUpgradeStateChangeNotify", true},
    {"fwUpgradeResultNotify", true},
};
#define TYPE_COUNT (sizeof(types) / sizeof(*types))

static struct {
    void (*changed)(struct str app_id, void *arg);
    void *arg;
} listener;

void subscription_set_listener(void (*changed)(struct str app_id, void *arg), void *arg)
{
    listener.changed = changed;
    listener.arg = arg;
}

void subscriptions_tell_changed(struct core *core, struct str app_id)
{
    cache_remove(core->subscriptions, app_id);
    if (listener.changed)
        listener.changed(app_id, listener.arg);
}

static size_t type_index(struct str type)
{
    size_t i = 0;

    while (i < TYPE_COUNT && !str_eq(type, str_of(types[i].name)))
        i++;
    return i;
}

bool subscription_type_exists(struct str type)
{
    return type_index(type) < TYPE_COUNT;
}

bool subscription_type_is_management(struct str type)
{
    size_t i = type_index(type);

    return i < TYPE_COUNT && types[i].is_management;
}

bool subscription_url_is_url(struct str text)
{
    struct url url;

    return url_parse(text, &url);
}

bool subscription_url_is_legal(const struct core *core, struct str text)
{
    struct url url;

    if (!url_parse(text, &url))
        return false;
    if (core->settings->needs_port_and_path && (!url.has_port || !url.has_path))
        return false;
    return netpolicy_allows_host(core->policy, url.host, url.port);
}

/* ---- reading ---- */

struct reading {
    struct core *core;
    char *app_id;
    struct signing_keys signing_keys;
    struct subscriptions *list;
    unsigned waiting; /* replies still to come */
    enum error error;
    subscriptions_cb cb;
    void *arg;
};

static bool subscription_from_json(struct arena *arena, struct str text,
                                   struct subscription *subscription)
{
    const struct json *json = json_parse(arena, arena_str(arena, text), NULL);

    subscription->id = json_get_str(json, "id");
    subscription->type = json_get_str(json, "type");
    subscription->url = json_get_str(json, "url");
    subscription->channel = json_get_str(json, "channel");
    subscription->index_key = json_get_str(json, "key");
    return subscription->id.len && subscription->type.len && subscription->url.len &&
           subscription->channel.len && subscription->index_key.len &&
           json_get_i64(json, "order", &subscription->order);
}

static int by_order(const void *a, const void *b)
{
    const struct subscription *x = a, *y = b;

    return (x->order > y->order) - (x->order < y->order);
}

static struct subscriptions *list_from_reply(const redisReply *reply)
{
    struct arena *arena = arena_new();
    struct subscriptions *subscriptions = arena_zalloc(arena, sizeof(*subscriptions));
    struct subscription *list = arena_alloc(arena, (reply->elements / 2 + 1) * sizeof(*list));

    for (size_t i = 1; i < reply->elements; i += 2) {
        struct str text = redis_reply_str(redis_reply_at(reply, i));

        if (subscription_from_json(arena, text, &list[subscriptions->count]))
            subscriptions->count++;
        else
            log_error("subscription", "state=unreadable id=%.*s",
                      STR_ARG(redis_reply_str(redis_reply_at(reply, i - 1))));
    }
    if (subscriptions->count)
        qsort(list, subscriptions->count, sizeof(*list), by_order);
    subscriptions->list = list;
    subscriptions->arena = arena;
    subscriptions->references = 1;
    return subscriptions;
}

struct subscriptions *subscriptions_hold(struct subscriptions *subscriptions)
{
    subscriptions->references++;
    return subscriptions;
}

void subscriptions_release(void *p)
{
    struct subscriptions *subscriptions = p;

    if (!subscriptions || --subscriptions->references > 0)
        return;
    signing_keys_clear(&subscriptions->signing_keys);
    arena_free(subscriptions->arena);
}

static void reading_end(struct reading *reading)
{
    struct subscriptions *list = reading->error ? NULL : reading->list;

    if (list) {
        list->signing_keys = reading->signing_keys;
        cache_put(reading->core->subscriptions, str_of(reading->app_id), subscriptions_hold(list),
                  reading->core->settings->cache_life_ms);
    } else {
        signing_keys_clear(&reading->signing_keys);
    }
    reading->cb(reading->error, list, reading->arg);
    subscriptions_release(reading->list);
    free(reading->app_id);
    free(reading);
}

static void one_replied(struct reading *reading, enum redis_status status)
{
    if (status != REDIS_DONE)
        reading->error = core_error_of(status);
    if (--reading->waiting == 0)
        reading_end(reading);
}

static void signing_keys_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;

    if (status == REDIS_DONE)
        signing_keys_take(&reading->signing_keys, str_of(reading->app_id), reply);
    one_replied(reading, status);
}

static void list_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;

    if (status == REDIS_DONE)
        reading->list = list_from_reply(reply);
    one_replied(reading, status);
}

struct subscriptions *subscriptions_cached(struct core *core, struct str app_id)
{
    return cache_get(core->subscriptions, app_id);
}

void subscriptions_keep(struct core *core, struct str app_id, struct subscriptions *subscriptions)
{
    /* The cache does not give up what it is given again. */
    if (cache_get(core->subscriptions, app_id) != subscriptions)
        subscriptions_hold(subscriptions);
    cache_put(core->subscriptions, app_id, subscriptions, core->settings->cache_life_ms);
}

void subscriptions_read(struct core *core, struct str app_id, subscriptions_cb cb, void *arg)
{
    struct reading *reading = xcalloc(1, sizeof(*reading));
    struct key app, subscriptions;

    reading->core = core;
    reading->app_id = str_dup(str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-"));
    reading->cb = cb;
    reading->arg = arg;
    reading->waiting = 2;
    redis_command(core->redis, 2 + SIGNING_FIELD_COUNT,
                  (struct str[]){STR("HMGET"), key_app(&app, str_of(reading->app_id)),
                                 SIGNING_FIELDS},
                  signing_keys_replied, reading);
    redis_command(core->redis, 2,
                  (struct str[]){STR("HGETALL"),
                                 key_app_subscriptions(&subscriptions, str_of(reading->app_id))},
                  list_replied, reading);
}

const struct subscription *subscriptions_find(const struct subscriptions *subscriptions,
                                              struct str id)
{
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].id, id))
            return &subscriptions->list[i];
    }
    return NULL;
}

/* ---- creating ---- */

struct creation {
    struct core *core;
    struct arena *arena;
    struct subscription_request wanted;
    struct str id; /* when it is a new one */
    enum error error;
    subscribe_cb cb;
    void *arg;
};

/* What makes two subscriptions the same one. */
static struct str index_key(struct creation *creation)
{
    const struct subscription_request *wanted = &creation->wanted;
    bool has_url =
        creation->core->settings->same_type == SAME_TYPE_FANOUT && !wanted->replaces;

    return str_of(arena_printf(creation->arena, "%.*s|%.*s|%.*s%s%.*s", STR_ARG(wanted->app_id),
                               STR_ARG(wanted->type), STR_ARG(wanted->channel),
                               has_url ? "|" : "", has_url ? (int)wanted->url.len : 0,
                               wanted->url.p));
}

static void subscription_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct creation *creation = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);
    enum error error = core_error_of(status);

    subscriptions_tell_changed(creation->core, creation->wanted.app_id);
    if (!error && redis_reply_is(outcome, "OK")) {
        creation->cb(ERR_OK, redis_reply_str(redis_reply_at(reply, 1)), creation->arg);
        return;
    }
    if (!error)
        error = redis_reply_is(outcome, "CONFLICT") ? ERR_SUBSCRIBED
                : redis_reply_is(outcome, "FULL")   ? ERR_BAD_REQUEST
                                                    : ERR_APP_NOT_FOUND;
    creation->cb(error, STR_NONE, creation->arg);
}

/* The id and the order are filled in by the script: it keeps those of a subscription it replaces. */
static struct str subscription_json(struct creation *creation, struct str key)
{
    const struct subscription_request *wanted = &creation->wanted;
    struct json_writer *w = json_writer_new();
    struct str text;

    json_object(w);
    json_member_text(w, "id", "@ID@");
    json_member_raw(w, "order", STR("@ORDER@"));
    json_member_str(w, "type", wanted->type);
    json_member_str(w, "url", wanted->url);
    json_member_str(w, "channel", wanted->channel);
    json_member_str(w, "key", key);
    json_object_end(w);
    text = arena_str(creation->arena, json_writer_text(w));
    json_writer_free(w);
    return text;
}

static void store_subscription(struct creation *creation)
{
    struct core *core = creation->core;
    const struct subscription_request *wanted = &creation->wanted;
    int same_type = wanted->replaces ? SAME_TYPE_REPLACE : core->settings->same_type;
    size_t most = core->settings->same_type == SAME_TYPE_FANOUT
                      ? (size_t)core->settings->urls_per_app
                      : TYPE_COUNT * 2; /* channels */
    struct key app, subscriptions, index;
    struct decimal limit;
    struct str keys[] = {key_app(&app, wanted->app_id),
                         key_app_subscriptions(&subscriptions, wanted->app_id),
                         key_app_subscription_index(&index, wanted->app_id)};
    struct str key = index_key(creation);
    struct str args[] = {
        key,
        creation->id,
        subscription_json(creation, key),
        wanted->url,
        same_type == SAME_TYPE_REPLACE ? STR("replace") : STR("conflict"),
        decimal_str(&limit, (int64_t)most),
    };

    redis_script(core->redis, &script_subscribe, 3, keys, 6, args, subscription_stored, creation);
}

static bool is_same_host(struct str a, struct str b)
{
    struct url x, y;

    return url_parse(a, &x) && url_parse(b, &y) && str_eq_nocase(x.host, y.host) &&
           x.port == y.port;
}

static void others_read(enum error error, struct subscriptions *others, void *arg)
{
    struct creation *creation = arg;

    for (size_t i = 0; !error && i < others->count; i++) {
        if (!str_eq(others->list[i].type, creation->wanted.type) &&
            !is_same_host(others->list[i].url, creation->wanted.url))
            error = ERR_CALLBACK_URL;
    }
    if (error)
        creation->cb(error, STR_NONE, creation->arg);
    else
        store_subscription(creation);
}

static void refuse_url(evutil_socket_t fd, short what, void *arg)
{
    struct creation *creation = arg;

    (void)fd;
    (void)what;
    creation->cb(ERR_CALLBACK_URL, STR_NONE, creation->arg);
}

void subscription_create(struct core *core, struct arena *arena,
                         const struct subscription_request *request, subscribe_cb cb, void *arg)
{
    struct creation *creation = arena_zalloc(arena, sizeof(*creation));
    char *id = arena_alloc(arena, SUBSCRIPTION_ID_DIGITS + 1);

    crypto_random_hex(id, SUBSCRIPTION_ID_DIGITS);
    creation->core = core;
    creation->arena = arena;
    creation->wanted = *request;
    creation->id = str_of(id);
    creation->cb = cb;
    creation->arg = arg;
    if (!subscription_url_is_legal(core, request->url))
        event_base_once(core->base, -1, EV_TIMEOUT, refuse_url, creation, NULL);
    else if (core->settings->needs_one_host)
        subscriptions_read(core, request->app_id, others_read, creation);
    else
        store_subscription(creation);
}

/* ---- deleting ---- */

struct removal {
    struct core *core;
    struct str app_id;
    unsubscribe_cb cb;
    void *arg;
};

static void subscriptions_deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct removal *removal = arg;

    subscriptions_tell_changed(removal->core, removal->app_id);
    removal->cb(core_error_of(status), redis_reply_i64(reply), removal->arg);
}

void subscription_delete(struct core *core, struct arena *arena, struct str app_id,
                         const struct subscription *const *which, size_t count, unsubscribe_cb cb,
                         void *arg)
{
    struct removal *removal = arena_zalloc(arena, sizeof(*removal));
    struct str *args = arena_alloc(arena, (count * 2 + 1) * sizeof(*args));
    struct key subscriptions, index;
    struct str keys[] = {key_app_subscriptions(&subscriptions, app_id),
                         key_app_subscription_index(&index, app_id)};

    removal->core = core;
    removal->app_id = app_id;
    removal->cb = cb;
    removal->arg = arg;
    for (size_t i = 0; i < count; i++) {
        args[2 * i] = which[i]->id;
        args[2 * i + 1] = which[i]->index_key;
    }
    redis_script(core->redis, &script_unsubscribe, 2, keys, count * 2, args,
                 subscriptions_deleted, removal);
}

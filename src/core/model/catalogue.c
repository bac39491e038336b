#include "core/model/store.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/model/events.h"
#include "core/model/private.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#define FORMAT 1

/* ---- one catalogue ---- */

struct model_catalogue *model_catalogue_hold(struct model_catalogue *catalogue)
{
    catalogue->references++;
    return catalogue;
}

void model_catalogue_release(void *p)
{
    struct model_catalogue *catalogue = p;

    if (catalogue && --catalogue->references == 0)
        arena_free(catalogue->arena);
}

/* "<created> <modified> <facts>" */
static bool facts_from(struct arena *arena, struct str id, struct str text,
                       struct model_facts *facts)
{
    struct str rest;
    struct str created = str_split(text, ' ', &rest);
    struct str modified = str_split(rest, ' ', &rest);
    const struct json *json = json_parse(arena, rest, NULL);
    uint64_t created_ms = 0, modified_ms = 0;
    int64_t format = 0;

    *facts = (struct model_facts){
        .product_id = id,
        .version = json_get_str(json, "version"),
        .manufacturer_id = json_get_str(json, "manufacturerId"),
        .manufacturer_name = json_get_str(json, "manufacturerName"),
        .name = json_get_str(json, "model"),
        .device_type = json_get_str(json, "deviceType"),
        .protocol_type = json_get_str(json, "protocolType"),
    };
    if (!json_get_i64(json, "format", &format) || format != FORMAT || !facts->version.len ||
        !str_to_u64(created, INT64_MAX, &created_ms) ||
        !str_to_u64(modified, INT64_MAX, &modified_ms) ||
        !json_get_i64(json, "services", &facts->services) ||
        !json_get_i64(json, "bytes", &facts->package_bytes)) {
        log_error("model", "product=%.*s state=unreadable", STR_ARG(id));
        return false;
    }
    facts->created_ms = (int64_t)created_ms;
    facts->modified_ms = (int64_t)modified_ms;
    return true;
}

static int compare_reference(const struct model_facts *x, struct str manufacturer_id,
                             struct str name)
{
    int order = model_compare(x->manufacturer_id, manufacturer_id);

    return order ? order : model_compare(x->name, name);
}

static int by_reference(const void *a, const void *b)
{
    const struct model_facts *y = b;

    return compare_reference(a, y->manufacturer_id, y->name);
}

/* reply: what model_catalogue.lua gave, with ids and facts from `first` on. */
static struct model_catalogue *catalogue_from(const redisReply *reply, size_t first)
{
    struct arena *arena = arena_new();
    struct model_catalogue *catalogue = arena_zalloc(arena, sizeof(*catalogue));
    size_t most = reply->elements > first ? (reply->elements - first) / 2 : 0, count = 0;
    struct model_facts *list = arena_alloc(arena, (most + 1) * sizeof(*list));

    for (size_t i = 0; i < most; i++) {
        struct str id = redis_reply_str(redis_reply_at(reply, first + 2 * i));
        struct str text = redis_reply_str(redis_reply_at(reply, first + 2 * i + 1));

        if (str_is_id(id, MODEL_PRODUCT_ID_DIGITS) && id.len == MODEL_PRODUCT_ID_DIGITS)
            count += facts_from(arena, arena_str(arena, id), arena_str(arena, text), &list[count]);
    }
    if (count)
        qsort(list, count, sizeof(*list), by_reference);
    catalogue->count = count;
    catalogue->list = list;
    catalogue->revision = arena_str(arena, redis_reply_str(redis_reply_at(reply, 1)));
    catalogue->arena = arena;
    catalogue->references = 1;
    return catalogue;
}

const struct model_facts *model_catalogue_find(const struct model_catalogue *catalogue,
                                               struct str product_id)
{
    for (size_t i = 0; i < catalogue->count; i++) {
        if (str_eq(catalogue->list[i].product_id, product_id))
            return &catalogue->list[i];
    }
    return NULL;
}

static bool agree(struct str a, struct str b)
{
    return !a.len || !b.len || str_eq(a, b);
}

const struct model_facts *model_catalogue_match(const struct model_catalogue *catalogue,
                                                const struct model_reference *reference)
{
    size_t low = 0, high = catalogue->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct model_facts *facts = &catalogue->list[middle];
        int order = compare_reference(facts, reference->manufacturer_id, reference->name);

        if (order == 0)
            return agree(facts->device_type, reference->device_type) &&
                           agree(facts->protocol_type, reference->protocol_type)
                       ? facts
                       : NULL;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct model_reference model_reference_of(const struct device *device)
{
    return (struct model_reference){
        .app_id = device->app_id,
        .manufacturer_id = device_member(device, "manufacturerId"),
        .name = device_member(device, "model"),
        .device_type = device_member(device, "deviceType"),
        .protocol_type = device_member(device, "protocolType"),
    };
}

/* ---- reading ---- */

/* One for each application at a time: who asks meanwhile waits for it. */
struct waiter {
    model_catalogue_cb cb;
    void *arg;
    struct waiter *next;
};

struct catalogue_reading {
    UT_hash_handle hh;
    struct core *core;
    struct model_catalogue *known; /* whose revision was sent; held; NULL: none */
    struct waiter *first, **last;
    char app_id[];
};

static struct catalogue_reading *readings; /* by application */

static void reading_end(struct catalogue_reading *reading, enum error error,
                        struct model_catalogue *catalogue)
{
    struct waiter *waiter = reading->first;

    HASH_DELETE(hh, readings, reading);
    while (waiter) {
        struct waiter *next = waiter->next;

        waiter->cb(error, catalogue, waiter->arg);
        free(waiter);
        waiter = next;
    }
    model_catalogue_release(reading->known);
    free(reading);
}

/* Those that whoever made them did not get to. */
static void send_left_events(struct catalogue_reading *reading, const redisReply *events)
{
    for (size_t i = 0; events && i < events->elements; i++) {
        struct str entry = redis_reply_str(redis_reply_at(events, i));

        log_warn("model", "app=%s event=taken_over", reading->app_id);
        if (entry.p)
            model_event_send(reading->core, str_of(reading->app_id), entry, NULL, NULL);
    }
}

static void catalogue_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct catalogue_reading *reading = arg;
    struct model_catalogue *catalogue;

    if (status != REDIS_DONE) {
        reading_end(reading, core_error_of(status), NULL);
        return;
    }
    send_left_events(reading, redis_reply_at(reply, 2));
    catalogue = redis_reply_is(redis_reply_at(reply, 0), "SAME") && reading->known
                    ? model_catalogue_hold(reading->known)
                    : catalogue_from(reply, 3);
    catalogue->checked_ms = clock_tick_ms();
    if (cache_get(reading->core->catalogues, str_of(reading->app_id)) != catalogue)
        cache_put(reading->core->catalogues, str_of(reading->app_id),
                  model_catalogue_hold(catalogue), INT64_MAX);
    reading_end(reading, ERR_OK, catalogue);
    model_catalogue_release(catalogue);
}

struct model_catalogue *model_catalogue_cached(struct core *core, struct str app_id)
{
    struct model_catalogue *catalogue = cache_get(core->catalogues, app_id);

    return catalogue &&
                   clock_tick_ms() < catalogue->checked_ms + core->settings->cache_life_ms
               ? catalogue
               : NULL;
}

static void send_reading(struct catalogue_reading *reading)
{
    struct core *core = reading->core;
    struct str app_id = str_of(reading->app_id);
    struct decimal grace;
    struct key models, events;

    reading->known = cache_get(core->catalogues, app_id);
    if (reading->known)
        model_catalogue_hold(reading->known);
    redis_script(core->redis, &script_model_catalogue, 2,
                 (struct str[]){key_app_models(&models, app_id),
                                key_app_model_events(&events, app_id)},
                 2,
                 (struct str[]){reading->known ? reading->known->revision : STR(""),
                                decimal_str(&grace, MODEL_EVENT_GRACE_MS)},
                 catalogue_replied, reading);
}

void model_catalogue_read(struct core *core, struct str app_id, model_catalogue_cb cb, void *arg)
{
    struct str id = str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-");
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));
    struct catalogue_reading *reading = NULL;
    bool is_new;

    waiter->cb = cb;
    waiter->arg = arg;
    HASH_FIND(hh, readings, id.p, id.len, reading);
    is_new = !reading;
    if (is_new) {
        reading = xcalloc(1, sizeof(*reading) + id.len + 1);
        reading->core = core;
        reading->last = &reading->first;
        memcpy(reading->app_id, id.p, id.len);
        HASH_ADD_KEYPTR(hh, readings, reading->app_id, id.len, reading);
    }
    *reading->last = waiter;
    reading->last = &waiter->next;
    if (is_new)
        send_reading(reading);
}

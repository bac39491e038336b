/*
 * Writing desired values: the device's record, its model, then one script. The model is checked before,
 * since it belongs to another tag; one that is changed in between is as good as one changed after.
 */
#include "core/data/shadow.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "core/model/store.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#define NAME_BYTES 1024 /* 256 characters */

struct set {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id;
    const struct shadow_change *changes;
    size_t count;
    device_done_cb cb;
    void *arg;
};

/* ---- the script ---- */

static void stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct set *set = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);

    if (status != REDIS_DONE) {
        set->cb(ERR_INTERNAL, set->arg);
    } else if (redis_reply_is(outcome, "OK")) {
        shadow_offer(set->core, set->device_id, redis_reply_str(redis_reply_at(reply, 1)));
        set->cb(ERR_OK, set->arg);
    } else {
        set->cb(redis_reply_is(outcome, "FULL") ? ERR_BAD_REQUEST : ERR_DEVICE_NOT_FOUND,
                set->arg);
    }
}

static struct str history_entry(const struct set *set, int64_t now_ms)
{
    struct json_writer *w = json_writer_new();
    struct str entry;

    json_object(w);
    json_key(w, "services");
    json_array(w);
    for (size_t i = 0; i < set->count; i++) {
        json_object(w);
        json_member_str(w, "id", set->changes[i].service_id);
        json_key(w, "data");
        json_value(w, set->changes[i].desired);
        json_member_i64(w, "time", now_ms);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    entry = arena_str(set->arena, json_writer_text(w));
    json_writer_free(w);
    return entry;
}

static size_t add_values(const struct set *set, struct str *args)
{
    struct json_writer *w = json_writer_new();
    size_t n = 0;

    for (size_t i = 0; i < set->count; i++) {
        JSON_FOREACH (value, set->changes[i].desired) {
            json_writer_reset(w);
            json_value(w, value);
            args[n++] = str_of(arena_printf(set->arena, "d/%.*s/%.*s",
                                            STR_ARG(set->changes[i].service_id),
                                            STR_ARG(value->key)));
            args[n++] = value->type == JSON_NULL ? STR("")
                                                 : arena_str(set->arena, json_writer_text(w));
        }
    }
    json_writer_free(w);
    return n;
}

static size_t count_properties(const struct set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++)
        count += set->changes[i].desired->count;
    return count;
}

static void store(struct set *set)
{
    const struct core_settings *settings = set->core->settings;
    uint32_t partition = partition_of(set->core, set->device_id);
    int64_t now_ms = clock_now_ms();
    size_t properties = count_properties(set), n = 8;
    struct str *args = arena_alloc(set->arena, (n + 2 * properties) * sizeof(*args));
    struct key device, desired, history;
    struct decimal now, most, bytes, entries, entry_bytes, age;
    struct str keys[] = {key_device(&device, partition, set->device_id),
                         key_desired(&desired, partition, set->device_id),
                         key_desired_history(&history, partition, set->device_id)};

    args[0] = set->app_id;
    args[1] = decimal_str(&now, now_ms);
    args[2] = decimal_str(&most, settings->shadow_desired_properties);
    args[3] = decimal_str(&bytes, settings->shadow_desired_bytes);
    args[4] = decimal_str(&entries, settings->shadow_history_entries);
    args[5] = decimal_str(&entry_bytes, settings->history_bytes);
    args[6] = decimal_str(&age, settings->history_age_ms);
    args[7] = history_entry(set, now_ms);
    n += add_values(set, args + n);
    redis_script(set->core->redis, &script_shadow_set, 3, keys, n, args, stored, set);
}

/* ---- the model ---- */

static enum error check_property(const struct set *set, const struct model_service *service,
                                 const struct json *value)
{
    const struct model_value *property = model_find_property(service, value->key);

    if (!property)
        return ERR_PROPERTY_UNKNOWN;
    if (!model_property_is_writable(property))
        return ERR_PROPERTY_READ_ONLY;
    return value->type == JSON_NULL ||
                   model_check_value(property, value, set->core->settings->model_enforces_enum) ==
                       MODEL_GOOD
               ? ERR_OK
               : ERR_PROPERTY_UNKNOWN;
}

static enum error check_change(const struct set *set, const struct model *model,
                               const struct shadow_change *change)
{
    const struct model_service *service = model_find_service(model, change->service_id);
    enum error error = ERR_OK;

    /* no report can have a '/' in its service (core/data/report.c) */
    if (memchr(change->service_id.p, '/', change->service_id.len) || (model && !service))
        return ERR_SERVICE_NOT_FOUND;
    if (!model)
        return ERR_OK;
    if (service->properties.count == 0)
        return ERR_NO_PROPERTIES;
    JSON_FOREACH (value, change->desired) {
        if (!error)
            error = check_property(set, service, value);
    }
    return error;
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct set *set = arg;

    if (!error && !model && set->core->settings->shadow_needs_model)
        error = ERR_NO_CAPABILITY;
    for (size_t i = 0; !error && i < set->count; i++)
        error = check_change(set, model, &set->changes[i]);
    if (error)
        set->cb(error, set->arg);
    else
        store(set);
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct set *set = arg;

    if (!error && set->core->settings->shadow_is_lwm2m_only &&
        !str_eq_nocase(device_member(device, "protocolType"), STR("LWM2M")))
        error = ERR_NO_CAPABILITY;
    if (error) {
        set->cb(error, set->arg);
        return;
    }
    set->app_id = device->app_id;
    set->device_id = device->id;
    model_of_device(set->core, set->arena, device, model_found, set);
}

/* ---- the form ---- */

/* The documented rule; the vendor's platform cannot keep other names. */
static bool property_is_valid(struct str name)
{
    return name.len >= 1 && name.len <= NAME_BYTES && str_is_printable(name) &&
           !memchr(name.p, '.', name.len) && !memchr(name.p, '$', name.len);
}

bool shadow_change_is_valid(const struct shadow_change *change)
{
    if (!change->service_id.len || change->service_id.len > NAME_BYTES ||
        !str_is_printable(change->service_id) || !change->desired ||
        change->desired->type != JSON_OBJECT || change->desired->count == 0)
        return false;
    JSON_FOREACH (value, change->desired) {
        if (!property_is_valid(value->key))
            return false;
    }
    return true;
}

void shadow_set(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                const struct shadow_change *changes, size_t count, device_done_cb cb, void *arg)
{
    struct set *set = arena_zalloc(arena, sizeof(*set));

    *set = (struct set){.core = core, .arena = arena, .changes = changes, .count = count,
                        .cb = cb, .arg = arg};
    device_read(core, arena, app_id, device_id, false, device_found, set);
}

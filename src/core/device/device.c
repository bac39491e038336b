#include "core/device/device.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/command/command.h"
#include "core/data/shadow.h"
#include "core/device/index.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

const char *const device_info_names[] = {
    "nodeId",       "name",         "description",  "manufacturerId",    "manufacturerName",
    "mac",          "location",     "deviceType",   "model",             "swVersion",
    "fwVersion",    "hwVersion",    "protocolType", "bridgeId",          "status",
    "statusDetail", "mute",         "supportedSecurity", "isSecurity",   "signalStrength",
    "sigVersion",   "serialNumber", "batteryLevel", "isHD",              NULL,
};

bool device_is_info(struct str name)
{
    for (size_t i = 0; device_info_names[i]; i++) {
        if (str_eq(name, str_of(device_info_names[i])))
            return true;
    }
    return false;
}

void device_fields_add(struct arena *arena, struct device_fields *fields, const char *name,
                       struct str value)
{
    if (!value.p)
        return;
    if (fields->count == fields->capacity) {
        size_t capacity = fields->capacity ? fields->capacity * 2 : 16;
        struct device_field *list = arena_alloc(arena, capacity * sizeof(*list));

        if (fields->count)
            memcpy(list, fields->list, fields->count * sizeof(*list));
        fields->list = list;
        fields->capacity = capacity;
    }
    fields->list[fields->count++] = (struct device_field){str_of(name), value};
}

struct str device_member(const struct device *device, const char *name)
{
    for (size_t i = 0; i < device->fields.count; i++) {
        if (str_eq(device->fields.list[i].name, str_of(name)))
            return device->fields.list[i].value;
    }
    return STR_NONE;
}

static int64_t member_i64(const struct device *device, const char *name)
{
    uint64_t value;

    return str_to_u64(device_member(device, name), INT64_MAX, &value) ? (int64_t)value : 0;
}

/* ---- reading one ---- */

struct read {
    struct arena *arena;
    struct str app_id;
    struct device *device;
    bool is_there, has_failed;
    int waiting;
    device_cb cb;
    void *arg;
};

static void read_done(struct read *read)
{
    struct device *device = read->device;
    enum error error = ERR_OK;

    if (--read->waiting > 0)
        return;
    if (read->has_failed)
        error = ERR_INTERNAL;
    else if (!read->is_there || (read->app_id.p && !str_eq(read->app_id, device->app_id)))
        error = ERR_DEVICE_NOT_FOUND;
    read->cb(error, error ? NULL : device, read->arg);
}

static void record_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct read *read = arg;
    struct device *device = read->device;

    read->has_failed |= status != REDIS_DONE;
    for (size_t i = 0; status == REDIS_DONE && i + 1 < reply->elements; i += 2) {
        const char *name =
            arena_dup0(read->arena, redis_reply_str(redis_reply_at(reply, i)));

        device_fields_add(read->arena, &device->fields, name,
                          arena_str(read->arena, redis_reply_str(redis_reply_at(reply, i + 1))));
    }
    read->is_there = device->fields.count > 0;
    device->app_id = device_member(device, "app");
    device->gateway_id = device_member(device, "gateway");
    device->is_activated = str_eq(device_member(device, "activated"), STR("1"));
    device->created_ms = member_i64(device, "created");
    device->modified_ms = member_i64(device, "modified");
    read_done(read);
}

static struct device_service *service_of(struct read *read, struct str id)
{
    struct device_service **link = &read->device->services;

    while (*link && !str_eq((*link)->id, id))
        link = &(*link)->next;
    if (!*link) {
        *link = arena_zalloc(read->arena, sizeof(**link));
        (*link)->id = id;
    }
    return *link;
}

/* "r/<service>/<property>" -> JSON, "rt/<service>" -> time, "si/<service>" -> JSON */
static void add_shadow_field(struct read *read, struct str field, struct str value)
{
    struct str rest;
    struct str kind = str_split(field, '/', &rest);

    if (str_eq(kind, STR("rt"))) {
        uint64_t time_ms = 0;

        str_to_u64(value, INT64_MAX, &time_ms);
        service_of(read, rest)->time_ms = (int64_t)time_ms;
    } else if (str_eq(kind, STR("si"))) {
        service_of(read, rest)->info = value;
    } else if (str_eq(kind, STR("r")) && rest.p) {
        struct str property;
        struct device_service *service = service_of(read, str_split(rest, '/', &property));

        device_fields_add(read->arena, &service->properties, arena_dup0(read->arena, property),
                          value);
    }
}

static void reported_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct read *read = arg;

    read->has_failed |= status != REDIS_DONE;
    for (size_t i = 0; status == REDIS_DONE && i + 1 < reply->elements; i += 2) {
        struct str field = arena_str(read->arena, redis_reply_str(redis_reply_at(reply, i)));

        add_shadow_field(
            read, field,
            arena_str(read->arena, redis_reply_str(redis_reply_at(reply, i + 1))));
    }
    read_done(read);
}

/* An id that cannot be ours names no device; "-" is one that is never given out. */
static struct str id_or_none(struct str device_id)
{
    return str_is_id(device_id, KEY_ID_MAX) ? device_id : STR("-");
}

void device_read(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                 bool with_services, device_cb cb, void *arg)
{
    struct read *read = arena_zalloc(arena, sizeof(*read));
    struct str id = id_or_none(device_id);
    uint32_t partition = partition_of(core, id);
    struct key key;

    read->arena = arena;
    read->app_id = app_id;
    read->device = arena_zalloc(arena, sizeof(*read->device));
    read->device->id = id;
    read->waiting = with_services ? 2 : 1;
    read->cb = cb;
    read->arg = arg;
    redis_command(core->redis, 2, (struct str[]){STR("HGETALL"), key_device(&key, partition, id)},
                  record_read, read);
    if (with_services)
        redis_command(core->redis, 2,
                      (struct str[]){STR("HGETALL"), key_shadow(&key, partition, id)},
                      reported_read, read);
}

/* ---- modifying ---- */

struct done {
    device_done_cb cb;
    void *arg;
};

static struct done *done_new(device_done_cb cb, void *arg)
{
    struct done *done = xcalloc(1, sizeof(*done));

    done->cb = cb;
    done->arg = arg;
    return done;
}

static void modified(enum redis_status status, const redisReply *reply, void *arg)
{
    struct done *done = arg;
    enum error error = core_error_of(status);

    if (!error && !redis_reply_is(reply, "OK"))
        error = redis_reply_is(reply, "MUTED") ? ERR_DEVICE_AUTH : ERR_DEVICE_NOT_FOUND;
    done->cb(error, done->arg);
    free(done);
}

struct modification {
    struct core *core;
    struct str app_id, device_id;
    struct str mute; /* its new value; STR_NONE: it stays */
    device_done_cb cb;
    void *arg;
};

/* The record is changed: if the index could not be written, its mark is. */
static void modification_indexed(enum error error, void *arg)
{
    struct modification *modification = arg;

    (void)error;
    modification->cb(ERR_OK, modification->arg);
}

/* It may be sent again. */
static void offer_what_waits(const struct modification *modification)
{
    command_due(modification->core, modification->device_id, STR(""), NULL, NULL);
    shadow_timer_due(modification->core, modification->device_id, NULL, NULL);
}

static void record_modified(enum error error, void *arg)
{
    struct modification *modification = arg;

    if (!error && str_eq(modification->mute, STR("TRUE")))
        session_end(modification->core, modification->device_id);
    else if (!error && modification->mute.p)
        offer_what_waits(modification);
    if (error)
        modification->cb(error, modification->arg);
    else
        device_index_update(modification->core, modification->app_id, modification->device_id,
                            true, modification_indexed, modification);
}

static struct str new_mute(const struct device_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (str_eq(fields->list[i].name, STR("mute")))
            return fields->list[i].value;
    }
    return STR_NONE;
}

void device_modify(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                   const struct device_fields *fields, device_done_cb cb, void *arg)
{
    struct str id = id_or_none(device_id);
    uint32_t partition = partition_of(core, id);
    size_t count = 3 + fields->count * 3, n = 3;
    struct str *args = arena_alloc(arena, count * sizeof(*args));
    struct modification *modification = arena_alloc(arena, sizeof(*modification));
    struct key device, events, marks;
    struct decimal now;
    struct str keys[] = {key_device(&device, partition, id), key_events(&events, partition),
                         key_index_marks(&marks, partition)};

    *modification = (struct modification){core, app_id, id, new_mute(fields), cb, arg};
    args[0] = app_id;
    args[1] = id;
    args[2] = decimal_str(&now, clock_now_ms());
    for (size_t i = 0; i < fields->count; i++) {
        args[n++] = fields->list[i].name;
        args[n++] = fields->list[i].value;
        args[n++] = device_is_info(fields->list[i].name) ? STR("1") : STR("0");
    }
    redis_script(core->redis, &script_device_modify, 3, keys, count, args, modified,
                 done_new(record_modified, modification));
}

/* ---- presence ---- */

#define SEEN_LAG_MAX_MS 60000
#define SEEN_LAG_PART 20

int64_t device_seen_lag_ms(const struct core *core)
{
    const struct core_settings *settings = core->settings;
    const int64_t silences_ms[] = {settings->abnormal_after_ms, settings->offline_after_ms,
                                   settings->command_zombie_after_ms};
    int64_t lag_ms = SEEN_LAG_MAX_MS;

    for (size_t i = 0; i < sizeof(silences_ms) / sizeof(silences_ms[0]); i++)
        if (silences_ms[i] > 0 && silences_ms[i] / SEEN_LAG_PART < lag_ms)
            lag_ms = silences_ms[i] / SEEN_LAG_PART;
    return lag_ms;
}

/* 0: it does not matter. */
static int64_t with_lag_ms(const struct core *core, int64_t silence_ms)
{
    return silence_ms > 0 ? silence_ms + device_seen_lag_ms(core) : 0;
}

void device_seen(struct core *core, struct str device_id, device_done_cb cb, void *arg)
{
    const struct core_settings *settings = core->settings;
    struct str id = id_or_none(device_id);
    uint32_t partition = partition_of(core, id);
    int64_t now_ms = clock_now_ms();
    int64_t silence_ms =
        settings->abnormal_after_ms ? settings->abnormal_after_ms : settings->offline_after_ms;
    struct key device, events, timers, marks;
    struct decimal now, due;
    struct str keys[] = {key_device(&device, partition, id), key_events(&events, partition),
                         key_timers(&timers, partition), key_index_marks(&marks, partition)};
    struct str args[3 + DEVICE_INFO_COUNT] = {
        id, decimal_str(&now, now_ms),
        silence_ms ? decimal_str(&due, now_ms + silence_ms) : STR("")};

    for (size_t i = 0; i < DEVICE_INFO_COUNT; i++)
        args[3 + i] = str_of(device_info_names[i]);
    redis_script(core->redis, &script_device_seen, 4, keys, 3 + DEVICE_INFO_COUNT, args, modified,
                 done_new(cb, arg));
}

static void presence_looked_at(enum redis_status status, const redisReply *reply, void *arg)
{
    struct done *done = arg;

    (void)reply;
    done->cb(core_error_of(status), done->arg);
    free(done);
}

void device_presence_due(struct core *core, struct str device_id, struct str fence,
                         device_done_cb cb, void *arg)
{
    struct str id = id_or_none(device_id);
    uint32_t partition = partition_of(core, id);
    struct key device, events, timers, marks, lease;
    struct decimal now, abnormal, offline;
    struct str keys[] = {key_device(&device, partition, id), key_events(&events, partition),
                         key_timers(&timers, partition), key_index_marks(&marks, partition),
                         key_lease(&lease, partition)};
    struct str args[] = {id, decimal_str(&now, clock_now_ms()),
                         decimal_str(&abnormal, with_lag_ms(core, core->settings->abnormal_after_ms)),
                         decimal_str(&offline, with_lag_ms(core, core->settings->offline_after_ms)),
                         fence};

    redis_script(core->redis, &script_device_presence, 5, keys, 5, args, presence_looked_at,
                 done_new(cb, arg));
}

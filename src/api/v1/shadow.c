/* Device shadows (/iocm/app/shadow): what is wanted of a device, beside what it has reported. */
#include "api/v1/device_object.h"
#include "api/v1/history_query.h"

#include "base/clock.h"
#include "core/data/shadow.h"
#include "core/device/group.h"

#define CHANGES_MAX 1000

/* ---- querying ---- */

static void write_reported(struct json_writer *w, const struct device_service *reported)
{
    json_object(w);
    for (size_t i = 0; reported && i < reported->properties.count; i++) {
        json_key_str(w, reported->properties.list[i].name);
        json_raw(w, reported->properties.list[i].value);
    }
    json_object_end(w);
}

static void write_desired(struct json_writer *w, const struct shadow_property *desired)
{
    json_object(w);
    for (; desired; desired = desired->next) {
        json_key_str(w, desired->name);
        json_raw(w, desired->value);
    }
    json_object_end(w);
}

static void write_services(struct json_writer *w, const void *arg)
{
    const struct shadow *shadow = arg;
    char time[CLOCK_COMPACT_SIZE];

    json_array(w);
    for (const struct shadow_service *service = shadow->services; service;
         service = service->next) {
        if (service->reported)
            clock_format_compact(service->reported->time_ms, time);
        json_object(w);
        json_member_str(w, "serviceId", service->id);
        json_member_str(w, "serviceType", service->type);
        json_key(w, "reportedProps");
        write_reported(w, service->reported);
        json_key(w, "desiredProps");
        write_desired(w, service->desired);
        json_member_text(w, "eventTime", service->reported ? time : NULL);
        json_object_end(w);
    }
    json_array_end(w);
}

static void answer_shadow(enum error error, const struct str *group_ids, void *arg)
{
    struct call *call = arg;
    const struct shadow *shadow = call_context(call);
    struct device device;

    if (error) {
        v1_fail(call, error);
        return;
    }
    device = *shadow->device;
    device.group_ids = group_ids[0];
    v1_write_device_with(call_json(call), &device, false,
                         v1_core(call)->settings->has_old_status_set, write_services, shadow);
    call_reply_json(call, 200);
}

static void shadow_found(enum error error, const struct shadow *shadow, void *arg)
{
    struct call *call = arg;
    struct shadow *copy = arena_alloc(call_arena(call), sizeof(*copy));

    if (error) {
        v1_fail(call, error == ERR_DEVICE_NOT_FOUND ? ERR_DATA_NOT_FOUND : error);
        return;
    }
    *copy = *shadow;
    call_set_context(call, copy);
    group_of_devices(v1_core(call), call_arena(call), v1_app_id(call),
                     (struct group_ids){&copy->device->id, 1}, answer_shadow, call);
}

static void query_own(struct call *call)
{
    shadow_read(v1_core(call), call_arena(call), v1_app_id(call),
                call_path_param(call, "deviceId"), shadow_found, call);
}

static void query(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own);
}

/* ---- writing ---- */

struct modify_body {
    const struct json *services;
};

static const struct field modify_fields[] = {
    {"serviceDesireds", FIELD_ARRAY, offsetof(struct modify_body, services), 1, CHANGES_MAX,
     FIELD_REQUIRED, NULL},
    {0},
};

struct change_body {
    struct str service_id;
    const struct json *desired;
};

static const struct field change_fields[] = {
    {"serviceId", FIELD_STRING, offsetof(struct change_body, service_id), 1, 256, FIELD_REQUIRED,
     NULL},
    {"desired", FIELD_OBJECT, offsetof(struct change_body, desired), 0, 0, FIELD_REQUIRED, NULL},
    {0},
};

struct changes {
    struct shadow_change *list;
    size_t count;
};

static bool read_changes(const struct json *services, struct changes *changes)
{
    JSON_FOREACH (service, services) {
        struct change_body body = {0};
        struct shadow_change *change = &changes->list[changes->count++];

        if (fields_read(service, change_fields, &body, NULL) != FIELDS_OK)
            return false;
        *change = (struct shadow_change){body.service_id, body.desired};
        if (!shadow_change_is_valid(change))
            return false;
    }
    return true;
}

static void answer_done(enum error error, void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 200);
}

static void modify_own(struct call *call)
{
    const struct changes *changes = call_context(call);

    shadow_set(v1_core(call), call_arena(call), v1_app_id(call),
               call_path_param(call, "deviceId"), changes->list, changes->count, answer_done,
               call);
}

static void modify(struct call *call)
{
    struct changes *changes = arena_zalloc(call_arena(call), sizeof(*changes));
    struct modify_body body = {0};

    if (!v1_read_body(call, modify_fields, &body, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      ERR_BAD_REQUEST, NULL))
        return;
    changes->list =
        arena_alloc(call_arena(call), body.services->count * sizeof(*changes->list));
    if (!read_changes(body.services, changes)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    call_set_context(call, changes);
    v1_check_app(call, call_query(call, "appId"), modify_own);
}

/* ---- what was written before ---- */

static const struct history_form desired = {HISTORY_DESIRED, 25, 250, "deviceDesiredHistory",
                                            "desired"};

static void query_history(struct call *call)
{
    v1_query_history(call, &desired);
}

const struct route v1_shadow_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/shadow/v1.5.0/devices/{deviceId}", V1_APP, query},
    {EVHTTP_REQ_PUT, "/iocm/app/shadow/v1.5.0/devices/{deviceId}", V1_APP, modify},
    {EVHTTP_REQ_GET, "/iocm/app/shadow/v1.5.0/deviceDesiredHistory", V1_APP, query_history},
    {0},
};

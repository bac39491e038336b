/*
 * Services of a device: which of their commands are muted, and where a device is by what one of
 * them last reported (/iocm/app/dm, /iocm/app/location).
 */
#include "api/v1/v1.h"

#include "base/clock.h"
#include "core/device/device.h"
#include "core/device/service_info.h"
#include <stdlib.h>

/* ---- muted commands ---- */

static void answer_done(enum error error, void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 200);
}

static void set_own(struct call *call)
{
    service_info_set(v1_core(call), call_arena(call), v1_app_id(call),
                     call_path_param(call, "deviceId"), call_path_param(call, "serviceId"),
                     call_context(call), answer_done, call);
}

/* The body is {"serviceInfo":{"muteCmds":[...]}}, or what stands in it. */
static void set_service_info(struct call *call)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    const struct json *info = json_get(body, "serviceInfo");
    const struct json *mute_commands = json_get(info ? info : body, "muteCmds");

    if (!mute_commands) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    if (!service_id_is_valid(call_path_param(call, "serviceId")) ||
        !service_mute_commands_are_valid(v1_core(call), mute_commands)) {
        v1_fail(call, ERR_DEVICE_PARAMETER);
        return;
    }
    call_set_context(call, (void *)mute_commands);
    v1_check_app(call, STR_NONE, set_own);
}

/* ---- position ---- */

/* The names and their meaning are those of the Mobile Location Protocol, from which they come: X is
 * the latitude, Y the longitude, both in degrees of WGS 84; the radius is in metres. */
#define REFERENCE_SYSTEM        "EPSG:4326"
#define POSITION_METHOD_FAILURE "6"

struct location_body {
    struct str device_id, identifier;
    int64_t accuracy;
    const struct json *reference;
};

static const struct field location_fields[] = {
    {"deviceId", FIELD_STRING, offsetof(struct location_body, device_id), 1, 256, FIELD_REQUIRED,
     NULL},
    {"horAcc", FIELD_INT, offsetof(struct location_body, accuracy), 0, INT32_MAX, 0, NULL},
    {"geoInfo", FIELD_OBJECT, offsetof(struct location_body, reference), 0, 0, 0, NULL},
    {0},
};

static const struct field reference_fields[] = {
    {"identifier", FIELD_STRING, offsetof(struct location_body, identifier), 0, 256, 0, NULL},
    {0},
};

struct position {
    struct str latitude, longitude, radius; /* numbers as JSON; radius STR_NONE: not known */
    int64_t time_ms;
};

/* A number within its bounds, or a text that is one; STR_NONE otherwise. */
static struct str number_of(struct arena *arena, const struct device_service *service,
                            const char *name, double min, double max)
{
    for (size_t i = 0; i < service->properties.count; i++) {
        const struct device_field *property = &service->properties.list[i];
        const struct json *value;
        double number;

        if (!str_eq(property->name, str_of(name)))
            continue;
        value = json_parse(arena, property->value, NULL);
        if (value && value->type == JSON_STRING)
            value = json_parse(arena, value->text, NULL);
        if (!value || value->type != JSON_NUMBER)
            return STR_NONE;
        number = strtod(arena_dup0(arena, value->text), NULL);
        return number >= min && number <= max ? value->text : STR_NONE;
    }
    return STR_NONE;
}

static bool find_position(struct call *call, const struct device *device, struct position *position)
{
    struct str wanted = str_of(v1_core(call)->settings->location_service);
    const struct device_service *service = device->services;

    while (service && !str_eq(service->id, wanted))
        service = service->next;
    if (!service)
        return false;
    position->latitude = number_of(call_arena(call), service, "latitude", -90, 90);
    position->longitude = number_of(call_arena(call), service, "longitude", -180, 180);
    position->radius = number_of(call_arena(call), service, "radius", 0, 1e9);
    position->time_ms = service->time_ms;
    return position->latitude.p && position->longitude.p;
}

static void write_position(struct json_writer *w, const struct position *position)
{
    char time[CLOCK_COMPACT_SIZE];

    clock_format_compact(position->time_ms, time);
    json_key(w, "pd");
    json_object(w);
    json_member_text(w, "time", time);
    json_member_text(w, "utcOff", "+0000");
    json_member_text(w, "srsName", REFERENCE_SYSTEM);
    json_member_raw(w, "X", position->latitude);
    json_member_raw(w, "Y", position->longitude);
    json_member_raw(w, "radius", position->radius);
    json_object_end(w);
    json_member_null(w, "poserr");
}

static void write_no_position(struct json_writer *w)
{
    char time[CLOCK_COMPACT_SIZE];

    clock_format_compact(clock_now_ms(), time);
    json_member_null(w, "pd");
    json_key(w, "poserr");
    json_object(w);
    json_member_text(w, "time", time);
    json_member_text(w, "resid", POSITION_METHOD_FAILURE);
    json_member_text(w, "add_info", "The device has not reported a position.");
    json_object_end(w);
}

static void answer_location(enum error error, const struct device *device, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    struct position position;

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "deviceId", device->id);
    if (find_position(call, device, &position))
        write_position(w, &position);
    else
        write_no_position(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void query_own_location(struct call *call)
{
    const struct location_body *body = call_context(call);

    device_read(v1_core(call), call_arena(call), v1_app_id(call), body->device_id, true,
                answer_location, call);
}

/* horAcc and geoInfo are for platforms that can ask the network: here they are checked only. */
static void query_location(struct call *call)
{
    struct location_body *body = arena_zalloc(call_arena(call), sizeof(*body));

    if (!v1_read_body(call, location_fields, body, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      ERR_BAD_REQUEST, NULL))
        return;
    if (body->reference && fields_read(body->reference, reference_fields, body, NULL)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    call_set_context(call, body);
    v1_check_app(call, STR_NONE, query_own_location);
}

const struct route v1_service_routes[] = {
    {EVHTTP_REQ_PUT, "/iocm/app/dm/v1.1.0/devices/{deviceId}/services/{serviceId}", V1_APP,
     set_service_info},
    {EVHTTP_REQ_POST, "/iocm/app/location/v1.1.0/queryDeviceRealtimeLocation", V1_APP,
     query_location},
    {0},
};

#include "api/v1/device_object.h"

#include "base/clock.h"

/* DeviceInfo of the query object: the order and the members differ from notifications. */
static const char *const query_info_members[] = {
    "nodeId",     "name",       "description", "manufacturerId", "manufacturerName",
    "mac",        "location",   "deviceType",  "model",          "swVersion",
    "fwVersion",  "hwVersion",  "imsi",        "protocolType",   "radiusIp",
    "bridgeId",   "status",     "statusDetail", "mute",          "supportedSecurity",
    "isSecurity", "signalStrength", "sigVersion", "serialNumber", "batteryLevel",
    "isHD",       NULL,
};

static void write_info(struct json_writer *w, const struct device *device, bool with_imsi,
                       bool has_old_status_set)
{
    json_key(w, "deviceInfo");
    json_object(w);
    for (size_t i = 0; query_info_members[i]; i++) {
        const char *name = query_info_members[i];
        struct str value = device_member(device, name);

        if (!with_imsi && strcmp(name, "imsi") == 0)
            value = STR_NONE;
        if (has_old_status_set && strcmp(name, "status") == 0 && str_eq(value, STR("INACTIVE")))
            value = STR("OFFLINE");
        json_member_str(w, name, value);
    }
    json_object_end(w);
}

static void write_services(struct json_writer *w, const void *arg)
{
    const struct device *device = arg;
    char time[CLOCK_COMPACT_SIZE];

    json_array(w);
    for (const struct device_service *service = device->services; service;
         service = service->next) {
        json_object(w);
        json_member_str(w, "serviceId", service->id);
        json_member_str(w, "serviceType", service->type.p ? service->type : service->id);
        json_member_raw(w, "serviceInfo", service->info);
        json_key(w, "data");
        json_object(w);
        for (size_t i = 0; i < service->properties.count; i++) {
            json_key_str(w, service->properties.list[i].name);
            json_raw(w, service->properties.list[i].value);
        }
        json_object_end(w);
        clock_format_compact(service->time_ms, time);
        json_member_text(w, "eventTime", service->time_ms ? time : NULL);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_group_ids(struct json_writer *w, struct str ids)
{
    json_key(w, "devGroupIds");
    json_array(w);
    while (ids.len)
        json_str(w, str_split(ids, ' ', &ids));
    json_array_end(w);
}

void v1_write_device(struct json_writer *w, const struct device *device, bool with_imsi,
                     bool has_old_status_set)
{
    v1_write_device_with(w, device, with_imsi, has_old_status_set, write_services, device);
}

void v1_write_device_with(struct json_writer *w, const struct device *device, bool with_imsi,
                          bool has_old_status_set, v1_services_writer services, const void *arg)
{
    char created[CLOCK_COMPACT_SIZE], modified[CLOCK_COMPACT_SIZE];

    clock_format_compact(device->created_ms, created);
    clock_format_compact(device->modified_ms, modified);
    json_object(w);
    json_member_str(w, "deviceId", device->id);
    json_member_str(w, "gatewayId", device->gateway_id);
    json_member_text(w, "nodeType",
                     str_eq(device->id, device->gateway_id) ? "GATEWAY" : "ENDPOINT");
    json_member_text(w, "createTime", created);
    json_member_text(w, "lastModifiedTime", modified);
    write_info(w, device, with_imsi, has_old_status_set);
    json_key(w, "services");
    services(w, arg);
    json_key(w, "connectionInfo");
    json_object(w);
    json_member_null(w, "protocolType");
    json_object_end(w);
    write_group_ids(w, device->group_ids);
    json_member_null(w, "alarmInfo");
    json_object_end(w);
}

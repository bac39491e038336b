/*
 * Notifications of the v1 application API. Receivers of the vendor's SDKs search the raw text for
 * "notifyType":"..." without blanks, so the text is compact, and notifyType comes first; members that
 * are not known are written as null.
 */
#include "push/render_v1.h"

#include "base/clock.h"
#include "core/device/device.h"

static size_t one(const struct rendering *rendering)
{
    (void)rendering;
    return 1;
}

static void head(const struct rendering *r, struct json_writer *w, const char *type)
{
    json_object(w);
    json_member_text(w, "notifyType", type);
    json_member_str(w, "deviceId", r->facts->device_id);
}

static void gateway(const struct rendering *r, struct json_writer *w)
{
    json_member_str(w, "gatewayId", r->facts->gateway_id);
}

static struct str info_member(const struct rendering *r, const struct json *info, const char *name)
{
    struct str value = json_get_str(info, name);

    if (r->has_old_status_set && strcmp(name, "status") == 0 && str_eq(value, STR("INACTIVE")))
        return STR("OFFLINE");
    return value;
}

static void device_info(const struct rendering *r, struct json_writer *w, struct str node_id)
{
    const struct json *info = json_get(r->payload, "info");

    json_key(w, "deviceInfo");
    json_object(w);
    for (size_t i = 0; device_info_names[i]; i++) {
        struct str value = info_member(r, info, device_info_names[i]);

        if (i == 0 && !value.p)
            value = node_id; /* nodeId is the first member */
        json_member_str(w, device_info_names[i], value);
    }
    json_object_end(w);
}

static void device_added(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    head(r, w, "deviceAdded");
    gateway(r, w);
    json_member_text(w, "nodeType",
                     str_eq(r->facts->device_id, r->facts->gateway_id) ? "GATEWAY" : "ENDPOINT");
    device_info(r, w, STR_NONE);
    json_object_end(w);
}

static void bind_device(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    head(r, w, "bindDevice");
    json_member_str(w, "resultCode", json_get_str(r->payload, "result"));
    if (json_get(r->payload, "info"))
        device_info(r, w, STR_NONE);
    else
        json_member_null(w, "deviceInfo");
    json_object_end(w);
}

static void device_info_changed(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    head(r, w, "deviceInfoChanged");
    gateway(r, w);
    json_member_null(w, "networkStatus");
    device_info(r, w, r->sends_node_id ? json_get_str(r->payload, "nodeId") : STR_NONE);
    json_object_end(w);
}

static void device_deleted(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    head(r, w, "deviceDeleted");
    gateway(r, w);
    json_object_end(w);
}

static size_t services(const struct rendering *r)
{
    return json_get(r->payload, "services") ? json_get(r->payload, "services")->count : 0;
}

static void service(const struct json *reported, struct json_writer *w)
{
    char time[CLOCK_COMPACT_SIZE];
    const struct json *data = json_get(reported, "data");
    struct str type = json_get_str(reported, "type");
    int64_t time_ms = 0;

    json_get_i64(reported, "time", &time_ms);
    clock_format_compact(time_ms, time);
    json_object(w);
    json_member_str(w, "serviceId", json_get_str(reported, "id"));
    json_member_str(w, "serviceType", type.p ? type : json_get_str(reported, "id"));
    json_member_raw(w, "data", data ? data->text : STR("{}"));
    json_member_text(w, "eventTime", time);
    json_object_end(w);
}

/* Null unless the device has named its report. */
static void request_id(const struct rendering *r, struct json_writer *w)
{
    struct str id = json_get_str(r->payload, "requestId");

    if (id.p)
        json_member_str(w, "requestId", id);
    else
        json_member_null(w, "requestId");
}

static void device_data_changed(const struct rendering *r, size_t part, struct json_writer *w)
{
    const struct json *reported = json_get(r->payload, "services")->first;

    while (part-- > 0)
        reported = reported->next;
    head(r, w, "deviceDataChanged");
    gateway(r, w);
    request_id(r, w);
    json_key(w, "service");
    service(reported, w);
    json_object_end(w);
}

/* Here requestId stands before deviceId. */
static void device_datas_changed(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    json_object(w);
    json_member_text(w, "notifyType", "deviceDatasChanged");
    request_id(r, w);
    json_member_str(w, "deviceId", r->facts->device_id);
    gateway(r, w);
    json_key(w, "services");
    json_array(w);
    JSON_FOREACH (reported, json_get(r->payload, "services"))
        service(reported, w);
    json_array_end(w);
    json_object_end(w);
}

/* Five types, one body. */
static void model(const struct rendering *r, struct json_writer *w, const char *type)
{
    static const char *const members[] = {"deviceType", "manufacturerName", "manufacturerId",
                                          "model", "protocolType"};

    json_object(w);
    json_member_text(w, "notifyType", type);
    json_member_str(w, "appId", r->facts->app_id);
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
        json_member_str(w, members[i], json_get_str(r->payload, members[i]));
    json_object_end(w);
}

static void capabilities_added(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    model(r, w, "deviceCapabilitiesAdded");
}

static void capabilities_changed(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    model(r, w, "deviceCapabilitiesChanged");
}

static void capabilities_deleted(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    model(r, w, "deviceCapabilitiesDeleted");
}

static void model_added(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    model(r, w, "deviceModelAdded");
}

static void model_deleted(const struct rendering *r, size_t part, struct json_writer *w)
{
    (void)part;
    model(r, w, "deviceModelDeleted");
}

static void service_info_changed(const struct rendering *r, size_t part, struct json_writer *w)
{
    const struct json *info = json_get(r->payload, "info");
    struct str id = json_get_str(r->payload, "id"), type = json_get_str(r->payload, "type");

    (void)part;
    head(r, w, "serviceInfoChanged");
    gateway(r, w);
    json_member_str(w, "serviceId", id);
    json_member_str(w, "serviceType", type.p ? type : id);
    json_member_raw(w, "serviceInfo", info ? info->text : STR("null"));
    json_object_end(w);
}

static void desired_status(const struct rendering *r, size_t part, struct json_writer *w)
{
    const struct json *properties = json_get(r->payload, "properties");

    (void)part;
    head(r, w, "deviceDesiredPropertiesModifyStatusChanged");
    json_member_str(w, "serviceId", json_get_str(r->payload, "service"));
    json_member_raw(w, "properties", properties ? properties->text : STR("{}"));
    json_member_str(w, "status", json_get_str(r->payload, "status"));
    json_object_end(w);
}

const struct notification_type notification_types[] = {
    {EVENT_DEVICE_CREATED, "deviceAdded", one, device_added},
    {EVENT_DEVICE_BOUND, "bindDevice", one, bind_device},
    {EVENT_DEVICE_UPDATED, "deviceInfoChanged", one, device_info_changed},
    {EVENT_DEVICE_STATUS, "deviceInfoChanged", one, device_info_changed},
    {EVENT_DEVICE_DELETED, "deviceDeleted", one, device_deleted},
    {EVENT_PROPERTY_REPORTED, "deviceDataChanged", services, device_data_changed},
    {EVENT_PROPERTY_REPORTED, "deviceDatasChanged", one, device_datas_changed},
    {EVENT_MODEL_ADDED, "deviceCapabilitiesAdded", one, capabilities_added},
    {EVENT_MODEL_ADDED, "deviceModelAdded", one, model_added},
    {EVENT_MODEL_UPDATED, "deviceCapabilitiesChanged", one, capabilities_changed},
    {EVENT_MODEL_DELETED, "deviceCapabilitiesDeleted", one, capabilities_deleted},
    {EVENT_MODEL_DELETED, "deviceModelDeleted", one, model_deleted},
    {EVENT_SERVICE_INFO, "serviceInfoChanged", one, service_info_changed},
    {EVENT_DESIRED_STATUS, "deviceDesiredPropertiesModifyStatusChanged", one, desired_status},
    {EVENT_COMMAND_STATUS, "messageConfirm", render_v1_confirmations, render_v1_message_confirm},
    {EVENT_COMMAND_STATUS, "commandRsp", render_v1_answers, render_v1_command_rsp},
    {0},
};

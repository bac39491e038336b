/* Devices: query one, modify, delete (/iocm/app/dm). */
#include "api/v1/v1.h"

#include "api/v1/device_object.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "core/device/group.h"
#include "core/device/service_types.h"
#include "core/model/product.h"

/* ---- querying ---- */

static void answer_device(enum error error, const struct str *group_ids, void *arg)
{
    struct call *call = arg;
    struct device *device = call_context(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    device->group_ids = group_ids[0];
    v1_write_device(call_json(call), device, call_query(call, "select").len > 0,
                    v1_core(call)->settings->has_old_status_set);
    call_reply_json(call, 200);
}

static void services_named(enum error error, void *arg)
{
    struct call *call = arg;
    struct device *device = call_context(call);

    if (error)
        v1_fail(call, error);
    else
        group_of_devices(v1_core(call), call_arena(call), v1_app_id(call),
                         (struct group_ids){&device->id, 1}, answer_device, call);
}

static void device_found(enum error error, const struct device *found, void *arg)
{
    struct call *call = arg;
    const struct device **list;
    struct device *device;

    if (error) {
        v1_fail(call, error);
        return;
    }
    device = arena_alloc(call_arena(call), sizeof(*device));
    list = arena_alloc(call_arena(call), sizeof(*list));
    *device = *found;
    *list = device;
    call_set_context(call, device);
    service_types_find(v1_core(call), call_arena(call), list, 1, services_named, call);
}

static void query_own(struct call *call)
{
    device_read(v1_core(call), call_arena(call), v1_app_id(call),
                call_path_param(call, "deviceId"), true, device_found, call);
}

static void query_one(struct call *call)
{
    struct str select = call_query(call, "select");

    if (select.len && !str_eq_nocase(select, STR("imsi")))
        v1_fail(call, ERR_QUERY_PARAMETER);
    else
        v1_check_app(call, call_query(call, "appId"), query_own);
}

/* ---- modifying ---- */

struct modify_body {
    struct str name, end_user, organization, region, timezone, location, product_id;
    struct str manufacturer_id, manufacturer_name, model, device_type, protocol_type;
    struct str mute, imsi, ip, psk;
    const struct json *is_secure, *config, *custom_fields, *tags;
};

#define TEXT(member_, to, min_, max_, alias_)                                                      \
    {member_, FIELD_STRING, offsetof(struct modify_body, to), min_, max_, 0, alias_}

static const struct field modify_fields[] = {
    TEXT("name", name, 1, 256, NULL),
    TEXT("endUser", end_user, 1, 256, "endUserId"),
    TEXT("organization", organization, 1, 256, NULL),
    TEXT("region", region, 1, 256, NULL),
    TEXT("timezone", timezone, 1, 256, NULL),
    TEXT("location", location, 1, 1024, NULL),
    TEXT("productId", product_id, 0, 256, NULL),
    TEXT("manufacturerId", manufacturer_id, 1, 256, NULL),
    TEXT("manufacturerName", manufacturer_name, 1, 256, NULL),
    TEXT("model", model, 1, 256, NULL),
    TEXT("deviceType", device_type, 1, 256, NULL),
    TEXT("protocolType", protocol_type, 1, 256, NULL),
    TEXT("mute", mute, 1, 8, NULL),
    TEXT("imsi", imsi, 1, 64, NULL),
    TEXT("ip", ip, 0, 128, NULL),
    TEXT("psk", psk, 8, 32, NULL),
    {"isSecure", FIELD_ANY, offsetof(struct modify_body, is_secure), 0, 0, 0, NULL},
    {"deviceConfig", FIELD_OBJECT, offsetof(struct modify_body, config), 0, 0, 0, NULL},
    {"customFields", FIELD_ARRAY, offsetof(struct modify_body, custom_fields), 0, 1000, 0, NULL},
    {"tags", FIELD_ARRAY, offsetof(struct modify_body, tags), 0, 1000, 0, NULL},
    {0},
};

static bool is_text_within(struct str text, size_t max)
{
    return text.len >= 1 && str_characters(text) <= max;
}

static bool tags_are_valid(const struct json *tags)
{
    JSON_FOREACH (tag, tags) {
        const struct json *type = json_get(tag, "tagType");
        int64_t number;

        if (!is_text_within(json_get_str(tag, "tagName"), 128) ||
            !is_text_within(json_get_str(tag, "tagValue"), 1024) ||
            (type && type->type != JSON_NULL && !json_to_i64(type, &number)))
            return false;
    }
    return true;
}

static bool custom_fields_are_valid(const struct json *fields)
{
    JSON_FOREACH (field, fields) {
        if (field->type != JSON_OBJECT || !json_get_str(field, "fieldName").p)
            return false;
    }
    return true;
}

static bool config_is_valid(const struct json *config)
{
    const struct json *data = json_get(config, "dataConfig");
    const struct json *aging = json_get(data, "dataAgingTime");
    int64_t days;

    if (!config || !data || data->type == JSON_NULL)
        return true;
    return data->type == JSON_OBJECT &&
           (!aging || (json_to_i64(aging, &days) && days >= 0 && days <= 90));
}

static enum error check_modify(const struct modify_body *body)
{
    if (body->is_secure && body->is_secure->type != JSON_BOOL)
        return ERR_IS_SECURE;
    if (body->mute.p && !str_eq_nocase(body->mute, STR("TRUE")) &&
        !str_eq_nocase(body->mute, STR("FALSE")))
        return ERR_DEVICE_PARAMETER;
    if ((body->psk.p && !crypto_is_hex(body->psk)) || !tags_are_valid(body->tags) ||
        !custom_fields_are_valid(body->custom_fields) || !config_is_valid(body->config))
        return ERR_DEVICE_PARAMETER;
    return ERR_OK;
}

/* As a field of its own, for the script that keeps reports. */
static void take_aging_time(struct arena *arena, struct device_fields *fields,
                            const struct json *config)
{
    const struct json *data = json_get(config, "dataConfig");
    struct decimal *text = arena_alloc(arena, sizeof(*text));
    int64_t days;

    if (json_get_i64(data, "dataAgingTime", &days))
        device_fields_add(arena, fields, "dataAging", decimal_str(text, days));
    else if (config)
        device_fields_add(arena, fields, "dataAging", STR(""));
}

static void take_changes(struct arena *arena, struct device_fields *fields,
                         const struct modify_body *body)
{
    const struct {
        const char *name;
        struct str value;
    } texts[] = {
        {"name", body->name},
        {"endUserId", body->end_user},
        {"organization", body->organization},
        {"region", body->region},
        {"timezone", body->timezone},
        {"location", body->location},
        {"productId", body->product_id},
        {"manufacturerId", body->manufacturer_id},
        {"manufacturerName", body->manufacturer_name},
        {"model", body->model},
        {"deviceType", body->device_type},
        {"protocolType", body->protocol_type},
        {"imsi", body->imsi},
        {"ip", body->ip},
        {"psk", body->psk},
        {"deviceConfig", body->config ? body->config->text : STR_NONE},
        {"customFields", body->custom_fields ? body->custom_fields->text : STR_NONE},
        {"tags", body->tags ? body->tags->text : STR_NONE},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        device_fields_add(arena, fields, texts[i].name, texts[i].value);
    if (body->mute.p)
        device_fields_add(arena, fields, "mute",
                          str_eq_nocase(body->mute, STR("TRUE")) ? STR("TRUE") : STR("FALSE"));
    take_aging_time(arena, fields, body->config);
    if (body->is_secure)
        device_fields_add(arena, fields, "isSecurity",
                          body->is_secure->boolean ? STR("TRUE") : STR("FALSE"));
}

static void answer_done(enum error error, void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 204);
}

static void modify_own(struct call *call)
{
    product_modify(v1_core(call), call_arena(call), v1_app_id(call),
                  call_path_param(call, "deviceId"), call_context(call), answer_done, call);
}

static void modify(struct call *call)
{
    struct device_fields *fields = arena_zalloc(call_arena(call), sizeof(*fields));
    struct modify_body body = {0};
    enum error error;

    if (!v1_read_body(call, modify_fields, &body, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      ERR_DEVICE_PARAMETER, NULL))
        return;
    error = check_modify(&body);
    if (error) {
        v1_fail(call, error);
        return;
    }
    take_changes(call_arena(call), fields, &body);
    call_set_context(call, fields);
    v1_check_app(call, call_query(call, "appId"), modify_own);
}

/* ---- deleting ---- */

static void delete_own(struct call *call)
{
    bool cascade = !str_eq_nocase(call_query(call, "cascade"), STR("false"));

    device_delete(v1_core(call), call_arena(call), v1_app_id(call),
                  call_path_param(call, "deviceId"), cascade, answer_done, call);
}

static void delete_device(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), delete_own);
}

const struct route v1_device_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.4.0/devices/{deviceId}", V1_APP, query_one},
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.1.0/devices/{deviceId}", V1_APP, query_one},
    {EVHTTP_REQ_PUT, "/iocm/app/dm/v1.4.0/devices/{deviceId}", V1_APP, modify},
    {EVHTTP_REQ_PUT, "/iocm/app/dm/v1.2.0/devices/{deviceId}", V1_APP, modify},
    {EVHTTP_REQ_PUT, "/iocm/app/dm/v1.1.0/devices/{deviceId}", V1_APP, modify},
    {EVHTTP_REQ_DELETE, "/iocm/app/dm/v1.4.0/devices/{deviceId}", V1_APP, delete_device},
    {EVHTTP_REQ_DELETE, "/iocm/app/dm/v1.1.0/devices/{deviceId}", V1_APP, delete_device},
    {0},
};

#include "core/device/members.h"

/* Members of DeviceInfo that a registration may bring along. nodeId and status are not among them. */
static const char *const info_members[] = {
    "name",       "description", "manufacturerId",    "manufacturerName", "mac",
    "location",   "deviceType",  "model",             "swVersion",        "fwVersion",
    "hwVersion",  "protocolType", "radiusIp",          "bridgeId",        "supportedSecurity",
    "isSecurity", "signalStrength", "sigVersion",      "serialNumber",    "batteryLevel",
    NULL,
};

/* Other members that are kept as texts. */
static const char *const text_members[] = {"endUserId", "imsi",     "productId", "organization",
                                           "region",    "timezone", "groupId",   "account",
                                           NULL};

static size_t text_limit(const char *name)
{
    if (strcmp(name, "description") == 0 || strcmp(name, "location") == 0)
        return 2048;
    return strcmp(name, "imsi") == 0 ? 64 : DEVICE_TEXT_MAX;
}

/* false: there, but not a text within its limit */
static bool take_text(struct arena *arena, struct device_fields *fields, const struct json *object,
                      const char *member, const char *field)
{
    const struct json *value = json_get(object, member);

    if (!value || value->type == JSON_NULL)
        return true;
    if (value->type != JSON_STRING || str_characters(value->text) > text_limit(member))
        return false;
    device_fields_add(arena, fields, field, value->text);
    return true;
}

static bool take_array(struct arena *arena, struct device_fields *fields, const struct json *object,
                       const char *member)
{
    const struct json *value = json_get(object, member);

    if (!value || value->type == JSON_NULL)
        return true;
    if (value->type != JSON_ARRAY)
        return false;
    device_fields_add(arena, fields, member, value->text);
    return true;
}

const char *device_members_read(struct arena *arena, struct device_fields *fields,
                                const struct json *info, const struct json *body)
{
    for (size_t i = 0; info_members[i]; i++) {
        if (!take_text(arena, fields, info, info_members[i], info_members[i]))
            return info_members[i];
    }
    for (size_t i = 0; text_members[i]; i++) {
        if (!take_text(arena, fields, body, text_members[i], text_members[i]))
            return text_members[i];
    }
    if (!json_get(info, "location") && !take_text(arena, fields, body, "location", "location"))
        return "location";
    if (!json_get(info, "name") && !take_text(arena, fields, body, "deviceName", "name"))
        return "deviceName";
    if (!take_array(arena, fields, body, "customFields"))
        return "customFields";
    return take_array(arena, fields, body, "tags") ? NULL : "tags";
}

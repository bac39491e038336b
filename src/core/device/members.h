/*
 * What a registration may say of a device besides its credentials: members of DeviceInfo, and others
 * that are kept. Read out of JSON, for all who register devices.
 */
#ifndef CORE_DEVICE_MEMBERS_H
#define CORE_DEVICE_MEMBERS_H

#include "base/json.h"
#include "core/device/device.h"

#define DEVICE_TEXT_MAX 256 /* characters of most members */

/* info: the object with members of DeviceInfo; body: the one with the others. They may be the same, or
 * NULL. Returns NULL, or the name of a member that has another type, or is too long. */
const char *device_members_read(struct arena *arena, struct device_fields *fields,
                                const struct json *info, const struct json *body);

#endif

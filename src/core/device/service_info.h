/*
 * What an application has set for a service of a device: which of its commands are muted. It is
 * kept with the last reported values, and a change of it is an event.
 */
#ifndef CORE_DEVICE_SERVICE_INFO_H
#define CORE_DEVICE_SERVICE_INFO_H

#include "base/arena.h"
#include "base/json.h"
#include "core/core.h"

/* Is it an id that a service can have? */
bool service_id_is_valid(struct str service_id);

/* mute_commands: an array of texts of 1 to 256 characters, no more than the setting allows. */
bool service_mute_commands_are_valid(const struct core *core, const struct json *mute_commands);

typedef void (*service_info_cb)(enum error error, void *arg);

/* ERR_DEVICE_NOT_FOUND; ERR_BAD_REQUEST: as much is kept of the device as may be
 * (device.shadow_properties). The arena lives until the callback. */
void service_info_set(struct core *core, struct arena *arena, struct str app_id,
                      struct str device_id, struct str service_id, const struct json *mute_commands,
                      service_info_cb cb, void *arg);

#endif

/* The service types of devices' services: what their product models say. */
#ifndef CORE_DEVICE_SERVICE_TYPES_H
#define CORE_DEVICE_SERVICE_TYPES_H

#include "core/device/device.h"

/* Fills in the type of each service of these devices, where their models have another one than its id.
 * The arena lives until the callback. */
void service_types_find(struct core *core, struct arena *arena, const struct device *const *devices,
                        size_t count, device_done_cb cb, void *arg);

#endif

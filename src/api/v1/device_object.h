/* The Device object that queries of one and of many devices answer with. */
#ifndef API_V1_DEVICE_OBJECT_H
#define API_V1_DEVICE_OBJECT_H

#include "base/json.h"
#include "core/device/device.h"

/* One object, with the groups that stand in device->group_ids. The imsi is shown when it was selected; has_old_status_set: INACTIVE is shown as
 * OFFLINE. */
void v1_write_device(struct json_writer *w, const struct device *device, bool with_imsi,
                     bool has_old_status_set);

/* The same with other services: an array is written by the function. */
typedef void (*v1_services_writer)(struct json_writer *w, const void *arg);
void v1_write_device_with(struct json_writer *w, const struct device *device, bool with_imsi,
                          bool has_old_status_set, v1_services_writer services, const void *arg);

#endif

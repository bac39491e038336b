/* Administration of devices. */
#ifndef ADMIN_DEVICES_H
#define ADMIN_DEVICES_H

#include "admin/admin.h"

extern const struct route admin_device_routes[], admin_device_import_routes[];

#endif

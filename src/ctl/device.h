/* Devices: what their commands share. */
#ifndef CTL_DEVICE_H
#define CTL_DEVICE_H

#include "ctl/ctl.h"

enum ctl_exit ctl_import_devices(struct ctl *ctl, char **arguments);

#endif

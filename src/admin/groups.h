/* Groups of devices, for the administrator. */
#ifndef ADMIN_GROUPS_H
#define ADMIN_GROUPS_H

#include "admin/admin.h"

extern const struct route admin_group_routes[];

#endif

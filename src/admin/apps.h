/* Administration of applications. */
#ifndef ADMIN_APPS_H
#define ADMIN_APPS_H

#include "admin/admin.h"

extern const struct route admin_app_routes[];

#endif

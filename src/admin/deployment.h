/* Administration of the deployment: who is alive, who owns what. */
#ifndef ADMIN_DEPLOYMENT_H
#define ADMIN_DEPLOYMENT_H

#include "admin/admin.h"

extern const struct route admin_deployment_routes[];

#endif

/* Administration of deliveries and of the deployment: who owns what, which callbacks fail, the switch
 * that holds deliveries back. */
#ifndef ADMIN_DELIVERY_H
#define ADMIN_DELIVERY_H

#include "admin/admin.h"

extern const struct route admin_delivery_routes[];

#endif

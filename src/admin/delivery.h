/* Administration of deliveries: which callback URLs fail, what is parked, the switches that hold
 * deliveries back, and what was dropped. */
#ifndef ADMIN_DELIVERY_H
#define ADMIN_DELIVERY_H

#include "admin/admin.h"

extern const struct route admin_delivery_routes[];
extern const struct route admin_deadletter_routes[];

#endif

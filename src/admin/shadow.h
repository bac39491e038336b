/* What is wanted of a device, beside what it has reported. */
#ifndef ADMIN_SHADOW_H
#define ADMIN_SHADOW_H

#include "net/call.h"

extern const struct route admin_shadow_routes[];

#endif

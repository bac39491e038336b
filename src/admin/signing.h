/* Administration of signing keys. */
#ifndef ADMIN_SIGNING_H
#define ADMIN_SIGNING_H

#include "admin/admin.h"

extern const struct route admin_signing_routes[];

#endif

/* Administration of certificates: by which callbacks are checked, and our own that they see. */
#ifndef ADMIN_CERTIFICATES_H
#define ADMIN_CERTIFICATES_H

#include "admin/admin.h"

extern const struct route admin_certificate_routes[];

#endif

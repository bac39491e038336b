/* Administration of product models. */
#ifndef ADMIN_MODELS_H
#define ADMIN_MODELS_H

#include "admin/admin.h"

extern const struct route admin_model_routes[];

#endif

/* Administration of applications, and what the admin API's files share. */
#ifndef ADMIN_APPS_H
#define ADMIN_APPS_H

#include "admin/admin.h"

extern const struct route admin_app_routes[];

struct admin_context *admin_context_of(const struct call *call);
void admin_fail(struct call *call, int status, const char *text);
void admin_fail_error(struct call *call, enum error error);

#endif

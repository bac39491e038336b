/* Commands for devices, for the administrator. */
#ifndef ADMIN_COMMANDS_H
#define ADMIN_COMMANDS_H

#include "admin/admin.h"

extern const struct route admin_command_routes[];

#endif

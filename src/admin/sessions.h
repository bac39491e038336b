/* Devices that are connected to this instance. */
#ifndef ADMIN_SESSIONS_H
#define ADMIN_SESSIONS_H

#include "net/http_routes.h"

extern const struct route admin_session_routes[];

#endif

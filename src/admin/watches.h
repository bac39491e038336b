/* Watches: the events of one device as they are stored. */
#ifndef ADMIN_WATCHES_H
#define ADMIN_WATCHES_H

#include "admin/admin.h"

extern const struct route admin_watch_routes[];

#endif

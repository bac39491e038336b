/*
 * The name of this instance among those of the deployment. It should survive a restart: then the
 * leases of its earlier life are its own at once, and need not run out first. So it is kept in the
 * data directory, with a lock, as two processes must not have one name.
 */
#ifndef INSTANCE_H
#define INSTANCE_H

#include "settings.h"

/* The setting instance.id; else the name kept in data_dir; else a new one, of the host's name and a
 * random part, which is kept there if that is possible. free() it. */
char *instance_id(const struct settings *settings, const char *data_dir);

#endif

/*
 * Certificates that end: looks at the listeners', the platform's and those that applications
 * uploaded, every certificate.check_interval; warns in the log of what ends within
 * certificate.warn_before; and says in the metrics how long the soonest of each use has still.
 */
#ifndef EXPIRY_H
#define EXPIRY_H

#include "core/core.h"
#include "listeners.h"

struct expiry;
struct push;

/* The settings of core are read again at each look. */
struct expiry *expiry_new(struct core *core);
/* Redis can be used: a first look at once, when there was none. What is looked at outlives
 * `expiry`. */
void expiry_start(struct expiry *expiry, const struct listeners *listeners,
                  const struct push *push);
void expiry_look(struct expiry *expiry); /* now, as after a reload */
void expiry_refresh_metrics(const struct expiry *expiry);
void expiry_free(struct expiry *expiry); /* after core's Redis; NULL is allowed */

#endif

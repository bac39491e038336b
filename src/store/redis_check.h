/*
 * Does this Redis keep what it was given? Its eviction policy must be noeviction, and AOF must be on.
 * Each setting that could lose data is one warning in the log. A Redis that does not let us ask is
 * trusted, with a warning too.
 */
#ifndef STORE_REDIS_CHECK_H
#define STORE_REDIS_CHECK_H

#include "store/redis.h"

void redis_check_settings(struct redis *redis, void (*checked)(bool is_safe, void *arg),
                          void *arg);

#endif

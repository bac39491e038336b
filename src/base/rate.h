/*
 * "At most so many per interval and key": a fixed window per key, in a bounded cache of keys. When
 * more keys are seen than fit, the least recently used is forgotten, so a limit can be exceeded
 * only by whoever can afford to use very many keys.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include "base/str.h"

struct rate;

/* limit 0 = no limit: rate_allows is always true. */
struct rate *rate_new(uint32_t limit, int64_t interval_ms, size_t max_keys);
void rate_free(struct rate *rate);
void rate_set_limit(struct rate *rate, uint32_t limit, int64_t interval_ms);
/* Counts one use of the key; false when the limit is used up in this interval. */
bool rate_allows(struct rate *rate, struct str key);
/* Is it used up? Counts nothing. */
bool rate_is_used_up(struct rate *rate, struct str key);

#endif

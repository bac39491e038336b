/*
 * A key's window is an entry of a cache that lives for one interval: when it is gone, so is the
 * window, and the next use opens another.
 */
#include "base/rate.h"

#include "base/cache.h"
#include "base/mem.h"

#include <stdlib.h>

struct rate {
    uint32_t limit;
    int64_t interval_ms;
    struct cache *uses; /* key -> uint32_t */
};

struct rate *rate_new(uint32_t limit, int64_t interval_ms, size_t max_keys)
{
    struct rate *rate = xcalloc(1, sizeof(*rate));

    rate->limit = limit;
    rate->interval_ms = interval_ms;
    rate->uses = cache_new(max_keys, free);
    return rate;
}

void rate_free(struct rate *rate)
{
    if (!rate)
        return;
    cache_free(rate->uses);
    free(rate);
}

/* Windows that were opened with another length would end at the wrong time. */
void rate_set_limit(struct rate *rate, uint32_t limit, int64_t interval_ms)
{
    if (interval_ms != rate->interval_ms)
        cache_empty(rate->uses);
    rate->limit = limit;
    rate->interval_ms = interval_ms;
}

bool rate_allows(struct rate *rate, struct str key)
{
    uint32_t *uses;

    if (rate->limit == 0)
        return true;
    uses = cache_get(rate->uses, key);
    if (!uses) {
        uses = xmalloc(sizeof(*uses));
        *uses = 1;
        cache_put(rate->uses, key, uses, rate->interval_ms);
        return true;
    }
    if (*uses >= rate->limit)
        return false;
    ++*uses;
    return true;
}

bool rate_is_used_up(struct rate *rate, struct str key)
{
    const uint32_t *uses = rate->limit ? cache_get(rate->uses, key) : NULL;

    return uses && *uses >= rate->limit;
}

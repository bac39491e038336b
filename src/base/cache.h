/*
 * A bounded cache: text key to pointer, least recently used first out, each entry with an end of
 * life. It owns its values: free_value is called for what is replaced, evicted, expired, removed.
 */
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include "base/str.h"

struct cache;

struct cache *cache_new(size_t max_entries, void (*free_value)(void *value));
void cache_free(struct cache *cache);
/* The value, or NULL when there is none or it is older than its life (then it is removed). Valid
 * until the next call that changes the cache. */
void *cache_get(struct cache *cache, struct str key);
/* Takes the value. life_ms is measured with clock_tick_ms. */
void cache_put(struct cache *cache, struct str key, void *value, int64_t life_ms);
/* For values that differ in size: all together keep below max_bytes too (0: no such limit). A value
 * that is larger than that alone is kept alone. */
void cache_limit_bytes(struct cache *cache, size_t max_bytes);
void cache_put_sized(struct cache *cache, struct str key, void *value, int64_t life_ms,
                     size_t size_bytes);
void cache_remove(struct cache *cache, struct str key);
void cache_empty(struct cache *cache);
size_t cache_count(const struct cache *cache);

#endif

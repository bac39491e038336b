/*
 * A uthash table remembers the order in which its entries were added: what is used is taken out
 * and added again, so the first entry is the one that was not used for longest.
 */
#include "base/cache.h"

#include "base/clock.h"
#include "base/hash.h"

struct entry {
    UT_hash_handle hh;
    void *value;
    size_t size_bytes; /* 0: put without one */
    int64_t ends_at_tick_ms;
    char key[];
};

struct cache {
    struct entry *entries;
    size_t max_entries;
    size_t max_bytes, bytes; /* max_bytes 0: no limit */
    void (*free_value)(void *value);
};

struct cache *cache_new(size_t max_entries, void (*free_value)(void *value))
{
    struct cache *cache = xcalloc(1, sizeof(*cache));

    cache->max_entries = max_entries;
    cache->free_value = free_value;
    return cache;
}

void cache_limit_bytes(struct cache *cache, size_t max_bytes)
{
    cache->max_bytes = max_bytes;
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    cache_empty(cache);
    free(cache);
}

static void dispose(struct cache *cache, void *value)
{
    if (value && cache->free_value)
        cache->free_value(value);
}

/* The entry leaves the table before its value is freed, so that free_value may use the cache. */
static void drop(struct cache *cache, struct entry *entry)
{
    HASH_DELETE(hh, cache->entries, entry);
    cache->bytes -= entry->size_bytes;
    dispose(cache, entry->value);
    free(entry);
}

static struct entry *find(struct cache *cache, struct str key)
{
    struct entry *entry = NULL;
    const char *bytes = key.p ? key.p : "";

    HASH_FIND(hh, cache->entries, bytes, key.len, entry);
    return entry;
}

/* Most often the entry is the newest already; moving the only one would free the whole table. */
static void make_newest(struct cache *cache, struct entry *entry)
{
    unsigned hash = entry->hh.hashv;
    unsigned key_len = entry->hh.keylen;

    if (!entry->hh.next)
        return;
    HASH_DELETE(hh, cache->entries, entry);
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, cache->entries, entry->key, key_len, hash, entry);
}

void *cache_get(struct cache *cache, struct str key)
{
    struct entry *entry = find(cache, key);

    if (!entry)
        return NULL;
    if (clock_tick_ms() >= entry->ends_at_tick_ms) {
        drop(cache, entry);
        return NULL;
    }
    make_newest(cache, entry);
    return entry->value;
}

static int64_t end_of_life(int64_t life_ms)
{
    int64_t now = clock_tick_ms();

    return life_ms > INT64_MAX - now ? INT64_MAX : now + life_ms;
}

static void set(struct cache *cache, struct entry *entry, void *value, int64_t ends_at,
                size_t size_bytes)
{
    entry->value = value;
    entry->ends_at_tick_ms = ends_at;
    entry->size_bytes = size_bytes;
    cache->bytes += size_bytes;
}

static void replace(struct cache *cache, struct entry *entry, void *value, int64_t ends_at,
                    size_t size_bytes)
{
    void *old = entry->value;

    cache->bytes -= entry->size_bytes;
    set(cache, entry, value, ends_at, size_bytes);
    make_newest(cache, entry);
    if (old != value)
        dispose(cache, old);
}

static void add(struct cache *cache, struct str key, void *value, int64_t ends_at,
                size_t size_bytes)
{
    struct entry *entry = xmalloc(sizeof(*entry) + key.len);

    set(cache, entry, value, ends_at, size_bytes);
    if (key.len)
        memcpy(entry->key, key.p, key.len);
    HASH_ADD_KEYPTR(hh, cache->entries, entry->key, key.len, entry);
}

/* The newest one stays, whatever its size. */
static void keep_to_bytes(struct cache *cache)
{
    while (cache->max_bytes > 0 && cache->bytes > cache->max_bytes &&
           HASH_COUNT(cache->entries) > 1)
        drop(cache, cache->entries);
}

void cache_put_sized(struct cache *cache, struct str key, void *value, int64_t life_ms,
                     size_t size_bytes)
{
    struct entry *entry = find(cache, key);
    int64_t ends_at = end_of_life(life_ms);

    if (entry) {
        replace(cache, entry, value, ends_at, size_bytes);
        keep_to_bytes(cache);
        return;
    }
    if (cache->max_entries == 0) {
        dispose(cache, value);
        return;
    }
    while (HASH_COUNT(cache->entries) >= cache->max_entries)
        drop(cache, cache->entries);
    add(cache, key, value, ends_at, size_bytes);
    keep_to_bytes(cache);
}

void cache_put(struct cache *cache, struct str key, void *value, int64_t life_ms)
{
    cache_put_sized(cache, key, value, life_ms, 0);
}

void cache_remove(struct cache *cache, struct str key)
{
    struct entry *entry = find(cache, key);

    if (entry)
        drop(cache, entry);
}

void cache_empty(struct cache *cache)
{
    while (cache->entries)
        drop(cache, cache->entries);
}

size_t cache_count(const struct cache *cache)
{
    return HASH_COUNT(cache->entries);
}

/*
 * Ids are kept as 64-bit hashes in two sets; when the newer one is full, the older one is emptied and
 * takes its place. Two ids with one hash among a million are less likely than a broken machine.
 */
#include "bench/seen.h"

#include "base/mem.h"
#include <stdlib.h>

#define ENTRIES (1u << 20)
#define SLOTS   (2 * ENTRIES) /* half full at most, so that probing stays short */

struct set {
    uint64_t *slots; /* 0 = free */
    size_t count;
};

struct sequence {
    uint64_t key; /* 0 = free */
    uint64_t last;
};

struct seen {
    struct set sets[2];
    int newer;
    struct sequence *sequences;
    size_t sequence_count;
};

static uint64_t add_to_hash(uint64_t hash, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.p[i]) * 0x100000001b3ull;
    return hash;
}

/* FNV-1a, mixed so that the low bits can be an index. Never 0. */
static uint64_t hash_of(struct str a, struct str b)
{
    uint64_t hash = add_to_hash(0xcbf29ce484222325ull, a);

    hash = add_to_hash(hash ^ 0xff, b);
    hash = (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

struct seen *seen_new(void)
{
    struct seen *seen = xcalloc(1, sizeof(*seen));

    for (int i = 0; i < 2; i++)
        seen->sets[i].slots = xcalloc(SLOTS, sizeof(uint64_t));
    seen->sequences = xcalloc(SLOTS, sizeof(*seen->sequences));
    return seen;
}

void seen_free(struct seen *seen)
{
    free(seen->sets[0].slots);
    free(seen->sets[1].slots);
    free(seen->sequences);
    free(seen);
}

/* Where the hash is, or where it would be. */
static uint64_t *slot_of(struct set *set, uint64_t hash)
{
    size_t i = hash % SLOTS;

    while (set->slots[i] && set->slots[i] != hash)
        i = (i + 1) % SLOTS;
    return &set->slots[i];
}

bool seen_id(struct seen *seen, struct str id)
{
    uint64_t hash = hash_of(id, STR_NONE);
    struct set *set = &seen->sets[seen->newer];
    uint64_t *slot;

    if (*slot_of(set, hash) || *slot_of(&seen->sets[!seen->newer], hash))
        return true;
    if (set->count == ENTRIES) {
        seen->newer = !seen->newer;
        set = &seen->sets[seen->newer];
        memset(set->slots, 0, SLOTS * sizeof(uint64_t));
        set->count = 0;
    }
    slot = slot_of(set, hash);
    *slot = hash;
    set->count++;
    return false;
}

bool seen_out_of_order(struct seen *seen, struct str device_id, struct str subscription,
                       uint64_t number)
{
    uint64_t key = hash_of(device_id, subscription);
    size_t i = key % SLOTS;
    struct sequence *sequence;

    while (seen->sequences[i].key && seen->sequences[i].key != key)
        i = (i + 1) % SLOTS;
    sequence = &seen->sequences[i];
    if (!sequence->key) {
        if (seen->sequence_count == ENTRIES)
            return false;
        seen->sequence_count++;
        *sequence = (struct sequence){key, number};
        return false;
    }
    if (number < sequence->last)
        return true;
    sequence->last = number;
    return false;
}

/*
 * Rendezvous hashing with shares: a partition goes to the instance with the highest hash of (instance,
 * partition) that has not had its share yet. Partitions are dealt in the order of their numbers, so the
 * last ones make up for the luck of the first. By hash alone two instances would get 4 and 12 of 16
 * often enough.
 */
#include "push/assignment.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t weight(struct str instance, uint32_t partition)
{
    char text[KEY_ID_MAX + 16], digest[CRYPTO_SHA256_HEX_SIZE];
    int len = snprintf(text, sizeof(text), "%.*s/%u", STR_ARG(instance), (unsigned)partition);

    crypto_sha256_hex(str_n(text, (size_t)len), digest);
    digest[16] = '\0';
    return strtoull(digest, NULL, 16);
}

void assignment_make(const struct str *instances, size_t count, uint32_t *owners,
                     uint32_t partition_count)
{
    uint32_t share = partition_count / (uint32_t)count;
    uint32_t larger_shares = partition_count % (uint32_t)count; /* by one; not given yet */
    uint32_t *owned = xcalloc(count, sizeof(*owned));

    for (uint32_t partition = 0; partition < partition_count; partition++) {
        uint64_t highest = 0;
        size_t best = count;

        for (size_t i = 0; i < count; i++) {
            uint64_t own = weight(instances[i], partition);

            if (owned[i] < share + (larger_shares > 0) && (best == count || own > highest)) {
                highest = own;
                best = i;
            }
        }
        larger_shares -= owned[best] == share;
        owned[best]++;
        owners[partition] = (uint32_t)best;
    }
    free(owned);
}

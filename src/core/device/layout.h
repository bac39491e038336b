/*
 * How the index of devices lies in Redis (core/device/index.h says what it is for).
 *
 * Devices have ordinals, in the order of their registration within an application; 65,536 of them are
 * a block. Per block there is
 *
 *     live       a bitmap: which ordinals are devices
 *     ONLINE ... a bitmap per value of status and node type
 *     name:17    a bitmap per bit of an attribute's digest, 48 of them per attribute
 *     rows       per ordinal what the bitmaps say of it, in one piece, with its version
 *
 * An attribute with any text is indexed by the first 48 bits of its SHA-256: the devices with a given
 * name are those that have all bits of its digest, and none of the others, which is two runs of
 * BITOP over whole bitmaps. That costs 6 bytes per device and attribute, whatever the texts are, and
 * no work per device. A digest of 0 stands for "has none".
 *
 *     row   version 4   time of registration 6   status 1   node type 1   digests 5 * 6
 *
 * all numbers with the highest byte first; in a digest's byte the lowest bit belongs to the first
 * key.
 */
#ifndef CORE_DEVICE_LAYOUT_H
#define CORE_DEVICE_LAYOUT_H

#include "core/device/index.h"
#include "store/keys.h"

#define INDEX_BLOCK       65536
#define INDEX_BLOCK_TEXT  "65536"
#define INDEX_TEXTS       5
#define INDEX_DIGEST_BITS 48
#define INDEX_ROW_BYTES   (12 + INDEX_TEXTS * INDEX_DIGEST_BITS / 8)
#define INDEX_ROW_TEXT    "42"

/* Keys of a block in the order of index_write.lua: live, rows, status, node type, bits. */
#define INDEX_STATUSES 4
#define INDEX_KEYS_FEW (2 + INDEX_STATUSES + 2)
#define INDEX_KEYS_ALL (INDEX_KEYS_FEW + INDEX_TEXTS * INDEX_DIGEST_BITS)

/* What is indexed of a device; texts may be STR_NONE. */
struct index_facts {
    struct str device_id, gateway_id;
    uint64_t version;
    int64_t created_ms;
    struct str status, device_type, name, location, manufacturer_id, model;
};

void index_row_write(char row[INDEX_ROW_BYTES], const struct index_facts *facts);
/* Has the bitmap with this number (see index_block_keys) a bit for the device of the row? */
bool index_row_has(const char *row, unsigned number);

/* The keys of a block; with_bits: INDEX_KEYS_ALL of them, else INDEX_KEYS_FEW. `room` has a struct key
 * for each, and lives as long as the names. */
size_t index_block_keys(struct key *room, struct str *names, struct str app_id, uint64_t block,
                        bool with_bits);

/* Bitmaps that a device must have a bit in (first `wanted` of the keys), and must not (the others). */
#define INDEX_CONDITIONS_MAX (4 + INDEX_TEXTS * INDEX_DIGEST_BITS)
struct index_conditions {
    unsigned keys[INDEX_CONDITIONS_MAX]; /* numbers, in the order of index_block_keys */
    size_t wanted, count;
    bool is_never; /* nothing can match */
};

void index_conditions_of(struct index_conditions *conditions, const struct device_filter *filter);
struct str index_key(struct key *key, struct str app_id, uint64_t block, unsigned number);

#endif

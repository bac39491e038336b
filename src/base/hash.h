/*
 * uthash with a seed: keys come from outside, and a table whose hash can be computed by the sender
 * of the keys can be made as slow as a list. Include this, never <uthash.h> itself.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/crypto.h"

unsigned hash_bytes(const void *bytes, size_t len); /* seeded per process; in crypto.c */

#define HASH_FUNCTION(key, len, hash) (hash) = hash_bytes((key), (len))
#include "base/mem.h"
#define uthash_malloc(size)  xmalloc(size)
#define uthash_free(p, size) free(p)
#include <stdlib.h>
#include <uthash.h>

#endif

/*
 * Which notifications a receiver has seen, in memory that is bounded: of ids the last 1,048,576 at
 * least (32 MiB), of sequences (a device's at one subscription) the first 1,048,576 (32 MiB).
 */
#ifndef BENCH_SEEN_H
#define BENCH_SEEN_H

#include "base/str.h"

struct seen;

struct seen *seen_new(void);
void seen_free(struct seen *seen);

/* Is the id among those remembered? It is from now on. */
bool seen_id(struct seen *seen, struct str id);

/* The number of the newest notification of a sequence: is it smaller than one before? */
bool seen_out_of_order(struct seen *seen, struct str device_id, struct str subscription,
                       uint64_t number);

#endif

/*
 * Bodies of reports: device (its index), seq (0, 1, 2 ...) and sentUs (the tick when due) in their
 * data, and a filler that makes all of them as large as wanted.
 */
#ifndef BENCH_BODY_H
#define BENCH_BODY_H

#include "base/str.h"
#include "bench/options.h"

struct body;

struct body *body_new(enum dialect dialect, size_t size_bytes);
void body_free(struct body *body); /* NULL is allowed */

/* Valid until the next call. */
struct str body_write(struct body *body, size_t device, uint64_t number, int64_t due_us);

#endif

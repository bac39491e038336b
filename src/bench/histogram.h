/*
 * Times in microseconds, counted in buckets whose width grows with the value: each bucket is at most
 * 1/64 of its value wide, from 1 µs to 12 days, in 18 KiB. Smallest, largest and mean are exact.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS     (1 << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_VALUE_MAX ((1ll << 40) - 1)
#define HISTOGRAM_BUCKETS   ((40 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count, sum;
    int64_t least, most;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
/* Negative values count as 0, larger ones than HISTOGRAM_VALUE_MAX as that. */
void histogram_add(struct histogram *histogram, int64_t value);
/* A value that is not exceeded by `percent` of all: the upper end of its bucket, at most the largest
 * value. 0 when there is none. */
int64_t histogram_percentile(const struct histogram *histogram, double percent);
int64_t histogram_mean(const struct histogram *histogram);

#endif

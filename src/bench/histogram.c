#include "bench/histogram.h"

#include <string.h>

static unsigned bucket_of(int64_t value)
{
    unsigned shift;

    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    /* value >> shift lies in [STEPS, 2 * STEPS) */
    shift = 63 - (unsigned)__builtin_clzll((unsigned long long)value) - HISTOGRAM_STEP_BITS;
    return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

static int64_t upper_end(unsigned bucket)
{
    unsigned shift;

    if (bucket < HISTOGRAM_STEPS)
        return bucket;
    shift = bucket / HISTOGRAM_STEPS - 1;
    return (((int64_t)bucket - (int64_t)shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void histogram_add(struct histogram *histogram, int64_t value)
{
    if (value < 0)
        value = 0;
    if (value > HISTOGRAM_VALUE_MAX)
        value = HISTOGRAM_VALUE_MAX;
    if (histogram->count == 0 || value < histogram->least)
        histogram->least = value;
    if (value > histogram->most)
        histogram->most = value;
    histogram->count++;
    histogram->sum += (uint64_t)value;
    histogram->buckets[bucket_of(value)]++;
}

int64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    double exact = (double)histogram->count * percent / 100.0;
    uint64_t rank = (uint64_t)exact, seen = 0;

    if (histogram->count == 0)
        return 0;
    if ((double)rank < exact || rank == 0)
        rank++;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            return upper_end(i) < histogram->most ? upper_end(i) : histogram->most;
    }
    return histogram->most;
}

int64_t histogram_mean(const struct histogram *histogram)
{
    return histogram->count ? (int64_t)(histogram->sum / histogram->count) : 0;
}

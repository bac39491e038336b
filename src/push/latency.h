/*
 * A histogram of times for one callback URL, small enough to have thousands of them: four steps to
 * each doubling, from 1 ms to about nine hours. A percentile is at most a quarter too high.
 */
#ifndef PUSH_LATENCY_H
#define PUSH_LATENCY_H

#include <stdint.h>

#define LATENCY_STEPS 100

struct latency {
    uint32_t counts[LATENCY_STEPS]; /* halved together when one is full */
};

void latency_add(struct latency *latency, int64_t time_ms);
/* The time that `percent` (0..100) of them do not exceed, as the upper end of its step; -1: there are
 * none. */
int64_t latency_percentile_ms(const struct latency *latency, double percent);

#endif

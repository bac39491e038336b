/* The figures of a run, in the order they are added: lines for people, or one JSON object. */
#ifndef BENCH_SUMMARY_H
#define BENCH_SUMMARY_H

#include "bench/histogram.h"
#include <stdbool.h>
#include <stddef.h>

struct summary;

/* verb: the heading, the member "verb". */
struct summary *summary_new(const char *verb, bool as_json);

/* key: the member's name; label: what people read. Both outlive the summary. */
void summary_count(struct summary *summary, const char *key, const char *label, uint64_t count);
/* count in time, rounded; key is that of the rate: "reportsPerSecond" */
void summary_rate(struct summary *summary, const char *key, const char *label, uint64_t count,
                  int64_t time_us);
void summary_time(struct summary *summary, const char *key, const char *label, int64_t time_us);
/* p50, p95, p99 and max, in an object of its own with members in microseconds */
void summary_times(struct summary *summary, const char *key, const char *label,
                   const struct histogram *times);

/* Answers by status, those that occurred; none: reports without an answer */
void summary_statuses(struct summary *summary, const char *key, const char *label,
                      const uint64_t *counts, size_t size, uint64_t none);

/* An expectation; what is not met is said on stderr as well. */
void summary_expect(struct summary *summary, const char *what, bool is_met);
/* limit -1: nothing is expected */
void summary_expect_at_most(struct summary *summary, const char *what, uint64_t value,
                            int64_t limit);
void summary_expect_at_least(struct summary *summary, const char *what, uint64_t value,
                             int64_t limit);

/* Adds what processor time this process has used of all its life: a bench that is busy all the time measures
 * itself. Prints and frees it. false: an expectation was not met. */
bool summary_print_take(struct summary *summary);

/* Whole units a second; 0 without time. */
uint64_t rate_of(uint64_t count, int64_t time_us);

#endif

/*
 * Failures that a callback receiver gives on purpose, by a list of patterns; of those that apply to a
 * request the first counts.
 *
 *     every=10:503     each tenth request is answered 503
 *     rate=5%:503      so many at random are answered 503
 *     hang=10%         so many at random are never answered
 *     reset=5%         so many at random find their connection reset
 *     flap=10s/5s      10 s well, then 5 s with 503 (flap=10s/5s:500: with 500)
 */
#ifndef BENCH_FAULTS_H
#define BENCH_FAULTS_H

#include <stddef.h>
#include <stdint.h>

struct faults;

enum fault_kind { FAULT_NONE, FAULT_STATUS, FAULT_HANG, FAULT_RESET };

struct fault {
    enum fault_kind kind;
    int status; /* FAULT_STATUS */
};

/* NULL when the list is right, else what is wrong (static text). */
const char *faults_check(const char *list);

/* A list that faults_check has found right. flap counts from now_us. */
struct faults *faults_new(const char *list, int64_t now_us);
void faults_free(struct faults *faults);

/* For the next request. */
struct fault faults_next(struct faults *faults, int64_t now_us);

#endif

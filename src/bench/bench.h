/*
 * What the verbs of iotpush-bench share. A verb is a row of the table in iotpush-bench.c; its options
 * are rows of the table in options.c.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "bench/options.h"

enum bench_exit {
    BENCH_DONE = 0,
    BENCH_FAILED = 1, /* an expectation was not met, or the run could not be done */
    BENCH_USAGE = 2,
    BENCH_UNREACHABLE = 3, /* no server there */
};

/* "iotpush-bench: ..." on stderr. */
void bench_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum bench_exit sink_run(const struct options *options);
enum bench_exit report_run(const struct options *options);
enum bench_exit push_run(const struct options *options);
enum bench_exit drain_run(const struct options *options);
enum bench_exit connect_run(const struct options *options);
enum bench_exit store_run(const struct options *options);

#endif

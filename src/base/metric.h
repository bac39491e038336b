/*
 * Counters, gauges and histograms, each a row of metrics.def, printed in the Prometheus text form
 * with the prefix iotpush_. Series appear with their first use; labels take values out of small,
 * fixed sets only (never ids, never text from outside), at most 256 series per metric: what comes
 * after that is counted under the label values "other".
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/buf.h"

enum metric {
#define METRIC(id, name, kind, labels, help) id,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* Label values in the order of the row's labels; NULL for labels the row does not have. On a gauge
 * metric_add adds to its value; metric_set on a counter takes over a total counted elsewhere. */
void metric_add(enum metric metric, uint64_t n, const char *label1, const char *label2,
                const char *label3);
void metric_set(enum metric metric, double value, const char *label1);
void metric_observe(enum metric metric, double seconds, const char *label1); /* histogram */

/* For tests and status; 0 when never used. A gauge is cut to a whole number, a histogram gives its
 * count. */
uint64_t metric_value(enum metric metric, const char *label1, const char *label2,
                      const char *label3);

#define metric_inc(metric) metric_add(metric, 1, NULL, NULL, NULL)

/* All metrics, with HELP and TYPE; a counter without labels that was never used prints 0. */
void metric_write_all(struct buf *out);
void metric_reset_all(void); /* for tests */

#endif

/*
 * Devices that report over HTTP: keep-alive connections to the device listener, on each one report at
 * a time, and of each device one report at a time, so that its order is certain.
 *
 * With a rate, reports are due at fixed times from the start, and their times count from when they
 * were due: a server that stalls is not spared the reports of that time. Without one, a report is due
 * when a connection and a device are free.
 *
 * A device's window is how many of its reports may be unsettled; load_settle takes one off. Reports
 * carry device (its index), seq (0, 1, 2 ...) and sentUs (the tick when due) in their data.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/fleet.h"
#include "bench/histogram.h"

#define LOAD_STATUSES 600

struct load;

struct load_figures {
    uint64_t sent, accepted, failed; /* accepted: 2xx */
    uint64_t statuses[LOAD_STATUSES];
    uint64_t unanswered;     /* timeouts, resets, answers that are none */
    uint64_t not_connected;  /* attempts to connect */
    struct histogram times;  /* of accepted ones, to the answer */
    size_t in_flight;
};

struct load_config {
    struct event_base *base;
    const struct fleet *fleet;
    size_t connections;
    uint64_t rate;   /* reports a second; 0 = as many as go */
    uint64_t events; /* stops after so many; 0 = no end */
    size_t payload_bytes;
    int64_t timeout_ms;
    uint64_t (*window)(size_t device, void *arg); /* 0 = no limit */
    void (*sent)(size_t device, uint64_t number, void *arg);
    void (*answered)(size_t device, uint64_t number, bool is_accepted, void *arg);
    void *arg;
};

/* NULL: what is wrong has been said. */
struct load *load_new(const struct load_config *config);
void load_free(struct load *load); /* NULL is allowed */

void load_start(struct load *load);
void load_stop(struct load *load); /* nothing new is sent */
bool load_is_over(const struct load *load); /* stopped, or all events sent; and nothing in flight */
void load_settle(struct load *load, size_t device);
const struct load_figures *load_figures(const struct load *load);

#endif

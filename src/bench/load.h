/*
 * Devices that report, over HTTP or MQTT: what is due when, what was answered how and how late. How
 * a report goes out is a driver's (load_private.h).
 *
 * With a rate, reports are due at fixed times from the start, and their times count from when they
 * were due: a server that stalls is not spared the reports of that time. Without one, a report is
 * due when a device may report.
 *
 * Over HTTP there are some keep-alive connections for all devices, with one report at a time on
 * each and of each device, so that its order is certain. Over MQTT (QoS 1) each device has a
 * connection of its own, and --outstanding reports of it may be without a PUBACK; what had none
 * when a connection ends counts as unanswered, and is not sent again.
 *
 * A device's window is how many of its reports may be unsettled; load_settle takes one off.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench/fleet.h"
#include "bench/histogram.h"
#include "bench/summary.h"

#define LOAD_STATUSES 600

struct load;

struct load_figures {
    uint64_t sent, accepted, failed;  /* accepted: 2xx, or a PUBACK */
    uint64_t statuses[LOAD_STATUSES]; /* of HTTP */
    uint64_t unanswered;              /* timeouts, connections that ended, answers that are none */
    uint64_t not_connected;           /* attempts to connect */
    struct histogram times;           /* of accepted ones, to the answer */
    size_t in_flight;
};

struct load_config {
    struct event_base *base;
    const struct fleet *fleet;
    const struct options *options; /* connections, outstanding, events, payload, timeout ... */
    uint64_t rate;                 /* reports a second; 0 = as many as go */
    uint64_t (*window)(size_t device, void *arg); /* 0 = no limit */
    void (*sent)(size_t device, uint64_t number, void *arg);
    void (*answered)(size_t device, uint64_t number, bool is_accepted, void *arg);
    void *arg;
};

/* NULL: what is wrong has been said. */
struct load *load_new(const struct load_config *config);
void load_free(struct load *load); /* NULL is allowed */

/* Before the load: over MQTT all devices connect, and none may be refused. */
enum bench_exit load_connect(struct load *load, struct loop *loop);
void load_start(struct load *load);
void load_stop(struct load *load);          /* nothing new is sent */
bool load_is_over(const struct load *load); /* stopped, or all events sent; and nothing in flight */
void load_settle(struct load *load, size_t device);
const struct load_figures *load_figures(const struct load *load);

/* Answers by kind, and what happened to the connections. */
void load_summarize(const struct load *load, struct summary *summary, const char *label);

#endif

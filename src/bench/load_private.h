/*
 * What load.c and its drivers share. A driver has the connections: it says of each device how many
 * reports may be in flight, sends, and tells what was answered.
 */
#ifndef BENCH_LOAD_PRIVATE_H
#define BENCH_LOAD_PRIVATE_H

#include "bench/body.h"
#include "bench/load.h"

struct driver {
    void *(*open)(struct load *load); /* NULL: what is wrong has been said */
    /* Before the start. NULL: there is nothing to do. */
    enum bench_exit (*connect)(void *state, struct loop *loop);
    void (*start)(void *state);
    bool (*can_send)(const void *state); /* NULL: a device that may report can */
    void (*send)(void *state, size_t device, uint64_t number, int64_t due_us);
    void (*expire)(void *state, int64_t oldest_us); /* gives up what was sent before */
    void (*summarize)(const void *state, struct summary *summary, const char *label);
    void (*close)(void *state);
};
extern const struct driver http_driver, mqtt_driver;

struct load_device {
    uint64_t next; /* number of its next report */
    uint64_t unsettled, window;
    size_t in_flight, limit; /* without an answer; the driver's limit */
    bool is_ready;           /* is in the queue of those that may report */
};

struct load {
    struct load_config config;
    struct load_figures figures;
    const struct driver *driver;
    void *state; /* the driver's */
    struct body *body;
    bool is_running;
    struct load_device *devices;
    size_t *ready, ready_first, ready_count; /* a ring */
    int64_t start_us;
    struct event *pace, *sweep;
};

/* Sends what is due, as far as devices and the driver can. */
void load_pump(struct load *load);
/* How many reports of the device may be in flight from now on. */
void load_set_limit(struct load *load, size_t device, size_t limit);
/* status 0: there was no answer; else of HTTP, or LOAD_PUBACK */
#define LOAD_PUBACK 200
void load_answered(struct load *load, size_t device, uint64_t number, int status, int64_t due_us);

#endif

/* What load.c and reporter.c share. A reporter is one connection to the device listener. */
#ifndef BENCH_LOAD_PRIVATE_H
#define BENCH_LOAD_PRIVATE_H

#include "base/buf.h"
#include "bench/load.h"
#include "net/tls.h"
#include <sys/socket.h>

struct reporter;

struct load_device {
    uint64_t next; /* number of its next report */
    uint64_t unsettled, window;
    bool is_busy;  /* its last report has no answer yet */
    bool is_ready; /* is in the queue of those that may report */
};

struct load {
    struct load_config config;
    struct load_figures figures;
    char *host, *authority, *filler;
    size_t bare_body_bytes; /* of a body with three zeros and no filler */
    bool is_https, is_running;
    struct sockaddr_storage address;
    socklen_t address_len;
    SSL_CTX *tls;
    struct json_writer *json;
    struct load_device *devices;
    size_t *ready, ready_first, ready_count; /* a ring */
    struct reporter **reporters, **idle;
    size_t idle_count;
    int64_t start_us;
    struct event *pace, *sweep;
};

/* Sends what is due, as far as connections and devices are free. */
void load_pump(struct load *load);
/* status 0: there was no answer */
void load_answered(struct load *load, size_t device, uint64_t number, int status, int64_t due_us);

struct reporter *reporter_new(struct load *load); /* connects, and goes to load->idle */
void reporter_free(struct reporter *reporter);    /* NULL is allowed */
struct buf *reporter_output(struct reporter *reporter); /* where the request is written to */
void reporter_send(struct reporter *reporter, size_t device, uint64_t number, int64_t due_us);
/* Gives up what was sent before this time, and the connection with it. */
void reporter_expire(struct reporter *reporter, int64_t oldest_us);

#endif

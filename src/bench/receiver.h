/*
 * A receiver of callbacks over HTTP/1.1, made for speed: one read, one scan, one write for all
 * requests that came together. What is answered is the caller's decision, request by request.
 *
 * Bounded: connections by the configuration, a request by http_scan.h. A connection whose answers
 * are not taken is not read from.
 */
#ifndef BENCH_RECEIVER_H
#define BENCH_RECEIVER_H

#include "bench/faults.h"
#include "bench/http_scan.h"
#include "net/tls.h"
#include <event2/event.h>

struct receiver;

struct receiver_figures {
    uint64_t requests, bytes; /* whole requests, head and body */
    uint64_t connections, refused_connections, broken_requests;
    size_t open;
};

struct receiver_config {
    struct event_base *base;
    size_t max_connections;
    struct tls_server *tls; /* NULL = plain; not owned */
    int64_t delay_ms;       /* of every answer */
    int status;             /* of answers without a fault */
    /* mark is the listener's. The request lives until decide returns. */
    struct fault (*decide)(const struct http_message *request, uintptr_t mark, void *arg);
    void *arg;
};

struct receiver *receiver_new(const struct receiver_config *config);
void receiver_free(struct receiver *receiver);

/* address: "127.0.0.1:9080", port 0 for any; one receiver may listen at many. *port: what was bound.
 * NULL, or what is wrong (free() it). */
char *receiver_listen(struct receiver *receiver, const char *address, uintptr_t mark,
                      uint16_t *port);

const struct receiver_figures *receiver_figures(const struct receiver *receiver);

#endif

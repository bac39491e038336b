/*
 * Reading HTTP/1.1 messages that are in memory: only what a bench wants to know of them. Nothing is
 * copied; what comes out points into the bytes that went in.
 */
#ifndef BENCH_HTTP_SCAN_H
#define BENCH_HTTP_SCAN_H

#include "base/str.h"

#define SCAN_HEAD_MAX (16 * 1024)
#define SCAN_BODY_MAX (1024 * 1024)

enum scan {
    SCAN_WHOLE, /* size_bytes of the input are one message */
    SCAN_MORE,  /* it goes on behind the input */
    SCAN_BROKEN, /* not HTTP, or chunked, or above the limits */
};

struct http_message {
    struct str target; /* requests */
    int status;        /* answers */
    struct str notify_id, subscription, body;
    uint64_t attempt; /* X-Notify-Attempt, 0 without */
    bool closes;      /* no further message on this connection */
    size_t size_bytes;
};

enum scan http_scan_request(struct str input, struct http_message *message);
/* Answers without Content-Length have no body, so one that ends with the connection is not read. */
enum scan http_scan_answer(struct str input, struct http_message *message);

/* The number behind a member's name and colon ("\"seq\":") in compact JSON, the first that there is. */
bool http_find_number(struct str body, struct str member, uint64_t *number);

#endif

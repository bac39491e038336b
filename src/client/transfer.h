/* Synchronous HTTP requests over libcurl, for programs that talk to a running server. */
#ifndef CLIENT_TRANSFER_H
#define CLIENT_TRANSFER_H

#include "base/arena.h"
#include <signal.h>

#define TRANSFER_HEADERS_MAX 4

struct transfer;

/* NULL when libcurl cannot be set up. Connections are kept open between requests. */
struct transfer *transfer_new(void);
void transfer_free(struct transfer *transfer); /* NULL is allowed */

struct transfer_request {
    const char *method, *url;
    const char *socket;  /* NULL, or the unix socket to connect to whatever the URL's host is */
    const char *ca_file; /* NULL = the system's CAs */
    const char *headers[TRANSFER_HEADERS_MAX]; /* "Name: value", NULL behind the last */
    const char *body;    /* NULL = none */
    size_t body_len;     /* 0: body is a text */
    const volatile sig_atomic_t *cancel; /* NULL, or ends the request when it becomes true */
};

struct transfer_answer {
    int status;
    struct str body; /* in the arena */
};

/* NULL when there is an answer, whatever its status; else why there is none, valid until the next
 * call. */
const char *transfer_perform(struct transfer *transfer, struct arena *arena,
                             const struct transfer_request *request,
                             struct transfer_answer *answer);

/* A path segment or form value, percent-encoded, in the arena. */
const char *transfer_encode(struct transfer *transfer, struct arena *arena, const char *text);

#endif

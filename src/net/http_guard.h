/*
 * The guard of a connection: reads the raw bytes of each request before evhttp parses them, and
 * says whether they may be parsed.
 *
 * evhttp is lenient where two readers of one byte stream could disagree about where a request ends
 * (request smuggling), and has no limits on size that answer as we want. The guard accepts only
 * what has one meaning: lines end in CR LF, header names are tokens, one Content-Length of digits
 * or one "Transfer-Encoding: chunked" and never both, chunk sizes of hexadecimal digits alone, no
 * trailers. It knows nothing of sockets: it is fed bytes and answers with a status.
 */
#ifndef NET_HTTP_GUARD_H
#define NET_HTTP_GUARD_H

#include "base/buf.h"
#include "net/http_server.h"

#define HTTP_GUARD_PATH_SIZE 256

enum http_guard_phase {
    GUARD_IDLE, /* no byte of a request yet */
    GUARD_HEAD,
    GUARD_BODY,
    GUARD_COMPLETE, /* the request is whole; what follows belongs to the next one */
};

struct http_guard {
    enum http_guard_phase phase;
    /* What the request line and the head said. path is cut at its size; it serves refusals. */
    char path[HTTP_GUARD_PATH_SIZE];
    size_t path_len;
    bool is_head_method;
    bool expects_continue;
    /* Inside. */
    int step;
    bool is_http_1_0, needs_body, has_host, has_length, is_chunked;
    uint64_t length;     /* Content-Length */
    uint64_t remaining;  /* of the body, or of the chunk */
    uint64_t body_bytes; /* of all chunks so far */
    uint64_t head_bytes;
    struct buf line; /* the beginning of a line whose end has not come */
};

void http_guard_init(struct http_guard *guard);
void http_guard_clear(struct http_guard *guard); /* frees; ready for the next request */

/* Takes the next bytes, up to the request's end; what lies behind it is not looked at. 0, or the
 * status to refuse the request with; after that the guard must not be fed again. */
int http_guard_feed(struct http_guard *guard, const struct http_limits *limits, struct str bytes);

/* The same with the last len bytes of a buffer. */
struct evbuffer;
int http_guard_feed_buffer(struct http_guard *guard, const struct http_limits *limits,
                           struct evbuffer *buffer, size_t len);

#endif

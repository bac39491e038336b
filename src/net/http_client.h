/*
 * One keep-alive connection to one server address, over evhttp's client; one request at a time.
 *
 * The result of a POST is decided when the answer's header is complete (or by a failure), and is
 * reported then, once. What follows of the body is read and thrown away within discard limits so
 * that the connection can be used again; more, or slower, closes it. idle(arg) tells when the
 * connection may take the next request; closed(arg) when it is of no more use (after which the
 * owner calls http_client_free). Neither is called from inside http_client_post. The process must
 * ignore SIGPIPE.
 */
#ifndef NET_HTTP_CLIENT_H
#define NET_HTTP_CLIENT_H

#include "base/str.h"
#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

struct http_client;

enum http_outcome {
    HTTP_ANSWERED,       /* a complete header; status is set */
    HTTP_CONNECT_FAILED, /* refused, unreachable, connect timeout */
    HTTP_OWN_FAULT,      /* no socket to be had: descriptors, memory, local ports used up */
    HTTP_TLS_FAILED,     /* handshake or certificate; reason says which */
    HTTP_TIMED_OUT,      /* no complete header within the attempt's time */
    HTTP_RESET,          /* closed or reset before the header was complete */
    HTTP_MALFORMED,      /* not HTTP, header too large, 101 */
};

struct http_result {
    enum http_outcome outcome;
    int status;             /* HTTP_ANSWERED */
    int64_t retry_after_ms; /* from Retry-After, seconds or date; -1 when absent or unreadable */
    const char *location;   /* HTTP_ANSWERED: the header's value as it came, or NULL */
    const char *reason;     /* English, for the log; valid during the callback, as location */
    /* The connection had carried a request before and nothing of an answer to this one has come:
     * with HTTP_RESET most likely the peer was just closing an idle connection, and the request
     * may be sent again at once on a new one. */
    bool was_reused;
};

struct http_client_config {
    struct event_base *base;
    const struct sockaddr *address; /* copied; already checked against the policy */
    const char *source;             /* own address to connect from; NULL = the system chooses */
    SSL *ssl;                       /* NULL = plain; taken */
    const char *authority;          /* the Host header; copied */
    const char *user_agent;         /* copied */
    int64_t connect_timeout_ms;     /* for TCP alone, inside the attempt's time */
    int64_t max_response_header_bytes, discard_body_bytes;
    int64_t discard_time_ms;
    void (*idle)(struct http_client *client, void *arg);
    void (*closed)(struct http_client *client, void *arg);
    void *arg;
};

/* NULL, with errno: it cannot be connected from that source. */
struct http_client *http_client_new(const struct http_client_config *config);
/* Safe at any moment, also inside its callbacks (then its memory goes in the next turn of the
 * loop); no callback follows; a running request's callback is not called. NULL is allowed. */
void http_client_free(struct http_client *client);

struct http_header {
    const char *name, *value;
};

typedef void (*http_result_cb)(const struct http_result *result, void *arg);

/* POSTs body (copied) to target ("/path?query"), which url_parse has found good. Only when idle. cb
 * is called once, unless the client is freed before. timeout_ms runs from now to the end of the
 * answer's header. */
void http_client_post(struct http_client *client, const char *target,
                      const struct http_header *headers, size_t header_count, struct str body,
                      int64_t timeout_ms, http_result_cb cb, void *arg);

bool http_client_is_idle(const struct http_client *client); /* also before the first request */
int64_t http_client_idle_since(const struct http_client *client); /* tick; -1 while busy */
int64_t http_client_born_at(const struct http_client *client);    /* tick */
uint64_t http_client_requests(const struct http_client *client);

#endif

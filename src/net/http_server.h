/*
 * HTTP serving: listeners over evhttp, routes, limits.
 *
 * A listener serves one or more APIs; the API of a request is the one with the longest matching
 * path prefix, and unknown prefixes belong to the listener's first API. All refusals are answered
 * as JSON by the API's refuse(): 400 malformed head, chunk or escape, 404 unknown path, 405 wrong
 * method (with Allow; HEAD too, without a body), 408 deadline, 411 no length, 413 body, 417 Expect,
 * 431 head, 501 transfer encoding, 503 too many requests in flight, 505 version.
 *
 * evhttp parses leniently and without limits on time, so each connection has a guard that watches
 * the raw bytes first (http_guard.h); what it refuses ends the connection after the answer.
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "net/call.h"
#include <event2/event.h>

struct http_limits {
    int64_t header_bytes, body_bytes;
    int64_t connections; /* all listeners of this server together */
    /* 0 = no limit; unix sockets are not counted; of IPv6 a /64 network counts as one address */
    int64_t connections_per_address;
    int64_t requests_in_flight; /* over it: 503 */
    int64_t header_timeout_ms;  /* from accept, or the first byte of a request, to the head's end */
    int64_t body_timeout_ms; /* from the head's end to the body's end; also for writing answers */
    int64_t idle_timeout_ms; /* between requests */
};

struct http_api {
    const char *name;                  /* label in metrics */
    const char *const *prefixes;       /* "/iocm/", ...; NULL-terminated */
    const struct route *const *tables; /* NULL-terminated list of tables ending in {0} */
    void (*enter)(struct call *call);  /* ends in call_proceed or an answer; NULL = proceed */
    void (*refuse)(struct json_writer *w, int status); /* writes one whole document */
    void *context;
};

struct http_server;
struct http_listener;
struct tls_server;

/* One line of the log for each answer of any server of this process; off at first. */
void http_log_requests(bool is_on);

/* limits are read at each use until http_server_free: a reload that changes them in place takes
 * effect at once. SIGPIPE must be ignored by the process. */
struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits);

struct http_listener_config {
    const char *name;    /* label in metrics and log: "api", "device", "admin" */
    const char *address; /* "127.0.0.1:8080", "[::]:8743" (IPv6 alone), "8743" (all addresses, of
                            IPv6 and IPv4), "unix:/path" */
    int unix_mode;       /* permissions of a unix socket, e.g. 0660; a stale socket is replaced */
    struct tls_server *tls; /* NULL = plain; not owned */
    /* NULL-terminated, at least one. The APIs and their tables outlive the last call. */
    const struct http_api *const *apis;
};

/* Binds and listens. NULL, with a text of what is wrong in *error (free() it). Port 0 binds any
 * free port. */
struct http_listener *http_server_listen(struct http_server *server,
                                         const struct http_listener_config *config, char **error);
/* "127.0.0.1:8080" as really bound. */
const char *http_listener_address(const struct http_listener *listener);
/* The bound socket address, for "never call back our own listeners"; NULL on unix sockets. */
struct sockaddr;
const struct sockaddr *http_listener_sockaddr(const struct http_listener *listener);

/* Checks an address's syntax without binding: NULL when right, else what is wrong (static text). */
const char *http_address_check(const char *address);

/* Stops accepting; connections get "Connection: close" with their current answer, idle ones are
 * closed now; drained(arg) is called once when none is left or after timeout_ms. */
void http_server_stop(struct http_server *server, int64_t timeout_ms, void (*drained)(void *arg),
                      void *arg);
/* Closes what is left. Calls may still be pending: their answers go into the void, also later. Not
 * from inside of a handler or enter(). */
void http_server_free(struct http_server *server);
size_t http_server_connections(const struct http_server *server);

#endif

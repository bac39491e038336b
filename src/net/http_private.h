/*
 * What the files of the HTTP server share: http_server.c (listeners, limits, the end),
 * http_listener.c (accepting), http_connection.c (a connection's life), call.c (a request's life).
 *
 * Who owns whom: the server its listeners; a listener its evhttp, which owns the connections of
 * libevent (struct evhttp_connection). Our struct http_connection lives from accept until libevent
 * tells that its connection is being freed. A call lives until its answer; the memory of server and
 * listeners stays until the last call has ended.
 */
#ifndef NET_HTTP_PRIVATE_H
#define NET_HTTP_PRIVATE_H

#include "base/hash.h"
#include "net/http_address.h"
#include "net/http_guard.h"
#include "net/http_routes.h"
#include "net/http_server.h"
#include "net/peer.h"

#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum http_timeout { TIMEOUT_HEADER, TIMEOUT_BODY, TIMEOUT_IDLE, TIMEOUT_COUNT };

enum http_connection_state {
    CONNECTION_ACCEPTED,  /* libevent has not finished making it */
    CONNECTION_RECEIVING, /* between requests, or inside of one */
    CONNECTION_PENDING,   /* a call is under way */
    CONNECTION_ANSWERING, /* its answer is being written */
    CONNECTION_REFUSED,   /* our own last answer is to be written, or being written */
    CONNECTION_LINGERING, /* it is written; the client may still be sending */
    CONNECTION_CLOSING,   /* to be freed from the deferred event */
};

struct http_connection {
    TAILQ_ENTRY(http_connection) entry;
    UT_hash_handle hh; /* in the server, by evcon */
    struct http_listener *listener;
    struct bufferevent *bev;
    struct evhttp_connection *evcon; /* NULL while CONNECTION_ACCEPTED */
    struct evbuffer_cb_entry *input_watch;
    struct event deadline;
    struct event deferred;
    enum http_connection_state state;
    bool had_request;  /* a whole one */
    bool has_peer_eof; /* while refused */
    struct http_guard guard;
    struct call *call;      /* while pending */
    struct peer *peer;      /* NULL on unix sockets */
    const char *peer_text;
    int refused_status;
    size_t discarded;
};

TAILQ_HEAD(http_connections, http_connection);

struct http_served_api {
    const struct http_api *api;
    struct route_tree *routes;
};

struct http_listener {
    TAILQ_ENTRY(http_listener) entry;
    LIST_ENTRY(http_listener) accepting_entry;
    struct http_server *server;
    char *name, *address;
    char *unix_path; /* to be removed at the end; NULL for others */
    struct sockaddr_storage sockaddr;
    struct tls_server *tls;
    struct evhttp *http;
    struct evhttp_bound_socket *bound; /* NULL when it does not listen any more */
    struct event resume;               /* accepting was paused */
    unsigned accepted_at_once;
    struct http_connections connections;
    size_t connection_count;
    size_t api_count;
    struct http_served_api *apis;
};

TAILQ_HEAD(http_listeners, http_listener);

#define HTTP_SPARE_WRITERS 16

struct http_server {
    struct event_base *base;
    const struct http_limits *limits;
    struct http_listeners listeners;
    struct http_connection *by_evcon;
    struct peers peers;
    size_t connection_count;
    size_t call_count;
    bool is_stopping, is_freed;
    struct event drained_event;
    void (*drained)(void *arg);
    void *drained_arg;
    struct {
        int64_t ms;
        const struct timeval *shared; /* of event_base_init_common_timeout, or NULL */
    } timeouts[TIMEOUT_COUNT];
    size_t spare_count;
    struct json_writer *spare_writers[HTTP_SPARE_WRITERS];
};

/* http_server.c */
void http_server_set_timer(struct http_server *server, struct event *timer,
                           enum http_timeout timeout);
void http_server_connection_gone(struct http_server *server);
struct json_writer *http_server_take_writer(struct http_server *server);
void http_server_give_writer(struct http_server *server, struct json_writer *writer);
void http_server_call_ended(struct http_server *server); /* may free the server */
/* The API that a path belongs to; never NULL. */
const struct http_served_api *http_listener_api(const struct http_listener *listener,
                                                struct str path);
const char *http_status_phrase(int status);
bool http_logs_requests(void);
void http_count_answer(const struct http_listener *listener, const char *route, int status);

/* http_listener.c */
bool http_listener_start(struct http_listener *listener, int fd); /* takes fd */
void http_listener_stop(struct http_listener *listener);

/* http_connection.c */
struct http_connection *http_connection_new(struct http_listener *listener,
                                            event_callback_fn on_accepted);
void http_connection_open(struct http_connection *connection, struct evhttp_connection *evcon);
void http_connection_free(struct http_connection *connection);        /* before or without open */
void http_connection_close(struct http_connection *connection);       /* frees it */
void http_connection_close_later(struct http_connection *connection); /* also from on_input */
bool http_connection_is_idle(const struct http_connection *connection);
void http_connection_take_request(struct evhttp_request *request, void *listener);
/* Sends what stands in the request. */
void http_connection_answer(struct http_connection *connection, struct evhttp_request *request,
                            int status);

/* http_refusal.c: the last words on a connection whose request evhttp must not see. */
void http_refusal_send(struct http_connection *connection);
void http_refusal_discard(struct http_connection *connection); /* input, while refused */

/* call.c */
void call_begin(struct http_connection *connection, struct evhttp_request *request);
/* The client's connection is being freed. The request stays, and belongs to the call from now on.
 */
void call_connection_gone(struct call *call);

#endif

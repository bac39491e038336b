/*
 * Accepting connections.
 *
 * evhttp 2.1 tells nobody that it has accepted a connection, and later versions' hooks for it are
 * not there. What this file leans on instead, all of it in http.c of libevent 2.1:
 *   - For each accepted socket evhttp calls its bevcb for a bufferevent, and in the same turn of
 *     the loop makes it part of a struct evhttp_connection.
 *   - That connection is the argument of the bufferevent's callbacks from then on.
 * So the bevcb activates an event, which runs before the first byte can have been read, and there
 * asks the bufferevent for the connection. Should evhttp have given up on it in between, the
 * bufferevent (of which we hold a reference) has no callbacks any more.
 */
#include "net/http_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "net/tls.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* A flood of connections (and of TLS handshakes, at a millisecond each) takes turns with the rest.
 */
#define ACCEPT_AT_ONCE 32

static LIST_HEAD(accepting_listeners, http_listener) accepting = LIST_HEAD_INITIALIZER(accepting);

static void pause_accepting(struct http_listener *listener, const struct timeval *duration)
{
    if (!listener->bound)
        return;
    evconnlistener_disable(evhttp_bound_socket_get_listener(listener->bound));
    event_add(&listener->resume, duration);
}

static void resume_accepting(evutil_socket_t fd, short what, void *arg)
{
    struct http_listener *listener = arg;

    (void)fd;
    (void)what;
    listener->accepted_at_once = 0;
    if (listener->bound)
        evconnlistener_enable(evhttp_bound_socket_get_listener(listener->bound));
}

static struct http_listener *find_listener(const struct evhttp *http)
{
    struct http_listener *listener;

    LIST_FOREACH(listener, &accepting, accepting_entry)
    if (listener->http == http)
        return listener;
    return NULL;
}

/* Out of descriptors, mostly: the socket stays readable, so trying again at once would spin. The
 * argument is evhttp's own, hence the list. */
static void on_accept_error(struct evconnlistener *socket, void *http)
{
    static const struct timeval pause = {0, 100000};
    int reason = errno;
    struct http_listener *listener = find_listener(http);

    (void)socket;
    if (!listener)
        return;
    log_warn("http", "listener=%s accept=failed reason=%s", listener->name, strerror(reason));
    pause_accepting(listener, &pause);
}

static void set_no_delay(evutil_socket_t fd)
{
    int yes = 1;

    /* Fails on unix sockets, which have no delay. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
}

/* Why a new connection cannot stay: a value of M_CONNECTIONS_REFUSED, or NULL. */
static const char *reason_to_refuse(struct http_connection *connection,
                                    struct evhttp_connection *evcon)
{
    struct http_server *server = connection->listener->server;
    int64_t limit = server->limits->connections_per_address;

    if (server->is_stopping)
        return "stopping";
    if (connection->state == CONNECTION_CLOSING)
        return "tls";
    if ((int64_t)server->connection_count >= server->limits->connections)
        return "limit";
    connection->peer = peer_take(&server->peers, evhttp_connection_get_addr(evcon));
    return limit && peer_connections(connection->peer) > limit ? "address" : NULL;
}

static void on_accepted(evutil_socket_t fd, short what, void *arg)
{
    struct http_connection *connection = arg;
    struct evhttp_connection *evcon;
    const char *reason;
    void *callback_arg;

    (void)fd;
    (void)what;
    bufferevent_getcb(connection->bev, NULL, NULL, NULL, &callback_arg);
    bufferevent_decref(connection->bev);
    evcon = callback_arg;
    if (!evcon) {
        http_connection_free(connection);
        return;
    }
    reason = reason_to_refuse(connection, evcon);
    if (reason) {
        metric_add(M_CONNECTIONS_REFUSED, 1, reason, NULL, NULL);
        log_warn("http", "listener=%s connection=refused reason=%s", connection->listener->name,
                 reason);
        http_connection_free(connection);
        evhttp_connection_free(evcon);
        return;
    }
    set_no_delay(bufferevent_getfd(connection->bev));
    http_connection_open(connection, evcon);
}

static struct bufferevent *make_tls_bufferevent(struct http_listener *listener)
{
    SSL *ssl = tls_server_accept(listener->tls);
    struct bufferevent *bev;

    if (!ssl)
        return NULL;
    bev = bufferevent_openssl_socket_new(listener->server->base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

static struct bufferevent *on_accepting(struct event_base *base, void *arg)
{
    static const struct timeval next_turn = {0, 0};
    struct http_listener *listener = arg;
    struct http_connection *connection;
    struct bufferevent *bev = NULL;

    if (listener->tls)
        bev = make_tls_bufferevent(listener);
    connection = http_connection_new(listener, on_accepted);
    if (!bev) {
        /* Without one evhttp would go on in plain text: then let it, and close before it reads. */
        if (listener->tls)
            connection->state = CONNECTION_CLOSING;
        bev = bufferevent_socket_new(base, -1, 0);
    }
    if (!bev) {
        http_connection_free(connection);
        return NULL; /* out of memory, as evhttp will find out */
    }
    connection->bev = bev;
    bufferevent_incref(bev);
    event_active(&connection->deferred, 0, 0);
    if (++listener->accepted_at_once >= ACCEPT_AT_ONCE)
        pause_accepting(listener, &next_turn);
    return bev;
}

bool http_listener_start(struct http_listener *listener, int fd)
{
    struct event_base *base = listener->server->base;
    struct evconnlistener *socket;

    event_assign(&listener->resume, base, -1, 0, resume_accepting, listener);
    socket =
        evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!socket) {
        close(fd);
        return false;
    }
    evconnlistener_set_error_cb(socket, on_accept_error);
    listener->http = evhttp_new(base);
    if (listener->http)
        listener->bound = evhttp_bind_listener(listener->http, socket);
    if (!listener->bound) {
        evconnlistener_free(socket);
        return false;
    }
    evhttp_set_bevcb(listener->http, on_accepting, listener);
    evhttp_set_gencb(listener->http, http_connection_take_request, listener);
    evhttp_set_allowed_methods(listener->http, 0xffff);
    evhttp_set_default_content_type(listener->http, NULL);
    LIST_INSERT_HEAD(&accepting, listener, accepting_entry);
    return true;
}

void http_listener_stop(struct http_listener *listener)
{
    if (!listener->bound)
        return;
    LIST_REMOVE(listener, accepting_entry);
    event_del(&listener->resume);
    evhttp_del_accept_socket(listener->http, listener->bound);
    listener->bound = NULL;
    if (listener->unix_path)
        (void)unlink(listener->unix_path);
}

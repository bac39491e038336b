#include "net/mqtt_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "net/http_address.h"
#include "net/tls.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct mqtt_server *server_of(const struct mqtt_connection *connection)
{
    return connection->listener->server;
}

/* ---- deadlines ---- */

/* When it has to be looked at, on the tick. What we do not read from is not silent by its own will: it
 * has its time from when it is read from again. */
static int64_t deadline_of(const struct mqtt_connection *connection, int64_t now_ms)
{
    const struct mqtt_limits *limits = server_of(connection)->limits;
    int64_t deadline_ms;

    if (connection->limit_ms)
        return connection->limit_ms;
    switch (connection->state) {
    case MQTT_STATE_NEW:
        return connection->heard_ms + limits->header_timeout_ms;
    case MQTT_STATE_LIVE:
        if (connection->stall == MQTT_STALL_RATE)
            return connection->second_ms + 1000;
        if (connection->stall)
            return now_ms + connection->keep_alive_ms;
        deadline_ms = connection->heard_ms + connection->keep_alive_ms;
        if (connection->has_head && connection->head_ms + limits->body_timeout_ms < deadline_ms)
            deadline_ms = connection->head_ms + limits->body_timeout_ms;
        return deadline_ms;
    default:
        return now_ms + 60000; /* others watch over it */
    }
}

void mqtt_connection_set_deadline(struct mqtt_connection *connection)
{
    wheel_set(&server_of(connection)->wheel, &connection->wheel,
              deadline_of(connection, clock_tick_ms()));
}

static const char *reason_of_deadline(const struct mqtt_connection *connection)
{
    if (connection->limit_ms)
        return connection->reason;
    if (connection->state == MQTT_STATE_NEW)
        return "connect_timeout";
    return connection->has_head ? "packet_timeout" : "keep_alive";
}

static void close_now(struct mqtt_connection *connection, const char *reason);

void mqtt_connection_look(struct mqtt_connection *connection)
{
    int64_t now_ms = clock_tick_ms();

    if (now_ms < deadline_of(connection, now_ms)) {
        mqtt_connection_set_deadline(connection);
        return;
    }
    if (connection->stall == MQTT_STALL_RATE && !connection->limit_ms) {
        mqtt_connection_stall(connection, MQTT_FLOWING);
        mqtt_connection_set_deadline(connection);
    } else if (connection->limit_ms && connection->state == MQTT_STATE_LIVE) {
        mqtt_connection_close(connection, reason_of_deadline(connection));
    } else {
        close_now(connection, reason_of_deadline(connection));
    }
}

/* ---- reading, and not ---- */

static void make_ready(struct mqtt_connection *connection)
{
    struct mqtt_server *server = server_of(connection);

    if (connection->is_ready)
        return;
    connection->is_ready = true;
    TAILQ_INSERT_TAIL(&server->ready, connection, queue_entry);
    event_active(&server->deferred, 0, 0);
}

static void leave_queues(struct mqtt_connection *connection)
{
    struct mqtt_server *server = server_of(connection);

    if (connection->is_ready)
        TAILQ_REMOVE(&server->ready, connection, queue_entry);
    else if (connection->stall == MQTT_STALL_BUDGET)
        TAILQ_REMOVE(&server->waiting, connection, queue_entry);
    connection->is_ready = false;
}

void mqtt_connection_stall(struct mqtt_connection *connection, enum mqtt_stall stall)
{
    if (connection->stall == MQTT_STALL_END || connection->stall == stall)
        return;
    leave_queues(connection);
    connection->stall = stall;
    if (stall == MQTT_STALL_BUDGET)
        TAILQ_INSERT_TAIL(&server_of(connection)->waiting, connection, queue_entry);
    if (stall == MQTT_FLOWING)
        make_ready(connection);
    else
        bufferevent_disable(connection->bev, EV_READ);
}

void mqtt_connection_resume(struct mqtt_connection *connection)
{
    connection->is_ready = false; /* and out of the list */
    if (connection->stall || connection->state > MQTT_STATE_LIVE)
        return;
    connection->heard_ms = connection->head_ms = clock_tick_ms(); /* its time begins anew */
    bufferevent_enable(connection->bev, EV_READ);
    mqtt_input_process(connection);
    if (connection->state <= MQTT_STATE_LIVE)
        mqtt_connection_set_deadline(connection);
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct mqtt_connection *connection = arg;

    (void)bev;
    if (connection->stall == MQTT_FLOWING && !connection->is_ready)
        mqtt_input_process(connection);
}

/* ---- writing ---- */

static bool may_write(struct mqtt_connection *connection, size_t len)
{
    size_t waiting;

    if (connection->state > MQTT_STATE_LIVE)
        return false;
    waiting = evbuffer_get_length(bufferevent_get_output(connection->bev));
    if ((int64_t)(waiting + len) <= server_of(connection)->limits->output_bytes || waiting == 0)
        return true;
    close_now(connection, "slow");
    return false;
}

bool mqtt_connection_write(struct mqtt_connection *connection, const struct buf *bytes)
{
    return may_write(connection, bytes->len) &&
           bufferevent_write(connection->bev, bytes->p, bytes->len) == 0;
}

enum mqtt_output mqtt_connection_output(const struct mqtt_connection *connection)
{
    size_t waiting = evbuffer_get_length(bufferevent_get_output(connection->bev));

    if (waiting == 0)
        return MQTT_OUTPUT_EMPTY;
    return (int64_t)waiting * 2 < server_of(connection)->limits->output_bytes ? MQTT_OUTPUT_SOME
                                                                             : MQTT_OUTPUT_MUCH;
}

bool mqtt_publish(struct mqtt_connection *connection, const struct mqtt_publish *packet)
{
    struct buf head = {0};
    bool is_written;

    mqtt_write_publish_head(&head, packet);
    is_written = may_write(connection, head.len + packet->payload.len) &&
                 bufferevent_write(connection->bev, head.p, head.len) == 0 &&
                 bufferevent_write(connection->bev, packet->payload.p, packet->payload.len) == 0;
    buf_clear(&head);
    if (is_written)
        metric_add(M_MQTT_MESSAGES, 1, "down", NULL, NULL);
    return is_written;
}

/* ---- the end ---- */

static void tell_service(struct mqtt_connection *connection)
{
    const struct mqtt_service *service = server_of(connection)->service;
    void *user = connection->user;

    if (user)
        service->closed(connection, service->context);
    connection->user = NULL;
}

/* Whatever is to come of it: nobody hears of it any more. */
static void detach(struct mqtt_connection *connection, const char *reason)
{
    struct mqtt_server *server = server_of(connection);

    connection->reason = reason;
    metric_add(M_MQTT_CLOSED, 1, reason, NULL, NULL);
    log_debug("mqtt", "listener=%s peer=%s state=closed reason=%s", connection->listener->name,
              mqtt_connection_address(connection), reason);
    leave_queues(connection);
    connection->stall = MQTT_STALL_END;
    if (connection->is_admitted)
        mqtt_server_release(server, connection->head.body_len + MQTT_MESSAGE_COST);
    connection->is_admitted = connection->has_head = false;
    mqtt_pending_forget(connection);
    tell_service(connection);
}

static void close_now(struct mqtt_connection *connection, const char *reason)
{
    struct mqtt_server *server = server_of(connection);

    if (connection->state == MQTT_STATE_CLOSED)
        return;
    if (connection->state != MQTT_STATE_FLUSHING)
        detach(connection, reason);
    connection->state = MQTT_STATE_CLOSED;
    bufferevent_disable(connection->bev, EV_READ | EV_WRITE);
    wheel_remove(&connection->wheel);
    TAILQ_REMOVE(&server->open, connection, entry);
    TAILQ_INSERT_TAIL(&server->closed, connection, entry);
    event_active(&server->deferred, 0, 0);
}

void mqtt_connection_close(struct mqtt_connection *connection, const char *reason)
{
    if (connection->state >= MQTT_STATE_FLUSHING)
        return;
    if (evbuffer_get_length(bufferevent_get_output(connection->bev)) == 0) {
        close_now(connection, reason);
        return;
    }
    detach(connection, reason);
    connection->state = MQTT_STATE_FLUSHING;
    connection->limit_ms = clock_tick_ms() + server_of(connection)->limits->body_timeout_ms;
    bufferevent_disable(connection->bev, EV_READ);
    mqtt_connection_set_deadline(connection);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct mqtt_connection *connection = arg;
    const struct mqtt_service *service = server_of(connection)->service;

    (void)bev;
    if (connection->state == MQTT_STATE_FLUSHING)
        close_now(connection, connection->reason);
    else if (connection->user)
        service->drained(connection, service->context);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct mqtt_connection *connection = arg;

    (void)bev;
    if (what & BEV_EVENT_CONNECTED)
        metric_add(M_TLS_HANDSHAKES, 1, "ok", NULL, NULL);
    else
        close_now(connection, what & BEV_EVENT_EOF ? "eof" : "error");
}

/* Says goodbye in TLS, so that the client can tell an end from a cut. */
static void end_tls(struct mqtt_connection *connection)
{
    SSL *ssl = bufferevent_openssl_get_ssl(connection->bev);

    if (ssl && SSL_is_init_finished(ssl))
        SSL_shutdown(ssl);
    else if (ssl)
        metric_add(M_TLS_HANDSHAKES, 1, "failed", NULL, NULL);
    ERR_clear_error();
}

void mqtt_connection_free(struct mqtt_connection *connection)
{
    struct mqtt_listener *listener = connection->listener;
    struct mqtt_server *server = listener->server;

    close_now(connection, "stopping");
    TAILQ_REMOVE(&server->closed, connection, entry);
    end_tls(connection);
    bufferevent_free(connection->bev);
    peer_release(&server->peers, connection->peer);
    server->connection_count--;
    listener->connection_count--;
    metric_set(M_CONNECTIONS, (double)listener->connection_count, listener->name);
    free(connection);
}

/* ---- the begin ---- */

static void keep_address(struct mqtt_connection *connection, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        memcpy(&connection->address, &in->sin_addr, sizeof(in->sin_addr));
        connection->port = in->sin_port;
        connection->is_ipv4 = true;
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        connection->address = in6->sin6_addr;
        connection->port = in6->sin6_port;
    }
}

const char *mqtt_connection_address(const struct mqtt_connection *connection)
{
    static char shared[80];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = connection->port};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = connection->port,
                               .sin6_addr = connection->address};
    char *text;

    if (!connection->port)
        return "";
    memcpy(&in.sin_addr, &connection->address, sizeof(in.sin_addr));
    text = http_address_text(connection->is_ipv4 ? (struct sockaddr *)&in
                                                 : (struct sockaddr *)&in6);
    snprintf(shared, sizeof(shared), "%s", text);
    free(text);
    return shared;
}

struct str mqtt_connection_peer(const struct mqtt_connection *connection)
{
    return peer_key(connection->peer);
}

bool mqtt_connection_is_tls(const struct mqtt_connection *connection)
{
    return connection->listener->tls != NULL;
}

void *mqtt_connection_user(const struct mqtt_connection *connection)
{
    return connection->user;
}

static struct bufferevent *make_bufferevent(struct mqtt_listener *listener, int fd)
{
    struct event_base *base = listener->server->base;
    struct bufferevent *bev;
    SSL *ssl;

    if (!listener->tls)
        return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    ssl = tls_server_accept(listener->tls);
    if (!ssl)
        return NULL;
    bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

/* A value of M_CONNECTIONS_REFUSED, or NULL. */
static const char *reason_to_refuse(const struct mqtt_server *server, int fd,
                                    const struct peer *peer)
{
    const struct mqtt_limits *limits = server->limits;

    if (server->is_stopping)
        return "stopping";
    if ((size_t)fd >= server->descriptor_limit)
        return "descriptors";
    if ((int64_t)server->connection_count >= limits->connections)
        return "limit";
    return limits->connections_per_address &&
                   peer_connections(peer) > limits->connections_per_address
               ? "address"
               : NULL;
}

static void refuse(struct mqtt_listener *listener, int fd, struct peer *peer, const char *reason)
{
    metric_add(M_CONNECTIONS_REFUSED, 1, reason, NULL, NULL);
    log_warn("mqtt", "listener=%s connection=refused reason=%s", listener->name, reason);
    peer_release(&listener->server->peers, peer);
    close(fd);
}

void mqtt_connection_open(struct mqtt_listener *listener, int fd, const struct sockaddr *address)
{
    struct mqtt_server *server = listener->server;
    struct peer *peer = peer_take(&server->peers, address);
    const char *reason = reason_to_refuse(server, fd, peer);
    struct bufferevent *bev = reason ? NULL : make_bufferevent(listener, fd);
    struct mqtt_connection *connection;
    int yes = 1;

    if (!bev) {
        refuse(listener, fd, peer, reason ? reason : "tls");
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); /* not on unix sockets */
    connection = xcalloc(1, sizeof(*connection));
    connection->listener = listener;
    connection->bev = bev;
    connection->peer = peer;
    connection->level = MQTT_LEVEL_311;
    connection->heard_ms = clock_tick_ms();
    TAILQ_INIT(&connection->pending);
    keep_address(connection, address);
    TAILQ_INSERT_TAIL(&server->open, connection, entry);
    server->connection_count++;
    listener->connection_count++;
    metric_set(M_CONNECTIONS, (double)listener->connection_count, listener->name);
    bufferevent_setcb(bev, on_read, on_written, on_event, connection);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    mqtt_server_has_connections(server);
    mqtt_connection_set_deadline(connection);
}

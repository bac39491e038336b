/*
 * The life of a connection, from its acceptance to evhttp's last word about it.
 *
 * evhttp parses; we watch. A callback on the input buffer hands new bytes to the guard before
 * evhttp sees them. While a request comes in, the deadline belongs to the guard's phase; while its
 * call is pending there is none, so nothing of ours frees a connection with a pending call; what
 * comes in then waits in the buffer and is handed to the guard when the answer is out.
 *
 * When the guard refuses, the bufferevent's callbacks are taken from evhttp at once, so that it
 * never parses these bytes, and the rest is done by http_refusal.c from the deferred event.
 */
#include "net/http_private.h"

#include "base/log.h"
#include "base/metric.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/err.h>

/* evhttp's own limits are a second line, far enough behind the guard's. */
#define BACKSTOP_BYTES 65536

/* Answers up to this size go out with the next turn of the loop. */
#define SMALL_ANSWER_BYTES 16384

/* All evhttp connections have the same. */
static bufferevent_data_cb evhttp_write_cb;

static void set_deadline(struct http_connection *connection, enum http_timeout timeout)
{
    http_server_set_timer(connection->listener->server, &connection->deadline, timeout);
}

bool http_connection_is_idle(const struct http_connection *connection)
{
    return connection->state == CONNECTION_RECEIVING && connection->guard.phase == GUARD_IDLE;
}

void http_connection_close(struct http_connection *connection)
{
    evhttp_connection_free(connection->evcon);
}

void http_connection_close_later(struct http_connection *connection)
{
    connection->state = CONNECTION_CLOSING;
    event_active(&connection->deferred, 0, 0);
}

static void refuse_later(struct http_connection *connection, int status)
{
    connection->state = CONNECTION_REFUSED;
    connection->refused_status = status;
    bufferevent_setcb(connection->bev, NULL, NULL, NULL, NULL);
    event_del(&connection->deadline);
    event_active(&connection->deferred, 0, 0);
}

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct http_connection *connection = arg;

    (void)fd;
    (void)what;
    if (connection->state == CONNECTION_REFUSED)
        http_refusal_send(connection);
    else if (connection->state == CONNECTION_CLOSING)
        http_connection_close(connection);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct http_connection *connection = arg;

    (void)fd;
    (void)what;
    if (connection->state == CONNECTION_RECEIVING && connection->guard.phase != GUARD_IDLE)
        refuse_later(connection, 408);
    else
        http_connection_close(connection);
}

/* The first request must be there within the time that began with the connection; each later one
 * begins its own with its first byte. */
static void set_deadline_of_phase(struct http_connection *connection)
{
    switch (connection->guard.phase) {
    case GUARD_IDLE:
        set_deadline(connection, connection->had_request ? TIMEOUT_IDLE : TIMEOUT_HEADER);
        break;
    case GUARD_HEAD:
        if (connection->had_request)
            set_deadline(connection, TIMEOUT_HEADER);
        break;
    case GUARD_BODY:
        set_deadline(connection, TIMEOUT_BODY);
        break;
    case GUARD_COMPLETE:
        break; /* evhttp is about to hand it over */
    }
}

/* Hands the last len bytes of the input to the guard: 0, or the status to refuse with. */
static int examine(struct http_connection *connection, size_t len)
{
    enum http_guard_phase before = connection->guard.phase;
    int status = http_guard_feed_buffer(&connection->guard, connection->listener->server->limits,
                                        bufferevent_get_input(connection->bev), len);

    if (!status && connection->guard.phase != before)
        set_deadline_of_phase(connection);
    return status;
}

static void set_backstops(struct http_connection *connection)
{
    const struct http_limits *limits = connection->listener->server->limits;

    evhttp_connection_set_max_headers_size(connection->evcon,
                                           limits->header_bytes * 2 + BACKSTOP_BYTES);
    evhttp_connection_set_max_body_size(connection->evcon, limits->body_bytes * 2 + BACKSTOP_BYTES);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct http_connection *connection = arg;
    int status;

    (void)input;
    if (info->n_added == 0)
        return;
    switch (connection->state) {
    case CONNECTION_RECEIVING:
        status = examine(connection, info->n_added);
        if (status)
            refuse_later(connection, status);
        break;
    case CONNECTION_ANSWERING:
        /* The answer waits for the client to read, and the client sends: let it wait, too. evhttp
         * enables reading again when the answer is out. */
        bufferevent_disable(connection->bev, EV_READ);
        break;
    case CONNECTION_REFUSED:
    case CONNECTION_LINGERING:
        http_refusal_discard(connection);
        break;
    case CONNECTION_ACCEPTED:
    case CONNECTION_PENDING:
    case CONNECTION_CLOSING:
        break;
    }
}

static const char *peer_text(struct evhttp_connection *evcon)
{
    char *text;
    ev_uint16_t port;

    if (evhttp_connection_get_addr(evcon)->sa_family == AF_UNIX)
        return "unix";
    evhttp_connection_get_peer(evcon, &text, &port);
    if (str_starts_with(str_of(text), STR("::ffff:")) && strchr(text, '.'))
        text += strlen("::ffff:");
    return text;
}

/* Says goodbye in TLS, so that the client can tell an end from a cut; and counts the handshake. */
static void end_tls(struct http_connection *connection)
{
    SSL *ssl = bufferevent_openssl_get_ssl(connection->bev);
    unsigned long error;

    if (!ssl)
        return;
    if (SSL_is_init_finished(ssl)) {
        metric_add(M_TLS_HANDSHAKES, 1, "ok", NULL, NULL);
        SSL_shutdown(ssl);
    } else {
        error = bufferevent_get_openssl_error(connection->bev);
        metric_add(M_TLS_HANDSHAKES, 1, "failed", NULL, NULL);
        log_debug("http", "listener=%s peer=%s handshake=failed reason=%s",
                  connection->listener->name, connection->peer_text,
                  error ? ERR_reason_error_string(error) : "closed");
    }
    ERR_clear_error();
}

/* From evhttp_connection_free, whoever called it. */
static void on_evhttp_close(struct evhttp_connection *evcon, void *arg)
{
    struct http_connection *connection = arg;
    struct http_listener *listener = connection->listener;
    struct http_server *server = listener->server;

    (void)evcon;
    if (connection->call)
        call_connection_gone(connection->call);
    end_tls(connection);
    evbuffer_remove_cb_entry(bufferevent_get_input(connection->bev), connection->input_watch);
    HASH_DEL(server->by_evcon, connection);
    listener->connection_count--;
    metric_set(M_CONNECTIONS, (double)listener->connection_count, listener->name);
    http_connection_free(connection);
    http_server_connection_gone(server);
}

struct http_connection *http_connection_new(struct http_listener *listener,
                                            event_callback_fn on_accepted)
{
    struct http_connection *connection = xcalloc(1, sizeof(*connection));

    connection->listener = listener;
    connection->state = CONNECTION_ACCEPTED;
    http_guard_init(&connection->guard);
    event_assign(&connection->deferred, listener->server->base, -1, 0, on_accepted, connection);
    event_assign(&connection->deadline, listener->server->base, -1, 0, on_deadline, connection);
    TAILQ_INSERT_TAIL(&listener->connections, connection, entry);
    return connection;
}

void http_connection_free(struct http_connection *connection)
{
    struct http_listener *listener = connection->listener;

    event_del(&connection->deferred);
    event_del(&connection->deadline);
    TAILQ_REMOVE(&listener->connections, connection, entry);
    peer_release(&listener->server->peers, connection->peer);
    http_guard_clear(&connection->guard);
    free(connection);
}

void http_connection_open(struct http_connection *connection, struct evhttp_connection *evcon)
{
    struct http_listener *listener = connection->listener;
    struct http_server *server = listener->server;
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    int status = 0;

    event_assign(&connection->deferred, server->base, -1, 0, on_deferred, connection);
    connection->evcon = evcon;
    connection->state = CONNECTION_RECEIVING;
    connection->peer_text = peer_text(evcon);
    connection->input_watch = evbuffer_add_cb(input, on_input, connection);
    evhttp_connection_set_closecb(evcon, on_evhttp_close, connection);
    set_backstops(connection);
    HASH_ADD_PTR(server->by_evcon, evcon, connection);
    server->connection_count++;
    listener->connection_count++;
    metric_set(M_CONNECTIONS, (double)listener->connection_count, listener->name);
    set_deadline_of_phase(connection);
    if (evbuffer_get_length(input))
        status = examine(connection, evbuffer_get_length(input));
    if (status)
        refuse_later(connection, status);
}

/* evhttp would stop the process over bytes that arrive while a call is pending, which is possible
 * in TLS although reading is disabled: so nothing is told to it until it writes. */
static void stop_reading(struct http_connection *connection)
{
    bufferevent_data_cb on_read, on_write;
    bufferevent_event_cb on_event;
    void *arg;

    bufferevent_getcb(connection->bev, &on_read, &on_write, &on_event, &arg);
    bufferevent_setcb(connection->bev, NULL, on_write, on_event, arg);
    evhttp_write_cb = on_write;
}

void http_connection_take_request(struct evhttp_request *request, void *arg)
{
    struct http_listener *listener = arg;
    struct evhttp_connection *evcon = evhttp_request_get_connection(request);
    struct http_connection *connection = NULL;

    HASH_FIND_PTR(listener->server->by_evcon, &evcon, connection);
    if (!connection || connection->state != CONNECTION_RECEIVING)
        return; /* refused already: the connection ends with our own answer */
    stop_reading(connection);
    if (connection->guard.phase != GUARD_COMPLETE) {
        log_error("http",
                  "listener=%s peer=%s request=refused reason=guard_disagrees",
                  listener->name, connection->peer_text);
        refuse_later(connection, 400);
        return;
    }
    event_del(&connection->deadline);
    connection->state = CONNECTION_PENDING;
    connection->had_request = true;
    call_begin(connection, request);
}

/* In TLS the end of writing is told a moment later. When it was "100 Continue" that went out and
 * the answer has been queued in this moment, evhttp would take the answer for written. */
static void on_written_after_continue(struct bufferevent *bev, void *evcon)
{
    if (evbuffer_get_length(bufferevent_get_output(bev)) == 0)
        evhttp_write_cb(bev, evcon);
}

/* The answer is out, and evhttp will either close the connection or begin to read from it next.
 * What the client sent meanwhile is in the input, and has been seen by nobody. */
static void on_answered(struct evhttp_request *request, void *arg)
{
    struct http_connection *connection = arg;
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    int status = 0;

    (void)request;
    http_guard_clear(&connection->guard);
    set_backstops(connection);
    connection->state = CONNECTION_RECEIVING;
    set_deadline(connection, TIMEOUT_IDLE);
    if (connection->listener->server->is_stopping) {
        http_connection_close_later(connection);
        return;
    }
    if (evbuffer_get_length(input))
        status = examine(connection, evbuffer_get_length(input));
    if (status) {
        refuse_later(connection, status);
        evbuffer_drain(input, evbuffer_get_length(input));
    }
}

void http_connection_answer(struct http_connection *connection, struct evhttp_request *request,
                            int status)
{
    size_t size = evbuffer_get_length(evhttp_request_get_output_buffer(request));
    struct bufferevent *bev = connection->bev;
    bufferevent_event_cb on_event;
    void *evcon;

    connection->call = NULL;
    connection->state = CONNECTION_ANSWERING;
    set_deadline(connection, TIMEOUT_BODY);
    if (connection->listener->server->is_stopping)
        evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
    evhttp_request_set_on_complete_cb(request, on_answered, connection);
    evhttp_send_reply(request, status, http_status_phrase(status), NULL);
    if (connection->guard.expects_continue) {
        bufferevent_getcb(bev, NULL, NULL, &on_event, &evcon);
        bufferevent_setcb(bev, NULL, on_written_after_continue, on_event, evcon);
    }
    /* evhttp reads while it writes, to see the client go. A client that only ends its sending side
     * would lose a long answer by that. */
    if (size > SMALL_ANSWER_BYTES)
        bufferevent_disable(bev, EV_READ);
}

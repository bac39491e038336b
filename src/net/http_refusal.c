/*
 * The last answer on a connection whose request evhttp must not see.
 *
 * The answer is written by us, around evhttp, which keeps believing that it is still reading. Then
 * we end our sending side and go on reading for a moment, throwing away what comes: closing a
 * socket with unread input sends a reset, which can destroy the answer before the client has read
 * it.
 */
#include "net/http_private.h"

#include "base/log.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <openssl/err.h>

#define LINGER_MAX_BYTES 1048576

static const struct timeval write_time = {2, 0}, linger_time = {1, 0};

/* The guard refuses methods without knowing routes. */
static void look_up_path(const struct http_served_api *api, struct str path,
                         struct route_match *match)
{
    struct arena *arena = arena_new();

    route_tree_find(api->routes, arena, EVHTTP_REQ_HEAD, path, match);
    arena_free(arena);
}

static size_t write_answer(struct http_connection *connection, const struct http_served_api *api,
                           int status, unsigned allowed)
{
    struct http_server *server = connection->listener->server;
    struct evbuffer *output = bufferevent_get_output(connection->bev);
    struct json_writer *writer = http_server_take_writer(server);
    char allow[ROUTE_ALLOW_SIZE], date[50];
    struct str body;
    size_t body_len;

    api->api->refuse(writer, status);
    body = json_writer_text(writer);
    evutil_date_rfc1123(date, sizeof(date), NULL);
    evbuffer_add_printf(output,
                        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n",
                        status, http_status_phrase(status), date, body.len);
    if (allowed) {
        route_allow_text(allowed, allow);
        evbuffer_add_printf(output, "Allow: %s\r\n", allow);
    }
    evbuffer_add(output, "\r\n", 2);
    body_len = connection->guard.is_head_method ? 0 : body.len;
    evbuffer_add(output, body.p, body_len);
    http_server_give_writer(server, writer);
    return body_len;
}

/* Method and time belong to requests that were read; of this one there may be half a head. */
static void log_refusal(const struct http_connection *connection, struct str path, int status,
                        size_t bytes)
{
    if (http_logs_requests())
        log_record("request",
                   "listener=%s peer=%s method=- route=- path=%.*s status=%d bytes=%zu ms=0 app=-",
                   connection->listener->name, connection->peer_text,
                   path.len ? (int)path.len : 1, path.len ? path.p : "-", status, bytes);
}

static void on_written(struct bufferevent *bev, void *arg)
{
    struct http_connection *connection = arg;
    SSL *ssl = bufferevent_openssl_get_ssl(bev);

    if (evbuffer_get_length(bufferevent_get_output(bev)))
        return;
    if (connection->has_peer_eof) {
        http_connection_close(connection);
        return;
    }
    if (ssl) {
        SSL_shutdown(ssl);
        ERR_clear_error();
    }
    shutdown(bufferevent_getfd(bev), SHUT_WR);
    connection->state = CONNECTION_LINGERING;
    event_add(&connection->deadline, &linger_time);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_connection *connection = arg;

    if (what & BEV_EVENT_CONNECTED)
        return;
    if (connection->state == CONNECTION_REFUSED && (what & BEV_EVENT_EOF) &&
        (what & BEV_EVENT_READING)) {
        /* It sends no more, but may well want to know. */
        connection->has_peer_eof = true;
        bufferevent_disable(bev, EV_READ);
        bufferevent_enable(bev, EV_WRITE);
        return;
    }
    http_connection_close(connection);
}

void http_refusal_send(struct http_connection *connection)
{
    struct bufferevent *bev = connection->bev;
    struct str path = str_n(connection->guard.path, connection->guard.path_len);
    const struct http_served_api *api = http_listener_api(connection->listener, path);
    int status = connection->refused_status;
    struct route_match match = {0};
    size_t bytes;

    if (status == 405) {
        look_up_path(api, path, &match);
        status = match.status;
    }
    evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
    bytes = write_answer(connection, api, status, match.allowed);
    log_refusal(connection, path, status, bytes);
    http_count_answer(connection->listener, NULL, status);
    bufferevent_setcb(bev, NULL, on_written, on_event, connection);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    event_add(&connection->deadline, &write_time);
}

void http_refusal_discard(struct http_connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    size_t len = evbuffer_get_length(input);

    connection->discarded += len;
    evbuffer_drain(input, len);
    if (connection->state == CONNECTION_LINGERING && connection->discarded > LINGER_MAX_BYTES)
        http_connection_close_later(connection);
}

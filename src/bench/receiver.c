/*
 * Input is read into one buffer that all connections share; only what is left of an incomplete request
 * is kept with its connection, and put in front of what is read next. Answers of one turn are
 * collected in a second shared buffer and written at once; only what the socket does not take is kept.
 * So an idle connection costs a few hundred bytes.
 */
#include "bench/receiver.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "bench/wire.h"
#include <errno.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/queue.h>

#define READ_BYTES  (64 * 1024)
#define INPUT_BYTES (SCAN_HEAD_MAX + SCAN_BODY_MAX + READ_BYTES)
#define BACKLOG     1024

struct port {
    struct receiver *receiver;
    struct evconnlistener *listener;
    uintptr_t mark;
    LIST_ENTRY(port) link;
};

struct connection {
    struct receiver *receiver;
    struct wire wire;
    struct event readable, writable, delayed;
    struct buf input, output; /* an incomplete request, unsent answers */
    size_t written;           /* of output */
    uintptr_t mark;
    int delayed_status;
    bool is_delayed, is_hung, closes, resets;
    LIST_ENTRY(connection) link;
};

struct receiver {
    struct receiver_config config;
    struct receiver_figures figures;
    LIST_HEAD(port_list, port) ports;
    LIST_HEAD(connection_list, connection) connections;
    const struct timeval *delay;
    struct timeval accept_pause;
    struct event *accept_again;
    char *input;
    struct buf answers; /* of the turn under way */
};

/* ---- connections ---- */

static void connection_free(struct connection *connection, bool as_reset)
{
    LIST_REMOVE(connection, link);
    connection->receiver->figures.open--;
    event_del(&connection->readable);
    event_del(&connection->writable);
    event_del(&connection->delayed);
    wire_close(&connection->wire, as_reset);
    buf_clear(&connection->input);
    buf_clear(&connection->output);
    free(connection);
}

/* ---- answers ---- */

static const char *reason_of(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 503:
        return "Service Unavailable";
    default:
        return "Answer";
    }
}

static void add_answer(struct receiver *receiver, int status, bool closes)
{
    static const char usual[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    if (status == 200 && !closes)
        buf_add(&receiver->answers, usual, sizeof(usual) - 1);
    else
        buf_printf(&receiver->answers, "HTTP/1.1 %d %s\r\n%s%s\r\n", status, reason_of(status),
                   status == 204 ? "" : "Content-Length: 0\r\n",
                   closes ? "Connection: close\r\n" : "");
}

/* Writes the turn's answers. false: the connection is gone. */
static bool flush_answers(struct connection *connection)
{
    struct buf *answers = &connection->receiver->answers;
    struct buf *output = &connection->output;
    ssize_t n = 0;

    if (answers->len && !output->len)
        n = wire_write(&connection->wire, answers->p, answers->len);
    if (n >= 0 && (size_t)n < answers->len) {
        buf_add(output, answers->p + n, answers->len - (size_t)n);
        event_del(&connection->readable);
        event_add(&connection->writable, NULL);
    }
    buf_reset(answers);
    if (n >= 0 && (!connection->closes || connection->is_delayed || output->len))
        return true;
    connection_free(connection, false);
    return false;
}

/* ---- requests ---- */

static void take_request(struct connection *connection, const struct http_message *request)
{
    struct receiver *receiver = connection->receiver;
    struct fault fault =
        receiver->config.decide(request, connection->mark, receiver->config.arg);
    int status = fault.kind == FAULT_STATUS ? fault.status : receiver->config.status;

    receiver->figures.requests++;
    receiver->figures.bytes += request->size_bytes;
    connection->is_hung = fault.kind == FAULT_HANG;
    connection->resets = fault.kind == FAULT_RESET;
    if (connection->is_hung || connection->resets)
        return;
    connection->closes = request->closes;
    if (receiver->config.delay_ms > 0) {
        connection->is_delayed = true;
        connection->delayed_status = status;
        event_del(&connection->readable);
        event_add(&connection->delayed, receiver->delay);
    } else {
        add_answer(receiver, status, request->closes);
    }
}

static void take_broken(struct connection *connection)
{
    connection->receiver->figures.broken_requests++;
    connection->closes = true;
    add_answer(connection->receiver, 400, true);
}

static bool goes_on(const struct connection *connection)
{
    return !connection->is_delayed && !connection->is_hung && !connection->resets &&
           !connection->closes;
}

/* Takes the requests that the input begins with; the rest is kept. false: the connection is gone. */
static bool take_input(struct connection *connection, const char *bytes, size_t len)
{
    struct http_message request;
    struct buf rest = {0};
    size_t used = 0;

    while (goes_on(connection) && used < len) {
        enum scan scan = http_scan_request(str_n(bytes + used, len - used), &request);

        if (scan == SCAN_MORE)
            break;
        if (scan == SCAN_WHOLE) {
            used += request.size_bytes;
            take_request(connection, &request);
        } else {
            take_broken(connection);
        }
    }
    if (connection->resets) {
        buf_reset(&connection->receiver->answers);
        connection_free(connection, true);
        return false;
    }
    if (used < len && !connection->is_hung && !connection->closes)
        buf_add(&rest, bytes + used, len - used);
    buf_clear(&connection->input); /* which bytes may point into */
    connection->input = rest;
    return flush_answers(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *connection = arg;
    struct receiver *receiver = connection->receiver;
    ssize_t n;

    (void)fd;
    (void)what;
    do {
        size_t kept = connection->input.len;

        if (kept)
            memcpy(receiver->input, connection->input.p, kept);
        n = wire_read(&connection->wire, receiver->input + kept, READ_BYTES);
        if (n < 0) {
            connection_free(connection, false);
            return;
        }
        if (connection->wire.wants_write)
            event_add(&connection->writable, NULL);
        if (n == 0 || connection->is_hung)
            return;
        if (!take_input(connection, receiver->input, kept + (size_t)n))
            return;
    } while (goes_on(connection) && !connection->output.len &&
             wire_has_pending(&connection->wire));
}

/* After a pause: what came before it, then what comes. */
static void go_on(struct connection *connection)
{
    if (!take_input(connection, connection->input.p, connection->input.len) ||
        connection->is_delayed || connection->output.len)
        return;
    event_add(&connection->readable, NULL);
    if (connection->wire.ssl) /* what TLS has read already makes no event */
        on_readable(connection->wire.fd, EV_READ, connection);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct connection *connection = arg;
    struct buf *output = &connection->output;
    ssize_t n;

    (void)fd;
    (void)what;
    if (output->len) {
        n = wire_write(&connection->wire, output->p + connection->written,
                       output->len - connection->written);
        if (n < 0) {
            connection_free(connection, false);
            return;
        }
        connection->written += (size_t)n;
        if (connection->written < output->len) {
            event_add(&connection->writable, NULL);
            return;
        }
        buf_clear(output);
        connection->written = 0;
    }
    if (!connection->is_delayed)
        go_on(connection);
}

static void on_delay_over(evutil_socket_t fd, short what, void *arg)
{
    struct connection *connection = arg;

    (void)fd;
    (void)what;
    connection->is_delayed = false;
    add_answer(connection->receiver, connection->delayed_status, connection->closes);
    if (flush_answers(connection) && !connection->output.len)
        go_on(connection);
}

/* ---- listeners ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int peer_len, void *arg)
{
    struct port *port = arg;
    struct receiver *receiver = port->receiver;
    struct event_base *base = receiver->config.base;
    struct connection *connection;
    SSL *ssl = NULL;

    (void)listener;
    (void)peer;
    (void)peer_len;
    if (receiver->figures.open >= receiver->config.max_connections ||
        (receiver->config.tls && !(ssl = tls_server_accept(receiver->config.tls)))) {
        receiver->figures.refused_connections++;
        evutil_closesocket(fd);
        return;
    }
    connection = xcalloc(1, sizeof(*connection));
    connection->receiver = receiver;
    connection->mark = port->mark;
    wire_accept(&connection->wire, fd, ssl);
    event_assign(&connection->readable, base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    event_assign(&connection->writable, base, fd, EV_WRITE, on_writable, connection);
    evtimer_assign(&connection->delayed, base, on_delay_over, connection);
    LIST_INSERT_HEAD(&receiver->connections, connection, link);
    receiver->figures.open++;
    receiver->figures.connections++;
    event_add(&connection->readable, NULL);
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct receiver *receiver = arg;
    struct port *port;

    (void)fd;
    (void)what;
    LIST_FOREACH(port, &receiver->ports, link)
        evconnlistener_enable(port->listener);
}

/* Without descriptors accepting would spin: a short pause. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct port *port = arg;

    port->receiver->figures.refused_connections++;
    evconnlistener_disable(listener);
    evtimer_add(port->receiver->accept_again, &port->receiver->accept_pause);
}

static uint16_t port_of(struct evconnlistener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &len) < 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

/* libevent takes a missing port for 0, but not a 0. */
static bool parse_address(const char *text, struct sockaddr_storage *address, int *len)
{
    struct str host = str_of(text);
    char *copy;
    bool is_right;

    if (str_ends_with(host, STR(":0")))
        host.len -= 2;
    copy = str_dup(host);
    is_right = evutil_parse_sockaddr_port(copy, (struct sockaddr *)address, len) == 0;
    free(copy);
    return is_right;
}

char *receiver_listen(struct receiver *receiver, const char *address, uintptr_t mark,
                      uint16_t *bound)
{
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct sockaddr_storage parsed = {0};
    int len = sizeof(parsed);
    struct port *port;

    if (!parse_address(address, &parsed, &len))
        return xasprintf("%s: not an address; write 127.0.0.1:9080", address);
    port = xcalloc(1, sizeof(*port));
    port->receiver = receiver;
    port->mark = mark;
    port->listener = evconnlistener_new_bind(receiver->config.base, on_accept, port, flags,
                                             BACKLOG, (struct sockaddr *)&parsed, len);
    if (!port->listener) {
        free(port);
        return xasprintf("%s: %s", address, strerror(errno));
    }
    evconnlistener_set_error_cb(port->listener, on_accept_error);
    LIST_INSERT_HEAD(&receiver->ports, port, link);
    *bound = port_of(port->listener);
    return NULL;
}

/* ---- life ---- */

struct receiver *receiver_new(const struct receiver_config *config)
{
    struct receiver *receiver = xcalloc(1, sizeof(*receiver));
    struct timeval delay = {config->delay_ms / 1000, config->delay_ms % 1000 * 1000};

    receiver->config = *config;
    receiver->input = xmalloc(INPUT_BYTES);
    receiver->accept_pause = (struct timeval){0, 100000};
    receiver->accept_again = evtimer_new(config->base, accept_again, receiver);
    if (config->delay_ms > 0)
        receiver->delay = event_base_init_common_timeout(config->base, &delay);
    LIST_INIT(&receiver->ports);
    LIST_INIT(&receiver->connections);
    return receiver;
}

void receiver_free(struct receiver *receiver)
{
    struct port *port;

    while ((port = LIST_FIRST(&receiver->ports))) {
        LIST_REMOVE(port, link);
        evconnlistener_free(port->listener);
        free(port);
    }
    while (!LIST_EMPTY(&receiver->connections))
        connection_free(LIST_FIRST(&receiver->connections), false);
    event_free(receiver->accept_again);
    buf_clear(&receiver->answers);
    free(receiver->input);
    free(receiver);
}

const struct receiver_figures *receiver_figures(const struct receiver *receiver)
{
    return &receiver->figures;
}

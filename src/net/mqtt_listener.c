/* Accepting connections. */
#include "net/mqtt_private.h"

#include "base/log.h"

#include <errno.h>
#include <unistd.h>

/* A flood of connections (and of TLS handshakes, at a millisecond each) takes turns with the rest. */
#define ACCEPT_AT_ONCE 32

static void pause_accepting(struct mqtt_listener *listener, const struct timeval *duration)
{
    evconnlistener_disable(listener->socket);
    event_add(&listener->resume, duration);
}

static void resume_accepting(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_listener *listener = arg;

    (void)fd;
    (void)what;
    listener->accepted_at_once = 0;
    evconnlistener_enable(listener->socket);
}

/* Out of descriptors, mostly: the socket stays readable, so trying again at once would spin. */
static void on_accept_error(struct evconnlistener *socket, void *arg)
{
    static const struct timeval pause = {0, 100000};
    struct mqtt_listener *listener = arg;
    int reason = errno;

    (void)socket;
    log_warn("mqtt", "listener=%s accept=failed reason=%s", listener->name, strerror(reason));
    pause_accepting(listener, &pause);
}

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *arg)
{
    static const struct timeval next_turn = {0, 0};
    struct mqtt_listener *listener = arg;

    (void)socket;
    (void)len;
    mqtt_connection_open(listener, fd, address);
    if (++listener->accepted_at_once >= ACCEPT_AT_ONCE)
        pause_accepting(listener, &next_turn);
}

bool mqtt_listener_start(struct mqtt_listener *listener, int fd)
{
    struct event_base *base = listener->server->base;

    event_assign(&listener->resume, base, -1, 0, resume_accepting, listener);
    listener->socket = evconnlistener_new(base, on_accept, listener,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!listener->socket) {
        close(fd);
        return false;
    }
    evconnlistener_set_error_cb(listener->socket, on_accept_error);
    return true;
}

void mqtt_listener_stop(struct mqtt_listener *listener)
{
    if (!listener->socket)
        return;
    event_del(&listener->resume);
    evconnlistener_free(listener->socket);
    listener->socket = NULL;
}

#include "net/mqtt_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "net/http_address.h"

#include <stdlib.h>
#include <sys/resource.h>

#define SPARE_DESCRIPTORS_MAX 1024 /* for Redis, callbacks, files, and applications */

/* ---- what messages share ---- */

struct arena *mqtt_server_take_arena(struct mqtt_server *server)
{
    return server->spare_count ? server->spare_arenas[--server->spare_count] : arena_new();
}

void mqtt_server_give_arena(struct mqtt_server *server, struct arena *arena)
{
    if (server->spare_count == MQTT_SPARE_ARENAS || server->is_freed) {
        arena_free(arena);
        return;
    }
    arena_reset(arena);
    server->spare_arenas[server->spare_count++] = arena;
}

/* The last one may be over it, so that none is too large to ever come in. */
bool mqtt_server_reserve(struct mqtt_server *server, size_t bytes)
{
    if ((int64_t)server->reserved >= server->limits->bytes_in_flight)
        return false;
    server->reserved += bytes;
    return true;
}

static void wake_one(struct mqtt_server *server)
{
    struct mqtt_connection *longest = TAILQ_FIRST(&server->waiting);

    if (longest && (int64_t)server->reserved < server->limits->bytes_in_flight)
        mqtt_connection_stall(longest, MQTT_FLOWING);
}

void mqtt_server_release(struct mqtt_server *server, size_t bytes)
{
    server->reserved -= bytes;
    if (bytes)
        wake_one(server);
}

/* ---- the loop ---- */

static void on_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_server *server = arg;
    struct mqtt_connection *connection;

    (void)fd;
    (void)what;
    while ((connection = TAILQ_FIRST(&server->ready))) {
        TAILQ_REMOVE(&server->ready, connection, queue_entry);
        mqtt_connection_resume(connection);
    }
    while ((connection = TAILQ_FIRST(&server->closed)))
        mqtt_connection_free(connection);
    wake_one(server);
    if (server->connection_count == 0)
        event_del(&server->turn);
    if (server->stopped && server->connection_count == 0)
        event_active(&server->stopped_event, 0, 0);
}

static void look(struct wheel_entry *entry, void *arg)
{
    (void)arg;
    mqtt_connection_look((struct mqtt_connection *)((char *)entry -
                                                    offsetof(struct mqtt_connection, wheel)));
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_server *server = arg;

    (void)fd;
    (void)what;
    wheel_turn(&server->wheel, clock_tick_ms(), look, server);
}

/* ---- begin ---- */

static size_t descriptors_for_clients(void)
{
    struct rlimit limit;
    size_t all, spare;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    all = (size_t)limit.rlim_cur;
    spare = all / 8 < SPARE_DESCRIPTORS_MAX ? all / 8 : SPARE_DESCRIPTORS_MAX;
    return all - spare;
}

struct mqtt_server *mqtt_server_new(struct event_base *base, const struct mqtt_limits *limits,
                                    const struct mqtt_service *service)
{
    struct mqtt_server *server = xcalloc(1, sizeof(*server));

    server->base = base;
    server->limits = limits;
    server->service = service;
    server->descriptor_limit = descriptors_for_clients();
    LIST_INIT(&server->listeners);
    TAILQ_INIT(&server->open);
    TAILQ_INIT(&server->closed);
    TAILQ_INIT(&server->waiting);
    TAILQ_INIT(&server->ready);
    wheel_init(&server->wheel, clock_tick_ms());
    event_assign(&server->turn, base, -1, EV_PERSIST, on_turn, server);
    event_assign(&server->deferred, base, -1, 0, on_deferred, server);
    return server;
}

void mqtt_server_has_connections(struct mqtt_server *server)
{
    static const struct timeval step = {0, WHEEL_STEP_MS * 1000};

    if (!event_pending(&server->turn, EV_TIMEOUT, NULL))
        event_add(&server->turn, &step);
}

static bool listen_at(struct mqtt_listener *listener, const char *text, char **error)
{
    struct sockaddr *sockaddr = (struct sockaddr *)&listener->sockaddr;
    struct http_address address;
    const char *problem = http_address_parse(text, &address);
    socklen_t len = sizeof(listener->sockaddr);
    int fd;

    if (problem || address.sockaddr.ss_family == AF_UNIX) {
        *error = xstrdup(problem ? problem : "MQTT is not served on unix sockets");
        return false;
    }
    fd = http_address_listen(&address, 0, error);
    if (fd < 0)
        return false;
    getsockname(fd, sockaddr, &len);
    listener->address = http_address_text(sockaddr);
    if (mqtt_listener_start(listener, fd))
        return true;
    *error = xstrdup("cannot listen: libevent refuses the socket");
    return false;
}

static void listener_free(struct mqtt_listener *listener)
{
    free(listener->name);
    free(listener->address);
    free(listener);
}

struct mqtt_listener *mqtt_server_listen(struct mqtt_server *server,
                                         const struct mqtt_listener_config *config, char **error)
{
    struct mqtt_listener *listener = xcalloc(1, sizeof(*listener));

    listener->server = server;
    listener->name = xstrdup(config->name);
    listener->tls = config->tls;
    if (!listen_at(listener, config->address, error)) {
        listener_free(listener);
        return NULL;
    }
    LIST_INSERT_HEAD(&server->listeners, listener, entry);
    metric_set(M_CONNECTIONS, 0, listener->name);
    return listener;
}

const char *mqtt_listener_address(const struct mqtt_listener *listener)
{
    return listener->address;
}

const struct sockaddr *mqtt_listener_sockaddr(const struct mqtt_listener *listener)
{
    return (const struct sockaddr *)&listener->sockaddr;
}

size_t mqtt_server_connections(const struct mqtt_server *server)
{
    return server->connection_count;
}

/* ---- end ---- */

static void on_stopped(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_server *server = arg;
    void (*stopped)(void *) = server->stopped;

    (void)fd;
    (void)what;
    server->stopped = NULL;
    if (stopped)
        stopped(server->stopped_arg); /* may free the server */
}

static void stop_listeners(struct mqtt_server *server)
{
    struct mqtt_listener *listener;

    LIST_FOREACH (listener, &server->listeners, entry)
        mqtt_listener_stop(listener);
}

void mqtt_server_stop(struct mqtt_server *server, int64_t timeout_ms, void (*stopped)(void *arg),
                      void *arg)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    struct mqtt_connection *connection, *next;

    if (server->is_stopping)
        return;
    server->is_stopping = true;
    stop_listeners(server);
    for (connection = TAILQ_FIRST(&server->open); connection; connection = next) {
        next = TAILQ_NEXT(connection, entry);
        mqtt_connection_stall(connection, MQTT_STALL_END);
        if (connection->in_flight == 0)
            mqtt_connection_close(connection, "stopping");
    }
    server->stopped = stopped;
    server->stopped_arg = arg;
    event_assign(&server->stopped_event, server->base, -1, 0, on_stopped, server);
    event_add(&server->stopped_event, &timeout);
    if (server->connection_count == 0)
        event_active(&server->stopped_event, 0, 0);
}

static void free_memory(struct mqtt_server *server)
{
    struct mqtt_listener *listener;

    while ((listener = LIST_FIRST(&server->listeners))) {
        LIST_REMOVE(listener, entry);
        listener_free(listener);
    }
    while (server->spare_count)
        arena_free(server->spare_arenas[--server->spare_count]);
    free(server);
}

void mqtt_server_message_gone(struct mqtt_server *server)
{
    server->pending_count--;
    if (server->is_freed && server->pending_count == 0)
        free_memory(server);
}

void mqtt_server_free(struct mqtt_server *server)
{
    struct mqtt_connection *connection;

    if (!server)
        return;
    stop_listeners(server);
    while ((connection = TAILQ_FIRST(&server->open)) ||
           (connection = TAILQ_FIRST(&server->closed)))
        mqtt_connection_free(connection);
    if (server->is_stopping)
        event_del(&server->stopped_event);
    server->stopped = NULL;
    event_del(&server->turn);
    event_del(&server->deferred);
    server->is_freed = true;
    if (server->pending_count == 0)
        free_memory(server);
}

#include "net/http_private.h"

#include "base/log.h"
#include "base/metric.h"

#include <event2/http.h>
#include <stdio.h>
#include <sys/un.h>

struct http_server *http_server_new(struct event_base *base, const struct http_limits *limits)
{
    struct http_server *server = xcalloc(1, sizeof(*server));

    server->base = base;
    server->limits = limits;
    TAILQ_INIT(&server->listeners);
    return server;
}

size_t http_server_connections(const struct http_server *server)
{
    return server->connection_count;
}

/* --- what connections and calls need of the server --- */

/* Timers of equal length share a queue, where adding and removing cost nothing. The queues belong
 * to lengths, and these can change with a reload. */
void http_server_set_timer(struct http_server *server, struct event *timer,
                           enum http_timeout timeout)
{
    const int64_t ms[TIMEOUT_COUNT] = {
        [TIMEOUT_HEADER] = server->limits->header_timeout_ms,
        [TIMEOUT_BODY] = server->limits->body_timeout_ms,
        [TIMEOUT_IDLE] = server->limits->idle_timeout_ms,
    };
    struct timeval tv = {ms[timeout] / 1000, ms[timeout] % 1000 * 1000};

    if (server->timeouts[timeout].ms != ms[timeout]) {
        server->timeouts[timeout].ms = ms[timeout];
        server->timeouts[timeout].shared = event_base_init_common_timeout(server->base, &tv);
    }
    event_add(timer, server->timeouts[timeout].shared ? server->timeouts[timeout].shared : &tv);
}

struct json_writer *http_server_take_writer(struct http_server *server)
{
    return server->spare_count ? server->spare_writers[--server->spare_count] : json_writer_new();
}

void http_server_give_writer(struct http_server *server, struct json_writer *writer)
{
    if (server->spare_count == HTTP_SPARE_WRITERS) {
        json_writer_free(writer);
        return;
    }
    json_writer_reset(writer);
    server->spare_writers[server->spare_count++] = writer;
}

static size_t prefix_len(const struct http_api *api, struct str path)
{
    size_t longest = 0;

    for (const char *const *prefix = api->prefixes; *prefix; prefix++) {
        struct str text = str_of(*prefix);

        if (text.len > longest && str_starts_with(path, text))
            longest = text.len;
    }
    return longest;
}

const struct http_served_api *http_listener_api(const struct http_listener *listener,
                                                struct str path)
{
    const struct http_served_api *best = &listener->apis[0];
    size_t longest = 0;

    for (size_t i = 0; i < listener->api_count; i++) {
        size_t len = prefix_len(listener->apis[i].api, path);

        if (len > longest) {
            longest = len;
            best = &listener->apis[i];
        }
    }
    return best;
}

const char *http_status_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Status";
}

static bool logs_requests;

void http_log_requests(bool is_on)
{
    logs_requests = is_on;
}

bool http_logs_requests(void)
{
    return logs_requests;
}

void http_count_answer(const struct http_listener *listener, const char *route, int status)
{
    char text[12];

    snprintf(text, sizeof(text), "%d", status);
    metric_add(M_HTTP_REQUESTS, 1, listener->name, route ? route : "-", text);
}

/* --- listeners --- */

static void listener_free(struct http_listener *listener)
{
    for (size_t i = 0; i < listener->api_count; i++)
        route_tree_free(listener->apis[i].routes);
    free(listener->apis);
    free(listener->name);
    free(listener->address);
    free(listener->unix_path);
    free(listener);
}

static struct http_listener *listener_new(struct http_server *server,
                                          const struct http_listener_config *config)
{
    struct http_listener *listener = xcalloc(1, sizeof(*listener));

    listener->server = server;
    listener->name = xstrdup(config->name);
    listener->tls = config->tls;
    TAILQ_INIT(&listener->connections);
    return listener;
}

static bool compile_apis(struct http_listener *listener, const struct http_api *const *apis,
                         char **error)
{
    size_t count = 0;

    while (apis[count])
        count++;
    listener->apis = xcalloc(count, sizeof(*listener->apis));
    for (size_t i = 0; i < count; i++) {
        listener->apis[i].api = apis[i];
        listener->apis[i].routes = route_tree_new(apis[i]->tables, error);
        if (!listener->apis[i].routes)
            return false;
        listener->api_count++;
    }
    return true;
}

static bool listen_at(struct http_listener *listener, const struct http_listener_config *config,
                      char **error)
{
    struct sockaddr *sockaddr = (struct sockaddr *)&listener->sockaddr;
    struct http_address address;
    const char *problem = http_address_parse(config->address, &address);
    socklen_t len = sizeof(listener->sockaddr);
    int fd;

    if (problem) {
        *error = xstrdup(problem);
        return false;
    }
    fd = http_address_listen(&address, config->unix_mode, error);
    if (fd < 0)
        return false;
    getsockname(fd, sockaddr, &len);
    listener->address = http_address_text(sockaddr);
    if (sockaddr->sa_family == AF_UNIX)
        listener->unix_path = xstrdup(((struct sockaddr_un *)&address.sockaddr)->sun_path);
    if (!http_listener_start(listener, fd)) {
        *error = xstrdup("cannot listen: libevent refuses the socket");
        return false;
    }
    return true;
}

struct http_listener *http_server_listen(struct http_server *server,
                                         const struct http_listener_config *config, char **error)
{
    struct http_listener *listener = listener_new(server, config);

    if (!compile_apis(listener, config->apis, error) || !listen_at(listener, config, error)) {
        listener_free(listener);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&server->listeners, listener, entry);
    metric_set(M_CONNECTIONS, 0, listener->name);
    return listener;
}

const char *http_listener_address(const struct http_listener *listener)
{
    return listener->address;
}

const struct sockaddr *http_listener_sockaddr(const struct http_listener *listener)
{
    return listener->unix_path ? NULL : (const struct sockaddr *)&listener->sockaddr;
}

/* --- the end --- */

static void on_drained(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    void (*drained)(void *) = server->drained;

    (void)fd;
    (void)what;
    server->drained = NULL;
    if (drained)
        drained(server->drained_arg); /* may free the server */
}

void http_server_connection_gone(struct http_server *server)
{
    server->connection_count--;
    if (server->drained && server->connection_count == 0)
        event_active(&server->drained_event, 0, 0);
}

static void close_idle(struct http_listener *listener)
{
    struct http_connection *connection, *next;

    for (connection = TAILQ_FIRST(&listener->connections); connection; connection = next) {
        next = TAILQ_NEXT(connection, entry);
        if (http_connection_is_idle(connection))
            http_connection_close(connection);
    }
}

static void stop_listeners(struct http_server *server)
{
    struct http_listener *listener = TAILQ_FIRST(&server->listeners);

    for (; listener; listener = TAILQ_NEXT(listener, entry)) {
        http_listener_stop(listener);
        close_idle(listener);
    }
}

void http_server_stop(struct http_server *server, int64_t timeout_ms, void (*drained)(void *arg),
                      void *arg)
{
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    if (server->is_stopping)
        return;
    server->is_stopping = true;
    stop_listeners(server);
    server->drained = drained;
    server->drained_arg = arg;
    event_assign(&server->drained_event, server->base, -1, 0, on_drained, server);
    event_add(&server->drained_event, &timeout);
    if (server->connection_count == 0)
        event_active(&server->drained_event, 0, 0);
}

static void free_memory(struct http_server *server)
{
    struct http_listener *listener;

    while ((listener = TAILQ_FIRST(&server->listeners))) {
        TAILQ_REMOVE(&server->listeners, listener, entry);
        listener_free(listener);
    }
    while (server->spare_count)
        json_writer_free(server->spare_writers[--server->spare_count]);
    free(server);
}

void http_server_call_ended(struct http_server *server)
{
    server->call_count--;
    if (server->is_freed && server->call_count == 0)
        free_memory(server);
}

void http_server_free(struct http_server *server)
{
    struct http_listener *listener;
    struct http_connection *connection;

    if (!server)
        return;
    if (server->is_stopping)
        event_del(&server->drained_event);
    server->drained = NULL;
    server->is_stopping = true;
    TAILQ_FOREACH (listener, &server->listeners, entry) {
        http_listener_stop(listener);
        evhttp_free(listener->http); /* closes its connections */
        /* accepted in this turn of the loop, and not opened yet */
        while ((connection = TAILQ_FIRST(&listener->connections))) {
            bufferevent_decref(connection->bev);
            http_connection_free(connection);
        }
    }
    server->is_freed = true;
    if (server->call_count == 0)
        free_memory(server);
}

/*
 * A request's life: from evhttp's callback through API and handler to the one answer.
 *
 * The call lies in its own arena. What handlers are given points into the request (path, headers,
 * body) or into the arena, so the request must live as long as the call: when the connection goes
 * first, the call takes the request over (call_connection_gone) and frees it at the end.
 */
#include "net/call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/url.h"
#include "net/http_private.h"

#include <event2/buffer.h>
#include <event2/http.h>

#define APP_ID_SHOWN_MAX 128 /* a request may name any nonsense */

struct call {
    struct http_connection *connection; /* NULL when it has gone */
    struct http_listener *listener;
    struct evhttp_request *request; /* the connection's, ours when that has gone */
    struct arena *arena;
    const struct http_served_api *api;
    struct route_match match;
    struct str path, query;
    const char *peer;
    struct json_writer *writer; /* NULL until wanted */
    void *context;
    int64_t began_us;
    struct str app_id;      /* STR_NONE until it is known */
    const char *audit_area; /* NULL: not audited */
    struct str audit_detail;
};

static size_t in_flight; /* of all servers */

/* --- what handlers ask --- */

const struct route *call_route(const struct call *call)
{
    return call->match.route;
}

struct str call_path(const struct call *call)
{
    return call->path;
}

struct str call_path_param(const struct call *call, const char *name)
{
    for (size_t i = 0; i < call->match.param_count; i++)
        if (str_eq(call->match.params[i].name, str_of(name)))
            return call->match.params[i].value;
    return STR_NONE;
}

struct str call_query(const struct call *call, const char *name)
{
    return url_form_value(call->arena, call->query, name, false);
}

struct str call_query_nocase(const struct call *call, const char *name)
{
    return url_form_value(call->arena, call->query, name, true);
}

struct str call_header(const struct call *call, const char *name)
{
    return str_of(evhttp_find_header(evhttp_request_get_input_headers(call->request), name));
}

struct str call_body(const struct call *call)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(call->request);
    size_t len = evbuffer_get_length(input);

    return len ? str_n((const char *)evbuffer_pullup(input, -1), len) : STR("");
}

const char *call_peer(const struct call *call)
{
    return call->peer;
}

struct arena *call_arena(const struct call *call)
{
    return call->arena;
}

void *call_api_context(const struct call *call)
{
    return call->api->api->context;
}

void call_set_context(struct call *call, void *context)
{
    call->context = context;
}

void *call_context(const struct call *call)
{
    return call->context;
}

void call_set_app(struct call *call, struct str app_id)
{
    if (app_id.len > APP_ID_SHOWN_MAX)
        app_id.len = APP_ID_SHOWN_MAX;
    call->app_id = arena_str(call->arena, app_id);
}

void call_audit(struct call *call, const char *area, struct str detail)
{
    call->audit_area = area;
    call->audit_detail = detail;
}

/* --- the answer --- */

struct json_writer *call_json(struct call *call)
{
    if (!call->writer)
        call->writer = http_server_take_writer(call->listener->server);
    return call->writer;
}

void call_add_header(struct call *call, const char *name, const char *value)
{
    if (evhttp_add_header(evhttp_request_get_output_headers(call->request), name, value) < 0)
        log_error("http", "route=%s header=%s state=refused reason=line_break",
                  call->match.route ? call->match.route->path : "-", name);
}

static void end(struct call *call)
{
    struct http_server *server = call->listener->server;

    if (call->writer)
        http_server_give_writer(server, call->writer);
    arena_free(call->arena);
    metric_set(M_HTTP_IN_FLIGHT, (double)--in_flight, NULL);
    http_server_call_ended(server);
}

/* Requests have no method that is unknown here, but those that are refused. */
static const char *method_name(const struct call *call, char text[ROUTE_ALLOW_SIZE])
{
    route_allow_text(evhttp_request_get_command(call->request), text);
    return *text ? text : "-";
}

static struct str or_dash(struct str text)
{
    return text.len ? text : STR("-");
}

static void audit(const struct call *call, int status)
{
    char method[ROUTE_ALLOW_SIZE];

    log_audit(call->audit_area,
              "listener=%s peer=%s app=%.*s method=%s path=%.*s detail=%.*s status=%d",
              call->listener->name, call->peer, STR_ARG(or_dash(call->app_id)),
              method_name(call, method), STR_ARG(call->path), STR_ARG(or_dash(call->audit_detail)),
              status);
}

static void log_request(const struct call *call, int status, size_t bytes, double seconds)
{
    const struct route *route = call->match.route;
    char method[ROUTE_ALLOW_SIZE];

    if (!http_logs_requests())
        return;
    log_record("request",
               "listener=%s peer=%s method=%s route=%s path=%.*s status=%d bytes=%zu ms=%.3f "
               "app=%.*s",
               call->listener->name, call->peer, method_name(call, method),
               route ? route->path : "-", STR_ARG(call->path), status, bytes, seconds * 1000,
               STR_ARG(or_dash(call->app_id)));
}

static void answer(struct call *call, int status, const char *content_type, struct str body)
{
    const struct route *route = call->match.route;
    double seconds = (double)(clock_tick_us() - call->began_us) / 1e6;

    if (call->audit_area)
        audit(call, status);
    if (!call->connection) {
        evhttp_request_free(call->request);
        end(call);
        return;
    }
    evhttp_add_header(evhttp_request_get_output_headers(call->request), "Content-Type",
                      content_type);
    if (body.len)
        evbuffer_add(evhttp_request_get_output_buffer(call->request), body.p, body.len);
    http_count_answer(call->listener, route ? route->path : NULL, status);
    metric_observe(M_HTTP_DURATION, seconds, call->listener->name);
    log_request(call, status, body.len, seconds);
    http_connection_answer(call->connection, call->request, status);
    end(call);
}

void call_reply_json(struct call *call, int status)
{
    answer(call, status, "application/json", json_writer_text(call_json(call)));
}

void call_reply_empty(struct call *call, int status)
{
    answer(call, status, "application/json", STR_NONE);
}

void call_reply_text(struct call *call, int status, const char *content_type, struct str body)
{
    answer(call, status, content_type, body);
}

void call_refuse(struct call *call, int status)
{
    struct json_writer *writer = call_json(call);

    json_writer_reset(writer);
    call->api->api->refuse(writer, status);
    call_reply_json(call, status);
}

/* --- the way to the handler --- */

void call_proceed(struct call *call)
{
    call->match.route->handler(call);
}

static struct call *call_new(struct http_connection *connection, struct evhttp_request *request)
{
    struct arena *arena = arena_new();
    struct call *call = arena_alloc(arena, sizeof(*call));
    struct str target = str_of(evhttp_request_get_uri(request));

    call->arena = arena;
    call->connection = connection;
    call->listener = connection->listener;
    call->request = request;
    call->peer = arena_dup0(arena, str_of(connection->peer_text));
    call->writer = NULL;
    call->context = NULL;
    call->app_id = call->audit_detail = STR_NONE;
    call->audit_area = NULL;
    call->match.route = NULL;
    call->match.param_count = 0;
    call->path = str_split(target, '?', &call->query);
    call->api = http_listener_api(call->listener, call->path);
    call->began_us = clock_tick_us();
    connection->call = call;
    call->listener->server->call_count++;
    metric_set(M_HTTP_IN_FLIGHT, (double)++in_flight, NULL);
    return call;
}

static void refuse_method(struct call *call)
{
    char allow[ROUTE_ALLOW_SIZE];

    route_allow_text(call->match.allowed, allow);
    call_add_header(call, "Allow", allow);
    call_refuse(call, 405);
}

void call_begin(struct http_connection *connection, struct evhttp_request *request)
{
    struct http_server *server = connection->listener->server;
    struct call *call = call_new(connection, request);

    if ((int64_t)server->call_count > server->limits->requests_in_flight) {
        call_refuse(call, 503);
        return;
    }
    route_tree_find(call->api->routes, call->arena, evhttp_request_get_command(request), call->path,
                    &call->match);
    if (call->match.status == 405)
        refuse_method(call);
    else if (call->match.status)
        call_refuse(call, call->match.status);
    else if (call->api->api->enter)
        call->api->api->enter(call);
    else
        call_proceed(call);
}

void call_connection_gone(struct call *call)
{
    /* Keeps evhttp from freeing the request together with the connection. Owning it from the
     * beginning would leak it when the connection breaks while the answer is being written. */
    evhttp_request_own(call->request);
    call->connection = NULL;
}

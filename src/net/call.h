/*
 * A request under way: what an API handler sees of HTTP.
 *
 * A call is made when a request has come in whole and within its limits, and ends with exactly one
 * call_reply_*: after that the pointer is dead. Handlers may reply at once or from a later
 * callback; a client that has gone meanwhile changes nothing for them (the answer is thrown away).
 *
 * All struct str and pointers handed out live as long as the call.
 */
#ifndef NET_CALL_H
#define NET_CALL_H

#include "base/arena.h"
#include "base/json.h"
#include <event2/http.h>

struct call;
typedef void (*call_handler)(struct call *call);

/* A row of an API's table. `{name}` in the path stands for one segment. */
struct route {
    enum evhttp_cmd_type method;
    const char *path;
    int auth; /* the API's own kind of authentication, handed to its enter() */
    call_handler handler;
};

const struct route *call_route(const struct call *call);
struct str call_path(const struct call *call); /* as sent, without query */
struct str call_path_param(const struct call *call,
                           const char *name); /* decoded, UTF-8, not empty */
struct str call_query(const struct call *call,
                      const char *name); /* decoded; STR_NONE when absent */
struct str call_query_nocase(const struct call *call, const char *name); /* its name in any case */
struct str call_header(const struct call *call, const char *name); /* STR_NONE when absent */
struct str call_body(const struct call *call);                     /* "" when there is none */
const char *call_peer(const struct call *call); /* numeric address, "unix" on a unix socket */
struct arena *call_arena(const struct call *call);
void *call_api_context(const struct call *call); /* http_api.context */

/* What an API's enter() found out (the application, say), for its handlers. */
void call_set_context(struct call *call, void *context);
void *call_context(const struct call *call);

/* The application that the request names, for the log and the audit file; copied. */
void call_set_app(struct call *call, struct str app_id);
/* The call is a line of the audit file when it has been answered, also when the client has gone
 * meanwhile. area is a literal: "admin"; detail, which may be STR_NONE, says what the path does not;
 * it lives as long as the call. */
void call_audit(struct call *call, const char *area, struct str detail);

/* From enter(): authentication is done, run the route's handler. */
void call_proceed(struct call *call);

/* The answer's JSON, empty at first. */
struct json_writer *call_json(struct call *call);

void call_reply_json(struct call *call, int status); /* what stands in call_json */
void call_reply_empty(struct call *call,
                      int status); /* no body; Content-Type is sent all the same */
void call_reply_text(struct call *call, int status, const char *content_type, struct str body);
/* The protocol-independent answers (404, 413, 503 ...) in the API's own envelope. */
void call_refuse(struct call *call, int status);

/* Adds a header to the answer; name and value are copied. */
void call_add_header(struct call *call, const char *name, const char *value);

#endif

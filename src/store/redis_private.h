/*
 * A connection to Redis, as its two files see it: redis.c has the commands, redis_connection.c the
 * connection they go over.
 *
 * The life of a connection: wait -> dial -> handshake -> connected -> lost -> wait ...
 *
 * hiredis owns its context: it frees it by itself after a failed connect, after an error and after
 * the disconnect callback, and at those moments nobody else may. So there is one rule here:
 * redis_detach() cuts the tie both ways (context->data = NULL, redis->context = NULL), and whoever
 * calls it knows whether hiredis is freeing already or redis_drop() has to. A context without data
 * is nobody's, and its callbacks do nothing.
 *
 * Replies come in the order of the commands, so the commands in flight are a queue of our own and
 * hiredis gets no pointer to them: whatever it does with its callbacks later, ours have been called
 * once and are gone.
 *
 *     sent      on the connection, oldest first
 *     deferred  ended already (not connected, busy); called back from the loop by one shared event
 *     ending    what that event is working on
 */
#ifndef STORE_REDIS_PRIVATE_H
#define STORE_REDIS_PRIVATE_H

#include "store/redis.h"
#include "store/redis_dial.h"
#include "store/redis_request.h"
#include "store/redis_url.h"

#include <hiredis/async.h>

struct redis {
    struct event_base *base;
    struct redis_address address;
    struct redis_config config; /* its texts are our copies */
    char *where;                /* the address for the log */
    char *password;             /* from the file, between dial and handshake */

    struct redis_dial *dial;
    redisAsyncContext *context;
    bool is_connected, is_freed;
    unsigned holds; /* calls to the outside under way; freed when they have returned */
    struct event *next_attempt, *connect_limit, *reply_limit, *run_deferred;

    unsigned failures; /* connections in a row that failed or did not last */
    int64_t connected_at_ms;
    char last_reason[128];
    int64_t last_reason_ms;

    struct redis_request_queue sent, deferred, ending;
    size_t in_flight;
    uint64_t replies, replies_at_grace; /* see redis_on_reply_limit */
};

/* redis.c */

/* Between hold and release the struct stays, also when a callback frees the connection. */
void redis_hold(struct redis *redis);
void redis_release(struct redis *redis);
void redis_send_request(struct redis *redis, struct redis_request *request);
void redis_end_all(struct redis *redis, struct redis_request_queue *queue,
                   enum redis_status status);

/* redis_connection.c */

void redis_arm(struct event *timer, int64_t delay_ms);
redisAsyncContext *redis_detach(struct redis *redis);
/* The context is gone, or is being freed by hiredis. reason may lie in it. */
void redis_lose(struct redis *redis, enum redis_status status, const char *reason);
/* Not from hiredis' connect and disconnect callbacks: it goes on to use the context after those.
 * From a reply's callback it is fine, the context is then freed a moment later. */
void redis_drop(struct redis *redis, enum redis_status status, const char *reason);
void redis_forget_password(struct redis *redis);
/* Of the three timers. */
void redis_on_next_attempt(evutil_socket_t fd, short what, void *arg);
void redis_on_connect_limit(evutil_socket_t fd, short what, void *arg);
void redis_on_reply_limit(evutil_socket_t fd, short what, void *arg);

#endif

/*
 * The keep-alive connections of one endpoint, and how many there may be: of one endpoint
 * push.max_connections, of all together push.connections. Above half of the latter an endpoint gets
 * its first connection only, so that endpoints that hang leave some to the others; one that has none
 * when all are in use gets the next that is closed. Private to src/push.
 */
#ifndef PUSH_POOL_H
#define PUSH_POOL_H

#include "push/trust.h"

struct pools;
struct pool;
struct connection;

/* Settings and user agent outlive them. */
struct pools *pools_new(struct event_base *base, const struct push_settings *settings,
                        const char *user_agent);
void pools_free(struct pools *pools);  /* after each pool */
void pools_sweep(struct pools *pools); /* closes what is idle for too long, too old, or wanted elsewhere */
size_t pools_connection_count(const struct pools *pools);

struct pool_config {
    struct pools *pools;
    const char *authority;     /* host and port as requests name them; copied */
    const struct trust *trust; /* outlives the pool; NULL: plain */
    void (*has_room)(void *arg); /* perhaps again; called in the middle of things: look later */
    void *arg;
};

struct pool *pool_new(const struct pool_config *config);
void pool_free(struct pool *pool); /* NULL is allowed; closes its connections, nothing is reported */

/* Can one more attempt begin? If not, has_room() follows when it can. */
bool pool_has_room(struct pool *pool);
/* Attempts that will need a connection they don't have yet; they count as connections. */
void pool_reserve(struct pool *pool);
void pool_unreserve(struct pool *pool);

/* Each is the caller's for one request; it goes back by itself when that has ended.
 * NULL: there is none. */
struct connection *pool_take_idle(struct pool *pool);
/* Takes the SSL; NULL: plain. Returns NULL if there can be none for reasons of our own. */
struct connection *pool_connect(struct pool *pool, const struct sockaddr *address, SSL *ssl);
struct http_client *connection_client(const struct connection *connection);

void pool_close_idle(struct pool *pool);

#endif

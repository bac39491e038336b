#include "push/pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#define SAY_AGAIN_MS 60000
#define LAST_IDLE_MS 1000 /* a pool's last connection is not given away before that */

struct connection {
    struct pool *pool;
    struct http_client *client;
    TAILQ_ENTRY(connection) link; /* in idle or busy */
    bool is_idle;
    unsigned generation; /* of the trust when it was made */
};
TAILQ_HEAD(connection_list, connection);

struct pool {
    struct pools *all;
    char *authority;
    const struct trust *trust;
    void (*has_room)(void *arg);
    void *arg;
    struct connection_list idle, busy; /* idle: the last used first */
    size_t connection_count, reserved_count;
    bool is_starved; /* has no connection, and waits for one of all */
    TAILQ_ENTRY(pool) in_starved;
    TAILQ_ENTRY(pool) link;
};
TAILQ_HEAD(pool_list, pool);

struct pools {
    struct event_base *base;
    const struct push_settings *settings;
    const char *user_agent;
    struct pool_list list, starved;
    size_t connection_count, reserved_count;
    int64_t said_at_ms; /* tick; that no connection can be made */
};

/* ---- the end of a connection ---- */

static void leave_starved(struct pool *pool)
{
    if (pool->is_starved)
        TAILQ_REMOVE(&pool->all->starved, pool, in_starved);
    pool->is_starved = false;
}

static void feed_starved(struct pools *pools)
{
    struct pool *starved = TAILQ_FIRST(&pools->starved);

    if (!starved)
        return;
    leave_starved(starved);
    starved->has_room(starved->arg);
}

static void connection_free(struct connection *connection)
{
    struct pool *pool = connection->pool;
    struct pools *pools = pool->all;

    TAILQ_REMOVE(connection->is_idle ? &pool->idle : &pool->busy, connection, link);
    pool->connection_count--;
    pools->connection_count--;
    http_client_free(connection->client);
    free(connection);
    feed_starved(pools);
}

/* ---- taking one ---- */

static bool is_outdated(const struct connection *connection)
{
    const struct pool *pool = connection->pool;

    return pool->trust && connection->generation != trust_generation(pool->trust);
}

static void connection_idle(struct http_client *client, void *arg)
{
    struct connection *connection = arg;
    struct pool *pool = connection->pool;

    (void)client;
    if (is_outdated(connection)) {
        connection_free(connection);
    } else {
        TAILQ_REMOVE(&pool->busy, connection, link);
        TAILQ_INSERT_HEAD(&pool->idle, connection, link);
        connection->is_idle = true;
    }
    pool->has_room(pool->arg);
}

static void connection_closed(struct http_client *client, void *arg)
{
    struct connection *connection = arg;
    struct pool *pool = connection->pool;

    (void)client;
    connection_free(connection);
    pool->has_room(pool->arg);
}

/* The one of push.source_address that goes with this address; NULL: none does. */
static const char *source_for(const struct push_settings *settings, const struct sockaddr *address,
                              char source[INET6_ADDRSTRLEN])
{
    struct str rest = str_of(settings->source_address);
    unsigned char unused[sizeof(struct in6_addr)];

    while (rest.p) {
        struct str item = str_trim(str_split(rest, ',', &rest));

        snprintf(source, INET6_ADDRSTRLEN, "%.*s", STR_ARG(item));
        if (inet_pton(address->sa_family, source, unused) == 1)
            return source;
    }
    return NULL;
}

static void say_cannot_connect(struct pools *pools, const char *source)
{
    int64_t now_ms = clock_tick_ms();
    int error = errno;

    if (pools->said_at_ms && now_ms - pools->said_at_ms < SAY_AGAIN_MS)
        return;
    pools->said_at_ms = now_ms;
    log_error("push", "source_address=%s state=unusable reason=%s", source, strerror(error));
}

struct connection *pool_connect(struct pool *pool, const struct sockaddr *address, SSL *ssl)
{
    const struct pools *pools = pool->all;
    const struct push_settings *settings = pools->settings;
    struct connection *connection = xcalloc(1, sizeof(*connection));
    char source[INET6_ADDRSTRLEN];

    connection->pool = pool;
    connection->generation = pool->trust ? trust_generation(pool->trust) : 0;
    connection->client = http_client_new(&(struct http_client_config){
        .base = pools->base,
        .address = address,
        .source = source_for(settings, address, source),
        .ssl = ssl,
        .authority = pool->authority,
        .user_agent = pools->user_agent,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .max_response_header_bytes = settings->max_response_header_bytes,
        .discard_body_bytes = settings->discard_body_bytes,
        .discard_time_ms = settings->discard_time_ms,
        .idle = connection_idle,
        .closed = connection_closed,
        .arg = connection,
    });
    if (!connection->client) {
        say_cannot_connect(pool->all, source);
        free(connection);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&pool->busy, connection, link);
    pool->connection_count++;
    pool->all->connection_count++;
    return connection;
}

/* Young enough; too old ones are closed on the way. */
struct connection *pool_take_idle(struct pool *pool)
{
    const struct push_settings *settings = pool->all->settings;
    int64_t now_ms = clock_tick_ms();
    struct connection *connection;

    while ((connection = TAILQ_FIRST(&pool->idle))) {
        if (now_ms - http_client_born_at(connection->client) < settings->max_age_ms &&
            http_client_is_idle(connection->client)) {
            TAILQ_REMOVE(&pool->idle, connection, link);
            TAILQ_INSERT_TAIL(&pool->busy, connection, link);
            connection->is_idle = false;
            return connection;
        }
        connection_free(connection);
    }
    return NULL;
}

struct http_client *connection_client(const struct connection *connection)
{
    return connection->client;
}

/* ---- limits ---- */

static int64_t used_of_all(const struct pools *pools)
{
    return (int64_t)(pools->connection_count + pools->reserved_count);
}

static int64_t limit(const struct pool *pool)
{
    const struct push_settings *settings = pool->all->settings;

    return used_of_all(pool->all) * 2 < settings->connections ? settings->max_connections : 1;
}

bool pool_has_room(struct pool *pool)
{
    struct pools *pools = pool->all;
    size_t used = pool->connection_count + pool->reserved_count;

    if (!TAILQ_EMPTY(&pool->idle))
        return true;
    if ((int64_t)used >= limit(pool))
        return false; /* one of its own comes back */
    if (used_of_all(pools) < pools->settings->connections)
        return true;
    if (!pool->is_starved) {
        pool->is_starved = true;
        TAILQ_INSERT_TAIL(&pools->starved, pool, in_starved);
    }
    return false;
}

void pool_reserve(struct pool *pool)
{
    pool->reserved_count++;
    pool->all->reserved_count++;
}

void pool_unreserve(struct pool *pool)
{
    pool->reserved_count--;
    pool->all->reserved_count--;
}

/* ---- once in a while ---- */

static void close_old(struct pool *pool, int64_t now_ms)
{
    const struct push_settings *settings = pool->all->settings;
    struct connection *connection, *next;

    for (connection = TAILQ_FIRST(&pool->idle); connection; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (now_ms - http_client_idle_since(connection->client) >= settings->idle_close_ms ||
            now_ms - http_client_born_at(connection->client) >= settings->max_age_ms)
            connection_free(connection);
    }
}

/* Those that wait for a connection get what others leave idle. */
static bool can_spare_one(const struct pool *pool, int64_t now_ms)
{
    const struct connection *idle = TAILQ_FIRST(&pool->idle);

    return idle && (pool->connection_count > 1 ||
                    now_ms - http_client_idle_since(idle->client) >= LAST_IDLE_MS);
}

void pools_sweep(struct pools *pools)
{
    int64_t now_ms = clock_tick_ms();
    struct pool *pool;

    TAILQ_FOREACH (pool, &pools->list, link) {
        close_old(pool, now_ms);
        if (!TAILQ_EMPTY(&pools->starved) && can_spare_one(pool, now_ms))
            connection_free(TAILQ_FIRST(&pool->idle));
    }
}

void pool_close_idle(struct pool *pool)
{
    while (!TAILQ_EMPTY(&pool->idle))
        connection_free(TAILQ_FIRST(&pool->idle));
}

/* ---- life ---- */

struct pool *pool_new(const struct pool_config *config)
{
    struct pool *pool = xcalloc(1, sizeof(*pool));

    pool->all = config->pools;
    pool->authority = xstrdup(config->authority);
    pool->trust = config->trust;
    pool->has_room = config->has_room;
    pool->arg = config->arg;
    TAILQ_INIT(&pool->idle);
    TAILQ_INIT(&pool->busy);
    TAILQ_INSERT_TAIL(&pool->all->list, pool, link);
    return pool;
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    leave_starved(pool);
    pool_close_idle(pool);
    while (!TAILQ_EMPTY(&pool->busy))
        connection_free(TAILQ_FIRST(&pool->busy));
    TAILQ_REMOVE(&pool->all->list, pool, link);
    free(pool->authority);
    free(pool);
}

struct pools *pools_new(struct event_base *base, const struct push_settings *settings,
                        const char *user_agent)
{
    struct pools *pools = xcalloc(1, sizeof(*pools));

    pools->base = base;
    pools->settings = settings;
    pools->user_agent = user_agent;
    TAILQ_INIT(&pools->list);
    TAILQ_INIT(&pools->starved);
    return pools;
}

void pools_free(struct pools *pools)
{
    free(pools);
}

size_t pools_connection_count(const struct pools *pools)
{
    return pools->connection_count;
}

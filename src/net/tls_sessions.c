#include "net/tls_sessions.h"

#include "base/clock.h"
#include "base/mem.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define GROUP_MAX 8 /* a server sends two tickets or so with each handshake */

struct kept {
    SSL_SESSION *session;
    struct tls_session_group *group;
    struct sockaddr_storage address;
    int64_t since_ms; /* tick */
    TAILQ_ENTRY(kept) in_group, in_store;
};
TAILQ_HEAD(kept_list, kept);

struct tls_session_store {
    size_t max, count;
    int64_t life_ms;
    struct kept_list all; /* the oldest first */
};

/* Held by its owner and by each SSL: a ticket may come when the owner has gone. */
struct tls_session_group {
    struct tls_session_store *store; /* NULL: closed */
    unsigned references;
    size_t count;
    struct kept_list list; /* the newest first */
};

/* What an SSL knows of where its sessions go. */
struct origin {
    struct tls_session_group *group;
    struct sockaddr_storage address;
};

static int origin_index = -1;

/* ---- the store ---- */

struct tls_session_store *tls_session_store_new(size_t max, int64_t life_ms)
{
    struct tls_session_store *store = xcalloc(1, sizeof(*store));

    store->max = max;
    store->life_ms = life_ms;
    TAILQ_INIT(&store->all);
    return store;
}

void tls_session_store_free(struct tls_session_store *store)
{
    free(store);
}

static void forget(struct kept *kept)
{
    TAILQ_REMOVE(&kept->group->store->all, kept, in_store);
    TAILQ_REMOVE(&kept->group->list, kept, in_group);
    kept->group->store->count--;
    kept->group->count--;
    SSL_SESSION_free(kept->session);
    free(kept);
}

static void keep_within(struct tls_session_store *store, size_t max)
{
    while (store->count > max)
        forget(TAILQ_FIRST(&store->all));
}

void tls_session_store_set_limits(struct tls_session_store *store, size_t max, int64_t life_ms)
{
    store->max = max;
    store->life_ms = life_ms;
    keep_within(store, max);
}

size_t tls_session_store_count(const struct tls_session_store *store)
{
    return store->count;
}

/* ---- groups ---- */

struct tls_session_group *tls_session_group_new(struct tls_session_store *store)
{
    struct tls_session_group *group = xcalloc(1, sizeof(*group));

    group->store = store;
    group->references = 1;
    TAILQ_INIT(&group->list);
    return group;
}

static void release(struct tls_session_group *group)
{
    if (--group->references == 0)
        free(group);
}

void tls_session_group_close(struct tls_session_group *group)
{
    if (!group)
        return;
    while (!TAILQ_EMPTY(&group->list))
        forget(TAILQ_FIRST(&group->list));
    group->store = NULL;
    release(group);
}

/* ---- keeping ---- */

static void origin_free(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long arg,
                        void *more)
{
    struct origin *origin = p;

    (void)parent;
    (void)data;
    (void)index;
    (void)arg;
    (void)more;
    if (!origin)
        return;
    release(origin->group);
    free(origin);
}

/* 1: the session is ours now. */
static int keep(SSL *ssl, SSL_SESSION *session)
{
    const struct origin *origin = SSL_get_ex_data(ssl, origin_index);
    struct tls_session_group *group = origin ? origin->group : NULL;
    struct tls_session_store *store = group ? group->store : NULL;
    struct kept *kept;

    if (!store || store->max == 0)
        return 0;
    if (group->count == GROUP_MAX)
        forget(TAILQ_LAST(&group->list, kept_list));
    keep_within(store, store->max - 1);
    kept = xcalloc(1, sizeof(*kept));
    kept->session = session;
    kept->group = group;
    kept->address = origin->address;
    kept->since_ms = clock_tick_ms();
    TAILQ_INSERT_HEAD(&group->list, kept, in_group);
    TAILQ_INSERT_TAIL(&store->all, kept, in_store);
    group->count++;
    store->count++;
    return 1;
}

void tls_sessions_prepare(SSL_CTX *context)
{
    if (origin_index < 0)
        origin_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, origin_free);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep);
}

/* ---- using ---- */

static struct sockaddr_storage copy_address(const struct sockaddr *address)
{
    struct sockaddr_storage copy = {0};

    memcpy(&copy, address,
           address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in));
    return copy;
}

static bool is_over(const struct kept *kept, int64_t now_ms)
{
    return now_ms - kept->since_ms >= kept->group->store->life_ms ||
           !SSL_SESSION_is_resumable(kept->session);
}

static void resume(struct tls_session_group *group, SSL *ssl,
                   const struct sockaddr_storage *address)
{
    int64_t now_ms = clock_tick_ms();
    struct kept *kept, *next;

    for (kept = TAILQ_FIRST(&group->list); kept; kept = next) {
        next = TAILQ_NEXT(kept, in_group);
        if (is_over(kept, now_ms)) {
            forget(kept);
        } else if (memcmp(&kept->address, address, sizeof(*address)) == 0) {
            SSL_set_session(ssl, kept->session);
            if (SSL_SESSION_get_protocol_version(kept->session) >= TLS1_3_VERSION)
                forget(kept);
            return;
        }
    }
}

void tls_session_use(struct tls_session_group *group, SSL *ssl, const struct sockaddr *address)
{
    struct origin *origin = xcalloc(1, sizeof(*origin));

    origin->group = group;
    origin->address = copy_address(address);
    group->references++;
    SSL_set_ex_data(ssl, origin_index, origin);
    if (group->store)
        resume(group, ssl, &origin->address);
}

/*
 * A query is what a caller waits for; a lookup is a question to the name servers, shared by all
 * queries for its name. A query whose answer is known (a cached name, an address, a lookup that
 * has ended) moves to the list of ready ones, which an event of its own works off: so no caller is
 * called back before resolver_lookup has returned.
 *
 * evdns calls back also for what was cancelled, later: a lookup lives until then. That is why a
 * lookup without queries and without a resolver can exist for a moment.
 */
#include "net/resolver.h"

#include "base/cache.h"
#include "base/hash.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/dns.h>
#include <event2/event_struct.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <sys/queue.h>

#define MAX_NAME        253
#define CACHED_NAMES    1024
#define ANSWER_LIFE_MS  60000
#define FAILURE_LIFE_MS 5000
#define LOOKUP_MS       5000

TAILQ_HEAD(query_list, resolver_query);

struct resolver_query {
    TAILQ_ENTRY(resolver_query) link;
    struct query_list *list; /* the one it stands in */
    uint16_t port;
    resolver_cb cb;
    void *arg;
    struct resolver_answer answer; /* when ready */
};

struct lookup {
    UT_hash_handle hh;
    struct resolver *resolver; /* NULL: nobody waits any more */
    struct query_list queries;
    struct evdns_getaddrinfo_request *request; /* NULL before and after */
    struct event timer;
    char name[MAX_NAME + 1];
};

struct resolver {
    struct event_base *base;
    struct evdns_base *dns; /* NULL when libevent could not make one */
    struct cache *cache;    /* of struct resolver_answer, port 0 */
    struct lookup *lookups; /* by name */
    struct query_list ready;
    struct event ready_event;
};

static void configure(struct evdns_base *dns)
{
    /* Its result doesn't matter: without a name server in the file, or without the file, evdns
     * takes 127.0.0.1 as the C library does. */
    evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    evdns_base_set_option(dns, "randomize-case:", "0"); /* some servers answer in lower case */
    evdns_base_set_option(dns, "timeout:", "1.5");      /* three tries within LOOKUP_MS */
    evdns_base_set_option(dns, "attempts:", "3");
    evdns_base_set_option(dns, "getaddrinfo-allow-skew:", "1");
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *resolver = arg;
    struct resolver_query *query = TAILQ_FIRST(&resolver->ready);

    (void)fd;
    (void)what;
    if (!query)
        return;
    TAILQ_REMOVE(&resolver->ready, query, link);
    /* One at a time: the callback may free the resolver. */
    if (!TAILQ_EMPTY(&resolver->ready))
        event_active(&resolver->ready_event, EV_TIMEOUT, 1);
    query->cb(&query->answer, query->arg);
    free(query);
}

struct resolver *resolver_new(struct event_base *base)
{
    struct resolver *resolver = xcalloc(1, sizeof(*resolver));

    resolver->base = base;
    resolver->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (resolver->dns)
        configure(resolver->dns);
    resolver->cache = cache_new(CACHED_NAMES, free);
    TAILQ_INIT(&resolver->ready);
    event_assign(&resolver->ready_event, base, -1, 0, deliver, resolver);
    return resolver;
}

static void free_queries(struct query_list *queries)
{
    struct resolver_query *query;

    while ((query = TAILQ_FIRST(queries)) != NULL) {
        TAILQ_REMOVE(queries, query, link);
        free(query);
    }
}

/* Takes the lookup out of the table; evdns still knows it until it has called back. */
static void abandon(struct lookup *lookup)
{
    HASH_DEL(lookup->resolver->lookups, lookup);
    lookup->resolver = NULL;
    event_del(&lookup->timer);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    while (resolver->lookups) {
        free_queries(&resolver->lookups->queries);
        abandon(resolver->lookups);
    }
    if (resolver->dns)
        evdns_base_free(resolver->dns, 1);
    free_queries(&resolver->ready);
    event_del(&resolver->ready_event);
    cache_free(resolver->cache);
    free(resolver);
}

static void make_ready(struct resolver *resolver, struct resolver_query *query,
                       const struct resolver_answer *answer)
{
    query->answer = *answer;
    for (size_t i = 0; i < query->answer.count; i++) {
        struct sockaddr_storage *address = &query->answer.addresses[i];

        if (address->ss_family == AF_INET)
            ((struct sockaddr_in *)address)->sin_port = htons(query->port);
        else
            ((struct sockaddr_in6 *)address)->sin6_port = htons(query->port);
    }
    query->list = &resolver->ready;
    TAILQ_INSERT_TAIL(&resolver->ready, query, link);
    event_active(&resolver->ready_event, EV_TIMEOUT, 1);
}

/* Ends the lookup for its queries, and remembers the answer. */
static void answer_queries(struct lookup *lookup, const struct resolver_answer *answer)
{
    struct resolver *resolver = lookup->resolver;
    struct resolver_query *query;

    cache_put(resolver->cache, str_of(lookup->name), xmemdup0(answer, sizeof(*answer)),
              answer->error ? FAILURE_LIFE_MS : ANSWER_LIFE_MS);
    while ((query = TAILQ_FIRST(&lookup->queries)) != NULL) {
        TAILQ_REMOVE(&lookup->queries, query, link);
        make_ready(resolver, query, answer);
    }
    abandon(lookup);
}

static const char *failure_text(int error)
{
    switch (error) {
    case EVUTIL_EAI_NONAME:
    case EVUTIL_EAI_NODATA:
        return "name not found";
    default: /* evdns doesn't tell silence from refusal here */
        return "the name servers failed or did not answer";
    }
}

static void read_addresses(const struct evutil_addrinfo *list, struct resolver_answer *answer)
{
    for (; list && answer->count < RESOLVER_MAX_ADDRESSES; list = list->ai_next) {
        if (list->ai_family != AF_INET && list->ai_family != AF_INET6)
            continue;
        memcpy(&answer->addresses[answer->count++], list->ai_addr, list->ai_addrlen);
    }
    if (answer->count == 0)
        answer->error = "name has no addresses";
}

static void on_addresses(int error, struct evutil_addrinfo *list, void *arg)
{
    struct lookup *lookup = arg;
    struct resolver_answer answer = {0};

    if (lookup->resolver) {
        if (error)
            answer.error = failure_text(error);
        else
            read_addresses(list, &answer);
        answer_queries(lookup, &answer);
    }
    if (list)
        evutil_freeaddrinfo(list);
    free(lookup);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    static const struct resolver_answer answer = {.error = "the name servers did not answer"};
    struct lookup *lookup = arg;

    (void)fd;
    (void)what;
    /* Calls on_addresses later; before the queries' callbacks, which may free the resolver. */
    evdns_getaddrinfo_cancel(lookup->request);
    answer_queries(lookup, &answer);
}

/* The lookup may be over and gone when this returns (/etc/hosts, no server). */
static void ask(struct lookup *lookup)
{
    static const struct timeval limit = {LOOKUP_MS / 1000, LOOKUP_MS % 1000 * 1000};
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct resolver *resolver = lookup->resolver;
    struct evdns_getaddrinfo_request *request;

    evtimer_assign(&lookup->timer, resolver->base, on_timeout, lookup);
    event_add(&lookup->timer, event_base_init_common_timeout(resolver->base, &limit));
    if (!resolver->dns) {
        on_addresses(EVUTIL_EAI_FAIL, NULL, lookup);
        return;
    }
    request = evdns_getaddrinfo(resolver->dns, lookup->name, NULL, &hints, on_addresses, lookup);
    if (request)
        lookup->request = request;
}

static bool read_numeric(const char *host, struct resolver_answer *answer)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&answer->addresses[0];
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&answer->addresses[0];

    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        return false;
    answer->count = 1;
    return true;
}

/* What is known without asking: names that can't be, addresses, cached names. */
static bool answer_at_once(struct resolver *resolver, struct resolver_query *query,
                           const char *name)
{
    struct resolver_answer numeric = {0};
    const struct resolver_answer *cached;

    if (!*name) {
        numeric.error = "not a name";
        make_ready(resolver, query, &numeric);
        return true;
    }
    if (read_numeric(name, &numeric)) {
        make_ready(resolver, query, &numeric);
        return true;
    }
    cached = cache_get(resolver->cache, str_of(name));
    if (cached)
        make_ready(resolver, query, cached);
    return cached != NULL;
}

/* In lower case; "" when it is too long or holds a NUL. */
static void copy_name(struct str host, char name[MAX_NAME + 1])
{
    name[0] = '\0';
    if (host.len == 0 || host.len > MAX_NAME || memchr(host.p, '\0', host.len))
        return;
    for (size_t i = 0; i < host.len; i++)
        name[i] = (char)tolower((unsigned char)host.p[i]);
    name[host.len] = '\0';
}

struct resolver_query *resolver_lookup(struct resolver *resolver, struct str host, uint16_t port,
                                       resolver_cb cb, void *arg)
{
    struct resolver_query *query = xcalloc(1, sizeof(*query));
    struct lookup *lookup;
    char name[MAX_NAME + 1];
    bool is_new = false;

    query->port = port;
    query->cb = cb;
    query->arg = arg;
    copy_name(host, name);
    if (answer_at_once(resolver, query, name))
        return query;
    HASH_FIND_STR(resolver->lookups, name, lookup);
    if (!lookup) {
        is_new = true;
        lookup = xcalloc(1, sizeof(*lookup));
        lookup->resolver = resolver;
        TAILQ_INIT(&lookup->queries);
        memcpy(lookup->name, name, sizeof(name));
        HASH_ADD_STR(resolver->lookups, name, lookup);
    }
    query->list = &lookup->queries;
    TAILQ_INSERT_TAIL(&lookup->queries, query, link);
    if (is_new)
        ask(lookup);
    return query;
}

/* A lookup that nobody waits for goes on: its answer is worth caching. */
void resolver_cancel(struct resolver_query *query)
{
    TAILQ_REMOVE(query->list, query, link);
    free(query);
}

static void forget_configuration(struct resolver *resolver)
{
    cache_empty(resolver->cache);
    if (!resolver->dns)
        return;
    evdns_base_clear_nameservers_and_suspend(resolver->dns);
    evdns_base_clear_host_addresses(resolver->dns);
    evdns_base_search_clear(resolver->dns);
}

void resolver_reload(struct resolver *resolver)
{
    forget_configuration(resolver);
    if (!resolver->dns)
        return;
    configure(resolver->dns);
    evdns_base_resume(resolver->dns);
}

int resolver_use_server(struct resolver *resolver, const char *address)
{
    forget_configuration(resolver);
    if (!resolver->dns || evdns_base_nameserver_ip_add(resolver->dns, address) != 0)
        return -1;
    evdns_base_resume(resolver->dns);
    return 0;
}

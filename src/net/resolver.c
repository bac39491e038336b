/*
 * A query is what a caller waits for; a lookup is a question to the name servers, shared by all
 * queries for its name. A query whose answer is known (a cached name, an address, a lookup that
 * has ended) moves to the list of ready ones, which an event of its own works off: so no caller is
 * called back before resolver_lookup has returned.
 *
 * A lookup asks two questions, for IPv4 and for IPv6 addresses, in the form of evdns that tells how long
 * an answer may be kept. That form knows nothing of /etc/hosts, so this file does.
 *
 * evdns calls back also for what was cancelled, later: a lookup lives until then. That is why a
 * lookup without queries and without a resolver can exist for a moment.
 */
#include "net/resolver.h"

#include "base/cache.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/hosts.h"

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
#define OTHER_ANSWER_MS 1000 /* one question is answered: how long the other may still take */
#define HOSTS_FILE      "/etc/hosts"

TAILQ_HEAD(query_list, resolver_query);

struct resolver_query {
    TAILQ_ENTRY(resolver_query) link;
    struct query_list *list; /* the one it stands in */
    uint16_t port;
    resolver_cb cb;
    void *arg;
    struct resolver_answer answer; /* when ready */
};

struct question {
    struct lookup *lookup;
    struct evdns_request *request; /* NULL: not asked, or over */
    int error;                     /* of evdns */
    int64_t ttl_ms;
    size_t count;
    struct sockaddr_storage addresses[RESOLVER_MAX_ADDRESSES]; /* port 0 */
};

enum { IPV4, IPV6, FAMILIES };

struct lookup {
    UT_hash_handle hh;
    struct resolver *resolver; /* NULL: nobody waits any more */
    struct query_list queries;
    struct question questions[FAMILIES];
    struct event timer;
    char name[MAX_NAME + 1];
};

struct resolver {
    struct event_base *base;
    struct evdns_base *dns; /* NULL when libevent could not make one */
    struct hosts *hosts;
    struct cache *cache;    /* of struct resolver_answer, port 0 */
    struct lookup *lookups; /* by name */
    struct query_list ready;
    struct event ready_event;
};

static void configure(struct resolver *resolver)
{
    struct evdns_base *dns = resolver->dns;

    hosts_free(resolver->hosts);
    resolver->hosts = hosts_read(HOSTS_FILE);
    if (!dns)
        return;
    /* Its result doesn't matter: without a name server in the file, or without the file, evdns
     * takes 127.0.0.1 as the C library does. */
    evdns_base_resolv_conf_parse(
        dns, DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC, "/etc/resolv.conf");
    evdns_base_set_option(dns, "randomize-case:", "0"); /* some servers answer in lower case */
    evdns_base_set_option(dns, "timeout:", "1.5");      /* three tries within LOOKUP_MS */
    evdns_base_set_option(dns, "attempts:", "3");
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
    configure(resolver);
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
    hosts_free(resolver->hosts);
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
static void answer_queries(struct lookup *lookup, const struct resolver_answer *answer,
                           int64_t life_ms)
{
    struct resolver *resolver = lookup->resolver;
    struct resolver_query *query;

    if (life_ms > 0)
        cache_put(resolver->cache, str_of(lookup->name), xmemdup0(answer, sizeof(*answer)),
                  life_ms);
    while ((query = TAILQ_FIRST(&lookup->queries)) != NULL) {
        TAILQ_REMOVE(&lookup->queries, query, link);
        make_ready(resolver, query, answer);
    }
    abandon(lookup);
}

static bool is_asking(const struct lookup *lookup)
{
    return lookup->questions[IPV4].request || lookup->questions[IPV6].request;
}

static const char *failure_text(const struct lookup *lookup)
{
    bool is_unknown = false;

    for (int i = 0; i < FAMILIES; i++) {
        int error = lookup->questions[i].error;

        if (error != DNS_ERR_NONE && error != DNS_ERR_NODATA && error != DNS_ERR_NOTEXIST)
            return "the name servers failed or did not answer";
        is_unknown |= error == DNS_ERR_NOTEXIST;
    }
    return is_unknown ? "name not found" : "name has no addresses";
}

/* With what is known now. */
static void end_lookup(struct lookup *lookup)
{
    struct resolver_answer answer = {0};
    int64_t life_ms = ANSWER_LIFE_MS;

    for (int i = 0; i < FAMILIES; i++) {
        const struct question *question = &lookup->questions[i];

        for (size_t j = 0; j < question->count && answer.count < RESOLVER_MAX_ADDRESSES; j++)
            answer.addresses[answer.count++] = question->addresses[j];
        if (question->count > 0 && question->ttl_ms < life_ms)
            life_ms = question->ttl_ms;
    }
    if (answer.count == 0) {
        answer.error = failure_text(lookup);
        life_ms = FAILURE_LIFE_MS;
    }
    answer_queries(lookup, &answer, life_ms);
}

static void take_records(struct question *question, char type, int count, const void *records)
{
    size_t size = type == DNS_IPv4_A ? sizeof(struct in_addr) : sizeof(struct in6_addr);

    for (int i = 0; i < count && question->count < RESOLVER_MAX_ADDRESSES; i++) {
        struct sockaddr_storage *address = &question->addresses[question->count++];
        const char *record = (const char *)records + (size_t)i * size;

        address->ss_family = type == DNS_IPv4_A ? AF_INET : AF_INET6;
        memcpy(type == DNS_IPv4_A ? (void *)&((struct sockaddr_in *)address)->sin_addr
                                  : (void *)&((struct sockaddr_in6 *)address)->sin6_addr,
               record, size);
    }
}

static void on_records(int error, char type, int count, int ttl_s, void *records, void *arg)
{
    static const struct timeval rest = {OTHER_ANSWER_MS / 1000, 0};
    struct question *question = arg;
    struct lookup *lookup = question->lookup;

    question->request = NULL;
    question->error = error;
    question->ttl_ms = ttl_s > 0 ? (int64_t)ttl_s * 1000 : 0;
    if (error == DNS_ERR_NONE)
        take_records(question, type, count, records);
    if (lookup->resolver && !is_asking(lookup))
        end_lookup(lookup);
    else if (lookup->resolver && question->count > 0)
        event_add(&lookup->timer, &rest);
    if (!is_asking(lookup))
        free(lookup);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
    struct lookup *lookup = arg;
    struct evdns_base *dns = lookup->resolver->dns;

    (void)fd;
    (void)what;
    /* on_records follows later for what is cancelled. */
    for (int i = 0; i < FAMILIES; i++) {
        if (!lookup->questions[i].request)
            continue;
        lookup->questions[i].error = DNS_ERR_TIMEOUT;
        evdns_cancel_request(dns, lookup->questions[i].request);
    }
    end_lookup(lookup);
}

/* The lookup is over and gone when this returns if nothing can be asked. */
static void ask(struct lookup *lookup)
{
    static const struct timeval limit = {LOOKUP_MS / 1000, LOOKUP_MS % 1000 * 1000};
    struct evdns_base *dns = lookup->resolver->dns;
    struct question *questions = lookup->questions;

    evtimer_assign(&lookup->timer, lookup->resolver->base, on_timeout, lookup);
    event_add(&lookup->timer, event_base_init_common_timeout(lookup->resolver->base, &limit));
    for (int i = 0; i < FAMILIES; i++) {
        questions[i].lookup = lookup;
        questions[i].error = DNS_ERR_UNKNOWN;
    }
    if (dns) {
        questions[IPV4].request =
            evdns_base_resolve_ipv4(dns, lookup->name, 0, on_records, &questions[IPV4]);
        questions[IPV6].request =
            evdns_base_resolve_ipv6(dns, lookup->name, 0, on_records, &questions[IPV6]);
    }
    if (!is_asking(lookup)) {
        end_lookup(lookup);
        free(lookup);
    }
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

/* What is known without asking: names that can't be, addresses, names of the file, cached names. */
static bool answer_at_once(struct resolver *resolver, struct resolver_query *query,
                           const char *name)
{
    struct resolver_answer answer = {0};
    const struct resolver_answer *cached;

    if (!*name)
        answer.error = "not a name";
    else if (!read_numeric(name, &answer))
        answer.count =
            hosts_find(resolver->hosts, name, answer.addresses, RESOLVER_MAX_ADDRESSES);
    if (answer.error || answer.count > 0) {
        make_ready(resolver, query, &answer);
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
    evdns_base_search_clear(resolver->dns);
}

void resolver_reload(struct resolver *resolver)
{
    forget_configuration(resolver);
    configure(resolver);
    if (resolver->dns)
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

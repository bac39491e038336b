#include "store/redis_dial.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <fcntl.h>
#include <hiredis/adapters/libevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* evdns calls back even for what was given up, later, from the loop: so the lookup is an object of
 * its own that can outlive its dial. */
struct lookup {
    struct redis_dial *dial; /* NULL = nobody is interested any more */
};

struct redis_dial {
    struct event_base *base;
    const struct redis_address *address;
    unsigned attempt;
    redis_dial_cb cb;
    void *arg;
    struct event *step;
    struct evdns_base *dns;
    struct lookup *lookup;
    char numeric[INET6_ADDRSTRLEN]; /* "" = not known yet */
    char error[160];                /* "" = none */
};

static void release(struct redis_dial *dial)
{
    if (dial->lookup)
        dial->lookup->dial = NULL;
    /* Not evdns_cancel: its callback would run after the base is gone and look into it. Freeing the
     * base ends the request in a way that does not. */
    if (dial->dns)
        evdns_base_free(dial->dns, 1);
    event_free(dial->step);
    free(dial);
}

static void set_socket_options(int fd, bool is_tcp)
{
    /* hiredis knows no SOCK_CLOEXEC. Nobody forks between socket() and here: there is one thread.
     */
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (is_tcp) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &(int){15}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &(int){5}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &(int){3}, sizeof(int));
    }
}

static redisAsyncContext *open_context(struct redis_dial *dial)
{
    const struct redis_address *address = dial->address;
    redisAsyncContext *context;

    context = address->path ? redisAsyncConnectUnix(address->path)
                            : redisAsyncConnect(dial->numeric, address->port);
    if (context && !context->err && redisLibeventAttach(context, dial->base) == REDIS_OK) {
        set_socket_options(context->c.fd, !address->path);
        return context;
    }
    snprintf(dial->error, sizeof(dial->error), "%s",
             context && context->err ? context->errstr : "out of memory");
    if (context)
        redisAsyncFree(context);
    return NULL;
}

static void take_address(struct redis_dial *dial, const struct evutil_addrinfo *list)
{
    const struct evutil_addrinfo *chosen = list;
    unsigned count = 0;

    for (const struct evutil_addrinfo *ai = list; ai; ai = ai->ai_next)
        count++;
    for (unsigned skip = dial->attempt % count; skip > 0; skip--)
        chosen = chosen->ai_next;
    getnameinfo(chosen->ai_addr, chosen->ai_addrlen, dial->numeric, sizeof(dial->numeric), NULL, 0,
                NI_NUMERICHOST);
}

static void on_lookup(int result, struct evutil_addrinfo *list, void *arg)
{
    struct lookup *lookup = arg;
    struct redis_dial *dial = lookup->dial;

    free(lookup);
    if (dial) {
        dial->lookup = NULL;
        if (result == 0 && list)
            take_address(dial, list);
        if (!dial->numeric[0])
            snprintf(dial->error, sizeof(dial->error), "the name %.64s has no address: %s",
                     dial->address->host, evutil_gai_strerror(result));
        event_active(dial->step, EV_TIMEOUT, 0);
    }
    if (list)
        evutil_freeaddrinfo(list);
}

static void start_lookup(struct redis_dial *dial)
{
    const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};

    dial->dns = evdns_base_new(dial->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                               EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!dial->dns) {
        snprintf(dial->error, sizeof(dial->error), "no name server can be used");
        event_active(dial->step, EV_TIMEOUT, 0);
        return;
    }
    evdns_base_set_option(dial->dns, "randomize-case", "0");
    dial->lookup = xmalloc(sizeof(*dial->lookup));
    dial->lookup->dial = dial;
    /* Names out of /etc/hosts call back at once, so nothing may follow. */
    evdns_getaddrinfo(dial->dns, dial->address->host, NULL, &hints, on_lookup, dial->lookup);
}

static void on_step(evutil_socket_t fd, short what, void *arg)
{
    struct redis_dial *dial = arg;
    redisAsyncContext *context = NULL;
    char error[sizeof(dial->error)];
    redis_dial_cb cb = dial->cb;

    (void)fd;
    (void)what;
    if (!dial->error[0] && !dial->numeric[0] && !dial->address->path) {
        start_lookup(dial);
        return;
    }
    if (!dial->error[0])
        context = open_context(dial);
    memcpy(error, dial->error, sizeof(error));
    arg = dial->arg;
    release(dial);
    cb(context, context ? NULL : error, arg);
}

struct redis_dial *redis_dial_start(struct event_base *base, const struct redis_address *address,
                                    unsigned attempt, redis_dial_cb cb, void *arg)
{
    struct redis_dial *dial = xcalloc(1, sizeof(*dial));
    struct in6_addr binary;

    dial->base = base;
    dial->address = address;
    dial->attempt = attempt;
    dial->cb = cb;
    dial->arg = arg;
    if (!address->path && (inet_pton(AF_INET, address->host, &binary) == 1 ||
                           inet_pton(AF_INET6, address->host, &binary) == 1))
        snprintf(dial->numeric, sizeof(dial->numeric), "%s", address->host);
    dial->step = evtimer_new(base, on_step, dial);
    event_active(dial->step, EV_TIMEOUT, 0);
    return dial;
}

void redis_dial_cancel(struct redis_dial *dial)
{
    release(dial);
}

/*
 * Names to addresses without blocking (evdns), with a cache: answers as long as the name servers
 * say, 60 s at most; failures 5 s; at most 1024 names. Names of /etc/hosts and addresses in text form
 * are answered too. A lookup takes 5 s at most. The callback is called once, never before
 * resolver_lookup has returned; all lookups of a name that are under way at one time share one
 * question.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/str.h"
#include <event2/event.h>
#include <sys/socket.h>

#define RESOLVER_MAX_ADDRESSES 8

struct resolver;
struct resolver_query;

struct resolver_answer {
    const char *error; /* NULL, or why there are no addresses (static text) */
    size_t count;
    struct sockaddr_storage addresses[RESOLVER_MAX_ADDRESSES]; /* with the port set */
};

typedef void (*resolver_cb)(const struct resolver_answer *answer, void *arg);

struct resolver *resolver_new(struct event_base *base);
void resolver_free(struct resolver *resolver); /* pending lookups are not called back */
struct resolver_query *resolver_lookup(struct resolver *resolver, struct str host, uint16_t port,
                                       resolver_cb cb, void *arg);
void resolver_cancel(struct resolver_query *query); /* before its callback; it will not be called */
void resolver_reload(
    struct resolver *resolver); /* /etc/hosts and resolv.conf again; empties the cache */
/* Asks only this name server ("127.0.0.1:5353") from now on, until a reload. 0, or -1 when that is
 * not an address. */
int resolver_use_server(struct resolver *resolver, const char *address);

#endif

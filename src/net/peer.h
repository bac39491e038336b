/*
 * Who connects: a count of connections per client address; for IPv6 per /64 network, of which any host
 * has as many addresses as it likes.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include "base/str.h"

struct sockaddr;
struct peer;

struct peers { /* {0}: nobody is connected */
    struct peer *table;
};

/* Counts one connection. NULL for unix sockets, which have no address; the others take that. */
struct peer *peer_take(struct peers *peers, const struct sockaddr *address);
int64_t peer_connections(const struct peer *peer); /* 0 for NULL */
/* The address as bytes, for tables; "" for NULL. Valid as long as the peer. */
struct str peer_key(const struct peer *peer);
void peer_release(struct peers *peers, struct peer *peer);

#endif

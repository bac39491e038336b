/*
 * Which addresses callbacks may lie at. Compared in binary form, after resolving, at each connect:
 * a public name can resolve to a private address.
 *
 * Denied unless allowed: loopback, private, link-local, shared (100.64/10), documentation,
 * benchmarking, multicast, reserved and unspecified addresses of IPv4 and IPv6; IPv4 inside IPv6
 * (::ffff:0:0/96, 64:ff9b::/96) is judged by the IPv4 inside. Own listeners are refused also when
 * their network is allowed.
 */
#ifndef NET_NETPOLICY_H
#define NET_NETPOLICY_H

#include "base/str.h"
#include <sys/socket.h>

struct netpolicy;

/* Lists of networks with commas: "127.0.0.0/8, ::1, private, loopback, any". allow makes exceptions
 * of what is denied by default; deny refuses more, and wins over allow. NULL with *error (free it). */
struct netpolicy *netpolicy_new(const char *allow, const char *deny, char **error);
void netpolicy_free(struct netpolicy *policy);
/* An own listener: this port at this address; an unspecified address (0.0.0.0, ::) covers every
 * loopback address and every address of this machine's interfaces, as they were at most 5 s ago. */
void netpolicy_add_listener(struct netpolicy *policy, const struct sockaddr *address);

bool netpolicy_allows(const struct netpolicy *policy, const struct sockaddr *address);

/* For checks at subscription time: a host that is written as an address (url.h) is judged, a name
 * passes until it is resolved ("localhost" counts as loopback). */
bool netpolicy_allows_host(const struct netpolicy *policy, struct str host, uint16_t port);

/* Syntax check for the settings: NULL when right, else what is wrong (static text). */
const char *netpolicy_check(const char *list);

#endif

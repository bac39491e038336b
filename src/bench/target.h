/*
 * Where a bench's connections go: a URL taken apart and resolved once, with the trust for its TLS.
 * http, https, mqtt and mqtts are known.
 *
 * At one address there are some 28,000 ports towards one server, and when a half of them is taken the kernel
 * looks at that half for each further connection before it tries the other: 18,000 took it ten times the
 * time that they take from two addresses. So to a server at loopback each TARGET_PER_SOURCE connections come
 * from an address of their own, 127.0.0.1, 127.0.0.2 and so on.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "bench/wire.h"
#include <netinet/in.h>
#include <sys/socket.h>

#define TARGET_PER_SOURCE 10000

struct target {
    char *host, *authority;
    struct sockaddr_storage address;
    socklen_t address_len;
    SSL_CTX *tls; /* NULL = plain */
};

/* ca_file: NULL or "" = the system's CAs. false: what is wrong has been said. target_close also
 * then. */
bool target_open(struct target *target, const char *url, const char *ca_file);
void target_close(struct target *target); /* a zeroed one is fine */

/* Begins a connection, the number-th at a time; it is made when its socket is writable and
 * target_error is 0. false: it cannot be made, errno says why. */
bool target_dial(const struct target *target, size_t number, struct wire *wire);
int target_error(int fd); /* of the socket, as errno */

/* The address for connection number `number`, in network order; 0: the kernel's choice. */
in_addr_t target_source(const struct target *target, size_t number);

#endif

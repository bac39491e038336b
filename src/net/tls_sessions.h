/*
 * TLS sessions towards callbacks, to be resumed: a new connection then costs neither side a key
 * exchange with signatures. A resumed session was verified when it began, and is not verified
 * again: so sessions are kept apart by whatever rules they were verified by, and for a limited
 * time.
 *
 * A group has the sessions of one peer under one set of rules. The store bounds all groups
 * together; the session that came first goes first.
 */
#ifndef NET_TLS_SESSIONS_H
#define NET_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <stdint.h>
#include <sys/socket.h>

struct tls_session_store;
struct tls_session_group;

/* max 0: none is kept. */
struct tls_session_store *tls_session_store_new(size_t max, int64_t life_ms);
/* After its groups were closed. */
void tls_session_store_free(struct tls_session_store *store);
void tls_session_store_set_limits(struct tls_session_store *store, size_t max, int64_t life_ms);
size_t tls_session_store_count(const struct tls_session_store *store);

struct tls_session_group *tls_session_group_new(struct tls_session_store *store);
/* Its sessions are forgotten; what connections still bring is too. NULL is allowed. */
void tls_session_group_close(struct tls_session_group *group);

/* Before the handshake of a new connection to this address: it resumes the newest session with it,
 * and gives those it gets to the group. A ticket of TLS 1.3 is used once. */
void tls_session_use(struct tls_session_group *group, SSL *ssl, const struct sockaddr *address);

void tls_sessions_prepare(SSL_CTX *context); /* once for each context */

#endif

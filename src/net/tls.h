/*
 * TLS for listeners and callbacks: OpenSSL contexts with our choices made once.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "net/tls_identity.h"
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

struct tls_server_config {
    const char *certificate_file; /* PEM, leaf first, then the chain */
    const char *key_file;
    const char *client_ca_file;       /* "" or NULL = no client certificates are asked for */
    bool requires_client_certificate; /* with client_ca_file: else optional */
    int min_version;                  /* TLS1_2_VERSION or TLS1_3_VERSION */
};

struct tls_server;

/* NULL with a text in *error (free() it): which file and why. Also checks that key and certificate
 * belong together. */
struct tls_server *tls_server_new(const struct tls_server_config *config, char **error);
/* Reads the files again; on error the old ones stay in force. 0 or -1 with *error set. */
int tls_server_reload(struct tls_server *tls, char **error);
void tls_server_free(struct tls_server *tls);
SSL *tls_server_accept(struct tls_server *tls); /* a new SSL for one accepted connection */

int64_t tls_server_expires_ms(const struct tls_server *tls); /* wall; of the certificate itself */

/* ---- towards callbacks ---- */

struct tls_client_config {
    const struct certificates *anchors;  /* each of them is trusted, also an intermediate or the
                                            server's own; NULL: those of ca_file */
    const char *ca_file;                 /* NULL or "": the system's */
    const struct tls_identity *identity; /* shown to servers that ask; NULL: none */
    int min_version;
    bool ignores_anchor_expiry; /* of the certificate that a chain ends with */
};

/* NULL with *error set. */
SSL_CTX *tls_client_context_new(const struct tls_client_config *config, char **error);

struct tls_peer {
    struct str name;        /* name or address that the certificate must be for; STR_NONE: any */
    struct str server_name; /* SNI; STR_NONE: none is sent */
    bool takes_common_name; /* the subject's CN can say it too, beside alternative names */
};

/* A new SSL for one connection. NULL: a name that can be none. */
SSL *tls_client_connect(SSL_CTX *context, const struct tls_peer *peer);

/* After a failed connection: why, in words: "expired", "unknown CA", "name mismatch", "handshake"
 * or "certificate", with OpenSSL's more exact ones behind a colon. Valid until the next call. */
const char *tls_failure_reason(SSL *ssl, struct bufferevent *bev);

#endif

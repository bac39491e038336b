/*
 * TLS for listeners and callbacks: OpenSSL contexts with our choices made once.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/str.h"
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

struct tls_server_config {
    const char *certificate_file; /* PEM, leaf first, then the chain */
    const char *key_file;
    const char *client_ca_file;   /* "" or NULL = no client certificates are asked for */
    bool requires_client_certificate; /* with client_ca_file: else optional */
    int min_version;              /* TLS1_2_VERSION or TLS1_3_VERSION */
};

struct tls_server;

/* NULL with a text in *error (free() it): which file and why. Also checks that key and certificate
 * belong together. */
struct tls_server *tls_server_new(const struct tls_server_config *config, char **error);
/* Reads the files again; on error the old ones stay in force. 0 or -1 with *error set. */
int tls_server_reload(struct tls_server *tls, char **error);
void tls_server_free(struct tls_server *tls);
SSL *tls_server_accept(struct tls_server *tls); /* a new SSL for one accepted connection */

/* The context for callbacks: verifies against the system's CAs (or ca_file when given), TLS 1.2 and
 * later. NULL with *error set. */
SSL_CTX *tls_client_context_new(const char *ca_file, char **error);

/* A new SSL for one connection to `host`: SNI for names, and the name or address to verify. */
SSL *tls_client_connect(SSL_CTX *context, struct str host, bool is_address);

/* After a failed connection: why, in words ("certificate has expired", "unable to get local issuer
 * certificate", "hostname mismatch", "handshake failed"). Static text. */
const char *tls_failure_reason(SSL *ssl, struct bufferevent *bev);

#endif

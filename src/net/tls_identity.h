/*
 * A certificate of our own with its chain and key, read from files: what listeners show to clients,
 * and pushes to callbacks that ask for it.
 */
#ifndef NET_TLS_IDENTITY_H
#define NET_TLS_IDENTITY_H

#include "net/pem.h"
#include <openssl/ssl.h>

struct tls_identity;

/* NULL with a text in *error (free() it): which file and why. Also checks that certificate and key
 * belong together. */
struct tls_identity *tls_identity_read(const char *certificate_file, const char *key_file,
                                       char **error);
void tls_identity_free(struct tls_identity *identity); /* NULL is allowed */
/* false: OpenSSL does not want it (a key that is too weak, say), with a text in *error. */
bool tls_identity_use(const struct tls_identity *identity, SSL_CTX *context, char **error);
/* Leaf first. */
const struct certificates *tls_identity_chain(const struct tls_identity *identity);

/* For whoever reads files with OpenSSL: what went wrong, from its error queue; and NULL when a file
 * can be read, else why not, as errno's text is clearer than OpenSSL's. free() them. */
char *tls_file_failure(const char *what, const char *file);
char *tls_check_readable(const char *what, const char *file);

#endif

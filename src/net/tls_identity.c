#include "net/tls_identity.h"

#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

struct tls_identity {
    SSL_CTX *context;          /* reads files, and owns what was read */
    struct certificates chain; /* points into context */
};

static bool means_no_pem(unsigned long code)
{
    return (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
           (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
}

/* The first error of OpenSSL's queue is the cause, the others say where it was found. */
char *tls_file_failure(const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (means_no_pem(code))
        reason = "nothing of that kind in it (PEM is expected)";
    return xasprintf("%s %s: %s", what, file, reason ? reason : "cannot be used");
}

/* errno's text is clearer than OpenSSL's. */
char *tls_check_readable(const char *what, const char *file)
{
    if (access(file, R_OK) == 0)
        return NULL;
    return xasprintf("%s %s: %s", what, file, strerror(errno));
}

/* A key with a pass phrase fails instead of asking for it at a terminal. */
static int note_pass_phrase(char *buffer, int size, int is_writing, void *was_asked)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    *(bool *)was_asked = true;
    return 0;
}

static EVP_PKEY *read_key(const char *path, char **error)
{
    BIO *file = BIO_new_file(path, "r");
    bool was_asked = false;
    EVP_PKEY *key = NULL;

    if (file)
        key = PEM_read_bio_PrivateKey(file, NULL, note_pass_phrase, &was_asked);
    BIO_free(file);
    if (!key && was_asked)
        *error = xasprintf("key %s: has a pass phrase; a key without one is needed", path);
    else if (!key)
        *error = tls_file_failure("key", path);
    return key;
}

static char *load_certificate(SSL_CTX *context, const char *file)
{
    char *error = tls_check_readable("certificate", file);
    X509 *leaf;

    if (error)
        return error;
    if (SSL_CTX_use_certificate_chain_file(context, file) != 1)
        return tls_file_failure("certificate", file);
    leaf = SSL_CTX_get0_certificate(context);
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        log_warn("tls", "certificate=%s state=expired", file);
    return NULL;
}

static char *load_key(SSL_CTX *context, const char *file, const char *certificate_file)
{
    char *error = tls_check_readable("key", file);
    EVP_PKEY *key;

    if (error)
        return error;
    key = read_key(file, &error);
    if (!key)
        return error;
    if (X509_check_private_key(SSL_CTX_get0_certificate(context), key) != 1)
        error = xasprintf("key %s: does not belong to the certificate %s", file, certificate_file);
    else if (SSL_CTX_use_PrivateKey(context, key) != 1)
        error = tls_file_failure("key", file);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return error;
}

static void collect_chain(struct tls_identity *identity)
{
    STACK_OF(X509) *rest = NULL;
    size_t count;

    SSL_CTX_get0_chain_certs(identity->context, &rest);
    count = 1 + (rest ? (size_t)sk_X509_num(rest) : 0);
    identity->chain.list = xcalloc(count, sizeof(*identity->chain.list));
    identity->chain.count = count;
    identity->chain.list[0] = SSL_CTX_get0_certificate(identity->context);
    for (size_t i = 1; i < count; i++)
        identity->chain.list[i] = sk_X509_value(rest, (int)i - 1);
}

struct tls_identity *tls_identity_read(const char *certificate_file, const char *key_file,
                                       char **error)
{
    struct tls_identity *identity = xcalloc(1, sizeof(*identity));

    ERR_clear_error();
    identity->context = SSL_CTX_new(TLS_method());
    *error = identity->context ? load_certificate(identity->context, certificate_file)
                               : tls_file_failure("TLS", "context");
    if (!*error)
        *error = load_key(identity->context, key_file, certificate_file);
    if (!*error) {
        collect_chain(identity);
        return identity;
    }
    tls_identity_free(identity);
    return NULL;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (!identity)
        return;
    free(identity->chain.list);
    SSL_CTX_free(identity->context);
    free(identity);
}

bool tls_identity_use(const struct tls_identity *identity, SSL_CTX *context, char **error)
{
    STACK_OF(X509) *rest = NULL;

    ERR_clear_error();
    SSL_CTX_get0_chain_certs(identity->context, &rest);
    if (SSL_CTX_use_cert_and_key(context, identity->chain.list[0],
                                 SSL_CTX_get0_privatekey(identity->context), rest, 1) == 1)
        return true;
    *error = tls_file_failure("certificate", "and key");
    return false;
}

const struct certificates *tls_identity_chain(const struct tls_identity *identity)
{
    return &identity->chain;
}

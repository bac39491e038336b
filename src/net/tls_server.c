#include "net/tls.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

struct tls_server {
    SSL_CTX *context; /* connections hold references of their own */
    char *certificate_file, *key_file, *client_ca_file;
    bool requires_client_certificate;
    int min_version;
};

static bool means_no_pem(unsigned long code)
{
    return (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) ||
           (ERR_GET_LIB(code) == ERR_LIB_OSSL_DECODER && ERR_GET_REASON(code) == ERR_R_UNSUPPORTED);
}

/* The first error of OpenSSL's queue is the cause, the others say where it was found. */
static char *failure(const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    if (means_no_pem(code))
        reason = "nothing of that kind in it (PEM is expected)";
    return xasprintf("%s %s: %s", what, file, reason ? reason : "cannot be used");
}

/* errno's text is clearer than OpenSSL's. */
static char *check_readable(const char *what, const char *file)
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
        *error = failure("key", path);
    return key;
}

static char *load_certificate(SSL_CTX *context, const struct tls_server *tls)
{
    char *error = check_readable("certificate", tls->certificate_file);
    X509 *leaf;

    if (error)
        return error;
    if (SSL_CTX_use_certificate_chain_file(context, tls->certificate_file) != 1)
        return failure("certificate", tls->certificate_file);
    leaf = SSL_CTX_get0_certificate(context);
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        log_warn("tls", "certificate=%s state=expired", tls->certificate_file);
    return NULL;
}

static char *load_key(SSL_CTX *context, const struct tls_server *tls)
{
    char *error = check_readable("key", tls->key_file);
    EVP_PKEY *key;

    if (error)
        return error;
    key = read_key(tls->key_file, &error);
    if (!key)
        return error;
    if (X509_check_private_key(SSL_CTX_get0_certificate(context), key) != 1)
        error = xasprintf("key %s: does not belong to the certificate %s", tls->key_file,
                          tls->certificate_file);
    else if (SSL_CTX_use_PrivateKey(context, key) != 1)
        error = failure("key", tls->key_file);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return error;
}

static char *load_client_ca(SSL_CTX *context, const struct tls_server *tls)
{
    int mode = SSL_VERIFY_PEER;
    STACK_OF(X509_NAME) * names;
    char *error;

    if (tls->client_ca_file[0] == '\0')
        return NULL;
    error = check_readable("client CA", tls->client_ca_file);
    if (error)
        return error;
    names = SSL_load_client_CA_file(tls->client_ca_file);
    if (!names || SSL_CTX_load_verify_file(context, tls->client_ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return failure("client CA", tls->client_ca_file);
    }
    SSL_CTX_set_client_CA_list(context, names);
    if (tls->requires_client_certificate)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    return NULL;
}

static SSL_CTX *new_context(const struct tls_server *tls, char **error)
{
    static const unsigned char id[] = "iotpush";
    SSL_CTX *context;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        *error = failure("TLS", "context");
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, tls->min_version);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Sessions with client certificates can only be resumed under an id. */
    SSL_CTX_set_session_id_context(context, id, sizeof(id) - 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory */

    *error = load_certificate(context, tls);
    if (!*error)
        *error = load_key(context, tls);
    if (!*error)
        *error = load_client_ca(context, tls);
    if (!*error)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

struct tls_server *tls_server_new(const struct tls_server_config *config, char **error)
{
    struct tls_server *tls = xcalloc(1, sizeof(*tls));

    tls->certificate_file = xstrdup(config->certificate_file);
    tls->key_file = xstrdup(config->key_file);
    tls->client_ca_file = xstrdup(config->client_ca_file ? config->client_ca_file : "");
    tls->requires_client_certificate = config->requires_client_certificate;
    tls->min_version = config->min_version;
    tls->context = new_context(tls, error);
    if (tls->context)
        return tls;
    tls_server_free(tls);
    return NULL;
}

int tls_server_reload(struct tls_server *tls, char **error)
{
    SSL_CTX *context = new_context(tls, error);

    if (!context)
        return -1;
    SSL_CTX_free(tls->context);
    tls->context = context;
    return 0;
}

void tls_server_free(struct tls_server *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls->certificate_file);
    free(tls->key_file);
    free(tls->client_ca_file);
    free(tls);
}

SSL *tls_server_accept(struct tls_server *tls)
{
    return SSL_new(tls->context);
}

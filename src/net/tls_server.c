#include "net/tls.h"

#include "base/mem.h"
#include "net/x509_facts.h"

#include <openssl/err.h>
#include <stdlib.h>

struct tls_server {
    SSL_CTX *context; /* connections hold references of their own */
    char *certificate_file, *key_file, *client_ca_file;
    bool requires_client_certificate;
    int min_version;
};

static char *load_client_ca(SSL_CTX *context, const struct tls_server *tls)
{
    int mode = SSL_VERIFY_PEER;
    STACK_OF(X509_NAME) * names;
    char *error;

    if (tls->client_ca_file[0] == '\0')
        return NULL;
    error = tls_check_readable("client CA", tls->client_ca_file);
    if (error)
        return error;
    names = SSL_load_client_CA_file(tls->client_ca_file);
    if (!names || SSL_CTX_load_verify_file(context, tls->client_ca_file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_file_failure("client CA", tls->client_ca_file);
    }
    SSL_CTX_set_client_CA_list(context, names);
    if (tls->requires_client_certificate)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    return NULL;
}

static SSL_CTX *new_context(const struct tls_server *tls, const struct tls_identity *identity,
                            char **error)
{
    static const unsigned char id[] = "iotpush";
    SSL_CTX *context;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        *error = tls_file_failure("TLS", "context");
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

    if (tls_identity_use(identity, context, error))
        *error = load_client_ca(context, tls);
    if (!*error)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

static SSL_CTX *load(const struct tls_server *tls, char **error)
{
    struct tls_identity *identity = tls_identity_read(tls->certificate_file, tls->key_file, error);
    SSL_CTX *context = identity ? new_context(tls, identity, error) : NULL;

    tls_identity_free(identity);
    return context;
}

struct tls_server *tls_server_new(const struct tls_server_config *config, char **error)
{
    struct tls_server *tls = xcalloc(1, sizeof(*tls));

    tls->certificate_file = xstrdup(config->certificate_file);
    tls->key_file = xstrdup(config->key_file);
    tls->client_ca_file = xstrdup(config->client_ca_file ? config->client_ca_file : "");
    tls->requires_client_certificate = config->requires_client_certificate;
    tls->min_version = config->min_version;
    tls->context = load(tls, error);
    if (tls->context)
        return tls;
    tls_server_free(tls);
    return NULL;
}

int tls_server_reload(struct tls_server *tls, char **error)
{
    SSL_CTX *context = load(tls, error);

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

int64_t tls_server_expires_ms(const struct tls_server *tls)
{
    return x509_not_after_ms(SSL_CTX_get0_certificate(tls->context));
}

/*
 * TLS towards callbacks. A failed handshake is explained by the certificate check's first error,
 * which the verify callback keeps with the SSL (OpenSSL's own record of it is overwritten when
 * libevent clears the SSL), and otherwise by what libevent kept of OpenSSL's error queue.
 */
#include "net/tls.h"

#include "base/mem.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define MAX_HOST 253

/* Where the verify error lies in an SSL. */
static int verify_error_index = -1;

static int keep_first_error(int is_ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    if (!is_ok && !SSL_get_ex_data(ssl, verify_error_index))
        SSL_set_ex_data(ssl, verify_error_index, (void *)(intptr_t)X509_STORE_CTX_get_error(store));
    return is_ok;
}

static const char *last_openssl_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text ? text : "unknown error";
}

static bool load_authorities(SSL_CTX *context, const char *ca_file, char **error)
{
    ERR_clear_error();
    if (!ca_file || !*ca_file) {
        if (SSL_CTX_set_default_verify_paths(context) == 1)
            return true;
        *error = xasprintf("the system's certificate authorities: %s", last_openssl_error());
        return false;
    }
    if (SSL_CTX_load_verify_file(context, ca_file) != 1) {
        *error = xasprintf("%s: %s", ca_file, last_openssl_error());
        return false;
    }
    /* Whatever stands in the file is trusted, also an intermediate or the server's own. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    return true;
}

SSL_CTX *tls_client_context_new(const char *ca_file, char **error)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    if (!context) {
        *error = xstrdup(last_openssl_error());
        return NULL;
    }
    if (verify_error_index < 0)
        verify_error_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Thousands of idle connections: don't keep 34 KiB of buffers for each. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, keep_first_error);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    if (!load_authorities(context, ca_file, error)) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool expect_peer(SSL *ssl, const char *host, bool is_address)
{
    if (is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls_client_connect(SSL_CTX *context, struct str host, bool is_address)
{
    char name[MAX_HOST + 1];
    SSL *ssl;

    if (host.len == 0 || host.len > MAX_HOST || memchr(host.p, '\0', host.len))
        return NULL;
    memcpy(name, host.p, host.len);
    name[host.len] = '\0';
    ssl = SSL_new(context);
    if (!ssl || !expect_peer(ssl, name, is_address)) {
        ERR_clear_error();
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

/* libevent gives OpenSSL's errors the latest first, the kind (SSL_ERROR_SSL, say) last; the oldest
 * real one tells most. */
static const char *handshake_error(struct bufferevent *bev)
{
    const char *reason = NULL;
    unsigned long error;

    while ((error = bufferevent_get_openssl_error(bev)) != 0) {
        const char *text = ERR_GET_LIB(error) ? ERR_reason_error_string(error) : NULL;

        if (text)
            reason = text;
    }
    return reason;
}

const char *tls_failure_reason(SSL *ssl, struct bufferevent *bev)
{
    long verify_error = (long)(intptr_t)SSL_get_ex_data(ssl, verify_error_index);
    const char *reason = bev ? handshake_error(bev) : NULL;

    if (verify_error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return "address mismatch";
    if (verify_error)
        return X509_verify_cert_error_string(verify_error);
    return reason ? reason : "handshake failed";
}

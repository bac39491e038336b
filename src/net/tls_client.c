/*
 * TLS towards callbacks. A failed handshake is explained by the certificate check's first error,
 * which the verify callback keeps with the SSL (OpenSSL's own record of it is overwritten when
 * libevent clears the SSL), and otherwise by what libevent kept of OpenSSL's error queue.
 */
#include "net/tls.h"

#include "base/mem.h"
#include "net/tls_sessions.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_HOST       253
#define SECURITY_LEVEL 2 /* RSA from 2048 bits, EC from 224, no SHA-1; whatever openssl.cnf says */

/* In an SSL: the first verify error, and whether the common name counts. In a context: whether an
 * anchor may have expired. */
static int verify_error_index = -1, common_name_index = -1, expired_anchor_index = -1;

static void make_indices(void)
{
    if (verify_error_index >= 0)
        return;
    verify_error_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    common_name_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    expired_anchor_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* ---- the check ---- */

static bool common_name_is(X509 *certificate, const char *name)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    bool is_same = false;

    for (int at = -1;
         !is_same && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        unsigned char *text = NULL;
        int len =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));

        is_same = len > 0 && str_eq_nocase(str_n((char *)text, (size_t)len), str_of(name));
        OPENSSL_free(text);
    }
    return is_same;
}

/* OpenSSL looks at the CN only when there are no alternative names, and takes wildcards in it. */
static bool is_common_name(X509_STORE_CTX *store)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store);
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    char *address = X509_VERIFY_PARAM_get1_ip_asc(param);
    const char *name = address ? address : X509_VERIFY_PARAM_get0_host(param, 0);
    bool is_same = name && common_name_is(certificate, name);

    OPENSSL_free(address);
    return is_same;
}

/* A chain that is too short to have an anchor has failed before its dates are looked at. */
static bool is_anchor(X509_STORE_CTX *store)
{
    return X509_STORE_CTX_get_error_depth(store) ==
           sk_X509_num(X509_STORE_CTX_get0_chain(store)) - 1;
}

static bool is_excused(const SSL *ssl, X509_STORE_CTX *store)
{
    switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), expired_anchor_index) && is_anchor(store);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return SSL_get_ex_data(ssl, common_name_index) && is_common_name(store);
    default:
        return false;
    }
}

static int judge(int is_ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    if (is_ok)
        return 1;
    if (is_excused(ssl, store)) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    if (!SSL_get_ex_data(ssl, verify_error_index))
        SSL_set_ex_data(ssl, verify_error_index, (void *)(intptr_t)X509_STORE_CTX_get_error(store));
    return 0;
}

/* ---- contexts ---- */

static const char *last_openssl_error(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text ? text : "unknown error";
}

static void trust(SSL_CTX *context, const struct certificates *anchors)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);

    for (size_t i = 0; i < anchors->count; i++)
        X509_STORE_add_cert(store, anchors->list[i]);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
}

static bool load_authorities(SSL_CTX *context, const char *ca_file, char **error)
{
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

static void prepare(SSL_CTX *context, const struct tls_client_config *config)
{
    static const unsigned char protocols[] = "\x08http/1.1";

    SSL_CTX_set_min_proto_version(context, config->min_version);
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Thousands of idle connections: don't keep 34 KiB of buffers for each. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, judge);
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    if (config->ignores_anchor_expiry)
        SSL_CTX_set_ex_data(context, expired_anchor_index, context);
    tls_sessions_prepare(context);
}

SSL_CTX *tls_client_context_new(const struct tls_client_config *config, char **error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bool is_good = true;

    if (!context) {
        *error = xstrdup(last_openssl_error());
        return NULL;
    }
    make_indices();
    prepare(context, config);
    ERR_clear_error();
    if (config->anchors)
        trust(context, config->anchors);
    else
        is_good = load_authorities(context, config->ca_file, error);
    if (is_good && config->identity)
        is_good = tls_identity_use(config->identity, context, error);
    ERR_clear_error();
    if (is_good)
        return context;
    SSL_CTX_free(context);
    return NULL;
}

/* ---- connections ---- */

/* NUL-terminated in out; false: no name of a host. */
static bool copy_name(struct str name, char out[MAX_HOST + 1])
{
    if (name.len == 0 || name.len > MAX_HOST || memchr(name.p, '\0', name.len))
        return false;
    memcpy(out, name.p, name.len);
    out[name.len] = '\0';
    return true;
}

static bool expect_name(SSL *ssl, const struct tls_peer *peer)
{
    unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    char name[MAX_HOST + 1];

    if (!copy_name(peer->name, name))
        return false;
    if (peer->takes_common_name) {
        flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT; /* judge does */
        SSL_set_ex_data(ssl, common_name_index, ssl);
    }
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return true;
    SSL_set_hostflags(ssl, flags);
    return SSL_set1_host(ssl, name) == 1;
}

static bool send_name(SSL *ssl, struct str server_name)
{
    char name[MAX_HOST + 1];

    return copy_name(server_name, name) && SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *tls_client_connect(SSL_CTX *context, const struct tls_peer *peer)
{
    SSL *ssl = SSL_new(context);

    if (ssl && (!peer->name.p || expect_name(ssl, peer)) &&
        (!peer->server_name.p || send_name(ssl, peer->server_name))) {
        ERR_clear_error();
        return ssl;
    }
    ERR_clear_error();
    SSL_free(ssl);
    return NULL;
}

/* ---- what went wrong ---- */

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

static const char *kind_of_error(long error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "expired";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "name mismatch";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return "unknown CA";
    default:
        return "certificate";
    }
}

const char *tls_failure_reason(SSL *ssl, struct bufferevent *bev)
{
    static char text[160];
    long verify_error = (long)(intptr_t)SSL_get_ex_data(ssl, verify_error_index);
    const char *reason = bev ? handshake_error(bev) : NULL;

    if (verify_error)
        snprintf(text, sizeof(text), "%s: %s", kind_of_error(verify_error),
                 X509_verify_cert_error_string(verify_error));
    else
        snprintf(text, sizeof(text), "handshake: %s", reason ? reason : "failed");
    return text;
}

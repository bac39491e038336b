/*
 * Certificates for tests, made when they are needed: a CA, and servers' certificates signed by it.
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct identity {
    X509 *certificate;
    EVP_PKEY *key;
};

static void identity_extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (!extension || X509_add_ext(certificate, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

/* issuer NULL: a CA that signs itself. names: "DNS:a.example,IP:127.0.0.1". usage: "serverAuth", or
 * NULL. Takes the key. */
static struct identity identity_new_for(const struct identity *issuer, const char *names, long days,
                                        EVP_PKEY *key, const char *usage)
{
    struct identity identity = {X509_new(), key};
    X509 *certificate = identity.certificate;
    X509_NAME *subject = X509_get_subject_name(certificate);
    static long serial = 1;
    char common_name[40];

    snprintf(common_name, sizeof(common_name), "%s %ld", issuer ? "server" : "authority", serial);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -10L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (unsigned char *)common_name, -1, -1,
                               0);
    X509_set_issuer_name(certificate,
                         issuer ? X509_get_subject_name(issuer->certificate) : subject);
    X509_set_pubkey(certificate, identity.key);
    identity_extend(certificate, issuer ? issuer->certificate : certificate, NID_basic_constraints,
                    issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        identity_extend(certificate, issuer->certificate, NID_subject_alt_name, names);
    if (usage)
        identity_extend(certificate, issuer->certificate, NID_ext_key_usage, usage);
    if (!X509_sign(certificate, issuer ? issuer->key : identity.key, EVP_sha256()))
        abort();
    return identity;
}

static struct identity identity_new(const struct identity *issuer, const char *names, long days)
{
    return identity_new_for(issuer, names, days, EVP_EC_gen("P-256"), NULL);
}

static void identity_clear(struct identity *identity)
{
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
}

/* A temporary file with the certificate; unlink and free it. */
static inline char *identity_write(const struct identity *identity)
{
    char path[] = "/tmp/iotpush-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

    if (!file || PEM_write_X509(file, identity->certificate) != 1 || fclose(file) != 0)
        abort();
    return strdup(path);
}

static inline SSL_CTX *identity_server_context(const struct identity *identity)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    SSL_CTX_set_security_level(context, 0);
    if (SSL_CTX_use_certificate(context, identity->certificate) != 1 ||
        SSL_CTX_use_PrivateKey(context, identity->key) != 1)
        abort();
    return context;
}

#endif

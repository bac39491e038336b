#include "net/x509_facts.h"

#include "base/mem.h"
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#define STRONG_BITS 112

static int64_t to_ms(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) * 1000 : 0;
}

int64_t x509_not_after_ms(X509 *certificate)
{
    return to_ms(X509_get0_notAfter(certificate));
}

static struct str name_text(struct arena *arena, const X509_NAME *name)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text;
    long len;
    struct str copy;

    X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    len = BIO_get_mem_data(memory, &text);
    copy = arena_str(arena, str_n(text ? text : "", len > 0 ? (size_t)len : 0));
    BIO_free(memory);
    return str_is_utf8(copy) ? copy : STR("(not readable)");
}

static const char *serial_text(struct arena *arena, X509 *certificate)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    const char *copy = arena_dup0(arena, str_of(hex ? hex : ""));

    OPENSSL_free(hex);
    BN_free(number);
    return copy;
}

static const char *key_type(struct arena *arena, const EVP_PKEY *key)
{
    const char *name = EVP_PKEY_get0_type_name(key);

    return name ? arena_dup0(arena, str_of(name)) : "unknown";
}

static void read_fingerprint(X509 *certificate, char out[CRYPTO_SHA256_HEX_SIZE])
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);

    crypto_sha256_hex(str_n((const char *)der, len > 0 ? (size_t)len : 0), out);
    OPENSSL_free(der);
}

void x509_facts_read(struct arena *arena, X509 *certificate, struct x509_facts *facts)
{
    const EVP_PKEY *key = X509_get0_pubkey(certificate);

    *facts = (struct x509_facts){
        .subject = name_text(arena, X509_get_subject_name(certificate)),
        .issuer = name_text(arena, X509_get_issuer_name(certificate)),
        .serial = serial_text(arena, certificate),
        .not_before_ms = to_ms(X509_get0_notBefore(certificate)),
        .not_after_ms = x509_not_after_ms(certificate),
        .key_type = key ? key_type(arena, key) : "unknown",
        .key_bits = key ? EVP_PKEY_get_bits(key) : 0,
        .is_key_weak = !key || EVP_PKEY_get_security_bits(key) < STRONG_BITS,
        .is_authority = X509_check_ca(certificate) > 0,
        .is_self_signed = X509_self_signed(certificate, 0) == 1,
    };
    read_fingerprint(certificate, facts->sha256);
    ERR_clear_error();
}

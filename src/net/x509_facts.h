/* What people want to know of a certificate. */
#ifndef NET_X509_FACTS_H
#define NET_X509_FACTS_H

#include "base/arena.h"
#include "base/crypto.h"
#include <openssl/x509.h>

struct x509_facts {
    struct str subject, issuer; /* RFC 2253, UTF-8 */
    const char *serial;         /* hex, upper case */
    int64_t not_before_ms, not_after_ms;
    const char *key_type; /* "RSA", "EC", "ED25519" ... */
    int key_bits;
    bool is_key_weak;  /* below 112 bits of security: RSA under 2048, EC under 224 */
    bool is_authority; /* may sign others */
    bool is_self_signed;
    char sha256[CRYPTO_SHA256_HEX_SIZE]; /* fingerprint: of the DER form */
};

/* The texts live in the arena. */
void x509_facts_read(struct arena *arena, X509 *certificate, struct x509_facts *facts);

int64_t x509_not_after_ms(X509 *certificate);

#endif

/*
 * The few things we want of libcrypto, in our own types. All texts are lower-case hex.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/buf.h"

#define CRYPTO_SHA256_HEX_SIZE 65 /* with the NUL */
#define CRYPTO_UUID_SIZE       37

/* Cryptographically random; the process ends when the system has no randomness. */
void crypto_random_bytes(void *out, size_t len);
void crypto_random_hex(char *out, size_t hex_digits); /* writes hex_digits characters and a NUL */
void crypto_random_uuid(char out[CRYPTO_UUID_SIZE]);  /* version 4, lower case */

void crypto_sha256_hex(struct str message, char out[CRYPTO_SHA256_HEX_SIZE]);
void crypto_hmac_sha256_hex(struct str key, struct str message, char out[CRYPTO_SHA256_HEX_SIZE]);

/* In constant time for equal lengths; different lengths are unequal at once. */
bool crypto_equal(struct str a, struct str b);

bool crypto_is_hex(struct str s); /* digits a-f A-F 0-9 only, at least one */

/* Base64 with padding, no line breaks. */
char *crypto_base64(const void *bytes, size_t len); /* free() it */
/* Back again, added to out: the padding must be there, white space may be anywhere. false: anything
 * else is in it, and out is as it was. */
bool crypto_base64_decode(struct str text, struct buf *out);

/* A random seed per process for hash tables; see base/hash.h. */
uint32_t crypto_hash_seed(void);

#endif

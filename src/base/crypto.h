/*
 * The few things we want of libcrypto, in our own types. All texts are lower-case hex.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include "base/buf.h"

#define CRYPTO_SHA256_HEX_SIZE 65 /* with the NUL */
#define CRYPTO_UUID_SIZE       37
#define CRYPTO_SHA256_BYTES    32
#define CRYPTO_BASE64_SIZE(bytes) (((bytes) + 2) / 3 * 4 + 1) /* with the NUL */

/* Cryptographically random; the process ends when the system has no randomness. */
void crypto_random_bytes(void *out, size_t len);
void crypto_random_hex(char *out, size_t hex_digits); /* writes hex_digits characters and a NUL */
void crypto_random_uuid(char out[CRYPTO_UUID_SIZE]);  /* version 4, lower case */

void crypto_sha256_hex(struct str message, char out[CRYPTO_SHA256_HEX_SIZE]);
void crypto_hmac_sha256_hex(struct str key, struct str message, char out[CRYPTO_SHA256_HEX_SIZE]);

/* The same with SM3. */
void crypto_hmac_sm3_hex(struct str key, struct str message, char out[CRYPTO_SHA256_HEX_SIZE]);

/* HMAC-SHA256 with one key for many messages: what the key costs is paid once. */
struct crypto_hmac;
struct crypto_hmac *crypto_hmac_new(const void *key, size_t len);
void crypto_hmac_free(struct crypto_hmac *hmac); /* wipes the key; NULL is fine */
/* Of the parts one after the other. */
void crypto_hmac_sign(const struct crypto_hmac *hmac, const struct str *parts, size_t count,
                      unsigned char out[CRYPTO_SHA256_BYTES]);

void crypto_wipe(void *secret, size_t len); /* also when nobody looks at it any more */

/* In constant time for equal lengths; different lengths are unequal at once. */
bool crypto_equal(struct str a, struct str b);

bool crypto_is_hex(struct str s); /* digits a-f A-F 0-9 only, at least one */

/* Base64 with padding, no line breaks. */
char *crypto_base64(const void *bytes, size_t len); /* free() it */
/* Back again, added to out: the padding must be there, white space may be anywhere. false: anything
 * else is in it, and out is as it was. */
bool crypto_base64_decode(struct str text, struct buf *out);
/* Of few bytes, into CRYPTO_BASE64_SIZE(len) characters; returns their number without the NUL. */
size_t crypto_to_base64(const void *bytes, size_t len, char *out);
/* Exactly len bytes, in the form that crypto_to_base64 gives them; else false. */
bool crypto_from_base64(struct str text, void *out, size_t len);

/* A random seed per process for hash tables; see base/hash.h. */
uint32_t crypto_hash_seed(void);

#endif

#include "base/crypto.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <unistd.h>

/* Without randomness or digests every token would be wrong or guessable. */
static _Noreturn void give_up(const char *what)
{
    log_error("crypto", "failed=%s", what);
    _exit(1);
}

void crypto_random_bytes(void *out, size_t len)
{
    unsigned char *p = out;

    while (len) {
        int part = len > 65536 ? 65536 : (int)len;

        if (RAND_bytes(p, part) != 1)
            give_up("random");
        p += part;
        len -= (size_t)part;
    }
}

static void write_hex(char *out, const unsigned char *bytes, size_t hex_digits)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < hex_digits; i++)
        out[i] = digits[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
    out[hex_digits] = '\0';
}

void crypto_random_hex(char *out, size_t hex_digits)
{
    unsigned char bytes[32];

    out[0] = '\0';
    while (hex_digits) {
        size_t part = hex_digits > 2 * sizeof(bytes) ? 2 * sizeof(bytes) : hex_digits;

        crypto_random_bytes(bytes, (part + 1) / 2);
        write_hex(out, bytes, part);
        out += part;
        hex_digits -= part;
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

void crypto_random_uuid(char out[CRYPTO_UUID_SIZE])
{
    static const int group_bytes[] = {4, 2, 2, 2, 6};
    unsigned char bytes[16];
    const unsigned char *from = bytes;

    crypto_random_bytes(bytes, sizeof(bytes));
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40); /* version 4 */
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80); /* the RFC's variant */
    for (size_t i = 0; i < sizeof(group_bytes) / sizeof(group_bytes[0]); i++) {
        if (i > 0)
            *out++ = '-';
        write_hex(out, from, (size_t)group_bytes[i] * 2);
        out += group_bytes[i] * 2;
        from += group_bytes[i];
    }
}

/* Fetched once: EVP_sha256() would be looked up in the provider again at each use. */
static const EVP_MD *sha256(void)
{
    static EVP_MD *md;

    if (!md)
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!md)
        give_up("sha256");
    return md;
}

void crypto_sha256_hex(struct str message, char out[CRYPTO_SHA256_HEX_SIZE])
{
    unsigned char digest[CRYPTO_SHA256_BYTES];

    if (EVP_Digest(message.p, message.len, digest, NULL, sha256(), NULL) != 1)
        give_up("sha256");
    write_hex(out, digest, CRYPTO_SHA256_HEX_SIZE - 1);
}

/* Both digests have 32 bytes. */
static void hmac_hex(const EVP_MD *algorithm, struct str key, struct str message,
                     char out[CRYPTO_SHA256_HEX_SIZE])
{
    unsigned char digest[CRYPTO_SHA256_BYTES];
    const void *key_bytes = key.p ? key.p : ""; /* NULL would mean "the key used last" */
    const unsigned char *bytes = (const unsigned char *)(message.p ? message.p : "");

    if (key.len > INT_MAX ||
        !HMAC(algorithm, key_bytes, (int)key.len, bytes, message.len, digest, NULL))
        give_up("hmac");
    write_hex(out, digest, CRYPTO_SHA256_HEX_SIZE - 1);
}

void crypto_hmac_sha256_hex(struct str key, struct str message, char out[CRYPTO_SHA256_HEX_SIZE])
{
    hmac_hex(sha256(), key, message, out);
}

void crypto_hmac_sm3_hex(struct str key, struct str message, char out[CRYPTO_SHA256_HEX_SIZE])
{
    hmac_hex(EVP_sm3(), key, message, out);
}

/* The context holds the state after the key's block; each message starts with a copy of it. */
struct crypto_hmac {
    EVP_MAC_CTX *keyed;
};

static EVP_MAC *hmac_algorithm(void)
{
    static EVP_MAC *mac;

    if (!mac)
        mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (!mac)
        give_up("hmac");
    return mac;
}

struct crypto_hmac *crypto_hmac_new(const void *key, size_t len)
{
    struct crypto_hmac *hmac = xcalloc(1, sizeof(*hmac));
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    hmac->keyed = EVP_MAC_CTX_new(hmac_algorithm());
    if (!hmac->keyed || EVP_MAC_init(hmac->keyed, key, len, params) != 1)
        give_up("hmac");
    return hmac;
}

void crypto_hmac_free(struct crypto_hmac *hmac)
{
    if (!hmac)
        return;
    EVP_MAC_CTX_free(hmac->keyed);
    free(hmac);
}

void crypto_hmac_sign(const struct crypto_hmac *hmac, const struct str *parts, size_t count,
                      unsigned char out[CRYPTO_SHA256_BYTES])
{
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(hmac->keyed);
    bool is_fine = context != NULL;
    size_t len;

    for (size_t i = 0; is_fine && i < count; i++)
        is_fine = EVP_MAC_update(context, (const unsigned char *)parts[i].p, parts[i].len) == 1;
    if (!is_fine || EVP_MAC_final(context, out, &len, CRYPTO_SHA256_BYTES) != 1)
        give_up("hmac");
    EVP_MAC_CTX_free(context);
}

void crypto_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}

bool crypto_equal(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    return a.len == 0 || CRYPTO_memcmp(a.p, b.p, a.len) == 0;
}

bool crypto_is_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return s.len > 0;
}

/* In parts, because EVP_EncodeBlock counts with int; a part that is a multiple of three bytes has
 * no padding. */
char *crypto_base64(const void *bytes, size_t len)
{
    const size_t part_max = 3 << 20;
    const unsigned char *from = bytes;
    char *text = xmalloc(len / 3 * 4 + 5);
    char *to = text;

    *to = '\0';
    while (len) {
        size_t part = len > part_max ? part_max : len;

        to += EVP_EncodeBlock((unsigned char *)to, from, (int)part);
        from += part;
        len -= part;
    }
    return text;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool crypto_base64_decode(struct str text, struct buf *out)
{
    size_t before = out->len, digits = 0, padding = 0;
    uint32_t bits = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        int value = base64_value(c);

        if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (c == '=' && digits % 4 >= 2 && (digits + padding) % 4 != 0) {
            padding++;
            continue;
        }
        if (value < 0 || padding)
            goto broken;
        bits = bits << 6 | (uint32_t)value;
        if (digits++ % 4 != 0)
            buf_add_char(out, (char)(bits >> (6 - 2 * ((digits - 1) % 4))));
    }
    if ((digits + padding) % 4 == 0)
        return true;
broken:
    out->len = before;
    if (out->p)
        out->p[before] = '\0';
    return false;
}

size_t crypto_to_base64(const void *bytes, size_t len, char *out)
{
    return (size_t)EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
}

/* EVP_DecodeBlock is lenient about blanks and what comes behind the padding: only what encodes to
 * the same text again is accepted. */
bool crypto_from_base64(struct str text, void *out, size_t len)
{
    unsigned char bytes[96];
    char again[CRYPTO_BASE64_SIZE(sizeof(bytes))];
    bool is_fine = len + 2 < sizeof(bytes) && text.len == CRYPTO_BASE64_SIZE(len) - 1 &&
                   EVP_DecodeBlock(bytes, (const unsigned char *)text.p, (int)text.len) >= 0;

    if (is_fine) {
        crypto_to_base64(bytes, len, again);
        is_fine = memcmp(again, text.p, text.len) == 0;
        if (is_fine)
            memcpy(out, bytes, len);
        OPENSSL_cleanse(again, sizeof(again));
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return is_fine;
}

uint32_t crypto_hash_seed(void)
{
    static uint32_t seed;
    static bool is_set;

    if (!is_set) {
        crypto_random_bytes(&seed, sizeof(seed));
        is_set = true;
    }
    return seed;
}

/*
 * SipHash-1-3. A seed alone is not enough with simpler hashes: for those there are sets of keys
 * that collide whatever the seed is.
 */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate_left(s->v1, 13) ^ s->v0;
    s->v0 = rotate_left(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate_left(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate_left(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate_left(s->v1, 17) ^ s->v2;
    s->v2 = rotate_left(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}

static const uint64_t *hash_key(void)
{
    static uint64_t key[2];
    static bool is_set;

    if (!is_set) {
        crypto_random_bytes(key, sizeof(key));
        is_set = true;
    }
    return key;
}

unsigned hash_bytes(const void *bytes, size_t len)
{
    const uint64_t *key = hash_key();
    struct sip s = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                    key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const unsigned char *p = bytes;
    uint64_t word, last = (uint64_t)len << 56;

    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        sip_word(&s, word);
    }
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)p[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return (unsigned)(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

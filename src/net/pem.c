#include "net/pem.h"

#include "base/crypto.h"
#include "base/mem.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define BEGIN        "-----BEGIN "
#define END          "-----END "
#define DASHES       "-----"
#define DER_SEQUENCE 0x30

enum kind { KIND_CERTIFICATE, KIND_TRUSTED, KIND_KEY, KIND_OTHER };

struct block {
    enum kind kind;
    struct str label, body;
    bool has_end;
};

/* What follows `what` in s; STR_NONE when it is not there. *before is what stands before it. */
static struct str after(struct str s, struct str what, struct str *before)
{
    const char *found = s.len ? memmem(s.p, s.len, what.p, what.len) : NULL;

    if (!found)
        return STR_NONE;
    *before = str_n(s.p, (size_t)(found - s.p));
    return str_n(found + what.len, s.len - before->len - what.len);
}

static enum kind kind_of(struct str label)
{
    if (str_ends_with(label, STR("PRIVATE KEY")))
        return KIND_KEY;
    if (str_eq(label, STR("TRUSTED CERTIFICATE")))
        return KIND_TRUSTED;
    if (str_eq(label, STR("CERTIFICATE")) || str_eq(label, STR("X509 CERTIFICATE")))
        return KIND_CERTIFICATE;
    return KIND_OTHER;
}

/* The next block of text, which is moved behind it. false: there is none. A begin without an end
 * takes what follows up to the next begin. */
static bool next_block(struct str *text, struct block *block)
{
    struct str skipped, rest = after(*text, STR(BEGIN), &skipped);
    struct str body, next;
    char end[80];

    if (!rest.p)
        return false;
    *text = rest;
    rest = after(rest, STR(DASHES), &block->label);
    if (!rest.p || block->label.len > sizeof(end) / 2) {
        *block = (struct block){.kind = KIND_OTHER, .label = STR(""), .has_end = true};
        return true;
    }
    block->kind = kind_of(block->label);
    snprintf(end, sizeof(end), END "%.*s" DASHES, STR_ARG(block->label));
    next = after(rest, str_of(end), &body);
    block->has_end = next.p && !memmem(body.p, body.len, BEGIN, sizeof(BEGIN) - 1);
    block->body = body;
    *text = block->has_end ? next : rest;
    return true;
}

static X509 *from_der(enum kind kind, struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    const unsigned char *end = p + der.len;
    X509 *certificate = kind == KIND_TRUSTED ? d2i_X509_AUX(NULL, &p, (long)der.len)
                                             : d2i_X509(NULL, &p, (long)der.len);

    ERR_clear_error();
    if (certificate && (p != end || !X509_get0_pubkey(certificate))) {
        ERR_clear_error();
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

static X509 *from_block(const struct block *block)
{
    struct buf der = {0};
    X509 *certificate = NULL;

    if (block->has_end && crypto_base64_decode(block->body, &der) && der.len)
        certificate = from_der(block->kind, buf_str(&der));
    buf_clear(&der);
    return certificate;
}

static void take(struct certificates *certificates, X509 *certificate)
{
    for (size_t i = 0; i < certificates->count; i++) {
        if (X509_cmp(certificates->list[i], certificate) == 0) {
            X509_free(certificate);
            return;
        }
    }
    certificates->list =
        xrealloc(certificates->list, (certificates->count + 1) * sizeof(*certificates->list));
    certificates->list[certificates->count++] = certificate;
}

static char *too_many(const struct pem_limits *limits)
{
    return xasprintf("more than %lld certificates", (long long)limits->max_count);
}

/* NULL, or what is wrong. */
static char *read_blocks(struct certificates *certificates, struct str text,
                         const struct pem_limits *limits)
{
    struct block block;
    size_t number = 0;

    while (next_block(&text, &block)) {
        X509 *certificate;

        if (block.kind == KIND_OTHER)
            continue;
        number++;
        certificate = from_block(&block);
        if (!certificate)
            return xasprintf(block.has_end ? "certificate %zu cannot be read"
                                           : "certificate %zu has no END line of its own",
                             number);
        take(certificates, certificate);
        if ((int64_t)certificates->count > limits->max_count)
            return too_many(limits);
    }
    return certificates->count ? NULL : xstrdup("no certificate is in the file");
}

static bool is_private_key(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)der.len);

    EVP_PKEY_free(key);
    ERR_clear_error();
    return key != NULL;
}

static char *read_der(struct certificates *certificates, struct str der)
{
    X509 *certificate = from_der(KIND_CERTIFICATE, der);

    if (certificate)
        take(certificates, certificate);
    else if (is_private_key(der))
        return xstrdup("the file is a private key; it stays with the server it belongs to");
    else
        return xstrdup("the file is neither PEM nor one certificate as DER");
    return NULL;
}

/* A private key is refused whatever else is wrong with the file: before anything of it is used. */
static bool mentions_private_key(struct str text)
{
    struct block block;

    while (next_block(&text, &block)) {
        if (block.kind == KIND_KEY)
            return true;
    }
    return false;
}

struct certificates *pem_read(struct str file, const struct pem_limits *limits, char **error)
{
    struct certificates *certificates;

    *error = NULL;
    if ((int64_t)file.len > limits->max_bytes || file.len > INT_MAX) {
        *error = xasprintf("more than %lld bytes", (long long)limits->max_bytes);
        return NULL;
    }
    certificates = xcalloc(1, sizeof(*certificates));
    if (file.len && (unsigned char)file.p[0] == DER_SEQUENCE)
        *error = read_der(certificates, file);
    else if (mentions_private_key(file))
        *error = xstrdup("a private key is in the file; it stays with the server it belongs to");
    else
        *error = read_blocks(certificates, file, limits);
    if (!*error)
        return certificates;
    certificates_free(certificates);
    return NULL;
}

void certificates_free(struct certificates *certificates)
{
    if (!certificates)
        return;
    for (size_t i = 0; i < certificates->count; i++)
        X509_free(certificates->list[i]);
    free(certificates->list);
    free(certificates);
}

void pem_write(const struct certificates *certificates, struct buf *out)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text;
    long len;

    for (size_t i = 0; i < certificates->count; i++)
        PEM_write_bio_X509(memory, certificates->list[i]);
    len = BIO_get_mem_data(memory, &text);
    buf_add(out, text, len > 0 ? (size_t)len : 0);
    BIO_free(memory);
}

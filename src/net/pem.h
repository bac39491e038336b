/*
 * Certificates out of a file that somebody made by hand: exported by a browser, joined with a text
 * editor. PEM with any number of certificates in any order, blocks that follow each other without a
 * line break, text between them, a byte order mark, any line ends; or one certificate as DER.
 * Duplicates are dropped. Other blocks are skipped, except private keys, which have no business
 * here.
 */
#ifndef NET_PEM_H
#define NET_PEM_H

#include "base/buf.h"
#include <openssl/x509.h>

struct pem_limits {
    int64_t max_bytes, max_count;
};

struct certificates {
    X509 **list;  /* in the file's order */
    size_t count; /* at least 1 */
};

/* NULL, with a text in *error (free() it) that says what is wrong and where. */
struct certificates *pem_read(struct str file, const struct pem_limits *limits, char **error);
void certificates_free(struct certificates *certificates); /* NULL is allowed */
/* The canonical form: plain certificate blocks, nothing else. */
void pem_write(const struct certificates *certificates, struct buf *out);

#endif

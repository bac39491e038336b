/*
 * A growing run of bytes, always followed by a NUL. { 0 } is a valid empty buffer. It lives inside
 * its owner: buf_clear frees the bytes and leaves an empty buffer.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p; /* NULL while nothing was ever added */
    size_t len;
    size_t capacity;
};

void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_str(struct buf *buf, struct str s);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_reset(struct buf *buf); /* empty, memory kept */
void buf_clear(struct buf *buf); /* empty, memory freed */
char *buf_take(struct buf *buf); /* the bytes (never NULL), now the caller's to free() */

static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->p ? buf->p : "", buf->len};
}

#endif

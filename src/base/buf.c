#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALLEST_CAPACITY 64

/* Room for len more bytes and the NUL. */
static void make_room(struct buf *buf, size_t len)
{
    size_t needed = len < SIZE_MAX - buf->len ? buf->len + len + 1 : SIZE_MAX;
    size_t capacity = buf->capacity ? buf->capacity : SMALLEST_CAPACITY;

    if (needed <= buf->capacity)
        return;
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX : 2 * capacity;
    buf->p = xrealloc(buf->p, capacity);
    buf->capacity = capacity;
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
    if (len == 0)
        return;
    make_room(buf, len);
    memcpy(buf->p + buf->len, bytes, len);
    buf->len += len;
    buf->p[buf->len] = '\0';
}

void buf_add_str(struct buf *buf, struct str s)
{
    buf_add(buf, s.p, s.len);
}

void buf_add_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, &c, 1);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;
    size_t room;
    int len;

    make_room(buf, SMALLEST_CAPACITY / 2);
    room = buf->capacity - buf->len;
    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(buf->p + buf->len, room, format, args);
    if (len > 0 && (size_t)len >= room) {
        make_room(buf, (size_t)len);
        len = vsnprintf(buf->p + buf->len, (size_t)len + 1, format, again);
    }
    va_end(again);
    va_end(args);
    if (len > 0)
        buf->len += (size_t)len;
    buf->p[buf->len] = '\0';
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->p)
        buf->p[0] = '\0';
}

void buf_clear(struct buf *buf)
{
    free(buf->p);
    *buf = (struct buf){0};
}

char *buf_take(struct buf *buf)
{
    char *bytes = buf->p ? buf->p : xstrdup("");

    *buf = (struct buf){0};
    return bytes;
}

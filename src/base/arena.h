/*
 * Memory with one end: everything a request allocates is freed together with it. Blocks start at
 * 4 KiB; larger pieces get a block of their own. Never returns NULL (see mem.h).
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);                       /* NULL is allowed */
void arena_reset(struct arena *arena); /* frees what it gave, and keeps a block for more */
void *arena_alloc(struct arena *arena, size_t size_bytes);  /* aligned for any type, not zeroed */
void *arena_zalloc(struct arena *arena, size_t size_bytes); /* zeroed */
size_t arena_bytes(const struct arena *arena);              /* memory that it takes */
char *arena_dup0(struct arena *arena, struct str s);        /* NUL-terminated copy */
struct str arena_str(struct arena *arena, struct str s);    /* copy as a str; STR_NONE stays so */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/*
 * A list of blocks, of which only the newest is filled. What is too large to share a block goes
 * into one of its own, behind the newest, so that the newest keeps its free space.
 */
#include "base/arena.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_BLOCK_BYTES   4096
#define LARGEST_BLOCK_BYTES 65536
#define ALIGNMENT           _Alignof(max_align_t)

struct block {
    struct block *older;
    size_t capacity;
    size_t used;
    _Alignas(max_align_t) char bytes[];
};

struct arena {
    struct block *newest;
};

static struct block *block_new(size_t capacity, struct block *older)
{
    struct block *block = xmalloc(sizeof(*block) + capacity);

    block->older = older;
    block->capacity = capacity;
    block->used = 0;
    return block;
}

struct arena *arena_new(void)
{
    struct arena *arena = xmalloc(sizeof(*arena));

    arena->newest = block_new(FIRST_BLOCK_BYTES - sizeof(struct block), NULL);
    return arena;
}

static void free_blocks(struct block *block)
{
    struct block *older;

    for (; block; block = older) {
        older = block->older;
        free(block);
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->newest);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    free_blocks(arena->newest->older);
    arena->newest->older = NULL;
    arena->newest->used = 0;
}

size_t arena_bytes(const struct arena *arena)
{
    size_t sum = sizeof(*arena);

    for (const struct block *block = arena->newest; block; block = block->older)
        sum += sizeof(*block) + block->capacity;
    return sum;
}

static void *take_from(struct block *block, size_t size_bytes)
{
    void *p = block->bytes + block->used;

    block->used += size_bytes;
    return p;
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    struct block *newest = arena->newest;
    size_t next_capacity;

    if (size_bytes > SIZE_MAX / 2)
        return xmalloc(size_bytes); /* there is no such memory: this ends the process */
    size_bytes = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (size_bytes <= newest->capacity - newest->used)
        return take_from(newest, size_bytes);

    if (size_bytes > newest->capacity / 2) {
        newest->older = block_new(size_bytes, newest->older);
        return take_from(newest->older, size_bytes);
    }
    next_capacity = 2 * (newest->capacity + sizeof(*newest));
    if (next_capacity > LARGEST_BLOCK_BYTES)
        next_capacity = LARGEST_BLOCK_BYTES;
    arena->newest = block_new(next_capacity - sizeof(*newest), newest);
    return take_from(arena->newest, size_bytes);
}

void *arena_zalloc(struct arena *arena, size_t size_bytes)
{
    return memset(arena_alloc(arena, size_bytes), 0, size_bytes);
}

char *arena_dup0(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.len + 1);

    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str s)
{
    if (!s.p)
        return STR_NONE;
    return str_n(arena_dup0(arena, s), s.len);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    size_t size;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    size = len < 0 ? 1 : (size_t)len + 1;
    text = arena_alloc(arena, size);
    text[0] = '\0';
    if (len > 0)
        vsnprintf(text, size, format, again);
    va_end(again);
    va_end(args);
    return text;
}

/*
 * Allocation that cannot fail: running out of memory ends the process with one line on stderr.
 * Everything whose size input controls is bounded before it is allocated, so this is a fault of
 * the machine or of a limit, and carrying on would only lose data later.
 *
 * What these return is freed with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *xmalloc(size_t size_bytes);
void *xcalloc(size_t count, size_t size_bytes);
void *xrealloc(void *old, size_t size_bytes);
char *xstrdup(const char *text);
char *xmemdup0(const void *bytes, size_t len); /* len bytes and a NUL */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

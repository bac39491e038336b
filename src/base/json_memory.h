/* Memory for yajl, which does not look whether it got any. For json_read.c and json_write.c. */
#ifndef BASE_JSON_MEMORY_H
#define BASE_JSON_MEMORY_H

#include "base/mem.h"

#include <stdlib.h>
#include <yajl/yajl_common.h>

static inline void *json_memory_allocate(void *context, size_t size_bytes)
{
    (void)context;
    return xmalloc(size_bytes);
}

static inline void *json_memory_resize(void *context, void *old, size_t size_bytes)
{
    (void)context;
    return xrealloc(old, size_bytes);
}

static inline void json_memory_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

#define JSON_MEMORY                                                                               \
    ((yajl_alloc_funcs){json_memory_allocate, json_memory_resize, json_memory_free, NULL})

#endif

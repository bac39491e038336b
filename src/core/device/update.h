/*
 * An update of the index under way, as the two files that work at it see it: index.c reads what
 * is to be written, write.c writes it. Private to these.
 */
#ifndef CORE_DEVICE_UPDATE_H
#define CORE_DEVICE_UPDATE_H

#include "core/device/layout.h"
#include <sys/queue.h>

struct update {
    struct core *core;
    char app_id[KEY_ID_MAX + 1], device_id[KEY_ID_MAX + 1];
    int waiting; /* replies */
    bool has_failed, is_there, has_ordinal;
    bool is_by_request; /* see device_index_update */
    bool needs_bits;    /* the keys of all digests: texts have changed, or may have */
    uint64_t ordinal, version;
    char row[INDEX_ROW_BYTES];
    device_done_cb cb;
    void *arg;
    TAILQ_ENTRY(update) link;
};
TAILQ_HEAD(update_list, update);

void device_update_end(struct update *update, enum error error); /* takes it */
void device_update_write(struct update *update);                 /* takes it, and ends it */

static inline uint64_t index_block_of(uint64_t ordinal)
{
    return ordinal / INDEX_BLOCK;
}

#endif

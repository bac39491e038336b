/*
 * Which instance should own which partition: everybody comes to the same answer without talking, from
 * the list of who lives. Shares are as equal as can be, and a change of instances moves few more
 * partitions than it must.
 */
#ifndef PUSH_ASSIGNMENT_H
#define PUSH_ASSIGNMENT_H

#include "base/str.h"
#include <stdint.h>

/* owners[partition] becomes an index into instances: at least one, with different ids in any order, of
 * KEY_ID_MAX bytes at most. */
void assignment_make(const struct str *instances, size_t count, uint32_t *owners,
                     uint32_t partition_count);

#endif

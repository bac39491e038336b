#include "core/partition.h"

#include <assert.h>
#include <zlib.h>

uint32_t partition_of(const struct core *core, struct str device_id)
{
    assert(core->partition_count > 0);
    return (uint32_t)crc32(0, (const unsigned char *)device_id.p, (unsigned)device_id.len) %
           core->partition_count;
}

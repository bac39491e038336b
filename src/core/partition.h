/*
 * Which partition a device belongs to: crc32 of its id, modulo the deployment's number of partitions.
 * This never changes for a deployment, since the keys of a device carry it.
 */
#ifndef CORE_PARTITION_H
#define CORE_PARTITION_H

#include "core/core.h"

uint32_t partition_of(const struct core *core, struct str device_id);

#endif

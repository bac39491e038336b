/*
 * Payloads that devices have packed.
 */
#ifndef DEVICE_GZIP_H
#define DEVICE_GZIP_H

#include "base/arena.h"

/* false: no gzip, cut short, with something behind it, or longer than max_bytes unpacked. */
bool gzip_unpack(struct arena *arena, struct str packed, size_t max_bytes, struct str *unpacked);

#endif

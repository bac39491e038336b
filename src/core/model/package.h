/*
 * The package a product model is uploaded as: a ZIP file.
 *
 *     profile/devicetype-capability.json
 *     service/<serviceType>/profile/servicetype-capability.json     one for each folder
 *
 * and other files in these two folders, which are not unpacked. The package comes from outside, so:
 * no absolute paths, no "..", no backslashes, no links, no name twice; methods store and deflate only;
 * sizes are limited as they are declared, and each file again while it is unpacked, so that a file that
 * unpacks to more than it says ends there.
 *
 * All of this happens on the loop. What it takes is bounded by content_bytes, since no more than that is
 * unpacked and parsed: some 50 ms for a megabyte of capability files, half a millisecond for a usual
 * package of a few services.
 */
#ifndef CORE_MODEL_PACKAGE_H
#define CORE_MODEL_PACKAGE_H

#include "core/model/model.h"

struct model_package_limits {
    int64_t package_bytes;  /* of the ZIP file */
    int64_t files;          /* entries in it */
    int64_t unpacked_bytes; /* of all files, as declared */
    int64_t content_bytes;  /* of the capability files together: what is unpacked */
};

/* The stored form (core/model/model.h) of the package, which has been parsed once to see that it is a model:
 * *model is that, with one reference of the caller's. file_name is the package's, as
 * "<deviceType>_<manufacturerId>_<model>.zip", with or without a path before it and the ending behind
 * it; empty: not checked. STR_NONE when it is refused: *problem then says which file and why. All texts
 * live in the arena. */
struct str model_package_read(struct arena *arena, struct str zip, struct str file_name,
                              const struct model_package_limits *limits, struct model **model,
                              const char **problem);

#endif

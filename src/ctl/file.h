/* Files that commands are given. */
#ifndef CTL_FILE_H
#define CTL_FILE_H

#include "base/buf.h"
#include <stdbool.h>

/* All of it, which is neither empty nor larger than max_bytes; false: it has been said why not,
 * with the option ("--ca ", or "") before the path, and a larger one as "larger than any <kind>".
 * content is the caller's to clear in any case. */
bool ctl_read_file(const char *option, const char *path, size_t max_bytes, const char *kind,
                   struct buf *content);

#endif

#include "ctl/file.h"

#include "ctl/ctl.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

bool ctl_read_file(const char *option, const char *path, size_t max_bytes, const char *kind,
                   struct buf *content)
{
    FILE *file = fopen(path, "rbe");
    char part[65536];
    bool has_failed;
    size_t got;

    if (!file) {
        ctl_complain("%s%s: %s", option, path, strerror(errno));
        return false;
    }
    while (content->len <= max_bytes && (got = fread(part, 1, sizeof(part), file)) > 0)
        buf_add(content, part, got);
    has_failed = ferror(file);
    fclose(file);
    if (has_failed)
        ctl_complain("%s%s: cannot be read", option, path);
    else if (content->len > max_bytes)
        ctl_complain("%s%s: is larger than any %s", option, path, kind);
    else if (content->len == 0)
        ctl_complain("%s%s: is empty", option, path);
    return !has_failed && content->len > 0 && content->len <= max_bytes;
}

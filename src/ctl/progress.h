/* A bar on stderr for long work, when that is a terminal: share done, count, rate. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    const char *what; /* "devices" */
    int64_t begin_ms, drawn_ms;
};

void progress_start(struct progress *progress, const char *what, bool is_wanted);
/* done of total say how far it is; count is what is shown. Draws a few times a second. */
void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t count);
void progress_clear(struct progress *progress); /* before other output, and at the end */

#endif

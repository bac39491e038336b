#include "ctl/progress.h"

#include "base/clock.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define BAR_WIDTH   30
#define INTERVAL_MS 200

void progress_start(struct progress *progress, const char *what, bool is_wanted)
{
    *progress = (struct progress){.is_shown = is_wanted && isatty(STDERR_FILENO),
                                  .what = what,
                                  .begin_ms = clock_tick_ms()};
}

void progress_show(struct progress *progress, uint64_t done, uint64_t total, uint64_t count)
{
    static const char full[] = "##############################";
    int64_t now_ms = clock_tick_ms(), spent_ms = now_ms - progress->begin_ms;
    double share = total ? (double)(done < total ? done : total) / (double)total : 0;
    int filled = (int)(share * BAR_WIDTH);

    if (!progress->is_shown || now_ms - progress->drawn_ms < INTERVAL_MS)
        return;
    progress->drawn_ms = now_ms;
    fprintf(stderr, "\r[%.*s%*s] %3d %%  %" PRIu64 " %s, %" PRIu64 "/s ", filled, full,
            BAR_WIDTH - filled, "", (int)(share * 100), count, progress->what,
            spent_ms > 0 ? count * 1000 / (uint64_t)spent_ms : 0);
    fflush(stderr);
}

void progress_clear(struct progress *progress)
{
    if (!progress->is_shown || !progress->drawn_ms)
        return;
    fprintf(stderr, "\r\033[K");
    progress->drawn_ms = 0;
}

#include "push/pace.h"

#define BURST_US (PACE_BURST_MS * INT64_C(1000))

bool pace_allows(const struct pace *pace, int64_t now_ms)
{
    return pace->next_us - now_ms * 1000 <= BURST_US;
}

void pace_count(struct pace *pace, int64_t rate, int64_t now_ms)
{
    if (pace->next_us < now_ms * 1000)
        pace->next_us = now_ms * 1000;
    pace->next_us += 1000000 / rate;
}

int64_t pace_wait_ms(const struct pace *pace, int64_t now_ms)
{
    int64_t wait_us = pace->next_us - now_ms * 1000 - BURST_US;

    return wait_us <= 1000 ? 1 : (wait_us + 999) / 1000;
}

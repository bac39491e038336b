/*
 * At most so many a second, evenly: what is late may be made up for within PACE_BURST_MS only, so that
 * no second has more than a fiftieth too many. Pure logic; the time is handed in (monotonic, in ms).
 */
#ifndef PUSH_PACE_H
#define PUSH_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_BURST_MS 20

struct pace { /* zeros: nothing was sent yet */
    int64_t next_us; /* tick; when the next one is due */
};

bool pace_allows(const struct pace *pace, int64_t now_ms);
void pace_count(struct pace *pace, int64_t rate, int64_t now_ms); /* one is being sent */
int64_t pace_wait_ms(const struct pace *pace, int64_t now_ms);    /* until one is allowed; at least 1 */

#endif

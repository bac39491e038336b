#include "push/latency.h"

#include <stddef.h>

#define STEPS_PER_DOUBLING 4

/* Step 0..3: 0..3 ms; then the two bits below the highest one choose the step. */
static size_t step_of(int64_t time_ms)
{
    uint64_t time = time_ms > 0 ? (uint64_t)time_ms : 0;
    unsigned doubling = 0;
    size_t step;

    while (time >= 2 * STEPS_PER_DOUBLING) {
        time >>= 1;
        doubling++;
    }
    step = doubling * STEPS_PER_DOUBLING + (size_t)time;
    return step < LATENCY_STEPS ? step : LATENCY_STEPS - 1;
}

static int64_t end_of(size_t step)
{
    unsigned doubling;

    if (step < 2 * STEPS_PER_DOUBLING)
        return (int64_t)step;
    doubling = (unsigned)(step / STEPS_PER_DOUBLING) - 1;
    return (((int64_t)(step % STEPS_PER_DOUBLING) + STEPS_PER_DOUBLING + 1) << doubling) - 1;
}

void latency_add(struct latency *latency, int64_t time_ms)
{
    size_t step = step_of(time_ms);

    if (++latency->counts[step] < UINT32_MAX)
        return;
    for (size_t i = 0; i < LATENCY_STEPS; i++)
        latency->counts[i] /= 2;
}

int64_t latency_percentile_ms(const struct latency *latency, double percent)
{
    uint64_t total = 0, seen = 0;

    for (size_t i = 0; i < LATENCY_STEPS; i++)
        total += latency->counts[i];
    if (total == 0)
        return -1;
    for (size_t i = 0; i < LATENCY_STEPS; i++) {
        seen += latency->counts[i];
        if (seen > 0 && (double)seen >= (double)total * percent / 100.0)
            return end_of(i);
    }
    return end_of(LATENCY_STEPS - 1);
}

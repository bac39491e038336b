/* Deliveries are held back until a backlog is there, and then let go: the rate of pushing alone. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "bench/trial.h"
#include <stdlib.h>

static bool print_summary(struct trial *trial, int64_t resumed_us)
{
    const struct load_figures *figures = load_figures(trial->load);
    const struct options *options = trial->options;
    int64_t fill_us = trial->load_ended_us - trial->started_us;
    int64_t drain_us = trial->arrived ? trial->last_arrival_us - resumed_us : 0;
    struct summary *summary = summary_new("drain", options->wants_json);

    summary_count(summary, "reports", "backlog", figures->accepted);
    summary_rate(summary, "reportsPerSecond", "filled, a second", figures->accepted, fill_us);
    summary_time(summary, "drainUs", "time to empty", drain_us);
    summary_rate(summary, "callbacksPerSecond", "callbacks a second", trial->arrived, drain_us);
    trial_summarize(trial, summary);
    summary_expect_at_least(summary, "callbacks a second", rate_of(trial->arrived, drain_us),
                            options->expect_rate);
    return summary_print_take(summary);
}

static enum bench_exit drain(struct trial *trial)
{
    enum bench_exit result = fleet_order(&trial->fleet, "/admin/v1/delivery/pause");
    int64_t resumed_us;
    uint64_t early;

    if (result != BENCH_DONE)
        return result;
    trial_send(trial, 0);
    early = trial->arrived;
    resumed_us = clock_tick_us();
    /* Also after a signal: nobody else would know that deliveries are held back. */
    loop_forgive(trial->loop);
    result = fleet_order(&trial->fleet, "/admin/v1/delivery/resume");
    if (result != BENCH_DONE)
        return result;
    trial_settle(trial, trial->options->settle_ms);
    if (early > 0) {
        bench_complain("%llu callbacks came while deliveries were held back: another instance?",
                       (unsigned long long)early);
        result = BENCH_FAILED;
    }
    return print_summary(trial, resumed_us) ? result : BENCH_FAILED;
}

enum bench_exit drain_run(const struct options *options)
{
    struct trial *trial = xcalloc(1, sizeof(*trial));
    enum bench_exit result = trial_open(trial, options, 0);

    if (result == BENCH_DONE)
        result = drain(trial);
    trial_close(trial);
    free(trial);
    return result;
}

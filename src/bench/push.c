/* The whole path: reports at a rate, or as many as go, each to its callback. */
#include "bench/bench.h"

#include "base/mem.h"
#include "bench/trial.h"
#include <stdlib.h>

static bool print_summary(struct trial *trial)
{
    const struct load_figures *figures = load_figures(trial->load);
    const struct options *options = trial->options;
    int64_t load_us = trial->load_ended_us - trial->started_us;
    int64_t path_us = trial->arrived ? trial->last_arrival_us - trial->started_us : 0;
    int64_t p99_us = histogram_percentile(&trial->times, 99);
    struct summary *summary = summary_new("push", options->wants_json);

    summary_time(summary, "timeUs", "time of reports", load_us);
    summary_count(summary, "reports", "reports accepted", figures->accepted);
    summary_rate(summary, "reportsPerSecond", "reports a second", figures->accepted, load_us);
    summary_rate(summary, "callbacksPerSecond", "callbacks a second", trial->arrived, path_us);
    summary_times(summary, "reportTime", "report to answer", &figures->times);
    summary_times(summary, "callbackTime", "report to callback", &trial->times);
    trial_summarize(trial, summary);
    if (options->hang_endpoints > 0) {
        summary_count(summary, "hungRequests", "requests left hanging", trial->hung);
        summary_count(summary, "reportsUnheard", "reports to hanging ones",
                      trial->accepted_unheard);
    }
    summary_expect_at_least(summary, "callbacks a second", rate_of(trial->arrived, path_us),
                            options->expect_rate);
    if (options->expect_p99_ms > 0)
        summary_expect_at_most(summary, "p99 in microseconds", (uint64_t)p99_us,
                               options->expect_p99_ms * 1000);
    return summary_print_take(summary);
}

static bool is_usage_right(const struct options *options)
{
    if (options->hang_endpoints >= options->endpoints) {
        bench_complain("--hang-endpoints: must be fewer than --endpoints");
        return false;
    }
    if (options->hang_endpoints > 0 && options_rate(options) == 0) {
        bench_complain("--hang-endpoints: needs --rate, as nothing else slows their reports down");
        return false;
    }
    return true;
}

enum bench_exit push_run(const struct options *options)
{
    struct trial *trial;
    enum bench_exit result;

    if (!is_usage_right(options))
        return BENCH_USAGE;
    trial = xcalloc(1, sizeof(*trial));
    result = trial_open(trial, options, options_rate(options));
    if (result == BENCH_DONE) {
        trial_send(trial, options->duration_ms);
        trial_settle(trial, options->settle_ms);
        if (!print_summary(trial))
            result = BENCH_FAILED;
    }
    trial_close(trial);
    free(trial);
    return result;
}

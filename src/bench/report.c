/* Devices that report, and how they are answered; what the server pushes is of no interest here. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "bench/load.h"
#include "bench/summary.h"
#include <inttypes.h>
#include <stdlib.h>

struct report {
    const struct options *options;
    struct loop *loop;
    struct fleet fleet;
    struct load *load;
    uint64_t shown;
};

static uint64_t no_window(size_t device, void *arg)
{
    (void)device;
    (void)arg;
    return 0;
}

static void note_sent(size_t device, uint64_t number, void *arg)
{
    (void)device;
    (void)number;
    (void)arg;
}

static void note_answer(size_t device, uint64_t number, bool is_accepted, void *arg)
{
    struct report *report = arg;

    (void)device;
    (void)number;
    (void)is_accepted;
    if (load_is_over(report->load))
        loop_stop(report->loop);
}

static void show(char *line, size_t size, void *arg)
{
    struct report *report = arg;
    const struct load_figures *figures = load_figures(report->load);

    snprintf(line, size, "%" PRIu64 " accepted, %" PRIu64 " /s, %" PRIu64 " failed, p99 %.1f ms",
             figures->accepted, figures->accepted - report->shown, figures->failed,
             (double)histogram_percentile(&figures->times, 99) / 1e3);
    report->shown = figures->accepted;
}

static bool print_summary(struct report *report, int64_t time_us)
{
    const struct load_figures *figures = load_figures(report->load);
    const struct options *options = report->options;
    struct summary *summary = summary_new("report", options->wants_json);

    summary_time(summary, "timeUs", "time", time_us);
    summary_count(summary, "sent", "sent", figures->sent);
    summary_count(summary, "accepted", "accepted", figures->accepted);
    summary_rate(summary, "acceptedPerSecond", "accepted a second", figures->accepted, time_us);
    summary_times(summary, "reportTime", "report to answer", &figures->times);
    load_summarize(report->load, summary, "answers");
    summary_expect_at_least(summary, "accepted a second", rate_of(figures->accepted, time_us),
                            options->expect_rate);
    if (options->expect_p99_ms > 0)
        summary_expect_at_most(summary, "p99 in microseconds",
                               (uint64_t)histogram_percentile(&figures->times, 99),
                               options->expect_p99_ms * 1000);
    return summary_print_take(summary);
}

static enum bench_exit run_load(struct report *report)
{
    const struct options *options = report->options;
    struct load_config config = {
        .base = loop_base(report->loop),
        .fleet = &report->fleet,
        .options = options,
        .rate = options_rate(options),
        .window = no_window,
        .sent = note_sent,
        .answered = note_answer,
        .arg = report,
    };
    enum bench_exit result;
    int64_t started_us;

    report->load = load_new(&config);
    if (!report->load)
        return BENCH_FAILED;
    result = load_connect(report->load, report->loop);
    if (result != BENCH_DONE)
        return result;
    loop_show(report->loop, show, report);
    started_us = clock_tick_us();
    load_start(report->load);
    loop_run(report->loop, options->duration_ms);
    load_stop(report->load);
    if (!load_is_over(report->load))
        loop_run(report->loop, options->timeout_ms + 1000);
    loop_show(report->loop, NULL, NULL);
    return print_summary(report, clock_tick_us() - started_us) ? BENCH_DONE : BENCH_FAILED;
}

enum bench_exit report_run(const struct options *options)
{
    struct report *report = xcalloc(1, sizeof(*report));
    enum bench_exit result;

    report->options = options;
    report->loop = loop_new();
    process_raise_descriptor_limit();
    result = fleet_open(&report->fleet, report->loop, options);
    if (result == BENCH_DONE)
        result = *options->devices_file ? fleet_read(&report->fleet, options->devices_file)
                                        : fleet_make(&report->fleet, 1, (size_t)options->devices);
    if (result == BENCH_DONE)
        result = run_load(report);
    load_free(report->load);
    fleet_close(&report->fleet);
    loop_free(report->loop);
    free(report);
    return result;
}

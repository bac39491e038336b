/* Idle connections of devices over MQTT: how fast they are made, whether they stay, what they cost.
 */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "bench/crowd.h"
#include "bench/summary.h"
#include <inttypes.h>
#include <stdlib.h>

struct connecting {
    const struct options *options;
    struct loop *loop;
    struct fleet fleet;
    struct crowd *crowd;
    bool stops_when_settled;
    int64_t started_us, made_us, ended_us;
    uint64_t bytes_before, bytes_after; /* of the server; 0: not known */
    uint64_t shown;
};

static void note_device(size_t device, void *arg)
{
    (void)device;
    (void)arg;
}

static void note_turn(void *arg)
{
    struct connecting *run = arg;

    if (run->stops_when_settled && crowd_is_settled(run->crowd))
        loop_stop(run->loop);
}

static void show(char *line, size_t size, void *arg)
{
    struct connecting *run = arg;
    const struct crowd_figures *figures = crowd_figures(run->crowd);
    uint64_t accepted = figures->codes[MQTT_ACCEPTED];

    snprintf(line, size,
             "%zu open, %" PRIu64 " /s, %" PRIu64 " refused, %" PRIu64 " not connected, %" PRIu64
             " dropped, %" PRIu64 " pings",
             figures->open, accepted - run->shown, crowd_refused(run->crowd),
             figures->not_connected, figures->dropped, figures->pings);
    run->shown = accepted;
}

static uint64_t server_bytes(struct connecting *run)
{
    return run->options->pid > 0 ? process_resident_bytes_of((int)run->options->pid)
                                 : fleet_server_bytes(&run->fleet);
}

static void summarize_memory(struct connecting *run, struct summary *summary)
{
    size_t open = crowd_figures(run->crowd)->open;
    int64_t limit = run->options->expect_memory;
    uint64_t each = 0;

    if (!run->bytes_before || !run->bytes_after || !open) {
        if (limit > 0)
            summary_expect(summary, "the server's memory is not known", false);
        return;
    }
    if (run->bytes_after > run->bytes_before)
        each = (run->bytes_after - run->bytes_before) / open;
    summary_count(summary, "serverBytesBefore", "server's memory before", run->bytes_before);
    summary_count(summary, "serverBytesAfter", "server's memory at the end", run->bytes_after);
    summary_count(summary, "bytesPerConnection", "bytes per connection", each);
    if (limit > 0)
        summary_expect_at_most(summary, "bytes per connection", each, limit);
}

static bool print_summary(struct connecting *run)
{
    const struct crowd_figures *figures = crowd_figures(run->crowd);
    const struct options *options = run->options;
    uint64_t accepted = figures->codes[MQTT_ACCEPTED];
    int64_t time_us = run->made_us - run->started_us;
    struct summary *summary = summary_new("connect", options->wants_json);

    summary_time(summary, "timeUs", "time to make them", time_us);
    summary_count(summary, "connections", "connections made", accepted);
    summary_rate(summary, "connectionsPerSecond", "connections a second", accepted, time_us);
    summary_times(summary, "connectTime", "dialed to CONNACK", &figures->times);
    summary_statuses(summary, "connacks", "CONNACKs by code", figures->codes, CROWD_CODES,
                     figures->not_connected);
    summary_time(summary, "heldUs", "held for", run->ended_us - run->made_us);
    summary_count(summary, "pings", "pings", figures->pings);
    summary_count(summary, "dropped", "dropped", figures->dropped);
    summary_count(summary, "open", "open at the end", figures->open);
    summarize_memory(run, summary);
    summary_expect_at_least(summary, "connections a second", rate_of(accepted, time_us),
                            options->expect_rate);
    if (options->expect_p99_ms > 0)
        summary_expect_at_most(summary, "p99 in microseconds",
                               (uint64_t)histogram_percentile(&figures->times, 99),
                               options->expect_p99_ms * 1000);
    summary_expect_at_most(summary, "refused or not connected",
                           crowd_refused(run->crowd) + figures->not_connected,
                           options->expect_refused);
    summary_expect_at_most(summary, "dropped", figures->dropped, options->expect_dropped);
    return summary_print_take(summary);
}

static enum bench_exit run_crowd(struct connecting *run)
{
    struct crowd_config config = {
        .base = loop_base(run->loop),
        .fleet = &run->fleet,
        .rate = options_rate(run->options),
        .opened = note_device,
        .lost = note_device,
        .turn = note_turn,
        .arg = run,
    };
    bool is_met;

    run->crowd = crowd_new(&config, run->options);
    if (!run->crowd)
        return BENCH_FAILED;
    run->bytes_before = server_bytes(run);
    loop_show(run->loop, show, run);
    run->started_us = clock_tick_us();
    run->stops_when_settled = true;
    crowd_start(run->crowd);
    if (!crowd_is_settled(run->crowd))
        loop_run(run->loop, 0);
    crowd_stop(run->crowd);
    run->stops_when_settled = false;
    run->made_us = clock_tick_us();
    if (run->options->duration_ms > 0 && crowd_figures(run->crowd)->open > 0)
        loop_run(run->loop, run->options->duration_ms);
    run->ended_us = clock_tick_us();
    loop_show(run->loop, NULL, NULL);
    loop_forgive(
        run->loop); /* a signal ends it before its time; the memory is asked for all the same */
    run->bytes_after = server_bytes(run);
    is_met = print_summary(run);
    if (crowd_figures(run->crowd)->codes[MQTT_ACCEPTED] == 0)
        return crowd_complain(run->crowd);
    return is_met ? BENCH_DONE : BENCH_FAILED;
}

enum bench_exit connect_run(const struct options *options)
{
    struct connecting *run = xcalloc(1, sizeof(*run));
    enum bench_exit result;

    run->options = options;
    run->loop = loop_new();
    result = fleet_open(&run->fleet, run->loop, options);
    if (result == BENCH_DONE)
        result = *options->devices_file ? fleet_read(&run->fleet, options->devices_file)
                                        : fleet_make(&run->fleet, 1, (size_t)options->devices);
    if (result == BENCH_DONE)
        result = run_crowd(run);
    crowd_free(run->crowd);
    fleet_close(&run->fleet);
    loop_free(run->loop);
    free(run);
    return result;
}

#include "bench/trial.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/process.h"
#include "bench/tls.h"
#include <inttypes.h>
#include <stdlib.h>

#define MORE_CONNECTIONS 1000000 /* the server limits them, not its callback */

/* ---- callbacks ---- */

static bool is_hanging(const struct trial *trial, size_t endpoint)
{
    return endpoint >= trial->answering;
}

static bool is_quiet(const struct trial *trial)
{
    return load_is_over(trial->load) && ledger_missing(trial->ledger) == 0;
}

static void stop_when_quiet(struct trial *trial)
{
    if (trial->stops_when_quiet && is_quiet(trial))
        loop_stop(trial->loop);
}

static void note_arrival(struct trial *trial, size_t device, uint64_t number, int64_t sent_us)
{
    int64_t now_us = clock_tick_us();
    bool was_failed = false;

    switch (ledger_arrived(trial->ledger, device, number, &was_failed)) {
    case ARRIVAL_UNKNOWN:
        trial->foreign++;
        return;
    case ARRIVAL_AGAIN:
        trial->duplicates++;
        return;
    case ARRIVAL_LATE:
        trial->order_violations++;
        break;
    case ARRIVAL_FIRST:
        break;
    }
    if (trial->arrived++ == 0)
        trial->first_arrival_us = now_us;
    trial->last_arrival_us = now_us;
    histogram_add(&trial->times, now_us - sent_us);
    if (!was_failed)
        load_settle(trial->load, device);
    stop_when_quiet(trial);
}

static struct fault decide(const struct http_message *request, uintptr_t endpoint, void *arg)
{
    struct trial *trial = arg;
    uint64_t device, number, sent_us;

    if (is_hanging(trial, endpoint)) {
        trial->hung++;
        return (struct fault){FAULT_HANG, 0};
    }
    if (request->attempt > 1)
        trial->repeated_attempts++;
    if (str_eq(request->target, str_of(trial->path)) &&
        http_find_number(request->body, STR("\"device\":"), &device) &&
        http_find_number(request->body, STR("\"seq\":"), &number) &&
        http_find_number(request->body, STR("\"sentUs\":"), &sent_us))
        note_arrival(trial, device, number, (int64_t)sent_us);
    else
        trial->foreign++;
    return (struct fault){FAULT_NONE, 0};
}

/* ---- reports ---- */

static bool is_device_hanging(const struct trial *trial, size_t device)
{
    return is_hanging(trial, trial->fleet.devices[device].app);
}

static uint64_t window_of(size_t device, void *arg)
{
    struct trial *trial = arg;

    /* Those that hear nothing go on reporting: that is what the others are to be shielded from. */
    return is_device_hanging(trial, device) ? 0 : (uint64_t)trial->options->window;
}

static void note_sent(size_t device, uint64_t number, void *arg)
{
    struct trial *trial = arg;

    if (!is_device_hanging(trial, device))
        ledger_sent(trial->ledger, device, number);
}

static void note_answer(size_t device, uint64_t number, bool is_accepted, void *arg)
{
    struct trial *trial = arg;

    if (is_device_hanging(trial, device))
        trial->accepted_unheard += is_accepted;
    else if (is_accepted)
        ledger_accepted(trial->ledger, device, number);
    else if (ledger_failed(trial->ledger, device, number))
        load_settle(trial->load, device);
    if (load_is_over(trial->load))
        loop_stop(trial->loop);
}

/* ---- the run ---- */

static void show(char *line, size_t size, void *arg)
{
    struct trial *trial = arg;
    const struct load_figures *figures = load_figures(trial->load);

    snprintf(line, size,
             "%" PRIu64 " reports (%" PRIu64 " /s), %" PRIu64 " callbacks (%" PRIu64
             " /s), %" PRIu64 " on their way, p99 %.1f ms",
             figures->accepted, figures->accepted - trial->shown_accepted, trial->arrived,
             trial->arrived - trial->shown_arrived, ledger_missing(trial->ledger),
             (double)histogram_percentile(&trial->times, 99) / 1e3);
    trial->shown_accepted = figures->accepted;
    trial->shown_arrived = trial->arrived;
}

void trial_send(struct trial *trial, int64_t time_ms)
{
    loop_show(trial->loop, show, trial);
    trial->started_us = clock_tick_us();
    load_start(trial->load);
    loop_run(trial->loop, time_ms);
    load_stop(trial->load);
    trial->load_ended_us = clock_tick_us();
    if (!load_is_over(trial->load))
        loop_run(trial->loop, trial->options->timeout_ms + 1000);
    loop_show(trial->loop, NULL, NULL);
}

void trial_settle(struct trial *trial, int64_t time_ms)
{
    trial->stops_when_quiet = true;
    loop_show(trial->loop, show, trial);
    if (!is_quiet(trial))
        loop_run(trial->loop, time_ms);
    loop_show(trial->loop, NULL, NULL);
}

void trial_summarize(struct trial *trial, struct summary *summary)
{
    const struct options *options = trial->options;

    load_summarize(trial->load, summary, "answers to reports");
    summary_count(summary, "callbacks", "callbacks", trial->arrived);
    summary_count(summary, "lost", "lost", ledger_missing(trial->ledger));
    summary_count(summary, "duplicates", "duplicates", trial->duplicates);
    summary_count(summary, "orderViolations", "out of order", trial->order_violations);
    summary_count(summary, "repeatedAttempts", "attempts after the first",
                  trial->repeated_attempts);
    summary_count(summary, "foreign", "not of this run", trial->foreign);
    summary_count(summary, "callbackConnections", "connections of callbacks",
                  receiver_figures(trial->receiver)->connections);
    summary_expect_at_most(summary, "lost", ledger_missing(trial->ledger), options->expect_loss);
    summary_expect_at_most(summary, "duplicates", trial->duplicates, options->expect_duplicates);
    summary_expect_at_most(summary, "order violations", trial->order_violations,
                           options->expect_order_violations);
}

/* ---- set-up ---- */

static enum bench_exit open_endpoint(struct trial *trial, size_t endpoint)
{
    const char *host = trial->options->callback_host;
    bool is_ipv6 = strchr(host, ':') != NULL;
    char *address = xasprintf(is_ipv6 ? "[%s]:0" : "%s:0", host);
    enum bench_exit result = BENCH_FAILED;
    uint16_t port;
    char *error = receiver_listen(trial->receiver, address, endpoint, &port);

    if (error) {
        bench_complain("--callback-host: %s", error);
    } else {
        char *url =
            xasprintf(is_ipv6 ? "%s://[%s]:%u%s" : "%s://%s:%u%s",
                      trial->options->has_callback_tls ? "https" : "http", host, port, trial->path);

        result = fleet_subscribe(&trial->fleet, endpoint, url);
        free(url);
    }
    free(error);
    free(address);
    return result;
}

static enum bench_exit open_endpoints(struct trial *trial)
{
    struct receiver_config config = {
        .base = loop_base(trial->loop),
        .max_connections = MORE_CONNECTIONS,
        .tls = trial->tls,
        .status = 200,
        .decide = decide,
        .arg = trial,
    };
    enum bench_exit result = BENCH_DONE;

    trial->receiver = receiver_new(&config);
    for (size_t i = 0; i < (size_t)trial->options->endpoints && result == BENCH_DONE; i++)
        result = open_endpoint(trial, i);
    return result;
}

static enum bench_exit make_load(struct trial *trial, uint64_t rate)
{
    struct load_config config = {
        .base = loop_base(trial->loop),
        .fleet = &trial->fleet,
        .options = trial->options,
        .rate = rate,
        .window = window_of,
        .sent = note_sent,
        .answered = note_answer,
        .arg = trial,
    };

    trial->ledger = ledger_new(trial->fleet.device_count);
    trial->load = load_new(&config);
    return trial->load ? load_connect(trial->load, trial->loop) : BENCH_FAILED;
}

enum bench_exit trial_open(struct trial *trial, const struct options *options, uint64_t rate)
{
    size_t endpoints = (size_t)options->endpoints;
    size_t devices = (size_t)options->devices;
    enum bench_exit result;

    trial->options = options;
    trial->answering = endpoints - (size_t)options->hang_endpoints;
    trial->loop = loop_new();
    process_raise_descriptor_limit();
    if (options->has_callback_tls && !(trial->tls = bench_tls_server(options)))
        return BENCH_USAGE;
    result = fleet_open(&trial->fleet, trial->loop, options);
    snprintf(trial->path, sizeof(trial->path), "/bench/%s", trial->fleet.run);
    if (result == BENCH_DONE)
        result = fleet_make(&trial->fleet, endpoints, devices > endpoints ? devices : endpoints);
    if (result == BENCH_DONE)
        result = open_endpoints(trial);
    if (result == BENCH_DONE)
        result = make_load(trial, rate);
    return result;
}

void trial_close(struct trial *trial)
{
    load_free(trial->load);
    if (trial->receiver) /* first: what is under way to it would hold the deletions up */
        receiver_free(trial->receiver);
    if (trial->fleet.arena)
        fleet_close(&trial->fleet);
    ledger_free(trial->ledger);
    tls_server_free(trial->tls);
    loop_free(trial->loop);
}

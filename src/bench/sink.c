/* A callback receiver: counts what comes, and fails as it is told to. */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/process.h"
#include "bench/loop.h"
#include "bench/receiver.h"
#include "bench/seen.h"
#include "bench/summary.h"
#include "bench/tls.h"
#include <inttypes.h>
#include <stdlib.h>

struct sink {
    const struct options *options;
    struct loop *loop;
    struct receiver *receiver;
    struct faults *faults;
    struct seen *seen;
    uint64_t failed, hung, reset, repeated_attempts, duplicates, out_of_order;
    int64_t started_us;
    uint64_t shown_requests; /* by the line before */
};

static struct str find_device(struct str body)
{
    static const char member[] = "\"deviceId\":\"";
    const char *found = memmem(body.p, body.len, member, sizeof(member) - 1);
    const char *end = body.p + body.len, *quote;

    if (!found)
        return STR_NONE;
    found += sizeof(member) - 1;
    quote = memchr(found, '"', (size_t)(end - found));
    return quote ? str_n(found, (size_t)(quote - found)) : STR_NONE;
}

/* A repeated notification says nothing about the order. */
static void look_at(struct sink *sink, const struct http_message *request)
{
    struct str device_id;
    uint64_t number;

    if (request->attempt > 1)
        sink->repeated_attempts++;
    if (!request->notify_id.len)
        return;
    if (seen_id(sink->seen, request->notify_id)) {
        sink->duplicates++;
        return;
    }
    device_id = find_device(request->body);
    if (device_id.len && http_find_number(request->body, STR("\"seq\":"), &number) &&
        seen_out_of_order(sink->seen, device_id, request->subscription, number))
        sink->out_of_order++;
}

/* What is failed on purpose is sent again: only what is accepted counts as seen. */
static struct fault decide(const struct http_message *request, uintptr_t mark, void *arg)
{
    struct sink *sink = arg;
    struct fault fault = faults_next(sink->faults, clock_tick_us());

    (void)mark;
    switch (fault.kind) {
    case FAULT_NONE:
        look_at(sink, request);
        break;
    case FAULT_STATUS:
        sink->failed++;
        break;
    case FAULT_HANG:
        sink->hung++;
        break;
    case FAULT_RESET:
        sink->reset++;
        break;
    }
    return fault;
}

static void show(char *line, size_t size, void *arg)
{
    struct sink *sink = arg;
    const struct receiver_figures *figures = receiver_figures(sink->receiver);

    snprintf(line, size,
             "%" PRIu64 " requests, %" PRIu64 " /s, %zu connections, %" PRIu64
             " failures given, %" PRIu64 " duplicates",
             figures->requests, figures->requests - sink->shown_requests, figures->open,
             sink->failed + sink->hung + sink->reset, sink->duplicates);
    sink->shown_requests = figures->requests;
}

static void print_summary(struct sink *sink)
{
    const struct receiver_figures *figures = receiver_figures(sink->receiver);
    int64_t time_us = clock_tick_us() - sink->started_us;
    struct summary *summary = summary_new("sink", sink->options->wants_json);

    summary_time(summary, "timeUs", "time", time_us);
    summary_count(summary, "requests", "requests", figures->requests);
    summary_rate(summary, "requestsPerSecond", "requests a second", figures->requests, time_us);
    summary_count(summary, "bytes", "bytes", figures->bytes);
    summary_count(summary, "connections", "connections", figures->connections);
    summary_count(summary, "refusedConnections", "connections refused",
                  figures->refused_connections);
    summary_count(summary, "brokenRequests", "broken requests", figures->broken_requests);
    summary_count(summary, "failedOnPurpose", "failures given: status", sink->failed);
    summary_count(summary, "hungOnPurpose", "failures given: hang", sink->hung);
    summary_count(summary, "resetOnPurpose", "failures given: reset", sink->reset);
    summary_count(summary, "repeatedAttempts", "attempts after the first",
                  sink->repeated_attempts);
    summary_count(summary, "duplicates", "duplicates", sink->duplicates);
    summary_count(summary, "outOfOrder", "out of order", sink->out_of_order);
    summary_print_take(summary);
}

static enum bench_exit serve(struct sink *sink)
{
    uint16_t port;
    char *error = receiver_listen(sink->receiver, sink->options->listen, 0, &port);

    if (error) {
        bench_complain("--listen %s", error);
        free(error);
        return BENCH_FAILED;
    }
    fprintf(stderr, "iotpush-bench: listening at port %u\n", port);
    sink->started_us = clock_tick_us();
    loop_show(sink->loop, show, sink);
    loop_run(sink->loop, sink->options->duration_ms);
    loop_show(sink->loop, NULL, NULL);
    print_summary(sink);
    return BENCH_DONE;
}

enum bench_exit sink_run(const struct options *options)
{
    struct sink sink = {.options = options};
    struct receiver_config config = {
        .max_connections = (size_t)options->max_connections,
        .delay_ms = options->delay_ms,
        .status = (int)options->status,
        .decide = decide,
        .arg = &sink,
    };
    enum bench_exit result;

    if (options->has_tls) {
        config.tls = bench_tls_server(options);
        if (!config.tls)
            return BENCH_USAGE;
    }
    process_raise_descriptor_limit();
    sink.loop = loop_new();
    config.base = loop_base(sink.loop);
    sink.faults = faults_new(options->fail, clock_tick_us());
    sink.seen = seen_new();
    sink.receiver = receiver_new(&config);
    result = serve(&sink);
    receiver_free(sink.receiver);
    seen_free(sink.seen);
    faults_free(sink.faults);
    loop_free(sink.loop);
    tls_server_free(config.tls);
    return result;
}

#include "bench/summary.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/process.h"
#include "bench/bench.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct summary {
    struct json_writer *json; /* NULL: lines */
    const char *verb;
    bool is_unmet;
};

struct summary *summary_new(const char *verb, bool as_json)
{
    struct summary *summary = xcalloc(1, sizeof(*summary));

    summary->verb = verb;
    if (!as_json) {
        printf("%s\n", verb);
        return summary;
    }
    summary->json = json_writer_new();
    json_object(summary->json);
    json_member_text(summary->json, "verb", verb);
    return summary;
}

static void print_label(const char *label)
{
    printf("  %-26s ", label);
}

void summary_count(struct summary *summary, const char *key, const char *label, uint64_t count)
{
    if (summary->json) {
        json_member_i64(summary->json, key, (int64_t)count);
        return;
    }
    print_label(label);
    printf("%12" PRIu64 "\n", count);
}

uint64_t rate_of(uint64_t count, int64_t time_us)
{
    return time_us > 0 ? (uint64_t)((double)count * 1e6 / (double)time_us + 0.5) : 0;
}

void summary_rate(struct summary *summary, const char *key, const char *label, uint64_t count,
                  int64_t time_us)
{
    if (summary->json) {
        json_member_i64(summary->json, key, (int64_t)rate_of(count, time_us));
        return;
    }
    print_label(label);
    printf("%12" PRIu64 " /s\n", rate_of(count, time_us));
}

void summary_time(struct summary *summary, const char *key, const char *label, int64_t time_us)
{
    if (summary->json) {
        json_member_i64(summary->json, key, time_us);
        return;
    }
    print_label(label);
    printf("%12.3f s\n", (double)time_us / 1e6);
}

void summary_times(struct summary *summary, const char *key, const char *label,
                   const struct histogram *times)
{
    static const struct {
        const char *key;
        double percent;
    } columns[] = {{"p50Us", 50}, {"p95Us", 95}, {"p99Us", 99}, {"maxUs", 100}};

    if (!summary->json) {
        print_label(label);
        printf("p50 %.2f  p95 %.2f  p99 %.2f  max %.2f ms\n",
               (double)histogram_percentile(times, 50) / 1e3,
               (double)histogram_percentile(times, 95) / 1e3,
               (double)histogram_percentile(times, 99) / 1e3, (double)times->most / 1e3);
        return;
    }
    json_key(summary->json, key);
    json_object(summary->json);
    json_member_i64(summary->json, "count", (int64_t)times->count);
    json_member_i64(summary->json, "meanUs", histogram_mean(times));
    for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
        json_member_i64(summary->json, columns[i].key,
                        histogram_percentile(times, columns[i].percent));
    json_object_end(summary->json);
}

void summary_statuses(struct summary *summary, const char *key, const char *label,
                      const uint64_t *counts, size_t size, uint64_t none)
{
    char status[24];

    if (summary->json) {
        json_key(summary->json, key);
        json_object(summary->json);
        for (size_t i = 0; i < size; i++) {
            snprintf(status, sizeof(status), "%zu", i);
            if (counts[i])
                json_member_i64(summary->json, status, (int64_t)counts[i]);
        }
        if (none)
            json_member_i64(summary->json, "none", (int64_t)none);
        json_object_end(summary->json);
        return;
    }
    print_label(label);
    for (size_t i = 0; i < size; i++) {
        if (counts[i])
            printf("%zu: %" PRIu64 "  ", i, counts[i]);
    }
    if (none)
        printf("none: %" PRIu64, none);
    putchar('\n');
}

void summary_expect(struct summary *summary, const char *what, bool is_met)
{
    if (is_met)
        return;
    summary->is_unmet = true;
    bench_complain("not as expected: %s", what);
}

void summary_expect_at_most(struct summary *summary, const char *what, uint64_t value,
                            int64_t limit)
{
    char *text;

    if (limit < 0 || value <= (uint64_t)limit)
        return;
    text = xasprintf("%s %" PRIu64 ", at most %" PRId64, what, value, limit);
    summary_expect(summary, text, false);
    free(text);
}

void summary_expect_at_least(struct summary *summary, const char *what, uint64_t value,
                             int64_t limit)
{
    char *text;

    if (limit < 0 || value >= (uint64_t)limit)
        return;
    text = xasprintf("%s %" PRIu64 ", at least %" PRId64, what, value, limit);
    summary_expect(summary, text, false);
    free(text);
}

bool summary_print_take(struct summary *summary)
{
    bool is_met = !summary->is_unmet;

    summary_time(summary, "benchCpuUs", "the bench's processor time",
                 (int64_t)(process_cpu_seconds() * 1e6));
    if (summary->json) {
        json_member_bool(summary->json, "asExpected", is_met);
        json_object_end(summary->json);
        printf("%.*s\n", STR_ARG(json_writer_text(summary->json)));
        json_writer_free(summary->json);
    }
    free(summary);
    return is_met;
}

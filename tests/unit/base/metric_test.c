#include "base/metric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>

static struct buf page;

static int start(void **state)
{
    (void)state;
    metric_reset_all();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    metric_reset_all();
    buf_clear(&page);
    return 0;
}

static const char *printed(void)
{
    buf_reset(&page);
    metric_write_all(&page);
    return page.p;
}

static bool has_line(const char *line)
{
    size_t len = strlen(line);

    for (const char *p = printed(); (p = strstr(p, line)); p++)
        if ((p == page.p || p[-1] == '\n') && p[len] == '\n')
            return true;
    return false;
}

static void metric_counters_count(void **state)
{
    (void)state;
    assert_int_equal(metric_value(M_RETRIES, NULL, NULL, NULL), 0);
    metric_inc(M_RETRIES);
    metric_add(M_RETRIES, 41, NULL, NULL, NULL);
    assert_int_equal(metric_value(M_RETRIES, NULL, NULL, NULL), 42);
    assert_true(has_line("iotpush_retries_total 42"));
}

static void metric_counter_without_labels_prints_0_before_its_first_use(void **state)
{
    (void)state;
    assert_true(has_line("iotpush_retries_total 0"));
    assert_null(strstr(printed(), "iotpush_events_pending 0"));
    assert_null(strstr(printed(), "iotpush_logins_total{"));
}

static void metric_labels_make_series(void **state)
{
    (void)state;
    metric_add(M_HTTP_REQUESTS, 1, "api", "/x/{id}", "200");
    metric_add(M_HTTP_REQUESTS, 2, "api", "/x/{id}", "404");
    metric_add(M_HTTP_REQUESTS, 3, "api", "/x/{id}", "200");
    assert_int_equal(metric_value(M_HTTP_REQUESTS, "api", "/x/{id}", "200"), 4);
    assert_int_equal(metric_value(M_HTTP_REQUESTS, "api", "/x/{id}", "404"), 2);
    assert_int_equal(metric_value(M_HTTP_REQUESTS, "api", "/x", "{id}404"), 0);
    assert_true(has_line(
        "iotpush_http_requests_total{listener=\"api\",route=\"/x/{id}\",status=\"200\"} 4"));
    assert_true(has_line(
        "iotpush_http_requests_total{listener=\"api\",route=\"/x/{id}\",status=\"404\"} 2"));
}

static void metric_label_values_are_compared_by_their_text(void **state)
{
    char label[] = "ok";

    (void)state;
    metric_add(M_LOGINS, 1, label, NULL, NULL);
    metric_add(M_LOGINS, 1, "ok", NULL, NULL);
    label[0] = 'x';
    assert_int_equal(metric_value(M_LOGINS, "ok", NULL, NULL), 2);
}

static void metric_label_values_are_escaped(void **state)
{
    (void)state;
    metric_add(M_LOGINS, 1, "a\"b\\c\nd", NULL, NULL);
    assert_true(has_line("iotpush_logins_total{result=\"a\\\"b\\\\c\\nd\"} 1"));
}

static void metric_missing_label_value_is_empty(void **state)
{
    (void)state;
    metric_add(M_LOGINS, 1, NULL, NULL, NULL);
    assert_true(has_line("iotpush_logins_total{result=\"\"} 1"));
    assert_int_equal(metric_value(M_LOGINS, "", NULL, NULL), 1);
}

static void metric_long_label_values_are_cut(void **state)
{
    char label[1000];

    (void)state;
    memset(label, 'a', sizeof(label) - 1);
    label[sizeof(label) - 1] = '\0';
    metric_add(M_HTTP_REQUESTS, 1, label, label, label);
    assert_int_equal(metric_value(M_HTTP_REQUESTS, label, label, label), 1);
    label[127] = '\0';
    assert_int_equal(metric_value(M_HTTP_REQUESTS, label, label, label), 1);
}

static void metric_gauges_hold_their_last_value(void **state)
{
    (void)state;
    metric_set(M_EVENT_OLDEST, 0.1, NULL);
    assert_true(has_line("iotpush_event_oldest_seconds 0.1"));
    metric_set(M_EVENT_OLDEST, 2.75, NULL);
    assert_true(has_line("iotpush_event_oldest_seconds 2.75"));
    assert_int_equal(metric_value(M_EVENT_OLDEST, NULL, NULL, NULL), 2);
    metric_add(M_EVENT_OLDEST, 1, NULL, NULL, NULL);
    assert_true(has_line("iotpush_event_oldest_seconds 3.75"));
    metric_set(M_CONNECTIONS, 5, "api");
    assert_true(has_line("iotpush_connections{listener=\"api\"} 5"));
    metric_set(M_BUILD_INFO, 1, "1.0.0");
    assert_true(has_line("iotpush_build_info{version=\"1.0.0\"} 1"));
}

static void metric_numbers_are_exact_and_special_ones_have_their_names(void **state)
{
    (void)state;
    metric_set(M_PROCESS_RSS, 123456789012.0, NULL);
    assert_true(has_line("iotpush_process_resident_memory_bytes 123456789012"));
    metric_set(M_PROCESS_RSS, INFINITY, NULL);
    assert_true(has_line("iotpush_process_resident_memory_bytes +Inf"));
    metric_set(M_PROCESS_RSS, NAN, NULL);
    assert_true(has_line("iotpush_process_resident_memory_bytes NaN"));
    metric_set(M_PROCESS_RSS, -1, NULL);
    assert_int_equal(metric_value(M_PROCESS_RSS, NULL, NULL, NULL), 0);
    metric_add(M_RETRIES, UINT64_MAX, NULL, NULL, NULL);
    assert_true(has_line("iotpush_retries_total 18446744073709551615"));
}

static void metric_set_takes_over_a_total_counted_elsewhere(void **state)
{
    (void)state;
    metric_set(M_LOG_LOST, 17, NULL);
    assert_true(has_line("iotpush_log_lost_lines_total 17"));
}

static void metric_histograms_are_cumulative(void **state)
{
    (void)state;
    metric_observe(M_PUSH_DURATION, 0.0005, NULL);
    metric_observe(M_PUSH_DURATION, 0.0006, NULL);
    metric_observe(M_PUSH_DURATION, 15, NULL);
    metric_observe(M_PUSH_DURATION, 16, NULL);
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"0.0005\"} 1"));
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"0.001\"} 2"));
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"10\"} 2"));
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"15\"} 3"));
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"+Inf\"} 4"));
    assert_true(has_line("iotpush_push_duration_seconds_sum 31.0011"));
    assert_true(has_line("iotpush_push_duration_seconds_count 4"));
    assert_int_equal(metric_value(M_PUSH_DURATION, NULL, NULL, NULL), 4);
}

static void metric_histograms_have_labels_before_le(void **state)
{
    (void)state;
    metric_observe(M_HTTP_DURATION, 1, "api");
    assert_true(
        has_line("iotpush_http_request_duration_seconds_bucket{listener=\"api\",le=\"1\"} 1"));
    assert_true(has_line("iotpush_http_request_duration_seconds_count{listener=\"api\"} 1"));
}

static void metric_histograms_survive_odd_durations(void **state)
{
    (void)state;
    metric_observe(M_PUSH_DURATION, -1, NULL);
    metric_observe(M_PUSH_DURATION, NAN, NULL);
    metric_observe(M_RETRIES, 1, NULL);
    assert_true(has_line("iotpush_push_duration_seconds_bucket{le=\"0.0005\"} 1"));
    assert_true(has_line("iotpush_push_duration_seconds_sum 0"));
    assert_int_equal(metric_value(M_RETRIES, NULL, NULL, NULL), 0);
}

static void metric_has_at_most_256_series_and_loses_no_count(void **state)
{
    char label[16];
    int series = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(label, sizeof(label), "l%d", i);
        metric_add(M_LOGINS, 1, label, NULL, NULL);
    }
    for (const char *p = printed(); (p = strstr(p, "\niotpush_logins_total{")); p++)
        series++;
    assert_int_equal(series, 256);
    assert_int_equal(metric_value(M_LOGINS, "l254", NULL, NULL), 1);
    assert_int_equal(metric_value(M_LOGINS, "l255", NULL, NULL), 0);
    assert_int_equal(metric_value(M_LOGINS, "other", NULL, NULL), 1000 - 255);
    metric_add(M_LOGINS, 1, "l7", NULL, NULL);
    assert_int_equal(metric_value(M_LOGINS, "l7", NULL, NULL), 2);
}

static void metric_page_has_help_and_type_of_each(void **state)
{
    int helps = 0, types = 0;

    (void)state;
    for (const char *p = printed(); (p = strstr(p, "# HELP iotpush_")); p++)
        helps++;
    for (const char *p = page.p; (p = strstr(p, "# TYPE iotpush_")); p++)
        types++;
    assert_int_equal(helps, METRIC_COUNT);
    assert_int_equal(types, METRIC_COUNT);
    assert_true(has_line("# TYPE iotpush_push_duration_seconds histogram"));
    assert_true(has_line("# TYPE iotpush_retries_total counter"));
    assert_true(has_line("# HELP iotpush_retries_total Deliveries put back to be sent again"));
    assert_int_equal(page.p[page.len - 1], '\n');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(metric_counters_count),
        TEST(metric_counter_without_labels_prints_0_before_its_first_use),
        TEST(metric_labels_make_series),
        TEST(metric_label_values_are_compared_by_their_text),
        TEST(metric_label_values_are_escaped),
        TEST(metric_missing_label_value_is_empty),
        TEST(metric_long_label_values_are_cut),
        TEST(metric_gauges_hold_their_last_value),
        TEST(metric_numbers_are_exact_and_special_ones_have_their_names),
        TEST(metric_set_takes_over_a_total_counted_elsewhere),
        TEST(metric_histograms_are_cumulative),
        TEST(metric_histograms_have_labels_before_le),
        TEST(metric_histograms_survive_odd_durations),
        TEST(metric_has_at_most_256_series_and_loses_no_count),
        TEST(metric_page_has_help_and_type_of_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

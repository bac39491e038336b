#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <time.h>

static int64_t parsed(const char *text)
{
    int64_t time_ms = -1;

    return clock_parse(str_of(text), &time_ms) ? time_ms : -1;
}

static void assert_compact(int64_t time_ms, const char *expected)
{
    char text[CLOCK_COMPACT_SIZE];

    clock_format_compact(time_ms, text);
    assert_string_equal(text, expected);
}

static void assert_millis(int64_t time_ms, const char *expected)
{
    char text[CLOCK_MILLIS_SIZE];

    clock_format_millis(time_ms, text);
    assert_string_equal(text, expected);
}

static void clock_of_the_system_goes_forward(void **state)
{
    int64_t tick_us = clock_tick_us(), tick_ms = clock_tick_ms();

    (void)state;
    assert_true(clock_now_ms() > INT64_C(1600000000000));
    assert_true(clock_tick_us() >= tick_us);
    assert_true(clock_tick_ms() >= tick_ms);
    assert_true(tick_ms - tick_us / 1000 >= 0 && tick_ms - tick_us / 1000 < 10000);
}

static void clock_stands_still_when_frozen_and_moves_when_told(void **state)
{
    (void)state;
    clock_freeze(1000, 50);
    assert_int_equal(clock_now_ms(), 1000);
    assert_int_equal(clock_tick_ms(), 50);
    assert_int_equal(clock_tick_us(), 50000);
    clock_advance(25);
    assert_int_equal(clock_now_ms(), 1025);
    assert_int_equal(clock_tick_ms(), 75);
    clock_use_system();
    assert_true(clock_now_ms() > 1025);
}

static void clock_formats_known_times(void **state)
{
    (void)state;
    assert_compact(0, "19700101T000000Z");
    assert_compact(INT64_C(1566379815000), "20190821T093015Z");
    assert_compact(INT64_C(1566379815999), "20190821T093015Z");
    assert_millis(INT64_C(1566379815007), "2019-08-21T09:30:15.007Z");
    assert_millis(999, "1970-01-01T00:00:00.999Z");
    assert_millis(INT64_C(951782400000), "2000-02-29T00:00:00.000Z");
    assert_millis(INT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
}

static void clock_formats_times_out_of_range_as_the_nearest_possible(void **state)
{
    (void)state;
    assert_millis(-1, "1970-01-01T00:00:00.000Z");
    assert_millis(INT64_MIN, "1970-01-01T00:00:00.000Z");
    assert_millis(INT64_MAX, "9999-12-31T23:59:59.999Z");
    assert_compact(INT64_C(253402300800000), "99991231T235959Z");
}

static void clock_agrees_with_libc_on_every_day_of_four_centuries(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 146097 + 400; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        char expected[32], text[CLOCK_COMPACT_SIZE];
        int64_t back;
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%Y%m%dT%H%M%SZ", &tm);
        clock_format_compact((int64_t)seconds * 1000, text);
        assert_string_equal(text, expected);
        assert_true(clock_parse(str_of(text), &back));
        assert_true(back == (int64_t)seconds * 1000);
    }
}

static void clock_parses_both_forms(void **state)
{
    (void)state;
    assert_true(parsed("20190821T093015Z") == INT64_C(1566379815000));
    assert_true(parsed("2019-08-21T09:30:15Z") == INT64_C(1566379815000));
    assert_true(parsed("2019-08-21T09:30:15.123Z") == INT64_C(1566379815123));
    assert_true(parsed("19700101T000000Z") == 0);
    assert_true(parsed("99991231T235959Z") == INT64_C(253402300799000));
}

static void clock_parses_one_to_nine_digits_of_fraction(void **state)
{
    (void)state;
    assert_int_equal(parsed("1970-01-01T00:00:00.1Z"), 100);
    assert_int_equal(parsed("1970-01-01T00:00:00.02Z"), 20);
    assert_int_equal(parsed("1970-01-01T00:00:00.0019Z"), 1);
    assert_int_equal(parsed("1970-01-01T00:00:00.123456Z"), 123);
    assert_int_equal(parsed("1970-01-01T00:00:00.999999999Z"), 999);
    assert_int_equal(parsed("1970-01-01T00:00:00.Z"), -1);
    assert_int_equal(parsed("1970-01-01T00:00:00.1234567890Z"), -1);
    assert_int_equal(parsed("1970-01-01T00:00:00.12x4Z"), -1);
    assert_int_equal(parsed("1970-01-01T00:00:00,123Z"), -1);
}

static void clock_knows_which_leap_days_exist(void **state)
{
    (void)state;
    assert_true(parsed("20000229T000000Z") == INT64_C(951782400000));
    assert_true(parsed("20240229T000000Z") == INT64_C(1709164800000));
    assert_true(parsed("24000229T000000Z") > 0);
    assert_int_equal(parsed("20230229T000000Z"), -1);
    assert_int_equal(parsed("21000229T000000Z"), -1);
    assert_int_equal(parsed("22000229T000000Z"), -1);
    assert_int_equal(parsed("20240230T000000Z"), -1);
    assert_int_equal(parsed("2023-02-29T00:00:00.000Z"), -1);
}

static void clock_refuses_dates_and_times_that_do_not_exist(void **state)
{
    static const char *const bad[] = {
        "20190431T000000Z", "20190631T000000Z", "20190931T000000Z", "20191131T000000Z",
        "20190132T000000Z", "20190100T000000Z", "20190001T000000Z", "20191301T000000Z",
        "20190101T240000Z", "20190101T006000Z", "20190101T000060Z", "19691231T235959Z",
        "00000101T000000Z",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parsed(bad[i]), -1);
}

static void clock_refuses_other_shapes(void **state)
{
    static const char *const bad[] = {
        "",
        "Z",
        "T",
        "20190821",
        "20190821T093015",
        "20190821T093015z",
        "20190821t093015Z",
        "20190821 093015Z",
        "20190821T093015ZZ",
        " 20190821T093015Z",
        "20190821T093015Z ",
        "20190821T093015.1Z",
        "2019-08-21T09:30:15",
        "2019-08-21 09:30:15Z",
        "2019-08-21T09:30:15+00:00",
        "2019-08-21T09:30:15.123",
        "2019-8-21T09:30:15Z",
        "2019-08-21T093015Z",
        "+0190821T093015Z",
        "2019082\xd9\xa1T093015Z",
        "-1-08-21T09:30:15Z",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parsed(bad[i]), -1);
    assert_int_equal(parsed(NULL), -1);
}

static void clock_parse_does_not_read_past_the_end(void **state)
{
    static const char longer[] = "2019-08-21T09:30:15.123Z";
    int64_t time_ms;

    (void)state;
    for (size_t len = 0; len < sizeof(longer) - 1; len++) {
        char *exact = malloc(len ? len : 1);

        assert_non_null(exact);
        memcpy(exact, longer, len);
        assert_false(clock_parse(str_n(exact, len), &time_ms));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_of_the_system_goes_forward),
        cmocka_unit_test(clock_stands_still_when_frozen_and_moves_when_told),
        cmocka_unit_test(clock_formats_known_times),
        cmocka_unit_test(clock_formats_times_out_of_range_as_the_nearest_possible),
        cmocka_unit_test(clock_agrees_with_libc_on_every_day_of_four_centuries),
        cmocka_unit_test(clock_parses_both_forms),
        cmocka_unit_test(clock_parses_one_to_nine_digits_of_fraction),
        cmocka_unit_test(clock_knows_which_leap_days_exist),
        cmocka_unit_test(clock_refuses_dates_and_times_that_do_not_exist),
        cmocka_unit_test(clock_refuses_other_shapes),
        cmocka_unit_test(clock_parse_does_not_read_past_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

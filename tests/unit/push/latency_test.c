#include "push/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void nothing_has_no_percentiles(void **state)
{
    const struct latency latency = {{0}};

    (void)state;
    assert_int_equal(latency_percentile_ms(&latency, 50), -1);
}

static void small_times_are_exact(void **state)
{
    (void)state;
    for (int64_t time_ms = 0; time_ms < 8; time_ms++) {
        struct latency latency = {{0}};

        latency_add(&latency, time_ms);
        assert_int_equal(latency_percentile_ms(&latency, 0), time_ms);
        assert_int_equal(latency_percentile_ms(&latency, 100), time_ms);
    }
}

static void any_time_is_at_most_a_quarter_too_high(void **state)
{
    (void)state;
    for (int64_t time_ms = 8; time_ms < 30000000; time_ms += 1 + time_ms / 7) {
        struct latency latency = {{0}};

        latency_add(&latency, time_ms);
        assert_in_range(latency_percentile_ms(&latency, 50), time_ms, time_ms + time_ms / 4);
    }
}

static void times_out_of_range_are_taken_as_the_ends_of_it(void **state)
{
    struct latency latency = {{0}};

    (void)state;
    latency_add(&latency, -5);
    assert_int_equal(latency_percentile_ms(&latency, 100), 0);
    latency_add(&latency, INT64_MAX);
    assert_true(latency_percentile_ms(&latency, 100) > 30000000);
}

static void percentiles_count_from_the_smallest(void **state)
{
    struct latency latency = {{0}};

    (void)state;
    for (int i = 0; i < 99; i++)
        latency_add(&latency, 2);
    latency_add(&latency, 7);
    assert_int_equal(latency_percentile_ms(&latency, 50), 2);
    assert_int_equal(latency_percentile_ms(&latency, 99), 2);
    assert_int_equal(latency_percentile_ms(&latency, 99.5), 7);
    assert_int_equal(latency_percentile_ms(&latency, 100), 7);
}

static void a_full_count_halves_all(void **state)
{
    struct latency latency = {{0}};

    (void)state;
    latency.counts[1] = UINT32_MAX - 1;
    latency.counts[3] = 8;
    latency_add(&latency, 1);
    assert_int_equal(latency.counts[1], UINT32_MAX / 2);
    assert_int_equal(latency.counts[3], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_has_no_percentiles),
        cmocka_unit_test(small_times_are_exact),
        cmocka_unit_test(any_time_is_at_most_a_quarter_too_high),
        cmocka_unit_test(times_out_of_range_are_taken_as_the_ends_of_it),
        cmocka_unit_test(percentiles_count_from_the_smallest),
        cmocka_unit_test(a_full_count_halves_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

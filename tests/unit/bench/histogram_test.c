#include "bench/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct histogram histogram;

static int reset(void **state)
{
    (void)state;
    histogram_reset(&histogram);
    return 0;
}

static void an_empty_one_answers_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_percentile(&histogram, 99), 0);
    assert_int_equal(histogram_mean(&histogram), 0);
}

static void small_values_are_exact(void **state)
{
    (void)state;
    for (int value = 1; value <= 50; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_percentile(&histogram, 50), 25);
    assert_int_equal(histogram_percentile(&histogram, 98), 49);
    assert_int_equal(histogram_percentile(&histogram, 100), 50);
    assert_int_equal(histogram_percentile(&histogram, 0), 1);
    assert_int_equal(histogram.least, 1);
    assert_int_equal(histogram_mean(&histogram), 25);
}

static void large_values_are_near(void **state)
{
    (void)state;
    for (int64_t value = 64; value < HISTOGRAM_VALUE_MAX; value = value * 9 / 8 + 1) {
        histogram_reset(&histogram);
        histogram_add(&histogram, value);
        histogram_add(&histogram, HISTOGRAM_VALUE_MAX);
        assert_in_range(histogram_percentile(&histogram, 50), value, value + value / 64);
    }
}

static void no_percentile_is_above_the_largest_value(void **state)
{
    (void)state;
    histogram_add(&histogram, 1000001);
    assert_int_equal(histogram_percentile(&histogram, 50), 1000001);
    assert_int_equal(histogram_percentile(&histogram, 100), 1000001);
}

static void values_out_of_bounds_are_counted_at_the_bound(void **state)
{
    (void)state;
    histogram_add(&histogram, -5);
    histogram_add(&histogram, INT64_MAX);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram.least, 0);
    assert_int_equal(histogram.most, HISTOGRAM_VALUE_MAX);
    assert_int_equal(histogram_percentile(&histogram, 100), HISTOGRAM_VALUE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_one_answers_zero, reset),
        cmocka_unit_test_setup(small_values_are_exact, reset),
        cmocka_unit_test_setup(large_values_are_near, reset),
        cmocka_unit_test_setup(no_percentile_is_above_the_largest_value, reset),
        cmocka_unit_test_setup(values_out_of_bounds_are_counted_at_the_bound, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

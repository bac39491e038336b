#include "base/clock.h"
#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static int start(void **state)
{
    (void)state;
    clock_freeze(0, 100);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    clock_use_system();
    return 0;
}

static int allowed_of(struct rate *rate, const char *key, int uses)
{
    int allowed = 0;

    while (uses-- > 0)
        allowed += rate_allows(rate, str_of(key));
    return allowed;
}

static void rate_allows_the_limit_and_no_more(void **state)
{
    struct rate *rate = rate_new(3, 1000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 10), 3);
    clock_advance(999);
    assert_int_equal(allowed_of(rate, "a", 1), 0);
    rate_free(rate);
}

static void rate_allows_again_in_the_next_interval(void **state)
{
    struct rate *rate = rate_new(3, 1000, 10);

    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(allowed_of(rate, "a", 5), 3);
        clock_advance(1000);
    }
    rate_free(rate);
}

static void rate_interval_begins_with_the_first_use(void **state)
{
    struct rate *rate = rate_new(2, 1000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 1), 1);
    clock_advance(900);
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    clock_advance(100);
    assert_int_equal(allowed_of(rate, "a", 3), 2);
    rate_free(rate);
}

static void rate_counts_each_key_alone(void **state)
{
    struct rate *rate = rate_new(1, 1000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    assert_int_equal(allowed_of(rate, "b", 2), 1);
    rate_free(rate);
}

static void rate_of_zero_is_no_limit(void **state)
{
    struct rate *rate = rate_new(0, 1000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 1000), 1000);
    rate_free(rate);
    rate_free(NULL);
}

static void rate_forgets_the_least_recently_used_key(void **state)
{
    struct rate *rate = rate_new(1, 1000, 2);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 1), 1);
    assert_int_equal(allowed_of(rate, "b", 1), 1);
    assert_int_equal(allowed_of(rate, "a", 1), 0);
    assert_int_equal(allowed_of(rate, "c", 1), 1);
    assert_int_equal(allowed_of(rate, "a", 1), 0);
    assert_int_equal(allowed_of(rate, "b", 1), 1);
    rate_free(rate);
}

static void rate_set_limit_holds_at_once(void **state)
{
    struct rate *rate = rate_new(2, 1000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 5), 2);
    rate_set_limit(rate, 4, 1000);
    assert_int_equal(allowed_of(rate, "a", 5), 2);
    rate_set_limit(rate, 1, 1000);
    assert_int_equal(allowed_of(rate, "a", 5), 0);
    rate_set_limit(rate, 0, 1000);
    assert_int_equal(allowed_of(rate, "a", 5), 5);
    rate_free(rate);
}

static void rate_with_another_interval_opens_new_windows(void **state)
{
    struct rate *rate = rate_new(1, 86400000, 10);

    (void)state;
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    rate_set_limit(rate, 1, 1000);
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    clock_advance(1000);
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    rate_free(rate);
}

static void rate_says_what_is_used_up_without_counting(void **state)
{
    struct rate *rate = rate_new(2, 1000, 10);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_false(rate_is_used_up(rate, STR("a")));
    assert_int_equal(allowed_of(rate, "a", 1), 1);
    assert_false(rate_is_used_up(rate, STR("a")));
    assert_int_equal(allowed_of(rate, "a", 2), 1);
    assert_true(rate_is_used_up(rate, STR("a")));
    assert_false(rate_is_used_up(rate, STR("b")));
    rate_set_limit(rate, 0, 1000);
    assert_false(rate_is_used_up(rate, STR("a")));
    rate_set_limit(rate, 2, 1000);
    clock_advance(1000);
    assert_false(rate_is_used_up(rate, STR("a")));
    rate_free(rate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rate_allows_the_limit_and_no_more),
        TEST(rate_allows_again_in_the_next_interval),
        TEST(rate_interval_begins_with_the_first_use),
        TEST(rate_counts_each_key_alone),
        TEST(rate_of_zero_is_no_limit),
        TEST(rate_forgets_the_least_recently_used_key),
        TEST(rate_set_limit_holds_at_once),
        TEST(rate_with_another_interval_opens_new_windows),
        TEST(rate_says_what_is_used_up_without_counting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

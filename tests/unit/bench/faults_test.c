#include "bench/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void right_lists_are_taken(void **state)
{
    static const char *const right[] = {
        "",         "every=10",     "every=10:503",  "rate=5%:500", "rate=0.01%",
        "hang=10%", "reset=100%",   "flap=10s/500ms", "flap=1s/1s:429",
        "every=2, hang=1%,reset=1%",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(*right); i++)
        assert_null(faults_check(right[i]));
}

static void wrong_lists_are_refused(void **state)
{
    static const char *const wrong[] = {
        "often",       "every=0",     "every=x",    "every=10:99",  "every=10:600", "rate=5",
        "rate=101%",   "rate=100.1%", "rate=.5%",   "rate=-1%",     "hang=5%:503",  "reset=",
        "flap=10s",    "flap=10/5",   "flap=0/5s",  "every=10:",    "rate=0.00001%",
        "every=1,every=1,every=1,every=1,every=1,every=1,every=1,every=1,every=1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_non_null(faults_check(wrong[i]));
}

static void every_tenth_fails(void **state)
{
    struct faults *faults = faults_new("every=10:502", 0);
    int failed = 0;

    (void)state;
    for (int i = 1; i <= 100; i++) {
        struct fault fault = faults_next(faults, 0);

        assert_int_equal(fault.kind == FAULT_STATUS, i % 10 == 0);
        if (fault.kind == FAULT_STATUS) {
            assert_int_equal(fault.status, 502);
            failed++;
        }
    }
    assert_int_equal(failed, 10);
    faults_free(faults);
}

static void flapping_follows_the_clock(void **state)
{
    struct faults *faults = faults_new("flap=10s/5s", 1000000);

    (void)state;
    assert_int_equal(faults_next(faults, 1000000).kind, FAULT_NONE);
    assert_int_equal(faults_next(faults, 10999999).kind, FAULT_NONE);
    assert_int_equal(faults_next(faults, 11000000).kind, FAULT_STATUS);
    assert_int_equal(faults_next(faults, 15999999).kind, FAULT_STATUS);
    assert_int_equal(faults_next(faults, 16000000).kind, FAULT_NONE);
    faults_free(faults);
}

static void shares_are_kept_roughly_and_bounds_exactly(void **state)
{
    struct faults *some = faults_new("hang=20%", 0), *all = faults_new("reset=100%", 0);
    struct faults *none = faults_new("rate=0%", 0);
    int hung = 0;

    (void)state;
    for (int i = 0; i < 10000; i++) {
        hung += faults_next(some, 0).kind == FAULT_HANG;
        assert_int_equal(faults_next(all, 0).kind, FAULT_RESET);
        assert_int_equal(faults_next(none, 0).kind, FAULT_NONE);
    }
    assert_in_range(hung, 1500, 2500);
    faults_free(some);
    faults_free(all);
    faults_free(none);
}

static void the_first_that_applies_counts(void **state)
{
    struct faults *faults = faults_new("every=2:500, rate=100%:501", 0);

    (void)state;
    assert_int_equal(faults_next(faults, 0).status, 501);
    assert_int_equal(faults_next(faults, 0).status, 500);
    faults_free(faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_lists_are_taken),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(every_tenth_fails),
        cmocka_unit_test(flapping_follows_the_clock),
        cmocka_unit_test(shares_are_kept_roughly_and_bounds_exactly),
        cmocka_unit_test(the_first_that_applies_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

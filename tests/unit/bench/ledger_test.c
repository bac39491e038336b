#include "bench/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static struct ledger *ledger;
static bool was_failed;

static int make(void **state)
{
    (void)state;
    ledger = ledger_new(2);
    return 0;
}

static int discard(void **state)
{
    (void)state;
    ledger_free(ledger);
    return 0;
}

static void send_many(size_t device, uint64_t count)
{
    for (uint64_t number = 0; number < count; number++) {
        ledger_sent(ledger, device, number);
        ledger_accepted(ledger, device, number);
    }
}

static void what_was_accepted_is_missing_until_it_arrives(void **state)
{
    (void)state;
    send_many(0, 1000);
    send_many(1, 1);
    assert_int_equal(ledger_missing(ledger), 1001);
    for (uint64_t number = 0; number < 1000; number++)
        assert_int_equal(ledger_arrived(ledger, 0, number, &was_failed), ARRIVAL_FIRST);
    assert_int_equal(ledger_missing(ledger), 1);
}

static void an_arrival_may_overtake_its_answer(void **state)
{
    (void)state;
    ledger_sent(ledger, 0, 0);
    assert_int_equal(ledger_arrived(ledger, 0, 0, &was_failed), ARRIVAL_FIRST);
    assert_false(was_failed);
    ledger_accepted(ledger, 0, 0);
    assert_int_equal(ledger_missing(ledger), 0);
}

static void repetitions_and_wrong_order_are_told_apart(void **state)
{
    (void)state;
    send_many(0, 4);
    assert_int_equal(ledger_arrived(ledger, 0, 0, &was_failed), ARRIVAL_FIRST);
    assert_int_equal(ledger_arrived(ledger, 0, 2, &was_failed), ARRIVAL_FIRST);
    assert_int_equal(ledger_arrived(ledger, 0, 0, &was_failed), ARRIVAL_AGAIN);
    assert_int_equal(ledger_arrived(ledger, 0, 1, &was_failed), ARRIVAL_LATE);
    assert_int_equal(ledger_arrived(ledger, 0, 1, &was_failed), ARRIVAL_AGAIN);
    assert_int_equal(ledger_arrived(ledger, 0, 3, &was_failed), ARRIVAL_FIRST);
    assert_int_equal(ledger_missing(ledger), 0);
}

static void what_failed_is_not_missing_and_may_arrive(void **state)
{
    (void)state;
    ledger_sent(ledger, 0, 0);
    assert_true(ledger_failed(ledger, 0, 0));
    assert_int_equal(ledger_missing(ledger), 0);
    assert_int_equal(ledger_arrived(ledger, 0, 0, &was_failed), ARRIVAL_FIRST);
    assert_true(was_failed);
    ledger_sent(ledger, 0, 1);
    ledger_arrived(ledger, 0, 1, &was_failed);
    assert_false(was_failed);
    assert_false(ledger_failed(ledger, 0, 1));
}

static void what_was_never_sent_is_unknown(void **state)
{
    (void)state;
    send_many(0, 1);
    assert_int_equal(ledger_arrived(ledger, 0, 1, &was_failed), ARRIVAL_UNKNOWN);
    assert_int_equal(ledger_arrived(ledger, 0, UINT64_MAX, &was_failed), ARRIVAL_UNKNOWN);
    assert_int_equal(ledger_arrived(ledger, 1, 0, &was_failed), ARRIVAL_UNKNOWN);
    assert_int_equal(ledger_arrived(ledger, 2, 0, &was_failed), ARRIVAL_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_accepted_is_missing_until_it_arrives, make,
                                        discard),
        cmocka_unit_test_setup_teardown(an_arrival_may_overtake_its_answer, make, discard),
        cmocka_unit_test_setup_teardown(repetitions_and_wrong_order_are_told_apart, make, discard),
        cmocka_unit_test_setup_teardown(what_failed_is_not_missing_and_may_arrive, make, discard),
        cmocka_unit_test_setup_teardown(what_was_never_sent_is_unknown, make, discard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

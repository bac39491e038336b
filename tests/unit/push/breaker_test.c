#include "push/breaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND   1000
#define INTERVAL (180 * SECOND)
#define WINDOW   (600 * SECOND)
#define START    5000000 /* a tick to begin with */

static const struct push_settings settings = {
    .fail_limit = 10,
    .fail_window_ms = WINDOW,
    .probe_interval_ms = INTERVAL,
    .drain_rate = 5,
    .drain_fail_limit = 3,
};

static struct breaker breaker;

static int start(void **state)
{
    (void)state;
    breaker_init(&breaker);
    return 0;
}

static bool allows(int64_t now_ms, int64_t in_flight)
{
    return breaker_allows(&breaker, &settings, now_ms, in_flight);
}

static void fail_times(int count, int64_t now_ms)
{
    while (count-- > 0)
        breaker_failed(&breaker, &settings, now_ms);
}

static void go_down(int64_t now_ms)
{
    fail_times(10, now_ms);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

static void probe_at(int64_t now_ms)
{
    assert_true(allows(now_ms, 0));
    breaker_sent(&breaker, &settings, now_ms);
    assert_int_equal(breaker.state, BREAKER_PROBE);
}

/* Down at START, and back to DRAIN at the first probe. */
static void go_to_drain(void)
{
    go_down(START);
    probe_at(START + INTERVAL);
    breaker_succeeded(&breaker, false);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
}

#define DRAINING (START + INTERVAL)

/* -- up --------------------------------------------------------------------------------------- */

static void it_begins_up_and_sends_without_a_limit(void **state)
{
    (void)state;
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_true(allows(0, 0));
    assert_true(allows(START, 1000000));
    breaker_sent(&breaker, &settings, START);
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_int_equal(breaker_next_ms(&breaker, &settings, START), 0);
}

static void it_goes_down_with_the_last_of_the_failures_in_a_row(void **state)
{
    (void)state;
    fail_times(9, START);
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_true(allows(START, 0));
    fail_times(1, START + 1);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    assert_false(allows(START + 1, 0));
    assert_int_equal(breaker_next_ms(&breaker, &settings, START + 1), START + 1 + INTERVAL);
}

static void a_limit_of_one_goes_down_at_once(void **state)
{
    struct push_settings strict = settings;

    (void)state;
    strict.fail_limit = 1;
    breaker_failed(&breaker, &strict, START);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

static void a_success_begins_the_count_again(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        fail_times(9, START);
        breaker_succeeded(&breaker, i % 2);
        assert_int_equal(breaker.state, BREAKER_UP);
        assert_int_equal(breaker.fails, 0);
    }
    fail_times(10, START);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

static void a_failure_older_than_the_window_begins_the_count_again(void **state)
{
    (void)state;
    fail_times(9, START);
    fail_times(1, START + WINDOW + 1);
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_int_equal(breaker.fails, 1);
    fail_times(9, START + WINDOW + 2);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

static void failures_with_pauses_inside_the_window_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(breaker.state, BREAKER_UP);
        fail_times(1, START + (int64_t)i * WINDOW);
    }
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

static void neutral_answers_neither_count_nor_forgive(void **state)
{
    (void)state;
    fail_times(9, START);
    for (int i = 0; i < 100; i++)
        breaker_neutral(&breaker, &settings, START);
    assert_int_equal(breaker.state, BREAKER_UP);
    fail_times(1, START);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

/* -- down and probing ------------------------------------------------------------------------- */

static void down_sends_nothing_until_the_first_probe(void **state)
{
    (void)state;
    go_down(START);
    for (int64_t later_ms = 0; later_ms < INTERVAL; later_ms += SECOND)
        assert_false(allows(START + later_ms, 0));
    assert_false(allows(START + INTERVAL - 1, 0));
    assert_true(allows(START + INTERVAL, 0));
}

static void a_probe_is_exactly_one_attempt(void **state)
{
    (void)state;
    go_down(START);
    probe_at(START + INTERVAL);
    assert_false(allows(START + INTERVAL, 0));
    assert_false(allows(START + INTERVAL, 1));
    assert_false(allows(START + 10 * INTERVAL, 1));
    assert_int_equal(breaker_next_ms(&breaker, &settings, START + INTERVAL), 0);
}

static void probes_keep_their_rhythm_however_long_each_took(void **state)
{
    static const int64_t took_ms[] = {1, 15 * SECOND, INTERVAL - 1, INTERVAL + 1, 7 * INTERVAL / 2};
    int64_t due_ms = START + INTERVAL;

    (void)state;
    go_down(START);
    for (size_t i = 0; i < sizeof(took_ms) / sizeof(*took_ms); i++) {
        int64_t over_ms = due_ms + took_ms[i];

        probe_at(due_ms);
        breaker_failed(&breaker, &settings, over_ms);
        assert_int_equal(breaker.state, BREAKER_DOWN);
        while (due_ms <= over_ms)
            due_ms += INTERVAL;
        assert_int_equal(breaker_next_ms(&breaker, &settings, over_ms), due_ms);
        assert_false(allows(due_ms - 1, 0));
    }
    probe_at(due_ms);
}

static void a_probe_is_never_repeated_in_the_moment_it_failed(void **state)
{
    (void)state;
    go_down(START);
    probe_at(START + INTERVAL);
    breaker_failed(&breaker, &settings, START + 2 * INTERVAL);
    assert_false(allows(START + 2 * INTERVAL, 0));
    assert_int_equal(breaker.next_probe_ms, START + 3 * INTERVAL);
}

static void a_probe_that_waited_for_a_message_does_not_shift_the_rhythm(void **state)
{
    int64_t late_ms = START + 5 * INTERVAL + 7 * SECOND;

    (void)state;
    go_down(START);
    probe_at(late_ms);
    breaker_failed(&breaker, &settings, late_ms + SECOND);
    assert_int_equal(breaker.next_probe_ms, START + 6 * INTERVAL);
}

static void a_successful_probe_begins_to_drain(void **state)
{
    (void)state;
    go_down(START);
    probe_at(START + INTERVAL);
    breaker_succeeded(&breaker, false);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
    assert_int_equal(breaker.fails, 0);
    assert_true(allows(START + INTERVAL, 0));
}

static void a_successful_probe_with_nothing_behind_it_is_up(void **state)
{
    (void)state;
    go_down(START);
    probe_at(START + INTERVAL);
    breaker_succeeded(&breaker, true);
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_true(allows(START + INTERVAL, 1000));
}

static void a_neutral_answer_ends_a_probe_without_success(void **state)
{
    (void)state;
    go_down(START);
    probe_at(START + INTERVAL);
    breaker_neutral(&breaker, &settings, START + INTERVAL + SECOND);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    assert_int_equal(breaker.fails, 10);
    assert_false(allows(START + 2 * INTERVAL - 1, 0));
    probe_at(START + 2 * INTERVAL);
}

static void nothing_left_to_send_does_not_end_down_or_a_probe(void **state)
{
    (void)state;
    go_down(START);
    breaker_emptied(&breaker);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    probe_at(START + INTERVAL);
    breaker_emptied(&breaker);
    assert_int_equal(breaker.state, BREAKER_PROBE);
}

/* -- draining --------------------------------------------------------------------------------- */

static void draining_begins_with_one_and_doubles_with_each_success(void **state)
{
    (void)state;
    go_to_drain();
    for (int64_t parallel = 1; parallel <= 64; parallel *= 2) {
        assert_true(allows(DRAINING, parallel - 1));
        assert_false(allows(DRAINING, parallel));
        breaker_succeeded(&breaker, false);
        assert_int_equal(breaker.state, BREAKER_DRAIN);
    }
}

static void doubling_ends_before_it_overflows(void **state)
{
    (void)state;
    go_to_drain();
    for (int i = 0; i < 1000; i++)
        breaker_succeeded(&breaker, false);
    assert_true(breaker.drain_parallel > 100000);
    assert_true(allows(DRAINING, 100000));
}

/* Sends whatever it may, asking at each of its own times, for three seconds. */
static size_t drain(const struct push_settings *rules, int64_t *times, size_t most)
{
    size_t count = 0;

    go_to_drain();
    for (int64_t now_ms = DRAINING; now_ms < DRAINING + 3 * SECOND;) {
        if (breaker_allows(&breaker, rules, now_ms, 0)) {
            assert_int_equal(breaker_next_ms(&breaker, rules, now_ms), 0);
            assert_true(count < most);
            times[count++] = now_ms;
            breaker_sent(&breaker, rules, now_ms);
        } else {
            int64_t next_ms = breaker_next_ms(&breaker, rules, now_ms);

            assert_true(next_ms > now_ms);
            now_ms = next_ms;
        }
    }
    return count;
}

static void draining_keeps_to_its_rate_within_any_second(void **state)
{
    static const int64_t rates[] = {1, 2, 5, 19, 20, 39, 40, 300, 800, 1000, 12345};
    static int64_t times[40000];

    (void)state;
    for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
        struct push_settings rules = settings;
        size_t rate = (size_t)rates[r], count;

        rules.drain_rate = rates[r];
        breaker_init(&breaker);
        count = drain(&rules, times, sizeof(times) / sizeof(*times));
        for (size_t i = 0; i + rate < count; i++)
            assert_true(times[i + rate] - times[i] >= SECOND);
        /* and comes near to it */
        assert_true(count >= rate * 3 * 94 / 100);
    }
}

static void instances_share_the_rate(void **state)
{
    static int64_t times[1000];

    (void)state;
    breaker.instances = 5;
    assert_int_equal(drain(&settings, times, sizeof(times) / sizeof(*times)), 3);
    breaker_init(&breaker);
    breaker.instances = 50; /* one of each, then */
    assert_int_equal(drain(&settings, times, sizeof(times) / sizeof(*times)), 3);
}

static void a_full_drain_waits_for_an_answer_not_for_a_time(void **state)
{
    struct push_settings rules = settings;

    (void)state;
    rules.drain_rate = 800;
    go_to_drain();
    breaker_sent(&breaker, &rules, DRAINING);
    assert_false(breaker_allows(&breaker, &rules, DRAINING, 1));
    assert_int_equal(breaker_next_ms(&breaker, &rules, DRAINING), 0);
}

static void failures_in_a_row_while_draining_go_down_again(void **state)
{
    int64_t down_ms = DRAINING + 2 * SECOND;

    (void)state;
    go_to_drain();
    fail_times(2, DRAINING + SECOND);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
    fail_times(1, down_ms);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    assert_false(allows(down_ms + INTERVAL - 1, 0));
    probe_at(down_ms + INTERVAL); /* the rhythm begins anew */
}

static void a_success_while_draining_begins_that_count_again(void **state)
{
    (void)state;
    go_to_drain();
    for (int i = 0; i < 5; i++) {
        fail_times(2, DRAINING);
        breaker_succeeded(&breaker, false);
    }
    assert_int_equal(breaker.state, BREAKER_DRAIN);
}

static void neutral_answers_do_not_end_a_drain(void **state)
{
    (void)state;
    go_to_drain();
    for (int i = 0; i < 100; i++)
        breaker_neutral(&breaker, &settings, DRAINING);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
}

static void a_second_drain_begins_with_one_again(void **state)
{
    (void)state;
    go_to_drain();
    for (int i = 0; i < 5; i++)
        breaker_succeeded(&breaker, false);
    fail_times(3, DRAINING + SECOND);
    probe_at(DRAINING + SECOND + INTERVAL);
    breaker_succeeded(&breaker, false);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
    assert_false(allows(DRAINING + SECOND + INTERVAL, 1));
    fail_times(2, DRAINING + SECOND + INTERVAL);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
}

static void a_drain_that_has_sent_all_is_up(void **state)
{
    (void)state;
    go_to_drain();
    breaker_emptied(&breaker);
    assert_int_equal(breaker.state, BREAKER_UP);
    assert_true(allows(DRAINING, 1000000));

    breaker_init(&breaker);
    go_to_drain();
    breaker_succeeded(&breaker, true);
    assert_int_equal(breaker.state, BREAKER_UP);
}

static void after_a_drain_all_failures_are_allowed_for_again(void **state)
{
    (void)state;
    go_to_drain();
    breaker_succeeded(&breaker, true);
    fail_times(9, DRAINING);
    assert_int_equal(breaker.state, BREAKER_UP);
    fail_times(1, DRAINING);
    assert_int_equal(breaker.state, BREAKER_DOWN);
}

/* -- stragglers: attempts that began in an earlier state -------------------------------------- */

static void failures_that_come_after_going_down_do_not_move_the_probe(void **state)
{
    (void)state;
    go_down(START);
    fail_times(20, START + 15 * SECOND);
    breaker_neutral(&breaker, &settings, START + 15 * SECOND);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    assert_int_equal(breaker.next_probe_ms, START + INTERVAL);
}

static void a_success_that_comes_after_going_down_begins_to_drain(void **state)
{
    (void)state;
    go_down(START);
    breaker_succeeded(&breaker, false);
    assert_int_equal(breaker.state, BREAKER_DRAIN);
    assert_true(allows(START, 0));
    assert_false(allows(START, 1));

    breaker_init(&breaker);
    go_down(START);
    breaker_succeeded(&breaker, true);
    assert_int_equal(breaker.state, BREAKER_UP);
}

static void drained_attempts_that_fail_after_going_down_are_passed_over(void **state)
{
    (void)state;
    go_to_drain();
    fail_times(3, DRAINING + SECOND);
    fail_times(30, DRAINING + 15 * SECOND);
    assert_int_equal(breaker.state, BREAKER_DOWN);
    assert_int_equal(breaker.next_probe_ms, DRAINING + SECOND + INTERVAL);
}

static void states_are_named_as_the_protocol_names_them(void **state)
{
    (void)state;
    assert_string_equal(breaker_state_name(BREAKER_UP), "valid");
    assert_string_equal(breaker_state_name(BREAKER_DOWN), "invalid");
    assert_string_equal(breaker_state_name(BREAKER_PROBE), "probing");
    assert_string_equal(breaker_state_name(BREAKER_DRAIN), "draining");
}

#define FRESH(test) cmocka_unit_test_setup(test, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(it_begins_up_and_sends_without_a_limit),
        FRESH(it_goes_down_with_the_last_of_the_failures_in_a_row),
        FRESH(a_limit_of_one_goes_down_at_once),
        FRESH(a_success_begins_the_count_again),
        FRESH(a_failure_older_than_the_window_begins_the_count_again),
        FRESH(failures_with_pauses_inside_the_window_add_up),
        FRESH(neutral_answers_neither_count_nor_forgive),
        FRESH(down_sends_nothing_until_the_first_probe),
        FRESH(a_probe_is_exactly_one_attempt),
        FRESH(probes_keep_their_rhythm_however_long_each_took),
        FRESH(a_probe_is_never_repeated_in_the_moment_it_failed),
        FRESH(a_probe_that_waited_for_a_message_does_not_shift_the_rhythm),
        FRESH(a_successful_probe_begins_to_drain),
        FRESH(a_successful_probe_with_nothing_behind_it_is_up),
        FRESH(a_neutral_answer_ends_a_probe_without_success),
        FRESH(nothing_left_to_send_does_not_end_down_or_a_probe),
        FRESH(draining_begins_with_one_and_doubles_with_each_success),
        FRESH(doubling_ends_before_it_overflows),
        FRESH(draining_keeps_to_its_rate_within_any_second),
        FRESH(instances_share_the_rate),
        FRESH(a_full_drain_waits_for_an_answer_not_for_a_time),
        FRESH(failures_in_a_row_while_draining_go_down_again),
        FRESH(a_success_while_draining_begins_that_count_again),
        FRESH(neutral_answers_do_not_end_a_drain),
        FRESH(a_second_drain_begins_with_one_again),
        FRESH(a_drain_that_has_sent_all_is_up),
        FRESH(after_a_drain_all_failures_are_allowed_for_again),
        FRESH(failures_that_come_after_going_down_do_not_move_the_probe),
        FRESH(a_success_that_comes_after_going_down_begins_to_drain),
        FRESH(drained_attempts_that_fail_after_going_down_are_passed_over),
        FRESH(states_are_named_as_the_protocol_names_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

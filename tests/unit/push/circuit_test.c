#include "push/circuit.h"

#include "base/clock.h"
#include "push/push.h"
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND   1000
#define INTERVAL (180 * SECOND)
#define START    5000000 /* the first tick */

static const struct push_settings defaults = {
    .fail_limit = 10,
    .fail_window_ms = 600 * SECOND,
    .probe_interval_ms = INTERVAL,
    .drain_rate = 800,
    .drain_fail_limit = 3,
};

static struct push_settings settings;

/* ---- who sends: what the circuit is told, and what it has asked ---- */

struct sender {
    struct circuit_member member;
    bool can_probe;
    bool is_unsettled;
    int64_t oldest_ms;
    size_t wakes, probes;
};

static struct world {
    struct event_base *base;
    struct circuits *circuits;
    struct sender a, b, c; /* of one circuit */
    size_t rests, questions, downs, ups;
    int64_t instances;
} world;

static void wake(void *user)
{
    ((struct sender *)user)->wakes++;
}

static bool can_probe(const void *user)
{
    return ((const struct sender *)user)->can_probe;
}

static int64_t oldest_ms(const void *user)
{
    return ((const struct sender *)user)->oldest_ms;
}

static void probe(void *user)
{
    ((struct sender *)user)->probes++;
}

static bool is_settled(const void *user)
{
    return !((const struct sender *)user)->is_unsettled;
}

static void count(const void *user, size_t *waiting, int64_t *parked)
{
    (void)user;
    *waiting += 1;
    *parked += 2;
}

static void rest(struct circuit *circuit)
{
    (void)circuit;
    world.rests++;
}

static void ask_probe(struct circuit *circuit)
{
    (void)circuit;
    world.questions++;
}

static void tell_down(struct circuit *circuit)
{
    (void)circuit;
    world.downs++;
}

static void tell_up(struct circuit *circuit)
{
    (void)circuit;
    world.ups++;
}

static int64_t instance_count(void *arg)
{
    return ((struct world *)arg)->instances;
}

static const struct circuit_calls calls = {
    .wake = wake,
    .can_probe = can_probe,
    .oldest_ms = oldest_ms,
    .probe = probe,
    .is_settled = is_settled,
    .count = count,
    .rest = rest,
    .ask_probe = ask_probe,
    .tell_down = tell_down,
    .tell_up = tell_up,
    .instance_count = instance_count,
};

static struct circuit *the_circuit(void)
{
    return circuit_find(world.circuits, STR("app"), STR("http://a.test:1/x"));
}

static void join(struct sender *sender)
{
    circuit_join(circuit_get(world.circuits, NULL, STR("app"), STR("http://a.test:1/x")),
                 &sender->member, sender);
}

static int start(void **state)
{
    (void)state;
    settings = defaults;
    world = (struct world){.base = event_base_new(), .instances = 1};
    world.circuits = circuits_new(&(struct circuits_config){
        .base = world.base, .settings = &settings, .calls = &calls, .arg = &world});
    clock_freeze(1795500000000, START);
    join(&world.a);
    join(&world.b);
    join(&world.c);
    return 0;
}

static int end(void **state)
{
    struct sender *senders[] = {&world.a, &world.b, &world.c};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        if (senders[i]->member.circuit)
            circuit_leave(&senders[i]->member);
    }
    circuits_free(world.circuits);
    event_base_free(world.base);
    clock_use_system();
    return 0;
}

static void leave(struct sender *sender)
{
    circuit_leave(&sender->member);
    sender->member.circuit = NULL;
}

static enum breaker_state state_now(void)
{
    return circuit_state(the_circuit());
}

static void sends(struct sender *sender)
{
    assert_true(circuit_lets_through(&sender->member));
    circuit_sent(&sender->member);
}

static void succeeds(struct sender *sender)
{
    circuit_succeeded(&sender->member);
    circuit_follow(the_circuit());
}

static void fails(struct sender *sender)
{
    circuit_failed(&sender->member, "status 503");
    circuit_follow(the_circuit());
}

static void send_and_fail(struct sender *sender, int times)
{
    while (times-- > 0) {
        sends(sender);
        fails(sender);
    }
}

/* Down by the failures of two, with something to send at all three: c has the oldest. */
static void go_down(void)
{
    send_and_fail(&world.a, 5);
    send_and_fail(&world.b, 5);
    assert_int_equal(state_now(), BREAKER_DOWN);
    world.a.can_probe = world.b.can_probe = world.c.can_probe = true;
    world.a.oldest_ms = 300;
    world.b.oldest_ms = 200;
    world.c.oldest_ms = 100;
}

/* The time of a probe comes, and this instance may make it. */
static void grant_probe(void)
{
    size_t before = world.questions;

    clock_advance(INTERVAL);
    circuit_offer(&world.a.member);
    circuit_offer(&world.b.member);
    assert_int_equal(world.questions, before + 1);
    circuit_probe_answered(the_circuit(), 0);
}

static void go_to_drain(void)
{
    go_down();
    grant_probe();
    world.a.is_unsettled = world.b.is_unsettled = world.c.is_unsettled = true;
    sends(&world.c);
    world.a.wakes = world.b.wakes = world.c.wakes = 0;
    succeeds(&world.c);
    assert_int_equal(state_now(), BREAKER_DRAIN);
}

/* ---- who belongs together ---- */

static void a_circuit_is_found_by_its_application_and_its_name(void **state)
{
    (void)state;
    assert_non_null(the_circuit());
    assert_ptr_equal(world.a.member.circuit, world.b.member.circuit);
    assert_null(circuit_find(world.circuits, STR("app2"), STR("http://a.test:1/x")));
    assert_null(circuit_find(world.circuits, STR("app"), STR("http://a.test:1/")));
    assert_true(str_eq(circuit_app_id(the_circuit()), STR("app")));
    assert_true(str_eq(circuit_name(the_circuit()), STR("http://a.test:1/x")));
}

static void it_goes_with_its_last_member(void **state)
{
    (void)state;
    assert_true(circuit_is_first(&world.a.member));
    leave(&world.a);
    leave(&world.c);
    assert_true(circuit_is_first(&world.b.member));
    assert_true(circuit_is_last(&world.b.member));
    leave(&world.b);
    assert_null(the_circuit());
    assert_int_equal(circuits_count(world.circuits, BREAKER_UP), 0);
}

static void members_are_counted_by_the_state_they_share(void **state)
{
    struct sender late = {0};

    (void)state;
    assert_int_equal(circuits_count(world.circuits, BREAKER_UP), 3);
    go_down();
    assert_int_equal(circuits_count(world.circuits, BREAKER_UP), 0);
    assert_int_equal(circuits_count(world.circuits, BREAKER_DOWN), 3);
    join(&late);
    assert_int_equal(circuits_count(world.circuits, BREAKER_DOWN), 4);
    leave(&late);
    grant_probe();
    sends(&world.c);
    assert_int_equal(circuits_count(world.circuits, BREAKER_PROBE), 3);
}

/* ---- failing together ---- */

static void failures_of_all_members_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        send_and_fail(&world.a, 1);
        send_and_fail(&world.b, 1);
        send_and_fail(&world.c, 1);
    }
    assert_int_equal(state_now(), BREAKER_UP);
    assert_int_equal(circuit_failures(the_circuit()), 9);
    assert_int_equal(world.downs + world.rests, 0);
    send_and_fail(&world.b, 1);
    assert_int_equal(state_now(), BREAKER_DOWN);
    assert_int_equal(world.downs, 1);
    assert_int_equal(world.rests, 1);
    assert_string_equal(circuit_reason(the_circuit()), "status 503");
    assert_int_equal(circuit_next_probe_ms(the_circuit()), START + INTERVAL);
}

static void a_success_of_one_begins_the_count_of_all_again(void **state)
{
    (void)state;
    send_and_fail(&world.a, 9);
    sends(&world.b);
    succeeds(&world.b);
    assert_int_equal(circuit_failures(the_circuit()), 0);
    send_and_fail(&world.a, 9);
    assert_int_equal(state_now(), BREAKER_UP);
}

static void while_it_is_down_nobody_sends(void **state)
{
    (void)state;
    go_down();
    for (struct sender *one = &world.a; one <= &world.c; one++) {
        assert_false(circuit_lets_through(&one->member));
        assert_true(circuit_holds_back(&one->member, false));
    }
    clock_advance(INTERVAL - 1);
    circuit_offer(&world.a.member);
    assert_int_equal(world.questions, 0);
}

/* ---- one probe for all ---- */

static void the_oldest_of_all_is_the_probe(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    assert_int_equal(world.c.probes, 1);
    assert_int_equal(world.a.probes + world.b.probes, 0);
    assert_false(circuit_lets_through(&world.a.member));
    assert_false(circuit_lets_through(&world.b.member));
    sends(&world.c);
    assert_int_equal(state_now(), BREAKER_PROBE);
    assert_false(circuit_lets_through(&world.c.member));
    assert_false(circuit_lets_through(&world.a.member));
}

static void who_has_nothing_or_is_held_back_does_not_probe(void **state)
{
    (void)state;
    go_down();
    world.c.can_probe = false;
    grant_probe();
    assert_int_equal(world.b.probes, 1);
    /* and when it has lost what it had meanwhile, the next one does */
    world.b.can_probe = false;
    circuit_offer(&world.a.member);
    assert_int_equal(world.a.probes, 1);
    sends(&world.a);
}

static void a_prober_that_leaves_is_followed_by_another(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    leave(&world.c);
    circuit_offer(&world.a.member);
    assert_int_equal(world.b.probes, 1);
    sends(&world.b);
}

static void a_failed_probe_is_repeated_by_the_oldest_after_the_interval(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    sends(&world.c);
    fails(&world.c);
    assert_int_equal(state_now(), BREAKER_DOWN);
    assert_int_equal(world.downs, 1); /* others know */
    circuit_offer(&world.a.member);
    assert_int_equal(world.questions, 1);
    grant_probe();
    assert_int_equal(world.c.probes, 2);
    assert_int_equal(world.a.probes + world.b.probes, 0);
}

static void after_a_refused_probe_it_is_the_turn_of_another(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    sends(&world.c);
    circuit_neutral(&world.c.member, "status 404", true);
    circuit_follow(the_circuit());
    assert_int_equal(state_now(), BREAKER_DOWN);
    grant_probe();
    assert_int_equal(world.b.probes, 1);
    sends(&world.b);
    circuit_neutral(&world.b.member, "status 404", true);
    circuit_follow(the_circuit());
    grant_probe();
    assert_int_equal(world.c.probes, 2);
    sends(&world.c);
}

static void a_refused_one_probes_again_when_there_is_no_other(void **state)
{
    (void)state;
    go_down();
    world.a.can_probe = world.b.can_probe = false;
    clock_advance(INTERVAL);
    circuit_offer(&world.c.member);
    circuit_probe_answered(the_circuit(), 0);
    sends(&world.c);
    circuit_neutral(&world.c.member, "status 404", true);
    circuit_follow(the_circuit());
    clock_advance(INTERVAL);
    circuit_offer(&world.c.member);
    circuit_probe_answered(the_circuit(), 0);
    assert_int_equal(world.c.probes, 2);
    sends(&world.c);
}

static void a_probe_that_was_not_made_is_still_this_instances(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    sends(&world.c);
    circuit_postponed(&world.c.member);
    circuit_follow(the_circuit());
    assert_int_equal(state_now(), BREAKER_DOWN);
    assert_int_equal(world.questions, 1);
    sends(&world.c);
    assert_int_equal(state_now(), BREAKER_PROBE);
}

static void with_nothing_to_send_the_first_that_comes_is_the_probe(void **state)
{
    (void)state;
    go_down();
    world.a.can_probe = world.b.can_probe = world.c.can_probe = false;
    clock_advance(INTERVAL);
    assert_false(circuit_holds_back(&world.b.member, false));
    assert_true(circuit_holds_back(&world.b.member, true)); /* what comes behind it is set aside */
    world.b.can_probe = true;
    circuit_offer(&world.b.member);
    assert_true(circuit_holds_back(&world.a.member, false)); /* somebody has asked */
    circuit_probe_answered(the_circuit(), 0);
    assert_true(circuit_holds_back(&world.a.member, false)); /* somebody probes */
    sends(&world.b);
    assert_true(circuit_holds_back(&world.b.member, false));
}

static void another_instance_probes_then_this_one_waits(void **state)
{
    (void)state;
    go_down();
    clock_advance(INTERVAL);
    circuit_offer(&world.a.member);
    circuit_probe_answered(the_circuit(), 7 * SECOND);
    assert_int_equal(world.rests, 2); /* what came to be the probe, too */
    assert_int_equal(circuit_next_probe_ms(the_circuit()), START + INTERVAL + 7 * SECOND);
    assert_false(circuit_lets_through(&world.c.member));
    clock_advance(7 * SECOND);
    circuit_offer(&world.a.member);
    assert_int_equal(world.questions, 2);
}

static void the_time_of_a_probe_comes_by_itself(void **state)
{
    (void)state;
    settings.probe_interval_ms = 5;
    world.a.can_probe = true; /* not of the one that fails last */
    send_and_fail(&world.b, 10);
    clock_advance(5);
    event_base_loop(world.base, EVLOOP_ONCE);
    assert_int_equal(world.questions, 1);
    circuit_probe_answered(the_circuit(), 0);
    assert_int_equal(world.a.probes, 1);
}

/* Of an attempt that began before. */
static void a_success_that_comes_before_the_probe_makes_it_needless(void **state)
{
    (void)state;
    sends(&world.a);
    go_down();
    grant_probe();
    succeeds(&world.a);
    assert_int_equal(state_now(), BREAKER_UP);
    assert_int_equal(world.ups, 1);
    send_and_fail(&world.b, 10);
    clock_advance(INTERVAL);
    assert_false(circuit_holds_back(&world.b.member, false)); /* nobody has been chosen */
    assert_false(circuit_lets_through(&world.c.member)); /* it has to be asked for anew */
    assert_int_equal(world.questions, 2);
}

static void an_unanswered_question_is_not_repeated(void **state)
{
    (void)state;
    go_down();
    clock_advance(INTERVAL);
    for (int i = 0; i < 5; i++)
        circuit_offer(&world.a.member);
    assert_int_equal(world.questions, 1);
}

/* ---- draining together ---- */

static void a_successful_probe_wakes_all_and_others_hear_of_it(void **state)
{
    (void)state;
    go_to_drain();
    assert_int_equal(world.ups, 1);
    assert_int_equal(world.a.wakes, 1);
    assert_int_equal(world.b.wakes, 1);
    assert_int_equal(world.c.wakes, 1);
}

static void a_drain_begins_with_one_of_all_and_doubles(void **state)
{
    (void)state;
    go_to_drain();
    sends(&world.a);
    assert_false(circuit_lets_through(&world.b.member));
    assert_false(circuit_lets_through(&world.c.member));
    succeeds(&world.a);
    sends(&world.b);
    sends(&world.c);
    assert_false(circuit_lets_through(&world.a.member));
}

static void who_waits_is_woken_in_turn_and_only_as_many_as_may_send(void **state)
{
    (void)state;
    go_to_drain();
    sends(&world.a);
    assert_false(circuit_lets_through(&world.b.member));
    assert_false(circuit_lets_through(&world.c.member));
    assert_false(circuit_lets_through(&world.b.member)); /* it keeps its place */
    world.a.wakes = world.b.wakes = world.c.wakes = 0;
    fails(&world.a);
    assert_int_equal(world.b.wakes, 1);
    assert_int_equal(world.c.wakes, 0);
    /* it has nothing any more */
    circuit_pass(&world.b.member);
    assert_int_equal(world.c.wakes, 1);
    sends(&world.c);
    succeeds(&world.c);
    assert_int_equal(world.a.wakes + world.b.wakes + world.c.wakes, 2);
}

static void the_rate_of_a_drain_is_that_of_all_together(void **state)
{
    size_t sent = 0;

    (void)state;
    world.instances = 400; /* two a second are left */
    go_to_drain();
    for (int ms = 0; ms < 3 * SECOND; ms++) {
        for (struct sender *one = &world.a; one <= &world.c; one++) {
            if (circuit_lets_through(&one->member)) {
                circuit_sent(&one->member);
                succeeds(one);
                sent++;
            }
        }
        clock_advance(1);
    }
    assert_in_range(sent, 5, 6);
}

static void who_waits_for_the_rate_is_woken_by_the_time(void **state)
{
    (void)state;
    world.instances = 8; /* a hundred a second are left: bursts of five */
    go_to_drain();
    for (int i = 0; i < 5 && circuit_lets_through(&world.a.member); i++) {
        circuit_sent(&world.a.member);
        succeeds(&world.a);
    }
    assert_false(circuit_lets_through(&world.b.member));
    world.b.wakes = 0;
    clock_advance(50);
    event_base_loop(world.base, EVLOOP_ONCE);
    assert_int_equal(world.b.wakes, 1);
    sends(&world.b);
}

static void a_drain_ends_when_all_have_sent_what_was_set_aside(void **state)
{
    (void)state;
    go_to_drain();
    world.c.is_unsettled = world.b.is_unsettled = false;
    circuit_settle(the_circuit());
    assert_int_equal(state_now(), BREAKER_DRAIN);
    sends(&world.b);
    succeeds(&world.b);
    assert_int_equal(state_now(), BREAKER_DRAIN);
    world.a.is_unsettled = false;
    circuit_settle(the_circuit());
    assert_int_equal(state_now(), BREAKER_UP);
    assert_int_equal(circuits_count(world.circuits, BREAKER_UP), 3);
    for (int i = 0; i < 100; i++)
        sends(&world.b);
}

static void failures_of_different_members_end_a_drain(void **state)
{
    (void)state;
    go_to_drain();
    send_and_fail(&world.a, 1);
    send_and_fail(&world.b, 1);
    assert_int_equal(world.downs, 1);
    send_and_fail(&world.c, 1);
    assert_int_equal(state_now(), BREAKER_DOWN);
    assert_int_equal(world.downs, 2);
    assert_int_equal(world.rests, 2);
}

/* ---- Retry-After ---- */

static void a_pause_is_that_of_all_and_ends_with_its_time(void **state)
{
    (void)state;
    sends(&world.a);
    circuit_neutral(&world.a.member, "status 429", false);
    circuit_pause(the_circuit(), 5);
    circuit_follow(the_circuit());
    assert_false(circuit_lets_through(&world.b.member));
    assert_false(circuit_lets_through(&world.c.member));
    assert_int_equal(world.b.wakes + world.c.wakes, 0);
    clock_advance(5);
    event_base_loop(world.base, EVLOOP_ONCE);
    assert_int_equal(world.b.wakes, 1);
    assert_int_equal(world.c.wakes, 1);
    sends(&world.b);
    sends(&world.c);
}

static void what_is_forgiven_sends_at_once(void **state)
{
    (void)state;
    send_and_fail(&world.a, 9);
    circuit_pause(the_circuit(), 180 * SECOND);
    assert_false(circuit_lets_through(&world.b.member));
    circuit_forgive(the_circuit());
    assert_int_equal(world.b.wakes, 1);
    assert_int_equal(circuit_failures(the_circuit()), 0);
    sends(&world.b);
}

/* ---- other instances ---- */

static void what_others_found_invalid_rests_here(void **state)
{
    (void)state;
    circuit_learn_down(the_circuit(), 12, START - SECOND, START + 5 * SECOND, "unknown CA");
    assert_int_equal(state_now(), BREAKER_DOWN);
    assert_int_equal(world.rests, 1);
    assert_int_equal(world.downs, 0); /* they know */
    assert_int_equal(circuit_failures(the_circuit()), 12);
    assert_string_equal(circuit_reason(the_circuit()), "unknown CA");
    assert_int_equal(circuit_next_probe_ms(the_circuit()), START + 5 * SECOND);
    circuit_learn_down(the_circuit(), 12, START - SECOND, START + 9 * SECOND, "unknown CA");
    assert_int_equal(world.rests, 1);
    assert_int_equal(circuit_next_probe_ms(the_circuit()), START + 9 * SECOND);
}

static void what_others_found_valid_is_woken_here(void **state)
{
    (void)state;
    go_down();
    world.b.is_unsettled = true;
    circuit_learn_up(the_circuit());
    assert_int_equal(state_now(), BREAKER_DRAIN);
    assert_int_equal(world.ups, 0);
    assert_int_equal(world.a.wakes, 1);
    assert_int_equal(world.b.wakes, 1);
    circuit_learn_up(the_circuit());
    assert_int_equal(world.b.wakes, 1);
}

static void a_probe_under_way_knows_better(void **state)
{
    (void)state;
    go_down();
    grant_probe();
    sends(&world.c);
    circuit_learn_up(the_circuit());
    assert_int_equal(state_now(), BREAKER_PROBE);
    circuit_learn_down(the_circuit(), 3, START, START + 5 * INTERVAL, "status 500");
    assert_int_equal(state_now(), BREAKER_PROBE);
    assert_int_equal(circuit_failures(the_circuit()), 10);
}

static void an_answer_that_it_is_valid_ends_the_probe_before_it_begins(void **state)
{
    (void)state;
    go_down();
    clock_advance(INTERVAL);
    circuit_offer(&world.a.member);
    circuit_probe_answered(the_circuit(), -1);
    assert_int_equal(state_now(), BREAKER_UP); /* nothing was set aside */
    assert_int_equal(world.a.probes + world.b.probes + world.c.probes, 0);
    sends(&world.a);
    sends(&world.b);
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(a_circuit_is_found_by_its_application_and_its_name),
        FRESH(it_goes_with_its_last_member),
        FRESH(members_are_counted_by_the_state_they_share),
        FRESH(failures_of_all_members_add_up),
        FRESH(a_success_of_one_begins_the_count_of_all_again),
        FRESH(while_it_is_down_nobody_sends),
        FRESH(the_oldest_of_all_is_the_probe),
        FRESH(who_has_nothing_or_is_held_back_does_not_probe),
        FRESH(a_prober_that_leaves_is_followed_by_another),
        FRESH(a_failed_probe_is_repeated_by_the_oldest_after_the_interval),
        FRESH(after_a_refused_probe_it_is_the_turn_of_another),
        FRESH(a_refused_one_probes_again_when_there_is_no_other),
        FRESH(a_probe_that_was_not_made_is_still_this_instances),
        FRESH(with_nothing_to_send_the_first_that_comes_is_the_probe),
        FRESH(another_instance_probes_then_this_one_waits),
        FRESH(an_unanswered_question_is_not_repeated),
        FRESH(the_time_of_a_probe_comes_by_itself),
        FRESH(a_success_that_comes_before_the_probe_makes_it_needless),
        FRESH(a_successful_probe_wakes_all_and_others_hear_of_it),
        FRESH(a_drain_begins_with_one_of_all_and_doubles),
        FRESH(who_waits_is_woken_in_turn_and_only_as_many_as_may_send),
        FRESH(the_rate_of_a_drain_is_that_of_all_together),
        FRESH(who_waits_for_the_rate_is_woken_by_the_time),
        FRESH(a_drain_ends_when_all_have_sent_what_was_set_aside),
        FRESH(failures_of_different_members_end_a_drain),
        FRESH(a_pause_is_that_of_all_and_ends_with_its_time),
        FRESH(what_is_forgiven_sends_at_once),
        FRESH(what_others_found_invalid_rests_here),
        FRESH(what_others_found_valid_is_woken_here),
        FRESH(a_probe_under_way_knows_better),
        FRESH(an_answer_that_it_is_valid_ends_the_probe_before_it_begins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

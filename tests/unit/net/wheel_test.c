#include "net/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define START 1000000

struct thing {
    struct wheel_entry entry; /* first */
    int64_t again_at;         /* 0: not */
    int64_t looked_at;
    int looks;
};

static struct wheel wheel;
static int64_t now;

static void look(struct wheel_entry *entry, void *arg)
{
    struct thing *thing = (struct thing *)entry;

    assert_ptr_equal(arg, &now);
    assert_int_equal(entry->step, 0);
    thing->looks++;
    thing->looked_at = now;
    if (thing->again_at)
        wheel_set(&wheel, entry, thing->again_at);
}

/* Step by step, as the loop does it. */
static void turn_to(int64_t tick_ms)
{
    for (; now < tick_ms; now += WHEEL_STEP_MS)
        wheel_turn(&wheel, now, look, &now);
    now = tick_ms;
    wheel_turn(&wheel, now, look, &now);
}

static int begin(void **state)
{
    (void)state;
    now = START;
    wheel_init(&wheel, now);
    return 0;
}

static void a_thing_is_looked_at_in_its_time_and_once(void **state)
{
    struct thing thing = {0};

    (void)state;
    wheel_set(&wheel, &thing.entry, START + 5000);
    turn_to(START + 4999);
    assert_int_equal(thing.looks, 0);
    turn_to(START + 5000 + WHEEL_STEP_MS);
    assert_int_equal(thing.looks, 1);
    turn_to(START + 1000000);
    assert_int_equal(thing.looks, 1);
}

static void what_is_overdue_is_looked_at_with_the_next_turn(void **state)
{
    struct thing thing = {0};

    (void)state;
    wheel_set(&wheel, &thing.entry, START - 5000);
    turn_to(START + 2 * WHEEL_STEP_MS);
    assert_int_equal(thing.looks, 1);
}

static void a_thing_can_be_set_to_an_earlier_time_and_not_to_a_later_one(void **state)
{
    struct thing thing = {0};

    (void)state;
    wheel_set(&wheel, &thing.entry, START + 5000);
    wheel_set(&wheel, &thing.entry, START + 9000);
    wheel_set(&wheel, &thing.entry, START + 1000);
    turn_to(START + 1000 + WHEEL_STEP_MS);
    assert_int_equal(thing.looks, 1);
    turn_to(START + 20000);
    assert_int_equal(thing.looks, 1);
}

static void what_is_further_than_the_wheel_goes_is_looked_at_before(void **state)
{
    int64_t far = START + 10ll * WHEEL_SLOTS * WHEEL_STEP_MS;
    struct thing thing = {.again_at = far};

    (void)state;
    wheel_set(&wheel, &thing.entry, far);
    turn_to(far - 10 * WHEEL_STEP_MS);
    assert_true(thing.looks >= 9 && thing.looks <= 11);
    thing.again_at = 0;
    turn_to(far + WHEEL_STEP_MS);
    assert_true(thing.looked_at >= far);
    assert_int_equal(thing.entry.step, 0);
}

static void a_thing_can_be_removed(void **state)
{
    struct thing things[3] = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        wheel_set(&wheel, &things[i].entry, START + 1000);
    wheel_remove(&things[1].entry);
    wheel_remove(&things[1].entry); /* on none */
    turn_to(START + 2000);
    assert_int_equal(things[0].looks, 1);
    assert_int_equal(things[1].looks, 0);
    assert_int_equal(things[2].looks, 1);
}

static void after_a_long_sleep_everything_due_is_looked_at(void **state)
{
    struct thing things[100] = {0};

    (void)state;
    for (int i = 0; i < 100; i++)
        wheel_set(&wheel, &things[i].entry, START + 1000ll * i);
    now = START + 100ll * WHEEL_SLOTS * WHEEL_STEP_MS;
    wheel_turn(&wheel, now, look, &now);
    for (int i = 0; i < 100; i++)
        assert_int_equal(things[i].looks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_thing_is_looked_at_in_its_time_and_once, begin),
        cmocka_unit_test_setup(what_is_overdue_is_looked_at_with_the_next_turn, begin),
        cmocka_unit_test_setup(a_thing_can_be_set_to_an_earlier_time_and_not_to_a_later_one, begin),
        cmocka_unit_test_setup(what_is_further_than_the_wheel_goes_is_looked_at_before, begin),
        cmocka_unit_test_setup(a_thing_can_be_removed, begin),
        cmocka_unit_test_setup(after_a_long_sleep_everything_due_is_looked_at, begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

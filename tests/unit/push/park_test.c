#include "push/park.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char name[PARK_NAME_SIZE];

static const char *named(const char *id, unsigned part, const char *subscription)
{
    return park_write_name(name, str_of(id), part, str_of(subscription)) ? name : NULL;
}

static void a_name_says_event_part_and_subscription(void **state)
{
    (void)state;
    assert_string_equal(named("1795500000123-4", 2, "abc"),
                        "001795500000123-000000000004.00002 abc");
}

static void names_stand_in_the_order_of_storing(void **state)
{
    static const struct {
        const char *id;
        unsigned part;
    } order[] = {{"999-0", 0}, {"1000-2", 0}, {"1000-2", 1}, {"1000-2", 10}, {"1000-10", 0},
                 {"1795500000123-0", 0}};
    char before[PARK_NAME_SIZE] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
        assert_non_null(named(order[i].id, order[i].part, "s"));
        assert_true(strcmp(before, name) < 0);
        memcpy(before, name, sizeof(before));
    }
}

static void an_id_of_no_stream_has_no_name(void **state)
{
    static const char *const bad[] = {"", "1", "1-", "-1", "a-1", "1-a", "1-1-1", "1 -1"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_null(named(bad[i], 0, "s"));
}

static void an_entry_comes_back_in_its_parts(void **state)
{
    char entry[400], origin_id[EVENT_ID_SIZE];
    struct entry_facts facts;

    (void)state;
    assert_non_null(named("1795500000123-4", 2, "abc"));
    snprintf(entry, sizeof(entry), "%s 7 1 1 kind a d d 5 {\"x\": 1}", name);
    assert_true(park_read_entry(str_of(entry), &facts, origin_id));
    assert_int_equal(facts.bytes, strlen(entry));
    assert_true(str_eq(facts.id, str_of(name)));
    assert_true(str_eq(facts.origin_id, STR("1795500000123-4")));
    assert_true(str_eq(facts.only.subscription_id, STR("abc")));
    assert_int_equal(facts.only.part, 2);
    assert_int_equal(facts.only.attempts, 7);
    assert_int_equal(facts.only.refusals, 1);
    assert_true(str_eq(facts.text, STR("1 kind a d d 5 {\"x\": 1}")));
}

static void what_is_no_entry_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "x", "1-2", "1-2.3", "1-2.3 s", "1-2.3 s 1", "1-2.3 s 1 2", "1-2.x s 1 2 e",
        "1-2.3 s x 2 e", "1-2.3 s 1 x e", "x-2.3 s 1 2 e", "1-x.3 s 1 2 e", "1 2.3 s 1 2 e",
    };
    char origin_id[EVENT_ID_SIZE];
    struct entry_facts facts;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(park_read_entry(str_of(bad[i]), &facts, origin_id));
    assert_false(park_read_entry(STR_NONE, &facts, origin_id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_event_part_and_subscription),
        cmocka_unit_test(names_stand_in_the_order_of_storing),
        cmocka_unit_test(an_id_of_no_stream_has_no_name),
        cmocka_unit_test(an_entry_comes_back_in_its_parts),
        cmocka_unit_test(what_is_no_entry_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

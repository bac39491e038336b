#include "bench/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#define REMEMBERED (1 << 20)

static struct seen *seen;

static int make(void **state)
{
    (void)state;
    seen = seen_new();
    return 0;
}

static int discard(void **state)
{
    (void)state;
    seen_free(seen);
    return 0;
}

static bool see_number(int number)
{
    char id[32];
    int len = snprintf(id, sizeof(id), "%d-0-abc", number);

    return seen_id(seen, str_n(id, (size_t)len));
}

static void an_id_is_new_once(void **state)
{
    (void)state;
    assert_false(seen_id(seen, STR("a")));
    assert_false(seen_id(seen, STR("b")));
    assert_true(seen_id(seen, STR("a")));
    assert_true(seen_id(seen, STR("b")));
}

static void the_last_million_is_remembered_and_no_more_than_two(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * REMEMBERED; i++)
        assert_false(see_number(i));
    for (int i = 2 * REMEMBERED; i < 3 * REMEMBERED; i++)
        assert_true(see_number(i));
    assert_false(see_number(0));
}

static void a_sequence_may_repeat_and_skip_but_not_go_back(void **state)
{
    struct str device = STR("d"), other = STR("e"), sub = STR("s");

    (void)state;
    assert_false(seen_out_of_order(seen, device, sub, 5));
    assert_false(seen_out_of_order(seen, device, sub, 5));
    assert_false(seen_out_of_order(seen, device, sub, 9));
    assert_true(seen_out_of_order(seen, device, sub, 8));
    assert_false(seen_out_of_order(seen, other, sub, 1));
    assert_false(seen_out_of_order(seen, device, STR("t"), 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_id_is_new_once, make, discard),
        cmocka_unit_test_setup_teardown(the_last_million_is_remembered_and_no_more_than_two, make,
                                        discard),
        cmocka_unit_test_setup_teardown(a_sequence_may_repeat_and_skip_but_not_go_back, make,
                                        discard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

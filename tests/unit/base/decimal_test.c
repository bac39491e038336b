#include "base/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void a_number_is_written_as_printf_does(void **state)
{
    static const int64_t numbers[] = {0,        1,         -1,        9,       10,
                                      -10,      100,       1234567,   INT32_MIN, INT64_MAX,
                                      INT64_MIN, INT64_MIN + 1, 1000000000000};
    struct decimal decimal;
    char expected[32];

    (void)state;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        struct str text = decimal_str(&decimal, numbers[i]);

        snprintf(expected, sizeof(expected), "%lld", (long long)numbers[i]);
        assert_true(str_eq(text, str_of(expected)));
        assert_ptr_equal(text.p, decimal.text);
        assert_int_equal(text.p[text.len], '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_written_as_printf_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

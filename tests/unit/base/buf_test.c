#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void buf_of_zeros_is_empty(void **state)
{
    struct buf buf = {0};

    (void)state;
    assert_null(buf.p);
    assert_non_null(buf_str(&buf).p);
    assert_int_equal(buf_str(&buf).len, 0);
    buf_add(&buf, NULL, 0);
    buf_add_str(&buf, STR_NONE);
    buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    buf_clear(&buf);
}

static void buf_keeps_all_bytes_and_a_nul_behind_them(void **state)
{
    struct buf buf = {0};

    (void)state;
    buf_add_text(&buf, "ab");
    buf_add_char(&buf, '\0');
    buf_add_str(&buf, STR("cd"));
    buf_add(&buf, "ef", 1);
    assert_true(str_eq(buf_str(&buf), STR("ab\0cde")));
    assert_int_equal(buf.p[buf.len], '\0');
    buf_clear(&buf);
}

static void buf_grows_byte_by_byte(void **state)
{
    struct buf buf = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&buf, (char)('a' + i % 26));
        assert_true(buf.len < buf.capacity);
        assert_int_equal(buf.p[buf.len], '\0');
    }
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf.p[i], 'a' + i % 26);
    buf_clear(&buf);
}

static void buf_takes_a_large_piece_at_once(void **state)
{
    struct buf buf = {0};
    char *large = malloc(1 << 20);

    (void)state;
    assert_non_null(large);
    memset(large, 'x', 1 << 20);
    buf_add(&buf, large, 1 << 20);
    assert_int_equal(buf.len, 1 << 20);
    assert_memory_equal(buf.p, large, 1 << 20);
    free(large);
    buf_clear(&buf);
}

static void buf_printf_appends_at_any_fill(void **state)
{
    (void)state;
    for (int fill = 0; fill < 200; fill++) {
        struct buf buf = {0};

        for (int i = 0; i < fill; i++)
            buf_add_char(&buf, '.');
        buf_printf(&buf, "%s=%d;%*s", "key", 42, fill, "");
        assert_int_equal(buf.len, fill + 7 + fill);
        assert_memory_equal(buf.p + fill, "key=42;", 7);
        assert_int_equal(buf.p[buf.len], '\0');
        buf_clear(&buf);
    }
}

static void buf_printf_of_nothing_adds_nothing(void **state)
{
    struct buf buf = {0};

    (void)state;
    buf_printf(&buf, "%s", "");
    assert_int_equal(buf.len, 0);
    assert_string_equal(buf.p, "");
    buf_clear(&buf);
}

static void buf_reset_keeps_memory_and_clear_frees_it(void **state)
{
    struct buf buf = {0};
    char *memory;

    (void)state;
    buf_add_text(&buf, "abc");
    memory = buf.p;
    buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_ptr_equal(buf.p, memory);
    assert_string_equal(buf.p, "");
    buf_clear(&buf);
    assert_null(buf.p);
    assert_int_equal(buf.capacity, 0);
}

static void buf_take_hands_over_the_bytes_and_never_null(void **state)
{
    struct buf buf = {0};
    char *bytes = buf_take(&buf);

    (void)state;
    assert_string_equal(bytes, "");
    free(bytes);
    buf_add_text(&buf, "abc");
    bytes = buf_take(&buf);
    assert_string_equal(bytes, "abc");
    assert_null(buf.p);
    assert_int_equal(buf.len, 0);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_of_zeros_is_empty),
        cmocka_unit_test(buf_keeps_all_bytes_and_a_nul_behind_them),
        cmocka_unit_test(buf_grows_byte_by_byte),
        cmocka_unit_test(buf_takes_a_large_piece_at_once),
        cmocka_unit_test(buf_printf_appends_at_any_fill),
        cmocka_unit_test(buf_printf_of_nothing_adds_nothing),
        cmocka_unit_test(buf_reset_keeps_memory_and_clear_frees_it),
        cmocka_unit_test(buf_take_hands_over_the_bytes_and_never_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

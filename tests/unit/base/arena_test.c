#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void arena_pieces_are_aligned_and_do_not_overlap(void **state)
{
    struct arena *arena = arena_new();
    unsigned char *pieces[500];

    (void)state;
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(arena, i + 1);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)(i % 251), i + 1);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j <= i; j++)
            assert_int_equal(pieces[i][j], i % 251);
    arena_free(arena);
}

static void arena_knows_how_much_it_takes(void **state)
{
    struct arena *arena = arena_new();
    size_t empty = arena_bytes(arena);

    (void)state;
    assert_in_range(empty, 4096, 4200);
    arena_alloc(arena, 100);
    assert_int_equal(arena_bytes(arena), empty);
    arena_alloc(arena, 100000);
    assert_in_range(arena_bytes(arena), empty + 100000, empty + 100100);
    arena_reset(arena);
    assert_int_equal(arena_bytes(arena), empty);
    arena_free(arena);
}

static void arena_gives_large_pieces_a_block_of_their_own(void **state)
{
    struct arena *arena = arena_new();
    char *before = arena_alloc(arena, 16);
    char *large = arena_alloc(arena, 1 << 20);
    char *after = arena_alloc(arena, 16);

    (void)state;
    memset(large, 'x', 1 << 20);
    assert_ptr_equal(after, before + 16);
    arena_free(arena);
}

static void arena_takes_pieces_of_any_size(void **state)
{
    static const size_t sizes[] = {0,    1,    15,   16,   17,   2031,  2032,  2033,  4000,
                                   4063, 4064, 4065, 4096, 8192, 32768, 65535, 65536, 200000};
    struct arena *arena = arena_new();

    (void)state;
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            memset(arena_alloc(arena, sizes[i]), 1, sizes[i]);
    arena_free(arena);
}

static void arena_zalloc_gives_zeros(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    for (int round = 0; round < 100; round++) {
        char *p = arena_zalloc(arena, 100);

        for (int i = 0; i < 100; i++)
            assert_int_equal(p[i], 0);
        memset(p, 1, 100);
    }
    arena_free(arena);
}

static void arena_copies_end_with_nul_and_absent_stays_absent(void **state)
{
    struct arena *arena = arena_new();
    struct str copy = arena_str(arena, str_n("abcdef", 3));

    (void)state;
    assert_true(str_eq(copy, STR("abc")));
    assert_int_equal(copy.p[3], '\0');
    assert_null(arena_str(arena, STR_NONE).p);
    assert_non_null(arena_str(arena, STR("")).p);
    assert_string_equal(arena_dup0(arena, STR_NONE), "");
    assert_string_equal(arena_dup0(arena, STR("xyz")), "xyz");
    arena_free(arena);
}

static void arena_printf_formats_short_and_long(void **state)
{
    struct arena *arena = arena_new();
    char *text;

    (void)state;
    assert_string_equal(arena_printf(arena, "%s-%d", "a", 7), "a-7");
    assert_string_equal(arena_printf(arena, "%s", ""), "");
    text = arena_printf(arena, "%*s", 10000, "x");
    assert_int_equal(strlen(text), 10000);
    assert_int_equal(text[9999], 'x');
    arena_free(arena);
}

static void arena_free_accepts_null(void **state)
{
    (void)state;
    arena_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_pieces_are_aligned_and_do_not_overlap),
        cmocka_unit_test(arena_knows_how_much_it_takes),
        cmocka_unit_test(arena_gives_large_pieces_a_block_of_their_own),
        cmocka_unit_test(arena_takes_pieces_of_any_size),
        cmocka_unit_test(arena_zalloc_gives_zeros),
        cmocka_unit_test(arena_copies_end_with_nul_and_absent_stays_absent),
        cmocka_unit_test(arena_printf_formats_short_and_long),
        cmocka_unit_test(arena_free_accepts_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_utf8(const char *bytes)
{
    return str_is_utf8(str_of(bytes));
}

static void str_absent_and_empty_are_different_but_equal_in_length(void **state)
{
    (void)state;
    assert_null(STR_NONE.p);
    assert_non_null(str_of("").p);
    assert_null(str_of(NULL).p);
    assert_true(str_eq(STR_NONE, STR("")));
    assert_false(str_eq(STR("a"), STR("")));
    assert_true(str_eq(STR("a\0b"), str_n("a\0b", 3)));
    assert_false(str_eq(STR("a\0b"), STR("a\0c")));
}

static void str_nocase_folds_ascii_only(void **state)
{
    (void)state;
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
    assert_false(str_eq_nocase(STR("a\0b"), STR("a\0c")));
    assert_false(str_eq_nocase(STR("ab"), STR("a")));
    assert_true(str_eq_nocase(STR_NONE, STR("")));
}

static void str_starts_and_ends_with_what_it_starts_and_ends_with(void **state)
{
    (void)state;
    assert_true(str_starts_with(STR("abc"), STR("ab")));
    assert_true(str_starts_with(STR("abc"), STR("")));
    assert_true(str_starts_with(STR_NONE, STR("")));
    assert_false(str_starts_with(STR("a"), STR("ab")));
    assert_false(str_starts_with(STR("abc"), STR("bc")));
    assert_true(str_ends_with(STR("abc"), STR("bc")));
    assert_true(str_ends_with(STR("abc"), STR("abc")));
    assert_true(str_ends_with(STR_NONE, STR_NONE));
    assert_false(str_ends_with(STR("c"), STR("bc")));
    assert_false(str_ends_with(STR("abc"), STR("ab")));
}

static void str_trim_takes_blanks_and_tabs_from_both_ends_only(void **state)
{
    (void)state;
    assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
    assert_true(str_eq(str_trim(STR("\na ")), STR("\na")));
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_int_equal(str_trim(STR_NONE).len, 0);
}

static void str_dup_ends_with_nul(void **state)
{
    char *copy = str_dup(str_n("abcdef", 3));

    (void)state;
    assert_string_equal(copy, "abc");
    free(copy);
    copy = str_dup(STR_NONE);
    assert_string_equal(copy, "");
    free(copy);
}

static void str_split_tells_an_empty_rest_from_none(void **state)
{
    struct str rest;

    (void)state;
    assert_true(str_eq(str_split(STR("a,b,c"), ',', &rest), STR("a")));
    assert_true(str_eq(rest, STR("b,c")));
    assert_true(str_eq(str_split(STR("a,"), ',', &rest), STR("a")));
    assert_non_null(rest.p);
    assert_int_equal(rest.len, 0);
    assert_true(str_eq(str_split(STR("a"), ',', &rest), STR("a")));
    assert_null(rest.p);
    assert_int_equal(str_split(STR(",a"), ',', &rest).len, 0);
    assert_true(str_eq(rest, STR("a")));
    assert_null(str_split(STR_NONE, ',', &rest).p);
    assert_null(rest.p);
    assert_non_null(str_split(STR(""), ',', &rest).p);
    assert_null(rest.p);
}

static void str_split_may_write_its_rest_into_its_source(void **state)
{
    struct str s = STR("a.b.c");
    int pieces = 0;

    (void)state;
    while (s.p) {
        assert_int_equal(str_split(s, '.', &s).len, 1);
        pieces++;
    }
    assert_int_equal(pieces, 3);
}

static void str_to_u64_reads_digits_up_to_its_limit(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_true(str_to_u64(STR("0"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(str_to_u64(STR("00012"), 12, &value));
    assert_int_equal(value, 12);
    assert_true(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_true(str_to_u64(STR("65535"), 65535, &value));
}

static void str_to_u64_refuses_all_else_and_leaves_the_value(void **state)
{
    static const char *const bad[] = {"",    "-1",  "+1",  " 1",    "1 ",   "1a",
                                      "0x1", "1.0", "256", "25600", "1\xc2"};
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_to_u64(str_of(bad[i]), 255, &value));
    assert_false(str_to_u64(STR_NONE, 255, &value));
    assert_false(str_to_u64(STR("1\0"), 255, &value));
    assert_false(str_to_u64(STR("18446744073709551616"), UINT64_MAX, &value));
    assert_false(str_to_u64(STR("99999999999999999999999"), UINT64_MAX, &value));
    assert_false(str_to_u64(STR("5"), 3, &value));
    assert_false(str_to_u64(STR("1"), 0, &value));
    assert_int_equal(value, 7);
}

static void str_ids_have_only_safe_characters_and_a_length(void **state)
{
    (void)state;
    assert_true(str_is_id(STR("Az09_-"), 6));
    assert_false(str_is_id(STR("Az09_-x"), 6));
    assert_false(str_is_id(STR(""), 6));
    assert_false(str_is_id(STR_NONE, 6));
    assert_false(str_is_id(STR("a\0"), 6));
    for (const char *p = " .:/{}*?%\n\"\\\x7f\xc3"; *p; p++)
        assert_false(str_is_id(str_n(p, 1), 6));
}

static void str_printable_has_no_control_characters(void **state)
{
    (void)state;
    assert_true(str_is_printable(STR("a b~\xc3\xa4")));
    assert_true(str_is_printable(STR("")));
    assert_false(str_is_printable(STR("a\nb")));
    assert_false(str_is_printable(STR("a\x1f")));
    assert_false(str_is_printable(STR("a\x7f")));
    assert_false(str_is_printable(STR("a\0b")));
}

static void str_utf8_accepts_the_first_and_last_of_each_length(void **state)
{
    (void)state;
    assert_true(is_utf8(""));
    assert_true(str_is_utf8(STR_NONE));
    assert_true(is_utf8("\x01\x7f"));
    assert_true(is_utf8("\xc2\x80\xdf\xbf"));
    assert_true(is_utf8("\xe0\xa0\x80\xef\xbf\xbf"));
    assert_true(is_utf8("\xed\x9f\xbf\xee\x80\x80"));
    assert_true(is_utf8("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_true(is_utf8("a\xe6\xb8\xa9\xe5\xba\xa6z"));
}

static void str_utf8_refuses_nul(void **state)
{
    (void)state;
    assert_false(str_is_utf8(STR("a\0b")));
    assert_false(str_is_utf8(STR("\0")));
}

static void str_utf8_refuses_overlong_forms(void **state)
{
    (void)state;
    assert_false(is_utf8("\xc0\x80"));
    assert_false(is_utf8("\xc0\xaf"));
    assert_false(is_utf8("\xc1\xbf"));
    assert_false(is_utf8("\xe0\x80\xaf"));
    assert_false(is_utf8("\xe0\x9f\xbf"));
    assert_false(is_utf8("\xf0\x80\x80\xaf"));
    assert_false(is_utf8("\xf0\x8f\xbf\xbf"));
}

static void str_utf8_refuses_surrogates_and_what_is_above_unicode(void **state)
{
    (void)state;
    assert_false(is_utf8("\xed\xa0\x80"));
    assert_false(is_utf8("\xed\xbf\xbf"));
    assert_false(is_utf8("\xed\xa0\xbd\xed\xb8\x80"));
    assert_false(is_utf8("\xf4\x90\x80\x80"));
    assert_false(is_utf8("\xf5\x80\x80\x80"));
    assert_false(is_utf8("\xf8\x88\x80\x80\x80"));
    assert_false(is_utf8("\xfe"));
    assert_false(is_utf8("\xff"));
}

static void str_utf8_refuses_torn_sequences(void **state)
{
    (void)state;
    assert_false(is_utf8("\x80"));
    assert_false(is_utf8("\xbf"));
    assert_false(is_utf8("\xc3"));
    assert_false(is_utf8("\xc3("));
    assert_false(is_utf8("\xe2\x82"));
    assert_false(is_utf8("\xe2(\xa1"));
    assert_false(is_utf8("\xe2\x82("));
    assert_false(is_utf8("\xf0\x9f\x98"));
    assert_false(is_utf8("\xf0\x9f\x98z"));
    assert_false(str_is_utf8(str_n("\xe2\x82\xac", 2)));
    assert_false(is_utf8("\xc3\xa4\xa4"));
}

static void str_characters_counts_code_points(void **state)
{
    (void)state;
    assert_int_equal(str_characters(STR_NONE), 0);
    assert_int_equal(str_characters(STR("")), 0);
    assert_int_equal(str_characters(STR("a\0b")), 3);
    assert_int_equal(str_characters(STR("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
}

static void str_utf8_char_len_measures_one_character(void **state)
{
    (void)state;
    assert_int_equal(str_utf8_char_len(STR_NONE), 0);
    assert_int_equal(str_utf8_char_len(STR("\0a")), 1);
    assert_int_equal(str_utf8_char_len(STR("ab")), 1);
    assert_int_equal(str_utf8_char_len(STR("\xc3\xa4x")), 2);
    assert_int_equal(str_utf8_char_len(STR("\xe2\x82\xacx")), 3);
    assert_int_equal(str_utf8_char_len(STR("\xf0\x9f\x98\x80")), 4);
    assert_int_equal(str_utf8_char_len(STR("\xf0\x9f\x98")), 0);
}

static void str_distance_counts_edits(void **state)
{
    char many[200];

    (void)state;
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_distance("kitten", "sitting"), 3);
    assert_int_equal(str_distance("log_level", "log_levl"), 1);
    assert_int_equal(str_distance("ab", "ba"), 2);
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    assert_int_equal(str_distance("x", many), 199);
    assert_int_equal(str_distance(many, "x"), 198);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(str_absent_and_empty_are_different_but_equal_in_length),
        cmocka_unit_test(str_nocase_folds_ascii_only),
        cmocka_unit_test(str_starts_and_ends_with_what_it_starts_and_ends_with),
        cmocka_unit_test(str_trim_takes_blanks_and_tabs_from_both_ends_only),
        cmocka_unit_test(str_dup_ends_with_nul),
        cmocka_unit_test(str_split_tells_an_empty_rest_from_none),
        cmocka_unit_test(str_split_may_write_its_rest_into_its_source),
        cmocka_unit_test(str_to_u64_reads_digits_up_to_its_limit),
        cmocka_unit_test(str_to_u64_refuses_all_else_and_leaves_the_value),
        cmocka_unit_test(str_ids_have_only_safe_characters_and_a_length),
        cmocka_unit_test(str_printable_has_no_control_characters),
        cmocka_unit_test(str_utf8_accepts_the_first_and_last_of_each_length),
        cmocka_unit_test(str_utf8_refuses_nul),
        cmocka_unit_test(str_utf8_refuses_overlong_forms),
        cmocka_unit_test(str_utf8_refuses_surrogates_and_what_is_above_unicode),
        cmocka_unit_test(str_utf8_refuses_torn_sequences),
        cmocka_unit_test(str_characters_counts_code_points),
        cmocka_unit_test(str_utf8_char_len_measures_one_character),
        cmocka_unit_test(str_distance_counts_edits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

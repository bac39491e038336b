#include "core/device/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct index_facts meter = {
    .device_id = {"dev1", 4},
    .gateway_id = {"dev1", 4},
    .version = 258,
    .created_ms = 0x010203040506,
    .status = {"INACTIVE", 8},
    .device_type = {"WaterMeter", 10},
    .name = {"abc", 3},
};

static void a_row_has_its_numbers_highest_byte_first(void **state)
{
    static const char head[] = {0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 3, 1};
    char row[INDEX_ROW_BYTES];

    (void)state;
    index_row_write(row, &meter);
    assert_memory_equal(row, head, sizeof(head));
}

/* SHA-256 of "abc" begins with ba7816bf8f01. */
static void a_row_has_the_beginnings_of_digests_and_nothing_where_there_is_no_text(void **state)
{
    static const char name[] = "\xba\x78\x16\xbf\x8f\x01", nothing[6];
    char row[INDEX_ROW_BYTES];

    (void)state;
    index_row_write(row, &meter);
    assert_memory_equal(row + 18, name, 6);
    assert_memory_equal(row + 24, nothing, 6); /* location */
    assert_memory_equal(row + 36, nothing, 6); /* model */
    assert_int_equal(sizeof(row), strtoul(INDEX_ROW_TEXT, NULL, 10));
}

static void a_model_is_its_manufacturers(void **state)
{
    struct index_facts facts = meter;
    char one[INDEX_ROW_BYTES], other[INDEX_ROW_BYTES];

    (void)state;
    facts.manufacturer_id = STR("ab");
    facts.model = STR("c");
    index_row_write(one, &facts);
    facts.manufacturer_id = STR("a");
    facts.model = STR("bc");
    index_row_write(other, &facts);
    assert_memory_not_equal(one + 36, other + 36, 6);
    facts.manufacturer_id = STR_NONE;
    index_row_write(other, &facts);
    assert_memory_equal(other + 36, "\0\0\0\0\0\0", 6);
}

static void a_device_behind_a_gateway_is_an_endpoint(void **state)
{
    struct index_facts facts = meter;
    char row[INDEX_ROW_BYTES];

    (void)state;
    facts.gateway_id = STR("gw1");
    index_row_write(row, &facts);
    assert_int_equal(row[11], 2);
}

static void a_device_is_in_live_and_not_in_rows(void **state)
{
    char row[INDEX_ROW_BYTES];

    (void)state;
    index_row_write(row, &meter);
    assert_true(index_row_has(row, 0));
    assert_false(index_row_has(row, 1));
}

/* ---- a query finds what a row says ---- */

static bool is_found(const struct index_facts *facts, const struct device_filter *filter)
{
    struct index_conditions conditions;
    char row[INDEX_ROW_BYTES];

    index_row_write(row, facts);
    index_conditions_of(&conditions, filter);
    assert_true(conditions.count <= INDEX_CONDITIONS_MAX);
    for (size_t i = 0; i < conditions.count; i++) {
        if (index_row_has(row, conditions.keys[i]) != (i < conditions.wanted))
            return false;
    }
    return !conditions.is_never;
}

static void filters_find_exactly_what_they_name(void **state)
{
    struct index_facts facts = meter;
    const struct {
        struct device_filter filter;
        bool finds;
    } cases[] = {
        {{.name = STR_NONE}, true},
        {{.name = STR("abc")}, true},
        {{.name = STR("abd")}, false},
        {{.name = STR("WaterMeter")}, false},
        {{.device_type = STR("WaterMeter"), .name = STR("abc")}, true},
        {{.device_type = STR("WaterMeter"), .name = STR("ab")}, false},
        {{.location = STR("abc")}, false},
        {{.gateway_id = STR("dev1")}, true},
        {{.manufacturer_id = STR("ACME"), .model = STR("WM")}, true},
        {{.manufacturer_id = STR("ACME"), .model = STR("WM2")}, false},
        {{.status = STR("INACTIVE")}, true},
        {{.status = STR("OFFLINE")}, false},
        {{.status = STR("OFFLINE"), .never_active_is_offline = true}, true},
        {{.status = STR("ONLINE"), .never_active_is_offline = true}, false},
        {{.status = STR("INACTIVE"), .never_active_is_offline = true}, true},
        {{.status = STR("nonsense")}, false},
        {{.node_type = NODE_GATEWAY}, true},
        {{.node_type = NODE_ENDPOINT}, false},
        {{.node_type = NODE_UNKNOWN}, false},
    };

    (void)state;
    facts.manufacturer_id = STR("ACME");
    facts.model = STR("WM");
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(is_found(&facts, &cases[i].filter), cases[i].finds);
}

static void every_bit_of_a_digest_counts(void **state)
{
    struct index_conditions conditions;
    struct device_filter filter = {.name = STR("abc")};
    char row[INDEX_ROW_BYTES];

    (void)state;
    index_conditions_of(&conditions, &filter);
    assert_int_equal(conditions.count, INDEX_DIGEST_BITS);
    for (unsigned bit = 0; bit < INDEX_DIGEST_BITS; bit++) {
        size_t broken = 0;

        index_row_write(row, &meter);
        row[18 + bit / 8] ^= (char)(1 << bit % 8);
        for (size_t i = 0; i < conditions.count; i++)
            broken += index_row_has(row, conditions.keys[i]) != (i < conditions.wanted);
        assert_int_equal(broken, 1);
    }
}

static void keys_of_a_block_are_all_different(void **state)
{
    static struct key room[INDEX_KEYS_ALL];
    struct str names[INDEX_KEYS_ALL];

    (void)state;
    assert_int_equal(index_block_keys(room, names, STR("a"), 3, false), INDEX_KEYS_FEW);
    assert_int_equal(index_block_keys(room, names, STR("a"), 3, true), INDEX_KEYS_ALL);
    for (size_t i = 0; i < INDEX_KEYS_ALL; i++) {
        for (size_t n = 0; n < i; n++)
            assert_false(str_eq(names[i], names[n]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_has_its_numbers_highest_byte_first),
        cmocka_unit_test(a_row_has_the_beginnings_of_digests_and_nothing_where_there_is_no_text),
        cmocka_unit_test(a_model_is_its_manufacturers),
        cmocka_unit_test(a_device_behind_a_gateway_is_an_endpoint),
        cmocka_unit_test(a_device_is_in_live_and_not_in_rows),
        cmocka_unit_test(filters_find_exactly_what_they_name),
        cmocka_unit_test(every_bit_of_a_digest_counts),
        cmocka_unit_test(keys_of_a_block_are_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

struct body {
    struct str name;
    struct str url;
    int64_t age;
    struct field_bool is_on;
    const struct json *object;
    const struct json *list;
    const struct json *any;
};

static const struct field table[] = {
    {"name", FIELD_STRING, offsetof(struct body, name), 1, 4, FIELD_REQUIRED, NULL},
    {"url", FIELD_STRING, offsetof(struct body, url), 0, 0, 0, .alias = "URL"},
    {"age", FIELD_INT, offsetof(struct body, age), -1, 150, 0, NULL},
    {"on", FIELD_BOOL, offsetof(struct body, is_on), 0, 0, 0, NULL},
    {"object", FIELD_OBJECT, offsetof(struct body, object), 0, 0, 0, NULL},
    {"list", FIELD_ARRAY, offsetof(struct body, list), 1, 2, 0, NULL},
    {"any", FIELD_ANY, offsetof(struct body, any), 0, 0, 0, NULL},
    {0},
};

static struct arena *arena;
static struct body body;
static const char *which;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new();
    body = (struct body){0};
    which = "untouched";
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static enum field_problem read_by(const struct field *rows, const char *text)
{
    const struct json *object = json_parse(arena, str_of(text), NULL);

    assert_non_null(object);
    return fields_read(object, rows, &body, &which);
}

static void assert_problem(const char *text, enum field_problem problem, const char *name)
{
    assert_int_equal(read_by(table, text), problem);
    assert_string_equal(which, name);
}

static void all_types_are_stored(void **state)
{
    (void)state;
    assert_int_equal(read_by(table, "{\"name\":\"ann\",\"url\":\"u\",\"age\":150,\"on\":false,"
                                    "\"object\":{},\"list\":[1],\"any\":\"x\",\"other\":1}"),
                     FIELDS_OK);
    assert_null(which);
    assert_true(str_eq(body.name, STR("ann")));
    assert_true(str_eq(body.url, STR("u")));
    assert_int_equal(body.age, 150);
    assert_true(body.is_on.is_set);
    assert_false(body.is_on.value);
    assert_int_equal(body.object->type, JSON_OBJECT);
    assert_int_equal(body.list->count, 1);
    assert_int_equal(body.any->type, JSON_STRING);
}

static void absent_members_leave_the_defaults(void **state)
{
    (void)state;
    body.age = 5;
    body.url = STR("default");
    assert_int_equal(read_by(table, "{\"name\":\"a\",\"age\":null,\"on\":null,\"any\":null}"),
                     FIELDS_OK);
    assert_int_equal(body.age, 5);
    assert_true(str_eq(body.url, STR("default")));
    assert_false(body.is_on.is_set);
    assert_null(body.any);
}

static void a_missing_required_member_is_named(void **state)
{
    (void)state;
    assert_problem("{}", FIELDS_MISSING, "name");
    assert_problem("{\"name\":null}", FIELDS_MISSING, "name");
}

static void wrong_types_are_named(void **state)
{
    (void)state;
    assert_problem("{\"name\":1}", FIELDS_WRONG_TYPE, "name");
    assert_problem("{\"name\":\"a\",\"age\":\"5\"}", FIELDS_WRONG_TYPE, "age");
    assert_problem("{\"name\":\"a\",\"age\":1.0}", FIELDS_WRONG_TYPE, "age");
    assert_problem("{\"name\":\"a\",\"age\":1e1}", FIELDS_WRONG_TYPE, "age");
    assert_problem("{\"name\":\"a\",\"age\":1E1}", FIELDS_WRONG_TYPE, "age");
    assert_problem("{\"name\":\"a\",\"on\":\"true\"}", FIELDS_WRONG_TYPE, "on");
    assert_problem("{\"name\":\"a\",\"object\":[]}", FIELDS_WRONG_TYPE, "object");
    assert_problem("{\"name\":\"a\",\"list\":{}}", FIELDS_WRONG_TYPE, "list");
}

static void bounds_hold_for_values_elements_and_characters(void **state)
{
    (void)state;
    assert_problem("{\"name\":\"\"}", FIELDS_RANGE, "name");
    assert_problem("{\"name\":\"abcde\"}", FIELDS_RANGE, "name");
    assert_problem("{\"name\":\"a\",\"age\":-2}", FIELDS_RANGE, "age");
    assert_problem("{\"name\":\"a\",\"age\":151}", FIELDS_RANGE, "age");
    assert_problem("{\"name\":\"a\",\"age\":99999999999999999999}", FIELDS_RANGE, "age");
    assert_problem("{\"name\":\"a\",\"list\":[]}", FIELDS_RANGE, "list");
    assert_problem("{\"name\":\"a\",\"list\":[1,2,3]}", FIELDS_RANGE, "list");
    assert_int_equal(
        read_by(table, "{\"name\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z\",\"age\":-1}"),
        FIELDS_OK);
}

static void the_alias_counts_when_the_name_is_absent(void **state)
{
    (void)state;
    assert_int_equal(read_by(table, "{\"name\":\"a\",\"URL\":\"alias\"}"), FIELDS_OK);
    assert_true(str_eq(body.url, STR("alias")));
    assert_int_equal(read_by(table, "{\"name\":\"a\",\"url\":null,\"URL\":\"alias\"}"), FIELDS_OK);
    assert_true(str_eq(body.url, STR("alias")));
    assert_int_equal(read_by(table, "{\"name\":\"a\",\"URL\":\"alias\",\"url\":\"name\"}"),
                     FIELDS_OK);
    assert_true(str_eq(body.url, STR("name")));
    assert_problem("{\"name\":\"a\",\"URL\":1}", FIELDS_WRONG_TYPE, "url");
}

static void an_empty_string_counts_as_absent_where_the_row_says_so(void **state)
{
    static const struct field rows[] = {
        {"url", FIELD_STRING, offsetof(struct body, url), 1, 9, FIELD_EMPTY_IS_ABSENT, NULL},
        {"name", FIELD_STRING, offsetof(struct body, name), 0, 0,
         FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
        {0},
    };

    (void)state;
    assert_int_equal(read_by(rows, "{\"url\":\"\",\"name\":\"\"}"), FIELDS_MISSING);
    assert_string_equal(which, "name");
    assert_int_equal(read_by(rows, "{\"url\":\"\",\"name\":\"x\"}"), FIELDS_OK);
    assert_null(body.url.p);
}

static void what_is_no_object_is_said_to_be_none(void **state)
{
    (void)state;
    assert_int_equal(read_by(table, "[]"), FIELDS_NOT_OBJECT);
    assert_null(which);
    assert_int_equal(fields_read(NULL, table, &body, NULL), FIELDS_NOT_OBJECT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_types_are_stored),
        TEST(absent_members_leave_the_defaults),
        TEST(a_missing_required_member_is_named),
        TEST(wrong_types_are_named),
        TEST(bounds_hold_for_values_elements_and_characters),
        TEST(the_alias_counts_when_the_name_is_absent),
        TEST(an_empty_string_counts_as_absent_where_the_row_says_so),
        TEST(what_is_no_object_is_said_to_be_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

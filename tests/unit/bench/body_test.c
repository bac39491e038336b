#include "bench/body.h"

#include "base/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct json *data_of(const struct json *body, const char *list, const char *data)
{
    return json_get(json_get(body, list)->first, data);
}

static void check_numbers(const struct json *data)
{
    int64_t value;

    assert_true(json_get_i64(data, "device", &value));
    assert_int_equal(value, 7);
}

static void bodies_have_the_form_of_their_dialect(void **state)
{
    struct body *v5 = body_new(DIALECT_V5, 200), *v1 = body_new(DIALECT_V1, 200);
    struct arena *arena = arena_new();
    const struct json *json;

    (void)state;
    json = json_parse(arena, body_write(v5, 7, 8, 9), NULL);
    assert_non_null(json);
    check_numbers(data_of(json, "services", "properties"));
    json = json_parse(arena, body_write(v1, 7, 8, 9), NULL);
    assert_non_null(json);
    assert_true(str_eq(json_get_str(json, "msgType"), STR("deviceReq")));
    check_numbers(data_of(json, "data", "serviceData"));
    arena_free(arena);
    body_free(v5);
    body_free(v1);
}

static void bodies_are_as_large_as_wanted_whatever_is_in_them(void **state)
{
    static const enum dialect dialects[] = {DIALECT_V5, DIALECT_V1};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct body *body = body_new(dialects[i], 300);

        assert_int_equal(body_write(body, 0, 0, 0).len, 300);
        assert_int_equal(body_write(body, 999999, 12345678901, 1234567890123456).len, 300);
        body_free(body);
    }
}

static void bodies_are_larger_than_wanted_when_they_must_be(void **state)
{
    struct body *body = body_new(DIALECT_V5, 0);
    size_t least = body_write(body, 0, 0, 0).len;

    (void)state;
    assert_true(least > 50);
    assert_int_equal(body_write(body, 10, 0, 0).len, least + 1);
    body_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_have_the_form_of_their_dialect),
        cmocka_unit_test(bodies_are_as_large_as_wanted_whatever_is_in_them),
        cmocka_unit_test(bodies_are_larger_than_wanted_when_they_must_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

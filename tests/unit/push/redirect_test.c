#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "push/redirect.h"

#include <stdlib.h>

#define CALLBACK "https://App.example:8443/data?x=1"

static void assert_target(int status, const char *location, const char *expected)
{
    struct http_result result = {
        .outcome = HTTP_ANSWERED, .status = status, .location = location};
    char *target = redirect_target(STR(CALLBACK), &result);

    if (expected && !target)
        fail_msg("%s is not followed", location);
    if (!expected && target)
        fail_msg("%s is followed to %s", location, target);
    if (expected)
        assert_string_equal(target, expected);
    free(target);
}

static void places_of_the_same_origin_are_followed(void **state)
{
    (void)state;
    assert_target(307, "/other", "/other");
    assert_target(308, "/other?y=2", "/other?y=2");
    assert_target(308, "https://app.example:8443/other", "/other");
    assert_target(307, "HTTPS://APP.EXAMPLE:8443", "/");
}

static void other_statuses_are_not_followed(void **state)
{
    (void)state;
    for (int status = 200; status < 600; status++) {
        if (status != 307 && status != 308)
            assert_target(status, "/other", NULL);
    }
}

static void other_origins_are_not_followed(void **state)
{
    (void)state;
    assert_target(307, "http://app.example:8443/other", NULL);
    assert_target(307, "https://app.example/other", NULL);
    assert_target(307, "https://app.example:8444/other", NULL);
    assert_target(307, "https://example:8443/other", NULL);
    assert_target(307, "https://app.example.evil:8443/other", NULL);
    assert_target(307, "//app.example:8443/other", NULL);
    assert_target(307, "https://app.example:8443@evil.example/", NULL);
    assert_target(307, "/\\evil.example", NULL);
}

static void what_is_no_place_is_not_followed(void **state)
{
    (void)state;
    assert_target(307, NULL, NULL);
    assert_target(307, "", NULL);
    assert_target(307, "other", NULL);
    assert_target(307, "/with blank", NULL);
    assert_target(307, "/x\r\nEvil: 1", NULL);
    assert_target(307, "/x#part", NULL);
}

static void without_an_answer_nothing_is_followed(void **state)
{
    struct http_result result = {.outcome = HTTP_RESET, .status = 307, .location = "/other"};

    (void)state;
    assert_null(redirect_target(STR(CALLBACK), &result));
}

static void the_default_port_is_the_same_as_none(void **state)
{
    struct http_result result = {
        .outcome = HTTP_ANSWERED, .status = 307, .location = "http://[::1]:80/other"};
    char *target = redirect_target(STR("http://[::1]/data"), &result);

    (void)state;
    assert_string_equal(target, "/other");
    free(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_of_the_same_origin_are_followed),
        cmocka_unit_test(other_statuses_are_not_followed),
        cmocka_unit_test(other_origins_are_not_followed),
        cmocka_unit_test(what_is_no_place_is_not_followed),
        cmocka_unit_test(without_an_answer_nothing_is_followed),
        cmocka_unit_test(the_default_port_is_the_same_as_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

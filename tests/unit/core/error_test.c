#include "core/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const names[] = {
#define ERROR(id, v1_status, v1_code, v1_text, v5_status, v5_code, v5_text) #id,
#include "core/errors.def"
#undef ERROR
};

/* from the first error: ERR_OK is none */
#define FOR_EACH_ERROR(error)                                                                      \
    for (enum error error = (enum error)(ERR_OK + 1); error < ERROR_COUNT; error++)

static void success_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_int_equal(error_v1(ERR_OK)->status, 200);
    assert_int_equal(error_v5(ERR_OK)->status, 200);
    assert_false(error_is_gateway(ERR_OK));
}

static void every_error_has_a_status_of_http(void **state)
{
    (void)state;
    for (int error = 0; error < ERROR_COUNT; error++) {
        assert_in_range(error_v1((enum error)error)->status, 200, 599);
        assert_in_range(error_v5((enum error)error)->status, 200, 599);
    }
}

/* v1 says some with status 200; there the code tells. */
static void no_error_looks_like_a_success(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    {
        int status = error_v1(error)->status;

        if ((status != 200 && status < 400) || error_v5(error)->status < 400)
            fail_msg("%s has a status below 400", names[error]);
    }
}

static void codes_of_v1_are_digits(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    {
        const char *code = error_v1(error)->code;

        if (strlen(code) < 5 || strlen(code) > 7 || strspn(code, "0123456789") != strlen(code))
            fail_msg("%s: %s", names[error], code);
    }
}

static void codes_of_v5_are_iotda_and_six_digits(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    {
        const char *code = error_v5(error)->code;

        if (strncmp(code, "IOTDA.", 6) != 0 || strlen(code) != 12 ||
            strspn(code + 6, "0123456789") != 6)
            fail_msg("%s: %s", names[error], code);
    }
}

static void every_error_has_a_text_in_both_protocols(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    {
        if (!*error_v1(error)->text || !*error_v5(error)->text)
            fail_msg("%s has no text", names[error]);
        for (const char *p = error_v1(error)->text; *p; p++)
            assert_in_range(*p, ' ', '~');
        for (const char *p = error_v5(error)->text; *p; p++)
            assert_in_range(*p, ' ', '~');
    }
}

static void the_gateway_raises_token_and_throttle_errors_only(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    assert_int_equal(error_is_gateway(error), error == ERR_TOKEN_INVALID || error == ERR_THROTTLED);
}

static void codes_of_the_gateway_are_of_its_own_range(void **state)
{
    (void)state;
    FOR_EACH_ERROR(error)
    {
        if (error_is_gateway(error)) {
            assert_int_equal(error_v1(error)->status, 403);
            assert_int_equal(strlen(error_v1(error)->code), 7);
            assert_memory_equal(error_v1(error)->code, "10100", 5);
        }
    }
}

static void errors_are_said_as_the_protocols_say_them(void **state)
{
    (void)state;
    assert_int_equal(error_v1(ERR_NO_APP_KEY)->status, 500);
    assert_string_equal(error_v1(ERR_NO_APP_KEY)->code, "100220");
    assert_string_equal(error_v1(ERR_TOKEN_INVALID)->code, "1010005");
    assert_int_equal(error_v1(ERR_DEVICE_NOT_FOUND)->status, 404);
    assert_string_equal(error_v1(ERR_DEVICE_NOT_FOUND)->code, "100403");
    assert_string_equal(error_v5(ERR_DEVICE_NOT_FOUND)->code, "IOTDA.014000");
    assert_int_equal(error_v5(ERR_THROTTLED)->status, 403);
    assert_string_equal(error_v5(ERR_THROTTLED)->code, "IOTDA.021101");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_no_error),
        cmocka_unit_test(every_error_has_a_status_of_http),
        cmocka_unit_test(no_error_looks_like_a_success),
        cmocka_unit_test(codes_of_v1_are_digits),
        cmocka_unit_test(codes_of_v5_are_iotda_and_six_digits),
        cmocka_unit_test(every_error_has_a_text_in_both_protocols),
        cmocka_unit_test(the_gateway_raises_token_and_throttle_errors_only),
        cmocka_unit_test(codes_of_the_gateway_are_of_its_own_range),
        cmocka_unit_test(errors_are_said_as_the_protocols_say_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Expected signatures were made with another implementation of HMAC. */
#include "core/app/signing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY_1       "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" /* 0, 1 ... 31 */
#define KEY_2       "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=" /* 255, 254 ... 224 */
#define SIGNATURE_1 "v1=E8M3Cy30/9BX8DIFd5ntTS+QaUaxqz5VS+qMMCLv1EI="
#define SIGNATURE_2 "v1=lpuncJebSa6bt6dDpfpb+XJqS5oc6shpKpEjkyyJP8U="
#define OVERLAP_END 1700000000500

static void take(struct signing_keys *keys, const char *current, const char *previous,
                 const char *previous_end)
{
    const char *const texts[] = {current, previous, previous_end};
    redisReply fields[3] = {0}, *elements[3];
    redisReply reply = {.type = REDIS_REPLY_ARRAY, .elements = 3, .element = elements};

    for (size_t i = 0; i < 3; i++) {
        fields[i].type = texts[i] ? REDIS_REPLY_STRING : REDIS_REPLY_NIL;
        fields[i].str = (char *)texts[i];
        fields[i].len = texts[i] ? strlen(texts[i]) : 0;
        elements[i] = &fields[i];
    }
    signing_keys_take(keys, STR("app1"), &reply);
}

static void assert_signed(const struct signing_keys *keys, int64_t now_ms, const char *expected)
{
    char text[SIGNATURE_TEXT_SIZE];
    struct str signature = signing_keys_sign(keys, STR("7-1700000000000-0-abc"), STR("1700000001"),
                                             STR("{\"n\":1}"), now_ms, text);

    assert_string_equal(text, expected);
    assert_ptr_equal(signature.p + signature.len, text + strlen(expected));
}

static void without_a_key_nothing_is_signed(void **state)
{
    struct signing_keys keys = {0};
    char text[SIGNATURE_TEXT_SIZE];

    (void)state;
    take(&keys, NULL, NULL, NULL);
    assert_int_equal(signing_keys_sign(&keys, STR("a"), STR("1"), STR("b"), 0, text).len, 0);
    signing_keys_clear(&keys);
}

static void a_signature_is_over_id_time_and_body(void **state)
{
    struct signing_keys keys = {0};
    char text[SIGNATURE_TEXT_SIZE];

    (void)state;
    take(&keys, KEY_1, NULL, NULL);
    assert_signed(&keys, 0, SIGNATURE_1);
    assert_signed(&keys, 0, SIGNATURE_1); /* the key's state is as it was */
    signing_keys_sign(&keys, STR(""), STR(""), STR(""), 0, text);
    assert_string_equal(text, "v1=5ZQR4J/NAMCFQhvxbREvfxeKXA9u54epAEPaS3gJ41A=");
    signing_keys_clear(&keys);
}

static void the_previous_key_signs_too_until_its_time_is_over(void **state)
{
    struct signing_keys keys = {0};

    (void)state;
    take(&keys, KEY_1, KEY_2, "1700000000500");
    assert_signed(&keys, OVERLAP_END - 1, SIGNATURE_1 ", " SIGNATURE_2);
    assert_signed(&keys, OVERLAP_END, SIGNATURE_1);
    signing_keys_clear(&keys);
}

static void a_key_that_cannot_be_read_is_none(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",  /* no padding */
        " AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", /* a blank */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* bits behind the end */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIA==",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct signing_keys keys = {0};

        take(&keys, bad[i], KEY_1, "9999999999999");
        assert_null(keys.current);
        assert_null(keys.previous);
        take(&keys, KEY_1, bad[i], "9999999999999");
        assert_signed(&keys, 0, SIGNATURE_1);
        signing_keys_clear(&keys);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_key_nothing_is_signed),
        cmocka_unit_test(a_signature_is_over_id_time_and_body),
        cmocka_unit_test(the_previous_key_signs_too_until_its_time_is_over),
        cmocka_unit_test(a_key_that_cannot_be_read_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/crypto.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void crypto_random_hex_writes_as_many_digits_as_asked(void **state)
{
    char text[202];

    (void)state;
    for (size_t digits = 0; digits <= 200; digits++) {
        memset(text, '!', sizeof(text));
        crypto_random_hex(text, digits);
        assert_int_equal(strlen(text), digits);
        assert_int_equal(text[digits + 1], '!');
        assert_true(digits == 0 || crypto_is_hex(str_of(text)));
        for (size_t i = 0; i < digits; i++)
            assert_false(text[i] >= 'A' && text[i] <= 'F');
    }
}

static void crypto_random_bytes_differ_each_time(void **state)
{
    static unsigned char a[100000], b[100000];

    (void)state;
    crypto_random_bytes(a, sizeof(a));
    crypto_random_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    assert_memory_not_equal(a + 65536, b + 65536, 32);
    crypto_random_bytes(a, 0);
}

static void crypto_uuids_are_of_version_4_and_differ(void **state)
{
    char a[CRYPTO_UUID_SIZE], b[CRYPTO_UUID_SIZE];

    (void)state;
    for (int i = 0; i < 100; i++) {
        crypto_random_uuid(a);
        crypto_random_uuid(b);
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(a), 36);
        for (int at = 0; at < 36; at++) {
            if (at == 8 || at == 13 || at == 18 || at == 23)
                assert_int_equal(a[at], '-');
            else
                assert_true((a[at] >= '0' && a[at] <= '9') || (a[at] >= 'a' && a[at] <= 'f'));
        }
        assert_int_equal(a[14], '4');
        assert_non_null(strchr("89ab", a[19]));
    }
}

static void crypto_sha256_gives_the_known_digests(void **state)
{
    char text[CRYPTO_SHA256_HEX_SIZE];

    (void)state;
    crypto_sha256_hex(STR("abc"), text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256_hex(STR(""), text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    crypto_sha256_hex(STR_NONE, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/* The cases 1, 2 and 6 of RFC 4231, and an empty key and message. */
static void crypto_hmac_gives_the_known_digests(void **state)
{
    char text[CRYPTO_SHA256_HEX_SIZE], key[131];

    (void)state;
    memset(key, 0x0b, 20);
    crypto_hmac_sha256_hex(str_n(key, 20), STR("Hi There"), text);
    assert_string_equal(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    crypto_hmac_sha256_hex(STR("Jefe"), STR("what do ya want for nothing?"), text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    crypto_hmac_sha256_hex(str_n(key, sizeof(key)),
                           STR("Test Using Larger Than Block-Size Key - Hash Key First"), text);
    assert_string_equal(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    crypto_hmac_sha256_hex(STR_NONE, STR_NONE, text);
    assert_string_equal(text, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* As `openssl dgst -sm3 -hmac Jefe` says. */
static void crypto_hmac_knows_sm3_too(void **state)
{
    char text[CRYPTO_SHA256_HEX_SIZE];

    (void)state;
    crypto_hmac_sm3_hex(STR("Jefe"), STR("what do ya want for nothing?"), text);
    assert_string_equal(text, "2e87f1d16862e6d964b50a5200bf2b10b764faa9680a296a2405f24bec39f882");
}

static void crypto_equal_compares_all_bytes(void **state)
{
    (void)state;
    assert_true(crypto_equal(STR("secret"), STR("secret")));
    assert_false(crypto_equal(STR("secret"), STR("secreT")));
    assert_false(crypto_equal(STR("secret"), STR("secre")));
    assert_false(crypto_equal(STR("a\0b"), STR("a\0c")));
    assert_true(crypto_equal(STR_NONE, STR("")));
    assert_false(crypto_equal(STR_NONE, STR("a")));
}

static void crypto_hex_is_digits_only_and_not_empty(void **state)
{
    (void)state;
    assert_true(crypto_is_hex(STR("0123456789abcdefABCDEF")));
    assert_false(crypto_is_hex(STR("")));
    assert_false(crypto_is_hex(STR_NONE));
    assert_false(crypto_is_hex(STR("0x12")));
    assert_false(crypto_is_hex(STR("12g")));
    assert_false(crypto_is_hex(STR("12 ")));
    assert_false(crypto_is_hex(STR("1\0")));
}

static void assert_base64(const char *text, const char *expected)
{
    char *encoded = crypto_base64(text, strlen(text));

    assert_string_equal(encoded, expected);
    free(encoded);
}

/* RFC 4648, section 10. */
static void crypto_base64_pads(void **state)
{
    (void)state;
    assert_base64("", "");
    assert_base64("f", "Zg==");
    assert_base64("fo", "Zm8=");
    assert_base64("foo", "Zm9v");
    assert_base64("foobar", "Zm9vYmFy");
    assert_base64("\xfb\xff\xfe", "+//+");
}

static void crypto_hmac_of_parts_is_that_of_the_whole(void **state)
{
    static const unsigned char expected[] = {
        0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b,
        0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7};
    const struct str whole[] = {STR("Hi There")}, parts[] = {STR("Hi"), STR(""), STR(" There")};
    unsigned char key[20], digest[CRYPTO_SHA256_BYTES];
    struct crypto_hmac *hmac;

    (void)state;
    memset(key, 0x0b, sizeof(key));
    hmac = crypto_hmac_new(key, sizeof(key));
    for (int i = 0; i < 2; i++) {
        crypto_hmac_sign(hmac, whole, 1, digest);
        assert_memory_equal(digest, expected, sizeof(expected));
        crypto_hmac_sign(hmac, parts, 3, digest);
        assert_memory_equal(digest, expected, sizeof(expected));
    }
    crypto_hmac_free(hmac);
    crypto_hmac_free(NULL);
}

static void crypto_base64_comes_back_as_it_was(void **state)
{
    unsigned char bytes[64], read[64];
    char text[CRYPTO_BASE64_SIZE(sizeof(bytes))];

    (void)state;
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        size_t text_len;

        crypto_random_bytes(bytes, len);
        text_len = crypto_to_base64(bytes, len, text);
        assert_int_equal(text_len, strlen(text));
        assert_int_equal(text_len + 1, CRYPTO_BASE64_SIZE(len));
        assert_true(crypto_from_base64(str_n(text, text_len), read, len));
        assert_memory_equal(read, bytes, len);
        assert_false(crypto_from_base64(str_n(text, text_len), read, len + 3));
    }
    assert_false(crypto_from_base64(STR("Zm9vYmF5 "), read, 6));
    assert_false(crypto_from_base64(STR("Zm9v\nmF5"), read, 6));
}

static void crypto_base64_of_much_has_no_padding_inside(void **state)
{
    const size_t len = (3 << 20) + 1;
    char *bytes = calloc(1, len), *text;

    (void)state;
    assert_non_null(bytes);
    text = crypto_base64(bytes, len);
    assert_int_equal(strlen(text), (len + 2) / 3 * 4);
    assert_ptr_equal(strchr(text, '='), text + strlen(text) - 2);
    free(text);
    free(bytes);
}

static bool decodes(const char *text, const char *expected)
{
    struct buf out = {0};
    bool is_right;

    buf_add_text(&out, "before ");
    is_right = crypto_base64_decode(str_of(text), &out);
    if (is_right)
        assert_true(str_eq(str_of(expected), str_n(out.p + 7, out.len - 7)));
    else
        assert_string_equal(out.p, "before ");
    buf_clear(&out);
    return is_right;
}

static void crypto_base64_is_decoded_over_white_space(void **state)
{
    (void)state;
    assert_true(decodes("", ""));
    assert_true(decodes("Zg==", "f"));
    assert_true(decodes("Zm8=", "fo"));
    assert_true(decodes("Zm9v", "foo"));
    assert_true(decodes(" Zm9v\r\nYm\tFy\n", "foobar"));
    assert_true(decodes("+//+", "\xfb\xff\xfe"));
}

static void crypto_broken_base64_is_refused(void **state)
{
    static const char *const broken[] = {"Z", "Zg", "Zg=", "Zg===", "=", "Z===", "Zm9v=", "Zg==Zg==",
                                         "Zm9v!", "Zm-v", "Zm9vYg"};

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
        assert_false(decodes(broken[i], ""));
}

static void hash_of_equal_bytes_is_equal_and_spreads(void **state)
{
    char key[32];
    unsigned buckets[64] = {0};

    (void)state;
    assert_int_equal(crypto_hash_seed(), crypto_hash_seed());
    assert_int_equal(hash_bytes("abc", 3), hash_bytes("abcd", 3));
    assert_int_not_equal(hash_bytes("abcdefgh", 8), hash_bytes("abcdefgh", 9));
    assert_int_equal(hash_bytes(NULL, 0), hash_bytes("", 0));
    for (int i = 0; i < 6400; i++) {
        snprintf(key, sizeof(key), "device-%d", i);
        buckets[hash_bytes(key, strlen(key)) % 64]++;
    }
    for (int i = 0; i < 64; i++)
        assert_in_range(buckets[i], 40, 170);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crypto_random_hex_writes_as_many_digits_as_asked),
        cmocka_unit_test(crypto_random_bytes_differ_each_time),
        cmocka_unit_test(crypto_uuids_are_of_version_4_and_differ),
        cmocka_unit_test(crypto_sha256_gives_the_known_digests),
        cmocka_unit_test(crypto_hmac_gives_the_known_digests),
        cmocka_unit_test(crypto_hmac_knows_sm3_too),
        cmocka_unit_test(crypto_equal_compares_all_bytes),
        cmocka_unit_test(crypto_hex_is_digits_only_and_not_empty),
        cmocka_unit_test(crypto_hmac_of_parts_is_that_of_the_whole),
        cmocka_unit_test(crypto_base64_pads),
        cmocka_unit_test(crypto_base64_comes_back_as_it_was),
        cmocka_unit_test(crypto_base64_of_much_has_no_padding_inside),
        cmocka_unit_test(crypto_base64_is_decoded_over_white_space),
        cmocka_unit_test(crypto_broken_base64_is_refused),
        cmocka_unit_test(hash_of_equal_bytes_is_equal_and_spreads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

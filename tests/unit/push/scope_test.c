#include "push/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char buffer[SCOPE_NAME_SIZE];

static void assert_host(const char *url, const char *name)
{
    struct str is = scope_name(SCOPE_HOST, str_of(url), buffer);

    if (!str_eq(is, str_of(name)))
        fail_msg("%s: %.*s", url, STR_ARG(is));
    assert_true(scope_has(is, str_of(url)));
}

static void a_url_is_its_own_name(void **state)
{
    struct str url = STR("http://User.test:8080/Path?q=1");

    (void)state;
    assert_true(str_eq(scope_name(SCOPE_URL, url, buffer), url));
    assert_true(scope_has(url, url));
    assert_false(scope_has(url, STR("http://User.test:8080/Path?q=2")));
    assert_int_equal(scope_of(url), SCOPE_URL);
}

static void a_host_is_scheme_host_and_port_however_they_are_spelled(void **state)
{
    (void)state;
    assert_host("http://a.test:8080/x/y?z", "host http://a.test:8080");
    assert_host("http://a.test:8080", "host http://a.test:8080");
    assert_host("HTTP://A.Test:8080/X", "host http://a.test:8080");
    assert_host("http://a.test/x", "host http://a.test:80");
    assert_host("https://a.test/x", "host https://a.test:443");
    assert_host("https://a.test:443/y", "host https://a.test:443");
    assert_host("http://127.0.0.1:1/", "host http://127.0.0.1:1");
    assert_host("https://[2001:DB8::1]:9/x", "host https://[2001:db8::1]:9");
    assert_host("https://[2001:db8::1]/x", "host https://[2001:db8::1]:443");
}

static void other_hosts_are_others(void **state)
{
    static const char *const others[] = {
        "https://a.test:8080/x", "http://a.test:8081/x", "http://a.test:808/x", "http://a.test/x",
        "http://a.testx:8080/", "http://b.test:8080/x", "http://a.tes", "", "no url",
    };
    struct str name = STR("host http://a.test:8080");

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        assert_false(scope_has(name, str_of(others[i])));
}

static void what_is_no_url_is_guarded_alone(void **state)
{
    static const char *const bad[] = {"", "no url", "http://127.1/x", "http://a.test/\x01"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_host(bad[i], bad[i]);
}

static void the_longest_url_has_a_name(void **state)
{
    char url[URL_MAX + 1];

    (void)state;
    memset(url, 'x', sizeof(url));
    memcpy(url, "https://[2001:db8:1111:2222:3333:4444:5555:6666]/", 49);
    url[URL_MAX] = '\0';
    assert_host(url, "host https://[2001:db8:1111:2222:3333:4444:5555:6666]:443");
}

static void names_are_told_apart_and_shown_without_secrets(void **state)
{
    (void)state;
    assert_int_equal(scope_of(STR("host http://a.test:80")), SCOPE_HOST);
    assert_int_equal(scope_of(STR("http://host.test:80/")), SCOPE_URL);
    assert_true(str_eq(scope_shown(STR("host http://a.test:80")), STR("http://a.test:80")));
    assert_true(str_eq(scope_shown(STR("http://a.test:80/x?token=1")), STR("http://a.test:80/x")));
    assert_string_equal(scope_text(SCOPE_URL), "url");
    assert_string_equal(scope_text(SCOPE_HOST), "host");
}

static void a_key_says_whose_it_is_and_keeps_to_its_size(void **state)
{
    static char name[SCOPE_KEY_MAX];
    char key[SCOPE_KEY_MAX];

    (void)state;
    assert_true(str_eq(scope_key(key, STR("app1"), STR("http://a.test/x")), STR("app1 http://a.test/x")));
    memset(name, 'x', sizeof(name));
    assert_int_equal(scope_key(key, STR("app1"), str_n(name, sizeof(name))).len, SCOPE_KEY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_its_own_name),
        cmocka_unit_test(a_host_is_scheme_host_and_port_however_they_are_spelled),
        cmocka_unit_test(other_hosts_are_others),
        cmocka_unit_test(what_is_no_url_is_guarded_alone),
        cmocka_unit_test(the_longest_url_has_a_name),
        cmocka_unit_test(names_are_told_apart_and_shown_without_secrets),
        cmocka_unit_test(a_key_says_whose_it_is_and_keeps_to_its_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/arena.h"
#include "base/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct url url;

static bool accepts(const char *text)
{
    return url_parse(str_of(text), &url);
}

static void assert_refused(const char *const urls[])
{
    for (; *urls; urls++)
        if (accepts(*urls))
            fail_msg("accepted: %s", *urls);
}

#define assert_str(s, expected) assert_true(str_eq((s), str_of(expected)))

static void url_is_taken_apart(void **state)
{
    (void)state;
    assert_true(accepts("https://a.example:8443/cb/x?y=1&z=/?"));
    assert_true(url.is_https);
    assert_true(url.has_port);
    assert_true(url.has_path);
    assert_false(url.host_is_ipv6);
    assert_int_equal(url.port, 8443);
    assert_str(url.host, "a.example");
    assert_str(url.authority, "a.example:8443");
    assert_str(url.target, "/cb/x?y=1&z=/?");
}

static void url_has_the_port_of_its_scheme_when_none_is_written(void **state)
{
    (void)state;
    assert_true(accepts("http://h/"));
    assert_false(url.is_https);
    assert_false(url.has_port);
    assert_int_equal(url.port, 80);
    assert_str(url.authority, "h");
    assert_true(accepts("https://h/"));
    assert_int_equal(url.port, 443);
}

static void url_without_a_path_has_the_target_slash(void **state)
{
    (void)state;
    assert_true(accepts("http://h"));
    assert_false(url.has_path);
    assert_str(url.target, "/");
    assert_true(accepts("http://h:81"));
    assert_false(url.has_path);
    assert_true(accepts("http://h/"));
    assert_true(url.has_path);
    assert_false(accepts("http://h?x=1"));
}

static void url_scheme_may_be_in_any_case(void **state)
{
    (void)state;
    assert_true(accepts("HTTPS://h/"));
    assert_true(url.is_https);
    assert_true(accepts("hTTp://h/"));
    assert_false(url.is_https);
}

static void url_refuses_other_schemes(void **state)
{
    static const char *const bad[] = {
        "",           "h",         "//h/",      "/path",          "ftp://h/", "httpss://h/",
        "http:/h/",   "http:h",    "https:///", "http://",        "https://", "file:///etc/passwd",
        "gopher://h", "http//h/x", "://h/",     "javascript:1/1", "ws://h/",  NULL,
    };

    (void)state;
    assert_refused(bad);
    assert_false(url_parse(STR_NONE, &url));
}

static void url_refuses_user_info_and_fragments(void **state)
{
    static const char *const bad[] = {
        "http://user@h/",      "http://user:pw@h/",  "http://@h/",         "http://h:80@evil/",
        "http://a:80@b:90/",   "http://[::1]@evil/", "http://h/#",         "http://h/p#f",
        "http://h#@evil/path", "http://h%40evil/",   "http://h/p?q=1#top", NULL,
    };

    (void)state;
    assert_refused(bad);
    assert_true(accepts("http://h/user@example?x=@"));
}

static void url_refuses_bytes_that_do_not_belong_into_a_request_line(void **state)
{
    static const char before[] = "http://h/a", after[] = "b";
    char text[32];

    (void)state;
    for (int c = 0; c < 256; c++) {
        int len = snprintf(text, sizeof(text), "%s_%s", before, after);
        bool is_good = c > ' ' && c < 0x7f && !strchr("\"'\\#", c);

        text[sizeof(before) - 1] = (char)c;
        assert_int_equal(url_parse(str_n(text, (size_t)len), &url), is_good);
    }
}

static void url_refuses_bad_bytes_anywhere(void **state)
{
    static const char *const bad[] = {
        "http://h\r\nX: y/",   " http://h/",     "http://h/ ",        "http://h/\n",
        "http://h/x HTTP/1.1", "http://h\t/",    "http://h\xc3\xa4/", "http://h/\xc3\xa4",
        "http://h/?q=\x7f",    "http:\\\\h\\x/", "http://h\\@evil/",  NULL,
    };

    (void)state;
    assert_refused(bad);
    assert_false(url_parse(STR("http://h/\0x"), &url));
    assert_false(url_parse(STR("http://h\0/x"), &url));
}

static void url_refuses_bad_ports(void **state)
{
    static const char *const bad[] = {
        "http://h:/",    "http://h:0/",  "http://h:65536/", "http://h:99999999999999999999/",
        "http://h:-1/",  "http://h:+8/", "http://h:8a/",    "http://h:80:80/",
        "http://h:080/", "http://:80/",  "http://h:8 0/",   "http://h:00080/",
        "http://h:",     NULL,
    };

    (void)state;
    assert_refused(bad);
    assert_true(accepts("http://h:1/"));
    assert_int_equal(url.port, 1);
    assert_true(accepts("http://h:65535/"));
    assert_int_equal(url.port, 65535);
}

static void url_refuses_bad_host_names(void **state)
{
    static const char *const bad[] = {
        "http:///",     "http:///x",     "http://./",   "http://.a/",   "http://a./",
        "http://a..b/", "http://a.b../", "http://a,b/", "http://a%2e/", "http://a*b/",
        "http://a;b/",  "http://a&b/",   "http://(a)/", "http://a~b/",  "http://$a/",
        "http://a=b/",  "http://a|b/",   "http://{a}/", "http://!a/",   NULL,
    };

    (void)state;
    assert_refused(bad);
    assert_true(accepts("http://my_service.Cluster-1.local/"));
    assert_true(accepts("http://xn--bcher-kva.example/"));
    assert_true(accepts("http://1and1.example/"));
    assert_true(accepts("http://0x7f.example/"));
    assert_true(accepts("http://1.2.3.4.example/"));
}

static void url_host_labels_and_names_have_their_maximum(void **state)
{
    char text[600];
    char label[65];

    (void)state;
    memset(label, 'a', 64);
    label[64] = '\0';
    snprintf(text, sizeof(text), "http://%.63s/", label);
    assert_true(accepts(text));
    snprintf(text, sizeof(text), "http://%.64s/", label);
    assert_false(accepts(text));
    snprintf(text, sizeof(text), "http://%.63s.%.63s.%.63s.%.61s/", label, label, label, label);
    assert_true(accepts(text));
    assert_int_equal(url.host.len, 253);
    snprintf(text, sizeof(text), "http://%.63s.%.63s.%.63s.%.62s/", label, label, label, label);
    assert_false(accepts(text));
}

static void url_refuses_hosts_that_look_numeric(void **state)
{
    static const char *const bad[] = {
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0X7F000001/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://010.0.0.1/",
        "http://127.0.0.01/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://1.2.3.999/",
        "http://0/",
        "http://0x/",
        "http://1/",
        "http://127.0.0.0x1/",
        "http://a.0x7f/",
        "http://example.1/",
        "http://00.0.0.0/",
        "http://0x7f.0.0.0x1/",
        "http://1e3.1/",
        "http://1.2.3.4:x/",
        "http://017700000001/",
        NULL,
    };

    (void)state;
    assert_refused(bad);
}

static void url_accepts_dotted_quads(void **state)
{
    (void)state;
    assert_true(accepts("http://127.0.0.1/"));
    assert_str(url.host, "127.0.0.1");
    assert_true(accepts("http://0.0.0.0/"));
    assert_true(accepts("https://255.255.255.255:1/"));
    assert_false(url.host_is_ipv6);
}

static void url_accepts_ipv6_literals(void **state)
{
    (void)state;
    assert_true(accepts("https://[2001:db8::1]:8443/x"));
    assert_true(url.host_is_ipv6);
    assert_str(url.host, "2001:db8::1");
    assert_str(url.authority, "[2001:db8::1]:8443");
    assert_int_equal(url.port, 8443);
    assert_true(accepts("http://[::]"));
    assert_str(url.target, "/");
    assert_true(accepts("http://[::ffff:127.0.0.1]/"));
    assert_false(url.has_port);
}

static void url_refuses_broken_ipv6_literals(void **state)
{
    static const char *const bad[] = {
        "http://[/",
        "http://[]/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]x/",
        "http://[::1]:/",
        "http://[::1]:0/",
        "http://[fe80::1%eth0]/",
        "http://[1]/",
        "http://[::1%251]/",
        "http://[127.0.0.1]/",
        "http://[1:2:3:4:5:6:7]/",
        "http://[:::]/",
        "http://[::g]/",
        "http://[::12345]/",
        "http://[a.example]/",
        "http://[v1.x]/",
        "http://[[::1]]/",
        "http://[::1]]/",
        "http://]::1[/",
        "http://[::1]80/",
        "http://[::1].a/",
        "http://a[::1]/",
        "http://[ ::1]/",
        "http://[1:2:3:4:5:6:7:8:9]/",
        "http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/",
        NULL,
    };

    (void)state;
    assert_refused(bad);
}

static void url_may_be_as_long_as_the_maximum(void **state)
{
    char text[URL_MAX + 2];

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);
    assert_true(url_parse(str_n(text, URL_MAX), &url));
    assert_int_equal(url.target.len, URL_MAX - 8);
    assert_false(url_parse(str_n(text, URL_MAX + 1), &url));
}

static void url_parse_does_not_read_past_the_end(void **state)
{
    static const char whole[] = "https://[::1]:8443/cb?x=1";

    (void)state;
    for (size_t len = 0; len < sizeof(whole); len++) {
        char *exact = malloc(len ? len : 1);

        assert_non_null(exact);
        memcpy(exact, whole, len);
        url_parse(str_n(exact, len), &url);
        free(exact);
    }
}

static struct arena *arena;

static int start(void **state)
{
    (void)state;
    arena = arena_new();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void url_decode_reads_escapes(void **state)
{
    struct str out;

    (void)state;
    assert_true(url_decode(arena, STR("a%20b%2Fc%2f%e6%B8%a9"), false, &out));
    assert_str(out, "a b/c/\xe6\xb8\xa9");
    assert_int_equal(out.p[out.len], '\0');
    assert_true(url_decode(arena, STR("a+b%2B"), false, &out));
    assert_str(out, "a+b+");
    assert_true(url_decode(arena, STR("a+b%2B"), true, &out));
    assert_str(out, "a b+");
    assert_true(url_decode(arena, STR("%2541"), false, &out));
    assert_str(out, "%41");
    assert_true(url_decode(arena, STR_NONE, false, &out));
    assert_non_null(out.p);
    assert_int_equal(out.len, 0);
}

static void url_decode_refuses_what_is_broken(void **state)
{
    static const char *const bad[] = {
        "%",     "a%",     "%4",        "%4g", "%g4",  "% 41",   "%%41", "%+1", "%00",
        "a%00b", "%c0%af", "%ed%a0%80", "%ff", "\xff", "%e6%b8", "%-1",  "%0x", NULL,
    };
    struct str out;

    (void)state;
    for (const char *const *p = bad; *p; p++)
        if (url_decode(arena, str_of(*p), true, &out))
            fail_msg("accepted: %s", *p);
    assert_false(url_decode(arena, STR("a\0b"), true, &out));
    assert_false(url_decode(arena, str_n("%41", 2), true, &out));
}

static void url_form_value_is_the_first_of_its_name(void **state)
{
    const struct str form = STR("appId=a+b%26&secret=s%3D=&empty=&flag&appId=second&App%49d=x");

    (void)state;
    assert_str(url_form_value(arena, form, "appId", false), "a b&");
    assert_str(url_form_value(arena, form, "secret", false), "s==");
    assert_non_null(url_form_value(arena, form, "empty", false).p);
    assert_int_equal(url_form_value(arena, form, "empty", false).len, 0);
    assert_non_null(url_form_value(arena, form, "flag", false).p);
    assert_str(url_form_value(arena, form, "AppId", false), "x");
    assert_str(url_form_value(arena, form, "APPID", true), "a b&");
}

static void url_form_value_is_none_when_absent_or_broken(void **state)
{
    (void)state;
    assert_null(url_form_value(arena, STR("a=1&b=2"), "c", false).p);
    assert_null(url_form_value(arena, STR("a=1"), "A", false).p);
    assert_null(url_form_value(arena, STR("aa=1"), "a", false).p);
    assert_null(url_form_value(arena, STR(""), "a", false).p);
    assert_null(url_form_value(arena, STR_NONE, "a", false).p);
    assert_null(url_form_value(arena, STR("a=%zz&a=2"), "a", false).p);
    assert_null(url_form_value(arena, STR("a=%00"), "a", false).p);
    assert_str(url_form_value(arena, STR("%zz=1&&=&a=2&"), "a", false), "2");
}

#define WITH_ARENA(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(url_is_taken_apart),
        cmocka_unit_test(url_has_the_port_of_its_scheme_when_none_is_written),
        cmocka_unit_test(url_without_a_path_has_the_target_slash),
        cmocka_unit_test(url_scheme_may_be_in_any_case),
        cmocka_unit_test(url_refuses_other_schemes),
        cmocka_unit_test(url_refuses_user_info_and_fragments),
        cmocka_unit_test(url_refuses_bytes_that_do_not_belong_into_a_request_line),
        cmocka_unit_test(url_refuses_bad_bytes_anywhere),
        cmocka_unit_test(url_refuses_bad_ports),
        cmocka_unit_test(url_refuses_bad_host_names),
        cmocka_unit_test(url_host_labels_and_names_have_their_maximum),
        cmocka_unit_test(url_refuses_hosts_that_look_numeric),
        cmocka_unit_test(url_accepts_dotted_quads),
        cmocka_unit_test(url_accepts_ipv6_literals),
        cmocka_unit_test(url_refuses_broken_ipv6_literals),
        cmocka_unit_test(url_may_be_as_long_as_the_maximum),
        cmocka_unit_test(url_parse_does_not_read_past_the_end),
        WITH_ARENA(url_decode_reads_escapes),
        WITH_ARENA(url_decode_refuses_what_is_broken),
        WITH_ARENA(url_form_value_is_the_first_of_its_name),
        WITH_ARENA(url_form_value_is_none_when_absent_or_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

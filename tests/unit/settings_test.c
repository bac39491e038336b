#include "settings.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/setting_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct settings settings;
static struct settings_source *source;
static struct buf messages;

static void remember(const char *line, void *arg)
{
    (void)arg;
    buf_add_text(&messages, line);
    buf_add_char(&messages, '\n');
}

static int stop(void **state)
{
    (void)state;
    settings_clear(settings_table, &settings);
    settings_source_free(source);
    settings = (struct settings){0};
    source = NULL;
    buf_clear(&messages);
    return 0;
}

#define FOR_EACH_ROW(row) for (const struct setting *row = settings_table; row->section; row++)

static const struct setting *row_of(const char *section, const char *key)
{
    FOR_EACH_ROW(row)
    {
        if (strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0)
            return row;
    }
    fail_msg("there is no %s.%s", section, key);
    return NULL;
}

/* -- the table -------------------------------------------------------------------------------- */

static void every_setting_has_a_help_text(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        if (!row->help || strlen(row->help) < 10)
            fail_msg("%s.%s has no help", row->section, row->key);
        assert_true(str_is_printable(str_of(row->help)));
        assert_null(strstr(row->help, "  "));
    }
}

static void names_are_written_in_lower_case(void **state)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

    (void)state;
    FOR_EACH_ROW(row)
    {
        assert_int_equal(strspn(row->section, allowed), strlen(row->section));
        assert_int_equal(strspn(row->key, allowed), strlen(row->key));
        assert_true(*row->section && *row->key);
    }
}

static void no_two_settings_have_one_name(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    assert_ptr_equal(row_of(row->section, row->key), row);
}

static void no_two_settings_fill_one_member(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        for (const struct setting *other = settings_table; other != row; other++) {
            if (other->offset == row->offset)
                fail_msg("%s.%s and %s.%s", other->section, other->key, row->section, row->key);
        }
    }
}

static void rows_of_one_section_stand_together(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        for (const struct setting *other = settings_table; other < row; other++) {
            if (strcmp(other->section, row->section) == 0)
                assert_string_equal(row[-1].section, row->section);
        }
    }
}

static void every_default_is_right(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        char *wrong;

        assert_non_null(row->fallback);
        wrong = setting_value_parse(row, row->fallback, &settings);
        if (wrong)
            fail_msg("%s.%s = %s: %s", row->section, row->key, row->fallback, wrong);
        if (row->check)
            assert_null(row->check(row->fallback));
    }
}

static bool is_number(const struct setting *row)
{
    return row->type == SETTING_INT || row->type == SETTING_SIZE || row->type == SETTING_TIME;
}

static void every_number_has_bounds(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        if (is_number(row) && (row->min < 0 || row->max <= row->min))
            fail_msg("%s.%s: %lld to %lld", row->section, row->key, (long long)row->min,
                     (long long)row->max);
        if (!is_number(row))
            assert_true(row->min == 0 && row->max == 0);
    }
}

/* In milliseconds: a bound that was meant in seconds would be too small, or below the default. */
static void times_have_bounds_that_make_sense(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        int64_t value;

        if (row->type != SETTING_TIME)
            continue;
        free(setting_value_parse(row, row->fallback, &settings));
        memcpy(&value, (const char *)&settings + row->offset, sizeof(value));
        assert_in_range(value, row->min, row->max);
        if (row->min > 1000 || row->max < 60000 || row->max > 3650ll * 86400000)
            fail_msg("%s.%s: %lld to %lld", row->section, row->key, (long long)row->min,
                     (long long)row->max);
    }
}

static void intervals_and_timeouts_cannot_be_zero(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        struct str key = str_of(row->key);

        if (row->type == SETTING_TIME && strcmp(row->key, "register_timeout") != 0 &&
            (str_ends_with(key, STR("interval")) || str_ends_with(key, STR("timeout"))))
            assert_true(row->min > 0);
    }
}

static void choices_belong_to_choices(void **state)
{
    (void)state;
    FOR_EACH_ROW(row)
    {
        assert_int_equal(row->choices != NULL, row->type == SETTING_CHOICE);
        if (row->choices)
            assert_non_null(strchr(row->choices, ' '));
    }
}

static void levels_are_those_of_the_log_in_its_order(void **state)
{
    struct str rest = str_of(row_of("log", "level")->choices);

    (void)state;
    for (int i = 0; rest.p; i++) {
        char *word = str_dup(str_split(rest, ' ', &rest));
        enum log_level level;

        assert_true(log_level_from_name(word, &level));
        assert_int_equal(level, i);
        free(word);
    }
}

static void addresses_and_urls_are_checked_when_they_are_read(void **state)
{
    static const char *const wrong[][3] = {
        {"redis", "url", "http://h"},
        {"instance", "id", "a b"},
        {"api", "listen_http", "nowhere"},
        {"api", "listen_https", "1.2.3.4:x"},
        {"device", "listen_http", "1.2.3.4:70000"},
        {"admin", "listen_http", ":"},
        {"metrics", "listen_http", "x y"},
        {"push", "allow_networks", "10.0.0/8"},
        {"push", "deny_networks", "1.2.3.4/33"},
        {"push", "refused_pauses", "10"},
        {"push", "refused_pauses", "1s,,2s"},
        {"push", "refused_pauses", "1s,1s,1s,1s,1s,1s,1s,1s,1s"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char *reason =
            setting_value_parse(row_of(wrong[i][0], wrong[i][1]), wrong[i][2], &settings);

        if (!reason)
            fail_msg("%s.%s = %s was accepted", wrong[i][0], wrong[i][1], wrong[i][2]);
        free(reason);
    }
}

static void help_names_every_setting(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    settings_print_help(settings_table, out);
    fclose(out);
    FOR_EACH_ROW(row)
    {
        if (!strstr(text, row->key))
            fail_msg("%s.%s is missing", row->section, row->key);
    }
    free(text);
}

/* -- checks that span several settings -------------------------------------------------------- */

/* What settings_check finds with these overrides, "section.key=value". */
static int check_with(const char *const *overrides)
{
    stop(NULL);
    if (settings_load(settings_table, &(struct settings_input){.overrides = overrides}, &settings,
                      &source, remember, NULL) != 0)
        fail_msg("%s", messages.p);
    return settings_check(&settings, source, remember, NULL);
}

#define CHECK(...) check_with((const char *const[]){__VA_ARGS__, NULL})

static void assert_said(const char *text)
{
    if (!strstr(buf_str(&messages).p, text))
        fail_msg("'%s' is not in: %s", text, buf_str(&messages).p);
}

static void the_defaults_pass_all_checks(void **state)
{
    (void)state;
    assert_int_equal(check_with(NULL), 0);
    assert_int_equal(messages.len, 0);
}

static void https_needs_a_certificate_and_its_key(void **state)
{
    (void)state;
    assert_int_equal(CHECK("api.listen_https=127.0.0.1:8743"), 1);
    assert_said("--set: api.listen_https = 127.0.0.1:8743: ");
    assert_said("tls_certificate");
    assert_int_equal(CHECK("device.listen_https=127.0.0.1:8943"), 1);
    assert_said("--set: device.listen_https = 127.0.0.1:8943: ");
    assert_int_equal(CHECK("api.listen_https=127.0.0.1:8743", "api.tls_certificate=/dev/null"), 1);
    assert_int_equal(CHECK("api.listen_https=127.0.0.1:8743", "api.tls_key=/dev/null"), 1);
    assert_int_equal(CHECK("api.listen_https=127.0.0.1:8743", "device.listen_https=127.0.0.1:8943"),
                     2);
}

static void a_certificate_that_cannot_be_read_is_found(void **state)
{
    (void)state;
    assert_int_equal(CHECK("api.listen_https=127.0.0.1:8743", "api.tls_certificate=/nonexistent/c",
                           "api.tls_key=/nonexistent/k"),
                     1);
    assert_said("api.tls_certificate = /nonexistent/c: ");
    assert_int_equal(CHECK("device.listen_https=127.0.0.1:8943",
                           "api.tls_certificate=/nonexistent/c", "api.tls_key=/nonexistent/k"),
                     1);
    assert_said("/nonexistent/c");
}

static void a_certificate_without_https_is_not_looked_at(void **state)
{
    (void)state;
    assert_int_equal(CHECK("api.tls_certificate=/nonexistent/c", "device.tls_key=/nonexistent/k"),
                     0);
}

static void admin_over_http_needs_a_token_file(void **state)
{
    char file[] = "/tmp/settings_test-XXXXXX";
    int fd = mkstemp(file);
    char *override = xasprintf("admin.token_file=%s", file);

    (void)state;
    assert_int_equal(CHECK("admin.listen_http=127.0.0.1:8090"), 1);
    assert_said("--set: admin.listen_http = 127.0.0.1:8090: needs admin.token_file");
    assert_int_equal(CHECK("admin.listen_http=127.0.0.1:8090", override), 0);
    assert_int_equal(CHECK("admin.listen_http=[::1]:8090", override), 0);
    unlink(file);
    assert_int_equal(CHECK("admin.listen_http=127.0.0.1:8090", override), 1);
    assert_said("admin.token_file = ");
    close(fd);
    free(override);
}

static void admin_over_http_is_for_loopback_only(void **state)
{
    static const char *const addresses[] = {
        "admin.listen_http=0.0.0.0:8090", "admin.listen_http=192.168.1.1:8090",
        "admin.listen_http=8090", "admin.listen_http=[::]:8090"};

    (void)state;
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        assert_int_equal(CHECK(addresses[i], "admin.token_file=/dev/null"), 1);
        assert_said("loopback");
    }
}

static void an_attempt_may_be_shorter_than_connecting_could_take(void **state)
{
    (void)state;
    assert_int_equal(CHECK("push.timeout=1s"), 0);
    assert_int_equal(CHECK("push.connect_timeout=16s"), 0);
}

static void leases_outlive_two_heartbeats(void **state)
{
    (void)state;
    assert_int_equal(CHECK("partition.heartbeat=4001ms"), 1);
    assert_said("--set: partition.heartbeat = 4001ms: ");
    assert_int_equal(CHECK("partition.lease=3s"), 1);
    assert_int_equal(CHECK("partition.heartbeat=4s"), 0);
}

static void offline_comes_after_abnormal(void **state)
{
    (void)state;
    assert_int_equal(CHECK("device.abnormal_after=49h"), 1);
    assert_said("device.offline_after = ");
    assert_int_equal(CHECK("device.offline_after=1h"), 1);
    assert_int_equal(CHECK("device.offline_after=0"), 0);
    assert_int_equal(CHECK("device.offline_after=1h", "device.abnormal_after=0"), 0);
}

static void files_that_are_named_must_be_readable(void **state)
{
    (void)state;
    assert_int_equal(CHECK("redis.password_file=/nonexistent/p", "push.ca_file=/nonexistent/c",
                           "admin.token_file=/nonexistent/t"),
                     3);
    assert_said("redis.password_file = /nonexistent/p: ");
    assert_said("push.ca_file = /nonexistent/c: ");
    assert_said("admin.token_file = /nonexistent/t: ");
}

#define FRESH(test) cmocka_unit_test_teardown(test, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(every_setting_has_a_help_text),
        FRESH(names_are_written_in_lower_case),
        FRESH(no_two_settings_have_one_name),
        FRESH(no_two_settings_fill_one_member),
        FRESH(rows_of_one_section_stand_together),
        FRESH(every_default_is_right),
        FRESH(every_number_has_bounds),
        FRESH(times_have_bounds_that_make_sense),
        FRESH(intervals_and_timeouts_cannot_be_zero),
        FRESH(choices_belong_to_choices),
        FRESH(levels_are_those_of_the_log_in_its_order),
        FRESH(addresses_and_urls_are_checked_when_they_are_read),
        FRESH(help_names_every_setting),
        FRESH(the_defaults_pass_all_checks),
        FRESH(https_needs_a_certificate_and_its_key),
        FRESH(a_certificate_that_cannot_be_read_is_found),
        FRESH(a_certificate_without_https_is_not_looked_at),
        FRESH(admin_over_http_needs_a_token_file),
        FRESH(admin_over_http_is_for_loopback_only),
        FRESH(an_attempt_may_be_shorter_than_connecting_could_take),
        FRESH(leases_outlive_two_heartbeats),
        FRESH(offline_comes_after_abnormal),
        FRESH(files_that_are_named_must_be_readable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

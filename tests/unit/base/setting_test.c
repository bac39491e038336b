#include "base/setting.h"

#include "base/buf.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

struct values {
    char *user_agent;
    char *networks;
    char *url;
    int64_t timeout_ms;
    int64_t stack_bytes;
    int64_t fail_limit;
    bool is_signed;
    int format;
};

static const char *check_agent(const char *value)
{
    return strchr(value, '@') ? "not an agent; write it without @" : NULL;
}

#define AT(member) offsetof(struct values, member)

static const struct setting table[] = {
    {"push", "user_agent", SETTING_TEXT, AT(user_agent), "iotpush", 0, 0, NULL, false,
     "The User-Agent header of callbacks.", check_agent},
    {"push", "networks", SETTING_LIST, AT(networks), "", 0, 0, NULL, true, "Allowed networks.",
     NULL},
    {"push", "timeout", SETTING_TIME, AT(timeout_ms), "15s", 100, 3600000, NULL, true,
     "How long a callback may take to answer, from the first byte that is sent to it to the last "
     "one that it sends back.",
     NULL},
    {"push", "stack_bytes", SETTING_SIZE, AT(stack_bytes), "1g", 0, 0, NULL, false,
     "What may wait for one endpoint.", NULL},
    {"push", "fail_limit", SETTING_INT, AT(fail_limit), "10", -5, 1000, NULL, false,
     "Failures in a row.", NULL},
    {"push", "signature", SETTING_BOOL, AT(is_signed), "on", 0, 0, NULL, false, "Sign callbacks.",
     NULL},
    {"log", "format", SETTING_CHOICE, AT(format), "text", 0, 0, "text json syslog", false,
     "The form of lines.", NULL},
    {"redis", "url", SETTING_TEXT, AT(url), "embedded:", 0, 0, NULL, false, "Where Redis is.",
     NULL},
    {0},
};

static char folder[64];
static struct values values;
static struct settings_source *source;
static struct buf messages;

static void remember(const char *line, void *arg)
{
    (void)arg;
    buf_add_text(&messages, line);
    buf_add_char(&messages, '\n');
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/setting_test.XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    return 0;
}

static void forget(void)
{
    settings_clear(table, &values);
    settings_source_free(source);
    source = NULL;
    values = (struct values){0};
    buf_reset(&messages);
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    buf_clear(&messages);
    if (chdir("/") != 0)
        return -1;

    char *command = xasprintf("rm -rf '%s'", folder);
    int result = system(command);

    free(command);
    return result;
}

static void write_bytes(const char *name, const char *bytes, size_t len)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static int load(const struct settings_input *input)
{
    forget();
    return settings_load(table, input, &values, &source, remember, NULL);
}

static int load_file(const char *name)
{
    return load(&(struct settings_input){.file = name});
}

static int load_override(const char *override)
{
    const char *overrides[] = {override, NULL};

    return load(&(struct settings_input){.overrides = overrides});
}

static int load_variable(const char *variable)
{
    char *environment[] = {(char *)(uintptr_t) "PATH=/bin", (char *)(uintptr_t)variable, NULL};

    return load(&(struct settings_input){.program = "iotpush", .environment = environment});
}

static const char *said(void)
{
    return buf_str(&messages).p;
}

static void assert_file_says(const char *text, const char *expected)
{
    write_file("a.conf", text);
    assert_int_equal(load_file("a.conf"), 1);
    assert_string_equal(said(), expected);
}

static void assert_override_says(const char *override, const char *expected)
{
    assert_int_equal(load_override(override), 1);
    assert_string_equal(said(), expected);
}

static void assert_override_is_fine(const char *override)
{
    if (load_override(override) != 0)
        fail_msg("%s: %s", override, said());
}

/* -- where values come from ------------------------------------------------------------------- */

static void without_input_the_defaults_hold(void **state)
{
    (void)state;
    assert_int_equal(load(&(struct settings_input){0}), 0);
    assert_string_equal(values.user_agent, "iotpush");
    assert_string_equal(values.networks, "");
    assert_int_equal(values.timeout_ms, 15000);
    assert_int_equal(values.stack_bytes, 1073741824);
    assert_int_equal(values.fail_limit, 10);
    assert_true(values.is_signed);
    assert_int_equal(values.format, 0);
}

static void a_file_is_read_with_comments_and_blanks(void **state)
{
    (void)state;
    write_file("a.conf", "\xef\xbb\xbf# first\n"
                         "; second\n"
                         "\n"
                         "  [ push ]  # third\r\n"
                         "\ttimeout=  500ms ; fourth\n"
                         "user_agent = a#b;c = d # fifth\n"
                         "networks = 10.0.0.0/8, 192.168.0.0/16\n"
                         "signature =No\n"
                         "[log]\n"
                         "format = json\n"
                         "[push]\n"
                         "fail_limit = -3");
    assert_int_equal(load_file("a.conf"), 0);
    assert_int_equal(values.timeout_ms, 500);
    assert_string_equal(values.user_agent, "a#b;c = d");
    assert_string_equal(values.networks, "10.0.0.0/8, 192.168.0.0/16");
    assert_false(values.is_signed);
    assert_int_equal(values.format, 1);
    assert_int_equal(values.fail_limit, -3);
}

static void overrides_beat_environment_beats_file(void **state)
{
    char *environment[] = {(char *)(uintptr_t) "IOTPUSH_PUSH_TIMEOUT=2s",
                           (char *)(uintptr_t) "IOTPUSH_PUSH_FAIL_LIMIT=2",
                           (char *)(uintptr_t) "IOTPUSH_HOME=x", NULL};
    const char *overrides[] = {"push.timeout = 3s", NULL};
    struct settings_input input = {"iotpush", "a.conf", environment, overrides};

    (void)state;
    write_file("a.conf", "[push]\ntimeout = 1s\nfail_limit = 1\nstack_bytes = 1\n");
    assert_int_equal(load(&input), 0);
    assert_int_equal(values.timeout_ms, 3000);
    assert_int_equal(values.fail_limit, 2);
    assert_int_equal(values.stack_bytes, 1);
}

static void the_place_of_each_value_is_known(void **state)
{
    char *environment[] = {(char *)(uintptr_t) "IOTPUSH_PUSH_FAIL_LIMIT=2", NULL};
    const char *overrides[] = {"log.format=json", NULL};
    struct settings_input input = {"IOTPUSH", "a.conf", environment, overrides};

    (void)state;
    write_file("a.conf", "[push]\n\ntimeout = 90s\n[redis]\nurl = redis://me:secret@host/0\n");
    assert_int_equal(load(&input), 0);
    assert_string_equal(settings_where(source, table, &values, "push", "timeout"),
                        "a.conf:3: push.timeout = 90s");
    assert_string_equal(settings_where(source, table, &values, "redis", "url"),
                        "a.conf:5: redis.url = redis://me:***@host/0");
    assert_string_equal(settings_where(source, table, &values, "push", "fail_limit"),
                        "IOTPUSH_PUSH_FAIL_LIMIT: push.fail_limit = 2");
    assert_string_equal(settings_where(source, table, &values, "log", "format"),
                        "--set: log.format = json");
    assert_string_equal(settings_where(source, table, &values, "push", "stack_bytes"),
                        "default: push.stack_bytes = 1g");
    assert_string_equal(settings_where(source, table, &values, "push", "networks"),
                        "default: push.networks = ");
    assert_string_equal(settings_where(source, table, &values, "push", "nothing"), "push.nothing");
}

/* -- values ----------------------------------------------------------------------------------- */

static void times_have_units(void **state)
{
    (void)state;
    assert_override_is_fine("push.timeout=100ms");
    assert_int_equal(values.timeout_ms, 100);
    assert_override_is_fine("push.timeout=10m");
    assert_int_equal(values.timeout_ms, 600000);
    assert_override_is_fine("push.timeout=1h");
    assert_int_equal(values.timeout_ms, 3600000);
    assert_override_says("push.timeout=15 minutes", "--set: push.timeout = 15 minutes: not a time; "
                                                    "write 15s, 500ms, 10m\n");
    assert_int_equal(values.timeout_ms, 15000);
    assert_override_says("push.timeout=15",
                         "--set: push.timeout = 15: has no unit; write 15s, 15ms, 15m\n");
    assert_override_says("push.timeout=1d",
                         "--set: push.timeout = 1d: out of range; write 100ms to 1h\n");
    assert_override_says("push.timeout=0",
                         "--set: push.timeout = 0: out of range; write 100ms to 1h\n");
    assert_override_says("push.timeout=106751991168d",
                         "--set: push.timeout = 106751991168d: too large\n");
    assert_override_says("push.timeout=99999999999999999999s",
                         "--set: push.timeout = 99999999999999999999s: too large\n");
    assert_override_says("push.timeout=", "--set: push.timeout = : not a time; "
                                          "write 15s, 500ms, 10m\n");
    assert_override_says("push.timeout=-1s", "--set: push.timeout = -1s: not a time; "
                                             "write 15s, 500ms, 10m\n");
}

static void sizes_may_have_units(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } sizes[] = {{"0", 0},
                 {"17", 17},
                 {"64k", 65536},
                 {"2M", 2097152},
                 {"3g", 3221225472},
                 {"9223372036854775807", INT64_MAX},
                 {"8388608k", 1LL << 33}};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *override = xasprintf("push.stack_bytes=%s", sizes[i].text);

        assert_override_is_fine(override);
        assert_true(values.stack_bytes == sizes[i].bytes);
        free(override);
    }
    assert_override_says("push.stack_bytes=1kb",
                         "--set: push.stack_bytes = 1kb: not a size; write 64k, 10m, 1g\n");
    assert_override_says("push.stack_bytes=8589934592g",
                         "--set: push.stack_bytes = 8589934592g: too large\n");
    assert_override_says("push.stack_bytes=1.5m",
                         "--set: push.stack_bytes = 1.5m: not a size; write 64k, 10m, 1g\n");
}

static void numbers_are_whole(void **state)
{
    (void)state;
    assert_override_is_fine("push.fail_limit=-5");
    assert_int_equal(values.fail_limit, -5);
    assert_override_says("push.fail_limit=1k",
                         "--set: push.fail_limit = 1k: not a whole number; write it in digits\n");
    assert_override_says("push.fail_limit=-",
                         "--set: push.fail_limit = -: not a whole number; write it in digits\n");
    assert_override_says("push.fail_limit=1001",
                         "--set: push.fail_limit = 1001: out of range; write -5 to 1000\n");
}

static void switches_have_four_spellings(void **state)
{
    static const char *const on[] = {"on", "Yes", "TRUE", "1"};
    static const char *const off[] = {"off", "No", "FALSE", "0"};

    (void)state;
    for (int i = 0; i < 8; i++) {
        char *override = xasprintf("push.signature=%s", i < 4 ? on[i] : off[i - 4]);

        assert_override_is_fine(override);
        assert_int_equal(values.is_signed, i < 4);
        free(override);
    }
    assert_override_says("push.signature=maybe",
                         "--set: push.signature = maybe: neither on nor off; write on or off\n");
}

static void a_choice_is_one_of_its_words(void **state)
{
    (void)state;
    assert_override_is_fine("log.format=syslog");
    assert_int_equal(values.format, 2);
    assert_override_says("log.format=xml", "--set: log.format = xml: no such choice; "
                                           "write text, json or syslog\n");
}

static void a_row_may_check_further(void **state)
{
    (void)state;
    assert_override_says("push.user_agent=a@b", "--set: push.user_agent = a@b: not an agent; "
                                                "write it without @\n");
    assert_string_equal(values.user_agent, "iotpush");
}

static void messages_are_one_line_without_passwords(void **state)
{
    (void)state;
    assert_override_says("push.user_agent=a\nb",
                         "--set: push.user_agent = a?b: contains a control character\n");
    assert_override_says("push.user_agent=redis://u:secret@h",
                         "--set: push.user_agent = redis://u:***@h: not an agent; write it "
                         "without @\n");
    assert_override_says("push.user_agent=\xff",
                         "--set: push.user_agent = \xff: is not valid UTF-8\n");

    struct buf override = {0};

    buf_add_text(&override, "push.timeout=");
    for (int i = 0; i < 1000; i++)
        buf_add_char(&override, 'x');
    assert_int_equal(load_override(override.p), 1);
    assert_true(messages.len < 250);
    assert_non_null(strstr(said(), "xxx...: not a time"));
    buf_clear(&override);
}

/* -- names ------------------------------------------------------------------------------------ */

static void unknown_names_suggest_the_nearest(void **state)
{
    (void)state;
    assert_file_says("[psuh]\ntimeout = 1\nx = 2\n",
                     "a.conf:1: [psuh]: no such section; did you mean [push]?\n");
    assert_file_says("[push]\ntimeot = 1s\n",
                     "a.conf:2: push.timeot: no such setting; did you mean timeout?\n");
    assert_file_says("[push]\nformat = json\n",
                     "a.conf:2: push.format: no such setting; did you mean the one of section "
                     "[log]?\n");
    assert_file_says("[push]\nsomething = 1\n",
                     "a.conf:2: push.something: no such setting; --help-config lists all\n");
    assert_file_says("[something]\n",
                     "a.conf:1: [something]: no such section; --help-config lists all\n");
    assert_override_says("pusch.timeout=1s", "--set: [pusch]: no such section; did you mean "
                                             "[push]?\n");
    assert_override_says("push.timeouts=1s", "--set: push.timeouts: no such setting; did you mean "
                                             "timeout?\n");
}

static void unknown_variables_suggest_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(load_variable("IOTPUSH_PUSH_TIMEOT=1s"), 1);
    assert_string_equal(said(), "IOTPUSH_PUSH_TIMEOT: no such setting; did you mean "
                                "IOTPUSH_PUSH_TIMEOUT?\n");
    assert_int_equal(load_variable("IOTPUSH_SOMETHING_ELSE=1s"), 1);
    assert_string_equal(said(), "IOTPUSH_SOMETHING_ELSE: no such setting; "
                                "--help-config lists all\n");
    assert_int_equal(load_variable("IOTPUSH_PUSH_TIMEOUT=15 minutes"), 1);
    assert_string_equal(said(), "IOTPUSH_PUSH_TIMEOUT: push.timeout = 15 minutes: not a time; "
                                "write 15s, 500ms, 10m\n");
    assert_int_equal(load_variable("IOTPUSH_HOME=1s"), 0);
    assert_int_equal(load_variable("IOTPUSHY_A_B=1s"), 0);
}

static void overrides_need_a_name_and_a_value(void **state)
{
    (void)state;
    assert_override_says("push.timeout", "--set: push.timeout: write section.key=value\n");
    assert_override_says("timeout=1s", "--set: timeout=1s: write section.key=value\n");
    assert_override_says("", "--set: : write section.key=value\n");
}

static void every_mistake_is_counted_and_the_rest_is_read(void **state)
{
    (void)state;
    write_file("a.conf", "[push]\ntimeout = x\nfail_limit = 7\n[nothing_like_it]\n[log]\n"
                         "format = x\n");
    assert_int_equal(load_file("a.conf"), 3);
    assert_int_equal(values.fail_limit, 7);
    assert_int_equal(values.timeout_ms, 15000);
}

/* -- files ------------------------------------------------------------------------------------ */

static void malformed_lines_are_named(void **state)
{
    (void)state;
    assert_file_says("[push]\ntimeout 1s\n", "a.conf:2: timeout 1s: no '='; write key = value\n");
    assert_file_says("\ntimeout = 1s\n", "a.conf:2: timeout: stands before the first section; "
                                         "write [section] above it\n");
    assert_file_says("[push\n", "a.conf:1: a section without its ]; write [name]\n");
    assert_file_says("[push] timeout = 1s\n",
                     "a.conf:1: text after a section's name; write it on a line of its own\n");
    assert_file_says("[push]\n = 1\n",
                     "a.conf:2: push.: no such setting; --help-config lists all\n");
}

static void nul_bytes_and_long_lines_are_named(void **state)
{
    char line[5000];

    (void)state;
    write_bytes("a.conf", "[push]\ntime\0out = 1s\nfail_limit = 7\n", 36);
    assert_int_equal(load_file("a.conf"), 1);
    assert_string_equal(said(), "a.conf:2: contains a NUL byte\n");
    assert_int_equal(values.fail_limit, 7);

    memset(line, '#', sizeof(line));
    memcpy(line + 4096, "\n[push]\nfail_limit = 6\n", 24);
    write_file("a.conf", line);
    assert_int_equal(load_file("a.conf"), 0);
    memset(line, '#', sizeof(line));
    memcpy(line + 4097, "\n[push]\nfail_limit = 6\n", 24);
    write_file("a.conf", line);
    assert_int_equal(load_file("a.conf"), 1);
    assert_string_equal(said(), "a.conf:1: a line of more than 4096 bytes\n");
    assert_int_equal(values.fail_limit, 6);
}

static void a_file_without_end_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(load_file("/dev/zero"), 2);
    assert_non_null(strstr(said(), "the file is larger than 1m"));
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    (void)state;
    assert_int_equal(load_file("none.conf"), 1);
    assert_string_equal(said(), "none.conf: cannot be read: No such file or directory\n");
    assert_int_equal(values.timeout_ms, 15000);
    assert_int_equal(load_file("."), 1);
    assert_string_equal(said(), ".: is a directory, not a file\n");
    write_file("secret.conf", "[push]\n");
    chmod("secret.conf", 0);
    if (access("secret.conf", R_OK) != 0) { /* not for root */
        assert_int_equal(load_file("secret.conf"), 1);
        assert_string_equal(said(), "secret.conf: cannot be read: Permission denied\n");
    }
}

static void includes_are_relative_to_their_file(void **state)
{
    (void)state;
    mkdir("etc", 0700);
    mkdir("etc/conf.d", 0700);
    write_file("etc/a.conf", "include = b.conf\n[push]\ninclude = conf.d/*.conf\nfail_limit = 4\n"
                             "include = conf.d/*.none\ninclude = none.d/*.conf\n");
    write_file("etc/b.conf", "[push]\nfail_limit = 3\n");
    write_file("etc/conf.d/1.conf", "[push]\ntimeout = 1s\n");
    write_file("etc/conf.d/2.conf", "[push]\ntimeout = 2s\n[log]\nformat = xml\n");
    assert_int_equal(load_file("etc/a.conf"), 1);
    assert_string_equal(said(), "etc/conf.d/2.conf:4: log.format = xml: no such choice; "
                                "write text, json or syslog\n");
    assert_int_equal(values.fail_limit, 4);
    assert_int_equal(values.timeout_ms, 2000);
    assert_string_equal(settings_where(source, table, &values, "push", "timeout"),
                        "etc/conf.d/2.conf:2: push.timeout = 2s");
}

static void bad_includes_are_named(void **state)
{
    (void)state;
    assert_file_says("\ninclude = none.conf\n", "a.conf:2: include: none.conf: cannot be read: "
                                                "No such file or directory\n");
    assert_file_says("include = a.conf\n", "a.conf:1: include: a.conf: includes itself\n");
    assert_file_says("include = .\n", "a.conf:1: include: .: is a directory, not a file\n");
    assert_file_says("include =\n", "a.conf:1: include = : names no file\n");
}

static void includes_end_eight_files_deep(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        char *name = xasprintf("%d.conf", i);
        char *text = xasprintf("include = %d.conf\n[push]\nfail_limit = %d\n", i + 1, i);

        write_file(name, text);
        free(name);
        free(text);
    }
    assert_int_equal(load_file("0.conf"), 1);
    assert_string_equal(said(), "8.conf:1: include = 9.conf: more than 8 files deep\n");
    assert_int_equal(values.fail_limit, 0);
}

/* -- reloading, help -------------------------------------------------------------------------- */

static void a_reload_copies_what_may_change_and_names_the_rest(void **state)
{
    struct values fresh = {0};
    const char *overrides[] = {"push.timeout=1s", "push.networks=a,b", "push.user_agent=other",
                               "log.format=json", NULL};
    struct settings_input input = {.overrides = overrides};

    (void)state;
    assert_int_equal(load(&(struct settings_input){0}), 0);
    assert_int_equal(settings_load(table, &input, &fresh, NULL, remember, NULL), 0);
    settings_apply_reloadable(table, &fresh, &values, remember, NULL);
    assert_string_equal(said(), "push.user_agent\nlog.format\n");
    assert_int_equal(values.timeout_ms, 1000);
    assert_string_equal(values.networks, "a,b");
    assert_ptr_not_equal(values.networks, fresh.networks);
    assert_string_equal(values.user_agent, "iotpush");
    assert_int_equal(values.format, 0);
    settings_clear(table, &fresh);
    assert_null(fresh.networks);
}

static void the_help_has_every_row_and_fits_the_screen(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    settings_print_help(table, out);
    fclose(out);
    assert_non_null(strstr(text, "\n[push]\n"));
    assert_non_null(strstr(text, "\n[log]\n"));
    assert_non_null(strstr(text, "  timeout      time, 100ms to 1h; default 15s; reloadable\n"
                                 "               How long a callback may take"));
    assert_non_null(strstr(text, "  format       text, json or syslog; default text\n"));
    assert_non_null(strstr(text, "  networks     list; default empty; reloadable\n"));
    for (struct str rest = str_of(text); rest.p;) {
        struct str line = str_split(rest, '\n', &rest);

        assert_true(line.len <= 100);
        assert_false(str_ends_with(line, STR(" ")));
    }
    free(text);
}

static void a_wrong_default_is_a_mistake_that_leaves_no_null(void **state)
{
    static const struct setting wrong[] = {
        {"push", "user_agent", SETTING_TEXT, AT(user_agent), "a@b", 0, 0, NULL, false, "",
         check_agent},
        {0},
    };

    (void)state;
    assert_int_equal(
        settings_load(wrong, &(struct settings_input){0}, &values, &source, remember, NULL), 1);
    assert_string_equal(values.user_agent, "");
    assert_string_equal(settings_where(source, wrong, &values, "push", "user_agent"),
                        "default: push.user_agent = ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_input_the_defaults_hold),
        TEST(a_file_is_read_with_comments_and_blanks),
        TEST(overrides_beat_environment_beats_file),
        TEST(the_place_of_each_value_is_known),
        TEST(times_have_units),
        TEST(sizes_may_have_units),
        TEST(numbers_are_whole),
        TEST(switches_have_four_spellings),
        TEST(a_choice_is_one_of_its_words),
        TEST(a_row_may_check_further),
        TEST(messages_are_one_line_without_passwords),
        TEST(unknown_names_suggest_the_nearest),
        TEST(unknown_variables_suggest_the_nearest),
        TEST(overrides_need_a_name_and_a_value),
        TEST(every_mistake_is_counted_and_the_rest_is_read),
        TEST(malformed_lines_are_named),
        TEST(nul_bytes_and_long_lines_are_named),
        TEST(a_file_without_end_is_given_up),
        TEST(a_file_that_cannot_be_read_is_named),
        TEST(includes_are_relative_to_their_file),
        TEST(bad_includes_are_named),
        TEST(includes_end_eight_files_deep),
        TEST(a_reload_copies_what_may_change_and_names_the_rest),
        TEST(the_help_has_every_row_and_fits_the_screen),
        TEST(a_wrong_default_is_a_mistake_that_leaves_no_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

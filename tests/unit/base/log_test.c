#include "base/clock.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAMP "2026-01-31T12:00:00.123Z"

static char folder[64], file[96];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/log_test.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/log", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* Each test begins in a minute of its own, so that none is held back for another's lines. */
static int start_as(bool as_json)
{
    static int64_t tick;

    tick += 3600000;
    clock_freeze(INT64_C(1769860800123), tick);
    return log_open(LOG_LEVEL_INFO, as_json, file);
}

static int start_text(void **state)
{
    (void)state;
    return start_as(false);
}

static int start_json(void **state)
{
    (void)state;
    return start_as(true);
}

static int stop(void **state)
{
    (void)state;
    clock_use_system();
    unlink(file);
    return log_open(LOG_LEVEL_INFO, false, NULL);
}

/* All that was written since the last call. */
static const char *written(void)
{
    static char text[100000];
    ssize_t len;
    int fd = open(file, O_RDONLY);

    assert_true(fd >= 0);
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    assert_true(len >= 0 && truncate(file, 0) == 0);
    text[len] = '\0';
    return text;
}

#define assert_text(expected) assert_string_equal(written(), STAMP " INFO test " expected "\n")
#define assert_json(expected)                                                                      \
    assert_string_equal(written(), "{\"time\":\"" STAMP                                            \
                                   "\",\"level\":\"info\",\"area\":\"test\"," expected "}\n")

static int count_lines(const char *text)
{
    int lines = 0;

    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static int count_lines_of(const char *path)
{
    static char text[100000];
    FILE *in = fopen(path, "r");
    size_t len;

    assert_non_null(in);
    len = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    text[len] = '\0';
    return count_lines(text);
}

static void log_text_line_has_time_level_area_and_words(void **state)
{
    (void)state;
    log_warn("push", "endpoint=%s state=down failures=%u", "https://a.example:8443", 10u);
    assert_string_equal(written(), STAMP " WARN push endpoint=https://a.example:8443 state=down "
                                         "failures=10\n");
    log_error("push", "a=1");
    assert_string_equal(written(), STAMP " ERROR push a=1\n");
}

static void log_json_line_has_time_level_area_and_members(void **state)
{
    (void)state;
    log_warn("push", "endpoint=%s state=down failures=%u", "https://a.example:8443", 10u);
    assert_string_equal(written(),
                        "{\"time\":\"" STAMP "\",\"level\":\"warn\",\"area\":\"push\",\"endpoint\":"
                        "\"https://a.example:8443\",\"state\":\"down\",\"failures\":10}\n");
}

static void log_knows_all_conversions(void **state)
{
    (void)state;
    log_info("test", "a=%d b=%i c=%u d=%ld e=%lu f=%lld g=%llu h=%zu i=%c", -1, INT_MIN, UINT_MAX,
             LONG_MIN, ULONG_MAX, LLONG_MIN, ULLONG_MAX, (size_t)7, 'x');
    assert_text("a=-1 b=-2147483648 c=4294967295 d=-9223372036854775808 e=18446744073709551615 "
                "f=-9223372036854775808 g=18446744073709551615 h=7 i=x");
    log_info("test", "a=%" PRId64 " b=%" PRIu64 " c=%" PRIu32 " d=%" PRIx64, INT64_C(-5),
             UINT64_C(6), UINT32_C(7), UINT64_C(255));
    assert_text("a=-5 b=6 c=7 d=ff");
    log_info("test", "a=%02x b=%04d c=%.3f d=%f e=%g f=100%% g=%zd h=%5d", 10, -7, 1.5, 0.25, 0.1,
             (ssize_t)-3, 5);
    assert_text("a=0a b=-007 c=1.500 d=0.250000 e=0.1 f=100% g=-3 h=5");
}

static void log_strings_end_at_their_precision(void **state)
{
    const struct str piece = str_n("abcdef", 3);
    const char *volatile none = NULL; /* the compiler would warn of one it sees */

    (void)state;
    log_info("test", "a=%.*s b=%.2s c=%.*s d=%s", STR_ARG(piece), "xyz", -1, "all", "end");
    assert_text("a=abc b=xy c=all d=end");
    log_info("test", "a=%.*s b=%s", 0, none, "");
    assert_text("a=\"\" b=\"\"");
    log_info("test", "a=%s", none);
    assert_text("a=(null)");
}

static void log_values_may_have_several_parts(void **state)
{
    (void)state;
    log_info("test", "peer=%s:%u took=%dms", "10.0.0.1", 80u, 5);
    assert_text("peer=10.0.0.1:80 took=5ms");
}

static void log_text_quotes_only_what_needs_it(void **state)
{
    (void)state;
    log_info("test", "a=%s b=%s c=%s d=%s e=%s", "two words", "say \"x\"", "a=b", "c:\\x",
             "\xe6\xb8\xa9");
    assert_text("a=\"two words\" b=\"say \\\"x\\\"\" c=a=b d=c:\\x e=\xe6\xb8\xa9");
    log_info("test", "a=%s", "back\\slash and \"quote\"");
    assert_text("a=\"back\\\\slash and \\\"quote\\\"\"");
}

static void log_text_never_shows_control_characters(void **state)
{
    (void)state;
    log_info("test", "a=%s b=%s", "x\n2026 ERROR forged\r", "\x1b[31mred\x7f\t");
    assert_text("a=\"x\\n2026 ERROR forged\\u000d\" b=\"\\u001b[31mred\\u007f\\t\"");
    log_info("test", "a=%c", '\n');
    assert_text("a=\"\\n\"");
    log_info("test", "a=%s b=%s",
             "\xc2\x9b"
             "31m",
             "\xc2\xa0");
    assert_text("a=\"\\u009b31m\" b=\xc2\xa0");
    log_info("test", "a=%s", "\xe2\x80\xa8\xe2\x80\xa9");
    assert_text("a=\"\\u2028\\u2029\"");
}

static void log_text_shows_bytes_that_are_not_utf8_as_hex(void **state)
{
    (void)state;
    log_info("test", "a=%s", "x\xff\xc3(");
    assert_text("a=\"x\\xff\\xc3(\"");
}

static void log_json_escapes_what_json_wants_escaped(void **state)
{
    (void)state;
    log_info("test", "a=%s b=%s", "say \"x\" \\ \n\t\x01", "\x1b\x7f");
    assert_json("\"a\":\"say \\\"x\\\" \\\\ \\n\\t\\u0001\",\"b\":\"\\u001b\\u007f\"");
    log_info("test", "a=%s", "x\xff\xed\xa0\x80");
    assert_json("\"a\":\"x\\ufffd\\ufffd\\ufffd\\ufffd\"");
    log_info("test", "a=%s", "\xe6\xb8\xa9");
    assert_json("\"a\":\"\xe6\xb8\xa9\"");
}

static void log_json_numbers_stay_numbers(void **state)
{
    (void)state;
    log_info("test", "a=%d b=%llu c=%.2f d=42 e=0 f=%d", -1, ULLONG_MAX, -0.5, 0);
    assert_json("\"a\":-1,\"b\":18446744073709551615,\"c\":-0.50,\"d\":42,\"e\":0,\"f\":0");
}

static void log_json_texts_that_look_like_numbers_stay_texts(void **state)
{
    (void)state;
    log_info("test", "a=%s b=%d:%d c=%04d d=%x e=007 f=%c g=%d%d h=1.5 i=%f", "12", 1, 2, 7, 12u,
             '5', 1, 2, (double)INFINITY);
    assert_json("\"a\":\"12\",\"b\":\"1:2\",\"c\":\"0007\",\"d\":\"c\",\"e\":\"007\",\"f\":\"5\","
                "\"g\":\"12\",\"h\":\"1.5\",\"i\":\"inf\"");
    log_info("test", "a=%05d b=", -7);
    assert_json("\"a\":\"-0007\",\"b\":\"\"");
}

static void log_words_without_a_key_are_a_message_in_json(void **state)
{
    (void)state;
    log_info("test", "started on=%s with %d listeners", "api", 3);
    assert_json("\"on\":\"api\",\"message\":\"started with 3 listeners\"");
    log_info("test", "%s", "no key");
    assert_json("\"message\":\"no key\"");
}

static void log_words_without_a_key_stay_in_place_in_text(void **state)
{
    (void)state;
    log_info("test", "started on=%s with %d listeners", "api", 3);
    assert_text("started on=api with 3 listeners");
    log_info("test", "%s", "no key");
    assert_text("\"no key\"");
}

static void log_values_are_cut_at_512_bytes(void **state)
{
    static char value[2000], expected[2000];

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    log_info("test", "a=%s%s b=1", value, "more");
    snprintf(expected, sizeof(expected), STAMP " INFO test a=%.512s b=1\n", value);
    assert_string_equal(written(), expected);
}

static void log_values_are_not_cut_within_a_character(void **state)
{
    static char value[2000], expected[2000];

    (void)state;
    for (size_t before = 508; before <= 512; before++) {
        size_t kept = before == 508 ? 512 : before;

        memset(value, 'x', before);
        strcpy(value + before, "\xf0\x9f\x98\x80"
                               "end");
        log_info("test", "a=%s", value);
        snprintf(expected, sizeof(expected), STAMP " INFO test a=%.*s\n", (int)kept, value);
        assert_string_equal(written(), expected);
    }
}

static void log_survives_a_conversion_it_does_not_know(void **state)
{
    (void)state;
    log_info("test", "a=%d b=%p c=%s", 1, (void *)0, "never read");
    assert_text("a=1 b=?");
}

static void log_level_decides_what_is_written(void **state)
{
    enum log_level level;

    (void)state;
    log_debug("test", "a=1");
    assert_string_equal(written(), "");
    assert_true(log_wants(LOG_LEVEL_INFO));
    assert_false(log_wants(LOG_LEVEL_DEBUG));
    assert_true(log_level_from_name("debug", &level));
    assert_int_equal(log_open(level, false, file), 0);
    log_debug("test", "a=1");
    assert_string_equal(written(), STAMP " DEBUG test a=1\n");
    assert_int_equal(log_open(LOG_LEVEL_ERROR, false, file), 0);
    log_warn("test", "a=1");
    assert_string_equal(written(), "");
}

static void log_level_names_are_four(void **state)
{
    enum log_level level;

    (void)state;
    assert_true(log_level_from_name("error", &level) && level == LOG_LEVEL_ERROR);
    assert_true(log_level_from_name("warn", &level) && level == LOG_LEVEL_WARN);
    assert_true(log_level_from_name("info", &level) && level == LOG_LEVEL_INFO);
    assert_false(log_level_from_name("WARN", &level));
    assert_false(log_level_from_name("", &level));
    assert_false(log_level_from_name("warning", &level));
}

static void log_open_that_fails_leaves_all_as_it_was(void **state)
{
    (void)state;
    errno = 0;
    assert_int_equal(log_open(LOG_LEVEL_DEBUG, true, "/nonexistent/folder/log"), -1);
    assert_int_equal(errno, ENOENT);
    assert_false(log_wants(LOG_LEVEL_DEBUG));
    log_info("test", "a=1");
    assert_text("a=1");
}

static void log_opened_again_follows_a_rotation(void **state)
{
    char rotated[128];

    (void)state;
    snprintf(rotated, sizeof(rotated), "%s.1", file);
    log_info("test", "a=1");
    assert_int_equal(rename(file, rotated), 0);
    assert_int_equal(log_open(LOG_LEVEL_INFO, false, file), 0);
    log_info("test", "a=2");
    assert_text("a=2");
    assert_int_equal(unlink(rotated), 0);
}

static void log_open_appends(void **state)
{
    (void)state;
    log_info("test", "a=1");
    assert_int_equal(log_open(LOG_LEVEL_INFO, false, file), 0);
    log_info("test", "a=2");
    assert_int_equal(count_lines(written()), 2);
}

static void log_keeps_errno(void **state)
{
    (void)state;
    errno = EPERM;
    log_info("test", "a=%f", 1.0);
    assert_int_equal(errno, EPERM);
}

static void say(enum log_level level, int times)
{
    while (times-- > 0)
        log_write(level, "test", "n=%d", times);
}

static void log_holds_back_what_repeats(void **state)
{
    (void)state;
    say(LOG_LEVEL_INFO, 100);
    assert_int_equal(count_lines(written()), 20);
    log_info("test", "other=1");
    log_info("area2", "n=%d", 1);
    assert_int_equal(count_lines(written()), 2);
    clock_advance(59999);
    say(LOG_LEVEL_INFO, 5);
    assert_string_equal(written(), "");
    clock_advance(1);
    say(LOG_LEVEL_INFO, 1);
    assert_string_equal(written(), "2026-01-31T12:01:00.123Z INFO test n=0 held_back=85\n");
    say(LOG_LEVEL_INFO, 1);
    assert_string_equal(written(), "2026-01-31T12:01:00.123Z INFO test n=0\n");
}

static void log_says_what_was_held_back_in_json_too(void **state)
{
    (void)state;
    say(LOG_LEVEL_INFO, 23);
    written();
    clock_advance(60000);
    say(LOG_LEVEL_INFO, 1);
    assert_non_null(strstr(written(), "\"n\":0,\"held_back\":3}\n"));
}

static void log_never_holds_back_debug_lines(void **state)
{
    (void)state;
    assert_int_equal(log_open(LOG_LEVEL_DEBUG, false, file), 0);
    say(LOG_LEVEL_DEBUG, 100);
    assert_int_equal(count_lines(written()), 100);
}

static void log_says_what_it_held_back_before_it_forgets(void **state)
{
    static char formats[200][16];

    (void)state;
    say(LOG_LEVEL_INFO, 27);
    written();
    clock_advance(10);
    for (int i = 0; i < 200; i++) {
        void (*write_line)(enum log_level, const char *, const char *, ...) = log_write;

        snprintf(formats[i], sizeof(formats[i]), "k=%d", i);
        write_line(LOG_LEVEL_INFO, "test", formats[i]);
    }
    assert_non_null(strstr(written(), " INFO test held_back=7\n"));
}

static int open_pipe(void)
{
    int reader;

    assert_int_equal(mkfifo(file, 0600), 0);
    reader = open(file, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(log_open(LOG_LEVEL_DEBUG, false, file), 0);
    return reader;
}

static void log_does_not_wait_for_a_slow_reader(void **state)
{
    static char text[1 << 20];
    uint64_t lost_before = log_lost_lines(), lost;
    char expected[96];
    ssize_t len;
    int reader;

    (void)state;
    unlink(file);
    reader = open_pipe();
    say(LOG_LEVEL_DEBUG, 5000);
    lost = log_lost_lines() - lost_before;
    assert_true(lost > 0 && lost < 5000);
    len = read(reader, text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_int_equal(count_lines(text), 5000 - lost);

    log_debug("test", "again=1");
    len = read(reader, text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len] = '\0';
    snprintf(expected, sizeof(expected),
             STAMP " WARN log lost_lines=%" PRIu64 "\n" STAMP " DEBUG test again=1\n", lost);
    assert_string_equal(text, expected);
    log_debug("test", "again=1");
    len = read(reader, text, sizeof(text) - 1);
    assert_true(len > 0);
    text[len] = '\0';
    assert_string_equal(text, STAMP " DEBUG test again=1\n");
    close(reader);
}

/* Lines over PIPE_BUF may be accepted in part. */
static void log_begins_a_new_line_after_a_torn_one(void **state)
{
    static char text[1 << 20], value[600];
    ssize_t len;
    char *torn;
    int reader;

    (void)state;
    unlink(file);
    reader = open_pipe();
    memset(value, '\x01', sizeof(value) - 1);
    for (int i = 0; i < 40; i++)
        log_debug("test", "a=%s b=%s", value, value);
    len = read(reader, text, sizeof(text) - 1);
    assert_true(len > 0);
    log_debug("test", "again=1");
    assert_true(read(reader, text + len, sizeof(text) - 1 - (size_t)len) > 0);
    torn = text + len;
    assert_int_equal(text[len - 1] == '\n', *torn != '\n');
    assert_non_null(strstr(torn, "\n" STAMP " DEBUG test again=1\n"));
    close(reader);
}

/* -- lines that were asked for ---------------------------------------------------------------- */

static void log_records_whatever_the_level_and_all_of_them(void **state)
{
    (void)state;
    assert_int_equal(log_open(LOG_LEVEL_ERROR, false, file), 0);
    for (int i = 0; i < 100; i++)
        log_record("test", "a=%d", i);
    assert_int_equal(count_lines(written()), 100);
    log_record("test", "a=%s", "b c");
    assert_text("a=\"b c\"");
}

static void log_audits_into_a_file_of_its_own(void **state)
{
    char audit[128], rotated[160];

    (void)state;
    snprintf(audit, sizeof(audit), "%s/audit", folder);
    snprintf(rotated, sizeof(rotated), "%s.1", audit);
    log_audit("test", "a=%d", 1); /* there is no file yet */
    assert_int_equal(log_open_audit(audit), 0);
    for (int i = 0; i < 100; i++)
        log_audit("test", "a=%d", i);
    assert_string_equal(written(), "");
    assert_int_equal(rename(audit, rotated), 0);
    log_audit("test", "a=%d", 100);
    assert_int_equal(count_lines_of(rotated), 101);
    assert_int_equal(log_open_audit("/nonexistent/folder/audit"), -1);
    log_audit("test", "a=%d", 101);
    assert_int_equal(count_lines_of(rotated), 102);
    assert_int_equal(log_open_audit(audit), 0);
    log_audit("test", "a=%s", "x\ny");
    assert_int_equal(count_lines_of(audit), 1);
    assert_int_equal(log_open_audit(""), 0);
    log_audit("test", "a=%d", 2);
    assert_int_equal(count_lines_of(audit), 1);
    assert_int_equal(log_lost_audit_lines(), 0);
    assert_int_equal(unlink(audit) | unlink(rotated), 0);
}

static void log_says_that_an_audit_line_is_lost(void **state)
{
    (void)state;
    assert_int_equal(log_open_audit("/dev/full"), 0);
    log_audit("test", "a=%d", 1);
    assert_int_equal(log_lost_audit_lines(), 1);
    assert_non_null(strstr(written(), "ERROR audit state=lost reason=\"No space left on device\""));
    assert_int_equal(log_open_audit(""), 0);
}

#define IN_TEXT(name) cmocka_unit_test_setup_teardown(name, start_text, stop)
#define IN_JSON(name) cmocka_unit_test_setup_teardown(name, start_json, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TEXT(log_text_line_has_time_level_area_and_words),
        IN_JSON(log_json_line_has_time_level_area_and_members),
        IN_TEXT(log_knows_all_conversions),
        IN_TEXT(log_strings_end_at_their_precision),
        IN_TEXT(log_values_may_have_several_parts),
        IN_TEXT(log_text_quotes_only_what_needs_it),
        IN_TEXT(log_text_never_shows_control_characters),
        IN_TEXT(log_text_shows_bytes_that_are_not_utf8_as_hex),
        IN_JSON(log_json_escapes_what_json_wants_escaped),
        IN_JSON(log_json_numbers_stay_numbers),
        IN_JSON(log_json_texts_that_look_like_numbers_stay_texts),
        IN_JSON(log_words_without_a_key_are_a_message_in_json),
        IN_TEXT(log_words_without_a_key_stay_in_place_in_text),
        IN_TEXT(log_values_are_cut_at_512_bytes),
        IN_TEXT(log_values_are_not_cut_within_a_character),
        IN_TEXT(log_survives_a_conversion_it_does_not_know),
        IN_TEXT(log_level_decides_what_is_written),
        IN_TEXT(log_level_names_are_four),
        IN_TEXT(log_open_that_fails_leaves_all_as_it_was),
        IN_TEXT(log_opened_again_follows_a_rotation),
        IN_TEXT(log_open_appends),
        IN_TEXT(log_keeps_errno),
        IN_TEXT(log_holds_back_what_repeats),
        IN_JSON(log_says_what_was_held_back_in_json_too),
        IN_TEXT(log_never_holds_back_debug_lines),
        IN_TEXT(log_says_what_it_held_back_before_it_forgets),
        IN_TEXT(log_does_not_wait_for_a_slow_reader),
        IN_TEXT(log_records_whatever_the_level_and_all_of_them),
        IN_TEXT(log_audits_into_a_file_of_its_own),
        IN_TEXT(log_says_that_an_audit_line_is_lost),
        IN_TEXT(log_begins_a_new_line_after_a_torn_one),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

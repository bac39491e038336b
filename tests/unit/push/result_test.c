#include "push/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char default_pauses[] = "10s, 60s", default_statuses[] = "5xx";

static const struct push_settings settings = {
    .fail_statuses = default_statuses,
    .retry_first_ms = 1000,
    .retry_max_ms = 60000,
    .refused_pauses = default_pauses,
    .retry_after_max_ms = 180000,
    .retry_after_default_ms = 5000,
};

#define NO_RETRY_AFTER (-1)

static struct http_result answered(int status, int64_t retry_after_ms)
{
    return (struct http_result){
        .outcome = HTTP_ANSWERED, .status = status, .retry_after_ms = retry_after_ms};
}

static void assert_class(int status, int64_t retry_after_ms, enum result_class expected,
                         bool counts)
{
    struct http_result result = answered(status, retry_after_ms);
    enum result_class class = result_classify(&result, &settings);

    if (class != expected)
        fail_msg("%d is %s, not %s", status, result_class_name(class), result_class_name(expected));
    if (result_counts(class, &result) != counts)
        fail_msg("%d %s", status, counts ? "does not count" : "counts");
}

/* -- classes ---------------------------------------------------------------------------------- */

static void every_2xx_is_delivered(void **state)
{
    (void)state;
    for (int status = 200; status < 300; status++)
        assert_class(status, NO_RETRY_AFTER, RESULT_OK, false);
    assert_class(200, 7000, RESULT_OK, false);
}

static void with_strict200_another_2xx_is_refused(void **state)
{
    struct push_settings strict = settings;

    (void)state;
    strict.strict200 = true;
    for (int status = 200; status < 300; status++) {
        struct http_result result = answered(status, NO_RETRY_AFTER);
        enum result_class class = result_classify(&result, &strict);

        assert_int_equal(class, status == 200 ? RESULT_OK : RESULT_REFUSED);
        assert_false(result_counts(class, &result));
    }
}

static void every_5xx_fails_and_counts(void **state)
{
    (void)state;
    for (int status = 500; status < 600; status++)
        assert_class(status, NO_RETRY_AFTER, RESULT_FAIL, true);
}

static enum result_class class_with(const char *statuses, int status, int64_t retry_after_ms)
{
    char list[64];
    struct push_settings narrow = settings;
    struct http_result result = answered(status, retry_after_ms);

    snprintf(list, sizeof(list), "%s", statuses);
    narrow.fail_statuses = list;
    return result_classify(&result, &narrow);
}

static void failures_can_be_narrowed_to_some_statuses(void **state)
{
    (void)state;
    assert_int_equal(class_with("500, 502,503", 502, NO_RETRY_AFTER), RESULT_FAIL);
    assert_int_equal(class_with("500, 502,503", 503, NO_RETRY_AFTER), RESULT_FAIL);
    assert_int_equal(class_with("500, 502,503", 501, NO_RETRY_AFTER), RESULT_REFUSED);
    assert_int_equal(class_with("500", 503, 7000), RESULT_THROTTLE);
    assert_int_equal(class_with("501, 5XX", 599, NO_RETRY_AFTER), RESULT_FAIL);
    assert_int_equal(class_with("500", 999, NO_RETRY_AFTER), RESULT_FAIL);
}

static void lists_of_statuses_are_checked(void **state)
{
    static const char *const bad[] = {"",    "499",  "600",     "5x",       "500-503", "500,",
                                      "4xx", "-500", "500 502", "500,,502", "x"};

    (void)state;
    assert_null(result_check_statuses("5xx"));
    assert_null(result_check_statuses(" 500 , 599 "));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        if (!result_check_statuses(bad[i]))
            fail_msg("\"%s\" is taken", bad[i]);
    }
}

static void an_answer_that_is_no_status_at_all_fails(void **state)
{
    (void)state;
    assert_class(600, NO_RETRY_AFTER, RESULT_FAIL, true);
    assert_class(999, NO_RETRY_AFTER, RESULT_FAIL, true);
}

static void no_answer_fails_and_counts(void **state)
{
    static const enum http_outcome outcomes[] = {HTTP_CONNECT_FAILED, HTTP_TLS_FAILED,
                                                 HTTP_TIMED_OUT, HTTP_RESET, HTTP_MALFORMED};

    (void)state;
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        /* whatever stands in the members that belong to an answer */
        struct http_result result = {outcomes[i], 200, 7000, "/", "broken", i % 2};
        enum result_class class = result_classify(&result, &settings);

        assert_int_equal(class, RESULT_FAIL);
        assert_true(result_counts(class, &result));
    }
}

static void a_503_throttles_only_with_retry_after_and_counts_always(void **state)
{
    (void)state;
    assert_class(503, NO_RETRY_AFTER, RESULT_FAIL, true);
    assert_class(503, 0, RESULT_THROTTLE, true);
    assert_class(503, 7000, RESULT_THROTTLE, true);
}

static void a_429_throttles_with_or_without_retry_after_and_does_not_count(void **state)
{
    (void)state;
    assert_class(429, NO_RETRY_AFTER, RESULT_THROTTLE, false);
    assert_class(429, 0, RESULT_THROTTLE, false);
    assert_class(429, 7000, RESULT_THROTTLE, false);
}

static void retry_after_changes_no_other_status(void **state)
{
    (void)state;
    assert_class(500, 7000, RESULT_FAIL, true);
    assert_class(404, 7000, RESULT_REFUSED, false);
    assert_class(408, 7000, RESULT_SOFT, false);
    assert_class(301, 7000, RESULT_REFUSED, false);
}

static void timeouts_that_the_receiver_tells_are_soft(void **state)
{
    (void)state;
    assert_class(408, NO_RETRY_AFTER, RESULT_SOFT, false);
    assert_class(425, NO_RETRY_AFTER, RESULT_SOFT, false);
}

static void redirections_are_refusals(void **state)
{
    (void)state;
    for (int status = 300; status < 400; status++)
        assert_class(status, NO_RETRY_AFTER, RESULT_REFUSED, false);
}

static void every_other_4xx_is_a_refusal(void **state)
{
    (void)state;
    for (int status = 400; status < 500; status++) {
        if (status != 408 && status != 425 && status != 429)
            assert_class(status, NO_RETRY_AFTER, RESULT_REFUSED, false);
    }
}

static void classes_have_names(void **state)
{
    (void)state;
    assert_string_equal(result_class_name(RESULT_OK), "ok");
    assert_string_equal(result_class_name(RESULT_FAIL), "fail");
    assert_string_equal(result_class_name(RESULT_THROTTLE), "throttle");
    assert_string_equal(result_class_name(RESULT_SOFT), "soft");
    assert_string_equal(result_class_name(RESULT_REFUSED), "refused");
}

/* -- pauses ----------------------------------------------------------------------------------- */

static void pauses_double_from_the_first_to_the_longest(void **state)
{
    static const int64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};

    (void)state;
    for (unsigned i = 0; i < sizeof(expected) / sizeof(*expected); i++)
        assert_int_equal(result_retry_pause_ms(&settings, i + 1, 0.5), expected[i]);
    assert_int_equal(result_retry_pause_ms(&settings, 1000000, 0.5), 60000);
    assert_int_equal(result_retry_pause_ms(&settings, (unsigned)-1, 0.5), 60000);
}

static void pauses_vary_by_a_fifth_either_way(void **state)
{
    (void)state;
    for (unsigned attempt = 1; attempt < 10; attempt++) {
        int64_t middle_ms = result_retry_pause_ms(&settings, attempt, 0.5);
        int64_t before_ms = 0;

        assert_in_range(result_retry_pause_ms(&settings, attempt, 0), middle_ms * 8 / 10 - 1,
                        middle_ms * 8 / 10);
        assert_in_range(result_retry_pause_ms(&settings, attempt, 1), middle_ms * 12 / 10 - 1,
                        middle_ms * 12 / 10);
        for (int i = 0; i <= 10; i++) {
            int64_t pause_ms = result_retry_pause_ms(&settings, attempt, i / 10.0);

            assert_true(pause_ms > before_ms);
            before_ms = pause_ms;
        }
    }
}

static void a_first_pause_above_the_longest_is_the_longest(void **state)
{
    struct push_settings odd = settings;

    (void)state;
    odd.retry_first_ms = 90000;
    assert_int_equal(result_retry_pause_ms(&odd, 1, 0.5), 60000);
    assert_int_equal(result_retry_pause_ms(&odd, 2, 0.5), 60000);
}

static void a_longest_pause_of_a_day_is_reached_without_overflow(void **state)
{
    struct push_settings patient = settings;

    (void)state;
    patient.retry_max_ms = 86400000;
    assert_int_equal(result_retry_pause_ms(&patient, 17, 0.5), 65536000);
    assert_int_equal(result_retry_pause_ms(&patient, 18, 0.5), 86400000);
    assert_int_equal(result_retry_pause_ms(&patient, 5000, 0.5), 86400000);
}

static void a_throttle_pauses_as_long_as_it_says_within_bounds(void **state)
{
    static const int64_t cases[][2] = {{0, 1000},        {1, 1000},         {999, 1000},
                                       {1000, 1000},     {7000, 7000},      {180000, 180000},
                                       {180001, 180000}, {9999000, 180000}, {INT64_MAX, 180000}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct http_result result = answered(503, cases[i][0]);

        assert_int_equal(result_throttle_ms(&result, &settings), cases[i][1]);
        result.status = 429;
        assert_int_equal(result_throttle_ms(&result, &settings), cases[i][1]);
    }
}

static void a_throttle_that_says_nothing_pauses_by_the_setting(void **state)
{
    struct http_result result = answered(429, NO_RETRY_AFTER);

    (void)state;
    assert_int_equal(result_throttle_ms(&result, &settings), 5000);
}

static int64_t refused_pause(const char *list, unsigned refusals)
{
    struct push_settings other = settings;
    char text[100];

    snprintf(text, sizeof(text), "%s", list);
    other.refused_pauses = text;
    return result_refused_pause_ms(&other, refusals);
}

static void a_refusal_is_tried_again_after_each_listed_pause(void **state)
{
    (void)state;
    assert_int_equal(result_refused_pause_ms(&settings, 1), 10000);
    assert_int_equal(result_refused_pause_ms(&settings, 2), 60000);
    assert_int_equal(result_refused_pause_ms(&settings, 3), -1);
    assert_int_equal(result_refused_pause_ms(&settings, 1000), -1);
    assert_int_equal(refused_pause("0, 500ms,2h", 1), 0);
    assert_int_equal(refused_pause("0, 500ms,2h", 2), 500);
    assert_int_equal(refused_pause("0, 500ms,2h", 3), 7200000);
}

static void without_listed_pauses_the_first_refusal_is_the_last(void **state)
{
    (void)state;
    assert_int_equal(refused_pause("", 1), -1);
    assert_int_equal(refused_pause(" ", 1), -1);
}

static void eight_pauses_can_be_listed(void **state)
{
    (void)state;
    assert_int_equal(refused_pause("1s,2s,3s,4s,5s,6s,7s,8s", 8), 8000);
    assert_int_equal(refused_pause("1s,2s,3s,4s,5s,6s,7s,8s", 9), -1);
}

/* -- words ------------------------------------------------------------------------------------ */

static void assert_words(struct http_result result, const char *expected)
{
    char text[RESULT_TEXT_SIZE];

    result_write(&result, text);
    assert_string_equal(text, expected);
}

static void assert_location(const char *location, const char *expected)
{
    struct http_result result = answered(302, NO_RETRY_AFTER);

    result.location = location;
    assert_words(result, expected);
}

static void a_failure_is_told_in_words(void **state)
{
    struct http_result with_location = answered(404, NO_RETRY_AFTER);

    (void)state;
    with_location.location = "https://elsewhere.example/";
    assert_words(with_location, "status 404");
    assert_words((struct http_result){.outcome = HTTP_RESET, .reason = "closed"}, "closed");
    assert_words((struct http_result){.outcome = HTTP_RESET}, "no answer");
}

static void a_redirect_says_where_to_without_what_may_be_secret(void **state)
{
    (void)state;
    assert_location(NULL, "status 302");
    assert_location("", "status 302");
    assert_location("https://elsewhere.example/login", "status 302 to https://elsewhere.example/login");
    assert_location("/login?token=secret#x", "status 302 to /login");
    assert_location("//host/a@b", "status 302 to //host/a@b");
    assert_location("http://user:secret@host:8080?x", "status 302 to http://host:8080");
    assert_location("http://u@v@host/p", "status 302 to http://host/p");
}

static void a_redirect_to_what_cannot_be_shown_is_a_status(void **state)
{
    (void)state;
    assert_location("/a b", "status 302");
    assert_location("/a\x1b[31m", "status 302");
    assert_location("/\xc3\xa4", "status 302");
}

static void a_long_location_is_cut(void **state)
{
    struct http_result result = answered(301, NO_RETRY_AFTER);
    char location[1000] = "/", text[RESULT_TEXT_SIZE];

    (void)state;
    memset(location + 1, 'a', sizeof(location) - 2);
    result.location = location;
    result_write(&result, text);
    assert_int_equal(strlen(text), RESULT_TEXT_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_2xx_is_delivered),
        cmocka_unit_test(with_strict200_another_2xx_is_refused),
        cmocka_unit_test(every_5xx_fails_and_counts),
        cmocka_unit_test(an_answer_that_is_no_status_at_all_fails),
        cmocka_unit_test(no_answer_fails_and_counts),
        cmocka_unit_test(a_503_throttles_only_with_retry_after_and_counts_always),
        cmocka_unit_test(a_429_throttles_with_or_without_retry_after_and_does_not_count),
        cmocka_unit_test(retry_after_changes_no_other_status),
        cmocka_unit_test(timeouts_that_the_receiver_tells_are_soft),
        cmocka_unit_test(redirections_are_refusals),
        cmocka_unit_test(every_other_4xx_is_a_refusal),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(pauses_double_from_the_first_to_the_longest),
        cmocka_unit_test(pauses_vary_by_a_fifth_either_way),
        cmocka_unit_test(a_first_pause_above_the_longest_is_the_longest),
        cmocka_unit_test(a_longest_pause_of_a_day_is_reached_without_overflow),
        cmocka_unit_test(a_throttle_pauses_as_long_as_it_says_within_bounds),
        cmocka_unit_test(a_throttle_that_says_nothing_pauses_by_the_setting),
        cmocka_unit_test(a_refusal_is_tried_again_after_each_listed_pause),
        cmocka_unit_test(without_listed_pauses_the_first_refusal_is_the_last),
        cmocka_unit_test(eight_pauses_can_be_listed),
        cmocka_unit_test(a_failure_is_told_in_words),
        cmocka_unit_test(a_redirect_says_where_to_without_what_may_be_secret),
        cmocka_unit_test(a_redirect_to_what_cannot_be_shown_is_a_status),
        cmocka_unit_test(a_long_location_is_cut),
        cmocka_unit_test(failures_can_be_narrowed_to_some_statuses),
        cmocka_unit_test(lists_of_statuses_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

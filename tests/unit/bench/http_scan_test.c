#include "bench/http_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define REQUEST                                                                                    \
    "POST /callback?a=b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"                 \
    "content-length:  5\r\nX-Notify-Id: 28-1-0-d4\r\nX-Notify-Attempt: 3\r\n"                      \
    "X-Notify-Subscription: d4\r\n\r\nhello"

static struct http_message message;

static void assert_text(struct str text, const char *wanted)
{
    assert_true(str_eq(text, str_of(wanted)));
}

static void a_request_is_read(void **state)
{
    struct str input = STR(REQUEST "POST / HT");

    (void)state;
    assert_int_equal(http_scan_request(input, &message), SCAN_WHOLE);
    assert_text(message.target, "/callback?a=b");
    assert_text(message.body, "hello");
    assert_text(message.notify_id, "28-1-0-d4");
    assert_text(message.subscription, "d4");
    assert_int_equal(message.attempt, 3);
    assert_false(message.closes);
    assert_int_equal(message.size_bytes, sizeof(REQUEST) - 1);
}

static void a_part_of_a_request_is_not_enough(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(REQUEST) - 1; len++) {
        char *exact = malloc(len ? len : 1); /* so that reading beyond it is noticed */

        memcpy(exact, REQUEST, len);
        assert_int_equal(http_scan_request(str_n(exact, len), &message), SCAN_MORE);
        free(exact);
    }
}

static void the_end_of_a_connection_is_announced(void **state)
{
    (void)state;
    http_scan_request(STR("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"), &message);
    assert_true(message.closes);
    http_scan_request(STR("GET / HTTP/1.0\r\n\r\n"), &message);
    assert_true(message.closes);
    http_scan_request(STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &message);
    assert_false(message.closes);
}

static void what_is_not_http_is_refused(void **state)
{
    static const char *const broken[] = {
        "\r\n\r\n",
        "hello\r\n\r\n",
        "POST /\r\n\r\n",
        "POST / HTTP/2.0\r\n\r\n",
        "POST / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
        assert_int_equal(http_scan_request(str_of(broken[i]), &message), SCAN_BROKEN);
}

static void a_head_without_end_is_refused(void **state)
{
    static char head[SCAN_HEAD_MAX + 100];
    int len = snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nX-Long: ");

    (void)state;
    memset(head + len, 'x', sizeof(head) - (size_t)len);
    assert_int_equal(http_scan_request(str_n(head, 1000), &message), SCAN_MORE);
    assert_int_equal(http_scan_request(str_n(head, sizeof(head)), &message), SCAN_BROKEN);
    memset(head, 'x', sizeof(head));
    assert_int_equal(http_scan_request(str_n(head, sizeof(head)), &message), SCAN_BROKEN);
}

static void an_answer_is_read(void **state)
{
    (void)state;
    assert_int_equal(http_scan_answer(STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), &message),
                     SCAN_WHOLE);
    assert_int_equal(message.status, 200);
    assert_text(message.body, "{}");
    assert_int_equal(http_scan_answer(STR("HTTP/1.1 204\r\n\r\n"), &message), SCAN_WHOLE);
    assert_int_equal(message.status, 204);
    assert_int_equal(http_scan_answer(STR("HTTP/1.1 2xx OK\r\n\r\n"), &message), SCAN_BROKEN);
    assert_int_equal(http_scan_answer(STR("SSH-2.0\r\n"), &message), SCAN_BROKEN);
    assert_int_equal(http_scan_answer(STR("HTTP/1.1 200 O"), &message), SCAN_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_read),
        cmocka_unit_test(a_part_of_a_request_is_not_enough),
        cmocka_unit_test(the_end_of_a_connection_is_announced),
        cmocka_unit_test(what_is_not_http_is_refused),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(an_answer_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

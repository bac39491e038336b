#include "net/http_guard.h"

#include <event2/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOST "Host: a.example\r\n"

static const struct http_limits limits = {.header_bytes = 256, .body_bytes = 64};

/* What the guard says of a request, which must be the same however the bytes arrive. */
static int verdict_in_pieces(const char *request, size_t len, size_t piece,
                             enum http_guard_phase *phase)
{
    struct http_guard guard;
    int status = 0;

    http_guard_init(&guard);
    for (size_t i = 0; i < len && !status; i += piece)
        status =
            http_guard_feed(&guard, &limits, str_n(request + i, len - i < piece ? len - i : piece));
    *phase = guard.phase;
    http_guard_clear(&guard);
    return status;
}

static int verdict_of(struct str request, enum http_guard_phase *phase)
{
    int whole = verdict_in_pieces(request.p, request.len, request.len, phase);

    for (size_t piece = 1; piece < request.len && piece < 20; piece++) {
        enum http_guard_phase phase_in_pieces;

        assert_int_equal(verdict_in_pieces(request.p, request.len, piece, &phase_in_pieces), whole);
        if (!whole)
            assert_int_equal(phase_in_pieces, *phase);
    }
    return whole;
}

static void assert_refused_bytes(struct str request, int status)
{
    enum http_guard_phase phase;
    int verdict = verdict_of(request, &phase);

    if (verdict != status)
        fail_msg("%d instead of %d for: %s", verdict, status, request.p);
}

static void assert_refused(const char *request, int status)
{
    assert_refused_bytes(str_of(request), status);
}

static void assert_phase(const char *request, enum http_guard_phase expected)
{
    enum http_guard_phase phase;
    int verdict = verdict_of(str_of(request), &phase);

    if (verdict || phase != expected)
        fail_msg("verdict %d, phase %d for: %s", verdict, (int)phase, request);
}

static void assert_complete(const char *request)
{
    assert_phase(request, GUARD_COMPLETE);
}

static void requests_without_a_body_end_with_their_head(void **state)
{
    (void)state;
    assert_phase("GET / HTTP/1.1\r\n", GUARD_HEAD);
    assert_phase("GET / HTTP/1.1\r\n" HOST, GUARD_HEAD);
    assert_complete("GET / HTTP/1.1\r\n" HOST "\r\n");
    assert_complete("GET /a?b=c%20d HTTP/1.1\r\n" HOST "app_key: x\r\nX:\r\nY: a\tb\r\n\r\n");
    assert_complete("DELETE /a HTTP/1.0\r\n\r\n");
    assert_complete("OPTIONS /a HTTP/1.1\r\n" HOST "\r\n");
    assert_complete("POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
}

static void a_body_is_complete_with_its_last_byte(void **state)
{
    (void)state;
    assert_phase("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhell", GUARD_BODY);
    assert_complete("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    assert_complete("GET / HTTP/1.1\r\n" HOST "Content-Length: 5 \t\r\n\r\nhello");
}

static void what_follows_a_request_is_not_looked_at(void **state)
{
    (void)state;
    assert_complete("GET / HTTP/1.1\r\n" HOST "\r\n\n\n\n");
    assert_complete("POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhello\n\n");
    assert_complete("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx\n");
}

static void a_chunked_body_ends_with_its_empty_chunk(void **state)
{
    (void)state;
    assert_phase("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
                 GUARD_BODY);
    assert_complete("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
                    "5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n");
}

static void chunks_have_one_form(void **state)
{
    static const char *const chunks[] = {
        "5;a=b\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\na: b\r\n",
        "g\r\n",
        "00000000000000000000001\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
        char request[256] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n";

        strcat(request, chunks[i]);
        assert_refused(request, 400);
    }
}

static void a_body_over_the_limit_is_413(void **state)
{
    (void)state;
    assert_complete("POST / HTTP/1.1\r\n" HOST "Content-Length: 64\r\n\r\n"
                    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_refused("POST / HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n", 413);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n41\r\n", 413);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                   "20\r\n0123456789abcdef0123456789abcdef\r\n21\r\n",
                   413);
    assert_refused(
        "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413);
}

static void a_head_over_the_limit_is_431(void **state)
{
    char request[400];

    (void)state;
    memset(request, 'x', sizeof(request));
    memcpy(request, "GET /", 5);
    assert_refused_bytes(str_n(request, 257), 431);
    memcpy(request, "GET / HTTP/1.1\r\nA: ", 19);
    assert_refused_bytes(str_n(request, 257), 431);
}

static void lengths_that_two_readers_could_read_differently_are_refused(void **state)
{
    static const char *const headers[] = {
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length:\r\n",
        "Content-Length:\t5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length : 5\r\n",
        " Content-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        char request[256] = "POST / HTTP/1.1\r\n" HOST;

        strcat(request, headers[i]);
        strcat(request, "\r\n");
        assert_refused(request, 400);
    }
}

static void other_transfer_encodings_are_501(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n", 501);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n", 501);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\tchunked\r\n", 501);
    assert_refused("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \r\n", 501);
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400);
}

static void methods_with_a_body_need_a_length(void **state)
{
    (void)state;
    assert_refused("POST / HTTP/1.1\r\n" HOST "\r\n", 411);
    assert_refused("PUT / HTTP/1.1\r\n" HOST "\r\n", 411);
    assert_refused("PATCH / HTTP/1.0\r\n\r\n", 411);
}

static void lines_end_in_cr_lf(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\n", 400);
    assert_refused("GET / HTTP/1.1\r\n" HOST "\n", 400);
    assert_refused("GET / HTTP/1.1\r\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA: b\r\r\n", 400);
    assert_refused("\r\nGET / HTTP/1.1\r\n", 400);
    assert_refused("\n", 400);
}

static void header_lines_have_one_form(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\r\nfoo\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\n: foo\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA: b\r\n c\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA\t: b\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA\xc3\xa4: b\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA: b\x01\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nA: b\x7f\r\n", 400);
    assert_refused_bytes(STR("GET / HTTP/1.1\r\nA: b\0c\r\n"), 400);
    assert_refused_bytes(STR("GET / HTTP/1.1\r\nA\0: b\r\n"), 400);
    assert_complete("GET / HTTP/1.1\r\n" HOST "A: \xc3\xa4\r\n\r\n");
}

static void request_lines_have_one_form(void **state)
{
    (void)state;
    assert_refused("GET /\r\n", 400);
    assert_refused("GET  / HTTP/1.1\r\n", 400);
    assert_refused("GET / HTTP/1.1 \r\n", 400);
    assert_refused("GET / x HTTP/1.1\r\n", 400);
    assert_refused(" GET / HTTP/1.1\r\n", 400);
    assert_refused("G(T / HTTP/1.1\r\n", 400);
    assert_refused("GET a HTTP/1.1\r\n", 400);
    assert_refused("GET http://a/ HTTP/1.1\r\n", 400);
    assert_refused("OPTIONS * HTTP/1.1\r\n", 400);
    assert_refused("GET /#a HTTP/1.1\r\n", 400);
    assert_refused("GET /\xc3\xa4 HTTP/1.1\r\n", 400);
    assert_refused("GET /\t HTTP/1.1\r\n", 400);
    assert_refused("GET //a.example/ HTTP/1.1\r\n", 404);
    assert_refused("GET / http/1.1\r\n", 400);
    assert_refused("GET / HTTP/1.10\r\n", 400);
    assert_refused("GET / HTTP/2.0\r\n", 505);
}

static void methods_that_nobody_serves_are_405(void **state)
{
    (void)state;
    assert_refused("HEAD / HTTP/1.1\r\n", 405);
    assert_refused("TRACE / HTTP/1.1\r\n", 405);
    assert_refused("CONNECT / HTTP/1.1\r\n", 405);
    assert_refused("BREW / HTTP/1.1\r\n", 405);
    assert_refused("get / HTTP/1.1\r\n", 405);
}

static void http_1_1_needs_one_host(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\n" HOST HOST, 400);
    assert_complete("GET / HTTP/1.1\r\nhost:\r\n\r\n");
}

static void only_100_can_be_expected(void **state)
{
    struct http_guard guard;

    (void)state;
    assert_refused("POST / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\n", 417);
    assert_complete("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n");
    http_guard_init(&guard);
    assert_int_equal(http_guard_feed(&guard, &limits,
                                     STR("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n")),
                     0);
    assert_true(guard.expects_continue);
    http_guard_clear(&guard);
}

static void the_path_is_kept_for_the_refusal(void **state)
{
    struct http_guard guard;

    (void)state;
    http_guard_init(&guard);
    assert_int_equal(http_guard_feed(&guard, &limits, STR("HEAD /a/b?c HTTP/1.1\r\n")), 405);
    assert_true(str_eq(str_n(guard.path, guard.path_len), STR("/a/b")));
    assert_true(guard.is_head_method);
    http_guard_clear(&guard);
}

static void a_cleared_guard_begins_anew(void **state)
{
    struct http_guard guard;
    const struct str request = STR("POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");

    (void)state;
    http_guard_init(&guard);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(guard.phase, GUARD_IDLE);
        assert_int_equal(http_guard_feed(&guard, &limits, request), 0);
        assert_int_equal(guard.phase, GUARD_COMPLETE);
        http_guard_clear(&guard);
    }
}

/* Feeds the end of a buffer that evhttp has not emptied, in pieces that are chains of their own. */
static void only_the_last_bytes_of_a_buffer_are_new(void **state)
{
    static const char request[] = "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                                  "1e\r\n012345678901234567890123456789\r\n0\r\n\r\nnext";
    const size_t len = sizeof(request) - 1;

    (void)state;
    for (size_t piece = 1; piece <= len; piece++) {
        struct evbuffer *buffer = evbuffer_new();
        struct http_guard guard;

        http_guard_init(&guard);
        evbuffer_add(buffer, "left over", 9);
        for (size_t i = 0; i < len; i += piece) {
            size_t n = len - i < piece ? len - i : piece;

            evbuffer_add_reference(buffer, request + i, n, NULL, NULL);
            assert_int_equal(http_guard_feed_buffer(&guard, &limits, buffer, n), 0);
        }
        assert_int_equal(guard.phase, GUARD_COMPLETE);
        http_guard_clear(&guard);
        assert_int_equal(http_guard_feed_buffer(&guard, &limits, buffer, len), 0);
        assert_int_equal(guard.phase, GUARD_COMPLETE);
        http_guard_clear(&guard);
        evbuffer_free(buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_without_a_body_end_with_their_head),
        cmocka_unit_test(a_body_is_complete_with_its_last_byte),
        cmocka_unit_test(what_follows_a_request_is_not_looked_at),
        cmocka_unit_test(a_chunked_body_ends_with_its_empty_chunk),
        cmocka_unit_test(chunks_have_one_form),
        cmocka_unit_test(a_body_over_the_limit_is_413),
        cmocka_unit_test(a_head_over_the_limit_is_431),
        cmocka_unit_test(lengths_that_two_readers_could_read_differently_are_refused),
        cmocka_unit_test(other_transfer_encodings_are_501),
        cmocka_unit_test(methods_with_a_body_need_a_length),
        cmocka_unit_test(lines_end_in_cr_lf),
        cmocka_unit_test(header_lines_have_one_form),
        cmocka_unit_test(request_lines_have_one_form),
        cmocka_unit_test(methods_that_nobody_serves_are_405),
        cmocka_unit_test(http_1_1_needs_one_host),
        cmocka_unit_test(only_100_can_be_expected),
        cmocka_unit_test(the_path_is_kept_for_the_refusal),
        cmocka_unit_test(a_cleared_guard_begins_anew),
        cmocka_unit_test(only_the_last_bytes_of_a_buffer_are_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

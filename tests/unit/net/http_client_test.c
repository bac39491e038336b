/*
 * The client against a peer in the same loop: what the peer does with a request is a function of
 * the test. Each test is one story of at most a few requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/http_answer.h"
#include "net/http_client.h"
#include "net/tls.h"

#include "certificates.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_RESULTS 4
#define SHORT_MS    120

struct world;
typedef void (*answer_fn)(struct world *world, struct bufferevent *peer);

struct world {
    struct event_base *base;
    struct evconnlistener *listener;
    struct sockaddr_in address;
    SSL_CTX *server_tls;
    answer_fn answer;
    struct bufferevent *peers[8];
    unsigned accepted, requests;
    char *request;    /* the last one, whole */
    const char *more; /* what peer_goes_on sends next */
    bool stops_reading;

    struct http_client_config config;
    struct http_client *client;
    struct http_result results[MAX_RESULTS];
    char reasons[MAX_RESULTS][80];
    unsigned result_count, idle_count, closed_count;
    bool frees_in_result, frees_in_idle, posts_in_idle;
};

/* The peer */

static void say(struct bufferevent *peer, const char *text)
{
    bufferevent_write(peer, text, strlen(text));
}

/* What is pending is thrown away and the other side gets a reset. */
static void reset(struct bufferevent *peer)
{
    struct linger none = {1, 0};

    setsockopt(bufferevent_getfd(peer), SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    bufferevent_disable(peer, EV_READ | EV_WRITE);
    close(bufferevent_getfd(peer));
    bufferevent_setfd(peer, -1);
}

static void hang_up(struct bufferevent *peer)
{
    bufferevent_disable(peer, EV_READ);
    shutdown(bufferevent_getfd(peer), SHUT_RDWR);
}

static size_t length_of_request(const char *text)
{
    const char *head_end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");

    if (!head_end)
        return SIZE_MAX;
    return (size_t)(head_end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0);
}

static void on_peer_read(struct bufferevent *peer, void *arg)
{
    struct world *world = arg;
    struct evbuffer *input = bufferevent_get_input(peer);
    size_t len = evbuffer_get_length(input);
    char *text = malloc(len + 1);

    evbuffer_copyout(input, text, len);
    text[len] = '\0';
    if (len < length_of_request(text)) {
        free(text);
        return;
    }
    free(world->request);
    world->request = text;
    evbuffer_drain(input, len);
    world->requests++;
    if (world->answer)
        world->answer(world, peer);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *arg)
{
    struct world *world = arg;
    struct bufferevent *peer;

    (void)listener;
    (void)address;
    (void)size;
    peer = world->server_tls
               ? bufferevent_openssl_socket_new(world->base, fd, SSL_new(world->server_tls),
                                                BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
               : bufferevent_socket_new(world->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(peer, on_peer_read, NULL, NULL, world);
    bufferevent_enable(peer, world->stops_reading ? EV_WRITE : EV_READ | EV_WRITE);
    world->peers[world->accepted++] = peer;
}

static void answer_200(struct world *world, struct bufferevent *peer)
{
    (void)world;
    say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void answer_more(struct world *world, struct bufferevent *peer)
{
    say(peer, world->more);
}

static void answer_more_and_close(struct world *world, struct bufferevent *peer)
{
    size_t len = strlen(world->more);

    assert_int_equal(send(bufferevent_getfd(peer), world->more, len, 0), len);
    hang_up(peer);
}

/* The client's owner */

static void on_result(const struct http_result *result, void *arg)
{
    struct world *world = arg;

    assert_true(world->result_count < MAX_RESULTS);
    assert_non_null(result->reason);
    world->results[world->result_count] = *result;
    snprintf(world->reasons[world->result_count], sizeof(world->reasons[0]), "%s", result->reason);
    world->result_count++;
    if (world->frees_in_result) {
        http_client_free(world->client);
        world->client = NULL;
    }
}

static void post_within(struct world *world, int64_t timeout_ms)
{
    static const struct http_header headers[] = {{"X-Notify-Id", "id-1"}};
    unsigned seen = world->result_count + world->idle_count + world->closed_count;

    http_client_post(world->client, "/push?a=b", headers, 1, STR("{\"a\":1}"), timeout_ms,
                     on_result, world);
    assert_int_equal(seen, world->result_count + world->idle_count + world->closed_count);
}

static void post(struct world *world)
{
    post_within(world, 900);
}

static void on_idle(struct http_client *client, void *arg)
{
    struct world *world = arg;

    assert_ptr_equal(client, world->client);
    assert_true(http_client_is_idle(client));
    world->idle_count++;
    if (world->frees_in_idle) {
        http_client_free(client);
        world->client = NULL;
    } else if (world->posts_in_idle && world->idle_count < 3) {
        post(world);
    }
}

static void on_closed(struct http_client *client, void *arg)
{
    struct world *world = arg;

    assert_ptr_equal(client, world->client);
    assert_false(http_client_is_idle(client));
    world->closed_count++;
    http_client_free(client);
    world->client = NULL;
}

static void new_client(struct world *world, SSL *ssl)
{
    world->config = (struct http_client_config){
        .base = world->base,
        .address = (struct sockaddr *)&world->address,
        .ssl = ssl,
        .authority = "a.example:8080",
        .user_agent = "iotpush-test/1",
        .connect_timeout_ms = 600,
        .max_response_header_bytes = 4096,
        .discard_body_bytes = 65536,
        .discard_time_ms = SHORT_MS,
        .idle = on_idle,
        .closed = on_closed,
        .arg = world,
    };
    world->client = http_client_new(&world->config);
}

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct event_config *config = event_config_new();
    socklen_t size = sizeof(world->address);

    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    world->base = event_base_new_with_config(config);
    event_config_free(config);
    world->address.sin_family = AF_INET;
    world->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    world->listener = evconnlistener_new_bind(world->base, on_accept, world,
                                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 8,
                                              (struct sockaddr *)&world->address, (int)size);
    assert_non_null(world->listener);
    getsockname(evconnlistener_get_fd(world->listener), (struct sockaddr *)&world->address, &size);
    world->answer = answer_200;
    new_client(world, NULL);
    *state = world;
    return 0;
}

static void turn(struct world *world, int64_t for_ms)
{
    const struct timeval limit = {for_ms / 1000, for_ms % 1000 * 1000};

    event_base_loopexit(world->base, &limit);
    event_base_dispatch(world->base);
}

static int stop(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    for (unsigned i = 0; i < world->accepted; i++)
        bufferevent_free(world->peers[i]);
    evconnlistener_free(world->listener);
    turn(world, 0); /* what is freed late */
    event_base_free(world->base);
    SSL_CTX_free(world->server_tls);
    free(world->request);
    free(world);
    return 0;
}

/* Until the counter has the value; longer than any test should take. */
static void wait_for(struct world *world, const unsigned *counter, unsigned value)
{
    int64_t end = clock_tick_ms() + 5000;

    while (*counter < value && clock_tick_ms() < end)
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_int_equal(*counter, value);
}

static void assert_result(struct world *world, unsigned number, enum http_outcome outcome,
                          int status)
{
    if (world->results[number].outcome != outcome || world->results[number].status != status)
        fail_msg("outcome %d status %d: %s", (int)world->results[number].outcome,
                 world->results[number].status, world->reasons[number]);
}

/* A story of one request: the answer, and whether the connection is usable afterwards. */
static void expect(struct world *world, enum http_outcome outcome, int status, bool stays)
{
    post(world);
    wait_for(world, stays ? &world->idle_count : &world->closed_count, 1);
    assert_int_equal(world->result_count, 1);
    assert_result(world, 0, outcome, status);
    assert_int_equal(world->idle_count + world->closed_count, 1);
}

static void expect_of(struct world *world, const char *answer, enum http_outcome outcome,
                      int status, bool stays)
{
    world->answer = answer_more;
    world->more = answer;
    expect(world, outcome, status, stays);
}

/* The request */

static void a_request_carries_the_documented_headers(void **state)
{
    struct world *world = *state;

    expect(world, HTTP_ANSWERED, 200, true);
    assert_memory_equal(world->request, "POST /push?a=b HTTP/1.1\r\n", 25);
    assert_non_null(strstr(world->request, "\r\nHost: a.example:8080\r\n"));
    assert_non_null(strstr(world->request, "\r\nUser-Agent: iotpush-test/1\r\n"));
    assert_non_null(strstr(world->request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(world->request, "\r\nContent-Length: 7\r\n"));
    assert_non_null(strstr(world->request, "\r\nConnection: keep-alive\r\n"));
    assert_non_null(strstr(world->request, "\r\nX-Notify-Id: id-1\r\n"));
    assert_non_null(strstr(world->request, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(world->request, "Transfer-Encoding"));
    assert_null(strstr(world->request, "Expect"));
}

static void one_connection_carries_many_requests(void **state)
{
    struct world *world = *state;

    world->posts_in_idle = true;
    post(world);
    assert_int_equal(http_client_idle_since(world->client), -1);
    wait_for(world, &world->idle_count, 3);
    assert_int_equal(world->accepted, 1);
    assert_int_equal(world->result_count, 3);
    assert_int_equal(http_client_requests(world->client), 3);
    assert_true(http_client_idle_since(world->client) >= http_client_born_at(world->client));
    assert_false(world->results[0].was_reused);
}

static void a_large_body_is_sent_whole(void **state)
{
    struct world *world = *state;
    char *body = malloc(1 << 18);

    memset(body, 'x', 1 << 18);
    http_client_post(world->client, "/", NULL, 0, str_n(body, 1 << 18), 900, on_result, world);
    free(body);
    wait_for(world, &world->idle_count, 1);
    assert_result(world, 0, HTTP_ANSWERED, 200);
    assert_true(strlen(world->request) > 1 << 18);
}

/* Answers */

static void a_short_body_leaves_the_connection_usable(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", HTTP_ANSWERED, 200,
              true);
}

static void a_chunked_body_leaves_the_connection_usable(void **state)
{
    expect_of(*state,
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
              HTTP_ANSWERED, 200, true);
}

static void an_answer_of_204_or_304_has_no_body(void **state)
{
    expect_of(*state, "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", HTTP_ANSWERED, 204,
              true);
}

static void the_result_does_not_wait_for_the_body(void **state)
{
    struct world *world = *state;

    world->answer = answer_more;
    world->more = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    post(world);
    wait_for(world, &world->result_count, 1);
    assert_int_equal(world->idle_count, 0);
    say(world->peers[0], "67890");
    wait_for(world, &world->idle_count, 1);
}

static void a_body_over_the_limit_closes_the_connection(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\nbegin", HTTP_ANSWERED,
              200, false);
}

static void pump(evutil_socket_t fd, short what, void *arg)
{
    static const char block[65536] = "7";
    struct world *world = arg;

    (void)what;
    while (send(fd, block, sizeof(block), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        ;
    if (errno != EAGAIN)
        event_base_loopbreak(world->base);
}

static void expect_close_of_endless(struct world *world, const char *begin)
{
    struct event *pumping;

    world->answer = answer_more;
    world->more = begin;
    post(world);
    wait_for(world, &world->result_count, 1);
    assert_result(world, 0, HTTP_ANSWERED, 200);
    pumping = event_new(world->base, bufferevent_getfd(world->peers[0]), EV_WRITE | EV_PERSIST,
                        pump, world);
    event_add(pumping, NULL);
    wait_for(world, &world->closed_count, 1);
    event_free(pumping);
}

static void an_endless_body_closes_the_connection(void **state)
{
    expect_close_of_endless(*state, "HTTP/1.1 200 OK\r\n\r\n");
}

static void an_endless_chunk_closes_the_connection(void **state)
{
    expect_close_of_endless(*state, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static void a_body_that_stops_closes_the_connection(void **state)
{
    struct world *world = *state;
    int64_t begin = clock_tick_ms();

    expect_of(world, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", HTTP_ANSWERED, 200, false);
    assert_in_range(clock_tick_ms() - begin, SHORT_MS - 20, SHORT_MS + 400);
}

static void a_body_until_close_ends_in_closed(void **state)
{
    struct world *world = *state;

    world->answer = answer_more_and_close;
    world->more = "HTTP/1.1 200 OK\r\n\r\nhello";
    expect(world, HTTP_ANSWERED, 200, false);
}

static void connection_close_ends_in_closed(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 2\r\n\r\nok",
              HTTP_ANSWERED, 200, false);
}

static void http_1_0_without_keep_alive_ends_in_closed(void **state)
{
    expect_of(*state, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", HTTP_ANSWERED, 200, false);
}

static void http_1_0_with_keep_alive_stays(void **state)
{
    expect_of(*state, "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
              HTTP_ANSWERED, 200, true);
}

static void an_answer_without_a_certain_end_is_not_trusted(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", HTTP_ANSWERED, 200,
              false);
}

static void two_lengths_end_in_closed(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nok",
              HTTP_ANSWERED, 200, false);
}

static void bytes_after_the_answer_end_in_closed(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
              HTTP_ANSWERED, 200, false);
}

static void a_header_may_come_byte_by_byte(void **state)
{
    struct world *world = *state;

    world->answer = NULL;
    post(world);
    wait_for(world, &world->requests, 1);
    for (const char *p = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"; *p; p++) {
        assert_int_equal(world->result_count, 0);
        bufferevent_write(world->peers[0], p, 1);
        turn(world, 1);
    }
    wait_for(world, &world->idle_count, 1);
    assert_result(world, 0, HTTP_ANSWERED, 200);
}

static void expect_retry_after(struct world *world, const char *value, int64_t min_ms,
                               int64_t max_ms)
{
    char answer[200];

    snprintf(answer, sizeof(answer),
             "HTTP/1.1 503 Busy\r\nretry-after: %s\r\nContent-Length: 0\r\n\r\n", value);
    expect_of(world, answer, HTTP_ANSWERED, 503, true);
    if (world->results[0].retry_after_ms < min_ms || world->results[0].retry_after_ms > max_ms)
        fail_msg("%s is %lld", value, (long long)world->results[0].retry_after_ms);
}

static void retry_after_is_read_in_seconds(void **state)
{
    expect_retry_after(*state, "7", 7000, 7000);
}

static void retry_after_is_read_as_a_date(void **state)
{
    time_t then = time(NULL) + 30;
    char date[80];

    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&then));
    expect_retry_after(*state, date, 27000, 30000);
}

static void retry_after_is_read_in_the_older_forms(void **state)
{
    const char *const dates[] = {"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};

    for (size_t i = 0; i < 2; i++)
        assert_int_equal(http_retry_after_ms(dates[i]), 0);
    expect_retry_after(*state, "Sunday, 06-Nov-94 08:49:37 GMT", 0, 0);
}

static void retry_after_in_the_past_is_zero(void **state)
{
    expect_retry_after(*state, "Sun, 06 Nov 1994 08:49:37 GMT", 0, 0);
}

static void an_unreadable_retry_after_is_absent(void **state)
{
    expect_retry_after(*state, "soon", -1, -1);
}

static void interim_answers_are_skipped(void **state)
{
    struct world *world = *state;

    world->answer = answer_more;
    world->more = "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n"
                  "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    post(world);
    wait_for(world, &world->requests, 1);
    turn(world, 20);
    assert_int_equal(world->result_count, 0);
    say(world->peers[0], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    wait_for(world, &world->idle_count, 1);
    assert_result(world, 0, HTTP_ANSWERED, 200);
}

static void an_interim_and_the_final_answer_may_come_together(void **state)
{
    expect_of(*state, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
              HTTP_ANSWERED, 404, true);
}

/* Failures */

static void switching_protocols_is_malformed(void **state)
{
    expect_of(*state, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", HTTP_MALFORMED, 0,
              false);
}

static void garbage_is_malformed(void **state)
{
    expect_of(*state, "SSH-2.0-OpenSSH_9.2\r\n", HTTP_MALFORMED, 0, false);
}

static void garbage_without_a_line_end_is_malformed_at_once(void **state)
{
    expect_of(*state, "\x01\x02\x03", HTTP_MALFORMED, 0, false);
}

static void other_versions_are_malformed(void **state)
{
    expect_of(*state, "HTTP/2 200\r\n\r\n", HTTP_MALFORMED, 0, false);
}

static void a_status_that_is_no_number_is_malformed(void **state)
{
    expect_of(*state, "HTTP/1.1 OK 200\r\n\r\n", HTTP_MALFORMED, 0, false);
}

static void a_header_line_without_colon_is_malformed(void **state)
{
    expect_of(*state, "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n", HTTP_MALFORMED, 0, false);
}

static void a_header_over_the_limit_is_malformed(void **state)
{
    struct world *world = *state;
    char answer[6000];

    memset(answer, 'x', sizeof(answer));
    memcpy(answer, "HTTP/1.1 200 OK\r\nX: ", 20);
    answer[sizeof(answer) - 1] = '\0';
    expect_of(world, answer, HTTP_MALFORMED, 0, false);
    assert_string_equal(world->reasons[0], "answer header too large");
}

static void reset_it(struct world *world, struct bufferevent *peer)
{
    (void)world;
    reset(peer);
}

static void close_it(struct world *world, struct bufferevent *peer)
{
    (void)world;
    hang_up(peer);
}

static void a_reset_after_reading_is_a_reset(void **state)
{
    struct world *world = *state;

    world->answer = reset_it;
    expect(world, HTTP_RESET, 0, false);
    assert_false(world->results[0].was_reused);
}

static void a_close_before_the_answer_is_a_reset(void **state)
{
    struct world *world = *state;

    world->answer = close_it;
    expect(world, HTTP_RESET, 0, false);
    assert_false(world->results[0].was_reused);
}

static void a_close_within_the_header_is_a_reset(void **state)
{
    struct world *world = *state;

    world->answer = answer_more_and_close;
    world->more = "HTTP/1.1 200 OK\r\nContent-Le";
    expect(world, HTTP_RESET, 0, false);
}

static void expect_failure_of_second(struct world *world, answer_fn answer, bool was_reused)
{
    expect(world, HTTP_ANSWERED, 200, true);
    turn(world, 5);
    world->answer = answer;
    post(world);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 1, HTTP_RESET, 0);
    assert_int_equal(world->results[1].was_reused, was_reused);
}

static void a_close_on_a_reused_connection_says_so(void **state)
{
    expect_failure_of_second(*state, close_it, true);
}

static void a_reset_on_a_reused_connection_says_so(void **state)
{
    expect_failure_of_second(*state, reset_it, true);
}

static void a_close_within_the_header_of_a_reused_connection_is_not_the_idle_race(void **state)
{
    struct world *world = *state;

    world->more = "HTTP/1.1 2";
    expect_failure_of_second(world, answer_more_and_close, false);
}

static void an_idle_connection_that_ends_is_noticed(void **state)
{
    struct world *world = *state;

    expect(world, HTTP_ANSWERED, 200, true);
    hang_up(world->peers[0]);
    wait_for(world, &world->closed_count, 1);
    assert_int_equal(world->result_count, 1);
}

static void an_idle_connection_that_speaks_is_noticed(void **state)
{
    struct world *world = *state;

    expect(world, HTTP_ANSWERED, 200, true);
    say(world->peers[0], "HTTP/1.1 408 Request Timeout\r\n\r\n");
    wait_for(world, &world->closed_count, 1);
}

static void a_request_on_a_connection_that_has_just_ended_is_not_sent(void **state)
{
    struct world *world = *state;

    expect(world, HTTP_ANSWERED, 200, true);
    turn(world, 5);
    shutdown(bufferevent_getfd(world->peers[0]), SHUT_RDWR);
    usleep(2000);
    post(world);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 1, HTTP_RESET, 0);
    assert_true(world->results[1].was_reused);
    assert_int_equal(world->requests, 1);
}

static void no_answer_is_a_timeout(void **state)
{
    struct world *world = *state;
    int64_t begin = clock_tick_ms();

    world->answer = NULL;
    post_within(world, SHORT_MS);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 0, HTTP_TIMED_OUT, 0);
    assert_in_range(clock_tick_ms() - begin, SHORT_MS, SHORT_MS + 400);
}

static void a_timeout_on_a_reused_connection_has_its_full_time(void **state)
{
    struct world *world = *state;
    int64_t begin;

    post_within(world, 200);
    wait_for(world, &world->idle_count, 1);
    turn(world, 120);
    world->answer = NULL;
    begin = clock_tick_ms();
    post_within(world, 200);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 1, HTTP_TIMED_OUT, 0);
    assert_in_range(clock_tick_ms() - begin, 200, 600);
}

static void a_dripping_header_is_a_timeout(void **state)
{
    struct world *world = *state;

    world->answer = answer_more;
    world->more = "HTTP/1.1 200 OK\r\n";
    post_within(world, SHORT_MS);
    for (int i = 0; i < 20 && world->closed_count == 0; i++) {
        turn(world, 10);
        if (world->requests > 0)
            say(world->peers[0], "X: y\r\n");
    }
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 0, HTTP_TIMED_OUT, 0);
}

static void a_peer_that_never_reads_is_a_timeout(void **state)
{
    struct world *world = *state;
    char *body = calloc(1, 16 << 20);
    int64_t begin = clock_tick_ms();

    world->stops_reading = true;
    http_client_post(world->client, "/", NULL, 0, str_n(body, 16 << 20), SHORT_MS, on_result,
                     world);
    free(body);
    wait_for(world, &world->closed_count, 1);
    assert_true(clock_tick_ms() - begin >= SHORT_MS);
    assert_result(world, 0, HTTP_TIMED_OUT, 0);
}

/* The address of nobody. */
static void leave_port(struct world *world)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof(world->address);

    world->address.sin_port = 0;
    assert_int_equal(bind(fd, (struct sockaddr *)&world->address, size), 0);
    getsockname(fd, (struct sockaddr *)&world->address, &size);
    close(fd);
}

static void a_refused_connection_says_why(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    leave_port(world);
    new_client(world, NULL);
    expect(world, HTTP_CONNECT_FAILED, 0, false);
    assert_string_equal(world->reasons[0], "Connection refused");
}

static void an_unreachable_network_says_why(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    world->address.sin_addr.s_addr = htonl(0xffffffff); /* TCP can't broadcast */
    new_client(world, NULL);
    expect(world, HTTP_CONNECT_FAILED, 0, false);
    assert_string_equal(world->reasons[0], "Network is unreachable");
}

/* A full backlog drops what comes next, as a firewall does. */
static void a_connection_that_is_never_made_times_out_early(void **state)
{
    struct world *world = *state;
    int sockets[8];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    int64_t begin;

    assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 0), 0);
    getsockname(listening, (struct sockaddr *)&address, &size);
    for (int i = 0; i < 8; i++) {
        sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(sockets[i], (struct sockaddr *)&address, size);
    }
    http_client_free(world->client);
    world->address = address;
    world->client = NULL;
    new_client(world, NULL);
    http_client_free(world->client);
    world->config.connect_timeout_ms = SHORT_MS;
    world->client = http_client_new(&world->config);
    begin = clock_tick_ms();
    expect(world, HTTP_CONNECT_FAILED, 0, false);
    assert_in_range(clock_tick_ms() - begin, SHORT_MS, SHORT_MS + 400);
    assert_string_equal(world->reasons[0], "Connection timed out");
    for (int i = 0; i < 8; i++)
        close(sockets[i]);
    close(listening);
}

static void a_slow_answer_outlives_the_connect_timeout(void **state)
{
    struct world *world = *state;

    http_client_free(world->client);
    world->config.connect_timeout_ms = 30;
    world->client = http_client_new(&world->config);
    world->answer = NULL;
    post(world);
    wait_for(world, &world->requests, 1);
    turn(world, 80);
    assert_int_equal(world->result_count, 0);
    answer_200(world, world->peers[0]);
    wait_for(world, &world->idle_count, 1);
}

static void running_out_of_descriptors_is_our_own_fault(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;

    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    post(world);
    while (world->closed_count == 0)
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_result(world, 0, HTTP_OWN_FAULT, 0);
    assert_string_equal(world->reasons[0], "Too many open files");
}

/* Freeing */

static void a_client_may_be_freed_in_its_result(void **state)
{
    struct world *world = *state;

    world->frees_in_result = true;
    post(world);
    wait_for(world, &world->result_count, 1);
    turn(world, 20);
    assert_int_equal(world->idle_count + world->closed_count, 0);
}

static void a_client_may_be_freed_in_a_failed_result(void **state)
{
    struct world *world = *state;

    world->frees_in_result = true;
    world->answer = reset_it;
    post(world);
    wait_for(world, &world->result_count, 1);
    turn(world, 20);
    assert_int_equal(world->idle_count + world->closed_count, 0);
}

static void a_client_may_be_freed_in_a_timeout(void **state)
{
    struct world *world = *state;

    world->frees_in_result = true;
    world->answer = NULL;
    post_within(world, 30);
    wait_for(world, &world->result_count, 1);
    turn(world, 20);
    assert_int_equal(world->closed_count, 0);
}

static void a_client_may_be_freed_when_idle_is_told(void **state)
{
    struct world *world = *state;

    world->frees_in_idle = true;
    post(world);
    wait_for(world, &world->idle_count, 1);
    turn(world, 20);
    assert_int_equal(world->closed_count, 0);
}

static void a_client_may_be_freed_while_it_connects(void **state)
{
    struct world *world = *state;

    post(world);
    http_client_free(world->client);
    world->client = NULL;
    turn(world, 20);
    assert_int_equal(world->result_count + world->idle_count + world->closed_count, 0);
}

static void a_client_may_be_freed_right_after_a_post_on_a_used_connection(void **state)
{
    struct world *world = *state;

    expect(world, HTTP_ANSWERED, 200, true);
    post(world);
    http_client_free(world->client);
    world->client = NULL;
    turn(world, 20);
    assert_int_equal(world->result_count, 1);
}

static void a_client_may_be_freed_while_it_waits(void **state)
{
    struct world *world = *state;

    world->answer = NULL;
    post(world);
    wait_for(world, &world->requests, 1);
    http_client_free(world->client);
    world->client = NULL;
    turn(world, 20);
    assert_int_equal(world->result_count + world->idle_count + world->closed_count, 0);
}

static void a_client_may_be_freed_while_it_reads_the_body(void **state)
{
    struct world *world = *state;

    world->answer = answer_more;
    world->more = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123";
    post(world);
    wait_for(world, &world->result_count, 1);
    http_client_free(world->client);
    world->client = NULL;
    turn(world, 20);
    assert_int_equal(world->idle_count + world->closed_count, 0);
}

/* TLS */

struct tls_story {
    const char *names; /* in the server's certificate */
    const char *host;  /* asked for */
    bool host_is_address, is_expired, has_wrong_ca;
};

/* A client that speaks TLS to a server with a certificate as told. */
static void speak_tls(struct world *world, const struct tls_story *story)
{
    struct identity ca = identity_new(NULL, NULL, 100);
    struct identity other_ca = identity_new(NULL, NULL, 100);
    struct identity server = identity_new(&ca, story->names, story->is_expired ? -1 : 100);
    char *ca_file = identity_write(story->has_wrong_ca ? &other_ca : &ca);
    char *error = NULL;
    SSL_CTX *context = tls_client_context_new(
        &(struct tls_client_config){.ca_file = ca_file, .min_version = TLS1_2_VERSION}, &error);

    assert_non_null(context);
    world->server_tls = identity_server_context(&server);
    http_client_free(world->client);
    new_client(world, tls_client_connect(
                          context, &(struct tls_peer){
                                       .name = str_of(story->host),
                                       .server_name = story->host_is_address
                                                          ? STR_NONE
                                                          : str_of(story->host)}));
    SSL_CTX_free(context);
    unlink(ca_file);
    free(ca_file);
    identity_clear(&ca);
    identity_clear(&other_ca);
    identity_clear(&server);
}

static void tls_works_and_is_reused(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    world->posts_in_idle = true;
    post(world);
    wait_for(world, &world->idle_count, 3);
    assert_int_equal(world->accepted, 1);
    turn(world, 5);
    post(world);
    wait_for(world, &world->idle_count, 4);
    assert_result(world, 3, HTTP_ANSWERED, 200);
}

static void tls_works_with_addresses(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){
                         .names = "IP:127.0.0.1", .host = "127.0.0.1", .host_is_address = true});
    expect(world, HTTP_ANSWERED, 200, true);
}

static void expect_tls_failure(struct world *world, const struct tls_story *story,
                               const char *reason)
{
    speak_tls(world, story);
    expect(world, HTTP_TLS_FAILED, 0, false);
    assert_string_equal(world->reasons[0], reason);
    assert_int_equal(world->requests, 0);
}

static void tls_fails_with_another_ca(void **state)
{
    expect_tls_failure(
        *state,
        &(struct tls_story){.names = "DNS:a.example", .host = "a.example", .has_wrong_ca = true},
        "unknown CA: unable to get local issuer certificate");
}

static void tls_fails_with_another_name(void **state)
{
    expect_tls_failure(*state, &(struct tls_story){.names = "DNS:b.example", .host = "a.example"},
                       "name mismatch: hostname mismatch");
}

static void tls_fails_with_another_address(void **state)
{
    expect_tls_failure(
        *state,
        &(struct tls_story){.names = "IP:127.0.0.2", .host = "127.0.0.1", .host_is_address = true},
        "name mismatch: IP address mismatch");
}

static void tls_fails_with_an_expired_certificate(void **state)
{
    expect_tls_failure(
        *state,
        &(struct tls_story){.names = "DNS:a.example", .host = "a.example", .is_expired = true},
        "expired: certificate has expired");
}

static void tls_to_a_plain_port_fails(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    SSL_CTX_free(world->server_tls);
    world->server_tls = NULL;
    world->answer = answer_200;
    post(world);
    while (world->accepted == 0)
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    say(world->peers[0], "HTTP/1.1 400 Bad Request\r\n\r\n");
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 0, HTTP_TLS_FAILED, 0);
    assert_string_equal(world->reasons[0], "handshake: wrong version number");
}

static void tls_to_a_closed_port_is_a_failed_connection(void **state)
{
    struct world *world = *state;

    leave_port(world);
    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    expect(world, HTTP_CONNECT_FAILED, 0, false);
    assert_string_equal(world->reasons[0], "Connection refused");
}

static void tls_that_never_shakes_hands_is_a_timeout(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    SSL_CTX_free(world->server_tls);
    world->server_tls = NULL;
    world->stops_reading = true;
    post_within(world, SHORT_MS);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 0, HTTP_TIMED_OUT, 0);
}

static void a_server_that_wants_a_certificate_is_a_tls_failure(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    SSL_CTX_set_verify(world->server_tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    expect(world, HTTP_TLS_FAILED, 0, false);
    assert_string_equal(world->reasons[0], "tlsv13 alert certificate required");
}

static void tls_notices_the_end_of_an_idle_connection(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    expect(world, HTTP_ANSWERED, 200, true);
    hang_up(world->peers[0]);
    wait_for(world, &world->closed_count, 1);
}

static void tls_does_not_send_on_a_connection_that_has_just_ended(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    expect(world, HTTP_ANSWERED, 200, true);
    turn(world, 5);
    SSL_shutdown(bufferevent_openssl_get_ssl(world->peers[0]));
    usleep(2000);
    post(world);
    wait_for(world, &world->closed_count, 1);
    assert_result(world, 1, HTTP_RESET, 0);
    assert_true(world->results[1].was_reused);
}

static void a_tls_client_may_be_freed_right_after_a_post_on_a_used_connection(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    a_client_may_be_freed_right_after_a_post_on_a_used_connection(state);
}

static void tls_interim_answers_are_skipped(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    world->answer = answer_more;
    world->more = "HTTP/1.1 100 Continue\r\n\r\n";
    post(world);
    wait_for(world, &world->requests, 1);
    turn(world, 20);
    say(world->peers[0],
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    wait_for(world, &world->idle_count, 1);
    assert_result(world, 0, HTTP_ANSWERED, 200);
}

static void tls_clients_may_be_freed_in_their_callbacks(void **state)
{
    struct world *world = *state;

    speak_tls(world, &(struct tls_story){.names = "DNS:a.example", .host = "a.example"});
    world->frees_in_result = true;
    post(world);
    wait_for(world, &world->result_count, 1);
    turn(world, 20);
    assert_int_equal(world->idle_count + world->closed_count, 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_request_carries_the_documented_headers),
        STORY(one_connection_carries_many_requests),
        STORY(a_large_body_is_sent_whole),
        STORY(a_short_body_leaves_the_connection_usable),
        STORY(a_chunked_body_leaves_the_connection_usable),
        STORY(an_answer_of_204_or_304_has_no_body),
        STORY(the_result_does_not_wait_for_the_body),
        STORY(a_body_over_the_limit_closes_the_connection),
        STORY(an_endless_body_closes_the_connection),
        STORY(an_endless_chunk_closes_the_connection),
        STORY(a_body_that_stops_closes_the_connection),
        STORY(a_body_until_close_ends_in_closed),
        STORY(connection_close_ends_in_closed),
        STORY(http_1_0_without_keep_alive_ends_in_closed),
        STORY(http_1_0_with_keep_alive_stays),
        STORY(an_answer_without_a_certain_end_is_not_trusted),
        STORY(two_lengths_end_in_closed),
        STORY(bytes_after_the_answer_end_in_closed),
        STORY(a_header_may_come_byte_by_byte),
        STORY(retry_after_is_read_in_seconds),
        STORY(retry_after_is_read_as_a_date),
        STORY(retry_after_is_read_in_the_older_forms),
        STORY(retry_after_in_the_past_is_zero),
        STORY(an_unreadable_retry_after_is_absent),
        STORY(interim_answers_are_skipped),
        STORY(an_interim_and_the_final_answer_may_come_together),
        STORY(switching_protocols_is_malformed),
        STORY(garbage_is_malformed),
        STORY(garbage_without_a_line_end_is_malformed_at_once),
        STORY(other_versions_are_malformed),
        STORY(a_status_that_is_no_number_is_malformed),
        STORY(a_header_line_without_colon_is_malformed),
        STORY(a_header_over_the_limit_is_malformed),
        STORY(a_reset_after_reading_is_a_reset),
        STORY(a_close_before_the_answer_is_a_reset),
        STORY(a_close_within_the_header_is_a_reset),
        STORY(a_close_on_a_reused_connection_says_so),
        STORY(a_reset_on_a_reused_connection_says_so),
        STORY(a_close_within_the_header_of_a_reused_connection_is_not_the_idle_race),
        STORY(an_idle_connection_that_ends_is_noticed),
        STORY(an_idle_connection_that_speaks_is_noticed),
        STORY(a_request_on_a_connection_that_has_just_ended_is_not_sent),
        STORY(no_answer_is_a_timeout),
        STORY(a_timeout_on_a_reused_connection_has_its_full_time),
        STORY(a_dripping_header_is_a_timeout),
        STORY(a_peer_that_never_reads_is_a_timeout),
        STORY(a_refused_connection_says_why),
        STORY(an_unreachable_network_says_why),
        STORY(a_connection_that_is_never_made_times_out_early),
        STORY(a_slow_answer_outlives_the_connect_timeout),
        STORY(running_out_of_descriptors_is_our_own_fault),
        STORY(a_client_may_be_freed_in_its_result),
        STORY(a_client_may_be_freed_in_a_failed_result),
        STORY(a_client_may_be_freed_in_a_timeout),
        STORY(a_client_may_be_freed_when_idle_is_told),
        STORY(a_client_may_be_freed_while_it_connects),
        STORY(a_client_may_be_freed_right_after_a_post_on_a_used_connection),
        STORY(a_client_may_be_freed_while_it_waits),
        STORY(a_client_may_be_freed_while_it_reads_the_body),
        STORY(tls_works_and_is_reused),
        STORY(tls_works_with_addresses),
        STORY(tls_fails_with_another_ca),
        STORY(tls_fails_with_another_name),
        STORY(tls_fails_with_another_address),
        STORY(tls_fails_with_an_expired_certificate),
        STORY(tls_to_a_plain_port_fails),
        STORY(tls_to_a_closed_port_is_a_failed_connection),
        STORY(tls_that_never_shakes_hands_is_a_timeout),
        STORY(a_server_that_wants_a_certificate_is_a_tls_failure),
        STORY(tls_notices_the_end_of_an_idle_connection),
        STORY(tls_does_not_send_on_a_connection_that_has_just_ended),
        STORY(a_tls_client_may_be_freed_right_after_a_post_on_a_used_connection),
        STORY(tls_interim_answers_are_skipped),
        STORY(tls_clients_may_be_freed_in_their_callbacks),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

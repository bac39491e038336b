/*
 * The resolver against a name server in the same loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/resolver.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/dns_struct.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct world {
    struct event_base *base;
    struct evdns_server_port *server;
    char server_address[40];
    struct resolver *resolver;
    unsigned questions; /* for A records */
    bool is_silent, is_silent_for_ipv6;
    int ttl_s; /* of short.example */
    struct resolver_answer answer;
    unsigned answers;
    bool frees_resolver;
};

static void answer_question(const struct world *world, struct evdns_server_request *request,
                            const char *name, int type)
{
    const uint8_t v4[8] = {192, 0, 2, 1, 192, 0, 2, 2};
    const struct in6_addr v6 = IN6ADDR_LOOPBACK_INIT;

    if (strcasecmp(name, "both.example") == 0 && type == EVDNS_TYPE_AAAA)
        evdns_server_request_add_aaaa_reply(request, name, 1, &v6, 60);
    else if (strcasecmp(name, "short.example") == 0 && type == EVDNS_TYPE_A)
        evdns_server_request_add_a_reply(request, name, 1, v4, world->ttl_s);
    else if (strcasecmp(name, "short.example") == 0)
        evdns_server_request_add_aaaa_reply(request, name, 1, &v6, 60);
    else if (strcasecmp(name, "long.example") == 0 && type == EVDNS_TYPE_A)
        evdns_server_request_add_a_reply(request, name, 1, v4, 86400);
    else if (strcasecmp(name, "both.example") == 0 || strcasecmp(name, "two.example") == 0) {
        if (type == EVDNS_TYPE_A)
            evdns_server_request_add_a_reply(request, name, 2, v4, 60);
    }
}

static void on_question(struct evdns_server_request *request, void *arg)
{
    struct world *world = arg;
    const char *name = request->questions[0]->name;
    int type = request->questions[0]->type;

    world->questions += type == EVDNS_TYPE_A;
    if (world->is_silent) {
        evdns_server_request_drop(request);
        return;
    }
    if (world->is_silent_for_ipv6 && type == EVDNS_TYPE_AAAA) {
        evdns_server_request_drop(request);
        return;
    }
    answer_question(world, request, name, type);
    evdns_server_request_respond(request, strstr(name, "missing") ? 3 : 0);
}

static void on_answer(const struct resolver_answer *answer, void *arg)
{
    struct world *world = arg;

    world->answer = *answer;
    world->answers++;
    if (world->frees_resolver) {
        resolver_free(world->resolver);
        world->resolver = NULL;
    }
}

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    world->base = event_base_new();
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    world->server = evdns_add_server_port_with_base(world->base, fd, 0, on_question, world);
    world->resolver = resolver_new(world->base);
    snprintf(world->server_address, sizeof(world->server_address), "127.0.0.1:%d",
             ntohs(address.sin_port));
    assert_int_equal(resolver_use_server(world->resolver, world->server_address), 0);
    *state = world;
    return 0;
}

static void turn(struct world *world, int64_t for_ms)
{
    int64_t end = clock_tick_ms() + for_ms;

    do
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    while (clock_tick_ms() < end);
}

static int stop(void **state)
{
    struct world *world = *state;

    resolver_free(world->resolver);
    evdns_close_server_port(world->server);
    turn(world, 10);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void lookup(struct world *world, struct str host)
{
    unsigned before = world->answers;

    assert_non_null(resolver_lookup(world->resolver, host, 8443, on_answer, world));
    assert_int_equal(world->answers, before);
}

static void wait_for_answers(struct world *world, unsigned count)
{
    int64_t end = clock_tick_ms() + 8000;

    while (world->answers < count && clock_tick_ms() < end)
        event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_int_equal(world->answers, count);
}

static void assert_address(struct world *world, size_t number, const char *expected)
{
    const struct sockaddr_storage *address = &world->answer.addresses[number];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    bool is_v4 = address->ss_family == AF_INET;
    char text[INET6_ADDRSTRLEN];

    assert_true(number < world->answer.count);
    inet_ntop(address->ss_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, text,
              sizeof(text));
    assert_string_equal(text, expected);
    assert_int_equal(ntohs(is_v4 ? v4->sin_port : v6->sin6_port), 8443);
}

static void a_name_has_all_its_addresses(void **state)
{
    struct world *world = *state;

    lookup(world, STR("both.example"));
    wait_for_answers(world, 1);
    assert_null(world->answer.error);
    assert_int_equal(world->answer.count, 3);
    assert_address(world, 0, "192.0.2.1");
    assert_address(world, 1, "192.0.2.2");
    assert_address(world, 2, "::1");
}

static void a_name_without_ipv6_has_its_ipv4_addresses(void **state)
{
    struct world *world = *state;

    lookup(world, STR("two.example"));
    wait_for_answers(world, 1);
    assert_null(world->answer.error);
    assert_int_equal(world->answer.count, 2);
}

static void addresses_are_answered_without_a_question(void **state)
{
    struct world *world = *state;

    lookup(world, STR("192.0.2.77"));
    wait_for_answers(world, 1);
    assert_int_equal(world->answer.count, 1);
    assert_address(world, 0, "192.0.2.77");
    lookup(world, STR("2001:db8::5"));
    wait_for_answers(world, 2);
    assert_address(world, 0, "2001:db8::5");
    assert_int_equal(world->questions, 0);
}

static void names_of_the_hosts_file_are_answered(void **state)
{
    struct world *world = *state;

    resolver_reload(world->resolver);
    lookup(world, STR("localhost"));
    wait_for_answers(world, 1);
    assert_null(world->answer.error);
    assert_true(world->answer.count >= 1);
}

static void answers_are_cached_without_regard_to_case(void **state)
{
    struct world *world = *state;

    lookup(world, STR("two.example"));
    wait_for_answers(world, 1);
    lookup(world, STR("TWO.Example"));
    wait_for_answers(world, 2);
    assert_int_equal(world->questions, 1);
    assert_address(world, 1, "192.0.2.2");
}

static void cached_answers_end(void **state)
{
    struct world *world = *state;

    clock_freeze(clock_now_ms(), clock_tick_ms());
    lookup(world, STR("two.example"));
    while (world->answers < 1)
        event_base_loop(world->base, EVLOOP_ONCE);
    clock_advance(59000);
    lookup(world, STR("two.example"));
    while (world->answers < 2)
        event_base_loop(world->base, EVLOOP_ONCE);
    assert_int_equal(world->questions, 1);
    clock_advance(2000);
    lookup(world, STR("two.example"));
    while (world->answers < 3)
        event_base_loop(world->base, EVLOOP_ONCE);
    clock_use_system();
    assert_int_equal(world->questions, 2);
}

/* Asks, at a frozen clock, until the answer is there. */
static void ask_again(struct world *world, struct str host)
{
    unsigned wanted = world->answers + 1;

    lookup(world, host);
    while (world->answers < wanted)
        event_base_loop(world->base, EVLOOP_ONCE);
    assert_null(world->answer.error);
}

static void answers_are_kept_as_long_as_the_name_server_says(void **state)
{
    struct world *world = *state;

    world->ttl_s = 1;
    clock_freeze(clock_now_ms(), clock_tick_ms());
    ask_again(world, STR("short.example"));
    assert_int_equal(world->answer.count, 2);
    clock_advance(900);
    ask_again(world, STR("short.example"));
    assert_int_equal(world->questions, 1);
    clock_advance(200);
    ask_again(world, STR("short.example"));
    clock_use_system();
    assert_int_equal(world->questions, 2);
}

static void answers_that_may_not_be_kept_are_asked_for_each_time(void **state)
{
    struct world *world = *state;

    world->ttl_s = 0;
    ask_again(world, STR("short.example"));
    ask_again(world, STR("short.example"));
    assert_int_equal(world->questions, 2);
}

static void no_answer_is_kept_for_more_than_a_minute(void **state)
{
    struct world *world = *state;

    clock_freeze(clock_now_ms(), clock_tick_ms());
    ask_again(world, STR("long.example"));
    clock_advance(61000);
    ask_again(world, STR("long.example"));
    clock_use_system();
    assert_int_equal(world->questions, 2);
}

static void ipv4_addresses_do_not_wait_long_for_those_of_ipv6(void **state)
{
    struct world *world = *state;
    int64_t begin = clock_tick_ms();

    world->is_silent_for_ipv6 = true;
    lookup(world, STR("both.example"));
    wait_for_answers(world, 1);
    assert_null(world->answer.error);
    assert_int_equal(world->answer.count, 2);
    assert_true(clock_tick_ms() - begin < 4500); /* not the whole time of a lookup */
    turn(world, 20);
}

static void a_missing_name_is_an_error_that_is_cached(void **state)
{
    struct world *world = *state;

    lookup(world, STR("missing.example"));
    wait_for_answers(world, 1);
    assert_string_equal(world->answer.error, "name not found");
    assert_int_equal(world->answer.count, 0);
    world->questions = 0;
    lookup(world, STR("missing.example"));
    wait_for_answers(world, 2);
    assert_string_equal(world->answer.error, "name not found");
    assert_int_equal(world->questions, 0);
}

static void a_name_without_addresses_is_an_error(void **state)
{
    struct world *world = *state;

    lookup(world, STR("empty.example"));
    wait_for_answers(world, 1);
    assert_non_null(world->answer.error);
}

static void what_is_no_name_is_an_error(void **state)
{
    struct world *world = *state;
    char name[300];

    memset(name, 'a', sizeof(name));
    lookup(world, str_n(name, sizeof(name)));
    lookup(world, STR(""));
    lookup(world, str_n("a\0b", 3));
    wait_for_answers(world, 3);
    assert_string_equal(world->answer.error, "not a name");
    assert_int_equal(world->questions, 0);
}

static void lookups_of_one_name_share_a_question(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 5; i++)
        lookup(world, STR("two.example"));
    wait_for_answers(world, 5);
    assert_int_equal(world->questions, 1);
}

static void a_cancelled_lookup_is_not_called_back(void **state)
{
    struct world *world = *state;
    struct resolver_query *asked, *numeric;

    asked = resolver_lookup(world->resolver, STR("two.example"), 1, on_answer, world);
    numeric = resolver_lookup(world->resolver, STR("192.0.2.1"), 1, on_answer, world);
    lookup(world, STR("two.example"));
    resolver_cancel(asked);
    resolver_cancel(numeric);
    wait_for_answers(world, 1);
    turn(world, 20);
    assert_int_equal(world->answers, 1);
}

static void a_resolver_may_be_freed_with_lookups_under_way(void **state)
{
    struct world *world = *state;

    world->is_silent = true;
    lookup(world, STR("two.example"));
    lookup(world, STR("both.example"));
    lookup(world, STR("192.0.2.1"));
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    world->answers = 0;
    resolver_free(world->resolver);
    world->resolver = NULL;
    turn(world, 20);
    assert_int_equal(world->answers, 0);
}

static void a_resolver_may_be_freed_in_a_callback(void **state)
{
    struct world *world = *state;

    world->frees_resolver = true;
    lookup(world, STR("two.example"));
    lookup(world, STR("two.example"));
    lookup(world, STR("missing.example"));
    wait_for_answers(world, 1);
    turn(world, 20);
    assert_int_equal(world->answers, 1);
}

static void a_reload_asks_again(void **state)
{
    struct world *world = *state;

    lookup(world, STR("two.example"));
    wait_for_answers(world, 1);
    resolver_reload(world->resolver);
    assert_int_equal(resolver_use_server(world->resolver, world->server_address), 0);
    lookup(world, STR("two.example"));
    wait_for_answers(world, 2);
    assert_int_equal(world->questions, 2);
}

static void a_reload_with_lookups_under_way_is_safe(void **state)
{
    struct world *world = *state;

    world->is_silent = true;
    lookup(world, STR("two.example"));
    turn(world, 20);
    for (int i = 0; i < 3; i++)
        resolver_reload(world->resolver);
    turn(world, 20);
}

static void a_wrong_server_is_refused(void **state)
{
    struct world *world = *state;

    assert_int_equal(resolver_use_server(world->resolver, "server.example"), -1);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_name_has_all_its_addresses),
        STORY(a_name_without_ipv6_has_its_ipv4_addresses),
        STORY(addresses_are_answered_without_a_question),
        STORY(names_of_the_hosts_file_are_answered),
        STORY(answers_are_cached_without_regard_to_case),
        STORY(cached_answers_end),
        STORY(answers_are_kept_as_long_as_the_name_server_says),
        STORY(answers_that_may_not_be_kept_are_asked_for_each_time),
        STORY(no_answer_is_kept_for_more_than_a_minute),
        STORY(ipv4_addresses_do_not_wait_long_for_those_of_ipv6),
        STORY(a_missing_name_is_an_error_that_is_cached),
        STORY(a_name_without_addresses_is_an_error),
        STORY(what_is_no_name_is_an_error),
        STORY(lookups_of_one_name_share_a_question),
        STORY(a_cancelled_lookup_is_not_called_back),
        STORY(a_resolver_may_be_freed_with_lookups_under_way),
        STORY(a_resolver_may_be_freed_in_a_callback),
        STORY(a_reload_asks_again),
        STORY(a_reload_with_lookups_under_way_is_safe),
        STORY(a_wrong_server_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "bench/target.h"

#include "bench/bench.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char complaint[500];

void bench_complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(complaint, sizeof(complaint), format, args);
    va_end(args);
}

static unsigned port_of(const struct target *target)
{
    return ntohs(((const struct sockaddr_in *)&target->address)->sin_port);
}

static void expect_target(const char *url, unsigned port, bool has_tls)
{
    struct target target;

    assert_true(target_open(&target, url, NULL));
    assert_string_equal(target.host, "127.0.0.1");
    assert_int_equal(port_of(&target), port);
    assert_int_equal(target.tls != NULL, has_tls);
    target_close(&target);
}

static void a_scheme_says_port_and_tls(void **state)
{
    (void)state;
    expect_target("http://127.0.0.1:8943", 8943, false);
    expect_target("https://127.0.0.1", 443, true);
    expect_target("mqtt://127.0.0.1", 1883, false);
    expect_target("mqtt://127.0.0.1:2000", 2000, false);
    expect_target("mqtts://127.0.0.1", 8883, true);
    expect_target("mqtts://127.0.0.1:443", 443, true);
}

static void what_is_no_url_is_said(void **state)
{
    static const char *const wrong[] = {
        "", "127.0.0.1:1883", "mqtt:127.0.0.1", "mqttss://127.0.0.1", "ftp://127.0.0.1", "mqtt://"};
    struct target target;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        complaint[0] = '\0';
        assert_false(target_open(&target, wrong[i], NULL));
        assert_non_null(strstr(complaint, "write http://"));
        target_close(&target);
    }
}

static void expect_source(const char *url, size_t number, const char *address)
{
    struct target target;
    char text[INET_ADDRSTRLEN];
    in_addr_t source;

    assert_true(target_open(&target, url, NULL));
    source = target_source(&target, number);
    assert_string_equal(inet_ntop(AF_INET, &source, text, sizeof(text)), address);
    target_close(&target);
}

static void many_connections_to_loopback_come_from_many_addresses(void **state)
{
    (void)state;
    expect_source("mqtt://127.0.0.1", 0, "0.0.0.0");
    expect_source("mqtt://127.0.0.1", TARGET_PER_SOURCE - 1, "0.0.0.0");
    expect_source("mqtt://127.0.0.1", TARGET_PER_SOURCE, "127.0.0.2");
    expect_source("mqtt://127.0.0.1", 2 * TARGET_PER_SOURCE, "127.0.0.3");
    expect_source("mqtt://127.0.0.1", 300 * TARGET_PER_SOURCE, "127.0.1.45");
    expect_source("mqtt://192.0.2.1", 5 * TARGET_PER_SOURCE, "0.0.0.0");
    expect_source("mqtt://[::1]", 5 * TARGET_PER_SOURCE, "0.0.0.0");
}

static void a_connection_comes_from_its_address(void **state)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    struct target target;
    struct wire wire;
    char url[40];
    int accepted;

    (void)state;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(url, sizeof(url), "mqtt://127.0.0.1:%u", ntohs(address.sin_port));
    assert_true(target_open(&target, url, NULL));
    assert_true(target_dial(&target, 3 * TARGET_PER_SOURCE, &wire));
    accepted = accept(listener, (struct sockaddr *)&address, &len);
    assert_true(accepted >= 0);
    assert_string_equal(inet_ntoa(address.sin_addr), "127.0.0.4");
    assert_int_equal(target_error(wire.fd), 0);
    wire_close(&wire, false);
    target_close(&target);
    close(accepted);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scheme_says_port_and_tls),
        cmocka_unit_test(what_is_no_url_is_said),
        cmocka_unit_test(many_connections_to_loopback_come_from_many_addresses),
        cmocka_unit_test(a_connection_comes_from_its_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

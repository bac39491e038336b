#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX 4

static struct hosts *hosts_of(const char *text)
{
    char path[] = "/tmp/iotpush-test-XXXXXX";
    int fd = mkstemp(path);
    struct hosts *hosts;

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    hosts = hosts_read(path);
    unlink(path);
    return hosts;
}

/* expected: with blanks between, "" for none. */
static void assert_addresses(const struct hosts *hosts, const char *name, const char *expected)
{
    struct sockaddr_storage addresses[MAX];
    size_t count = hosts_find(hosts, name, addresses, MAX);
    char all[MAX * (INET6_ADDRSTRLEN + 1)] = "";

    for (size_t i = 0; i < count; i++) {
        const void *in = addresses[i].ss_family == AF_INET
                             ? (const void *)&((struct sockaddr_in *)&addresses[i])->sin_addr
                             : &((struct sockaddr_in6 *)&addresses[i])->sin6_addr;

        assert_int_equal(((struct sockaddr_in *)&addresses[i])->sin_port, 0);
        if (i > 0)
            strcat(all, " ");
        inet_ntop(addresses[i].ss_family, in, all + strlen(all), INET6_ADDRSTRLEN);
    }
    assert_string_equal(all, expected);
}

static void names_have_the_addresses_of_their_lines(void **state)
{
    struct hosts *hosts = hosts_of("192.0.2.1 one.example alias\n"
                                   "2001:db8::1\tone.example\n"
                                   "192.0.2.2 two.example");

    (void)state;
    assert_addresses(hosts, "one.example", "192.0.2.1 2001:db8::1");
    assert_addresses(hosts, "alias", "192.0.2.1");
    assert_addresses(hosts, "two.example", "192.0.2.2");
    assert_addresses(hosts, "three.example", "");
    hosts_free(hosts);
}

static void names_are_kept_in_lower_case(void **state)
{
    struct hosts *hosts = hosts_of("192.0.2.1 One.EXAMPLE\n");

    (void)state;
    assert_addresses(hosts, "one.example", "192.0.2.1");
    hosts_free(hosts);
}

static void comments_and_what_is_no_address_are_passed_over(void **state)
{
    struct hosts *hosts = hosts_of("# 192.0.2.9 commented\n\n   \n"
                                   "192.0.2.1 one # two\r\n"
                                   "192.0.2.300 three\nfour five\n192.0.2.6\n");

    (void)state;
    assert_addresses(hosts, "one", "192.0.2.1");
    for (const char *const *name =
             (const char *const[]){"commented", "two", "three", "four", "five", "192.0.2.6", NULL};
         *name; name++)
        assert_addresses(hosts, *name, "");
    hosts_free(hosts);
}

static void no_more_addresses_come_than_there_is_room_for(void **state)
{
    struct hosts *hosts = hosts_of("192.0.2.1 a\n192.0.2.2 a\n192.0.2.3 a\n192.0.2.4 a\n"
                                   "192.0.2.5 a\n");

    (void)state;
    assert_addresses(hosts, "a", "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4");
    hosts_free(hosts);
}

static void localhost_is_known_always(void **state)
{
    struct hosts *without_file = hosts_read("/nowhere/hosts");
    struct hosts *named = hosts_of("127.0.0.1 localhost\n");

    (void)state;
    assert_addresses(without_file, "localhost", "127.0.0.1 ::1");
    assert_addresses(named, "localhost", "127.0.0.1");
    hosts_free(without_file);
    hosts_free(named);
    hosts_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_the_addresses_of_their_lines),
        cmocka_unit_test(names_are_kept_in_lower_case),
        cmocka_unit_test(comments_and_what_is_no_address_are_passed_over),
        cmocka_unit_test(no_more_addresses_come_than_there_is_room_for),
        cmocka_unit_test(localhost_is_known_always),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

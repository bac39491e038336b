#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "net/netpolicy.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>

static struct sockaddr_storage address(const char *text, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    }
    return storage;
}

/* The interfaces of this machine, as the policy sees them: these two stand before the C library's. */
static const char *own_address = "192.0.2.1"; /* NULL: they cannot be read */
static unsigned own_readings;

int getifaddrs(struct ifaddrs **list)
{
    static struct sockaddr_storage storage;
    static struct ifaddrs without_address;
    static struct ifaddrs interface = {.ifa_next = &without_address};

    own_readings++;
    if (!own_address)
        return -1;
    storage = address(own_address, 0);
    interface.ifa_addr = (struct sockaddr *)&storage;
    *list = &interface;
    return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
    (void)list;
}

static struct netpolicy *policy_of(const char *allow, const char *deny)
{
    char *error = NULL;
    struct netpolicy *policy = netpolicy_new(allow, deny, &error);

    if (!policy)
        fail_msg("%s", error);
    return policy;
}

static bool allows(const struct netpolicy *policy, const char *text, uint16_t port)
{
    struct sockaddr_storage storage = address(text, port);

    return netpolicy_allows(policy, (struct sockaddr *)&storage);
}

static void assert_verdicts(const char *allow, const char *deny, const char *const *addresses,
                            bool expected)
{
    struct netpolicy *policy = policy_of(allow, deny);

    for (; *addresses; addresses++)
        if (allows(policy, *addresses, 80) != expected)
            fail_msg("%s with allow='%s' deny='%s'", *addresses, allow, deny);
    netpolicy_free(policy);
}

static void public_addresses_are_allowed(void **state)
{
    const char *const addresses[] = {
        "8.8.8.8",     "1.1.1.1",        "172.15.255.255",   "172.32.0.0",
        "100.63.0.1",  "100.128.0.0",    "169.253.0.1",      "198.17.0.1",
        "223.255.0.1", "2a00:1450::1",   "2606:4700::1",     "128.0.0.1",
        "192.0.1.1",   "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", NULL};

    (void)state;
    assert_verdicts("", "", addresses, true);
}

static void special_addresses_are_denied(void **state)
{
    const char *const addresses[] = {
        "0.0.0.0",      "0.1.2.3",     "10.1.2.3",    "100.64.0.1",   "100.127.255.255",
        "127.0.0.1",    "127.9.9.9",   "169.254.1.1", "172.16.0.1",   "172.31.255.255",
        "192.0.0.1",    "192.0.2.1",   "192.168.1.1", "198.18.0.1",   "198.19.255.255",
        "198.51.100.1", "203.0.113.1", "224.0.0.1",   "240.0.0.1",    "255.255.255.255",
        "::",           "::1",         "fc00::1",     "fdff::1",      "fe80::1",
        "fec0::1",      "ff02::1",     "2001:db8::1", "2002:a00::1",  "2001::1",
        "100::1",       "4000::1",     "::127.0.0.1", "64:ff9b:1::1", NULL};

    (void)state;
    assert_verdicts("", "", addresses, false);
}

static void ipv4_inside_ipv6_is_judged_by_the_ipv4(void **state)
{
    const char *const addresses[] = {"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1",
                                     "64:ff9b::a9fe:a9fe", NULL};

    (void)state;
    assert_verdicts("", "", addresses, false);
    assert_verdicts("127.0.0.0/8, 10.0.0.0/8, 169.254.0.0/16", "", addresses, true);
    assert_verdicts("::ffff:127.0.0.0/104, linklocal, private", "", addresses, true);
}

static void allowed_networks_are_exceptions_of_the_default(void **state)
{
    const char *const inside[] = {"10.20.0.1", "10.20.255.255", "::1", NULL};
    const char *const outside[] = {"10.21.0.0", "127.0.0.1", "fe80::1", NULL};

    (void)state;
    assert_verdicts(" 10.20.0.0/16 ,,::1", "", inside, true);
    assert_verdicts("10.20.0.0/16,::1", "", outside, false);
}

static void networks_may_end_within_a_byte(void **state)
{
    const char *const inside[] = {"10.0.0.128", "10.0.0.191", NULL};
    const char *const outside[] = {"10.0.0.127", "10.0.0.192", NULL};

    (void)state;
    assert_verdicts("10.0.0.128/26", "", inside, true);
    assert_verdicts("10.0.0.128/26", "", outside, false);
}

static void denied_networks_win_over_allowed_ones(void **state)
{
    const char *const denied[] = {"10.1.0.1", "8.8.8.8", "2a00::1", NULL};
    const char *const allowed[] = {"10.2.0.1", "127.0.0.1", "1.1.1.1", NULL};

    (void)state;
    assert_verdicts("any", "10.1.0.0/16,8.8.8.8,2a00::/16", denied, false);
    assert_verdicts("any", "10.1.0.0/16,8.8.8.8,2a00::/16", allowed, true);
}

static void words_stand_for_networks(void **state)
{
    const char *const loopback[] = {"127.3.0.1", "::1", NULL};
    const char *const private[] = {"10.0.0.1", "172.20.0.1", "192.168.0.1", "fd00::1", NULL};
    const char *const linklocal[] = {"169.254.0.1", "fe80::1", NULL};
    const char *const multicast[] = {"224.0.0.1", "ff02::1", NULL};
    const char *const everything[] = {"0.0.0.0", "240.0.0.1", "::", "ff02::1", "10.0.0.1", NULL};

    (void)state;
    assert_verdicts("loopback", "", loopback, true);
    assert_verdicts("loopback", "", private, false);
    assert_verdicts("Private", "", private, true);
    assert_verdicts("private", "", loopback, false);
    assert_verdicts("linklocal", "", linklocal, true);
    assert_verdicts("multicast", "", multicast, true);
    assert_verdicts("any", "", everything, true);
}

static void wrong_lists_are_explained(void **state)
{
    const char *const wrong[] = {"10.0.0.0/33", "10.0.0/8",   "::/129",       "intern",
                                 "10.0.0.1/",   "1.2.3.4/-1", "10.0.0.0/8 x", "::ffff:0.0.0.0/90",
                                 "/8",          NULL};
    char *error = NULL;

    (void)state;
    for (const char *const *list = wrong; *list; list++)
        if (!netpolicy_check(*list))
            fail_msg("%s was taken", *list);
    assert_null(netpolicy_check(""));
    assert_null(netpolicy_check("any, loopback,private , 10.0.0.0/8,::1,fe80::/10"));
    assert_null(netpolicy_new("", "loopback, intern", &error));
    assert_non_null(strstr(error, "intern"));
    free(error);
}

static void own_listeners_are_refused_also_in_allowed_networks(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_storage listener = address("10.0.0.5", 8080);

    (void)state;
    netpolicy_add_listener(policy, (struct sockaddr *)&listener);
    assert_false(allows(policy, "10.0.0.5", 8080));
    assert_false(allows(policy, "::ffff:10.0.0.5", 8080));
    assert_true(allows(policy, "10.0.0.5", 8081));
    assert_true(allows(policy, "10.0.0.6", 8080));
    netpolicy_free(policy);
}

static void listeners_at_all_addresses_cover_this_machine(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_storage listener = address("::", 8080);

    (void)state;
    netpolicy_add_listener(policy, (struct sockaddr *)&listener);
    assert_false(allows(policy, "127.0.0.1", 8080));
    assert_false(allows(policy, "127.0.0.77", 8080));
    assert_false(allows(policy, "::1", 8080));
    assert_false(allows(policy, "0.0.0.0", 8080));
    assert_true(allows(policy, "127.0.0.1", 8081));
    assert_true(allows(policy, "8.8.8.8", 8080));
    assert_false(allows(policy, "192.0.2.1", 8080));
    assert_true(allows(policy, "192.0.2.1", 8081));
    assert_true(allows(policy, "192.0.2.2", 8080));
    netpolicy_free(policy);
}

static void addresses_that_this_machine_gets_later_are_covered_too(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_storage listener = address("0.0.0.0", 8080);

    (void)state;
    clock_freeze(clock_now_ms(), clock_tick_ms());
    netpolicy_add_listener(policy, (struct sockaddr *)&listener);
    own_address = "192.0.2.2";
    clock_advance(5000);
    assert_false(allows(policy, "192.0.2.2", 8080));
    assert_true(allows(policy, "192.0.2.1", 8080));
    own_address = NULL; /* they cannot be read: the last ones stay */
    clock_advance(5000);
    assert_false(allows(policy, "192.0.2.2", 8080));
    own_address = "192.0.2.1";
    clock_use_system();
    netpolicy_free(policy);
}

static void addresses_of_this_machine_are_not_read_for_every_callback(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_storage listener = address("0.0.0.0", 8080);
    unsigned before;

    (void)state;
    clock_freeze(clock_now_ms(), clock_tick_ms());
    netpolicy_add_listener(policy, (struct sockaddr *)&listener);
    before = own_readings;
    for (int i = 0; i < 1000; i++) {
        allows(policy, "192.0.2.7", 8080);
        allows(policy, "192.0.2.7", 443);
    }
    assert_int_equal(own_readings, before);
    clock_advance(5000);
    allows(policy, "192.0.2.7", 443);
    assert_int_equal(own_readings, before);
    for (int i = 0; i < 1000; i++)
        allows(policy, "192.0.2.7", 8080);
    assert_int_equal(own_readings, before + 1);
    clock_use_system();
    netpolicy_free(policy);
}

static void the_unspecified_address_means_the_loopback(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_storage listener = address("127.0.0.1", 8080);

    (void)state;
    netpolicy_add_listener(policy, (struct sockaddr *)&listener);
    assert_false(allows(policy, "0.0.0.0", 8080));
    assert_false(allows(policy, "::", 8080));
    netpolicy_free(policy);
}

static void hosts_in_text_are_judged_and_names_pass(void **state)
{
    struct netpolicy *policy = policy_of("", "");
    struct netpolicy *lenient = policy_of("127.0.0.0/8", "");

    (void)state;
    assert_true(netpolicy_allows_host(policy, STR("a.example"), 80));
    assert_true(netpolicy_allows_host(policy, STR("8.8.8.8"), 80));
    assert_false(netpolicy_allows_host(policy, STR("10.0.0.1"), 80));
    assert_false(netpolicy_allows_host(policy, STR("::1"), 80));
    assert_false(netpolicy_allows_host(policy, STR("LocalHost"), 80));
    assert_false(netpolicy_allows_host(policy, STR("localhost."), 80));
    assert_false(netpolicy_allows_host(policy, STR("a.localhost"), 80));
    assert_true(netpolicy_allows_host(policy, STR("notlocalhost"), 80));
    assert_true(netpolicy_allows_host(lenient, STR("localhost"), 80));
    netpolicy_free(policy);
    netpolicy_free(lenient);
}

static void other_families_are_refused(void **state)
{
    struct netpolicy *policy = policy_of("any", "");
    struct sockaddr_un address_of_unix = {.sun_family = AF_UNIX};

    (void)state;
    assert_false(netpolicy_allows(policy, (struct sockaddr *)&address_of_unix));
    netpolicy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_addresses_are_allowed),
        cmocka_unit_test(special_addresses_are_denied),
        cmocka_unit_test(ipv4_inside_ipv6_is_judged_by_the_ipv4),
        cmocka_unit_test(allowed_networks_are_exceptions_of_the_default),
        cmocka_unit_test(networks_may_end_within_a_byte),
        cmocka_unit_test(denied_networks_win_over_allowed_ones),
        cmocka_unit_test(words_stand_for_networks),
        cmocka_unit_test(wrong_lists_are_explained),
        cmocka_unit_test(own_listeners_are_refused_also_in_allowed_networks),
        cmocka_unit_test(listeners_at_all_addresses_cover_this_machine),
        cmocka_unit_test(addresses_that_this_machine_gets_later_are_covered_too),
        cmocka_unit_test(addresses_of_this_machine_are_not_read_for_every_callback),
        cmocka_unit_test(the_unspecified_address_means_the_loopback),
        cmocka_unit_test(hosts_in_text_are_judged_and_names_pass),
        cmocka_unit_test(other_families_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

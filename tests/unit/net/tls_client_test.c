/*
 * Handshakes in memory: the client's SSL against a server's, without sockets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/tls.h"

#include "certificates.h"

#include <string.h>
#include <unistd.h>

struct world {
    struct identity ca, server;
    SSL *client, *peer;
};

static int start(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->ca = identity_new(NULL, NULL, 100);
    *state = world;
    return 0;
}

static int stop(void **state)
{
    struct world *world = *state;

    SSL_free(world->client);
    SSL_free(world->peer);
    identity_clear(&world->ca);
    identity_clear(&world->server);
    free(world);
    return 0;
}

static SSL_CTX *client_context(const struct identity *trusted)
{
    char *file = identity_write(trusted);
    char *error = NULL;
    SSL_CTX *context = tls_client_context_new(file, &error);

    if (!context)
        fail_msg("%s", error);
    unlink(file);
    free(file);
    return context;
}

static void connect_in_memory(struct world *world)
{
    BIO *client_end, *server_end;

    BIO_new_bio_pair(&client_end, 0, &server_end, 0);
    SSL_set_bio(world->client, client_end, client_end);
    SSL_set_bio(world->peer, server_end, server_end);
    SSL_set_connect_state(world->client);
    SSL_set_accept_state(world->peer);
}

/* Both sides prepared, the client asking for host. */
static void prepare(struct world *world, const struct identity *trusted, const char *names,
                    const char *host, bool is_address)
{
    SSL_CTX *context = client_context(trusted);
    SSL_CTX *server_context;

    world->server = identity_new(&world->ca, names, 100);
    server_context = identity_server_context(&world->server);
    world->client = tls_client_connect(context, str_of(host), is_address);
    assert_non_null(world->client);
    world->peer = SSL_new(server_context);
    SSL_CTX_free(context);
    SSL_CTX_free(server_context);
    connect_in_memory(world);
}

static bool shakes_hands(struct world *world)
{
    int client_result = 0, server_result = 0;

    for (int i = 0; i < 10 && (client_result != 1 || server_result != 1); i++) {
        client_result = SSL_do_handshake(world->client);
        server_result = SSL_do_handshake(world->peer);
    }
    ERR_clear_error();
    return client_result == 1 && server_result == 1;
}

static void names_are_verified_and_sent(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example,DNS:b.example", "b.example", false);
    assert_true(shakes_hands(world));
    assert_string_equal(SSL_get_servername(world->peer, TLSEXT_NAMETYPE_host_name), "b.example");
}

static void addresses_are_verified_and_not_sent(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "IP:192.0.2.1", "192.0.2.1", true);
    assert_true(shakes_hands(world));
    assert_null(SSL_get_servername(world->peer, TLSEXT_NAMETYPE_host_name));
}

static void ipv6_addresses_are_verified(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "IP:2001:db8::1", "2001:db8::1", true);
    assert_true(shakes_hands(world));
}

static void a_wildcard_covers_a_whole_label(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:*.a.example", "x.a.example", false);
    assert_true(shakes_hands(world));
}

static void a_wildcard_for_part_of_a_label_is_refused(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:x*.a.example", "xy.a.example", false);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL), "hostname mismatch");
}

static void another_name_is_refused(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example", "b.example", false);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL), "hostname mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    struct world *world = *state;
    struct identity other = identity_new(NULL, NULL, 100);

    prepare(world, &other, "DNS:a.example", "a.example", false);
    identity_clear(&other);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "unable to get local issuer certificate");
}

static void the_servers_own_certificate_can_be_trusted_directly(void **state)
{
    struct world *world = *state;
    struct identity leaf = identity_new(&world->ca, "DNS:a.example", 100);
    SSL_CTX *context = client_context(&leaf);
    SSL_CTX *server_context = identity_server_context(&leaf);

    world->client = tls_client_connect(context, STR("a.example"), false);
    world->peer = SSL_new(server_context);
    world->server = leaf;
    SSL_CTX_free(context);
    SSL_CTX_free(server_context);
    connect_in_memory(world);
    assert_true(shakes_hands(world));
}

static void tls_1_1_is_refused(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example", "a.example", false);
    SSL_set_security_level(world->peer, 0);
    SSL_set_min_proto_version(world->peer, TLS1_VERSION);
    SSL_set_max_proto_version(world->peer, TLS1_1_VERSION);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL), "handshake failed");
}

static void tls_1_2_is_accepted(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example", "a.example", false);
    SSL_set_max_proto_version(world->peer, TLS1_2_VERSION);
    assert_true(shakes_hands(world));
}

static void hosts_that_can_not_be_are_refused(void **state)
{
    struct world *world = *state;
    SSL_CTX *context = client_context(&world->ca);
    char host[300];

    memset(host, 'a', sizeof(host));
    assert_null(tls_client_connect(context, str_n(host, sizeof(host)), false));
    assert_null(tls_client_connect(context, STR(""), false));
    assert_null(tls_client_connect(context, str_n("a\0b", 3), false));
    assert_null(tls_client_connect(context, STR("no.address"), true));
    SSL_CTX_free(context);
}

static void a_missing_ca_file_is_named(void **state)
{
    char *error = NULL;

    (void)state;
    assert_null(tls_client_context_new("/nowhere/ca.pem", &error));
    assert_non_null(strstr(error, "/nowhere/ca.pem"));
    free(error);
}

static void a_ca_file_without_certificates_is_named(void **state)
{
    char *error = NULL;

    (void)state;
    assert_null(tls_client_context_new("/dev/null", &error));
    assert_non_null(strstr(error, "/dev/null"));
    free(error);
}

static void without_a_ca_file_the_systems_authorities_count(void **state)
{
    char *error = NULL;
    SSL_CTX *context = tls_client_context_new("", &error);

    (void)state;
    assert_non_null(context);
    assert_int_equal(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER);
    SSL_CTX_free(context);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(names_are_verified_and_sent),
        STORY(addresses_are_verified_and_not_sent),
        STORY(ipv6_addresses_are_verified),
        STORY(a_wildcard_covers_a_whole_label),
        STORY(a_wildcard_for_part_of_a_label_is_refused),
        STORY(another_name_is_refused),
        STORY(an_unknown_authority_is_refused),
        STORY(the_servers_own_certificate_can_be_trusted_directly),
        STORY(tls_1_1_is_refused),
        STORY(tls_1_2_is_accepted),
        STORY(hosts_that_can_not_be_are_refused),
        STORY(a_missing_ca_file_is_named),
        STORY(a_ca_file_without_certificates_is_named),
        STORY(without_a_ca_file_the_systems_authorities_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

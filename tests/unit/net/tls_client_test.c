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

static SSL_CTX *context_for_file(const char *file, char **error)
{
    return tls_client_context_new(
        &(struct tls_client_config){.ca_file = file, .min_version = TLS1_2_VERSION}, error);
}

/* As without a certificate entry. */
static SSL *connect_to(SSL_CTX *context, struct str host, bool is_address)
{
    return tls_client_connect(
        context, &(struct tls_peer){.name = host, .server_name = is_address ? STR_NONE : host});
}

static SSL_CTX *client_context(const struct identity *trusted)
{
    char *file = identity_write(trusted);
    char *error = NULL;
    SSL_CTX *context = context_for_file(file, &error);

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
    world->client = connect_to(context, str_of(host), is_address);
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
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "name mismatch: hostname mismatch");
}

static void another_name_is_refused(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example", "b.example", false);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "name mismatch: hostname mismatch");
}

static void an_unknown_authority_is_refused(void **state)
{
    struct world *world = *state;
    struct identity other = identity_new(NULL, NULL, 100);

    prepare(world, &other, "DNS:a.example", "a.example", false);
    identity_clear(&other);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "unknown CA: unable to get local issuer certificate");
}

static void the_servers_own_certificate_can_be_trusted_directly(void **state)
{
    struct world *world = *state;
    struct identity leaf = identity_new(&world->ca, "DNS:a.example", 100);
    SSL_CTX *context = client_context(&leaf);
    SSL_CTX *server_context = identity_server_context(&leaf);

    world->client = connect_to(context, STR("a.example"), false);
    world->peer = SSL_new(server_context);
    world->server = leaf;
    SSL_CTX_free(context);
    SSL_CTX_free(server_context);
    connect_in_memory(world);
    assert_true(shakes_hands(world));
}

static bool is_served_by(struct world *world, EVP_PKEY *key, const char *usage)
{
    SSL_CTX *context = client_context(&world->ca);
    SSL_CTX *server_context;

    world->server = identity_new_for(&world->ca, "DNS:a.example", 100, key, usage);
    server_context = identity_server_context(&world->server);
    world->client = connect_to(context, STR("a.example"), false);
    world->peer = SSL_new(server_context);
    SSL_CTX_free(context);
    SSL_CTX_free(server_context);
    connect_in_memory(world);
    return shakes_hands(world);
}

static void a_weak_key_is_refused_also_where_openssl_would_take_it(void **state)
{
    struct world *world = *state;
    SSL_CTX *plain = SSL_CTX_new(TLS_client_method());

    assert_int_equal(SSL_CTX_get_security_level(plain), 0); /* by the configuration file of main */
    SSL_CTX_free(plain);
    assert_false(is_served_by(world, EVP_RSA_gen(1024), NULL));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "certificate: EE certificate key too weak");
}

static void an_rsa_key_of_2048_bits_is_accepted(void **state)
{
    assert_true(is_served_by(*state, EVP_RSA_gen(2048), NULL));
}

static void a_certificate_for_clients_only_is_refused(void **state)
{
    struct world *world = *state;

    assert_false(is_served_by(world, EVP_EC_gen("P-256"), "clientAuth"));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "certificate: unsuitable certificate purpose");
}

static void a_certificate_for_both_sides_is_accepted(void **state)
{
    assert_true(is_served_by(*state, EVP_EC_gen("P-256"), "clientAuth,serverAuth"));
}

static void tls_1_1_is_refused(void **state)
{
    struct world *world = *state;

    prepare(world, &world->ca, "DNS:a.example", "a.example", false);
    SSL_set_security_level(world->peer, 0);
    SSL_set_min_proto_version(world->peer, TLS1_VERSION);
    SSL_set_max_proto_version(world->peer, TLS1_1_VERSION);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL), "handshake: failed");
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
    assert_null(connect_to(context, str_n(host, sizeof(host)), false));
    assert_null(connect_to(context, STR(""), false));
    assert_null(connect_to(context, str_n("a\0b", 3), false));
    SSL_CTX_free(context);
}

static void a_missing_ca_file_is_named(void **state)
{
    char *error = NULL;

    (void)state;
    assert_null(context_for_file("/nowhere/ca.pem", &error));
    assert_non_null(strstr(error, "/nowhere/ca.pem"));
    free(error);
}

static void a_ca_file_without_certificates_is_named(void **state)
{
    char *error = NULL;

    (void)state;
    assert_null(context_for_file("/dev/null", &error));
    assert_non_null(strstr(error, "/dev/null"));
    free(error);
}

static void without_a_ca_file_the_systems_authorities_count(void **state)
{
    char *error = NULL;
    SSL_CTX *context = context_for_file("", &error);

    (void)state;
    assert_non_null(context);
    assert_int_equal(SSL_CTX_get_verify_mode(context), SSL_VERIFY_PEER);
    SSL_CTX_free(context);
}

/* ---- certificate entries: anchors in memory, and their own rules of names ---- */

struct entry {
    const struct identity *anchor;
    const char *name, *server_name;
    bool ignores_anchor_expiry;
};

static void prepare_entry(struct world *world, const struct identity *server,
                          const struct entry *entry)
{
    X509 *anchor = entry->anchor->certificate;
    struct certificates anchors = {&anchor, 1};
    char *error = NULL;
    SSL_CTX *context = tls_client_context_new(
        &(struct tls_client_config){.anchors = &anchors,
                                    .min_version = TLS1_2_VERSION,
                                    .ignores_anchor_expiry = entry->ignores_anchor_expiry},
        &error);
    SSL_CTX *server_context = identity_server_context(server);

    assert_non_null(context);
    world->client =
        tls_client_connect(context, &(struct tls_peer){.name = str_of(entry->name),
                                                       .server_name = str_of(entry->server_name),
                                                       .takes_common_name = true});
    assert_non_null(world->client);
    world->peer = SSL_new(server_context);
    SSL_CTX_free(context);
    SSL_CTX_free(server_context);
    connect_in_memory(world);
}

static const char *common_name_of(const struct identity *identity, char *out, int size)
{
    X509_NAME_get_text_by_NID(X509_get_subject_name(identity->certificate), NID_commonName, out,
                              size);
    return out;
}

static void any_name_is_accepted_when_none_is_expected(void **state)
{
    struct world *world = *state;

    world->server = identity_new(&world->ca, "DNS:a.example", 100);
    prepare_entry(world, &world->server, &(struct entry){.anchor = &world->ca});
    assert_true(shakes_hands(world));
    assert_null(SSL_get_servername(world->peer, TLSEXT_NAMETYPE_host_name));
}

static void the_common_name_counts_beside_alternative_names(void **state)
{
    struct world *world = *state;
    char name[64];

    world->server = identity_new(&world->ca, "DNS:a.example", 100);
    prepare_entry(world, &world->server,
                  &(struct entry){.anchor = &world->ca,
                                  .name = common_name_of(&world->server, name, sizeof(name)),
                                  .server_name = "c.example"});
    assert_true(shakes_hands(world));
    assert_string_equal(SSL_get_servername(world->peer, TLSEXT_NAMETYPE_host_name), "c.example");
}

static void an_entrys_other_name_is_refused(void **state)
{
    struct world *world = *state;

    world->server = identity_new(&world->ca, "DNS:a.example,IP:192.0.2.1", 100);
    prepare_entry(world, &world->server,
                  &(struct entry){.anchor = &world->ca, .name = "192.0.2.2"});
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "name mismatch: IP address mismatch");
}

static void an_expired_anchor_is_refused_unless_it_is_excused(void **state)
{
    struct world *world = *state;

    identity_clear(&world->ca);
    world->ca = identity_new(NULL, NULL, -1);
    world->server = identity_new(&world->ca, "DNS:a.example", 100);
    prepare_entry(world, &world->server,
                  &(struct entry){.anchor = &world->ca, .name = "a.example"});
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "expired: certificate has expired");

    SSL_free(world->client);
    SSL_free(world->peer);
    prepare_entry(world, &world->server, &(struct entry){&world->ca, "a.example", NULL, true});
    assert_true(shakes_hands(world));
}

static void an_expired_server_is_not_excused(void **state)
{
    struct world *world = *state;

    world->server = identity_new(&world->ca, "DNS:a.example", -1);
    prepare_entry(world, &world->server, &(struct entry){&world->ca, "a.example", NULL, true});
    assert_false(shakes_hands(world));
}

static void another_authority_is_not_excused(void **state)
{
    struct world *world = *state;
    struct identity other = identity_new(NULL, NULL, -1);

    world->server = identity_new(&world->ca, "DNS:a.example", 100);
    prepare_entry(world, &world->server, &(struct entry){&other, "a.example", NULL, true});
    identity_clear(&other);
    assert_false(shakes_hands(world));
    assert_string_equal(tls_failure_reason(world->client, NULL),
                        "unknown CA: unable to get local issuer certificate");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, start, stop)

/* A careless openssl.cnf, which OpenSSL reads when it is first used. */
static void weaken_openssl(void)
{
    static const char text[] = "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\n"
                               "system_default = weak\n[weak]\nCipherString = ALL@SECLEVEL=0\n";
    char path[] = "/tmp/iotpush-test-XXXXXX";
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0 || close(fd) != 0)
        abort();
    setenv("OPENSSL_CONF", path, 1);
    OPENSSL_init_ssl(0, NULL);
    unlink(path);
}

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
        STORY(a_weak_key_is_refused_also_where_openssl_would_take_it),
        STORY(an_rsa_key_of_2048_bits_is_accepted),
        STORY(a_certificate_for_clients_only_is_refused),
        STORY(a_certificate_for_both_sides_is_accepted),
        STORY(tls_1_1_is_refused),
        STORY(tls_1_2_is_accepted),
        STORY(hosts_that_can_not_be_are_refused),
        STORY(a_missing_ca_file_is_named),
        STORY(a_ca_file_without_certificates_is_named),
        STORY(any_name_is_accepted_when_none_is_expected),
        STORY(the_common_name_counts_beside_alternative_names),
        STORY(an_entrys_other_name_is_refused),
        STORY(an_expired_anchor_is_refused_unless_it_is_excused),
        STORY(an_expired_server_is_not_excused),
        STORY(another_authority_is_not_excused),
        STORY(without_a_ca_file_the_systems_authorities_count),
    };

    weaken_openssl();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

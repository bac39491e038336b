#include "device/mqtt_login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define PASSWORD "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct mqtt_claim claim_of(const char *client_id, const char *user)
{
    struct mqtt_connect packet = {.client_id = str_of(client_id), .user = str_of(user),
                                  .password = STR(PASSWORD)};
    struct mqtt_claim claim;

    mqtt_claim_read(&packet, &claim);
    return claim;
}

static void assert_text(struct str actual, const char *expected)
{
    assert_true(str_eq(actual, str_of(expected)) && (actual.p != NULL) == (expected != NULL));
}

static void ids_are_cut_from_the_right(void **state)
{
    static const struct {
        const char *client_id, *device_id, *node_id, *timestamp;
    } claims[] = {
        {"dev_0_0_2025041401", "dev", NULL, "2025041401"},
        {"a_b_0_0_0_2025041401", "a_b_0", NULL, "2025041401"},
        {"___0_0_1", "__", NULL, "1"},
        {"node_2_0_20201103", NULL, "node", "20201103"},
        {"n_0_1_2_0_x", NULL, "n_0_1", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
        const char *id = claims[i].device_id ? claims[i].device_id : claims[i].node_id;
        struct mqtt_claim claim = claim_of(claims[i].client_id, id);

        assert_int_equal(claim.code, MQTT_ACCEPTED);
        assert_text(claim.proof.device_id, claims[i].device_id);
        assert_text(claim.proof.node_id, claims[i].node_id);
        assert_text(claim.proof.timestamp, claims[i].timestamp);
        assert_text(claim.proof.password, PASSWORD);
    }
}

static void the_sign_says_how_the_password_is_made(void **state)
{
    (void)state;
    assert_false(claim_of("d_0_0_1", "d").is_time_checked || claim_of("d_0_0_1", "d").proof.is_sm3);
    assert_true(claim_of("d_0_1_1", "d").is_time_checked);
    assert_false(claim_of("d_0_1_1", "d").proof.is_sm3);
    assert_true(claim_of("d_0_2_1", "d").proof.is_sm3);
    assert_false(claim_of("d_0_2_1", "d").is_time_checked);
}

static void what_cannot_be_is_refused(void **state)
{
    static const struct {
        const char *client_id;
        enum mqtt_connack code;
    } claims[] = {
        {"", MQTT_BAD_CLIENT_ID},           {"d", MQTT_BAD_CLIENT_ID},
        {"d_0", MQTT_BAD_CLIENT_ID},        {"d_0_0", MQTT_BAD_CLIENT_ID},
        {"0_0_1", MQTT_BAD_CLIENT_ID},      {"_0_0_1", MQTT_BAD_CLIENT_ID},
        {"d_0_0_", MQTT_BAD_CLIENT_ID},     {"d_0_3_1", MQTT_BAD_CLIENT_ID},
        {"d_0_00_1", MQTT_BAD_CLIENT_ID},   {"d_4_0_1", MQTT_BAD_CLIENT_ID},
        {"d_x_0_1", MQTT_BAD_CLIENT_ID},    {"d_00_0_1", MQTT_BAD_CLIENT_ID},
        {"d__0_1", MQTT_BAD_CLIENT_ID},     {"p_n_1_0_1", MQTT_NOT_AUTHORIZED},
        {"b_3_0_1", MQTT_NOT_AUTHORIZED},   {"d_0_scope_0_1", MQTT_BAD_CLIENT_ID},
        {"other_0_0_1", MQTT_BAD_LOGIN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(claims) / sizeof(*claims); i++) {
        struct mqtt_claim claim = claim_of(claims[i].client_id, "d");

        assert_int_equal(claim.code, claims[i].code);
        assert_non_null(claim.reason);
    }
}

static void user_name_and_password_must_be_there(void **state)
{
    struct mqtt_connect packet = {.client_id = STR("d_0_0_1"), .user = STR("d"),
                                  .password = STR("short")};
    struct mqtt_claim claim;

    (void)state;
    mqtt_claim_read(&packet, &claim);
    assert_int_equal(claim.code, MQTT_BAD_LOGIN);
    packet.password = STR_NONE; /* as with an X.509 certificate */
    mqtt_claim_read(&packet, &claim);
    assert_int_equal(claim.code, MQTT_NOT_AUTHORIZED);
    packet.user = STR_NONE;
    mqtt_claim_read(&packet, &claim);
    assert_int_equal(claim.code, MQTT_BAD_LOGIN);
}

static void ids_and_times_have_a_length(void **state)
{
    char id[300];

    (void)state;
    memset(id, 'a', sizeof(id));
    strcpy(id + 250, "_0_0_1");
    assert_int_equal(claim_of(id, "d").code, MQTT_BAD_LOGIN); /* 256, and not the user's */
    memset(id, 'a', sizeof(id));
    strcpy(id + 251, "_0_0_1");
    assert_int_equal(claim_of(id, "d").code, MQTT_BAD_CLIENT_ID);
    strcpy(id, "d_0_0_");
    memset(id + 6, '1', 64);
    id[70] = '\0';
    assert_int_equal(claim_of(id, "d").code, MQTT_ACCEPTED);
    id[70] = '1';
    id[71] = '\0';
    assert_int_equal(claim_of(id, "d").code, MQTT_BAD_CLIENT_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_cut_from_the_right),
        cmocka_unit_test(the_sign_says_how_the_password_is_made),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(user_name_and_password_must_be_there),
        cmocka_unit_test(ids_and_times_have_a_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

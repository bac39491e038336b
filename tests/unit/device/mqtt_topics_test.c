#include "device/mqtt_topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_text(struct str actual, const char *expected)
{
    assert_true(str_eq(actual, str_of(expected)) && (actual.p != NULL) == (expected != NULL));
}

static void topics_from_devices_are_told_apart(void **state)
{
    static const struct {
        const char *topic;
        enum mqtt_topic_kind kind;
        const char *id, *request_id;
        bool is_gzip;
    } cases[] = {
        {"$oc/devices/d/sys/properties/report", TOPIC_PROPERTIES, "d", NULL, false},
        {"$oc/devices/d/sys/properties/report?request_id=r", TOPIC_PROPERTIES, "d", "r", false},
        {"$oc/devices/d/sys/properties/report?encoding=gzip", TOPIC_PROPERTIES, "d", NULL, true},
        {"$oc/devices/d/sys/messages/up?request_id=r&encoding=gzip", TOPIC_MESSAGE, "d", "r", true},
        {"$oc/devices/d/sys/messages/up?encoding=gzip&request_id=r", TOPIC_MESSAGE, "d", "r", true},
        {"$oc/devices/d/sys/messages/up?encoding=zip", TOPIC_MESSAGE, "d", NULL, false},
        {"$oc/devices/d/sys/gateway/sub_devices/properties/report", TOPIC_CHILDREN, "d", NULL, false},
        {"$oc/devices/d/sys/events/up", TOPIC_EVENT, "d", NULL, false},
        {"$oc/devices/d/sys/properties/set/response/request_id=a-1", TOPIC_SET_RESPONSE, "d", "a-1", false},
        {"$oc/devices/d/sys/properties/get/response/request_id=", TOPIC_GET_RESPONSE, "d", "", false},
        {"$oc/devices/d/sys/commands/response/request_id=c", TOPIC_COMMAND_RESPONSE, "d", "c", false},
        {"$oc/devices/d/sys/shadow/get/request_id=998", TOPIC_SHADOW_GET, "d", "998", false},
        {"/huawei/v1/devices/n_1/data/json", TOPIC_V1_DATA, "n_1", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct mqtt_topic parts;

        mqtt_topic_read(str_of(cases[i].topic), &parts);
        assert_int_equal(parts.kind, cases[i].kind);
        assert_text(parts.id, cases[i].id);
        assert_text(parts.request_id, cases[i].request_id);
        assert_int_equal(parts.is_gzip, cases[i].is_gzip);
    }
}

static void others_are_unknown(void **state)
{
    static const char *const topics[] = {
        "$oc/devices/d/sys/properties/report/", "$oc/devices/d/sys/properties/reports",
        "$oc/devices//sys/properties/report",   "$oc/devices/d",
        "$oc/devices/d/e/sys/events/up",        "/$oc/devices/d/sys/events/up",
        "$oc/devices/d/sys/events/down",        "$oc/devices/d/sys/commands/request_id=1",
        "$oc/devices/d/sys/commands/response/", "$oc/devices/d/sys/commands/response/x=1",
        "$oc/devices/d/sys/commands/response/request_id=1/2",
        "huawei/v1/devices/d/data/json",        "/huawei/v1/devices/d/data/binary",
        "/huawei/v1/devices/d/command/json",    "?",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(topics) / sizeof(*topics); i++) {
        struct mqtt_topic parts;

        mqtt_topic_read(str_of(topics[i]), &parts);
        assert_int_equal(parts.kind, TOPIC_UNKNOWN);
    }
}

static void topics_to_devices_are_written(void **state)
{
    static const struct {
        enum mqtt_topic_kind kind;
        const char *topic;
    } cases[] = {
        {TOPIC_SET, "$oc/devices/d/sys/properties/set/request_id=r"},
        {TOPIC_GET, "$oc/devices/d/sys/properties/get/request_id=r"},
        {TOPIC_COMMAND, "$oc/devices/d/sys/commands/request_id=r"},
        {TOPIC_SHADOW_RESPONSE, "$oc/devices/d/sys/shadow/get/response/request_id=r"},
        {TOPIC_MESSAGE_DOWN, "$oc/devices/d/sys/messages/down"},
        {TOPIC_EVENT_DOWN, "$oc/devices/d/sys/events/down"},
        {TOPIC_V1_COMMAND, "/huawei/v1/devices/d/command/json"},
    };
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_text(mqtt_topic_down(arena, cases[i].kind, STR("d"), STR("r")), cases[i].topic);
        assert_int_equal(mqtt_topic_is_implicit(cases[i].kind), cases[i].topic[0] == '$');
    }
    arena_free(arena);
}

static void a_device_may_subscribe_to_what_is_sent_to_it(void **state)
{
    static const struct {
        const char *filter;
        bool is_granted;
    } cases[] = {
        {"$oc/devices/d/sys/commands/#", true},
        {"$oc/devices/d/sys/properties/set/#", true},
        {"$oc/devices/d/sys/properties/get/#", true},
        {"$oc/devices/d/sys/shadow/get/response/#", true},
        {"$oc/devices/d/sys/messages/down", true},
        {"$oc/devices/d/sys/events/down", true},
        {"$oc/devices/d/#", true},
        {"$oc/devices/d/sys/+/down", true},
        {"$oc/devices/d/user/x", true},
        {"/huawei/v1/devices/d/command/json", true},
        {"/huawei/v1/devices/n/command/json", true},
        {"/huawei/v1/devices/n/command/+", true},
        {"$oc/devices/n/sys/commands/#", false}, /* v5 has no node ids */
        {"$oc/devices/d", false},
        {"$oc/devices/d/", false},
        {"$oc/devices/d/user/", false},
        {"$oc/devices/dd/sys/commands/#", false},
        {"$oc/devices/+/sys/commands/#", false},
        {"$oc/devices/#", false},
        {"#", false},
        {"+/+/+", false},
        {"$oc/devices/d/sys/commands", false},
        {"$oc/devices/d/sys/events/up", false},
        {"/huawei/v1/devices/x/command/json", false},
        {"/huawei/v1/devices/d/command/binary", false},
        {"/huawei/v1/devices/d/data/json", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(mqtt_topic_is_subscribable(str_of(cases[i].filter), STR("d"), STR("n")),
                         cases[i].is_granted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_from_devices_are_told_apart),
        cmocka_unit_test(others_are_unknown),
        cmocka_unit_test(topics_to_devices_are_written),
        cmocka_unit_test(a_device_may_subscribe_to_what_is_sent_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

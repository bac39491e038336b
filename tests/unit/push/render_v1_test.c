#include "push/notification.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct rendering rendering; /* what the event of the test was read into */
static struct event_facts facts;
static struct arena *arena;
static struct json_writer *writer;

static int start(void **state)
{
    (void)state;
    arena = arena_new();
    writer = json_writer_new();
    rendering = (struct rendering){.facts = &facts, .has_old_status_set = true};
    return 0;
}

static int stop(void **state)
{
    (void)state;
    json_writer_free(writer);
    arena_free(arena);
    return 0;
}

/* An entry of the stream, as event.h describes it. */
static void happens(const char *entry)
{
    assert_true(event_read(str_of(entry), &facts));
    rendering.payload = json_parse(arena, facts.payload, NULL);
    assert_non_null(rendering.payload);
}

static const struct notification_type *type_of(const char *name)
{
    for (const struct notification_type *type = notification_types; type->name; type++) {
        if (type->kind == facts.kind && strcmp(type->name, name) == 0)
            return type;
    }
    fail_msg("%s does not make %s", event_kind_name(facts.kind), name);
    return NULL;
}

static size_t parts_of(const char *name)
{
    return type_of(name)->parts(&rendering);
}

static void assert_part(const char *name, size_t part, const char *expected)
{
    json_writer_reset(writer);
    type_of(name)->render(&rendering, part, writer);
    assert_string_equal(json_writer_text(writer).p, expected);
}

static void assert_notification(const char *name, const char *expected)
{
    assert_int_equal(parts_of(name), 1);
    assert_part(name, 0, expected);
}

/* members of DeviceInfo that a test says nothing about */
#define BEFORE_STATUS_NULL                                                                         \
    "\"name\":null,\"description\":null,\"manufacturerId\":null,\"manufacturerName\":null,"        \
    "\"mac\":null,\"location\":null,\"deviceType\":null,\"model\":null,\"swVersion\":null,"        \
    "\"fwVersion\":null,\"hwVersion\":null,\"protocolType\":null,\"bridgeId\":null,"
#define AFTER_STATUS_NULL                                                                          \
    "\"mute\":null,\"supportedSecurity\":null,\"isSecurity\":null,\"signalStrength\":null,"        \
    "\"sigVersion\":null,\"serialNumber\":null,\"batteryLevel\":null,\"isHD\":null}}"

/* -- the types -------------------------------------------------------------------------------- */

static void a_new_device_is_device_added(void **state)
{
    (void)state;
    happens("1 device.created app1 dev1 dev1 1566438240000 "
            "{\"info\":{\"nodeId\":\"8655\",\"status\":\"INACTIVE\",\"statusDetail\":"
            "\"NOT_ACTIVE\"},\"nodeId\":\"8655\"}");
    assert_notification(
        "deviceAdded",
        "{\"notifyType\":\"deviceAdded\",\"deviceId\":\"dev1\",\"gatewayId\":"
        "\"dev1\",\"nodeType\":\"GATEWAY\",\"deviceInfo\":{\"nodeId\":\"8655\"," BEFORE_STATUS_NULL
        "\"status\":\"OFFLINE\",\"statusDetail\":\"NOT_ACTIVE\"," AFTER_STATUS_NULL);
}

static void a_new_device_behind_a_gateway_is_an_endpoint(void **state)
{
    (void)state;
    happens("1 device.created app1 child1 gw1 0 {\"info\":{\"nodeId\":\"8655\",\"status\":"
            "\"INACTIVE\",\"statusDetail\":\"NOT_ACTIVE\"}}");
    assert_notification(
        "deviceAdded",
        "{\"notifyType\":\"deviceAdded\",\"deviceId\":\"child1\",\"gatewayId\":"
        "\"gw1\",\"nodeType\":\"ENDPOINT\",\"deviceInfo\":{\"nodeId\":\"8655\"," BEFORE_STATUS_NULL
        "\"status\":\"OFFLINE\",\"statusDetail\":\"NOT_ACTIVE\"," AFTER_STATUS_NULL);
}

static void device_info_has_its_members_in_the_protocols_order(void **state)
{
    (void)state;
    /* here in the opposite order */
    happens("1 device.created app1 dev1 dev1 0 {\"info\":{\"isHD\":\"x\",\"batteryLevel\":\"w\","
            "\"serialNumber\":\"v\",\"sigVersion\":\"u\",\"signalStrength\":\"t\",\"isSecurity\":"
            "\"s\",\"supportedSecurity\":\"r\",\"mute\":\"q\",\"statusDetail\":\"p\",\"status\":"
            "\"o\",\"bridgeId\":\"n\",\"protocolType\":\"m\",\"hwVersion\":\"l\",\"fwVersion\":"
            "\"k\",\"swVersion\":\"j\",\"model\":\"i\",\"deviceType\":\"h\",\"location\":\"g\","
            "\"mac\":\"f\",\"manufacturerName\":\"e\",\"manufacturerId\":\"d\",\"description\":"
            "\"c\",\"name\":\"b\",\"nodeId\":\"a\",\"secret\":\"no member\"}}");
    assert_notification(
        "deviceAdded",
        "{\"notifyType\":\"deviceAdded\",\"deviceId\":\"dev1\",\"gatewayId\":\"dev1\","
        "\"nodeType\":\"GATEWAY\",\"deviceInfo\":{\"nodeId\":\"a\",\"name\":\"b\",\"description\":"
        "\"c\",\"manufacturerId\":\"d\",\"manufacturerName\":\"e\",\"mac\":\"f\",\"location\":"
        "\"g\",\"deviceType\":\"h\",\"model\":\"i\",\"swVersion\":\"j\",\"fwVersion\":\"k\","
        "\"hwVersion\":\"l\",\"protocolType\":\"m\",\"bridgeId\":\"n\",\"status\":\"o\","
        "\"statusDetail\":\"p\",\"mute\":\"q\",\"supportedSecurity\":\"r\",\"isSecurity\":\"s\","
        "\"signalStrength\":\"t\",\"sigVersion\":\"u\",\"serialNumber\":\"v\",\"batteryLevel\":"
        "\"w\",\"isHD\":\"x\"}}");
}

static void a_first_access_is_bind_device_without_a_gateway_id(void **state)
{
    (void)state;
    happens("1 device.bound app1 dev1 gw1 0 {\"result\":\"succeeded\",\"info\":{\"nodeId\":"
            "\"8655\",\"status\":\"ONLINE\",\"statusDetail\":\"NONE\"}}");
    assert_notification("bindDevice",
                        "{\"notifyType\":\"bindDevice\",\"deviceId\":\"dev1\",\"resultCode\":"
                        "\"succeeded\",\"deviceInfo\":{\"nodeId\":\"8655\"," BEFORE_STATUS_NULL
                        "\"status\":\"ONLINE\",\"statusDetail\":\"NONE\"," AFTER_STATUS_NULL);
}

static void an_expired_registration_is_bind_device_without_device_info(void **state)
{
    (void)state;
    happens("1 device.bound app1 dev1 dev1 0 {\"result\":\"expired\"}");
    assert_notification("bindDevice",
                        "{\"notifyType\":\"bindDevice\",\"deviceId\":\"dev1\",\"resultCode\":"
                        "\"expired\",\"deviceInfo\":null}");
}

static void a_change_is_device_info_changed_with_only_what_changed(void **state)
{
    (void)state;
    happens(
        "1 device.updated app1 dev1 gw1 0 {\"info\":{\"isHD\":\"\",\"name\":\"pump \\\"2\\\"\"},"
        "\"nodeId\":\"8655\"}");
    assert_notification(
        "deviceInfoChanged",
        "{\"notifyType\":\"deviceInfoChanged\",\"deviceId\":\"dev1\",\"gatewayId\":\"gw1\","
        "\"networkStatus\":null,\"deviceInfo\":{\"nodeId\":null,\"name\":\"pump \\\"2\\\"\","
        "\"description\":null,\"manufacturerId\":null,\"manufacturerName\":null,\"mac\":null,"
        "\"location\":null,\"deviceType\":null,\"model\":null,\"swVersion\":null,\"fwVersion\":"
        "null,"
        "\"hwVersion\":null,\"protocolType\":null,\"bridgeId\":null,\"status\":null,"
        "\"statusDetail\":null,\"mute\":null,\"supportedSecurity\":null,\"isSecurity\":null,"
        "\"signalStrength\":null,\"sigVersion\":null,\"serialNumber\":null,\"batteryLevel\":null,"
        "\"isHD\":\"\"}}");
}

static void a_status_is_device_info_changed_with_status_and_detail(void **state)
{
    (void)state;
    happens("1 device.status app1 dev1 dev1 0 {\"info\":{\"status\":\"ABNORMAL\","
            "\"statusDetail\":\"TIME_OUT\"},\"nodeId\":\"8655\"}");
    assert_notification(
        "deviceInfoChanged",
        "{\"notifyType\":\"deviceInfoChanged\",\"deviceId\":\"dev1\",\"gatewayId\":\"dev1\","
        "\"networkStatus\":null,\"deviceInfo\":{\"nodeId\":null," BEFORE_STATUS_NULL
        "\"status\":\"ABNORMAL\",\"statusDetail\":\"TIME_OUT\"," AFTER_STATUS_NULL);
}

static void a_deleted_device_is_device_deleted(void **state)
{
    (void)state;
    happens("1 device.deleted app1 child1 gw1 0 {}");
    assert_notification("deviceDeleted", "{\"notifyType\":\"deviceDeleted\",\"deviceId\":"
                                         "\"child1\",\"gatewayId\":\"gw1\"}");
}

static void a_report_is_device_data_changed(void **state)
{
    (void)state;
    happens("1 property.reported app1 dev1 gw1 1566438299000 {\"services\":[{\"id\":\"Flow\","
            "\"data\":{\"litres\":1204,\"rate\":0.10},\"time\":1566438240000}]}");
    assert_notification("deviceDataChanged",
                        "{\"notifyType\":\"deviceDataChanged\",\"deviceId\":\"dev1\",\"gatewayId\":"
                        "\"gw1\",\"requestId\":null,\"service\":{\"serviceId\":\"Flow\","
                        "\"serviceType\":\"Flow\",\"data\":{\"litres\":1204,\"rate\":0.10},"
                        "\"eventTime\":\"20190822T014400Z\"}}");
}

static void a_report_is_device_datas_changed_with_the_request_id_first(void **state)
{
    (void)state;
    happens("1 property.reported app1 dev1 gw1 1566438299000 {\"services\":[{\"id\":\"Flow\","
            "\"data\":{\"litres\":1204},\"time\":1566438240000}]}");
    assert_notification("deviceDatasChanged",
                        "{\"notifyType\":\"deviceDatasChanged\",\"requestId\":null,\"deviceId\":"
                        "\"dev1\",\"gatewayId\":\"gw1\",\"services\":[{\"serviceId\":\"Flow\","
                        "\"serviceType\":\"Flow\",\"data\":{\"litres\":1204},\"eventTime\":"
                        "\"20190822T014400Z\"}]}");
}

static void several_services_are_as_many_data_and_one_datas(void **state)
{
    static const char *const services[] = {
        "{\"serviceId\":\"Flow\",\"serviceType\":\"Flow\",\"data\":{\"litres\":1},"
        "\"eventTime\":\"20190822T014400Z\"}",
        "{\"serviceId\":\"Valve\",\"serviceType\":\"Valve\",\"data\":{\"position\":[40,{\"a\":"
        "null}]},\"eventTime\":\"20190822T014401Z\"}",
        "{\"serviceId\":\"Idle\",\"serviceType\":\"Idle\",\"data\":{},\"eventTime\":"
        "\"19700101T000000Z\"}"};
    char expected[1000];

    (void)state;
    happens("1 property.reported app1 dev1 gw1 0 {\"services\":["
            "{\"id\":\"Flow\",\"data\":{\"litres\":1},\"time\":1566438240000},"
            "{\"id\":\"Valve\",\"data\":{\"position\":[40,{\"a\":null}]},\"time\":1566438241999},"
            "{\"id\":\"Idle\",\"data\":{},\"time\":0}]}");
    assert_int_equal(parts_of("deviceDataChanged"), 3);
    for (size_t i = 0; i < 3; i++) {
        snprintf(expected, sizeof(expected),
                 "{\"notifyType\":\"deviceDataChanged\",\"deviceId\":\"dev1\",\"gatewayId\":"
                 "\"gw1\",\"requestId\":null,\"service\":%s}",
                 services[i]);
        assert_part("deviceDataChanged", i, expected);
    }
    snprintf(expected, sizeof(expected),
             "{\"notifyType\":\"deviceDatasChanged\",\"requestId\":null,\"deviceId\":\"dev1\","
             "\"gatewayId\":\"gw1\",\"services\":[%s,%s,%s]}",
             services[0], services[1], services[2]);
    assert_notification("deviceDatasChanged", expected);
}

static void a_report_without_services_is_no_device_data_changed(void **state)
{
    (void)state;
    happens("1 property.reported app1 dev1 dev1 0 {\"services\":[]}");
    assert_int_equal(parts_of("deviceDataChanged"), 0);
    happens("1 property.reported app1 dev1 dev1 0 {}");
    assert_int_equal(parts_of("deviceDataChanged"), 0);
}

/* -- options ---------------------------------------------------------------------------------- */

static void service_info_is_service_info_changed(void **state)
{
    (void)state;
    happens("1 service.info app1 dev1 gw1 0 {\"id\":\"Valve\",\"info\":{\"muteCmds\":"
            "[\"SET_VALVE\"]}}");
    assert_notification("serviceInfoChanged",
                        "{\"notifyType\":\"serviceInfoChanged\",\"deviceId\":\"dev1\","
                        "\"gatewayId\":\"gw1\",\"serviceId\":\"Valve\",\"serviceType\":"
                        "\"Valve\",\"serviceInfo\":{\"muteCmds\":[\"SET_VALVE\"]}}");
    happens("1 service.info app1 dev1 dev1 0 {\"id\":\"Bypass\",\"type\":\"Valve\",\"info\":{}}");
    assert_notification("serviceInfoChanged",
                        "{\"notifyType\":\"serviceInfoChanged\",\"deviceId\":\"dev1\","
                        "\"gatewayId\":\"dev1\",\"serviceId\":\"Bypass\",\"serviceType\":"
                        "\"Valve\",\"serviceInfo\":{}}");
}

static void the_new_status_set_says_inactive(void **state)
{
    (void)state;
    rendering.has_old_status_set = false;
    happens("1 device.created app1 dev1 dev1 0 {\"info\":{\"nodeId\":\"8655\",\"status\":"
            "\"INACTIVE\",\"statusDetail\":\"NOT_ACTIVE\"}}");
    assert_notification(
        "deviceAdded",
        "{\"notifyType\":\"deviceAdded\",\"deviceId\":\"dev1\",\"gatewayId\":"
        "\"dev1\",\"nodeType\":\"GATEWAY\",\"deviceInfo\":{\"nodeId\":\"8655\"," BEFORE_STATUS_NULL
        "\"status\":\"INACTIVE\",\"statusDetail\":"
        "\"NOT_ACTIVE\"," AFTER_STATUS_NULL);
}

static void only_the_status_is_put_into_the_old_words(void **state)
{
    (void)state;
    happens("1 device.created app1 dev1 dev1 0 {\"info\":{\"nodeId\":\"INACTIVE\",\"status\":"
            "\"INACTIVE\",\"statusDetail\":\"NOT_ACTIVE\"}}");
    assert_notification(
        "deviceAdded", "{\"notifyType\":\"deviceAdded\",\"deviceId\":\"dev1\",\"gatewayId\":"
                       "\"dev1\",\"nodeType\":\"GATEWAY\",\"deviceInfo\":{\"nodeId\":"
                       "\"INACTIVE\"," BEFORE_STATUS_NULL
                       "\"status\":\"OFFLINE\",\"statusDetail\":\"NOT_ACTIVE\"," AFTER_STATUS_NULL);
}

static void the_other_statuses_are_the_same_in_both_sets(void **state)
{
    static const char *const statuses[] = {"ONLINE", "OFFLINE", "ABNORMAL"};

    (void)state;
    for (int i = 0; i < 6; i++) {
        char entry[200], expected[1000];

        rendering.has_old_status_set = i % 2;
        snprintf(entry, sizeof(entry),
                 "1 device.status app1 dev1 dev1 0 {\"info\":{\"status\":\"%s\","
                 "\"statusDetail\":\"NONE\"}}",
                 statuses[i / 2]);
        snprintf(
            expected, sizeof(expected),
            "{\"notifyType\":\"deviceInfoChanged\",\"deviceId\":\"dev1\",\"gatewayId\":"
            "\"dev1\",\"networkStatus\":null,\"deviceInfo\":{\"nodeId\":null," BEFORE_STATUS_NULL
            "\"status\":\"%s\",\"statusDetail\":\"NONE\"," AFTER_STATUS_NULL,
            statuses[i / 2]);
        happens(entry);
        assert_notification("deviceInfoChanged", expected);
    }
}

static void the_node_id_is_sent_always_when_that_is_wanted(void **state)
{
    static const char *const entries[] = {
        "1 device.status app1 dev1 dev1 0 {\"info\":{\"status\":\"ONLINE\",\"statusDetail\":"
        "\"NONE\"},\"nodeId\":\"8655\"}",
        "1 device.updated app1 dev1 dev1 0 {\"info\":{\"status\":\"ONLINE\",\"statusDetail\":"
        "\"NONE\"},\"nodeId\":\"8655\"}"};

    (void)state;
    rendering.sends_node_id = true;
    for (int i = 0; i < 2; i++) {
        happens(entries[i]);
        assert_notification(
            "deviceInfoChanged",
            "{\"notifyType\":\"deviceInfoChanged\",\"deviceId\":\"dev1\",\"gatewayId\":\"dev1\","
            "\"networkStatus\":null,\"deviceInfo\":{\"nodeId\":\"8655\"," BEFORE_STATUS_NULL
            "\"status\":\"ONLINE\",\"statusDetail\":\"NONE\"," AFTER_STATUS_NULL);
    }
}

static void a_node_id_that_changed_is_sent_in_any_case(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        rendering.sends_node_id = i;
        happens("1 device.updated app1 dev1 dev1 0 {\"info\":{\"nodeId\":\"new\",\"status\":"
                "\"ONLINE\",\"statusDetail\":\"NONE\"},\"nodeId\":\"new\"}");
        assert_notification(
            "deviceInfoChanged",
            "{\"notifyType\":\"deviceInfoChanged\",\"deviceId\":\"dev1\",\"gatewayId\":\"dev1\","
            "\"networkStatus\":null,\"deviceInfo\":{\"nodeId\":\"new\"," BEFORE_STATUS_NULL
            "\"status\":\"ONLINE\",\"statusDetail\":\"NONE\"," AFTER_STATUS_NULL);
    }
}

static void an_answer_to_desired_values_is_their_status(void **state)
{
    (void)state;
    happens("1 desired.status app1 dev1 gw1 0 {\"service\":\"Valve\",\"properties\":{\"position\":75.0,"
            "\"label\":null},\"status\":\"DELIVERED\"}");
    assert_notification("deviceDesiredPropertiesModifyStatusChanged",
                        "{\"notifyType\":\"deviceDesiredPropertiesModifyStatusChanged\","
                        "\"deviceId\":\"dev1\",\"serviceId\":\"Valve\",\"properties\":{\"position\":75.0,"
                        "\"label\":null},\"status\":\"DELIVERED\"}");
}

/* -- the table -------------------------------------------------------------------------------- */

static void every_notification_begins_with_its_type(void **state)
{
    (void)state;
    for (const struct notification_type *type = notification_types; type->name; type++) {
        char entry[200], expected[100];

        snprintf(entry, sizeof(entry),
                 "1 %s app1 dev1 dev1 0 {\"info\":{},\"services\":[{}],\"status\":\"DELIVERED\","
                 "\"answered\":true}",
                 event_kind_name(type->kind));
        snprintf(expected, sizeof(expected), "{\"notifyType\":\"%s\",", type->name);
        happens(entry);
        assert_int_equal(type->parts(&rendering), 1);
        json_writer_reset(writer);
        type->render(&rendering, 0, writer);
        assert_true(str_starts_with(json_writer_text(writer), str_of(expected)));
        assert_non_null(json_parse(arena, json_writer_text(writer), NULL));
    }
}

#define RENDERED(test) cmocka_unit_test_setup_teardown(test, start, stop)

static void a_service_has_the_type_of_its_model(void **state)
{
    (void)state;
    happens("1 property.reported app1 dev1 gw1 0 {\"services\":[{\"id\":\"Bypass\",\"type\":"
            "\"Valve\",\"data\":{\"position\":1},\"time\":1566438240000}]}");
    assert_notification("deviceDataChanged",
                        "{\"notifyType\":\"deviceDataChanged\",\"deviceId\":\"dev1\",\"gatewayId\":"
                        "\"gw1\",\"requestId\":null,\"service\":{\"serviceId\":\"Bypass\","
                        "\"serviceType\":\"Valve\",\"data\":{\"position\":1},\"eventTime\":"
                        "\"20190822T014400Z\"}}");
}

static void a_change_of_a_model_has_one_body_for_each_of_its_types(void **state)
{
    static const struct {
        const char *kind, *types[3];
    } kinds[] = {{"model.added", {"deviceCapabilitiesAdded", "deviceModelAdded"}},
                 {"model.updated", {"deviceCapabilitiesChanged"}},
                 {"model.deleted", {"deviceCapabilitiesDeleted", "deviceModelDeleted"}}};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        happens(arena_printf(arena, "1 %s app1 p1 p1 0 {\"deviceType\":\"WaterMeter\","
                                    "\"manufacturerName\":\"Acme\",\"manufacturerId\":\"ACME01\","
                                    "\"model\":\"WM200\",\"protocolType\":\"CoAP\"}",
                             kinds[i].kind));
        for (const char *const *type = kinds[i].types; *type; type++)
            assert_notification(
                *type, arena_printf(arena, "{\"notifyType\":\"%s\",\"appId\":\"app1\",\"deviceType\":"
                                           "\"WaterMeter\",\"manufacturerName\":\"Acme\","
                                           "\"manufacturerId\":\"ACME01\",\"model\":\"WM200\","
                                           "\"protocolType\":\"CoAP\"}",
                                    *type));
    }
}

#define COMMAND "1 command.status app1 dev1 gw1 1566438242000 {\"id\":\"c1\",\"service\":\"Valve\"," \
                "\"serviceType\":\"ValveType\",\"method\":\"SET\",\"to\":\"/users/app1\""

static void assert_own(const char *expected)
{
    struct str id = STR_NONE, url = STR_NONE;
    const struct notification_type *type = notification_of_its_own(&rendering, &id, &url);

    assert_non_null(type);
    assert_string_equal(id.p, "c1");
    assert_string_equal(url.p, "http://x:1/");
    assert_int_equal(type->parts(&rendering), 1);
    json_writer_reset(writer);
    type->render(&rendering, 0, writer);
    assert_string_equal(json_writer_text(writer).p, expected);
}

static void assert_no_own(void)
{
    struct str id, url;
    const struct notification_type *type = notification_of_its_own(&rendering, &id, &url);

    assert_true(!type || type->parts(&rendering) == 0);
}

static void a_commands_state_goes_to_its_own_callback(void **state)
{
    (void)state;
    happens(COMMAND ",\"url\":\"http://x:1/\",\"status\":\"SENT\"}");
    assert_own("{\"deviceId\":\"dev1\",\"commandId\":\"c1\",\"result\":{\"resultCode\":\"SENT\","
               "\"resultDetail\":null}}");
    assert_int_equal(parts_of("messageConfirm"), 0);
    assert_int_equal(parts_of("commandRsp"), 0);
    happens(COMMAND ",\"url\":\"http://x:1/\",\"status\":\"FAILED\",\"detail\":{\"reason\":\"r\"}}");
    assert_own("{\"deviceId\":\"dev1\",\"commandId\":\"c1\",\"result\":{\"resultCode\":\"FAILED\","
               "\"resultDetail\":{\"reason\":\"r\"}}}");
    assert_int_equal(parts_of("messageConfirm"), 0);
    assert_int_equal(parts_of("commandRsp"), 0);
}

static void a_command_without_a_callback_tells_nobody_of_its_own(void **state)
{
    (void)state;
    happens(COMMAND ",\"status\":\"SENT\"}");
    assert_no_own();
    happens("1 device.deleted app1 dev1 dev1 0 {\"url\":\"http://x:1/\",\"id\":\"c1\"}");
    assert_no_own();
}

static void a_commands_end_by_time_or_will_is_told_when_that_is_wanted(void **state)
{
    static const char *const ends[] = {"EXPIRED", "CANCELED"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        happens(arena_printf(arena, COMMAND ",\"url\":\"http://x:1/\",\"status\":\"%s\"}", ends[i]));
        rendering.tells_command_end = false;
        assert_no_own();
        rendering.tells_command_end = true;
        assert_own(arena_printf(arena,
                                "{\"deviceId\":\"dev1\",\"commandId\":\"c1\",\"result\":"
                                "{\"resultCode\":\"%s\",\"resultDetail\":null}}",
                                ends[i]));
    }
}

static void a_delivered_command_is_message_confirm(void **state)
{
    (void)state;
    happens(COMMAND ",\"status\":\"DELIVERED\"}");
    assert_notification("messageConfirm",
                        "{\"notifyType\":\"messageConfirm\",\"header\":{\"requestId\":\"c1\","
                        "\"from\":\"/devices/dev1\",\"to\":\"/users/app1\",\"status\":\"delivered\","
                        "\"timestamp\":\"20190822T014402Z\"},\"body\":{}}");
    assert_int_equal(parts_of("commandRsp"), 0);
    happens(COMMAND ",\"noConfirmation\":true,\"status\":\"DELIVERED\"}");
    assert_int_equal(parts_of("messageConfirm"), 0);
}

static void a_call_is_known_by_its_request_and_confirmed_to_its_callback(void **state)
{
    static const char confirmed[] =
        "{\"notifyType\":\"messageConfirm\",\"header\":{\"requestId\":\"r\",\"from\":"
        "\"/devices/dev1\",\"to\":\"/users/app1\",\"status\":\"failed\",\"timestamp\":"
        "\"20190822T014402Z\"},\"body\":{}}";

    (void)state;
    happens(COMMAND ",\"request\":\"r\",\"url\":\"http://x:1/\",\"call\":true,\"status\":\"FAILED\","
                    "\"detail\":{\"reason\":\"send command failed\"}}");
    assert_own(confirmed);
    assert_notification("messageConfirm", confirmed);
    happens(COMMAND ",\"request\":\"r\",\"url\":\"http://x:1/\",\"call\":true,"
                    "\"status\":\"SUCCESSFUL\",\"answered\":true,\"code\":0}");
    assert_no_own();
}

static void an_answer_is_command_rsp(void **state)
{
    static const struct {
        const char *event, *method, *body;
    } answers[] = {
        {"\"status\":\"SUCCESSFUL\",\"detail\":{\"a\":1},\"answered\":true,\"code\":0", "SET-RSP",
         "{\"a\":1}"},
        {"\"status\":\"FAILED\",\"answered\":true,\"code\":3", "SET-RSP", "{\"errcode\":3}"},
        {"\"response\":\"OF_MODEL\",\"status\":\"SUCCESSFUL\",\"answered\":true,\"code\":0",
         "OF_MODEL", "{\"errcode\":0}"},
        {"\"response\":\"OF_MODEL\",\"status\":\"SUCCESSFUL\",\"answered\":true,\"code\":0,"
         "\"response\":\"OF_DEVICE\"",
         "OF_DEVICE", "{\"errcode\":0}"},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        happens(arena_printf(arena, COMMAND ",%s}", answers[i].event));
        assert_notification(
            "commandRsp",
            arena_printf(arena,
                         "{\"notifyType\":\"commandRsp\",\"header\":{\"requestId\":\"c1\",\"from\":"
                         "\"/devices/dev1/services/Valve\",\"to\":\"/users/app1\",\"deviceId\":"
                         "\"dev1\",\"serviceType\":\"ValveType\",\"method\":\"%s\"},\"body\":%s}",
                         answers[i].method, answers[i].body));
        assert_int_equal(parts_of("messageConfirm"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RENDERED(a_new_device_is_device_added),
        RENDERED(a_new_device_behind_a_gateway_is_an_endpoint),
        RENDERED(device_info_has_its_members_in_the_protocols_order),
        RENDERED(a_first_access_is_bind_device_without_a_gateway_id),
        RENDERED(an_expired_registration_is_bind_device_without_device_info),
        RENDERED(a_change_is_device_info_changed_with_only_what_changed),
        RENDERED(a_status_is_device_info_changed_with_status_and_detail),
        RENDERED(a_deleted_device_is_device_deleted),
        RENDERED(a_report_is_device_data_changed),
        RENDERED(a_report_is_device_datas_changed_with_the_request_id_first),
        RENDERED(several_services_are_as_many_data_and_one_datas),
        RENDERED(a_report_without_services_is_no_device_data_changed),
        RENDERED(service_info_is_service_info_changed),
        RENDERED(the_new_status_set_says_inactive),
        RENDERED(only_the_status_is_put_into_the_old_words),
        RENDERED(the_other_statuses_are_the_same_in_both_sets),
        RENDERED(the_node_id_is_sent_always_when_that_is_wanted),
        RENDERED(a_node_id_that_changed_is_sent_in_any_case),
        RENDERED(an_answer_to_desired_values_is_their_status),
        RENDERED(every_notification_begins_with_its_type),
        RENDERED(a_service_has_the_type_of_its_model),
        RENDERED(a_change_of_a_model_has_one_body_for_each_of_its_types),
        RENDERED(a_commands_state_goes_to_its_own_callback),
        RENDERED(a_command_without_a_callback_tells_nobody_of_its_own),
        RENDERED(a_commands_end_by_time_or_will_is_told_when_that_is_wanted),
        RENDERED(a_delivered_command_is_message_confirm),
        RENDERED(a_call_is_known_by_its_request_and_confirmed_to_its_callback),
        RENDERED(an_answer_is_command_rsp),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "net/mqtt_codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MQTT_311 "\x00\x04MQTT\x04"
#define MQTT_31  "\x00\x06MQIsdp\x03"

static struct mqtt_head head_of(struct str packet, int level)
{
    struct mqtt_head head;

    assert_int_equal(mqtt_read_head(packet.p, packet.len, level, &head), MQTT_COMPLETE);
    return head;
}

static struct str body_of(struct str packet)
{
    struct mqtt_head head = head_of(packet, MQTT_LEVEL_311);

    assert_int_equal(packet.len, head.head_len + head.body_len);
    return str_n(packet.p + head.head_len, head.body_len);
}

static void assert_text(struct str actual, const char *expected)
{
    assert_true(str_eq(actual, str_of(expected)));
}

static void assert_bytes(struct buf *buf, struct str expected)
{
    assert_int_equal(buf->len, expected.len);
    assert_memory_equal(buf->p, expected.p, expected.len);
    buf_clear(buf);
}

/* ---- heads ---- */

static void a_head_has_a_type_and_a_length(void **state)
{
    static const struct {
        struct str bytes;
        size_t head_len, body_len;
    } heads[] = {
        {STR("\x10\x00"), 2, 0},
        {STR("\x10\x7f"), 2, 127},
        {STR("\x10\x80\x01"), 3, 128},
        {STR("\x10\xff\x7f"), 3, 16383},
        {STR("\x10\x80\x80\x01"), 4, 16384},
        {STR("\x10\xff\xff\x7f"), 4, 2097151},
        {STR("\x10\x80\x80\x80\x01"), 5, 2097152},
        {STR("\x10\xff\xff\xff\x7f"), 5, MQTT_REMAINING_MAX},
        {STR("\x10\x80\x00"), 3, 0}, /* longer than needed, and not forbidden */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        struct mqtt_head head = head_of(heads[i].bytes, MQTT_LEVEL_311);

        assert_int_equal(head.type, MQTT_CONNECT);
        assert_int_equal(head.head_len, heads[i].head_len);
        assert_int_equal(head.body_len, heads[i].body_len);
    }
}

static void a_head_may_come_byte_by_byte(void **state)
{
    struct str whole = STR("\x30\xff\xff\xff\x7f");
    struct mqtt_head head;

    (void)state;
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(mqtt_read_head(whole.p, len, MQTT_LEVEL_311, &head), MQTT_INCOMPLETE);
    head = head_of(whole, MQTT_LEVEL_311);
    assert_int_equal(head.type, MQTT_PUBLISH);
}

static void a_length_of_five_bytes_is_malformed(void **state)
{
    struct str bytes = STR("\x30\x80\x80\x80\x80\x01");
    struct mqtt_head head;

    (void)state;
    for (size_t len = 5; len <= bytes.len; len++)
        assert_int_equal(mqtt_read_head(bytes.p, len, MQTT_LEVEL_311, &head), MQTT_MALFORMED);
}

static bool head_is_read(unsigned type, unsigned flags, int level)
{
    char bytes[2] = {(char)(type << 4 | flags), 0};
    struct mqtt_head head;

    return mqtt_read_head(bytes, 2, level, &head) == MQTT_COMPLETE;
}

static void reserved_types_and_flags_are_malformed(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 16; flags++) {
        assert_false(head_is_read(0, flags, MQTT_LEVEL_311));
        assert_false(head_is_read(15, flags, MQTT_LEVEL_311));
        for (unsigned type = MQTT_CONNECT; type <= MQTT_DISCONNECT; type++) {
            bool wants_two =
                type == MQTT_PUBREL || type == MQTT_SUBSCRIBE || type == MQTT_UNSUBSCRIBE;
            bool expected = flags == (wants_two ? 2 : 0);

            if (type == MQTT_PUBLISH) /* QoS 3, and a repetition with QoS 0 */
                expected = (flags & 6) != 6 && (flags & 14) != 8;
            assert_int_equal(head_is_read(type, flags, MQTT_LEVEL_311), expected);
            if (type != MQTT_PUBLISH)
                assert_int_equal(head_is_read(type, flags, MQTT_LEVEL_31),
                                 expected || (wants_two && flags == 10));
        }
    }
}

/* ---- CONNECT ---- */

static void a_connect_has_all_its_fields(void **state)
{
    struct str body = body_of(STR("\x10\x2a" MQTT_311 "\xee\x00\x78"
                                    "\x00\x06" "client" "\x00\x05" "will/" "\x00\x03" "\x00" "ab"
                                    "\x00\x04" "user" "\x00\x04" "p\x00ss"));
    struct mqtt_connect packet;

    (void)state;
    assert_null(mqtt_read_connect(body, &packet));
    assert_true(packet.is_level_served && packet.is_clean);
    assert_int_equal(packet.level, MQTT_LEVEL_311);
    assert_int_equal(packet.keep_alive_s, 120);
    assert_text(packet.client_id, "client");
    assert_true(packet.has_will && packet.is_will_retained);
    assert_int_equal(packet.will_qos, 1);
    assert_text(packet.will_topic, "will/");
    assert_true(str_eq(packet.will_payload, STR("\x00" "ab")));
    assert_text(packet.user, "user");
    assert_true(str_eq(packet.password, STR("p\x00ss")));
}

static void a_connect_may_have_nearly_nothing(void **state)
{
    struct mqtt_connect packet;

    (void)state;
    assert_null(mqtt_read_connect(STR(MQTT_311 "\x00\x00\x00\x00\x00"), &packet));
    assert_false(packet.is_clean || packet.has_will);
    assert_int_equal(packet.keep_alive_s, 0);
    assert_int_equal(packet.client_id.len, 0);
    assert_null(packet.user.p);
    assert_null(packet.password.p);
    /* an empty user name is not a missing one */
    assert_null(mqtt_read_connect(STR(MQTT_31 "\x82\xff\xff\x00\x01" "c" "\x00\x00"), &packet));
    assert_int_equal(packet.level, MQTT_LEVEL_31);
    assert_int_equal(packet.keep_alive_s, 65535);
    assert_non_null(packet.user.p);
    assert_int_equal(packet.user.len, 0);
}

static void other_levels_are_told_apart_from_other_protocols(void **state)
{
    static const struct {
        struct str body;
        bool is_mqtt;
    } connects[] = {
        {STR("\x00\x04MQTT\x05"), true},   {STR("\x00\x04MQTT\x03"), true},
        {STR("\x00\x04MQTT\x84"), true},   {STR("\x00\x06MQIsdp\x04"), true},
        {STR("\x00\x06MQIsdp\x00"), true}, {STR("\x00\x04mqtt\x04"), false},
        {STR("\x00\x05MQTT2\x04"), false}, {STR("\x00\x00\x04"), false},
        {STR("\x00\x04MQTT"), false},
    };
    struct mqtt_connect packet;

    (void)state;
    for (size_t i = 0; i < sizeof(connects) / sizeof(*connects); i++) {
        assert_int_equal(mqtt_read_connect(connects[i].body, &packet) == NULL,
                         connects[i].is_mqtt);
        assert_false(packet.is_level_served);
    }
}

static void malformed_connects_are_refused(void **state)
{
    static const struct str bodies[] = {
        STR(MQTT_311 "\x01\x00\x00\x00\x00"),                         /* reserved flag */
        STR(MQTT_31 "\x01\x00\x00\x00\x00"),
        STR(MQTT_311 "\x40\x00\x00\x00\x00\x00\x00"),                 /* password alone */
        STR(MQTT_311 "\x08\x00\x00\x00\x00"),                         /* will QoS, no will */
        STR(MQTT_311 "\x20\x00\x00\x00\x00"),                         /* will retain, no will */
        STR(MQTT_311 "\x1c\x00\x00\x00\x00\x00\x01t\x00\x00"),        /* will QoS 3 */
        STR(MQTT_311 "\x04\x00\x00\x00\x00\x00\x00\x00\x00"),         /* empty will topic */
        STR(MQTT_311 "\x04\x00\x00\x00\x00\x00\x03" "a/#\x00\x00"),   /* will to a wildcard */
        STR(MQTT_311 "\x00\x00\x00\x00\x01\xff"),                     /* not UTF-8 */
        STR(MQTT_311 "\x00\x00\x00\x00\x01\x00"),                     /* a NUL */
        STR(MQTT_311 "\x00\x00\x00\x00\x03\xed\xa0\x80"),             /* half a surrogate pair */
        STR(MQTT_311 "\x80\x00\x00\x00\x00\x00\x01\xc0"),             /* user not UTF-8 */
        STR(MQTT_311 "\x00\x00\x00\x00\x00x"),                        /* trailing byte */
        STR(MQTT_311 "\x80\x00\x00\x00\x00"),                         /* no user */
    };
    struct str whole = STR(MQTT_311 "\xc6\x00\x78\x00\x01" "c" "\x00\x01t\x00\x01m"
                             "\x00\x01u\x00\x01p");
    struct mqtt_connect packet;

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
        assert_non_null(mqtt_read_connect(bodies[i], &packet));
    assert_null(mqtt_read_connect(whole, &packet));
    for (size_t len = 0; len < whole.len; len++)
        assert_non_null(mqtt_read_connect(str_n(whole.p, len), &packet));
}

static void a_connect_is_written_as_it_is_read(void **state)
{
    struct mqtt_connect packet = {.level = MQTT_LEVEL_31, .is_clean = true, .keep_alive_s = 300,
                                  .client_id = STR("c"), .user = STR("u"), .password = STR("p")};
    struct buf out = {0};

    (void)state;
    mqtt_write_connect(&out, &packet);
    assert_bytes(&out, STR("\x10\x15" MQTT_31 "\xc2\x01\x2c\x00\x01" "c\x00\x01u\x00\x01p"));
    packet = (struct mqtt_connect){.level = MQTT_LEVEL_311, .client_id = STR(""), .has_will = true,
                                   .will_qos = 2, .is_will_retained = true, .will_topic = STR("t"),
                                   .will_payload = STR("")};
    mqtt_write_connect(&out, &packet);
    assert_bytes(&out, STR("\x10\x11" MQTT_311 "\x34\x00\x00\x00\x00\x00\x01t\x00\x00"));
}

/* ---- CONNACK ---- */

static void a_connack_has_a_code(void **state)
{
    struct buf out = {0};
    bool is_present;
    int code;

    (void)state;
    mqtt_write_connack(&out, false, MQTT_BAD_LOGIN);
    assert_bytes(&out, STR("\x20\x02\x00\x04"));
    mqtt_write_connack(&out, true, MQTT_ACCEPTED);
    assert_bytes(&out, STR("\x20\x02\x01\x00"));
    assert_null(mqtt_read_connack(STR("\x00\x05"), &is_present, &code));
    assert_false(is_present);
    assert_int_equal(code, MQTT_NOT_AUTHORIZED);
    assert_null(mqtt_read_connack(STR("\x01\x00"), &is_present, &code));
    assert_true(is_present);
    assert_non_null(mqtt_read_connack(STR("\x02\x00"), &is_present, &code));
    assert_non_null(mqtt_read_connack(STR("\x01\x01"), &is_present, &code));
    assert_non_null(mqtt_read_connack(STR("\x00"), &is_present, &code));
    assert_non_null(mqtt_read_connack(STR("\x00\x00\x00"), &is_present, &code));
}

/* ---- PUBLISH ---- */

static const char *read_publish(struct str packet, struct mqtt_publish *publish)
{
    struct mqtt_head head = head_of(packet, MQTT_LEVEL_311);

    return mqtt_read_publish(&head, body_of(packet), publish);
}

static void a_publish_has_a_topic_and_a_payload(void **state)
{
    struct mqtt_publish packet;

    (void)state;
    assert_null(read_publish(STR("\x30\x07\x00\x03" "a/b" "hi"), &packet));
    assert_int_equal(packet.qos, 0);
    assert_int_equal(packet.id, 0);
    assert_false(packet.is_repeated || packet.is_retained);
    assert_text(packet.topic, "a/b");
    assert_text(packet.payload, "hi");

    assert_null(read_publish(STR("\x3b\x09\x00\x03" "a/b" "\x01\x02" "hi"), &packet));
    assert_int_equal(packet.qos, 1);
    assert_int_equal(packet.id, 0x102);
    assert_true(packet.is_repeated && packet.is_retained);
    assert_text(packet.payload, "hi");

    assert_null(read_publish(STR("\x34\x05\x00\x01t\xff\xff"), &packet));
    assert_int_equal(packet.qos, 2);
    assert_int_equal(packet.payload.len, 0);
}

static void malformed_publishes_are_refused(void **state)
{
    static const struct str packets[] = {
        STR("\x30\x00"),                       /* nothing */
        STR("\x30\x01\x00"),                   /* half a length */
        STR("\x30\x03\x00\x05t"),              /* a topic longer than the packet */
        STR("\x30\x02\x00\x00"),               /* empty topic */
        STR("\x30\x05\x00\x03" "a/+"),         /* wildcards */
        STR("\x30\x05\x00\x03" "a/#"),
        STR("\x30\x04\x00\x02t\x00"),          /* a NUL */
        STR("\x30\x04\x00\x02\xc3\x28"),       /* not UTF-8 */
        STR("\x32\x05\x00\x01t\x00\x00"),      /* id 0 */
        STR("\x32\x04\x00\x01t\x01"),          /* half an id */
        STR("\x32\x03\x00\x01t"),              /* no id */
    };
    struct mqtt_publish packet;

    (void)state;
    for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
        assert_non_null(read_publish(packets[i], &packet));
}

static void a_publish_is_written_up_to_its_payload(void **state)
{
    struct mqtt_publish packet = {.qos = 1, .id = 7, .topic = STR("t"), .payload = STR("hello")};
    struct buf out = {0};

    (void)state;
    mqtt_write_publish_head(&out, &packet);
    assert_bytes(&out, STR("\x32\x0a\x00\x01t\x00\x07"));
    packet.is_repeated = packet.is_retained = true;
    packet.payload.len = 200; /* whose bytes nobody looks at */
    mqtt_write_publish_head(&out, &packet);
    assert_bytes(&out, STR("\x3b\xcd\x01\x00\x01t\x00\x07"));
    packet = (struct mqtt_publish){.topic = STR("t"), .payload = STR("")};
    mqtt_write_publish_head(&out, &packet);
    assert_bytes(&out, STR("\x30\x03\x00\x01t"));
}

/* ---- acknowledgements and empty packets ---- */

static void an_acknowledgement_has_an_id_and_nothing_else(void **state)
{
    static const struct {
        enum mqtt_type type;
        unsigned char first;
    } types[] = {{MQTT_PUBACK, 0x40},  {MQTT_PUBREC, 0x50},   {MQTT_PUBREL, 0x62},
                 {MQTT_PUBCOMP, 0x70}, {MQTT_UNSUBACK, 0xb0}};
    struct buf out = {0};
    uint16_t id;

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        char expected[] = {(char)types[i].first, 2, 1, 0};

        mqtt_write_id(&out, types[i].type, 256);
        assert_null(mqtt_read_id(body_of(buf_str(&out)), &id));
        assert_int_equal(id, 256);
        assert_bytes(&out, str_n(expected, 4));
    }
    assert_non_null(mqtt_read_id(STR("\x00\x00"), &id));
    assert_non_null(mqtt_read_id(STR("\x01"), &id));
    assert_non_null(mqtt_read_id(STR(""), &id));
    assert_non_null(mqtt_read_id(STR("\x00\x01\x00"), &id));
}

static void pings_and_goodbyes_are_empty(void **state)
{
    struct buf out = {0};

    (void)state;
    mqtt_write_nothing(&out, MQTT_PINGREQ);
    assert_bytes(&out, STR("\xc0\x00"));
    mqtt_write_nothing(&out, MQTT_PINGRESP);
    assert_bytes(&out, STR("\xd0\x00"));
    mqtt_write_nothing(&out, MQTT_DISCONNECT);
    assert_bytes(&out, STR("\xe0\x00"));
    assert_null(mqtt_read_nothing(STR("")));
    assert_non_null(mqtt_read_nothing(STR("x")));
}

/* ---- SUBSCRIBE, SUBACK, UNSUBSCRIBE ---- */

static const char *read_filters(struct str packet, uint16_t *id, size_t *count, struct str *list)
{
    struct mqtt_head head = head_of(packet, MQTT_LEVEL_311);

    return mqtt_read_filters(&head, body_of(packet), id, count, list);
}

static void a_subscribe_has_filters(void **state)
{
    struct mqtt_filter filter;
    struct str list;
    size_t count;
    uint16_t id;

    (void)state;
    assert_null(read_filters(STR("\x82\x0e\x00\x0a\x00\x03" "a/#\x01\x00\x03" "+/b\x02"), &id,
                             &count, &list));
    assert_int_equal(id, 10);
    assert_int_equal(count, 2);
    filter = mqtt_next_filter(MQTT_SUBSCRIBE, &list);
    assert_text(filter.text, "a/#");
    assert_int_equal(filter.qos, 1);
    filter = mqtt_next_filter(MQTT_SUBSCRIBE, &list);
    assert_text(filter.text, "+/b");
    assert_int_equal(filter.qos, 2);
    assert_int_equal(list.len, 0);

    assert_null(read_filters(STR("\xa2\x08\x00\x01\x00\x01" "a\x00\x01" "b"), &id, &count, &list));
    assert_int_equal(count, 2);
    assert_text(mqtt_next_filter(MQTT_UNSUBSCRIBE, &list).text, "a");
    assert_text(mqtt_next_filter(MQTT_UNSUBSCRIBE, &list).text, "b");
}

static void malformed_subscribes_are_refused(void **state)
{
    static const struct str packets[] = {
        STR("\x82\x02\x00\x01"),                          /* no filter */
        STR("\xa2\x02\x00\x01"),
        STR("\x82\x06\x00\x00\x00\x01" "a\x00"),          /* id 0 */
        STR("\x82\x01\x01"),                              /* half an id */
        STR("\x82\x05\x00\x01\x00\x01" "a"),              /* no QoS */
        STR("\x82\x06\x00\x01\x00\x01" "a\x03"),          /* QoS 3 */
        STR("\x82\x06\x00\x01\x00\x01" "a\x04"),          /* reserved bits */
        STR("\x82\x06\x00\x01\x00\x01" "a\x81"),
        STR("\x82\x05\x00\x01\x00\x00\x00"),              /* empty filter */
        STR("\x82\x06\x00\x01\x00\x02" "a\x00"),          /* longer than the packet */
        STR("\x82\x08\x00\x01\x00\x03" "a#b\x00"),        /* wildcards in the wrong place */
        STR("\x82\x08\x00\x01\x00\x03" "#/a\x00"),
        STR("\x82\x07\x00\x01\x00\x02" "a+\x00"),
        STR("\x82\x07\x00\x01\x00\x01" "a\x00\x00"),      /* half of a second filter */
        STR("\xa2\x05\x00\x01\x00\x01\xff"),              /* not UTF-8 */
    };
    struct str list;
    size_t count;
    uint16_t id;

    (void)state;
    for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
        assert_non_null(read_filters(packets[i], &id, &count, &list));
}

static void subscribes_are_written_as_they_are_read(void **state)
{
    const struct mqtt_filter filters[] = {{STR("a/#"), 1}, {STR("b"), 0}};
    struct buf out = {0};

    (void)state;
    mqtt_write_filters(&out, MQTT_SUBSCRIBE, 10, filters, 2);
    assert_bytes(&out, STR("\x82\x0c\x00\x0a\x00\x03" "a/#\x01\x00\x01" "b\x00"));
    mqtt_write_filters(&out, MQTT_UNSUBSCRIBE, 10, filters, 2);
    assert_bytes(&out, STR("\xa2\x0a\x00\x0a\x00\x03" "a/#\x00\x01" "b"));
}

static void a_suback_has_a_code_per_filter(void **state)
{
    struct buf out = {0};
    struct str codes;
    uint16_t id;

    (void)state;
    mqtt_write_suback(&out, 3, STR("\x00\x01\x80"));
    assert_null(mqtt_read_suback(body_of(buf_str(&out)), &id, &codes));
    assert_int_equal(id, 3);
    assert_int_equal(codes.len, 3);
    assert_bytes(&out, STR("\x90\x05\x00\x03\x00\x01\x80"));
    assert_non_null(mqtt_read_suback(STR("\x00\x01"), &id, &codes));
    assert_non_null(mqtt_read_suback(STR("\x00\x01\x03"), &id, &codes));
    assert_non_null(mqtt_read_suback(STR("\x00\x00\x00"), &id, &codes));
}

/* ---- topics ---- */

static void filters_match_as_the_standard_says(void **state)
{
    static const struct {
        const char *filter, *topic;
        bool matches;
    } cases[] = {
        {"a/b", "a/b", true},       {"a/b", "a/B", false},      {"a/b", "a", false},
        {"a", "a/b", false},        {"a/+", "a/b", true},       {"a/+", "a", false},
        {"a/+", "a/b/c", false},    {"a/+", "a/", true},        {"+", "a", true},
        {"+", "/a", false},         {"+/+", "/a", true},        {"/+", "/a", true},
        {"a/+/c", "a//c", true},    {"#", "a/b", true},         {"#", "a", true},
        {"a/#", "a", true},         {"a/#", "a/", true},        {"a/#", "a/b/c", true},
        {"a/#", "ab", false},       {"a/#", "b", false},        {"a/b/#", "a", false},
        {"#", "$oc/x", false},      {"+/x", "$oc/x", false},    {"$oc/#", "$oc/x", true},
        {"$oc/+", "$oc/x", true},   {"/a", "a", false},         {"a/", "a", false},
        {"+/b/#", "a/b", true},     {"+/b/#", "a/c", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_true(mqtt_filter_is_valid(str_of(cases[i].filter)));
        assert_true(mqtt_topic_is_valid(str_of(cases[i].topic)));
        assert_int_equal(mqtt_filter_matches(str_of(cases[i].filter), str_of(cases[i].topic)),
                         cases[i].matches);
    }
}

static void topics_have_no_wildcards_and_filters_have_them_alone_in_a_level(void **state)
{
    static const char *const no_topics[] = {"", "+", "#", "a/+", "a/#", "a#", "\xff"};
    static const char *const no_filters[] = {"",    "a#",    "a/b#", "#a", "#/", "#/a",
                                             "a+",  "+a",    "a/+b", "++", "##", "\xff",
                                             "+#",  "a/#/"};
    char longest[65537];

    (void)state;
    for (size_t i = 0; i < sizeof(no_topics) / sizeof(*no_topics); i++)
        assert_false(mqtt_topic_is_valid(str_of(no_topics[i])));
    for (size_t i = 0; i < sizeof(no_filters) / sizeof(*no_filters); i++)
        assert_false(mqtt_filter_is_valid(str_of(no_filters[i])));
    memset(longest, 'a', sizeof(longest));
    assert_true(mqtt_topic_is_valid(str_n(longest, 65535)));
    assert_true(mqtt_filter_is_valid(str_n(longest, 65535)));
    assert_false(mqtt_topic_is_valid(str_n(longest, 65536)));
    assert_false(mqtt_filter_is_valid(str_n(longest, 65536)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_has_a_type_and_a_length),
        cmocka_unit_test(a_head_may_come_byte_by_byte),
        cmocka_unit_test(a_length_of_five_bytes_is_malformed),
        cmocka_unit_test(reserved_types_and_flags_are_malformed),
        cmocka_unit_test(a_connect_has_all_its_fields),
        cmocka_unit_test(a_connect_may_have_nearly_nothing),
        cmocka_unit_test(other_levels_are_told_apart_from_other_protocols),
        cmocka_unit_test(malformed_connects_are_refused),
        cmocka_unit_test(a_connect_is_written_as_it_is_read),
        cmocka_unit_test(a_connack_has_a_code),
        cmocka_unit_test(a_publish_has_a_topic_and_a_payload),
        cmocka_unit_test(malformed_publishes_are_refused),
        cmocka_unit_test(a_publish_is_written_up_to_its_payload),
        cmocka_unit_test(an_acknowledgement_has_an_id_and_nothing_else),
        cmocka_unit_test(pings_and_goodbyes_are_empty),
        cmocka_unit_test(a_subscribe_has_filters),
        cmocka_unit_test(malformed_subscribes_are_refused),
        cmocka_unit_test(subscribes_are_written_as_they_are_read),
        cmocka_unit_test(a_suback_has_a_code_per_filter),
        cmocka_unit_test(filters_match_as_the_standard_says),
        cmocka_unit_test(topics_have_no_wildcards_and_filters_have_them_alone_in_a_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

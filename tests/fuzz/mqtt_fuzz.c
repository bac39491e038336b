/*
 * A stream of packets, read as a server and as a client would: whatever a reader accepts, the writer
 * writes with the same bytes, and where the stream is cut makes no difference.
 */
#include "net/mqtt_codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* The body that was written; heads may differ, since lengths can be written in more than one way. */
static void require_body(struct buf *written, enum mqtt_type type, struct str body)
{
    struct mqtt_head head;

    require(mqtt_read_head(written->p, written->len, MQTT_LEVEL_311, &head) == MQTT_COMPLETE);
    require(head.type == type && head.body_len == body.len);
    require(str_eq(str_n(written->p + head.head_len, written->len - head.head_len), body));
}

static void try_connect(struct str body, struct buf *out)
{
    struct mqtt_connect packet;

    if (mqtt_read_connect(body, &packet) || !packet.is_level_served)
        return;
    mqtt_write_connect(out, &packet);
    require_body(out, MQTT_CONNECT, body);
}

static void try_connack(struct str body, struct buf *out)
{
    bool is_present;
    int code;

    if (mqtt_read_connack(body, &is_present, &code))
        return;
    mqtt_write_connack(out, is_present, (enum mqtt_connack)code);
    require_body(out, MQTT_CONNACK, body);
}

static void try_publish(const struct mqtt_head *head, struct str body, struct buf *out)
{
    struct mqtt_publish packet;

    if (mqtt_read_publish(head, body, &packet))
        return;
    require(packet.qos <= 2 && (packet.qos == 0) == (packet.id == 0));
    require(mqtt_filter_is_valid(packet.topic) && mqtt_filter_matches(packet.topic, packet.topic));
    mqtt_write_publish_head(out, &packet);
    buf_add_str(out, packet.payload);
    require((unsigned char)out->p[0] == (MQTT_PUBLISH << 4 | head->flags));
    require_body(out, MQTT_PUBLISH, body);
}

static void try_filters(const struct mqtt_head *head, struct str body, struct buf *out)
{
    struct mqtt_filter filters[64];
    struct str list;
    size_t count, n = 0;
    uint16_t id;

    if (mqtt_read_filters(head, body, &id, &count, &list) || count > 64)
        return;
    while (list.len) {
        require(n < count);
        filters[n] = mqtt_next_filter(head->type, &list);
        require(mqtt_filter_is_valid(filters[n].text) && filters[n].qos <= 2);
        mqtt_filter_matches(filters[n].text, STR("$oc/devices/x/sys/commands/request_id=1"));
        mqtt_filter_matches(filters[n].text, filters[0].text);
        n++;
    }
    require(n == count);
    mqtt_write_filters(out, head->type, id, filters, count);
    require_body(out, head->type, body);
}

static void try_suback(struct str body, struct buf *out)
{
    struct str codes;
    uint16_t id;

    if (mqtt_read_suback(body, &id, &codes))
        return;
    mqtt_write_suback(out, id, codes);
    require_body(out, MQTT_SUBACK, body);
}

static void try_body(const struct mqtt_head *head, struct str body)
{
    struct buf out = {0};
    uint16_t id;

    switch (head->type) {
    case MQTT_CONNECT:
        try_connect(body, &out);
        break;
    case MQTT_CONNACK:
        try_connack(body, &out);
        break;
    case MQTT_PUBLISH:
        try_publish(head, body, &out);
        break;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        try_filters(head, body, &out);
        break;
    case MQTT_SUBACK:
        try_suback(body, &out);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
    case MQTT_DISCONNECT:
        require((mqtt_read_nothing(body) == NULL) == (body.len == 0));
        break;
    default:
        if (!mqtt_read_id(body, &id)) {
            mqtt_write_id(&out, head->type, id);
            require_body(&out, head->type, body);
        }
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int level = size % 2 ? MQTT_LEVEL_311 : MQTT_LEVEL_31;

    while (size) {
        struct mqtt_head head;
        enum mqtt_reading reading = mqtt_read_head(data, size, level, &head);
        void *body;

        for (size_t cut = 0; cut < size && cut < MQTT_HEAD_MAX; cut++) {
            struct mqtt_head again;
            enum mqtt_reading part = mqtt_read_head(data, cut, level, &again);

            require(part == MQTT_INCOMPLETE || part == reading);
        }
        if (reading != MQTT_COMPLETE)
            break;
        require(head.body_len <= MQTT_REMAINING_MAX);
        data += head.head_len;
        size -= head.head_len;
        if (head.body_len > size)
            break;
        /* a piece of its own, so that reading over its end is noticed */
        body = malloc(head.body_len ? head.body_len : 1);
        memcpy(body, data, head.body_len);
        try_body(&head, str_n(body, head.body_len));
        free(body);
        data += head.body_len;
        size -= head.body_len;
    }
    return 0;
}

#include "net/mqtt_codec.h"

#define FLAG_CLEAN        0x02
#define FLAG_WILL         0x04
#define FLAG_WILL_RETAIN  0x20
#define FLAG_PASSWORD     0x40
#define FLAG_USER         0x80
#define PUBLISH_RETAIN    0x01
#define PUBLISH_REPEATED  0x08

static const char *const too_short = "the packet ends inside of a field";
static const char *const too_long = "bytes follow the last field";
static const char *const no_id = "the packet id is 0";

/* ---- the head ---- */

static int publish_qos(unsigned flags)
{
    return flags >> 1 & 3;
}

static bool flags_are_valid(enum mqtt_type type, unsigned flags, int level)
{
    switch (type) {
    case MQTT_PUBLISH:
        return publish_qos(flags) < 3 && !(publish_qos(flags) == 0 && flags & PUBLISH_REPEATED);
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
    case MQTT_PUBREL:
        return flags == 2 || (level == MQTT_LEVEL_31 && flags == (2 | PUBLISH_REPEATED));
    default:
        return flags == 0;
    }
}

enum mqtt_reading mqtt_read_head(const void *bytes, size_t len, int level, struct mqtt_head *head)
{
    const unsigned char *p = bytes;
    size_t shift = 0;

    if (len == 0)
        return MQTT_INCOMPLETE;
    head->type = (enum mqtt_type)(p[0] >> 4);
    head->flags = p[0] & 15;
    if (head->type < MQTT_CONNECT || head->type > MQTT_DISCONNECT ||
        !flags_are_valid(head->type, head->flags, level))
        return MQTT_MALFORMED;
    head->body_len = 0;
    for (size_t i = 1; i < MQTT_HEAD_MAX; i++, shift += 7) {
        if (i == len)
            return MQTT_INCOMPLETE;
        head->body_len |= (size_t)(p[i] & 127) << shift;
        head->head_len = i + 1;
        if (!(p[i] & 128))
            return MQTT_COMPLETE;
    }
    return MQTT_MALFORMED;
}

/* ---- fields ---- */

/* What is left of a body, and the first thing that was wrong with it. */
struct reader {
    struct str rest;
    const char *error;
};

static void fail(struct reader *reader, const char *error)
{
    if (!reader->error)
        reader->error = error;
    reader->rest.len = 0;
}

static struct str take(struct reader *reader, size_t len)
{
    struct str taken = {reader->rest.p, len};

    if (len > reader->rest.len) {
        fail(reader, too_short);
        return STR("");
    }
    reader->rest.p += len;
    reader->rest.len -= len;
    return taken;
}

static unsigned take_byte(struct reader *reader)
{
    struct str byte = take(reader, 1);

    return byte.len ? (unsigned char)byte.p[0] : 0;
}

static uint16_t take_u16(struct reader *reader)
{
    unsigned high = take_byte(reader);

    return (uint16_t)(high << 8 | take_byte(reader));
}

static struct str take_bytes(struct reader *reader)
{
    return take(reader, take_u16(reader));
}

static struct str take_text(struct reader *reader)
{
    struct str text = take_bytes(reader);

    if (!str_is_utf8(text))
        fail(reader, "a string is not UTF-8, or has a NUL");
    return text;
}

static uint16_t take_id(struct reader *reader)
{
    uint16_t id = take_u16(reader);

    if (id == 0)
        fail(reader, no_id);
    return id;
}

static const char *end(struct reader *reader)
{
    if (reader->rest.len)
        fail(reader, too_long);
    return reader->error;
}

/* ---- CONNECT ---- */

static const char *check_connect_flags(unsigned flags)
{
    if (flags & 1)
        return "the reserved flag is set";
    if (!(flags & FLAG_WILL) && flags & (FLAG_WILL_RETAIN | 0x18))
        return "flags of a will without a will";
    if ((flags >> 3 & 3) == 3)
        return "a will with QoS 3";
    return !(flags & FLAG_USER) && flags & FLAG_PASSWORD ? "a password without a user name" : NULL;
}

static void take_will(struct reader *reader, unsigned flags, struct mqtt_connect *packet)
{
    packet->has_will = true;
    packet->is_will_retained = flags & FLAG_WILL_RETAIN;
    packet->will_qos = flags >> 3 & 3;
    packet->will_topic = take_text(reader);
    packet->will_payload = take_bytes(reader);
    if (!mqtt_topic_is_valid(packet->will_topic))
        fail(reader, "the will's topic is none");
}

const char *mqtt_read_connect(struct str body, struct mqtt_connect *packet)
{
    struct reader reader = {body, NULL};
    struct str name = take_text(&reader);
    unsigned flags;
    bool is_311 = str_eq(name, STR("MQTT"));

    memset(packet, 0, sizeof(*packet));
    if (!is_311 && !str_eq(name, STR("MQIsdp")))
        return "not MQTT";
    packet->level = (int)take_byte(&reader);
    if (reader.error)
        return reader.error;
    packet->is_level_served = packet->level == (is_311 ? MQTT_LEVEL_311 : MQTT_LEVEL_31);
    if (!packet->is_level_served)
        return NULL;
    flags = take_byte(&reader);
    packet->is_clean = flags & FLAG_CLEAN;
    packet->keep_alive_s = take_u16(&reader);
    if (check_connect_flags(flags))
        return check_connect_flags(flags);
    packet->client_id = take_text(&reader);
    if (flags & FLAG_WILL)
        take_will(&reader, flags, packet);
    if (flags & FLAG_USER)
        packet->user = take_text(&reader);
    if (flags & FLAG_PASSWORD)
        packet->password = take_bytes(&reader);
    return end(&reader);
}

const char *mqtt_read_connack(struct str body, bool *is_session_present, int *code)
{
    struct reader reader = {body, NULL};
    unsigned flags = take_byte(&reader);

    *is_session_present = flags & 1;
    *code = (int)take_byte(&reader);
    if (flags > 1)
        return "reserved flags are set";
    if (flags && *code != MQTT_ACCEPTED)
        return "a session with a refusal";
    return end(&reader);
}

/* ---- PUBLISH ---- */

const char *mqtt_read_publish(const struct mqtt_head *head, struct str body,
                              struct mqtt_publish *packet)
{
    struct reader reader = {body, NULL};

    packet->is_repeated = head->flags & PUBLISH_REPEATED;
    packet->is_retained = head->flags & PUBLISH_RETAIN;
    packet->qos = publish_qos(head->flags);
    packet->topic = take_text(&reader);
    packet->id = packet->qos ? take_id(&reader) : 0;
    packet->payload = reader.rest;
    if (!reader.error && !mqtt_topic_is_valid(packet->topic))
        fail(&reader, "the topic is none: empty, or with a wildcard");
    return reader.error;
}

/* ---- the small ones ---- */

const char *mqtt_read_id(struct str body, uint16_t *id)
{
    struct reader reader = {body, NULL};

    *id = take_id(&reader);
    return end(&reader);
}

const char *mqtt_read_nothing(struct str body)
{
    return body.len ? too_long : NULL;
}

/* ---- SUBSCRIBE, UNSUBSCRIBE ---- */

static struct mqtt_filter take_filter(struct reader *reader, enum mqtt_type type)
{
    struct mqtt_filter filter = {take_text(reader), 0};

    if (type == MQTT_SUBSCRIBE)
        filter.qos = (int)take_byte(reader);
    return filter;
}

const char *mqtt_read_filters(const struct mqtt_head *head, struct str body, uint16_t *id,
                              size_t *count, struct str *list)
{
    struct reader reader = {body, NULL};

    *id = take_id(&reader);
    *list = reader.rest;
    *count = 0;
    do {
        struct mqtt_filter filter = take_filter(&reader, head->type);

        if (!reader.error && !mqtt_filter_is_valid(filter.text))
            fail(&reader, "a topic filter is none");
        if (!reader.error && filter.qos > 2)
            fail(&reader, "a subscription with reserved bits, or QoS 3");
        ++*count;
    } while (reader.rest.len);
    return reader.error;
}

struct mqtt_filter mqtt_next_filter(enum mqtt_type type, struct str *list)
{
    struct reader reader = {*list, NULL};
    struct mqtt_filter filter = take_filter(&reader, type);

    *list = reader.rest;
    return filter;
}

const char *mqtt_read_suback(struct str body, uint16_t *id, struct str *codes)
{
    struct reader reader = {body, NULL};

    *id = take_id(&reader);
    *codes = reader.rest;
    if (!reader.error && codes->len == 0)
        return too_short;
    for (size_t i = 0; i < codes->len; i++) {
        if ((unsigned char)codes->p[i] > 2 && (unsigned char)codes->p[i] != MQTT_NOT_GRANTED)
            return "not a return code";
    }
    return reader.error;
}

/* ---- topics ---- */

bool mqtt_topic_is_valid(struct str topic)
{
    return topic.len > 0 && topic.len <= UINT16_MAX && str_is_utf8(topic) &&
           !memchr(topic.p, '#', topic.len) && !memchr(topic.p, '+', topic.len);
}

bool mqtt_filter_is_valid(struct str filter)
{
    struct str rest = filter;

    if (filter.len == 0 || filter.len > UINT16_MAX || !str_is_utf8(filter))
        return false;
    while (rest.p) {
        struct str level = str_split(rest, '/', &rest);
        bool has_all = memchr(level.p, '#', level.len), has_one = memchr(level.p, '+', level.len);

        if ((has_all || has_one) && level.len > 1)
            return false;
        if (has_all && rest.p)
            return false;
    }
    return true;
}

bool mqtt_filter_matches(struct str filter, struct str topic)
{
    /* What begins with $ is not for those who ask for everything. */
    if (topic.p[0] == '$' && (filter.p[0] == '#' || filter.p[0] == '+'))
        return false;
    while (filter.p && topic.p) {
        struct str wanted = str_split(filter, '/', &filter);

        if (str_eq(wanted, STR("#")))
            return true;
        if (!str_eq(str_split(topic, '/', &topic), wanted) && !str_eq(wanted, STR("+")))
            return false;
    }
    /* "a/#" is for "a", too */
    return !topic.p && (!filter.p || str_eq(filter, STR("#")));
}

/* ---- writing ---- */

static void write_head(struct buf *out, enum mqtt_type type, unsigned flags, size_t body_len)
{
    buf_add_char(out, (char)(type << 4 | flags));
    do {
        unsigned char byte = body_len & 127;

        body_len >>= 7;
        buf_add_char(out, (char)(body_len ? byte | 128 : byte));
    } while (body_len);
}

static void write_u16(struct buf *out, size_t value)
{
    buf_add_char(out, (char)(value >> 8));
    buf_add_char(out, (char)(value & 255));
}

static void write_bytes(struct buf *out, struct str bytes)
{
    write_u16(out, bytes.len);
    buf_add_str(out, bytes);
}

static size_t size_of(struct str bytes)
{
    return bytes.p ? 2 + bytes.len : 0;
}

static unsigned connect_flags(const struct mqtt_connect *packet)
{
    unsigned flags = packet->is_clean ? FLAG_CLEAN : 0;

    if (packet->has_will)
        flags |= FLAG_WILL | (unsigned)packet->will_qos << 3 |
                 (packet->is_will_retained ? FLAG_WILL_RETAIN : 0);
    return flags | (packet->user.p ? FLAG_USER : 0) | (packet->password.p ? FLAG_PASSWORD : 0);
}

void mqtt_write_connect(struct buf *out, const struct mqtt_connect *packet)
{
    struct str name = packet->level == MQTT_LEVEL_31 ? STR("MQIsdp") : STR("MQTT");
    size_t will = packet->has_will ? size_of(packet->will_topic) + 2 + packet->will_payload.len : 0;

    write_head(out, MQTT_CONNECT, 0,
               size_of(name) + 4 + 2 + packet->client_id.len + will + size_of(packet->user) +
                   size_of(packet->password));
    write_bytes(out, name);
    buf_add_char(out, (char)packet->level);
    buf_add_char(out, (char)connect_flags(packet));
    write_u16(out, packet->keep_alive_s);
    write_bytes(out, packet->client_id);
    if (packet->has_will) {
        write_bytes(out, packet->will_topic);
        write_bytes(out, packet->will_payload);
    }
    if (packet->user.p)
        write_bytes(out, packet->user);
    if (packet->password.p)
        write_bytes(out, packet->password);
}

void mqtt_write_connack(struct buf *out, bool is_session_present, enum mqtt_connack code)
{
    write_head(out, MQTT_CONNACK, 0, 2);
    buf_add_char(out, is_session_present ? 1 : 0);
    buf_add_char(out, (char)code);
}

void mqtt_write_publish_head(struct buf *out, const struct mqtt_publish *packet)
{
    unsigned flags = (unsigned)packet->qos << 1 | (packet->is_repeated ? PUBLISH_REPEATED : 0) |
                     (packet->is_retained ? PUBLISH_RETAIN : 0);

    write_head(out, MQTT_PUBLISH, flags,
               2 + packet->topic.len + (packet->qos ? 2 : 0) + packet->payload.len);
    write_bytes(out, packet->topic);
    if (packet->qos)
        write_u16(out, packet->id);
}

void mqtt_write_id(struct buf *out, enum mqtt_type type, uint16_t id)
{
    write_head(out, type, type == MQTT_PUBREL ? 2 : 0, 2);
    write_u16(out, id);
}

void mqtt_write_nothing(struct buf *out, enum mqtt_type type)
{
    write_head(out, type, 0, 0);
}

void mqtt_write_filters(struct buf *out, enum mqtt_type type, uint16_t id,
                        const struct mqtt_filter *filters, size_t count)
{
    size_t len = 2;

    for (size_t i = 0; i < count; i++)
        len += 2 + filters[i].text.len + (type == MQTT_SUBSCRIBE);
    write_head(out, type, 2, len);
    write_u16(out, id);
    for (size_t i = 0; i < count; i++) {
        write_bytes(out, filters[i].text);
        if (type == MQTT_SUBSCRIBE)
            buf_add_char(out, (char)filters[i].qos);
    }
}

void mqtt_write_suback(struct buf *out, uint16_t id, struct str codes)
{
    write_head(out, MQTT_SUBACK, 0, 2 + codes.len);
    write_u16(out, id);
    buf_add_str(out, codes);
}

/*
 * MQTT's packets: 3.1.1, and 3.1 by its protocol name. Pure: bytes in, values out, and back.
 *
 * A packet is read in two steps: its head as soon as there are two to five bytes, which says how long
 * the rest is; and its body when the whole of it is there in one piece. What is read points into that
 * piece; nothing is copied. The end of a body is the end of its last field: bytes behind it are an
 * error, and so is every bit that the standard reserves.
 *
 * Readers return NULL, or what is wrong with the packet (static text): by the standard the connection
 * must be closed then, without an answer. What the standard allows and a server may not want (QoS 2,
 * wills, an empty client id) is read without complaint.
 */
#ifndef NET_MQTT_CODEC_H
#define NET_MQTT_CODEC_H

#include "base/buf.h"

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK,
    MQTT_PUBLISH,
    MQTT_PUBACK,
    MQTT_PUBREC,
    MQTT_PUBREL,
    MQTT_PUBCOMP,
    MQTT_SUBSCRIBE,
    MQTT_SUBACK,
    MQTT_UNSUBSCRIBE,
    MQTT_UNSUBACK,
    MQTT_PINGREQ,
    MQTT_PINGRESP,
    MQTT_DISCONNECT,
};

#define MQTT_HEAD_MAX      5
#define MQTT_REMAINING_MAX 268435455 /* longest body that a head can announce */
#define MQTT_LEVEL_31      3         /* protocol levels that are served */
#define MQTT_LEVEL_311     4
#define MQTT_NOT_GRANTED   0x80 /* in a SUBACK */

enum mqtt_connack { /* return codes */
    MQTT_ACCEPTED,
    MQTT_BAD_VERSION,
    MQTT_BAD_CLIENT_ID,
    MQTT_UNAVAILABLE,
    MQTT_BAD_LOGIN,
    MQTT_NOT_AUTHORIZED,
};

struct mqtt_head {
    enum mqtt_type type;
    unsigned char flags;
    size_t head_len, body_len;
};

enum mqtt_reading { MQTT_MALFORMED, MQTT_INCOMPLETE, MQTT_COMPLETE };

/* Of the first bytes of a packet; MQTT_INCOMPLETE: it takes more of them. The flags are checked; 3.1
 * lets SUBSCRIBE and UNSUBSCRIBE be marked as repeated, 3.1.1 does not. */
enum mqtt_reading mqtt_read_head(const void *bytes, size_t len, int level, struct mqtt_head *head);

struct mqtt_connect {
    int level;
    bool is_level_served; /* false: answer MQTT_BAD_VERSION; nothing behind the level was read */
    bool is_clean;
    uint16_t keep_alive_s;
    struct str client_id;
    bool has_will, is_will_retained;
    int will_qos;
    struct str will_topic, will_payload;
    struct str user, password; /* STR_NONE: not given */
};
const char *mqtt_read_connect(struct str body, struct mqtt_connect *packet);

const char *mqtt_read_connack(struct str body, bool *is_session_present, int *code);

struct mqtt_publish {
    bool is_repeated, is_retained;
    int qos;
    uint16_t id; /* 0 with QoS 0 */
    struct str topic, payload;
};
const char *mqtt_read_publish(const struct mqtt_head *head, struct str body,
                              struct mqtt_publish *packet);

/* PUBACK, PUBREC, PUBREL, PUBCOMP, UNSUBACK: a packet id alone. */
const char *mqtt_read_id(struct str body, uint16_t *id);
/* PINGREQ, PINGRESP, DISCONNECT. */
const char *mqtt_read_nothing(struct str body);

struct mqtt_filter {
    struct str text;
    int qos;
};

/* SUBSCRIBE and UNSUBSCRIBE: checks all of it, and leaves the list of filters in *list, which
 * mqtt_next_filter takes apart. Of an UNSUBSCRIBE the qos is 0. */
const char *mqtt_read_filters(const struct mqtt_head *head, struct str body, uint16_t *id,
                              size_t *count, struct str *list);
struct mqtt_filter mqtt_next_filter(enum mqtt_type type, struct str *list);

/* SUBACK: its codes, a byte each. */
const char *mqtt_read_suback(struct str body, uint16_t *id, struct str *codes);

/* ---- topics ---- */

bool mqtt_topic_is_valid(struct str topic);   /* UTF-8, not empty, no wildcard */
bool mqtt_filter_is_valid(struct str filter); /* wildcards only where the standard lets them be */
bool mqtt_filter_matches(struct str filter, struct str topic); /* both valid */

/* ---- writing: what is given must be valid, and short enough (strings 65,535 bytes) ---- */

void mqtt_write_connect(struct buf *out, const struct mqtt_connect *packet);
void mqtt_write_connack(struct buf *out, bool is_session_present, enum mqtt_connack code);
/* All but the payload, whose bytes the caller sends behind it. */
void mqtt_write_publish_head(struct buf *out, const struct mqtt_publish *packet);
void mqtt_write_id(struct buf *out, enum mqtt_type type, uint16_t id);
void mqtt_write_nothing(struct buf *out, enum mqtt_type type);
void mqtt_write_filters(struct buf *out, enum mqtt_type type, uint16_t id,
                        const struct mqtt_filter *filters, size_t count);
void mqtt_write_suback(struct buf *out, uint16_t id, struct str codes);

#endif

/*
 * Topics of devices, in both dialects: those of v5, `$oc/devices/{device}/sys/...`, and the older
 * `/huawei/v1/devices/{device or node id}/...`. One connection may use both.
 */
#ifndef DEVICE_MQTT_TOPICS_H
#define DEVICE_MQTT_TOPICS_H

#include "base/arena.h"

enum mqtt_topic_kind {
    TOPIC_UNKNOWN,
    /* up */
    TOPIC_PROPERTIES,
    TOPIC_CHILDREN,
    TOPIC_MESSAGE,
    TOPIC_EVENT,
    TOPIC_SET_RESPONSE,
    TOPIC_GET_RESPONSE,
    TOPIC_COMMAND_RESPONSE,
    TOPIC_SHADOW_GET,
    TOPIC_V1_DATA,
    /* down */
    TOPIC_SET,
    TOPIC_GET,
    TOPIC_COMMAND,
    TOPIC_SHADOW_RESPONSE,
    TOPIC_MESSAGE_DOWN,
    TOPIC_EVENT_DOWN,
    TOPIC_V1_COMMAND,
};

struct mqtt_topic { /* of a message from a device */
    enum mqtt_topic_kind kind;
    struct str id;         /* the device id or node id in it */
    struct str request_id; /* STR_NONE: none */
    bool is_gzip;
};

void mqtt_topic_read(struct str topic, struct mqtt_topic *parts);

/* The topic of a message to a device; request_id for those that have one. */
struct str mqtt_topic_down(struct arena *arena, enum mqtt_topic_kind kind, struct str id,
                           struct str request_id);

/* May a device subscribe to this? It must be for topics under one of its own names, to it. */
bool mqtt_topic_is_subscribable(struct str filter, struct str device_id, struct str node_id);

/* Are these delivered without having been subscribed to? All of v5's are. */
bool mqtt_topic_is_implicit(enum mqtt_topic_kind kind);

#endif

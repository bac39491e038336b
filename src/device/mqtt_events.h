/*
 * Events: one topic up, one down, and in both a list of services' events. Which are known is a table in
 * mqtt_events.c; others are ignored and counted.
 */
#ifndef DEVICE_MQTT_EVENTS_H
#define DEVICE_MQTT_EVENTS_H

#include "device/mqtt_private.h"

struct mqtt_event { /* in the message's arena */
    struct upload *upload;
    struct str service_id, type, event_id;
    const struct json *paras;
    void *work; /* of whoever handles it */
};

/* Once for each event, now or later. */
void mqtt_event_end(struct mqtt_event *event, enum error error);
void mqtt_event_ignore(struct mqtt_event *event);

/* Sends an event of the same service to the device, if it is still there; paras is a JSON object. */
void mqtt_event_answer(struct mqtt_event *event, const char *type, struct str paras);

/* mqtt_children.c: $sub_device_manager. Each ends with mqtt_event_end. */
void mqtt_children_sync(struct mqtt_event *event);
void mqtt_children_status(struct mqtt_event *event);
void mqtt_children_add(struct mqtt_event *event);
void mqtt_children_delete(struct mqtt_event *event);

#endif

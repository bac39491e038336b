/*
 * What applications want of connected devices: desired values of the shadow (downlink.c), and commands
 * (downlink_commands.c), also of those behind a gateway (downlink_family.c). What is wanted is stored by
 * core before; here it goes out by MQTT, and the device's answer comes back.
 *
 * Desired values go to those who speak v5: properties/set, answered by properties/set/response. A
 * device that has shown that it speaks only v1 gets nothing on topics that it does not know.
 */
#ifndef DEVICE_DOWNLINK_H
#define DEVICE_DOWNLINK_H

#include "device/mqtt_private.h"

void downlink_init(struct device_mqtt *mqtt);
void downlink_clear(struct device_mqtt *mqtt);

/* The device has logged in: it and those behind it may be waited for. */
void downlink_connected(struct mqtt_device *holder);
/* Something may wait for this device, of which the holder is the gateway, or which it is itself. */
void downlink_offer(struct mqtt_device *holder, struct str device_id);
/* It has shown more of what it speaks: what could not be sent to it may go now. */
void downlink_decided(struct mqtt_device *holder);
enum { OFFER_DESIRED = 1, OFFER_COMMANDS = 2 };

/* There is no room for it now: it is offered again when there is. */
void downlink_postpone(struct mqtt_device *holder, struct str device_id, unsigned what);
/* A message was acknowledged, or written, or an answer came, or none will: there may be room. */
void downlink_has_room(struct mqtt_device *holder);
/* The connection ends. */
void downlink_disconnected(struct mqtt_device *holder);

/* A device by whose connection something goes down, that may end before. */
struct way {
    struct device_mqtt *mqtt;
    char *holder_id, *session_id, *device_id;
};
void way_init(struct way *way, struct mqtt_device *holder, struct str device_id);
void way_clear(struct way *way);
struct mqtt_device *way_holder(const struct way *way); /* NULL: that connection is gone */

/* Redis did not say what waits for a device, or (STR_NONE) for those behind the holder: it is asked again
 * before long. */
void downlink_come_back(struct mqtt_device *holder, struct str device_id, unsigned what);

/* Who never used a topic of v5 might take a message on one amiss. */
bool downlink_speaks_v5(const struct mqtt_device *holder);

/* Answers; each ends in upload_end or upload_ignore. */
void downlink_take_answer(struct upload *upload);
void downlink_v1_answered(struct upload *upload, const struct json *body);

/* downlink_commands.c */
void downlink_take_commands(struct mqtt_device *holder, struct str device_id);
/* The same once, when there is room; asked(arg) is called when Redis has answered, also when the
 * connection is gone by then, or the server ends. */
void downlink_ask_for_command(struct mqtt_device *holder, struct str device_id,
                              void (*asked)(void *arg), void *arg);
bool downlink_takes_commands(const struct mqtt_device *holder); /* it is known in which dialect */
bool downlink_has_room_for_command(const struct mqtt_device *holder);
void downlink_command_answered(struct upload *upload);

/* downlink_family.c: what waits for those behind this gateway, if it is one. */
void downlink_family_offer(struct mqtt_device *holder, unsigned what);
void downlink_family_has_room(struct mqtt_device *holder);
void downlink_family_leave(struct mqtt_device *holder); /* the connection ends */

#endif

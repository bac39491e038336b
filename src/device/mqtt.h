/*
 * Devices over MQTT: login, sessions, what they send up and what is sent down to them. The packets are
 * net/mqtt_server.h's business.
 */
#ifndef DEVICE_MQTT_H
#define DEVICE_MQTT_H

#include "core/session/session.h"
#include "net/mqtt_server.h"

struct device_mqtt_settings {
    int64_t login_limit, login_interval_ms;     /* of one device, that succeed; 0 = no limit */
    int64_t failure_limit, failure_interval_ms; /* failed logins of one address; 0 = no limit */
    int64_t subscriptions;                      /* of one connection */
    int64_t window;         /* messages to one device that wait for their PUBACK */
    int64_t unpacked_bytes; /* largest gzip payload, unpacked */
    int64_t answer_timeout_ms; /* of a device to a request */
    int64_t decide_ms;         /* that it may take to show which topics it uses */
    int64_t awaited_answers;   /* of one connection: requests whose answers are waited for */
    int64_t gateway_offers;    /* of all connections: questions for what waits behind gateways */
};

struct device_mqtt;

/* Settings are read at each use, or taken over by device_mqtt_settings_changed. */
struct device_mqtt *device_mqtt_new(struct core *core,
                                    const struct device_mqtt_settings *settings);
void device_mqtt_settings_changed(struct device_mqtt *mqtt);
void device_mqtt_free(struct device_mqtt *mqtt); /* NULL is allowed */

const struct mqtt_service *device_mqtt_service(struct device_mqtt *mqtt);
struct shadow_transport;
/* Desired values go to devices by it (core/data/shadow.h). */
const struct shadow_transport *device_mqtt_shadow_transport(struct device_mqtt *mqtt);
extern const struct session_transport device_mqtt_transport;

#endif

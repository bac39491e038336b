/*
 * Who a device says it is, in its CONNECT:
 *
 *     client id  {device id}_0_{sign}_{time}   {node id}_2_{sign}_{time}
 *     user name  {device id}                   {node id}
 *     password   hex(HMAC(key: time, message: secret))
 *
 * cut from the right, since the id itself may have underscores. sign 0: HMAC-SHA256, and the time is any
 * text; 1: the time has to be right; 2: HMAC-SM3. Known and refused: logins by a product's secret (type
 * 1), bridges (3), and X.509 certificates (a user name without a password).
 */
#ifndef DEVICE_MQTT_LOGIN_H
#define DEVICE_MQTT_LOGIN_H

#include "core/device/verify.h"
#include "net/mqtt_codec.h"

struct mqtt_claim {
    enum mqtt_connack code; /* MQTT_ACCEPTED: it can be checked */
    const char *reason;     /* why it cannot, for the log */
    struct device_proof proof;
    bool is_time_checked;
};

void mqtt_claim_read(const struct mqtt_connect *packet, struct mqtt_claim *claim);

#endif

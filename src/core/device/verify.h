/*
 * Does a device know its secret? What logins have in common, whatever they lead to.
 */
#ifndef CORE_DEVICE_VERIFY_H
#define CORE_DEVICE_VERIFY_H

#include "base/arena.h"
#include "core/core.h"

struct device_proof {
    struct str device_id;
    struct str node_id; /* instead of device_id, which is STR_NONE then */
    struct str timestamp;
    struct str password; /* hex(HMAC(key: timestamp, message: secret)) */
    bool is_sm3;         /* the HMAC's digest; else SHA-256 */
};

struct device_identity {
    struct str device_id, app_id, node_id, secret;
};

typedef void (*device_verify_cb)(enum error error, const struct device_identity *facts, void *arg);

/* ERR_DEVICE_AUTH: unknown, or the wrong password, which is nobody's business. ERR_DEVICE_MUTED: right,
 * but it may not speak. A node id belongs to an application; when several have the same, the password
 * decides which device it is. Proof and facts live in the arena. */
void device_verify(struct core *core, struct arena *arena, const struct device_proof *proof,
                   device_verify_cb cb, void *arg);

/* "2018072417" is the hour, give or take device.sign_time_tolerance. */
bool device_hour_is_near(const struct core *core, struct str timestamp);

#endif

/*
 * What devices send up: properties and messages. One script on the device's partition checks the
 * device's right to speak, stores the shadow and queues the event; the callback with ERR_OK comes
 * after Redis has confirmed it.
 */
#ifndef CORE_DATA_REPORT_H
#define CORE_DATA_REPORT_H

#include "base/arena.h"
#include "base/json.h"
#include "core/core.h"
#include "core/data/report_body.h"
#include "core/device/device.h"

/* Who speaks: the device itself with its token or by its session, or its gateway, which was checked
 * before. One of them; and how it calls its report, if it does. */
struct report_source {
    struct str token;      /* as the device sent it */
    struct str session_id; /* core/session/session.h */
    struct str gateway_id;
    struct str request_id; /* of properties; left out unless it is 1 to 128 printable characters */
};

/* services: the array of a report, [{service_id, properties, event_time}], checked here:
 * ERR_BAD_REQUEST. ERR_TOKEN_INVALID: not this device's token or session, over, or the device is gone
 * or muted;
 * for a gateway's child ERR_CHILD_UNKNOWN. ERR_BAD_REQUEST also when the shadow would be too large.
 * What the device's product model does not have or allow is left out and counted; when nothing is left,
 * the device was there all the same, and there is no event. */
void report_properties(struct core *core, struct arena *arena, struct str device_id,
                       const struct report_source *source, const struct json *services,
                       device_done_cb cb, void *arg);

void report_message(struct core *core, struct arena *arena, struct str device_id,
                    const struct report_source *source, struct str body, device_done_cb cb,
                    void *arg);

/* Counts one request of the device: ERR_OK, ERR_THROTTLED, or ERR_APP_REPORT_RATE. */
enum error report_check_rate(struct core *core, struct str device_id);
/* The limit of its application alone: ERR_OK, ERR_APP_REPORT_RATE. */
enum error report_check_rate_of_app(struct core *core, struct str device_id);

/* Is it this device's token? For answers that must not depend on the body. ERR_OK,
 * ERR_TOKEN_INVALID. */
void report_check_token(struct core *core, struct arena *arena, struct str device_id,
                        struct str token, device_done_cb cb, void *arg);

/* Is it this device's session, and the device not muted? For what a gateway does for others. ERR_OK,
 * ERR_TOKEN_INVALID. */
void report_check_session(struct core *core, struct arena *arena, struct str device_id,
                          struct str session_id, device_done_cb cb, void *arg);

/* Do all of these exist, behind this gateway, and are not muted? ERR_CHILD_UNKNOWN. */
void report_check_children(struct core *core, struct arena *arena, struct str gateway_id,
                           const struct str *ids, size_t count, device_done_cb cb, void *arg);

/* ---- login of a device over HTTPS ---- */

struct device_token {
    char text[65];
    int64_t life_s;
};
typedef void (*device_token_cb)(enum error error, const struct device_token *token, void *arg);

/* password = hex(HMAC-SHA256(key: timestamp, message: secret)). Every failure is ERR_DEVICE_AUTH:
 * whether the id or the password was wrong is nobody's business. The first login activates. */
void device_login(struct core *core, struct arena *arena, struct str device_id,
                  struct str timestamp, struct str password, device_token_cb cb, void *arg);

#endif

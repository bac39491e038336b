/*
 * The device shadow: what is wanted of a device, beside what it has reported, and how it gets there.
 *
 * A desired value is pending while it differs from the reported one. Pending values are offered to the
 * device when they are written, when it comes online, when it reports, and when a durable timer says
 * that an answer did not come: each time a script decides what is due and takes it as sent in the same
 * step. It is not sent again within the protection window (shadow.resend_after), whichever instance
 * asks. Whatever is lost between that mark and the device, by a crash too, is due again after the
 * window. What the device has answered is told once, however often that is stored. A difference ends when the device reports the wanted value, not when it acknowledges it.
 *
 *     written                 not sent
 *     online, report, timer   equal: not sent; else when not sent, or sent longer ago than the window:
 *                             delivered and taken as sent
 *     SHADOW_OK               notified: DELIVERED; no timer sends it again, but online or a report may
 *     SHADOW_REFUSED          notified: FAILED; not sent, so the next report delivers it again
 *     SHADOW_UNSENT           not sent
 *     SHADOW_SILENT           nothing: the window runs on
 *
 * How a value reaches a device is a transport's work, which iotpushd.c plugs in. Without one, values
 * wait in the shadow at no cost.
 */
#ifndef CORE_DATA_SHADOW_H
#define CORE_DATA_SHADOW_H

#include "base/json.h"
#include "core/device/device.h"

/* ---- writing and reading ---- */

struct shadow_change {
    struct str service_id;
    const struct json *desired; /* property -> value, null removes it */
};

/* The shape alone: a service, at least one property, names that are allowed. */
bool shadow_change_is_valid(const struct shadow_change *change);

/* All or nothing, and then offered; the changes are valid. ERR_DEVICE_NOT_FOUND; ERR_NO_CAPABILITY: the device has no model;
 * ERR_SERVICE_NOT_FOUND, ERR_NO_PROPERTIES, ERR_PROPERTY_UNKNOWN (or its value is none of the model's),
 * ERR_PROPERTY_READ_ONLY; ERR_BAD_REQUEST: the device would have too many desired values, or too large
 * ones. */
void shadow_set(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                const struct shadow_change *changes, size_t count, device_done_cb cb, void *arg);

struct shadow_property {
    struct str name, value; /* name: NUL-terminated; value: JSON */
    int64_t sent_ms;        /* 0: not sent, or no longer to be sent */
    struct shadow_property *next;
};

struct shadow_service {
    struct str id;
    struct str type; /* by the device's model; without one the id */
    const struct device_service *reported; /* NULL: it was never reported */
    struct shadow_property *desired;
    int64_t written_ms, version; /* of the desired values */
    struct shadow_service *next;
};

struct shadow {
    const struct device *device;
    struct shadow_service *services;
};

typedef void (*shadow_cb)(enum error error, const struct shadow *shadow, void *arg);

/* ERR_DEVICE_NOT_FOUND. app_id STR_NONE: any. */
void shadow_read(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                 shadow_cb cb, void *arg);

/* ---- delivering ---- */

struct shadow_delivery { /* values of one service; on the heap */
    struct str id;       /* unique */
    struct str app_id, device_id, gateway_id, service_id;
    struct device_fields values; /* property, and its value as JSON */
    struct str properties;       /* the same as a JSON object */
    struct arena *arena;         /* of all this */
};
void shadow_delivery_free(struct shadow_delivery *delivery);

enum shadow_answer { SHADOW_OK, SHADOW_REFUSED, SHADOW_SILENT, SHADOW_UNSENT };

/* All of these may call back into shadow.h at once. */
struct shadow_transport {
    /* Is the device (or its gateway) connected to this instance? */
    bool (*reaches)(struct str device_id, struct str gateway_id, void *arg);
    /* Sends it, and hands it back with shadow_answer_take, now or later; at the latest when its own
     * time-out has run out. */
    void (*deliver_take)(struct shadow_delivery *delivery, void *arg);
    /* Values may wait for a device that is not connected here, or not reached for the moment: the instance
     * that has it may be told, to call shadow_offer there. May be NULL. */
    void (*announce)(struct str device_id, struct str gateway_id, void *arg);
    void *arg;
};

/* The device came online, or reported, or something was written for it: what is due is delivered. The
 * transport calls it for the first, core for the others. gateway_id: the device's own id when it is
 * connected directly. */
void shadow_offer(struct core *core, struct str device_id, struct str gateway_id);

/* The same, where the device is connected, for who asks for many: cb is called when all that is due was
 * handed over. ERR_INTERNAL: nobody knows, ask again. */
void shadow_offer_then(struct core *core, struct str device_id, device_done_cb cb, void *arg);

/* cb may be NULL. ERR_INTERNAL: it may not be stored, and the delivery is the caller's again, to be
 * answered once more, which is safe, or freed. */
void shadow_answer_take(struct core *core, struct shadow_delivery *delivery,
                        enum shadow_answer answer, device_done_cb cb, void *arg);

/* A durable timer (push/timers.c), or a device that is not frozen any more; cb may be NULL. */
void shadow_timer_due(struct core *core, struct str device_id, device_done_cb cb, void *arg);

#endif

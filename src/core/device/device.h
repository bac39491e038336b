/*
 * Devices: registered by an application, activated by their first access, described by members
 * that the protocol names, and having credentials: a verify code (code mode) or a secret.
 *
 * A device lives in two places: its record in its partition, and its node id in its application's
 * index. The order of writes makes every crash in between harmless: reserve in the index, then create
 * in the partition; delete in the partition, then in the index. A reservation without a record is
 * found dead by the next one who wants the node id, once it is older than any command can be.
 *
 * Everything here takes an arena that lives until the callback; what the callback gets lives there.
 */
#ifndef CORE_DEVICE_DEVICE_H
#define CORE_DEVICE_DEVICE_H

#include "base/arena.h"
#include "core/core.h"

#define DEVICE_SECRET_DIGITS 20
#define DEVICE_PSK_DIGITS    32

/* Members of DeviceInfo as notifications carry them, in their order. NULL-terminated. */
extern const char *const device_info_names[];
#define DEVICE_INFO_COUNT 24
bool device_is_info(struct str name);

struct device_field {
    struct str name, value;
};

struct device_fields { /* a list that grows in an arena */
    struct device_field *list;
    size_t count, capacity;
};
void device_fields_add(struct arena *arena, struct device_fields *fields, const char *name,
                       struct str value); /* STR_NONE is left out */

struct device_service { /* what was last reported of a service */
    struct str id;
    struct str type; /* STR_NONE: as the id, or not asked for (core/device/service_types.h) */
    struct str info; /* what was set for it (core/device/service_info.h), JSON; STR_NONE: nothing */
    int64_t time_ms; /* 0: nothing was reported */
    struct device_fields properties; /* values are JSON texts */
    struct device_service *next;
};

struct device {
    struct str id, app_id, gateway_id;
    bool is_activated;
    int64_t created_ms, modified_ms;
    struct device_fields fields; /* the record as it stands */
    struct device_service *services;
    struct str group_ids; /* with blanks between; not read here: group_of_devices (core/device/group.h) */
};

struct str device_member(const struct device *device, const char *name); /* STR_NONE: not set */

typedef void (*device_cb)(enum error error, const struct device *device, void *arg);
typedef void (*device_done_cb)(enum error error, void *arg);

/* ERR_DEVICE_NOT_FOUND also for another application's device; app_id STR_NONE: any. */
void device_read(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                 bool with_services, device_cb cb, void *arg);

/* Several, in the order of their ids; those that are not there, or are another application's, are left
 * out. */
typedef void (*device_list_cb)(enum error error, const struct device *const *devices, size_t count,
                               void *arg);
void device_read_list(struct core *core, struct arena *arena, struct str app_id,
                      const struct str *ids, size_t count, bool with_services, device_list_cb cb,
                      void *arg);

/* ERR_DEVICE_NOT_FOUND: no device has this node id. */
typedef void (*device_id_cb)(enum error error, struct str device_id, void *arg);
void device_find_node(struct core *core, struct arena *arena, struct str app_id,
                      struct str node_id, device_id_cb cb, void *arg);

struct device_registration {
    struct str app_id;
    struct str gateway_id;  /* STR_NONE: directly connected */
    struct str node_id;
    bool is_secret_mode;
    struct str verify_code; /* code mode; STR_NONE: made here */
    struct str secret;      /* secret mode; STR_NONE: made here */
    struct str psk;         /* code mode; STR_NONE: made here */
    int64_t timeout_ms;     /* 0: never expires */
    struct device_fields fields;
};

struct device_credentials {
    struct str device_id, verify_code, secret, psk;
};

typedef void (*device_register_cb)(enum error error, const struct device_credentials *made,
                                   void *arg);

/* ERR_NODE_ID_DUPLICATE, ERR_DEVICE_BOUND, ERR_VERIFY_CODE, ERR_DEVICE_QUOTA, ERR_APP_NOT_FOUND,
 * ERR_DEVICE_NOT_FOUND (the gateway). */
void device_register(struct core *core, struct arena *arena,
                     const struct device_registration *registration, device_register_cb cb,
                     void *arg);

/* Members that differ are changed; what DeviceInfo shows of them is an event. */
void device_modify(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                   const struct device_fields *fields, device_done_cb cb, void *arg);

/* cascade: devices behind it are deleted too; else they become directly connected. */
void device_delete(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                   bool cascade, device_done_cb cb, void *arg);

struct device_renewal {
    bool is_secret_mode;
    struct str node_id;     /* STR_NONE: keeps it */
    struct str verify_code; /* code mode; STR_NONE: made here */
    struct str secret;      /* secret mode; STR_NONE: made here */
    int64_t timeout_ms;
};

/* New credentials; the device has to bind again. In code mode only while it is not online:
 * ERR_DEVICE_ONLINE. A secret can be replaced at any time, since a stolen one must not wait. */
void device_renew(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                  const struct device_renewal *renewal, device_register_cb cb, void *arg);

/* Durable timers that came due (push/timers.c). Nothing happens when the fence is not that of the
 * partition's owner any more. */
void device_registration_due(struct core *core, struct str device_id, struct str fence,
                             device_done_cb cb, void *arg);
void device_presence_due(struct core *core, struct str device_id, struct str fence,
                         device_done_cb cb, void *arg);

/* The device was there: activates it and makes it ONLINE, with the events that belong to it.
 * ERR_DEVICE_NOT_FOUND when it is gone, ERR_DEVICE_AUTH when it is muted. */
void device_seen(struct core *core, struct str device_id, device_done_cb cb, void *arg);

/* When a device was last heard of is written by its reports only when what is stored is older than
 * this: a twentieth of the shortest silence that matters, and a minute at most. Who judges a silence
 * adds it, so that no device is taken for silent too early. */
int64_t device_seen_lag_ms(const struct core *core);

#endif

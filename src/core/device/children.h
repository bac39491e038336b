/*
 * Devices behind a gateway, as the gateway is told of them.
 */
#ifndef CORE_DEVICE_CHILDREN_H
#define CORE_DEVICE_CHILDREN_H

#include "core/device/device.h"

struct child { /* texts are STR_NONE when the record does not have them */
    struct str id, node_id, name, description, manufacturer_id, model, product_id, fw_version,
        sw_version, status;
};

typedef void (*children_cb)(enum error error, const struct child *children, size_t count,
                            void *arg);

/* All of a gateway's (device.children_per_gateway at most). The arena lives until the callback. */
void children_list(struct core *core, struct arena *arena, struct str gateway_id, children_cb cb,
                   void *arg);

/* Their ids alone; those of the gateway's set, which may be ahead of the records. */
typedef void (*children_ids_cb)(enum error error, const struct str *ids, size_t count, void *arg);
void children_ids(struct core *core, struct arena *arena, struct str gateway_id,
                  children_ids_cb cb, void *arg);

/* The gateway says that a device behind it is gone. ERR_CHILD_UNKNOWN. has_changed: it was ONLINE, and not by
 * a connection of its own. */
typedef void (*child_offline_cb)(enum error error, bool has_changed, void *arg);
void child_offline(struct core *core, struct str gateway_id, struct str device_id,
                   child_offline_cb cb, void *arg);

#endif

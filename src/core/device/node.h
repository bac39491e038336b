/*
 * The two indexes that keep node ids unique per application and verify codes unique per deployment.
 * A holder that does not exist any more (a crash between index and record) is found out and replaced.
 */
#ifndef CORE_DEVICE_NODE_H
#define CORE_DEVICE_NODE_H

#include "core/device/device.h"

/* ERR_NODE_ID_DUPLICATE, ERR_DEVICE_BOUND (the holder is activated), ERR_DEVICE_QUOTA,
 * ERR_APP_NOT_FOUND. *time_ms (may be NULL) is then the time of a new device's registration: the
 * clock's, but never before that of another one of the application. */
void node_reserve(struct core *core, struct arena *arena, struct str app_id, struct str node_id,
                  struct str device_id, int64_t *time_ms, device_done_cb cb, void *arg);
/* Forgets the node id; and the device itself, in the index too, when is_device_gone. Failures are
 * logged: the next reservation, or the index' marks, repair them. cb may be NULL. */
void node_release(struct core *core, struct str app_id, struct str node_id, struct str device_id,
                  bool is_device_gone, device_done_cb cb, void *arg);

typedef void (*node_holders_cb)(enum error error, const struct str *device_ids, size_t count,
                                void *arg);

/* Node ids as names to log in by, over all applications: noted before the record says so, and forgotten
 * by node_release. */
void node_hold(struct core *core, struct str node_id, struct str device_id);
void node_unhold(struct core *core, struct str node_id, struct str device_id);
/* Devices that may have this node id: their records decide. None when there are more than a login can
 * look at. */
void node_holders(struct core *core, struct arena *arena, struct str node_id, node_holders_cb cb,
                  void *arg);

/* ERR_VERIFY_CODE (in use), ERR_DEVICE_BOUND (by an activated device). */
void verify_code_claim(struct core *core, struct arena *arena, struct str code,
                       struct str device_id, device_done_cb cb, void *arg);
void verify_code_release(struct core *core, struct str code, struct str device_id,
                         device_done_cb cb, void *arg);

#endif

/*
 * Which devices an application has: found by attributes, counted, and paged through in the order of
 * their registration, without looking at each of them. Equality only; a query costs a few passes over
 * bitmaps of a bit per device, and reads the ids of its page.
 *
 * The index follows the records. What changes an indexed attribute of a record marks the device in the
 * same script; whoever asked for the change brings the index up to date before it answers
 * (device_index_update), and the partition's owner takes the marks besides (device_index_sync), so
 * that nothing is left behind by a crash, and changes that nobody waits for are coalesced. Versions,
 * counted in the record, keep an older state from replacing a newer one.
 *
 * A query can be a moment ahead of the index: whoever reads the records of a page leaves out those
 * that do not match (device_matches).
 */
#ifndef CORE_DEVICE_INDEX_H
#define CORE_DEVICE_INDEX_H

#include "core/device/device.h"

enum device_node_type { NODE_ANY, NODE_GATEWAY, NODE_ENDPOINT, NODE_UNKNOWN };

/* Texts that are STR_NONE and times that are 0 ask for nothing. */
struct device_filter {
    struct str gateway_id; /* what is behind it, and itself */
    struct str status;     /* ONLINE, OFFLINE, INACTIVE, ABNORMAL */
    bool never_active_is_offline; /* status OFFLINE means INACTIVE too */
    enum device_node_type node_type;
    struct str device_type, name, location;
    struct str manufacturer_id, model;   /* together, or none of them */
    int64_t created_from_ms, created_to_ms; /* both inclusive */
};

struct device_page {
    bool is_descending; /* newest first */
    uint64_t first;     /* number of the first match wanted, from 0 */
    size_t count;       /* 0: only count */
};

/* total: all that match. The ids live in the arena, which lives until the callback. */
typedef void (*device_index_cb)(enum error error, uint64_t total, const struct str *ids,
                                size_t count, void *arg);
void device_index_find(struct core *core, struct arena *arena, struct str app_id,
                       const struct device_filter *filter, const struct device_page *page,
                       device_index_cb cb, void *arg);

/* Does a record match, as it is now? */
bool device_matches(const struct device *device, const struct device_filter *filter);

/* Reads the record and writes the index: the device is new there, changed, or gone. is_by_request: by
 * whoever has made the change, so that its mark can be taken back; any attribute may have changed,
 * which is found out otherwise, too, but takes longer. */
void device_index_update(struct core *core, struct str app_id, struct str device_id,
                         bool is_by_request, device_done_cb cb, void *arg);
/* Takes out a device whose record is gone, or was never made; cb may be NULL. */
void device_index_forget(struct core *core, struct str app_id, struct str device_id,
                         device_done_cb cb, void *arg);
/* Before the application is deleted: blocks without devices. */
void device_index_drop_all(struct core *core, struct str app_id, device_done_cb cb, void *arg);

/* "<application>:<device>", as scripts put it into a partition's marks. */
struct str device_index_mark(struct arena *arena, struct str app_id, struct str device_id);

/* The owner of a partition, with its fence: takes some marks and updates what they name. has_more:
 * call again. ERR_INTERNAL: Redis failed, or the fence is not valid any more. */
typedef void (*device_index_sync_cb)(enum error error, bool has_more, void *arg);
void device_index_sync(struct core *core, uint32_t partition, struct str fence,
                       device_index_sync_cb cb, void *arg);

struct device_index *device_index_new(struct core *core); /* for core.c: writes under way */
void device_index_free(struct device_index *index);

#endif

/*
 * Groups of an application's devices. All that belongs to them lies with the application, not with
 * the devices, so that a group is counted and paged without looking at its members:
 *
 *     {a<app>}:grp         id -> "<name> <most devices> <created ms> <description as JSON>"
 *     {a<app>}:grpmember   "<group id> <device id>" by name: the count of a group is that of a
 * range, a page is a range by rank; both take the logarithm of all members {a<app>}:grpof device id
 * -> the ids of its groups
 *
 * A device leaves its groups in the step that takes it out of the application's index
 * (core/device/node.c). A group that is deleted is gone at once; its members are taken away afterwards,
 * some at a time. A crash meanwhile leaves members of a group that does not exist: all who read
 * memberships look whether the group is there, and the next group that the application makes or
 * deletes goes on with it.
 *
 * Everything here takes an arena that lives until the callback; what the callback gets lives there.
 */
#ifndef CORE_DEVICE_GROUP_H
#define CORE_DEVICE_GROUP_H

#include "base/arena.h"
#include "core/core.h"

#define GROUP_ID_MAX   50
#define GROUP_NAME_MAX 50
#define GROUP_IDS_MAX  1000 /* device ids per call, whatever the setting says */

struct group {
    struct str id, name;
    struct str description; /* a JSON text: a string, or null */
    int64_t most_devices;   /* 0: no limit */
    int64_t devices;
    int64_t created_ms;
};

/* 1 to 50 letters and digits. */
bool group_name_is_valid(struct str name);

typedef void (*group_cb)(enum error error, const struct group *group, void *arg);
typedef void (*group_done_cb)(enum error error, void *arg);

struct group_ids {
    const struct str *list;
    size_t count;
};

/* Makes a group with its first members, or nothing. wanted: name, description, most_devices.
 * ERR_APP_NOT_FOUND, ERR_GROUP_NAME, ERR_GROUP_QUOTA, ERR_GROUP_FULL (more members than it may
 * have), ERR_GROUP_PARAMETER (one of them does not exist, or is in another group). */
void group_create(struct core *core, struct arena *arena, struct str app_id,
                  const struct group *wanted, struct group_ids members, group_cb cb, void *arg);

struct group_change {
    struct str name;
    struct str description; /* a JSON text; STR_NONE: stays */
    int64_t most_devices;   /* -1: stays */
};

/* ERR_GROUP_NOT_FOUND, ERR_GROUP_NAME, ERR_GROUP_FULL (it has more members than that). */
void group_modify(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  const struct group_change *change, group_cb cb, void *arg);

/* ERR_GROUP_NOT_FOUND */
void group_delete(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  group_done_cb cb, void *arg);

/* All of them or none: ERR_GROUP_NOT_FOUND, ERR_GROUP_FULL, ERR_GROUP_PARAMETER as above. Who is a
 * member already, or not any more, is no error. */
void group_add(struct core *core, struct arena *arena, struct str app_id, struct str id,
               struct group_ids devices, group_done_cb cb, void *arg);
void group_remove(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  struct group_ids devices, group_done_cb cb, void *arg);

/* With the ids of `count` of its members behind the first ones, by id; count 0: none.
 * ERR_GROUP_NOT_FOUND. */
typedef void (*group_read_cb)(enum error error, const struct group *group, struct group_ids members,
                              void *arg);
void group_read(struct core *core, struct arena *arena, struct str app_id, struct str id,
                uint64_t first, size_t count, group_read_cb cb, void *arg);

/* Groups behind the first ones, oldest first; total: in all. name STR_NONE: all, else the one that
 * is named so. count at most 500. */
typedef void (*group_list_cb)(enum error error, const struct group *groups, size_t count,
                              int64_t total, void *arg);
void group_list(struct core *core, struct arena *arena, struct str app_id, struct str name,
                uint64_t first, size_t count, group_list_cb cb, void *arg);

/* Which groups devices are in, one command for all of them: lists[i] has the ids of
 * devices.list[i]'s groups with blanks between, and is "" when there is none. */
typedef void (*group_lists_cb)(enum error error, const struct str *lists, void *arg);
void group_of_devices(struct core *core, struct arena *arena, struct str app_id,
                      struct group_ids devices, group_lists_cb cb, void *arg);

#endif

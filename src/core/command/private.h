/* What the files of core/command/command.h share. */
#ifndef CORE_COMMAND_PRIVATE_H
#define CORE_COMMAND_PRIVATE_H

#include "core/command/command.h"
#include "core/device/device.h"
#include "store/keys.h"

#define COMMAND_KEYS             9
#define COMMAND_PARTITION_DIGITS 4 /* what an id begins with */

/* The keys of command.lua, all of one device. */
struct command_keys {
    struct key text[COMMAND_KEYS];
    struct str list[COMMAND_KEYS];
};
void command_keys_of(const struct core *core, struct str device_id, struct command_keys *keys);

/* A step of command.lua; args are what follows the time. */
void command_step(struct core *core, struct str device_id, const char *step, size_t count,
                  const struct str *args, redis_cb cb, void *arg);

/* Fields of the hash of commands that make one. */
#define COMMAND_FIELDS 3
void command_field_names(struct arena *arena, struct str id, struct str names[COMMAND_FIELDS]);
/* false: it is not there, or cannot be read. */
bool command_from(struct arena *arena, struct str id, const struct str fields[COMMAND_FIELDS],
                  struct command *command);

/* The member of the application's list of all commands. */
struct str command_listed(struct arena *arena, struct str device_id, struct str id);
/* Those made before; nobody waits for it. */
void command_unlist(struct core *core, struct str app_id, int64_t before_ms,
                    const struct str *members, size_t count);

/* Of one device, in the order of the ids; those that are not there are left out. At least one id. */
void command_read_some(struct core *core, struct arena *arena, struct str device_id,
                       const struct str *ids, size_t count, command_page_cb cb, void *arg);

/* Answers the device's id, or nil; also for what is no id of a command. */
void command_find_device(struct core *core, struct str command_id, redis_cb cb, void *arg);

#endif

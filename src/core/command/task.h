/* Cancel tasks: all commands of a device that are PENDING are canceled, and what was done is kept:
 * command.cancel_tasks of them per application, for command.keep_time. */
#ifndef CORE_COMMAND_TASK_H
#define CORE_COMMAND_TASK_H

#include "core/command/command.h"

#define COMMAND_TASK_ID_DIGITS 32

struct command_task {
    struct str id, app_id, device_id;
    const char *status;
    int64_t created_ms;
    struct str *ids; /* of the commands that were canceled */
    size_t total;
    const struct command *commands; /* those that are still kept, as they are now */
    size_t command_count;
};

typedef void (*command_task_cb)(enum error error, const struct command_task *task, void *arg);

/* Done before it is answered. ERR_COMMAND_DEVICE. */
void command_task_create(struct core *core, struct arena *arena, struct str app_id,
                         struct str device_id, command_task_cb cb, void *arg);

struct command_task_query {
    struct str app_id;
    struct str task_id, device_id, status; /* STR_NONE: any */
    int64_t from_ms, to_ms;                /* of creation, both inclusive */
    uint64_t skip, count;
};
struct command_task_page {
    uint64_t total;
    size_t count;
    struct command_task *list; /* newest first */
};
typedef void (*command_task_page_cb)(enum error error, const struct command_task_page *page,
                                     void *arg);

/* Looks through all that are kept. ERR_COMMAND_DEVICE. */
void command_task_query(struct core *core, struct arena *arena,
                        const struct command_task_query *query, command_task_page_cb cb,
                        void *arg);

#endif

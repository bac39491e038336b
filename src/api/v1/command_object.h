/* The Command object that answers about commands for devices are made of. */
#ifndef API_V1_COMMAND_OBJECT_H
#define API_V1_COMMAND_OBJECT_H

#include "base/json.h"
#include "core/command/task.h"

/* One object. has_old_status: DEFAULT instead of PENDING. */
void v1_write_command(struct json_writer *w, const struct command *command, bool has_old_status);

/* A member: "result":{"resultCode":..,"resultDetail":..} */
void v1_write_command_result(struct json_writer *w, const struct command *command,
                             bool has_old_status);

/* The CancelTask object. */
void v1_write_command_task(struct json_writer *w, const struct command_task *task,
                           bool has_old_status);

#endif

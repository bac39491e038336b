/* Does a command fit its device's model? As strictly as the setting command.model_check says. */
#ifndef CORE_COMMAND_CHECK_H
#define CORE_COMMAND_CHECK_H

#include "core/command/command.h"
#include "core/device/device.h"
#include "core/model/model.h"

struct command_kind { /* what the model knows of a command */
    bool has_response;
    struct str response_name; /* STR_NONE: several, or none */
    struct str service_type;  /* the service's id when the model does not say */
};

typedef void (*command_check_cb)(enum error error, const struct command_kind *kind, void *arg);

/* ERR_SERVICE_NOT_FOUND or ERR_CALL_SERVICE: no model, or no such service. ERR_COMMAND_NAME (of a call),
 * ERR_DEVICE_PARAMETER: the method or its parameters. ERR_COMMAND_MUTED (of a call). What kind points
 * to lives in the arena. */
void command_check(struct core *core, struct arena *arena, const struct device *device,
                   const struct command_order *order, command_check_cb cb, void *arg);

/* The parameters alone. A text of digits is a number when it is lenient. */
bool command_paras_fit(const struct model_command *command, const struct json *paras, bool is_strict,
                       bool enforces_enum);

#endif

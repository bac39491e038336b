/*
 * iotpushctl: what its commands share. A command is a row of its noun's table (app.c, status.c); it
 * gets its arguments, talks to the admin listener (client.h) and returns the exit code.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/arena.h"
#include "base/json.h"

enum ctl_exit {
    CTL_DONE = 0,
    CTL_REFUSED = 1, /* by the server, or by the person who was asked */
    CTL_USAGE = 2,
    CTL_UNREACHABLE = 3, /* no server there */
};

struct client;

/* Options that belong to certain commands. */
enum ctl_option {
    CTL_CASCADE,
    CTL_APP,
    CTL_FAILING,
    CTL_ALL,
    CTL_HOST,
    CTL_CA,
    CTL_CN,
    CTL_CHECK_CN,
    CTL_SNI,
    CTL_NO_NAME_CHECK,
    CTL_PLATFORM_CERTIFICATE,
    CTL_IGNORE_ANCHOR_EXPIRY,
    CTL_MEMBERS,
    CTL_REPLACE,
    CTL_FORCE,
    CTL_STATUS,
    CTL_TYPE,
    CTL_NAME,
    CTL_GATEWAY,
    CTL_PAGE,
    CTL_SIZE,
    CTL_OUT,
    CTL_DEVICE,
    CTL_COUNT,
    CTL_TIMEOUT,
    CTL_OPTION_COUNT
};
#define CTL_TAKES(option) (1u << (option))

struct ctl {
    struct client *client;
    struct arena *arena; /* lives as long as the command */
    bool wants_json;
    bool is_quiet; /* values only: no headings, no remarks */
    bool has_yes;
    const char *options[CTL_OPTION_COUNT]; /* value, "" for one without; NULL: not given */
};

struct ctl_command {
    const char *noun;
    const char *verb;      /* NULL: the noun is the whole command */
    const char *arguments; /* for the help: "NAME" */
    int argument_count;    /* that are needed */
    int optional_count;    /* and may follow; NULL when they don't */
    unsigned options;      /* CTL_TAKES(...) | ... */
    enum ctl_exit (*run)(struct ctl *ctl, char **arguments);
    const char *help;
};

/* Rows ending in {0}. */
extern const struct ctl_command ctl_app_commands[];
extern const struct ctl_command ctl_device_commands[];
extern const struct ctl_command ctl_status_commands[];
extern const struct ctl_command ctl_delivery_commands[];
extern const struct ctl_command ctl_certificate_commands[];
extern const struct ctl_command ctl_model_commands[];
extern const struct ctl_command ctl_group_commands[];
extern const struct ctl_command ctl_shadow_commands[];
extern const struct ctl_command ctl_command_commands[];
extern const struct ctl_command ctl_watch_commands[];

/* "iotpushctl: ..." on stderr. */
void ctl_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One JSON value as a line of stdout. */
void ctl_print_json(const struct json *value);

/* Asks on the terminal; true for yes. Without a terminal the answer is no, with a hint at --yes. */
bool ctl_confirm(const struct ctl *ctl, const char *question);

#endif

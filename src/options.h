/* The command line of iotpushd, and the settings that come out of it. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "settings.h"
#include "base/log.h"

#define MAX_OVERRIDES 256

struct options {
    const char *file;      /* NULL: built-in defaults */
    bool is_file_given;    /* by -c; else the default place */
    bool tests_only;       /* -t */
    int verbosity;         /* -v */
    const char *overrides[MAX_OVERRIDES + 1];
    size_t override_count;
};

/* Exits by itself after --help and the like, and with 2 when the usage is wrong. */
void options_parse(struct options *options, int argc, char **argv);

/* Reads all settings; mistakes go to stderr, a line each. Returns their number. */
int options_load_settings(const struct options *options, struct settings *settings,
                          struct settings_source **source);

#endif

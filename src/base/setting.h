/*
 * Settings as a table: one row per key gives its name, type, unit, bounds, default, whether SIGHUP
 * re-reads it, and one sentence of help. The reader, `-t`, `--help-config`, the example file's and
 * the manual page's check all come from the rows.
 *
 * File form: [section], key = value, # and ; comments on lines of their own or after a blank,
 * include = PATTERN (relative to the including file, at most 8 deep). Values: sizes 64k 10m 1g,
 * times 500ms 15s 10m 2h 1d (never without a unit, but for 0), on/off (yes/no, true/false, 1/0),
 * integers, texts, lists with commas.
 *
 * Messages have one form:  iotpushd.conf:12: push.timeout = 15 minutes: not a time; write 15s,
 * 500ms, 10m.   The place is FILE:LINE, "--set", or the name of the environment variable.
 */
#ifndef BASE_SETTING_H
#define BASE_SETTING_H

#include "base/str.h"
#include <stdio.h>

enum setting_type {
    SETTING_TEXT,   /* char *, own copy, never NULL */
    SETTING_LIST,   /* char *, comma separated as written, never NULL */
    SETTING_BOOL,   /* bool */
    SETTING_INT,    /* int64_t */
    SETTING_SIZE,   /* int64_t bytes */
    SETTING_TIME,   /* int64_t milliseconds */
    SETTING_CHOICE, /* int, index into the words of `choices` */
};

struct setting {
    const char *section, *key;
    enum setting_type type;
    size_t offset; /* into the struct that settings_load fills */
    const char *fallback; /* the default, in the file's syntax */
    int64_t min, max;     /* INT, SIZE, TIME; both 0 = no bounds */
    const char *choices;  /* CHOICE: "text json" */
    bool is_reloadable;
    const char *help;
    /* An extra check of a value's syntax: NULL when right, else what is wrong and what would be
     * right. The default has to pass it, too. */
    const char *(*check)(const char *value);
};

/* Where each value came from, for later messages about it (a port in use, a missing file). */
struct settings_source;

struct settings_input {
    const char *program;      /* for env: IOTPUSH -> IOTPUSH_PUSH_TIMEOUT=15s */
    const char *file;         /* NULL = none */
    char **environment;       /* environ, or NULL */
    const char *const *overrides; /* "section.key=value" of --set, NULL-terminated, or NULL */
};

/*
 * Fills out (a zeroed struct) with default, file, environment, override, later ones winning.
 * Every mistake is one line handed to complain; returns their number. All values are set also
 * when there were mistakes. Environment variables with the prefix that name no setting are mistakes
 * too, except IOTPUSH_ names without a second underscore.
 */
int settings_load(const struct setting *table, const struct settings_input *input, void *out,
                  struct settings_source **source, void (*complain)(const char *line, void *arg),
                  void *arg);
void settings_clear(const struct setting *table, void *values);
void settings_source_free(struct settings_source *source);

/* "iotpushd.conf:12: push.timeout = 15s" for a message about a value; the place of a default is
 * "default", passwords in URLs are masked. Static text until next call. */
const char *settings_where(const struct settings_source *source, const struct setting *table,
                           const void *values, const char *section, const char *key);

/* Copies the reloadable rows of `from` into `to`; names of rows that differ but need a restart are
 * handed to complain. */
void settings_apply_reloadable(const struct setting *table, const void *from, void *to,
                               void (*complain)(const char *key, void *arg), void *arg);

/* A list of times ("10s, 60s") into times_ms: how many, or -1 when it is none or has over max. */
int setting_parse_times(const char *list, int64_t *times_ms, size_t max);

/* --help-config: every row with type, unit, default, bounds, reloadable, help. */
void settings_print_help(const struct setting *table, FILE *out);

#endif

/*
 * The form of configuration files: sections, keys, comments, includes. What the names and values
 * mean is setting.c's business; this hands over each entry in the order of the files.
 */
#ifndef BASE_SETTING_FILE_H
#define BASE_SETTING_FILE_H

#include "base/str.h"

#define SETTING_FILE_MAX_LINE  4096
#define SETTING_FILE_MAX_BYTES (1UL << 20)
#define SETTING_FILE_MAX_DEPTH 8

struct setting_file_reader {
    /* false: the section is unknown (and was complained about), its entries are passed over */
    bool (*section)(const char *place, const char *section, void *arg);
    void (*entry)(const char *place, const char *section, const char *key, const char *value,
                  void *arg);
    void (*mistake)(const char *place, const char *text, void *arg);
    void *arg;
};

/* `place` is FILE:LINE, or FILE alone when the file as a whole cannot be read. */
void setting_file_read(const char *path, const struct setting_file_reader *reader);

#endif

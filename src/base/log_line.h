/*
 * A line of the log under construction, as text or as JSON. Private to the log; its form is told in
 * base/log.h.
 */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include "base/buf.h"
#include "base/log.h"

#include <stdarg.h>

struct log_line {
    struct buf text;
    bool as_json;
};

/* Begin, any number of formats, end. What the line held before is gone. */
void log_line_begin(struct log_line *line, enum log_level level, const char *area);
void log_line_add(struct log_line *line, const char *format, va_list *args);
void log_line_end(struct log_line *line, uint64_t held_back); /* with the newline */

#endif

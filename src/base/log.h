/*
 * The log: one line per event that a person would act on.
 *
 *     2026-01-31T12:00:00.123Z WARN push endpoint=https://a.example:8443 state=down failures=10
 *
 * The format is a list of key=value words separated by single blanks; a value is a literal or
 * consists of printf conversions (%s %.*s %d %u %ld %lu %lld %llu %zu %x %c %.3f, PRI macros; no
 * other widths than those with zeros, as %02x). The keys are what makes the JSON form possible:
 *
 *     log_warn("push", "endpoint=%s state=down failures=%u", url, failures);
 *     {"time":"2026-01-31T12:00:00.123Z","level":"warn","area":"push","endpoint":"https://...",
 *      "state":"down","failures":10}
 *
 * In JSON a value that is one decimal conversion or a literal number is a number, all else a
 * string. Words without a key are joined into the member "message".
 *
 * Values are escaped: control characters never reach the output, text with blanks or quotes is put
 * in quotes, a value is cut at 512 bytes. Never pass secrets, tokens, passwords or bodies.
 *
 * Lines go out by one write(2) each to a non-blocking descriptor; what a slow reader makes us lose
 * is counted (log_lost_lines) and said when it is over. The same line (area and format) more than
 * 20 times within a minute is held back and counted; the count is said with the next one
 * (held_back=7). Debug lines are never held back: who asks for them wants all.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Before log_open, lines go to stderr as text at level info. file NULL or "" = stderr.
 * 0, or -1 with errno set (the old destination stays). Call again to reopen after rotation. */
int log_open(enum log_level level, bool as_json, const char *file);
bool log_wants(enum log_level level);
bool log_level_from_name(const char *name, enum log_level *level); /* error warn info debug */
uint64_t log_lost_lines(void);

/* The audit file: who changed what, in the form of the log. "" closes it: there is none. Like
 * log_open, which decides its form. */
int log_open_audit(const char *file);
uint64_t log_lost_audit_lines(void);

/* area and format are string literals: their addresses are kept. errno stays as it is. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A line that was asked for by a setting of its own: whatever the level, and never held back. */
void log_record(const char *area, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of the audit file; nothing when there is none. A line that is lost is counted, and said in
 * the log. */
void log_audit(const char *area, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(area, ...) log_write(LOG_LEVEL_ERROR, area, __VA_ARGS__)
#define log_warn(area, ...)  log_write(LOG_LEVEL_WARN, area, __VA_ARGS__)
#define log_info(area, ...)  log_write(LOG_LEVEL_INFO, area, __VA_ARGS__)
#define log_debug(area, ...)                                                                       \
    do {                                                                                           \
        if (log_wants(LOG_LEVEL_DEBUG))                                                            \
            log_write(LOG_LEVEL_DEBUG, area, __VA_ARGS__);                                         \
    } while (0)

#endif

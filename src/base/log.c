/*
 * A line is formatted (log_line.c) and written at once (log_file.c). Lines that repeat never get as
 * far as the first step.
 *
 * One thread logs; the line under construction and the tables are static.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_file.h"
#include "base/log_line.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define REPEATS_MAX      20
#define REPEAT_WINDOW_MS 60000
#define REPEAT_SLOTS     64

static struct log_file file = {.fd = STDERR_FILENO}, audit_file = {.fd = -1};
static enum log_level most = LOG_LEVEL_INFO;
static bool as_json;
static uint64_t lost_lines, lost_lines_said, lost_audit_lines;

bool log_wants(enum log_level level)
{
    return level <= most;
}

uint64_t log_lost_lines(void)
{
    return lost_lines;
}

uint64_t log_lost_audit_lines(void)
{
    return lost_audit_lines;
}

int log_open(enum log_level level, bool json, const char *path)
{
    if (log_file_open(&file, path) < 0)
        return -1;
    most = level;
    as_json = json;
    return 0;
}

int log_open_audit(const char *path)
{
    if (*path)
        return log_file_open(&audit_file, path);
    log_file_close(&audit_file);
    return 0;
}

static void begin_line(struct log_line *line, enum log_level level, const char *area)
{
    line->as_json = as_json;
    log_line_begin(line, level, area);
}

static void end_line(struct log_line *line, uint64_t held_back)
{
    log_line_end(line, held_back);
    if (!log_file_write(&file, buf_str(&line->text)))
        lost_lines++;
}

static void say_what_was_lost(void)
{
    static struct log_line line;

    if (lost_lines == lost_lines_said)
        return;
    begin_line(&line, LOG_LEVEL_WARN, "log");
    buf_printf(&line.text, as_json ? ",\"lost_lines\":%llu" : " lost_lines=%llu",
               (unsigned long long)(lost_lines - lost_lines_said));
    log_line_end(&line, 0);
    if (log_file_write(&file, buf_str(&line.text)))
        lost_lines_said = lost_lines;
}

/* --- lines that repeat --- */

struct repeat {
    const char *format; /* NULL: unused */
    const char *area;
    int64_t began_tick_ms;
    unsigned lines;
    uint64_t held_back;
};

static struct repeat repeats[REPEAT_SLOTS];

static struct repeat *oldest_repeat(void)
{
    struct repeat *oldest = &repeats[0];

    for (struct repeat *r = repeats; r < repeats + REPEAT_SLOTS; r++) {
        if (!r->format)
            return r;
        if (r->began_tick_ms < oldest->began_tick_ms)
            oldest = r;
    }
    return oldest;
}

/* The slot of this kind of line. When another kind must leave for it, what was held back of that
 * one is said now. */
static struct repeat *find_repeat(const char *area, const char *format)
{
    static struct log_line line;
    struct repeat *slot;

    for (struct repeat *r = repeats; r < repeats + REPEAT_SLOTS; r++)
        if (r->format == format && strcmp(r->area, area) == 0)
            return r;
    slot = oldest_repeat();
    if (slot->format && slot->held_back) {
        begin_line(&line, LOG_LEVEL_INFO, slot->area);
        end_line(&line, slot->held_back);
    }
    *slot = (struct repeat){.format = format, .area = area, .began_tick_ms = clock_tick_ms()};
    return slot;
}

/* Counts the line. true: hold it back; else *held_back is how many of its kind were. */
static bool is_one_too_many(const char *area, const char *format, uint64_t *held_back)
{
    struct repeat *repeat = find_repeat(area, format);
    int64_t now = clock_tick_ms();

    if (now - repeat->began_tick_ms >= REPEAT_WINDOW_MS) {
        repeat->began_tick_ms = now;
        repeat->lines = 0;
    }
    if (++repeat->lines > REPEATS_MAX) {
        repeat->held_back++;
        return true;
    }
    *held_back = repeat->held_back;
    repeat->held_back = 0;
    return false;
}

static void write_words(enum log_level level, const char *area, uint64_t held_back,
                        const char *format, va_list *args)
{
    static struct log_line line;

    say_what_was_lost();
    begin_line(&line, level, area);
    log_line_add(&line, format, args);
    end_line(&line, held_back);
}

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    uint64_t held_back = 0;
    int saved_errno = errno;
    va_list args;

    if (!log_wants(level))
        return;
    if (level == LOG_LEVEL_DEBUG || !is_one_too_many(area, format, &held_back)) {
        va_start(args, format);
        write_words(level, area, held_back, format, &args);
        va_end(args);
    }
    errno = saved_errno;
}

void log_record(const char *area, const char *format, ...)
{
    int saved_errno = errno;
    va_list args;

    va_start(args, format);
    write_words(LOG_LEVEL_INFO, area, 0, format, &args);
    va_end(args);
    errno = saved_errno;
}

void log_audit(const char *area, const char *format, ...)
{
    static struct log_line line;
    int saved_errno = errno;
    va_list args;

    if (audit_file.fd < 0)
        return;
    begin_line(&line, LOG_LEVEL_INFO, area);
    va_start(args, format);
    log_line_add(&line, format, &args);
    va_end(args);
    log_line_end(&line, 0);
    if (!log_file_write(&audit_file, buf_str(&line.text))) {
        lost_audit_lines++;
        log_error("audit", "state=lost reason=%s", strerror(errno));
    }
    errno = saved_errno;
}

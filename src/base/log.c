/*
 * A line is made in three steps: the format is read word by word into a key and a value
 * (read_word), the word is appended to the line as text or JSON (add_word), and the whole line is
 * written at once (write_line). Lines that repeat never get as far as the first step.
 *
 * One thread logs; the line under construction and the tables are static.
 */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_MAX        512
#define ZEROS_MAX        32
#define REPEATS_MAX      20
#define REPEAT_WINDOW_MS 60000
#define REPEAT_SLOTS     64

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_labels[] = {"ERROR", "WARN", "INFO", "DEBUG"};

/* Where lines go. */
static struct {
    int fd;
    bool is_own_fd;
    bool is_socket;
    bool has_torn_line; /* only the beginning of a line was accepted */
    enum log_level level;
    bool as_json;
} out = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO};

static uint64_t lost_lines, lost_lines_said;

bool log_wants(enum log_level level)
{
    return level <= out.level;
}

bool log_level_from_name(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

uint64_t log_lost_lines(void)
{
    return lost_lines;
}

/*
 * O_NONBLOCK belongs to the open file, which stderr shares with our parent, its shell and its
 * other children: so a pipe or terminal is opened once more for us alone. Sockets (journald) can't
 * be, but they know a flag per call. Files never block, and keep the offset they share.
 */
static int open_stderr(bool *is_own_fd, bool *is_socket)
{
    struct stat status;
    int fd, flags;

    *is_own_fd = false;
    *is_socket = false;
    if (fstat(STDERR_FILENO, &status) < 0)
        return -1;
    *is_socket = S_ISSOCK(status.st_mode);
    if (*is_socket || S_ISREG(status.st_mode))
        return STDERR_FILENO;
    fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        *is_own_fd = true;
        return fd;
    }
    flags = fcntl(STDERR_FILENO, F_GETFL);
    if (flags < 0 || fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return STDERR_FILENO;
}

int log_open(enum log_level level, bool as_json, const char *file)
{
    bool is_own_fd = true, is_socket = false;
    int fd;

    if (file && *file)
        fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
    else
        fd = open_stderr(&is_own_fd, &is_socket);
    if (fd < 0)
        return -1;
    if (out.is_own_fd)
        close(out.fd);
    out.fd = fd;
    out.is_own_fd = is_own_fd;
    out.is_socket = is_socket;
    out.has_torn_line = false;
    out.level = level;
    out.as_json = as_json;
    return 0;
}

/* --- values --- */

struct value {
    char text[VALUE_MAX];
    size_t len;
    unsigned decimals; /* conversions of decimal numbers */
    unsigned others;   /* all other conversions */
    unsigned literals; /* characters from the format itself */
};

static void value_add(struct value *value, const char *bytes, size_t len)
{
    size_t room = VALUE_MAX - value->len;

    if (len > room)
        len = room;
    if (len)
        memcpy(value->text + value->len, bytes, len);
    value->len += len;
}

struct conversion {
    int width;     /* only with the flag 0, else 0 */
    int precision; /* -1 when not given */
    int longs;     /* how many 'l' */
    bool is_size;  /* 'z' */
    char kind;
};

static void add_string(struct value *value, const struct conversion *c, const char *text)
{
    if (!text)
        text = c->precision == 0 ? "" : "(null)";
    value_add(value, text, c->precision < 0 ? strlen(text) : strnlen(text, (size_t)c->precision));
    value->others++;
}

static void add_signed(struct value *value, const struct conversion *c, long long number)
{
    char text[64];

    snprintf(text, sizeof(text), "%0*lld", c->width, number);
    value_add(value, text, strlen(text));
    value->decimals++;
}

static void add_unsigned(struct value *value, const struct conversion *c, unsigned long long number)
{
    bool is_hex = c->kind == 'x' || c->kind == 'X';
    char text[64];

    snprintf(text, sizeof(text), is_hex ? "%0*llx" : "%0*llu", c->width, number);
    value_add(value, text, strlen(text));
    if (is_hex)
        value->others++;
    else
        value->decimals++;
}

static void add_double(struct value *value, const struct conversion *c, double number)
{
    char text[VALUE_MAX];
    int precision = c->precision < 0 ? 6 : c->precision;

    snprintf(text, sizeof(text), c->kind == 'f' ? "%.*f" : "%.*g", precision, number);
    value_add(value, text, strlen(text));
    if (isfinite(number))
        value->decimals++;
    else
        value->others++;
}

static const char *read_number(int *number, const char *p)
{
    for (*number = 0; *p >= '0' && *p <= '9'; p++)
        if (*number < VALUE_MAX)
            *number = *number * 10 + *p - '0';
    return p;
}

/* Widths without zeros are read and not heeded: padding would only ask for quotes. */
static const char *read_conversion(struct conversion *c, const char *p, va_list *args)
{
    bool has_zeros = false;

    *c = (struct conversion){.precision = -1};
    for (; *p && strchr("0-+ #", *p); p++)
        has_zeros |= *p == '0';
    p = read_number(&c->width, p);
    if (!has_zeros || c->width > ZEROS_MAX)
        c->width = has_zeros ? ZEROS_MAX : 0;
    if (*p == '.') {
        p++;
        if (*p == '*') {
            c->precision = va_arg(*args, int);
            p++;
        } else {
            p = read_number(&c->precision, p);
        }
    }
    for (; *p && strchr("hlzjt", *p); p++) {
        c->longs += *p == 'l';
        c->is_size |= *p == 'z' || *p == 'j' || *p == 't';
    }
    c->kind = *p;
    return *p ? p + 1 : p;
}

static long long take_signed(const struct conversion *c, va_list *args)
{
    if (c->is_size)
        return va_arg(*args, ssize_t);
    if (c->longs > 1)
        return va_arg(*args, long long);
    return c->longs ? va_arg(*args, long) : va_arg(*args, int);
}

static unsigned long long take_unsigned(const struct conversion *c, va_list *args)
{
    if (c->is_size)
        return va_arg(*args, size_t);
    if (c->longs > 1)
        return va_arg(*args, unsigned long long);
    return c->longs ? va_arg(*args, unsigned long) : va_arg(*args, unsigned);
}

/* p is behind the '%'. After a conversion we don't know, the arguments that follow can't be found:
 * the rest of the format is given up. */
static const char *convert(struct value *value, const char *p, va_list *args)
{
    struct conversion c;
    char character;

    p = read_conversion(&c, p, args);
    switch (c.kind) {
    case 's':
        add_string(value, &c, va_arg(*args, const char *));
        return p;
    case 'c':
        character = (char)va_arg(*args, int);
        value_add(value, &character, 1);
        value->others++;
        return p;
    case 'd':
    case 'i':
        add_signed(value, &c, take_signed(&c, args));
        return p;
    case 'u':
    case 'x':
    case 'X':
        add_unsigned(value, &c, take_unsigned(&c, args));
        return p;
    case 'f':
    case 'g':
        add_double(value, &c, va_arg(*args, double));
        return p;
    case '%':
        value_add(value, "%", 1);
        value->literals++;
        return p;
    default:
        value_add(value, "?", 1);
        value->others++;
        return p + strlen(p);
    }
}

/* A character that was cut in two goes altogether. */
static void trim_broken_end(struct value *value)
{
    if (value->len < VALUE_MAX)
        return;
    for (size_t back = 1; back <= 3; back++) {
        unsigned char c = (unsigned char)value->text[VALUE_MAX - back];

        if (c < 0x80)
            return;
        if (c >= 0xc0) {
            if (str_utf8_char_len(str_n(value->text + VALUE_MAX - back, back)) == 0)
                value->len -= back;
            return;
        }
    }
}

/* Reads one word, up to a blank or the end. The key is STR_NONE when there is none. */
static const char *read_word(struct str *key, struct value *value, const char *p, va_list *args)
{
    size_t key_len = strcspn(p, "= %");

    *key = STR_NONE;
    if (p[key_len] == '=') {
        *key = str_n(p, key_len);
        p += key_len + 1;
    }
    value->len = 0;
    value->decimals = value->others = value->literals = 0;
    while (*p && *p != ' ') {
        if (*p == '%') {
            p = convert(value, p + 1, args);
        } else {
            value_add(value, p++, 1);
            value->literals++;
        }
    }
    trim_broken_end(value);
    return p;
}

/* --- the line --- */

/* C0 and C1 controls, which terminals obey, and the two separators that some readers take for the
 * end of a line. */
static bool must_be_escaped(const char *p, size_t char_len)
{
    unsigned char first = (unsigned char)p[0];

    if (char_len == 1)
        return first < 0x20 || first == 0x7f;
    if (char_len == 2)
        return first == 0xc2 && (unsigned char)p[1] < 0xa0;
    return char_len == 3 &&
           (memcmp(p, "\xe2\x80\xa8", 3) == 0 || memcmp(p, "\xe2\x80\xa9", 3) == 0);
}

static void add_escape(struct buf *line, const char *p, size_t char_len)
{
    unsigned char last = (unsigned char)p[char_len - 1];

    if (char_len == 1 && *p == '\n')
        buf_add_text(line, "\\n");
    else if (char_len == 1 && *p == '\t')
        buf_add_text(line, "\\t");
    else
        buf_printf(line, "\\u%s%02x", char_len == 3 ? "20" : "00",
                   char_len == 3 ? (unsigned)(last - 0x80) : last);
}

static void add_quoted(struct buf *line, struct str s)
{
    buf_add_char(line, '"');
    while (s.len) {
        size_t char_len = str_utf8_char_len(s);

        if (char_len == 0) {
            char_len = 1;
            if (out.as_json)
                buf_add_text(line, "\\ufffd");
            else
                buf_printf(line, "\\x%02x", (unsigned char)s.p[0]);
        } else if (must_be_escaped(s.p, char_len)) {
            add_escape(line, s.p, char_len);
        } else {
            if (s.p[0] == '"' || s.p[0] == '\\')
                buf_add_char(line, '\\');
            buf_add(line, s.p, char_len);
        }
        s = str_n(s.p + char_len, s.len - char_len);
    }
    buf_add_char(line, '"');
}

static bool needs_quotes(struct str s)
{
    if (s.len == 0)
        return true;
    while (s.len) {
        size_t char_len = str_utf8_char_len(s);

        if (char_len == 0 || s.p[0] == ' ' || s.p[0] == '"' || must_be_escaped(s.p, char_len))
            return true;
        s = str_n(s.p + char_len, s.len - char_len);
    }
    return false;
}

static void add_text_value(struct buf *line, struct str s)
{
    if (needs_quotes(s))
        add_quoted(line, s);
    else
        buf_add_str(line, s);
}

/* JSON has no numbers like 007: they stay texts. */
static bool has_leading_zero(struct str s)
{
    if (str_starts_with(s, STR("-")))
        s = str_n(s.p + 1, s.len - 1);
    return s.len > 1 && s.p[0] == '0' && s.p[1] >= '0' && s.p[1] <= '9';
}

static bool is_number(const struct value *value)
{
    struct str text = str_n(value->text, value->len);
    uint64_t number;

    if (value->others || has_leading_zero(text))
        return false;
    if (value->decimals)
        return value->decimals == 1 && value->literals == 0;
    return str_to_u64(text, UINT64_MAX, &number);
}

static void add_word(struct buf *line, struct str key, const struct value *value)
{
    struct str text = str_n(value->text, value->len);

    if (!out.as_json) {
        buf_add_char(line, ' ');
        buf_add_str(line, key);
        if (key.p)
            buf_add_char(line, '=');
        add_text_value(line, text);
        return;
    }
    buf_add_char(line, ',');
    add_quoted(line, key);
    buf_add_char(line, ':');
    if (is_number(value))
        buf_add_str(line, text);
    else
        add_quoted(line, text);
}

static void add_words(struct buf *line, const char *format, va_list *args)
{
    static struct value value, message;
    struct str key;

    message.len = 0;
    message.others = 1; /* never a number */
    while (*format) {
        format = read_word(&key, &value, format, args);
        if (key.p || !out.as_json) {
            add_word(line, key, &value);
        } else {
            value_add(&message, " ", message.len > 0);
            value_add(&message, value.text, value.len);
        }
        while (*format == ' ')
            format++;
    }
    trim_broken_end(&message);
    if (message.len)
        add_word(line, STR("message"), &message);
}

static void begin_line(struct buf *line, enum log_level level, const char *area)
{
    char time[CLOCK_MILLIS_SIZE];

    clock_format_millis(clock_now_ms(), time);
    buf_reset(line);
    if (out.as_json) {
        buf_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":", time, level_names[level]);
        add_quoted(line, str_of(area));
    } else {
        buf_printf(line, "%s %s ", time, level_labels[level]);
        add_text_value(line, str_of(area));
    }
}

/* --- writing --- */

static ssize_t write_some(const char *bytes, size_t len)
{
    ssize_t written;

    do {
        written = out.is_socket ? send(out.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                : write(out.fd, bytes, len);
    } while (written < 0 && errno == EINTR);
    return written;
}

/* A line of which only a part was accepted is lost too; the next one must not continue it. */
static bool write_line(struct buf *line)
{
    ssize_t written;

    if (out.has_torn_line) {
        if (write_some("\n", 1) != 1)
            return false;
        out.has_torn_line = false;
    }
    written = write_some(line->p, line->len);
    if (written == (ssize_t)line->len)
        return true;
    out.has_torn_line = written > 0;
    return false;
}

static void end_line(struct buf *line, uint64_t held_back)
{
    if (held_back)
        buf_printf(line, out.as_json ? ",\"held_back\":%llu" : " held_back=%llu",
                   (unsigned long long)held_back);
    buf_add_text(line, out.as_json ? "}\n" : "\n");
    if (!write_line(line))
        lost_lines++;
}

static void say_what_was_lost(void)
{
    static struct buf line;

    if (lost_lines == lost_lines_said)
        return;
    begin_line(&line, LOG_LEVEL_WARN, "log");
    buf_printf(&line, out.as_json ? ",\"lost_lines\":%llu}\n" : " lost_lines=%llu\n",
               (unsigned long long)(lost_lines - lost_lines_said));
    if (write_line(&line))
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
    static struct buf line;
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

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    static struct buf line;
    uint64_t held_back = 0;
    int saved_errno = errno;
    va_list args;

    if (!log_wants(level))
        return;
    if (level == LOG_LEVEL_DEBUG || !is_one_too_many(area, format, &held_back)) {
        say_what_was_lost();
        begin_line(&line, level, area);
        va_start(args, format);
        add_words(&line, format, &args);
        va_end(args);
        end_line(&line, held_back);
    }
    errno = saved_errno;
}

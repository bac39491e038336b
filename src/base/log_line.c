/*
 * The format is read word by word into a key and a value (read_word), and the word is appended to
 * the line as text or JSON (add_word).
 */
#include "base/log_line.h"

#include "base/clock.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <sys/types.h>

#define VALUE_MAX 512
#define ZEROS_MAX 32

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static const char *const level_labels[] = {"ERROR", "WARN", "INFO", "DEBUG"};

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

static void add_escape(struct log_line *line, const char *p, size_t char_len)
{
    unsigned char last = (unsigned char)p[char_len - 1];

    if (char_len == 1 && *p == '\n')
        buf_add_text(&line->text, "\\n");
    else if (char_len == 1 && *p == '\t')
        buf_add_text(&line->text, "\\t");
    else
        buf_printf(&line->text, "\\u%s%02x", char_len == 3 ? "20" : "00",
                   char_len == 3 ? (unsigned)(last - 0x80) : last);
}

static void add_quoted(struct log_line *line, struct str s)
{
    buf_add_char(&line->text, '"');
    while (s.len) {
        size_t char_len = str_utf8_char_len(s);

        if (char_len == 0) {
            char_len = 1;
            if (line->as_json)
                buf_add_text(&line->text, "\\ufffd");
            else
                buf_printf(&line->text, "\\x%02x", (unsigned char)s.p[0]);
        } else if (must_be_escaped(s.p, char_len)) {
            add_escape(line, s.p, char_len);
        } else {
            if (s.p[0] == '"' || s.p[0] == '\\')
                buf_add_char(&line->text, '\\');
            buf_add(&line->text, s.p, char_len);
        }
        s = str_n(s.p + char_len, s.len - char_len);
    }
    buf_add_char(&line->text, '"');
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

static void add_text_value(struct log_line *line, struct str s)
{
    if (needs_quotes(s))
        add_quoted(line, s);
    else
        buf_add_str(&line->text, s);
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

static void add_word(struct log_line *line, struct str key, const struct value *value)
{
    struct str text = str_n(value->text, value->len);

    if (!line->as_json) {
        buf_add_char(&line->text, ' ');
        buf_add_str(&line->text, key);
        if (key.p)
            buf_add_char(&line->text, '=');
        add_text_value(line, text);
        return;
    }
    buf_add_char(&line->text, ',');
    add_quoted(line, key);
    buf_add_char(&line->text, ':');
    if (is_number(value))
        buf_add_str(&line->text, text);
    else
        add_quoted(line, text);
}

void log_line_add(struct log_line *line, const char *format, va_list *args)
{
    static struct value value, message;
    struct str key;

    message.len = 0;
    message.others = 1; /* never a number */
    while (*format) {
        format = read_word(&key, &value, format, args);
        if (key.p || !line->as_json) {
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

void log_line_begin(struct log_line *line, enum log_level level, const char *area)
{
    char time[CLOCK_MILLIS_SIZE];

    clock_format_millis(clock_now_ms(), time);
    buf_reset(&line->text);
    if (line->as_json) {
        buf_printf(&line->text, "{\"time\":\"%s\",\"level\":\"%s\",\"area\":", time, level_names[level]);
        add_quoted(line, str_of(area));
    } else {
        buf_printf(&line->text, "%s %s ", time, level_labels[level]);
        add_text_value(line, str_of(area));
    }
}

void log_line_end(struct log_line *line, uint64_t held_back)
{
    if (held_back)
        buf_printf(&line->text, line->as_json ? ",\"held_back\":%llu" : " held_back=%llu",
                   (unsigned long long)held_back);
    buf_add_text(&line->text, line->as_json ? "}\n" : "\n");
}

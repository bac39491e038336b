#include "net/http_guard.h"

#include <event2/buffer.h>

#define CHUNK_LINE_MAX 18 /* sixteen digits, CR, LF */

enum step { REQUEST_LINE, HEADER_LINE, LENGTH_DATA, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER };

void http_guard_init(struct http_guard *guard)
{
    memset(guard, 0, sizeof(*guard));
}

void http_guard_clear(struct http_guard *guard)
{
    buf_clear(&guard->line);
    guard->phase = GUARD_IDLE;
    guard->path_len = 0;
    guard->is_head_method = guard->expects_continue = false;
    guard->step = REQUEST_LINE;
    guard->is_http_1_0 = guard->needs_body = false;
    guard->has_host = guard->has_length = guard->is_chunked = false;
    guard->length = guard->remaining = guard->body_bytes = guard->head_bytes = 0;
}

/* RFC 9110, 5.6.2: the characters of methods and header names. */
static const bool is_token_char[256] = {
    ['!'] = true,         ['#'] = true,         ['$'] = true, ['%'] = true, ['&'] = true,
    ['\''] = true,        ['*'] = true,         ['+'] = true, ['-'] = true, ['.'] = true,
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['^'] = true, ['_'] = true, ['`'] = true,
    ['a' ... 'z'] = true, ['|'] = true,         ['~'] = true,
};

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char[(unsigned char)s.p[i]])
            return false;
    return s.len > 0;
}

static bool is_visible_ascii(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

static bool is_header_value(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* The methods a handler can be had for. The others never reach evhttp: it takes a different view of
 * the bodies of HEAD, TRACE and CONNECT, and of the target of CONNECT. */
static int take_method(struct http_guard *guard, struct str method)
{
    static const struct {
        struct str name;
        bool needs_body;
    } known[] = {
        {STR("GET"), false},    {STR("POST"), true},     {STR("PUT"), true},
        {STR("DELETE"), false}, {STR("OPTIONS"), false}, {STR("PATCH"), true},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq(method, known[i].name)) {
            guard->needs_body = known[i].needs_body;
            return 0;
        }
    guard->is_head_method = str_eq(method, STR("HEAD"));
    return 405;
}

static int take_target(struct http_guard *guard, struct str target)
{
    struct str path, query;

    if (!str_starts_with(target, STR("/")) || !is_visible_ascii(target) ||
        memchr(target.p, '#', target.len))
        return 400;
    path = str_split(target, '?', &query);
    guard->path_len = path.len < sizeof(guard->path) ? path.len : sizeof(guard->path);
    memcpy(guard->path, path.p, guard->path_len);
    /* evhttp would take the first segment for a host name. */
    return str_starts_with(target, STR("//")) ? 404 : 0;
}

static int take_version(struct http_guard *guard, struct str version)
{
    guard->is_http_1_0 = str_eq(version, STR("HTTP/1.0"));
    if (guard->is_http_1_0 || str_eq(version, STR("HTTP/1.1")))
        return 0;
    if (version.len == 8 && str_starts_with(version, STR("HTTP/")) && version.p[6] == '.')
        return 505;
    return 400;
}

static int take_request_line(struct http_guard *guard, struct str line)
{
    struct str rest, version;
    struct str method = str_split(line, ' ', &rest);
    struct str target;
    int status;

    if (!rest.p || !is_token(method))
        return 400;
    target = str_split(rest, ' ', &version);
    if (!version.p)
        return 400;
    status = take_target(guard, target);
    if (!status)
        status = take_version(guard, version);
    if (!status)
        status = take_method(guard, method);
    guard->step = HEADER_LINE;
    return status;
}

/* What evhttp takes off a value, no more: a tab in front stays and makes the value a wrong one. */
static struct str trim_as_evhttp(struct str value)
{
    while (value.len && value.p[0] == ' ') {
        value.p++;
        value.len--;
    }
    while (value.len && (value.p[value.len - 1] == ' ' || value.p[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static int take_length(struct http_guard *guard, struct str value)
{
    if (guard->has_length || !str_to_u64(value, INT64_MAX, &guard->length))
        return 400;
    guard->has_length = true;
    return 0;
}

static int take_encoding(struct http_guard *guard, struct str value)
{
    if (guard->is_chunked || guard->is_http_1_0)
        return 400;
    guard->is_chunked = true;
    return str_eq_nocase(value, STR("chunked")) ? 0 : 501;
}

static int take_header(struct http_guard *guard, struct str line)
{
    struct str value;
    struct str name = str_split(line, ':', &value);

    if (!value.p || !is_token(name) || !is_header_value(value))
        return 400;
    value = trim_as_evhttp(value);
    if (str_eq_nocase(name, STR("Content-Length")))
        return take_length(guard, value);
    if (str_eq_nocase(name, STR("Transfer-Encoding")))
        return take_encoding(guard, value);
    if (str_eq_nocase(name, STR("Host"))) {
        if (guard->has_host)
            return 400;
        guard->has_host = true;
    } else if (str_eq_nocase(name, STR("Expect")) && !guard->is_http_1_0) {
        guard->expects_continue = true;
        return str_eq_nocase(value, STR("100-continue")) ? 0 : 417;
    }
    return 0;
}

static int end_head(struct http_guard *guard, const struct http_limits *limits)
{
    if (!guard->has_host && !guard->is_http_1_0)
        return 400;
    if (guard->has_length && guard->is_chunked)
        return 400;
    if (guard->needs_body && !guard->has_length && !guard->is_chunked)
        return 411;
    if (guard->length > (uint64_t)limits->body_bytes)
        return 413;
    guard->remaining = guard->length;
    guard->step = guard->is_chunked ? CHUNK_SIZE : LENGTH_DATA;
    guard->phase = guard->is_chunked || guard->length ? GUARD_BODY : GUARD_COMPLETE;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_chunk_size(struct http_guard *guard, const struct http_limits *limits,
                           struct str line)
{
    uint64_t size = 0;

    if (line.len == 0)
        return 400;
    for (size_t i = 0; i < line.len; i++) {
        int digit = hex_value(line.p[i]);

        if (digit < 0)
            return 400;
        size = size * 16 + (uint64_t)digit;
    }
    if (size > (uint64_t)limits->body_bytes ||
        guard->body_bytes + size > (uint64_t)limits->body_bytes)
        return 413;
    guard->body_bytes += size;
    guard->remaining = size;
    guard->step = size ? CHUNK_DATA : TRAILER;
    return 0;
}

static int take_line(struct http_guard *guard, const struct http_limits *limits, struct str line)
{
    switch ((enum step)guard->step) {
    case REQUEST_LINE:
        return take_request_line(guard, line);
    case HEADER_LINE:
        return line.len ? take_header(guard, line) : end_head(guard, limits);
    case CHUNK_SIZE:
        return take_chunk_size(guard, limits, line);
    case CHUNK_END:
        guard->step = CHUNK_SIZE;
        return line.len ? 400 : 0;
    case TRAILER:
        /* evhttp would add trailers to the headers: a second place to put an app_key. */
        guard->phase = GUARD_COMPLETE;
        return line.len ? 400 : 0;
    case LENGTH_DATA:
    case CHUNK_DATA:
        break;
    }
    return 400;
}

/* A line is taken where it lies when it lies there whole; else its parts are collected. Sets
 * *used. */
static int feed_line(struct http_guard *guard, const struct http_limits *limits, struct str bytes,
                     size_t *used)
{
    const char *end = memchr(bytes.p, '\n', bytes.len);
    struct str line = str_n(bytes.p, end ? (size_t)(end - bytes.p) + 1 : bytes.len);
    int status;

    *used = line.len;
    if (guard->phase == GUARD_HEAD) {
        guard->head_bytes += line.len;
        if (guard->head_bytes > (uint64_t)limits->header_bytes)
            return 431;
    } else if (guard->line.len + line.len > CHUNK_LINE_MAX) {
        return 400;
    }
    if (!end || guard->line.len) {
        buf_add_str(&guard->line, line);
        line = buf_str(&guard->line);
    }
    if (!end)
        return 0;
    if (line.len < 2 || line.p[line.len - 2] != '\r')
        return 400;
    status = take_line(guard, limits, str_n(line.p, line.len - 2));
    buf_reset(&guard->line);
    return status;
}

static size_t feed_data(struct http_guard *guard, size_t len)
{
    if (len > guard->remaining)
        len = (size_t)guard->remaining;
    guard->remaining -= len;
    if (guard->remaining == 0) {
        if (guard->step == CHUNK_DATA)
            guard->step = CHUNK_END;
        else
            guard->phase = GUARD_COMPLETE;
    }
    return len;
}

static bool is_in_data(const struct http_guard *guard)
{
    return guard->phase == GUARD_BODY && (guard->step == LENGTH_DATA || guard->step == CHUNK_DATA);
}

int http_guard_feed(struct http_guard *guard, const struct http_limits *limits, struct str bytes)
{
    int status = 0;

    while (bytes.len && !status && guard->phase != GUARD_COMPLETE) {
        size_t used;

        if (guard->phase == GUARD_IDLE)
            guard->phase = GUARD_HEAD;
        if (is_in_data(guard))
            used = feed_data(guard, bytes.len);
        else
            status = feed_line(guard, limits, bytes, &used);
        bytes.p += used;
        bytes.len -= used;
    }
    return status;
}

int http_guard_feed_buffer(struct http_guard *guard, const struct http_limits *limits,
                           struct evbuffer *buffer, size_t len)
{
    /* Body bytes are only counted: finding them in a long buffer would cost a walk over it. */
    while (len && guard->phase != GUARD_COMPLETE) {
        struct evbuffer_ptr start;
        struct evbuffer_iovec part;
        int status;

        if (is_in_data(guard)) {
            len -= feed_data(guard, len);
            continue;
        }
        evbuffer_ptr_set(buffer, &start, evbuffer_get_length(buffer) - len, EVBUFFER_PTR_SET);
        if (evbuffer_peek(buffer, (ev_ssize_t)len, &start, &part, 1) < 1)
            return 0;
        if (part.iov_len > len)
            part.iov_len = len;
        status = http_guard_feed(guard, limits, str_n(part.iov_base, part.iov_len));
        if (status)
            return status;
        len -= part.iov_len;
    }
    return 0;
}

#include "bench/http_scan.h"

#include <ctype.h>

struct head {
    struct http_message *message;
    uint64_t length;
    bool is_http10, keeps_alive, is_broken;
};

/* ---- lines ---- */

/* The next line without its end, and *rest set behind it. false: there is no whole line. */
static bool next_line(struct str *rest, struct str *line)
{
    const char *end = memchr(rest->p, '\n', rest->len);

    if (!end)
        return false;
    *line = str_n(rest->p, (size_t)(end - rest->p));
    if (line->len && line->p[line->len - 1] == '\r')
        line->len--;
    rest->len -= (size_t)(end + 1 - rest->p);
    rest->p = end + 1;
    return true;
}

static void take_field(struct head *head, struct str name, struct str value)
{
    struct http_message *message = head->message;

    if (str_eq_nocase(name, STR("content-length"))) {
        if (!str_to_u64(value, SCAN_BODY_MAX, &head->length))
            head->is_broken = true;
    } else if (str_eq_nocase(name, STR("x-notify-id"))) {
        message->notify_id = value;
    } else if (str_eq_nocase(name, STR("x-notify-attempt"))) {
        if (!str_to_u64(value, UINT32_MAX, &message->attempt))
            message->attempt = 0;
    } else if (str_eq_nocase(name, STR("x-notify-subscription"))) {
        message->subscription = value;
    } else if (str_eq_nocase(name, STR("connection"))) {
        message->closes = str_eq_nocase(value, STR("close"));
        head->keeps_alive = str_eq_nocase(value, STR("keep-alive"));
    } else if (str_eq_nocase(name, STR("transfer-encoding"))) {
        head->is_broken = true;
    }
}

static void take_line(struct head *head, struct str line)
{
    struct str value, name = str_split(line, ':', &value);

    /* Most fields are of no interest: their first letter tells. */
    if (!value.p)
        head->is_broken = true;
    else if (strchr("cCxXtT", name.p[0]))
        take_field(head, name, str_trim(value));
}

/* The fields behind the first line, and the body. */
static enum scan scan_rest(struct str input, struct str rest, struct head *head)
{
    struct http_message *message = head->message;
    struct str line;
    size_t head_bytes;

    for (;;) {
        if (!next_line(&rest, &line))
            return input.len > SCAN_HEAD_MAX ? SCAN_BROKEN : SCAN_MORE;
        if (line.len == 0)
            break;
        take_line(head, line);
    }
    head_bytes = (size_t)(rest.p - input.p);
    if (head->is_broken || head_bytes > SCAN_HEAD_MAX)
        return SCAN_BROKEN;
    if (head->is_http10 && !head->keeps_alive)
        message->closes = true;
    if (rest.len < head->length)
        return SCAN_MORE;
    message->body = str_n(rest.p, head->length);
    message->size_bytes = head_bytes + head->length;
    return SCAN_WHOLE;
}

/* The first line; SCAN_WHOLE when it is there. */
static enum scan first_line(struct str input, struct str *rest, struct str *line)
{
    *rest = input;
    if (!next_line(rest, line))
        return input.len > SCAN_HEAD_MAX ? SCAN_BROKEN : SCAN_MORE;
    return SCAN_WHOLE;
}

enum scan http_scan_request(struct str input, struct http_message *message)
{
    struct head head = {.message = message};
    struct str rest, line, version;
    enum scan first = first_line(input, &rest, &line);

    *message = (struct http_message){0};
    if (first != SCAN_WHOLE)
        return first;
    str_split(line, ' ', &version); /* the method is of no interest */
    if (!version.p)
        return SCAN_BROKEN;
    message->target = str_split(version, ' ', &version);
    head.is_http10 = str_eq(version, STR("HTTP/1.0"));
    if (!head.is_http10 && !str_eq(version, STR("HTTP/1.1")))
        return SCAN_BROKEN;
    return scan_rest(input, rest, &head);
}

enum scan http_scan_answer(struct str input, struct http_message *message)
{
    struct head head = {.message = message};
    struct str rest, line, after, version;
    uint64_t status;
    enum scan first = first_line(input, &rest, &line);

    *message = (struct http_message){0};
    if (first != SCAN_WHOLE)
        return first;
    version = str_split(line, ' ', &after);
    head.is_http10 = str_eq(version, STR("HTTP/1.0"));
    if (!head.is_http10 && !str_eq(version, STR("HTTP/1.1")))
        return SCAN_BROKEN;
    if (!str_to_u64(str_split(after, ' ', &after), 599, &status) || status < 100)
        return SCAN_BROKEN;
    message->status = (int)status;
    return scan_rest(input, rest, &head);
}

/* ---- bodies ---- */

bool http_find_number(struct str body, struct str member, uint64_t *number)
{
    const char *found = memmem(body.p, body.len, member.p, member.len);
    const char *end = body.p + body.len;
    struct str digits;

    if (!found)
        return false;
    digits = str_n(found + member.len, 0);
    while (digits.p + digits.len < end && isdigit((unsigned char)digits.p[digits.len]))
        digits.len++;
    return str_to_u64(digits, UINT64_MAX, number);
}

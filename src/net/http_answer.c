#include "net/http_answer.h"

#include "base/clock.h"
#include "base/str.h"

#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>

#define MAX_SECONDS (INT64_C(366) * 24 * 3600)

int64_t http_retry_after_ms(const char *value)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* the one that is sent */
        "%A, %d-%b-%y %H:%M:%S GMT", /* older ones that must be read */
        "%a %b %e %H:%M:%S %Y",
    };
    struct str text = str_trim(str_of(value));
    uint64_t seconds;

    if (str_to_u64(text, MAX_SECONDS, &seconds))
        return (int64_t)seconds * 1000;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm date = {0};
        const char *end = strptime(text.p, forms[i], &date);

        if (end == text.p + text.len) {
            int64_t wait_ms = (int64_t)timegm(&date) * 1000 - clock_now_ms();

            return wait_ms > 0 ? wait_ms : 0;
        }
    }
    return -1;
}

static bool has_token(const char *list, struct str token)
{
    struct str rest = str_of(list);

    while (rest.p)
        if (str_eq_nocase(str_trim(str_split(rest, ',', &rest)), token))
            return true;
    return false;
}

struct framing {
    unsigned lengths, encodings;
    bool is_chunked, says_close, says_keep_alive;
};

static void read_header(const struct evkeyval *header, struct http_answer *answer,
                        struct framing *framing)
{
    switch (header->key[0] | 0x20) { /* most headers are none of these */
    case 'c':
        if (strcasecmp(header->key, "Content-Length") == 0) {
            uint64_t length;

            framing->lengths++;
            if (str_to_u64(str_of(header->value), INT64_MAX, &length))
                answer->content_length = (int64_t)length;
        } else if (strcasecmp(header->key, "Connection") == 0) {
            framing->says_close |= has_token(header->value, STR("close"));
            framing->says_keep_alive |= has_token(header->value, STR("keep-alive"));
        }
        break;
    case 't':
        if (strcasecmp(header->key, "Transfer-Encoding") == 0) {
            framing->encodings++;
            framing->is_chunked = strcasecmp(header->value, "chunked") == 0;
        }
        break;
    case 'l':
        if (strcasecmp(header->key, "Location") == 0)
            answer->location = header->value;
        break;
    case 'r':
        if (strcasecmp(header->key, "Retry-After") == 0)
            answer->retry_after_ms = http_retry_after_ms(header->value);
        break;
    }
}

static bool has_certain_end(const struct http_answer *answer, const struct framing *framing)
{
    if (answer->status == 204 || answer->status == 304)
        return true;
    if (framing->encodings > 0)
        return framing->encodings == 1 && framing->is_chunked && framing->lengths == 0;
    return framing->lengths == 1 && answer->content_length >= 0;
}

void http_answer_read(struct evhttp_request *request, struct http_answer *answer)
{
    struct framing framing = {0};
    const struct evkeyval *header;

    *answer = (struct http_answer){.content_length = -1, .retry_after_ms = -1};
    if (request->major != 1 || request->response_code < 100 || request->response_code > 999 ||
        request->response_code == 101)
        return;
    answer->status = request->response_code;
    answer->is_interim = answer->status < 200;
    TAILQ_FOREACH (header, request->input_headers, next)
        read_header(header, answer, &framing);
    if (answer->status == 204 || answer->status == 304)
        answer->content_length = 0;
    else if (framing.encodings > 0)
        answer->content_length = -1;
    answer->may_be_reused = has_certain_end(answer, &framing) && !framing.says_close &&
                            (request->minor >= 1 || framing.says_keep_alive);
}

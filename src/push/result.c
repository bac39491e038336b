#include "push/result.h"

#include "base/setting.h"
#include "base/url.h"
#include <stdio.h>

#define MAX_REFUSED_PAUSES 8

/* "5xx", or a status of these. */
static bool is_status_item(struct str item, int *status)
{
    uint64_t number;

    *status = 0;
    if (str_eq_nocase(item, STR("5xx")))
        return true;
    if (!str_to_u64(item, 599, &number) || number < 500)
        return false;
    *status = (int)number;
    return true;
}

const char *result_check_statuses(const char *list)
{
    struct str rest = str_of(list);
    int unused;

    do {
        if (!is_status_item(str_trim(str_split(rest, ',', &rest)), &unused))
            return "a list of statuses from 500 to 599, or 5xx for all of them";
    } while (rest.p);
    return NULL;
}

static bool is_in_statuses(const char *list, int wanted)
{
    struct str rest = str_of(list);
    int status;

    while (rest.p) {
        if (is_status_item(str_trim(str_split(rest, ',', &rest)), &status) &&
            (status == 0 || status == wanted))
            return true;
    }
    return false;
}

enum result_class result_classify(const struct http_result *result,
                                  const struct push_settings *settings)
{
    int status = result->status;

    if (result->outcome != HTTP_ANSWERED)
        return RESULT_FAIL;
    if (status == 200 || (status > 200 && status < 300 && !settings->strict200))
        return RESULT_OK;
    if (status == 429 || (status == 503 && result->retry_after_ms >= 0))
        return RESULT_THROTTLE;
    if (status >= 500)
        return status >= 600 || is_in_statuses(settings->fail_statuses, status) ? RESULT_FAIL
                                                                               : RESULT_REFUSED;
    if (status == 408 || status == 425)
        return RESULT_SOFT;
    return RESULT_REFUSED;
}

const char *result_class_name(enum result_class class)
{
    static const char *const names[] = {"ok", "fail", "throttle", "soft", "refused"};

    return names[class];
}

static bool is_graphic(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    }
    return true;
}

/* "https://user:password@host/path?query" is "https://host/path". */
static struct str without_secrets(struct str location, struct str *scheme)
{
    struct str shown = url_without_query(location);
    const char *slashes = shown.len ? memmem(shown.p, shown.len, "//", 2) : NULL;
    const char *at, *path;

    *scheme = slashes ? str_n(shown.p, (size_t)(slashes - shown.p) + 2) : STR("");
    shown = str_n(shown.p + scheme->len, shown.len - scheme->len);
    path = memchr(shown.p, '/', shown.len);
    at = slashes ? memrchr(shown.p, '@', path ? (size_t)(path - shown.p) : shown.len) : NULL;
    return at ? str_n(at + 1, shown.len - (size_t)(at + 1 - shown.p)) : shown;
}

static void write_status(const struct http_result *result, char text[RESULT_TEXT_SIZE])
{
    bool is_redirect = result->status >= 300 && result->status < 400;
    struct str location = str_of(result->location ? result->location : "");
    struct str scheme, rest;

    if (!is_redirect || !location.len || !is_graphic(location)) {
        snprintf(text, RESULT_TEXT_SIZE, "status %d", result->status);
        return;
    }
    rest = without_secrets(location, &scheme);
    snprintf(text, RESULT_TEXT_SIZE, "status %d to %.*s%.*s", result->status, STR_ARG(scheme),
             STR_ARG(rest));
}

void result_write(const struct http_result *result, char text[RESULT_TEXT_SIZE])
{
    if (result->outcome == HTTP_ANSWERED)
        write_status(result, text);
    else
        snprintf(text, RESULT_TEXT_SIZE, "%s", result->reason ? result->reason : "no answer");
}

bool result_counts(enum result_class class, const struct http_result *result)
{
    return class == RESULT_FAIL || (class == RESULT_THROTTLE && result->status == 503);
}

int64_t result_throttle_ms(const struct http_result *result, const struct push_settings *settings)
{
    int64_t pause_ms = result->retry_after_ms;

    if (pause_ms < 0)
        return settings->retry_after_default_ms;
    if (pause_ms < 1000)
        return 1000;
    return pause_ms > settings->retry_after_max_ms ? settings->retry_after_max_ms : pause_ms;
}

int64_t result_retry_pause_ms(const struct push_settings *settings, unsigned attempt,
                              double random)
{
    int64_t pause_ms = settings->retry_first_ms;

    for (unsigned i = 1; i < attempt && pause_ms < settings->retry_max_ms; i++)
        pause_ms *= 2;
    if (pause_ms > settings->retry_max_ms)
        pause_ms = settings->retry_max_ms;
    return (int64_t)((double)pause_ms * (0.8 + 0.4 * random));
}

int64_t result_refused_pause_ms(const struct push_settings *settings, unsigned refusals)
{
    int64_t pauses_ms[MAX_REFUSED_PAUSES];
    int count = setting_parse_times(settings->refused_pauses, pauses_ms, MAX_REFUSED_PAUSES);

    return refusals >= 1 && (int)refusals <= count ? pauses_ms[refusals - 1] : -1;
}

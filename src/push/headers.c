#include "push/headers.h"

#include "base/clock.h"
#include <string.h>

/* Ids are short: key names bound them. */
static char *put(char *out, struct str s)
{
    memcpy(out, s.p, s.len);
    return out + s.len;
}

static char *put_number(char *out, unsigned number)
{
    struct decimal decimal;

    return put(out, decimal_str(&decimal, number));
}

void notify_id_write(const struct delivery *delivery, char out[NOTIFY_ID_SIZE])
{
    out = put_number(out, delivery->event->stream->partition->number);
    *out++ = '-';
    out = put(out, delivery->event->origin_id);
    if (delivery->part) {
        *out++ = '.';
        out = put_number(out, delivery->part);
    }
    *out++ = '-';
    out = put(out, delivery->lane->subscription_id);
    *out = '\0';
}

static void add(struct attempt_headers *headers, const char *name, const char *value)
{
    headers->list[headers->count++] = (struct http_header){name, value};
}

static void add_signature(struct attempt_headers *headers, const struct delivery *delivery,
                          struct str timestamp, int64_t now_ms)
{
    const struct signing_keys *keys = &delivery->lane->app->subscriptions->signing_keys;
    struct str body = str_n(delivery->body->text, delivery->body->len);

    if (signing_keys_sign(keys, str_of(headers->id), timestamp, body, now_ms, headers->signature)
            .len)
        add(headers, "X-Notify-Signature", headers->signature);
}

void attempt_headers_write(struct attempt_headers *headers, const struct delivery *delivery)
{
    const struct lane *lane = delivery->lane;
    const struct push_settings *settings = lane->push->settings;
    int64_t now_ms = clock_now_ms();
    struct str timestamp = decimal_str(&headers->timestamp, now_ms / 1000);

    headers->count = 0;
    if (settings->sends_id) {
        notify_id_write(delivery, headers->id);
        add(headers, "X-Notify-Id", headers->id);
    }
    add(headers, "X-Notify-Attempt", decimal_str(&headers->attempt, delivery->attempts).p);
    add(headers, "X-Notify-Subscription", lane->subscription_id.p);
    add(headers, "X-Notify-Timestamp", timestamp.p);
    if (settings->sends_id && settings->signs) /* the id is part of what is signed */
        add_signature(headers, delivery, timestamp, now_ms);
}

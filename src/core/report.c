#include "core/report.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "core/event.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define SERVICE_ID_MAX 256
#define DEVICE_APP_LIFE_MS 3600000
/* Each service of a report is a notification of its own to some subscribers. */
#define SERVICES_MAX 1000

struct report {
    struct core *core;
    struct arena *arena;
    struct str device_id, token_digest, gateway_id;
    const char *kind;
    struct str payload;
    struct device_fields shadow; /* fields of the shadow: name and value */
    bool is_kept;                /* in the history */
    bool was_asleep;
    device_done_cb cb;
    void *arg;
};

static void send_report(struct report *report);

/* ---- storing ---- */

static enum error denied(const struct report *report)
{
    return report->token_digest.len ? ERR_TOKEN_INVALID : ERR_CHILD_UNKNOWN;
}

static void woken(enum error error, void *arg)
{
    struct report *report = arg;

    if (error == ERR_INTERNAL)
        report->cb(error, report->arg);
    else if (error)
        report->cb(denied(report), report->arg);
    else
        send_report(report);
}

/* The limit per application needs to know whose device it is before Redis is asked: it is learned
 * with the device's login, or with its first report here. */
void report_remember_app(struct core *core, struct str device_id, struct str app_id)
{
    if (core->settings->app_report_limit > 0 && !cache_get(core->device_apps, device_id))
        cache_put(core->device_apps, device_id, str_dup(app_id), DEVICE_APP_LIFE_MS);
}

enum error report_check_rate(struct core *core, struct str device_id)
{
    const char *app_id;

    if (!rate_allows(core->device_rate, device_id))
        return ERR_THROTTLED;
    if (core->settings->app_report_limit == 0)
        return ERR_OK;
    app_id = cache_get(core->device_apps, device_id);
    return app_id && !rate_allows(core->app_report_rate, str_of(app_id)) ? ERR_APP_REPORT_RATE
                                                                         : ERR_OK;
}

static void reported(enum redis_status status, const redisReply *reply, void *arg)
{
    struct report *report = arg;

    if (status != REDIS_DONE) {
        report->cb(ERR_INTERNAL, report->arg);
    } else if (reply->type == REDIS_REPLY_STRING) {
        report_remember_app(report->core, report->device_id, redis_reply_str(reply));
        report->cb(ERR_OK, report->arg);
    } else if (redis_reply_is(reply, "ASLEEP") && !report->was_asleep) {
        report->was_asleep = true;
        device_seen(report->core, report->device_id, woken, report);
    } else if (redis_reply_is(reply, "DENIED")) {
        report->cb(denied(report), report->arg);
    } else {
        report->cb(redis_reply_is(reply, "FULL") ? ERR_BAD_REQUEST : ERR_INTERNAL, report->arg);
    }
}

static void send_report(struct report *report)
{
    struct core *core = report->core;
    uint32_t partition = partition_of(core, report->device_id);
    size_t count = 10 + report->shadow.count * 2, n = 10;
    struct str *args = arena_alloc(report->arena, count * sizeof(*args));
    struct key device, shadow, events, history;
    struct decimal now, most, entries, bytes, age;
    struct str keys[] = {key_device(&device, partition, report->device_id),
                         key_shadow(&shadow, partition, report->device_id),
                         key_events(&events, partition),
                         key_history(&history, partition, report->device_id)};

    args[0] = report->token_digest;
    args[1] = report->gateway_id;
    args[2] = decimal_str(&now, clock_now_ms());
    args[3] = decimal_str(&most, core->settings->shadow_properties);
    args[4] = str_of(report->kind);
    args[5] = report->device_id;
    args[6] = report->payload;
    args[7] = decimal_str(&entries, report->is_kept ? core->settings->history_entries : 0);
    args[8] = decimal_str(&bytes, core->settings->history_bytes);
    args[9] = decimal_str(&age, core->settings->history_age_ms);
    for (size_t i = 0; i < report->shadow.count; i++) {
        args[n++] = report->shadow.list[i].name;
        args[n++] = report->shadow.list[i].value;
    }
    redis_script(core->redis, &script_report, 4, keys, count, args, reported, report);
}

static struct str digest_of(struct arena *arena, struct str token)
{
    char *digest = arena_alloc(arena, CRYPTO_SHA256_HEX_SIZE);

    if (!token.p)
        return STR("");
    crypto_sha256_hex(token, digest);
    return str_of(digest);
}

static struct report *report_new(struct core *core, struct arena *arena, struct str device_id,
                                 const struct report_source *source, device_done_cb cb, void *arg)
{
    struct report *report = arena_zalloc(arena, sizeof(*report));

    report->core = core;
    report->arena = arena;
    report->device_id = device_id;
    report->token_digest = digest_of(arena, source->token);
    report->gateway_id = source->gateway_id.p ? source->gateway_id : STR("");
    report->cb = cb;
    report->arg = arg;
    return report;
}

/* ---- properties ---- */

/* '/' separates service and property in the shadow's field names, so a service cannot have it. */
static bool service_is_valid(const struct json *service)
{
    struct str id = json_get_str(service, "service_id");
    const struct json *properties = json_get(service, "properties");

    return id.p && id.len >= 1 && id.len <= SERVICE_ID_MAX && str_is_printable(id) &&
           !memchr(id.p, '/', id.len) && properties && properties->type == JSON_OBJECT;
}

bool report_services_are_valid(const struct json *services)
{
    if (!services || services->type != JSON_ARRAY || services->count == 0 ||
        services->count > SERVICES_MAX)
        return false;
    JSON_FOREACH (service, services) {
        if (!service_is_valid(service))
            return false;
    }
    return true;
}

/* A missing or malformed event_time is not an error: the time of arrival counts. */
static int64_t event_time(const struct json *service, int64_t now_ms)
{
    int64_t time_ms;

    return clock_parse(json_get_str(service, "event_time"), &time_ms) ? time_ms : now_ms;
}

static void add_to_shadow(struct report *report, struct json_writer *w, struct str service_id,
                          const struct json *properties, int64_t time_ms)
{
    struct decimal *time = arena_alloc(report->arena, sizeof(*time));

    JSON_FOREACH (property, properties) {
        json_writer_reset(w);
        json_value(w, property);
        device_fields_add(report->arena, &report->shadow,
                          arena_printf(report->arena, "r/%.*s/%.*s", STR_ARG(service_id),
                                       STR_ARG(property->key)),
                          arena_str(report->arena, json_writer_text(w)));
    }
    device_fields_add(report->arena, &report->shadow,
                      arena_printf(report->arena, "rt/%.*s", STR_ARG(service_id)),
                      decimal_str(time, time_ms));
}

static void read_services(struct report *report, const struct json *services)
{
    struct json_writer *event = json_writer_new(), *value = json_writer_new();
    int64_t now_ms = clock_now_ms();

    json_object(event);
    json_key(event, "services");
    json_array(event);
    JSON_FOREACH (service, services) {
        struct str id = json_get_str(service, "service_id");
        const struct json *properties = json_get(service, "properties");
        int64_t time_ms = event_time(service, now_ms);

        json_object(event);
        json_member_str(event, "id", id);
        json_key(event, "data");
        json_value(event, properties);
        json_member_i64(event, "time", time_ms);
        json_object_end(event);
        add_to_shadow(report, value, id, properties, time_ms);
    }
    json_array_end(event);
    json_object_end(event);
    report->payload = arena_str(report->arena, json_writer_text(event));
    json_writer_free(event);
    json_writer_free(value);
}

struct refusal {
    enum error error;
    device_done_cb cb;
    void *arg;
};

static void refuse_now(evutil_socket_t fd, short what, void *arg)
{
    struct refusal *refusal = arg;

    (void)fd;
    (void)what;
    refusal->cb(refusal->error, refusal->arg);
}

static void refuse(struct core *core, struct arena *arena, enum error error, device_done_cb cb,
                   void *arg)
{
    struct refusal *refusal = arena_alloc(arena, sizeof(*refusal));

    *refusal = (struct refusal){error, cb, arg};
    event_base_once(core->base, -1, EV_TIMEOUT, refuse_now, refusal, NULL);
}

void report_properties(struct core *core, struct arena *arena, struct str device_id,
                       const struct report_source *source, const struct json *services,
                       device_done_cb cb, void *arg)
{
    struct report *report;

    if (!report_services_are_valid(services)) {
        refuse(core, arena, ERR_BAD_REQUEST, cb, arg);
        return;
    }
    report = report_new(core, arena, device_id, source, cb, arg);
    report->kind = event_kind_name(EVENT_PROPERTY_REPORTED);
    report->is_kept = true;
    read_services(report, services);
    send_report(report);
}

/* ---- messages ---- */

void report_message(struct core *core, struct arena *arena, struct str device_id,
                    const struct report_source *source, struct str body, device_done_cb cb,
                    void *arg)
{
    struct report *report = report_new(core, arena, device_id, source, cb, arg);
    struct json_writer *w = json_writer_new();

    json_object(w);
    if (str_is_utf8(body)) {
        json_member_str(w, "content", body);
    } else {
        char *base64 = crypto_base64(body.p, body.len);

        json_member_text(w, "base64", base64);
        free(base64);
    }
    json_object_end(w);
    report->kind = event_kind_name(EVENT_MESSAGE_REPORTED);
    report->payload = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
    send_report(report);
}

/* ---- checks without storing ---- */

struct check {
    struct core *core;
    struct str digest, gateway_id;
    size_t waiting;
    enum error error;
    device_done_cb cb;
    void *arg;
};

static bool token_is(const struct check *check, struct str digest, struct str end)
{
    uint64_t end_ms;

    return digest.p && crypto_equal(digest, check->digest) &&
           str_to_u64(end, INT64_MAX, &end_ms) && clock_now_ms() < (int64_t)end_ms;
}

static void token_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct check *check = arg;
    struct str field[5];

    if (status != REDIS_DONE) {
        check->cb(ERR_INTERNAL, check->arg);
        return;
    }
    for (size_t i = 0; i < 5; i++)
        field[i] = redis_reply_str(redis_reply_at(reply, i));
    check->cb(!str_eq(field[4], STR("TRUE")) && (token_is(check, field[0], field[1]) ||
                                                 token_is(check, field[2], field[3]))
                  ? ERR_OK
                  : ERR_TOKEN_INVALID,
              check->arg);
}

void report_check_token(struct core *core, struct arena *arena, struct str device_id,
                        struct str token, device_done_cb cb, void *arg)
{
    struct check *check = arena_zalloc(arena, sizeof(*check));
    struct key key;

    check->digest = digest_of(arena, token);
    check->cb = cb;
    check->arg = arg;
    redis_command(core->redis, 7,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("token"), STR("tokenEnd"), STR("oldToken"),
                                 STR("oldTokenEnd"), STR("mute")},
                  token_read, check);
}

static void child_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct check *check = arg;
    struct str gateway = redis_reply_str(redis_reply_at(reply, 0));

    if (status != REDIS_DONE)
        check->error = ERR_INTERNAL;
    else if (!check->error && (!gateway.p || !str_eq(gateway, check->gateway_id) ||
                               str_eq(redis_reply_str(redis_reply_at(reply, 1)), STR("TRUE"))))
        check->error = ERR_CHILD_UNKNOWN;
    if (--check->waiting == 0)
        check->cb(check->error, check->arg);
}

void report_check_children(struct core *core, struct arena *arena, struct str gateway_id,
                           const struct str *ids, size_t count, device_done_cb cb, void *arg)
{
    struct check *check = arena_zalloc(arena, sizeof(*check));

    check->gateway_id = gateway_id;
    check->waiting = count;
    check->cb = cb;
    check->arg = arg;
    for (size_t i = 0; i < count; i++) {
        struct str id = str_is_id(ids[i], KEY_ID_MAX) ? ids[i] : STR("-");
        struct key key;

        redis_command(core->redis, 4,
                      (struct str[]){STR("HMGET"), key_device(&key, partition_of(core, id), id),
                                     STR("gateway"), STR("mute")},
                      child_read, check);
    }
}

#include "core/data/report.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "core/data/report_body.h"
#include "core/data/shadow.h"
#include "core/device/facts.h"
#include "core/event.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

/* How often a report is checked again because its device had got another model meanwhile. */
#define TRIES_MAX 3
#define UNCHECKED      STR("*")
#define REQUEST_ID_MAX 128 /* characters of a notification's */

struct report {
    struct core *core;
    struct arena *arena;
    struct str request_id; /* "": none */
    struct str device_id, proof, gateway_id; /* proof: digest of a token, or "@" and a session */
    const char *kind;
    const struct json *services; /* of properties; NULL: a message */
    struct str reference;        /* of the model that they were checked against, or UNCHECKED */
    struct report_body body;
    bool is_kept; /* in the history */
    bool was_asleep;
    int tries;
    device_done_cb cb;
    void *arg;
};

static void send_report(struct report *report);
static void take_facts(enum error error, const struct device_facts *facts, void *arg);

/* ---- storing ---- */

static enum error denied(const struct report *report)
{
    return report->proof.len ? ERR_TOKEN_INVALID : ERR_CHILD_UNKNOWN;
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

enum error report_check_rate(struct core *core, struct str device_id)
{
    return rate_allows(core->device_rate, device_id) ? report_check_rate_of_app(core, device_id)
                                                     : ERR_THROTTLED;
}

enum error report_check_rate_of_app(struct core *core, struct str device_id)
{
    const struct device_facts *facts;

    if (core->settings->app_report_limit == 0)
        return ERR_OK;
    facts = device_facts_cached(core, device_id);
    return facts && !rate_allows(core->app_report_rate, facts->model.app_id) ? ERR_APP_REPORT_RATE
                                                                             : ERR_OK;
}

/* A report is an occasion, as the connection is. */
static void offer_what_waits(const struct report *report, const redisReply *reply)
{
    struct str holder_id = redis_reply_str(redis_reply_at(reply, 3));

    if (redis_reply_is(redis_reply_at(reply, 2), "1"))
        shadow_offer(report->core, report->device_id, redis_reply_str(redis_reply_at(reply, 1)));
    if (holder_id.len)
        session_tell(report->core, holder_id, report->device_id);
}

static void reported(enum redis_status status, const redisReply *reply, void *arg)
{
    struct report *report = arg;

    if (status != REDIS_DONE) {
        report->cb(ERR_INTERNAL, report->arg);
    } else if (reply->type == REDIS_REPLY_STRING) {
        report_body_count(&report->body);
        report->cb(ERR_OK, report->arg);
    } else if (redis_reply_is(redis_reply_at(reply, 0), "PENDING")) {
        report_body_count(&report->body);
        offer_what_waits(report, reply);
        report->cb(ERR_OK, report->arg);
    } else if (redis_reply_is(redis_reply_at(reply, 0), "MODEL") && report->tries < TRIES_MAX) {
        take_facts(ERR_OK, device_facts_take(report->core, report->device_id, reply, 1), report);
    } else if (redis_reply_is(reply, "ASLEEP") && !report->was_asleep) {
        report->was_asleep = true;
        device_seen(report->core, report->device_id, woken, report);
    } else if (redis_reply_is(reply, "DENIED")) {
        report->cb(denied(report), report->arg);
    } else {
        report->cb(redis_reply_is(reply, "FULL") ? ERR_BAD_REQUEST : ERR_INTERNAL, report->arg);
    }
}

/* So many reports like this one fit the limit of bytes. */
static int64_t history_entries(const struct report *report)
{
    const struct core_settings *settings = report->core->settings;
    int64_t size = (int64_t)report->body.payload.len;
    int64_t fitting = size > 0 ? (settings->history_bytes + size - 1) / size : 0;

    if (!report->is_kept)
        return 0;
    return fitting < settings->history_entries ? fitting : settings->history_entries;
}

static void send_report(struct report *report)
{
    struct core *core = report->core;
    uint32_t partition = partition_of(core, report->device_id);
    const struct device_fields *fields = &report->body.shadow;
    size_t count = 11 + fields->count * 2, n = 11;
    struct str *args = arena_alloc(report->arena, count * sizeof(*args));
    struct key device, shadow, events, history, desired;
    struct decimal now, most, entries, lag, age;
    struct str keys[] = {key_device(&device, partition, report->device_id),
                         key_shadow(&shadow, partition, report->device_id),
                         key_events(&events, partition),
                         key_history(&history, partition, report->device_id),
                         key_desired(&desired, partition, report->device_id)};

    args[0] = report->proof;
    args[1] = report->gateway_id;
    args[2] = decimal_str(&now, clock_now_ms());
    args[3] = decimal_str(&most, core->settings->shadow_properties);
    args[4] = str_of(report->kind);
    args[5] = report->device_id;
    args[6] = report->body.payload;
    args[7] = decimal_str(&entries, history_entries(report));
    args[8] = decimal_str(&lag, device_seen_lag_ms(core));
    args[9] = decimal_str(&age, core->settings->history_age_ms);
    args[10] = report->reference;
    for (size_t i = 0; i < fields->count; i++) {
        args[n++] = fields->list[i].name;
        args[n++] = fields->list[i].value;
    }
    redis_script(core->redis, &script_report, 5, keys, count, args, reported, report);
}

static struct str digest_of(struct arena *arena, struct str token)
{
    char *digest = arena_alloc(arena, CRYPTO_SHA256_HEX_SIZE);

    if (!token.p)
        return STR("");
    crypto_sha256_hex(token, digest);
    return str_of(digest);
}

static struct str quoted(struct str request_id)
{
    return request_id.len <= REQUEST_ID_MAX && str_is_printable(request_id) ? request_id : STR("");
}

static struct report *report_new(struct core *core, struct arena *arena, struct str device_id,
                                 const struct report_source *source, device_done_cb cb, void *arg)
{
    struct report *report = arena_zalloc(arena, sizeof(*report));

    report->core = core;
    report->arena = arena;
    report->device_id = device_id;
    report->proof = source->session_id.p
                        ? str_of(arena_printf(arena, "@%.*s", STR_ARG(source->session_id)))
                        : digest_of(arena, source->token);
    report->gateway_id = source->gateway_id.p ? source->gateway_id : STR("");
    report->request_id = quoted(source->request_id);
    report->cb = cb;
    report->arg = arg;
    return report;
}

/* ---- properties ---- */

/* The facts say what the model is, the script whether they are right. */
static void send_checked(struct report *report, struct str reference, const struct model *model)
{
    report->tries++;
    report->reference = arena_str(report->arena, reference);
    report_body_make(report->arena, report->services, report->request_id, model,
                     report->core->settings->model_enforces_enum, &report->body);
    send_report(report);
}

static void take_model(enum error error, struct model *model, void *arg)
{
    struct report *report = arg;

    if (error)
        report->cb(error, report->arg);
    else
        send_checked(report, report->reference, model);
}

/* The facts may leave the cache meanwhile. */
static void ask_for_model(struct report *report, const struct device_facts *facts)
{
    struct arena *arena = report->arena;
    const struct model_reference reference = {
        .app_id = arena_str(arena, facts->model.app_id),
        .manufacturer_id = arena_str(arena, facts->model.manufacturer_id),
        .name = arena_str(arena, facts->model.name),
        .device_type = arena_str(arena, facts->model.device_type),
        .protocol_type = arena_str(arena, facts->model.protocol_type),
    };

    report->reference = arena_str(arena, facts->reference);
    model_match(report->core, arena, &reference, take_model, report);
}

static void take_facts(enum error error, const struct device_facts *facts, void *arg)
{
    struct report *report = arg;
    struct model *model;

    if (error || !facts)
        report->cb(error ? error : denied(report), report->arg);
    else if (model_match_cached(report->core, &facts->model, &model))
        send_checked(report, facts->reference, model);
    else
        ask_for_model(report, facts);
}

static void learn(struct report *report, const struct device_facts *facts)
{
    if (facts)
        ask_for_model(report, facts);
    else
        device_facts_read(report->core, report->arena, report->device_id, take_facts, report);
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
    const struct device_facts *facts;
    struct report *report;
    struct model *model;

    if (!report_services_are_valid(services)) {
        refuse(core, arena, ERR_BAD_REQUEST, cb, arg);
        return;
    }
    report = report_new(core, arena, device_id, source, cb, arg);
    report->kind = event_kind_name(EVENT_PROPERTY_REPORTED);
    report->services = services;
    report->is_kept = true;
    facts = device_facts_cached(core, device_id);
    if (facts && model_match_cached(core, &facts->model, &model))
        send_checked(report, facts->reference, model);
    else
        learn(report, facts);
}

/* ---- messages ---- */

/* The limit per application needs to know whose device it is; who has no such device is told by the
 * script. */
static void send_message(enum error error, const struct device_facts *facts, void *arg)
{
    struct report *report = arg;

    (void)facts;
    if (error)
        report->cb(error, report->arg);
    else
        send_report(report);
}

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
    report->body.payload = arena_str(arena, json_writer_text(w));
    report->reference = UNCHECKED;
    json_writer_free(w);
    if (core->settings->app_report_limit > 0 && !device_facts_cached(core, device_id))
        device_facts_read(core, arena, device_id, send_message, report);
    else
        send_report(report);
}

/* ---- checks without storing ---- */

struct check {
    struct core *core;
    struct str digest, session_id, gateway_id;
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

static void session_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct check *check = arg;
    bool is_current = str_eq(redis_reply_str(redis_reply_at(reply, 0)), check->session_id) &&
                      !redis_reply_is(redis_reply_at(reply, 1), "TRUE");

    check->cb(status != REDIS_DONE ? ERR_INTERNAL : is_current ? ERR_OK : ERR_TOKEN_INVALID,
              check->arg);
}

void report_check_session(struct core *core, struct arena *arena, struct str device_id,
                          struct str session_id, device_done_cb cb, void *arg)
{
    struct check *check = arena_zalloc(arena, sizeof(*check));
    struct key key;

    check->session_id = session_id;
    check->cb = cb;
    check->arg = arg;
    redis_command(core->redis, 4,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("session"), STR("mute")},
                  session_read, check);
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

#include "core/app/certificate.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMAT 1

/* ---- host and port ---- */

void certificate_endpoint_of_url(const struct url *url, char out[CERTIFICATE_ENDPOINT_SIZE])
{
    char host[256];
    struct in6_addr address;

    snprintf(host, sizeof(host), "%.*s", STR_ARG(url->host));
    for (char *c = host; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (url->host_is_ipv6 && inet_pton(AF_INET6, host, &address) == 1)
        inet_ntop(AF_INET6, &address, host, sizeof(host));
    snprintf(out, CERTIFICATE_ENDPOINT_SIZE, url->host_is_ipv6 ? "[%s]:%u" : "%s:%u", host,
             (unsigned)url->port);
}

bool certificate_endpoint(struct str text, char out[CERTIFICATE_ENDPOINT_SIZE])
{
    char *as_url = xasprintf("https://%.*s/", STR_ARG(text));
    struct url url;
    bool is_good = text.len < CERTIFICATE_ENDPOINT_SIZE && url_parse(str_of(as_url), &url) &&
                   url.has_port && str_eq(url.authority, text);

    if (is_good)
        certificate_endpoint_of_url(&url, out);
    free(as_url);
    return is_good;
}

/* ---- the stored form ---- */

static void write_rules(struct json_writer *w, const struct certificate_entry *entry)
{
    json_member_bool(w, "checkCn", entry->checks_cn);
    json_member_str(w, "cn", entry->cn);
    json_member_bool(w, "sni", entry->sends_sni);
    json_member_bool(w, "nameCheck", entry->checks_name);
    json_member_bool(w, "platformCertificate", entry->shows_platform_certificate);
    json_member_bool(w, "ignoreAnchorExpiry", entry->ignores_anchor_expiry);
}

static struct str version_of(struct arena *arena, const struct certificate_entry *entry)
{
    struct json_writer *w = json_writer_new();
    char digest[CRYPTO_SHA256_HEX_SIZE];
    const char *all;

    json_object(w);
    write_rules(w, entry);
    json_object_end(w);
    all = arena_printf(arena, "%.*s\n%.*s", STR_ARG(json_writer_text(w)), STR_ARG(entry->pem));
    json_writer_free(w);
    crypto_sha256_hex(str_of(all), digest);
    return arena_str(arena, str_n(digest, CERTIFICATE_VERSION_SIZE - 1));
}

static struct str stored_form(struct arena *arena, const struct certificate_entry *entry)
{
    struct json_writer *w = json_writer_new();
    const char *text;

    json_object(w);
    json_member_i64(w, "format", FORMAT);
    write_rules(w, entry);
    json_member_i64(w, "count", entry->count);
    json_member_i64(w, "expires", entry->expires_ms);
    json_member_i64(w, "created", entry->created_ms);
    json_object_end(w);
    text = arena_printf(arena, "%.*s\n%.*s\n%.*s", STR_ARG(entry->version),
                        STR_ARG(json_writer_text(w)), STR_ARG(entry->pem));
    json_writer_free(w);
    return str_of(text);
}

static bool get_bool(const struct json *facts, const char *key)
{
    const struct json *value = json_get(facts, key);

    return value && value->type == JSON_BOOL && value->boolean;
}

/* What is not readable, or of a later format, is no entry: better no push than one that was checked
 * by other rules than its owner gave. */
static bool entry_from(struct arena *arena, struct str endpoint, struct str text,
                       struct certificate_entry *entry)
{
    struct str rest;
    struct str version = str_split(text, '\n', &rest);
    const struct json *facts = json_parse(arena, str_split(rest, '\n', &rest), NULL);
    int64_t format = 0;

    json_get_i64(facts, "format", &format);
    *entry = (struct certificate_entry){
        .endpoint = endpoint,
        .version = version,
        .pem = rest,
        .cn = json_get_str(facts, "cn"),
        .checks_cn = get_bool(facts, "checkCn"),
        .sends_sni = get_bool(facts, "sni"),
        .checks_name = get_bool(facts, "nameCheck"),
        .shows_platform_certificate = get_bool(facts, "platformCertificate"),
        .ignores_anchor_expiry = get_bool(facts, "ignoreAnchorExpiry"),
    };
    if (format != FORMAT || !json_get_i64(facts, "count", &entry->count) ||
        !json_get_i64(facts, "expires", &entry->expires_ms) ||
        !json_get_i64(facts, "created", &entry->created_ms)) {
        log_error("certificate", "endpoint=%.*s state=unreadable", STR_ARG(endpoint));
        return false;
    }
    return true;
}

/* ---- changing ---- */

struct change {
    certificate_cb cb;
    void *arg;
};

static struct change *change_new(certificate_cb cb, void *arg)
{
    struct change *change = xmalloc(sizeof(*change));

    *change = (struct change){cb, arg};
    return change;
}

static struct str app_or_none(struct str app_id)
{
    return str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-"); /* no application has this id */
}

static void stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;
    enum error error = core_error_of(status);

    if (!error && !redis_reply_is(reply, "OK"))
        error = redis_reply_is(reply, "FULL") ? ERR_BAD_REQUEST : ERR_APP_NOT_FOUND;
    change->cb(error, change->arg);
    free(change);
}

void certificate_put(struct core *core, struct arena *arena, struct str app_id,
                     struct certificate_entry *entry, certificate_cb cb, void *arg)
{
    struct key app, certificates;
    struct decimal most;
    struct str keys[] = {key_app(&app, app_or_none(app_id)),
                         key_app_certificates(&certificates, app_or_none(app_id))};

    entry->version = version_of(arena, entry);
    entry->created_ms = clock_now_ms();
    redis_script(core->redis, &script_certificate_put, 2, keys, 3,
                 (struct str[]){entry->endpoint, stored_form(arena, entry),
                                decimal_str(&most, core->settings->certificate_max_entries)},
                 stored, change_new(cb, arg));
}

static void deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;
    enum error error = core_error_of(status);

    if (!error && redis_reply_i64(reply) == 0)
        error = ERR_NOT_FOUND;
    change->cb(error, change->arg);
    free(change);
}

void certificate_delete(struct core *core, struct str app_id, struct str endpoint,
                        certificate_cb cb, void *arg)
{
    struct key key;

    redis_command(
        core->redis, 3,
        (struct str[]){STR("HDEL"), key_app_certificates(&key, app_or_none(app_id)), endpoint},
        deleted, change_new(cb, arg));
}

/* ---- reading ---- */

struct reading {
    certificate_read_cb cb;
    void *arg;
    char endpoint[CERTIFICATE_ENDPOINT_SIZE];
};

static void entry_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);
    struct arena *arena = arena_new();
    struct certificate_entry entry;

    if (status != REDIS_DONE)
        reading->cb(core_error_of(status), CERTIFICATE_NONE, NULL, reading->arg);
    else if (redis_reply_is(outcome, "NONE"))
        reading->cb(ERR_OK, CERTIFICATE_NONE, NULL, reading->arg);
    else if (redis_reply_is(outcome, "SAME"))
        reading->cb(ERR_OK, CERTIFICATE_SAME, NULL, reading->arg);
    else if (entry_from(arena, str_of(reading->endpoint), redis_reply_str(redis_reply_at(reply, 1)),
                        &entry))
        reading->cb(ERR_OK, CERTIFICATE_READ, &entry, reading->arg);
    else
        reading->cb(ERR_INTERNAL, CERTIFICATE_NONE, NULL, reading->arg);
    arena_free(arena);
    free(reading);
}

void certificate_read(struct core *core, struct str app_id, struct str endpoint,
                      struct str known_version, certificate_read_cb cb, void *arg)
{
    struct reading *reading = xcalloc(1, sizeof(*reading));
    struct key key;

    reading->cb = cb;
    reading->arg = arg;
    snprintf(reading->endpoint, sizeof(reading->endpoint), "%.*s", STR_ARG(endpoint));
    redis_script(core->redis, &script_certificate_read, 1,
                 (struct str[]){key_app_certificates(&key, app_or_none(app_id))}, 2,
                 (struct str[]){endpoint, known_version}, entry_replied, reading);
}

struct listing {
    certificate_list_cb cb;
    void *arg;
};

static int by_endpoint(const void *a, const void *b)
{
    const struct certificate_entry *x = a, *y = b;
    size_t common = x->endpoint.len < y->endpoint.len ? x->endpoint.len : y->endpoint.len;
    int order = memcmp(x->endpoint.p, y->endpoint.p, common);

    return order ? order
                 : (x->endpoint.len > y->endpoint.len) - (x->endpoint.len < y->endpoint.len);
}

static void list_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct listing *listing = arg;
    struct arena *arena = arena_new();
    size_t most = status == REDIS_DONE ? reply->elements / 2 : 0, count = 0;
    struct certificate_entry *list = arena_alloc(arena, (most + 1) * sizeof(*list));

    for (size_t i = 0; i < most; i++)
        count += entry_from(arena, redis_reply_str(redis_reply_at(reply, 2 * i)),
                            redis_reply_str(redis_reply_at(reply, 2 * i + 1)), &list[count]);
    if (count)
        qsort(list, count, sizeof(*list), by_endpoint);
    listing->cb(core_error_of(status), list, count, listing->arg);
    arena_free(arena);
    free(listing);
}

void certificate_list(struct core *core, struct str app_id, certificate_list_cb cb, void *arg)
{
    struct listing *listing = xmalloc(sizeof(*listing));
    struct key key;

    *listing = (struct listing){cb, arg};
    redis_script(core->redis, &script_certificates_list, 1,
                 (struct str[]){key_app_certificates(&key, app_or_none(app_id))}, 0, NULL,
                 list_replied, listing);
}

#include "admin/certificates.h"

#include "admin/answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/app/app.h"
#include "core/app/certificate.h"
#include "core/app/subscription.h"
#include "net/pem.h"
#include "net/x509_facts.h"
#include "push/push.h"
#include <arpa/inet.h>
#include <stdlib.h>

#define DAY_MS (24LL * 3600 * 1000)

/* ---- what is to be said of certificates ---- */

static int64_t days_left(int64_t expires_ms)
{
    int64_t left_ms = expires_ms - clock_now_ms();

    return left_ms < 0 ? -((-left_ms + DAY_MS - 1) / DAY_MS) : left_ms / DAY_MS;
}

/* STR_NONE: there is nothing to warn of. */
static struct str expiry_warning(const struct call *call, int64_t expires_ms)
{
    int64_t left_ms = expires_ms - clock_now_ms();

    if (left_ms < 0)
        return STR("expired");
    if (left_ms >= admin_core_of(call)->settings->certificate_warn_before_ms)
        return STR_NONE;
    return str_of(
        arena_printf(call_arena(call), "expires in %lld days", (long long)days_left(expires_ms)));
}

static struct str warning_of(const struct call *call, const struct x509_facts *facts)
{
    if (facts->not_before_ms > clock_now_ms())
        return STR("not valid yet");
    if (facts->is_key_weak)
        return STR("weak key");
    return expiry_warning(call, facts->not_after_ms);
}

static void write_facts(struct call *call, const struct x509_facts *facts)
{
    struct json_writer *w = call_json(call);

    json_object(w);
    json_member_str(w, "subject", facts->subject);
    json_member_str(w, "issuer", facts->issuer);
    json_member_text(w, "serial", facts->serial);
    admin_write_time(w, "notBefore", facts->not_before_ms);
    admin_write_time(w, "notAfter", facts->not_after_ms);
    json_member_i64(w, "daysLeft", days_left(facts->not_after_ms));
    json_member_text(w, "keyType", facts->key_type);
    json_member_i64(w, "keyBits", facts->key_bits);
    json_member_bool(w, "isCa", facts->is_authority);
    json_member_text(w, "sha256", facts->sha256);
    json_member_str(w, "warning", warning_of(call, facts));
    json_object_end(w);
}

static void write_certificates(struct call *call, const struct certificates *certificates)
{
    struct json_writer *w = call_json(call);

    json_key(w, "certificates");
    json_array(w);
    for (size_t i = 0; i < certificates->count; i++) {
        struct x509_facts facts;

        x509_facts_read(call_arena(call), certificates->list[i], &facts);
        write_facts(call, &facts);
    }
    json_array_end(w);
}

/* The soonest end and, as text, what there is to warn of in an entry as a whole. */
static void write_warnings(struct call *call, const struct certificate_entry *entry)
{
    struct json_writer *w = call_json(call);
    struct str expiry = expiry_warning(call, entry->expires_ms);

    json_key(w, "warnings");
    json_array(w);
    if (expiry.p)
        json_str(w, expiry);
    if (!entry->checks_cn && !entry->checks_name)
        json_text(w, "no name is checked");
    if (entry->shows_platform_certificate &&
        !push_platform_certificate(admin_context_of(call)->push))
        json_text(w, "the platform has no certificate: push.platform_certificate is empty");
    json_array_end(w);
}

/* ---- entries ---- */

struct request {
    struct call *call;
    struct certificate_entry entry;
    struct certificates *certificates;
    struct subscriptions *subscriptions; /* held */
    char endpoint[CERTIFICATE_ENDPOINT_SIZE];
    int status;
};

static struct str app_id_of(const struct call *call)
{
    return call_path_param(call, "appId");
}

static void request_end(struct request *request)
{
    certificates_free(request->certificates);
    subscriptions_release(request->subscriptions);
}

static void request_fail(struct request *request, int status, const char *text)
{
    request_end(request);
    admin_fail(request->call, status, text);
}

/* NULL when it has been answered. */
static struct request *request_new(struct call *call)
{
    struct request *request = arena_zalloc(call_arena(call), sizeof(*request));

    request->call = call;
    request->status = 200;
    if (!certificate_endpoint(call_path_param(call, "endpoint"), request->endpoint)) {
        admin_fail(call, 400, "host and port are needed, as app.example.test:8443 or [::1]:8443");
        return NULL;
    }
    request->entry.endpoint = str_of(request->endpoint);
    return request;
}

static bool leads_to(const struct subscription *subscription, struct str endpoint)
{
    char its[CERTIFICATE_ENDPOINT_SIZE];
    struct url url;

    if (!url_parse(subscription->url, &url) || !url.is_https)
        return false;
    certificate_endpoint_of_url(&url, its);
    return str_eq(str_of(its), endpoint);
}

static void write_users(struct json_writer *w, const struct subscriptions *subscriptions,
                        struct str endpoint)
{
    json_key(w, "usedBy");
    json_array(w);
    for (size_t i = 0; i < subscriptions->count; i++) {
        const struct subscription *one = &subscriptions->list[i];

        if (!leads_to(one, endpoint))
            continue;
        json_object(w);
        json_member_str(w, "subscriptionId", one->id);
        json_member_str(w, "notifyType", one->type);
        json_member_str(w, "callbackUrl", one->url);
        json_object_end(w);
    }
    json_array_end(w);
}

static void write_rules(struct call *call, const struct certificate_entry *entry)
{
    struct json_writer *w = call_json(call);

    json_member_str(w, "app", app_id_of(call));
    json_member_str(w, "endpoint", entry->endpoint);
    json_member_i64(w, "count", entry->count);
    admin_write_time(w, "expires", entry->expires_ms);
    json_member_i64(w, "daysLeft", days_left(entry->expires_ms));
    json_member_bool(w, "checkCn", entry->checks_cn);
    json_member_str(w, "cn", entry->cn);
    json_member_bool(w, "sni", entry->sends_sni);
    json_member_bool(w, "nameCheck", entry->checks_name);
    json_member_bool(w, "platformCertificate", entry->shows_platform_certificate);
    json_member_bool(w, "ignoreAnchorExpiry", entry->ignores_anchor_expiry);
    json_member_str(w, "version", entry->version);
    admin_write_time(w, "createTime", entry->created_ms);
}

static void answer_entry(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error) {
        request_end(request);
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    write_rules(call, &request->entry);
    write_warnings(call, &request->entry);
    write_certificates(call, request->certificates);
    write_users(w, subscriptions, request->entry.endpoint);
    json_member_str(w, "pem", request->entry.pem);
    json_object_end(w);
    request_end(request);
    call_reply_json(call, request->status);
}

/* ---- showing one ---- */

static void entry_read(enum error error, enum certificate_state state,
                       const struct certificate_entry *entry, void *arg)
{
    static const struct pem_limits no_limits = {INT64_MAX, INT64_MAX};
    struct request *request = arg;
    struct arena *arena = call_arena(request->call);
    char *problem = NULL;

    if (error) {
        admin_fail_error(request->call, error);
        return;
    }
    if (state != CERTIFICATE_READ) {
        admin_fail(request->call, 404,
                   "the application has no certificate entry for this host and port");
        return;
    }
    request->entry = *entry;
    request->entry.endpoint = str_of(request->endpoint);
    request->entry.version = arena_str(arena, entry->version);
    request->entry.pem = arena_str(arena, entry->pem);
    request->entry.cn = arena_str(arena, entry->cn);
    request->certificates = pem_read(entry->pem, &no_limits, &problem);
    free(problem);
    if (request->certificates)
        subscriptions_read(admin_core_of(request->call), app_id_of(request->call), answer_entry,
                           request);
    else
        admin_fail(request->call, 500, "the stored certificates cannot be read");
}

static void show(struct call *call)
{
    struct request *request = request_new(call);

    if (request)
        certificate_read(admin_core_of(call), app_id_of(call), request->entry.endpoint, STR(""),
                         entry_read, request);
}

/* ---- uploading ---- */

static bool read_switch(const struct json *body, const char *key, bool *value)
{
    const struct json *given = json_get(body, key);

    if (given && given->type != JSON_BOOL)
        return false;
    if (given)
        *value = given->boolean;
    return true;
}

static bool is_address(struct str name)
{
    char text[CERTIFICATE_CN_MAX + 1];
    unsigned char address[sizeof(struct in6_addr)];

    memcpy(text, name.p, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* NULL, or what is wrong. */
static const char *read_rules(const struct json *body, struct certificate_entry *entry)
{
    entry->checks_name = true;
    if (!read_switch(body, "checkCn", &entry->checks_cn) ||
        !read_switch(body, "sni", &entry->sends_sni) ||
        !read_switch(body, "nameCheck", &entry->checks_name) ||
        !read_switch(body, "platformCertificate", &entry->shows_platform_certificate) ||
        !read_switch(body, "ignoreAnchorExpiry", &entry->ignores_anchor_expiry))
        return "checkCn, sni, nameCheck, platformCertificate, ignoreAnchorExpiry: true or false";
    entry->cn = json_get_str(body, "cn");
    if (entry->cn.p &&
        (!entry->cn.len || entry->cn.len > CERTIFICATE_CN_MAX || !str_is_printable(entry->cn)))
        return "cn: 1 to 253 printable characters";
    if ((entry->checks_cn || entry->sends_sni) && !entry->cn.p)
        return "cn: is needed with checkCn and with sni";
    if (entry->cn.p && !entry->checks_cn && !entry->sends_sni)
        return "cn: goes with checkCn, with sni, or both";
    if (entry->checks_cn && !entry->checks_name)
        return "checkCn and nameCheck = false contradict each other";
    if (entry->sends_sni && is_address(entry->cn))
        return "sni: a name is sent, cn is an address";
    return NULL;
}

/* NULL, or what is wrong. */
static const char *read_file(const struct json *body, struct buf *file)
{
    struct str text = json_get_str(body, "ca"), encoded = json_get_str(body, "caBase64");

    if (!body || body->type != JSON_OBJECT)
        return "a JSON object is needed";
    if (!text.p == !encoded.p)
        return "ca (PEM) or caBase64 (any file) is needed";
    if (text.p)
        buf_add_str(file, text);
    else if (!crypto_base64_decode(encoded, file))
        return "caBase64: not Base64";
    return NULL;
}

static const char *read_certificates(struct request *request, struct str file)
{
    const struct core_settings *settings = admin_core_of(request->call)->settings;
    const struct pem_limits limits = {settings->certificate_max_bytes,
                                      settings->certificate_max_count};
    struct arena *arena = call_arena(request->call);
    char *problem = NULL;
    const char *text;
    struct buf pem = {0};

    request->certificates = pem_read(file, &limits, &problem);
    if (!request->certificates) {
        text = arena_printf(arena, "the CA file is refused: %s", problem);
        free(problem);
        return text;
    }
    request->entry.count = (int64_t)request->certificates->count;
    request->entry.expires_ms = INT64_MAX;
    for (size_t i = 0; i < request->certificates->count; i++) {
        int64_t end_ms = x509_not_after_ms(request->certificates->list[i]);

        if (end_ms < request->entry.expires_ms)
            request->entry.expires_ms = end_ms;
    }
    pem_write(request->certificates, &pem);
    request->entry.pem = arena_str(arena, buf_str(&pem));
    buf_clear(&pem);
    return NULL;
}

static void entry_stored(enum error error, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    const struct certificate_entry *entry = &request->entry;

    if (error == ERR_BAD_REQUEST) {
        request_fail(request, 409,
                     "the application has as many certificate entries as it may have "
                     "(certificate.max_entries)");
        return;
    }
    if (error) {
        request_end(request);
        admin_fail_error(call, error);
        return;
    }
    log_info("certificate", "app=%.*s endpoint=%.*s state=stored count=%lld version=%.*s",
             STR_ARG(app_id_of(call)), STR_ARG(entry->endpoint), (long long)entry->count,
             STR_ARG(entry->version));
    if (!entry->checks_cn && !entry->checks_name)
        log_warn("certificate", "app=%.*s endpoint=%.*s name_check=none", STR_ARG(app_id_of(call)),
                 STR_ARG(entry->endpoint));
    subscriptions_read(admin_core_of(call), app_id_of(call), answer_entry, request);
}

static void upload(struct call *call)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    struct request *request = request_new(call);
    struct buf file = {0};
    const char *problem;

    if (!request)
        return;
    problem = read_file(body, &file);
    if (!problem)
        problem = read_rules(body, &request->entry);
    if (!problem)
        problem = read_certificates(request, buf_str(&file));
    buf_clear(&file);
    if (problem)
        request_fail(request, 400, problem);
    else
        certificate_put(admin_core_of(call), call_arena(call), app_id_of(call), &request->entry,
                        entry_stored, request);
}

/* ---- deleting ---- */

static void entry_deleted(enum error error, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    if (error == ERR_NOT_FOUND) {
        admin_fail(call, 404, "the application has no certificate entry for this host and port");
    } else if (error) {
        admin_fail_error(call, error);
    } else {
        log_info("certificate", "app=%.*s endpoint=%s state=deleted", STR_ARG(app_id_of(call)),
                 request->endpoint);
        call_reply_empty(call, 204);
    }
}

static void delete_entry(struct call *call)
{
    struct request *request = request_new(call);

    if (request)
        certificate_delete(admin_core_of(call), app_id_of(call), request->entry.endpoint,
                           entry_deleted, request);
}

/* ---- listing ---- */

static void answer_list(enum error error, const struct certificate_entry *entries, size_t count,
                        void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error) {
        request_end(request);
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_key(w, "certificates");
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        json_object(w);
        write_rules(call, &entries[i]);
        write_warnings(call, &entries[i]);
        write_users(w, request->subscriptions, entries[i].endpoint);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    request_end(request);
    call_reply_json(call, 200);
}

static void list_users_read(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    request->subscriptions = subscriptions_hold(subscriptions);
    certificate_list(admin_core_of(call), app_id_of(call), answer_list, request);
}

static void list_app_read(enum error error, const struct app *app, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    (void)app;
    if (error)
        admin_fail_error(call, error);
    else
        subscriptions_read(admin_core_of(call), app_id_of(call), list_users_read, request);
}

static void list(struct call *call)
{
    struct request *request = arena_zalloc(call_arena(call), sizeof(*request));

    request->call = call;
    app_read(admin_core_of(call), app_id_of(call), list_app_read, request);
}

/* ---- our own ---- */

static void show_platform(struct call *call)
{
    const struct certificates *chain = push_platform_certificate(admin_context_of(call)->push);
    struct json_writer *w = call_json(call);
    struct buf pem = {0};

    if (!chain) {
        admin_fail(call, 404,
                   "the platform has no certificate: push.platform_certificate is empty");
        return;
    }
    pem_write(chain, &pem);
    json_object(w);
    write_certificates(call, chain);
    json_member_str(w, "pem", buf_str(&pem));
    json_object_end(w);
    buf_clear(&pem);
    call_reply_json(call, 200);
}

#define ENTRIES "/admin/v1/apps/{appId}/certificates"

const struct route admin_certificate_routes[] = {
    {EVHTTP_REQ_GET, ENTRIES, 0, list},
    {EVHTTP_REQ_GET, ENTRIES "/{endpoint}", 0, show},
    {EVHTTP_REQ_PUT, ENTRIES "/{endpoint}", 0, upload},
    {EVHTTP_REQ_DELETE, ENTRIES "/{endpoint}", 0, delete_entry},
    {EVHTTP_REQ_GET, "/admin/v1/platform-certificate", 0, show_platform},
    {0},
};

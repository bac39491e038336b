/*
 * Subscriptions: business data (/iocm/app/sub), and the two older forms that share its store. What
 * is subscribed twice replaces the callback, refuses, or fans out, as the setting says.
 */
#include "api/v1/v1.h"

#include "core/app/subscription.h"
#include <strings.h>

/* ---- creating ---- */

struct subscribe_body {
    struct str app_id, type, url, channel;
};

static const struct field subscribe_fields[] = {
    {"notifyType", FIELD_STRING, offsetof(struct subscribe_body, type), 1, 256, FIELD_REQUIRED,
     NULL},
    {"callbackUrl", FIELD_STRING, offsetof(struct subscribe_body, url), 0, 0, 0, "callbackurl"},
    {"appId", FIELD_STRING, offsetof(struct subscribe_body, app_id), 0, 256, 0, NULL},
    {"channel", FIELD_STRING, offsetof(struct subscribe_body, channel), 0, 32, 0, NULL},
    {0},
};

struct subscribe_form { /* how the three ways of subscribing differ */
    int success;
    bool answers_subscription;
    bool replaces;
    bool is_management;
    enum error bad_parameter;
};

struct subscribing {
    struct call *call;
    const struct subscribe_form *form;
    struct subscribe_body body;
};

static void write_subscription(struct json_writer *w, struct str id, struct str type,
                               struct str url)
{
    json_object(w);
    json_member_str(w, "subscriptionId", id);
    json_member_str(w, "notifyType", type);
    json_member_str(w, "callbackUrl", url);
    json_object_end(w);
}

static void answer_subscribed(enum error error, struct str id, void *arg)
{
    struct subscribing *subscribing = arg;
    struct call *call = subscribing->call;

    if (error) {
        v1_fail(call, error == ERR_BAD_REQUEST ? subscribing->form->bad_parameter : error);
    } else if (subscribing->form->answers_subscription) {
        write_subscription(call_json(call), id, subscribing->body.type, subscribing->body.url);
        call_reply_json(call, subscribing->form->success);
    } else {
        call_reply_empty(call, subscribing->form->success);
    }
}

static void subscribe_own(struct call *call)
{
    struct subscribing *subscribing = call_context(call);
    struct subscription_request request = {
        .app_id = v1_app_id(call),
        .type = subscribing->body.type,
        .url = subscribing->body.url,
        .channel = STR("HTTP"),
        .replaces = subscribing->form->replaces,
    };

    subscription_create(v1_core(call), call_arena(call), &request, answer_subscribed,
                        subscribing);
}

static bool is_channel_known(struct str channel)
{
    return !channel.len || str_eq_nocase(channel, STR("HTTP"));
}

static void subscribe(struct call *call, const struct subscribe_form *form)
{
    struct subscribing *subscribing = arena_zalloc(call_arena(call), sizeof(*subscribing));
    struct subscribe_body *body = &subscribing->body;

    subscribing->call = call;
    subscribing->form = form;
    if (!v1_read_body(call, subscribe_fields, body, form->bad_parameter, form->bad_parameter,
                      form->bad_parameter, NULL))
        return;
    call_audit(call, "subscription", body->type);
    if (!subscription_type_exists(body->type) || !is_channel_known(body->channel) ||
        (form->is_management && !subscription_type_is_management(body->type))) {
        v1_fail(call, form->bad_parameter);
        return;
    }
    if (!subscription_url_is_legal(v1_core(call), body->url)) {
        v1_fail(call, ERR_CALLBACK_URL);
        return;
    }
    call_set_context(call, subscribing);
    v1_check_app(call, body->app_id, subscribe_own);
}

static void subscribe_business(struct call *call)
{
    static const struct subscribe_form form = {201, true, false, false, ERR_BAD_REQUEST};

    subscribe(call, &form);
}

static void subscribe_old_form(struct call *call)
{
    static const struct subscribe_form form = {201, false, true, false, ERR_BAD_REQUEST};

    subscribe(call, &form);
}

static void subscribe_management(struct call *call)
{
    static const struct subscribe_form form = {200, false, true, true, ERR_MANAGEMENT_PARAMETER};

    subscribe(call, &form);
}

/* ---- querying ---- */

static void answer_one(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct call *call = arg;
    const struct subscription *found =
        error ? NULL : subscriptions_find(subscriptions, call_path_param(call, "subscriptionId"));

    if (!found) {
        v1_fail(call, error ? error : ERR_NOT_FOUND);
        return;
    }
    write_subscription(call_json(call), found->id, found->type, found->url);
    call_reply_json(call, 200);
}

static void query_own_one(struct call *call)
{
    subscriptions_read(v1_core(call), v1_app_id(call), answer_one, call);
}

static void query_one(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own_one);
}

struct filter {
    struct str type, url, channel;
};

static struct filter filter_of(const struct call *call)
{
    return (struct filter){call_query(call, "notifyType"), call_query(call, "callbackUrl"),
                           call_query(call, "channel")};
}

static bool matches(const struct filter *filter, const struct subscription *subscription)
{
    return (!filter->type.len || str_eq(filter->type, subscription->type)) &&
           (!filter->url.len || str_eq(filter->url, subscription->url)) &&
           (!filter->channel.len || str_eq_nocase(filter->channel, subscription->channel));
}

struct page {
    bool is_wanted;
    uint64_t number, size;
};

/* Without pageNo there is no paging, whatever pageSize says. */
static bool read_page(const struct call *call, struct page *page)
{
    struct str number = call_query(call, "pageNo"), size = call_query(call, "pageSize");

    *page = (struct page){.is_wanted = number.len > 0, .size = 10};
    if (number.len && !str_to_u64(number, INT32_MAX, &page->number))
        return false;
    return !size.len || (str_to_u64(size, INT32_MAX, &page->size) && page->size >= 1);
}

static void write_page(struct call *call, const struct page *page,
                       const struct subscription **matching, size_t count)
{
    struct json_writer *w = call_json(call);
    uint64_t first = page->is_wanted ? page->number * page->size : 0;
    uint64_t last = page->is_wanted && first + page->size < count ? first + page->size : count;

    json_object(w);
    json_member_i64(w, "totalCount", (int64_t)count);
    json_member_i64(w, "pageNo", (int64_t)page->number);
    json_member_i64(w, "pageSize", (int64_t)(page->is_wanted ? page->size : count));
    json_key(w, "subscriptions");
    json_array(w);
    for (uint64_t i = first; i < last; i++)
        write_subscription(w, matching[i]->id, matching[i]->type, matching[i]->url);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static const struct subscription **matching_of(struct call *call,
                                               const struct subscriptions *subscriptions,
                                               size_t *count)
{
    struct filter filter = filter_of(call);
    const struct subscription **matching =
        arena_alloc(call_arena(call), (subscriptions->count + 1) * sizeof(*matching));

    *count = 0;
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (matches(&filter, &subscriptions->list[i]))
            matching[(*count)++] = &subscriptions->list[i];
    }
    return matching;
}

static void answer_batch(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct call *call = arg;
    const struct subscription **matching;
    struct page page;
    size_t count;

    if (error) {
        v1_fail(call, error);
        return;
    }
    read_page(call, &page);
    matching = matching_of(call, subscriptions, &count);
    if (!page.is_wanted && count > SUBSCRIPTION_QUERY_MAX)
        v1_fail(call, ERR_TOO_MANY_RESULTS);
    else
        write_page(call, &page, matching, count);
}

static void query_own_batch(struct call *call)
{
    struct page page;

    if (read_page(call, &page))
        subscriptions_read(v1_core(call), v1_app_id(call), answer_batch, call);
    else
        v1_fail(call, ERR_BAD_REQUEST);
}

static void query_batch(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own_batch);
}

/* ---- deleting ---- */

static void answer_deleted(enum error error, int64_t deleted, void *arg)
{
    (void)deleted;
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 204);
}

static void delete_found(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct call *call = arg;
    const struct subscription *found =
        error ? NULL : subscriptions_find(subscriptions, call_path_param(call, "subscriptionId"));

    if (!found)
        v1_fail(call, error ? error : ERR_NOT_FOUND);
    else
        subscription_delete(v1_core(call), call_arena(call), v1_app_id(call), &found, 1,
                            answer_deleted, call);
}

static void delete_own_one(struct call *call)
{
    subscriptions_read(v1_core(call), v1_app_id(call), delete_found, call);
}

static void delete_one(struct call *call)
{
    call_audit(call, "subscription", STR_NONE);
    v1_check_app(call, call_query(call, "appId"), delete_own_one);
}

/* A type that was named and is not subscribed is an error; every other empty match is not. A channel
 * that does not exist matches nothing, and that is no error either. */
static void delete_matching(enum error error, struct subscriptions *subscriptions, void *arg)
{
    struct call *call = arg;
    const struct subscription **matching;
    size_t count = 0;

    if (error) {
        v1_fail(call, error);
        return;
    }
    matching = matching_of(call, subscriptions, &count);
    if (count > 0) {
        subscription_delete(v1_core(call), call_arena(call), v1_app_id(call), matching, count,
                            answer_deleted, call);
        return;
    }
    for (size_t i = 0; i < subscriptions->count; i++) {
        if (str_eq(subscriptions->list[i].type, call_query(call, "notifyType"))) {
            call_reply_empty(call, 204);
            return;
        }
    }
    if (call_query(call, "notifyType").len)
        v1_fail(call, ERR_NOT_FOUND);
    else
        call_reply_empty(call, 204);
}

static void delete_own_batch(struct call *call)
{
    subscriptions_read(v1_core(call), v1_app_id(call), delete_matching, call);
}

static void delete_batch(struct call *call)
{
    call_audit(call, "subscription", call_query(call, "notifyType"));
    v1_check_app(call, call_query(call, "appId"), delete_own_batch);
}

const struct route v1_subscription_routes[] = {
    {EVHTTP_REQ_POST, "/iocm/app/sub/v1.2.0/subscriptions", V1_APP, subscribe_business},
    {EVHTTP_REQ_GET, "/iocm/app/sub/v1.2.0/subscriptions", V1_APP, query_batch},
    {EVHTTP_REQ_DELETE, "/iocm/app/sub/v1.2.0/subscriptions", V1_APP, delete_batch},
    {EVHTTP_REQ_GET, "/iocm/app/sub/v1.2.0/subscriptions/{subscriptionId}", V1_APP, query_one},
    {EVHTTP_REQ_DELETE, "/iocm/app/sub/v1.2.0/subscriptions/{subscriptionId}", V1_APP,
     delete_one},
    {EVHTTP_REQ_POST, "/iocm/app/sub/v1.1.0/subscribe", V1_APP, subscribe_old_form},
    {EVHTTP_REQ_POST, "/iodm/app/sub/v1.1.0/subscribe", V1_APP, subscribe_management},
    {0},
};

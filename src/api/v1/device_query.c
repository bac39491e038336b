/* Queries for several devices: by attributes and page, by node id, by ids (/iocm/app/dm). */
#include "api/v1/device_object.h"
#include "api/v1/v1.h"
#include "base/clock.h"
#include "core/device/group.h"
#include "core/device/index.h"
#include "core/device/service_types.h"

#define PAGE_SIZE_DEFAULT 25
#define PAGE_SIZE_MAX     250
#define TEXT_MAX          2048 /* what a location may have */

struct query {
    struct call *call;
    struct device_filter filter;
    struct device_page page;
    bool has_page, with_imsi;
    uint64_t page_number, page_size, total;
};

/* ---- reading the query ---- */

/* Absent and empty are the same. false: not a number up to max. */
static bool read_number(const struct call *call, const char *name, uint64_t max, uint64_t *number)
{
    struct str text = call_query(call, name);

    return !text.len || str_to_u64(text, max, number);
}

/* The index in names, in any case; `absent` when it is not there, -1 when it is none of them. */
static int read_name(const struct call *call, const char *parameter, const char *const *names,
                     int absent)
{
    struct str text = call_query(call, parameter);

    if (!text.len)
        return absent;
    for (int i = 0; names[i]; i++) {
        if (str_eq_nocase(text, str_of(names[i])))
            return i;
    }
    return -1;
}

static bool read_status(struct query *query)
{
    static const char *const names[] = {"ONLINE",   "OFFLINE", "INACTIVE",
                                        "ABNORMAL", "INBOX",   NULL}; /* INBOX: an old word */
    int status = read_name(query->call, "status", names, 5);

    if (status == 4)
        status = 2;
    if (status >= 0)
        query->filter.status = str_of(names[status]);
    query->filter.never_active_is_offline = v1_core(query->call)->settings->has_old_status_set;
    return status >= 0;
}

static bool read_node_type(struct query *query)
{
    static const char *const names[] = {"", "GATEWAY", "ENDPOINT", "UNKNOWN", "UNKNOW", NULL};
    int type = read_name(query->call, "nodeType", names, NODE_ANY);

    query->filter.node_type = type == 4 ? NODE_UNKNOWN : (enum device_node_type)type;
    return type >= 0;
}

static bool read_order(struct query *query)
{
    static const char *const names[] = {"ASC", "DESC", NULL};
    int order = read_name(query->call, "sort", names, 1);

    query->page.is_descending = order == 1;
    return order >= 0;
}

static bool read_time(const struct call *call, const char *name, int64_t *time_ms)
{
    struct str text = call_query(call, name);

    return !text.len || clock_parse(text, time_ms);
}

/* Times are shown in seconds: the end is all of its second. */
static bool read_times(struct query *query)
{
    struct device_filter *filter = &query->filter;

    if (!read_time(query->call, "startTime", &filter->created_from_ms) ||
        !read_time(query->call, "endTime", &filter->created_to_ms))
        return false;
    if (filter->created_to_ms && filter->created_to_ms % 1000 == 0)
        filter->created_to_ms += 999;
    return true;
}

static bool read_texts(struct query *query)
{
    const struct {
        const char *name;
        struct str *to;
    } texts[] = {{"gatewayId", &query->filter.gateway_id},
                 {"deviceType", &query->filter.device_type},
                 {"name", &query->filter.name},
                 {"location", &query->filter.location}};

    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct str text = call_query(query->call, texts[i].name);

        if (text.len > TEXT_MAX * 4)
            return false;
        if (text.len)
            *texts[i].to = text;
    }
    return true;
}

static enum error read_page(struct query *query)
{
    const struct core_settings *settings = v1_core(query->call)->settings;

    query->page_size = PAGE_SIZE_DEFAULT;
    query->has_page = call_query(query->call, "pageNo").len > 0;
    if (!query->has_page && !query->filter.gateway_id.p)
        return ERR_GATEWAY_AND_PAGE;
    if (!read_number(query->call, "pageNo", INT32_MAX, &query->page_number) ||
        !read_number(query->call, "pageSize", PAGE_SIZE_MAX, &query->page_size) ||
        query->page_size == 0)
        return ERR_APPLICATION_INPUT;
    if (query->has_page) {
        query->page.first = query->page_number * query->page_size;
        query->page.count = query->page_size;
    } else {
        query->page.count = (size_t)settings->devices_per_query;
    }
    return ERR_OK;
}

static enum error read_query(struct query *query)
{
    struct str select = call_query(query->call, "select");

    query->with_imsi = select.len > 0;
    if (query->with_imsi && !str_eq_nocase(select, STR("imsi")))
        return ERR_QUERY_PARAMETER;
    if (!read_status(query) || !read_node_type(query) || !read_order(query) ||
        !read_times(query) || !read_texts(query))
        return ERR_QUERY_PARAMETER;
    return read_page(query);
}

/* ---- answering it ---- */

/* Devices that were read, on their way to the answer: the types of their services are still
 * to come, and their groups, some at a time. */
struct listing {
    struct call *call;
    struct device *devices;
    struct str *ids;
    size_t count, with_groups;
    void (*answer)(struct listing *listing, void *arg);
    void *arg;
};

static void read_groups(struct listing *listing);

static void groups_read(enum error error, const struct str *lists, void *arg)
{
    struct listing *listing = arg;

    if (error) {
        v1_fail(listing->call, error);
        return;
    }
    for (size_t i = 0; i < GROUP_IDS_MAX && listing->with_groups < listing->count; i++)
        listing->devices[listing->with_groups++].group_ids = lists[i];
    read_groups(listing);
}

static void services_named(enum error error, void *arg)
{
    struct listing *listing = arg;

    if (error)
        v1_fail(listing->call, error);
    else
        read_groups(listing);
}

static void read_groups(struct listing *listing)
{
    size_t left = listing->count - listing->with_groups;
    struct group_ids ids = {listing->ids + listing->with_groups,
                            left < GROUP_IDS_MAX ? left : GROUP_IDS_MAX};

    if (left == 0)
        listing->answer(listing, listing->arg);
    else
        group_of_devices(v1_core(listing->call), call_arena(listing->call),
                         v1_app_id(listing->call), ids, groups_read, listing);
}

/* Those of the devices that match, if there is a filter. */
static void list_devices(struct call *call, const struct device *const *devices, size_t count,
                         const struct device_filter *filter,
                         void (*answer)(struct listing *listing, void *arg), void *arg)
{
    struct arena *arena = call_arena(call);
    struct listing *listing = arena_zalloc(arena, sizeof(*listing));
    const struct device **list = arena_alloc(arena, (count + 1) * sizeof(*list));

    listing->call = call;
    listing->devices = arena_alloc(arena, (count + 1) * sizeof(*listing->devices));
    listing->ids = arena_alloc(arena, (count + 1) * sizeof(*listing->ids));
    listing->answer = answer;
    listing->arg = arg;
    for (size_t i = 0; i < count; i++) {
        if (filter && !device_matches(devices[i], filter))
            continue;
        listing->ids[listing->count] = devices[i]->id;
        list[listing->count] = &listing->devices[listing->count];
        listing->devices[listing->count++] = *devices[i];
    }
    service_types_find(v1_core(call), arena, list, listing->count, services_named, listing);
}

static void write_devices(const struct listing *listing, bool with_imsi)
{
    struct json_writer *w = call_json(listing->call);

    json_key(w, "devices");
    json_array(w);
    for (size_t i = 0; i < listing->count; i++)
        v1_write_device(w, &listing->devices[i], with_imsi,
                        v1_core(listing->call)->settings->has_old_status_set);
    json_array_end(w);
}

static void answer_page(struct listing *listing, void *arg)
{
    struct query *query = arg;
    struct json_writer *w = call_json(query->call);

    json_object(w);
    json_member_i64(w, "totalCount", (int64_t)query->total);
    json_member_i64(w, "pageNo", (int64_t)query->page_number);
    json_member_i64(w, "pageSize", (int64_t)(query->has_page ? query->page_size
                                                      : listing->count));
    write_devices(listing, query->with_imsi);
    json_object_end(w);
    call_reply_json(query->call, 200);
}

static void page_read(enum error error, const struct device *const *devices, size_t count,
                      void *arg)
{
    struct query *query = arg;

    if (error)
        v1_fail(query->call, error);
    else
        list_devices(query->call, devices, count, &query->filter, answer_page, query);
}

static void page_found(enum error error, uint64_t total, const struct str *ids, size_t count,
                       void *arg)
{
    struct query *query = arg;

    query->total = total;
    if (error)
        v1_fail(query->call, error);
    else
        device_read_list(v1_core(query->call), call_arena(query->call), v1_app_id(query->call), ids,
                         count, true, page_read, query);
}

static void query_own(struct call *call)
{
    struct query *query = call_context(call);

    device_index_find(v1_core(call), call_arena(call), v1_app_id(call), &query->filter,
                      &query->page, page_found, query);
}

static void query_many(struct call *call)
{
    struct query *query = arena_zalloc(call_arena(call), sizeof(*query));
    enum error error;

    query->call = call;
    call_set_context(call, query);
    error = read_query(query);
    if (error)
        v1_fail(call, error);
    else
        v1_check_app(call, call_query(call, "appId"), query_own);
}

/* ---- by node id ---- */

static void answer_id(enum error error, struct str device_id, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "deviceId", device_id);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void query_own_node(struct call *call)
{
    device_find_node(v1_core(call), call_arena(call), v1_app_id(call), call_query(call, "nodeId"),
                     answer_id, call);
}

static void query_by_node(struct call *call)
{
    if (call_query(call, "nodeId").len == 0)
        v1_fail(call, ERR_QUERY_PARAMETER);
    else
        v1_check_app(call, call_query(call, "appId"), query_own_node);
}

/* ---- by ids ---- */

struct by_ids {
    const struct json *list;
    struct str *ids;
    size_t count;
};

static const struct field ids_fields[] = {
    {"deviceIds", FIELD_ARRAY, offsetof(struct by_ids, list), 0, 0, FIELD_REQUIRED, NULL},
    {0},
};

static void answer_devices(struct listing *listing, void *arg)
{
    struct call *call = arg;

    json_object(call_json(call));
    write_devices(listing, false);
    json_object_end(call_json(call));
    call_reply_json(call, 200);
}

static void devices_read(enum error error, const struct device *const *devices, size_t count,
                         void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        list_devices(arg, devices, count, NULL, answer_devices, arg);
}

static void query_own_ids(struct call *call)
{
    struct by_ids *body = call_context(call);

    device_read_list(v1_core(call), call_arena(call), v1_app_id(call), body->ids, body->count, true,
                     devices_read, call);
}

static void query_by_ids(struct call *call)
{
    struct by_ids *body = arena_zalloc(call_arena(call), sizeof(*body));
    bool is_valid = true;

    if (!v1_read_body(call, ids_fields, body, ERR_BAD_REQUEST, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      NULL))
        return;
    body->ids = arena_alloc(call_arena(call), (body->list->count + 1) * sizeof(*body->ids));
    JSON_FOREACH (id, body->list) {
        is_valid = is_valid && id->type == JSON_STRING;
        body->ids[body->count++] = id->text;
    }
    if (!is_valid || (int64_t)body->count > v1_core(call)->settings->devices_per_query) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    call_set_context(call, body);
    v1_check_app(call, call_query(call, "appId"), query_own_ids);
}

const struct route v1_device_query_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.4.0/devices", V1_APP, query_many},
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.3.0/devices", V1_APP, query_many},
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.1.0/devices", V1_APP, query_many},
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.1.0/queryDeviceIdByNodeId", V1_APP, query_by_node},
    {EVHTTP_REQ_POST, "/iocm/app/dm/v1.1.0/queryDevicesByIds", V1_APP, query_by_ids},
    {0},
};

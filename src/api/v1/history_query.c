#include "api/v1/history_query.h"

#include "base/clock.h"

#define TEXT_MAX 256

struct asked {
    const struct history_form *form;
    struct history_query query;
    uint64_t page_no, page_size;
};

/* ---- parameters ---- */

/* An empty parameter is an absent one. false: too long. */
static bool read_text(const struct call *call, const char *name, struct str *text)
{
    struct str value = call_query(call, name);

    *text = value.len ? value : STR_NONE;
    return value.len <= TEXT_MAX;
}

static bool read_number(const struct call *call, const char *name, uint64_t min, uint64_t max,
                        uint64_t *number)
{
    struct str value = call_query(call, name);

    return !value.len || (str_to_u64(value, max, number) && *number >= min);
}

static bool read_time(const struct call *call, const char *name, int64_t *time_ms)
{
    struct str value = call_query(call, name);

    return !value.len || clock_parse(value, time_ms);
}

/* Times are shown in whole seconds, so a whole second at the end includes all of it. */
static bool read_range(const struct call *call, struct history_query *query)
{
    query->from_ms = 0;
    query->to_ms = INT64_MAX;
    if (!read_time(call, "startTime", &query->from_ms) ||
        !read_time(call, "endTime", &query->to_ms) || query->from_ms > query->to_ms)
        return false;
    if (query->to_ms != INT64_MAX && query->to_ms % 1000 == 0)
        query->to_ms += 999;
    return true;
}

static enum error read_query(const struct call *call, struct asked *asked)
{
    const struct history_form *form = asked->form;
    struct history_query *query = &asked->query;

    if (!read_text(call, "deviceId", &query->device_id) ||
        !read_text(call, "gatewayId", &query->gateway_id) ||
        !read_text(call, "serviceId", &query->service_id) ||
        !read_text(call, "property", &query->property) || !read_range(call, query) ||
        !read_number(call, "pageNo", 0, INT32_MAX, &asked->page_no) ||
        !read_number(call, "pageSize", 1, form->max_page_size, &asked->page_size))
        return ERR_APPLICATION_INPUT;
    return query->device_id.p || query->gateway_id.p ? ERR_OK : ERR_DEVICE_OR_GATEWAY;
}

/* ---- the answer ---- */

static void write_record(struct json_writer *w, const struct asked *asked,
                         const struct history_record *record)
{
    char time[CLOCK_COMPACT_SIZE];

    clock_format_compact(record->time_ms, time);
    json_object(w);
    json_member_str(w, "deviceId", record->device_id);
    json_member_str(w, "gatewayId", record->gateway_id);
    json_member_str(w, "appId", asked->query.app_id);
    json_member_str(w, "serviceId", record->service_id);
    json_member_raw(w, asked->form->data_name, record->data);
    json_member_text(w, "timestamp", time);
    json_object_end(w);
}

static void write_page(struct call *call, const struct asked *asked,
                       const struct history_page *page)
{
    struct json_writer *w = call_json(call);

    json_object(w);
    json_member_i64(w, "totalCount", (int64_t)page->total);
    json_member_i64(w, "pageNo", (int64_t)asked->page_no);
    json_member_i64(w, "pageSize", (int64_t)asked->page_size);
    json_key(w, asked->form->list_name);
    json_array(w);
    for (const struct history_record *record = page->first; record; record = record->next)
        write_record(w, asked, record);
    json_array_end(w);
    json_object_end(w);
}

/* A device without a history has an empty one; that there is no such device is only said of reports. */
static void answer(enum error error, const struct history_page *page, void *arg)
{
    static const struct history_page empty;
    struct call *call = arg;
    const struct asked *asked = call_context(call);

    if (error == ERR_HISTORY_NOT_FOUND && asked->form->kind == HISTORY_DESIRED) {
        error = ERR_OK;
        page = &empty;
    }
    if (error) {
        v1_fail(call, error);
        return;
    }
    write_page(call, asked, page);
    call_reply_json(call, 200);
}

static void query_own(struct call *call)
{
    struct asked *asked = call_context(call);

    asked->query.kind = asked->form->kind;
    asked->query.app_id = v1_app_id(call);
    asked->query.skip = asked->page_no * asked->page_size;
    asked->query.count = asked->page_size;
    history_read(v1_core(call), call_arena(call), &asked->query, answer, call);
}

void v1_query_history(struct call *call, const struct history_form *form)
{
    struct asked *asked = arena_zalloc(call_arena(call), sizeof(*asked));
    enum error error;

    asked->form = form;
    asked->page_size = form->default_page_size;
    error = read_query(call, asked);
    call_set_context(call, asked);
    if (error)
        v1_fail(call, error);
    else
        v1_check_app(call, call_query(call, "appId"), query_own);
}

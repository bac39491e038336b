#include "admin/sessions.h"

#include "admin/answer.h"
#include "core/session/session.h"

#define PAGE_SIZE_DEFAULT 50
#define PAGE_SIZE_MAX     1000

struct page {
    struct json_writer *w;
    uint64_t size, written;
};

static bool write_session(const struct session *session, void *arg)
{
    struct page *page = arg;

    if (page->written++ == page->size)
        return false;
    json_object(page->w);
    json_member_text(page->w, "device", session->device_id);
    json_member_text(page->w, "session", session->id);
    admin_write_time(page->w, "since", session->since_ms);
    session_describe(session, page->w);
    json_object_end(page->w);
    return true;
}

static void list_sessions(struct call *call)
{
    const struct core *core = admin_core_of(call);
    struct str page_text = call_query(call, "page"), size_text = call_query(call, "size");
    struct page page = {call_json(call), PAGE_SIZE_DEFAULT, 0};
    uint64_t number = 0;

    if ((page_text.len && !str_to_u64(page_text, UINT32_MAX, &number)) ||
        (size_text.len && !(str_to_u64(size_text, PAGE_SIZE_MAX, &page.size) && page.size))) {
        admin_fail(call, 400, "page: a number from 0; size: 1 to 1000");
        return;
    }
    json_object(page.w);
    json_member_i64(page.w, "totalCount", (int64_t)session_count(core));
    json_key(page.w, "sessions");
    json_array(page.w);
    session_each(core, (size_t)(number * page.size), write_session, &page);
    json_array_end(page.w);
    json_object_end(page.w);
    call_reply_json(call, 200);
}

const struct route admin_session_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/sessions", 0, list_sessions},
    {0},
};

/* Commands for devices, and the tasks that canceled them: queries (/iocm/app/cmd). */
#include "api/v1/command_object.h"
#include "api/v1/v1.h"

#include "base/clock.h"

#define PAGE_MAX 1000

struct asked {
    uint64_t page_no, page_size;
    int64_t from_ms, to_ms;
    bool is_old_form; /* the older path's answer */
};

/* ---- parameters ---- */

/* An empty parameter is an absent one, and their names may be written in any case. */
static struct str parameter(const struct call *call, const char *name)
{
    struct str value = call_query_nocase(call, name);

    return value.len ? value : STR_NONE;
}

static bool read_number(const struct call *call, const char *name, uint64_t min, uint64_t max,
                        uint64_t *number)
{
    struct str value = parameter(call, name);

    return !value.p || (str_to_u64(value, max, number) && *number >= min);
}

static bool read_time(const struct call *call, const char *name, int64_t *time_ms)
{
    struct str value = parameter(call, name);

    return !value.p || clock_parse(value, time_ms);
}

/* Times are shown in whole seconds, so a whole second at the end includes all of it. */
static bool read_asked(const struct call *call, struct asked *asked)
{
    *asked = (struct asked){.page_size = PAGE_MAX, .to_ms = INT64_MAX};
    if (!read_number(call, "pageNo", 0, INT32_MAX, &asked->page_no) ||
        !read_number(call, "pageSize", 1, PAGE_MAX, &asked->page_size) ||
        !read_time(call, "startTime", &asked->from_ms) ||
        !read_time(call, "endTime", &asked->to_ms) || asked->to_ms <= asked->from_ms)
        return false;
    if (asked->to_ms % 1000 == 0)
        asked->to_ms += 999;
    return str_characters(parameter(call, "deviceId")) <= 64;
}

/* ---- commands ---- */

static bool has_old_status(const struct call *call)
{
    return v1_core(call)->settings->command_has_old_status;
}

static void begin_page(struct json_writer *w, const struct asked *asked, uint64_t total)
{
    json_object(w);
    json_key(w, "pagination");
    json_object(w);
    json_member_i64(w, "pageNo", (int64_t)asked->page_no);
    json_member_i64(w, "pageSize", (int64_t)asked->page_size);
    json_member_i64(w, "totalSize", (int64_t)total);
    json_object_end(w);
    json_key(w, "data");
    json_array(w);
}

static void end_page(struct call *call)
{
    json_array_end(call_json(call));
    json_object_end(call_json(call));
    call_reply_json(call, 200);
}

static void write_old_form(struct json_writer *w, const struct command *command,
                           bool has_old_status_set)
{
    json_object(w);
    json_member_str(w, "commandId", command->id);
    json_key(w, "command");
    json_object(w);
    json_member_str(w, "serviceId", command->service_id);
    json_member_str(w, "method", command->method);
    json_member_raw(w, "paras", command->paras);
    json_object_end(w);
    json_member_i64(w, "expireTime", command->expire_s);
    v1_write_command_result(w, command, has_old_status_set);
    json_object_end(w);
}

static void answer_old_form(struct call *call, const struct command_page *page)
{
    struct json_writer *w = call_json(call);

    json_object(w);
    json_member_i64(w, "totalCount", (int64_t)page->total);
    json_key(w, "list");
    json_array(w);
    for (size_t i = 0; i < page->count; i++)
        write_old_form(w, &page->list[i], has_old_status(call));
    end_page(call);
}

static void answer_page(enum error error, const struct command_page *page, void *arg)
{
    struct call *call = arg;
    const struct asked *asked = call_context(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    if (asked->is_old_form) {
        answer_old_form(call, page);
        return;
    }
    begin_page(call_json(call), asked, page->total);
    for (size_t i = 0; i < page->count; i++)
        v1_write_command(call_json(call), &page->list[i], has_old_status(call));
    end_page(call);
}

static void query_own(struct call *call)
{
    const struct asked *asked = call_context(call);
    struct command_query query = {
        .app_id = v1_app_id(call),
        .device_id = parameter(call, "deviceId"),
        .from_ms = asked->from_ms,
        .to_ms = asked->to_ms,
        .skip = asked->page_no * asked->page_size,
        .count = asked->page_size,
    };

    command_query(v1_core(call), call_arena(call), &query, answer_page, call);
}

static void begin_query(struct call *call, bool is_old_form, call_handler next)
{
    struct asked *asked = arena_alloc(call_arena(call), sizeof(*asked));

    if (!read_asked(call, asked)) {
        v1_fail(call, ERR_DEVICE_PARAMETER);
        return;
    }
    asked->is_old_form = is_old_form;
    call_set_context(call, asked);
    next(call);
}

static void check_and_query(struct call *call)
{
    v1_check_app_mixed(call, STR_NONE, query_own);
}

static void query_many(struct call *call)
{
    begin_query(call, false, check_and_query);
}

static void query_many_old_form(struct call *call)
{
    begin_query(call, true, check_and_query);
}

static void answer_one(enum error error, const struct command *command, void *arg)
{
    struct call *call = arg;

    if (error) {
        v1_fail(call, error);
        return;
    }
    v1_write_command(call_json(call), command, has_old_status(call));
    call_reply_json(call, 200);
}

static void query_own_one(struct call *call)
{
    command_read(v1_core(call), call_arena(call), v1_app_id(call),
                 call_path_param(call, "deviceCommandId"), answer_one, call);
}

static void query_one(struct call *call)
{
    v1_check_app_mixed(call, STR_NONE, query_own_one);
}

/* ---- cancel tasks ---- */

static void answer_tasks(enum error error, const struct command_task_page *page, void *arg)
{
    struct call *call = arg;

    if (error) {
        v1_fail(call, error);
        return;
    }
    begin_page(call_json(call), call_context(call), page->total);
    for (size_t i = 0; i < page->count; i++)
        v1_write_command_task(call_json(call), &page->list[i], has_old_status(call));
    end_page(call);
}

static void query_own_tasks(struct call *call)
{
    const struct asked *asked = call_context(call);
    struct command_task_query query = {
        .app_id = v1_app_id(call),
        .task_id = parameter(call, "taskId"),
        .device_id = parameter(call, "deviceId"),
        .status = parameter(call, "status"),
        .from_ms = asked->from_ms,
        .to_ms = asked->to_ms,
        .skip = asked->page_no * asked->page_size,
        .count = asked->page_size,
    };

    command_task_query(v1_core(call), call_arena(call), &query, answer_tasks, call);
}

static void check_and_query_tasks(struct call *call)
{
    v1_check_app(call, STR_NONE, query_own_tasks);
}

static void query_tasks(struct call *call)
{
    begin_query(call, false, check_and_query_tasks);
}

const struct route v1_command_query_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/cmd/v1.4.0/deviceCommands", V1_APP, query_many},
    {EVHTTP_REQ_GET, "/iocm/app/cmd/v1.4.0/deviceCommands/{deviceCommandId}", V1_APP, query_one},
    {EVHTTP_REQ_GET, "/iocm/app/cmd/v1.4.0/deviceCommandCancelTasks", V1_APP, query_tasks},
    {EVHTTP_REQ_GET, "/iocm/app/cmd/v1.2.0/queryCmd", V1_APP, query_many_old_form},
    {0},
};

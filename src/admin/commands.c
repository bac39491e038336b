#include "admin/commands.h"

#include "admin/answer.h"
#include "core/app/app.h"
#include "core/command/command.h"

#define PAGE 500

static void write_time(struct json_writer *w, const char *name, int64_t time_ms)
{
    if (time_ms)
        admin_write_time(w, name, time_ms);
    else
        json_member_null(w, name);
}

static void write_row(struct json_writer *w, const struct command *command)
{
    json_member_str(w, "id", command->id);
    json_member_str(w, "device", command->device_id);
    json_member_str(w, "service", command->service_id);
    json_member_str(w, "method", command->method);
    json_member_str(w, "status", command->status);
    admin_write_time(w, "createTime", command->created_ms);
}

/* With what may be long, or private. */
static void write_command(struct json_writer *w, const struct command *command)
{
    json_object(w);
    json_member_str(w, "app", command->app_id);
    write_row(w, command);
    write_time(w, "issuedTime", command->issued_ms);
    write_time(w, "deliveredTime", command->delivered_ms);
    write_time(w, "executeTime", command->executed_ms);
    json_member_i64(w, "timesSent", command->times_sent);
    json_member_i64(w, "cacheTimeSeconds", command->expire_s);
    json_member_str(w, "callbackUrl", command->callback_url);
    json_member_raw(w, "paras", command->paras);
    json_member_raw(w, "result", command->detail.p ? command->detail : STR("null"));
    json_object_end(w);
}

/* ---- listing ---- */

static void answer_list(enum error error, const struct command_page *page, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error == ERR_COMMAND_DEVICE) {
        admin_fail(call, 404, "the application has no such device");
        return;
    }
    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, "total", (int64_t)page->total);
    json_key(w, "commands");
    json_array(w);
    for (size_t i = 0; i < page->count; i++) {
        json_object(w);
        write_row(w, &page->list[i]);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void app_known(enum error error, const struct app *app, void *arg)
{
    struct call *call = arg;
    struct str device_id = call_query(call, "device");
    const uint64_t *page = call_context(call);
    struct command_query query = {
        .app_id = call_path_param(call, "appId"),
        .device_id = device_id.len ? device_id : STR_NONE,
        .to_ms = INT64_MAX,
        .skip = *page * PAGE,
        .count = PAGE,
    };

    (void)app;
    if (error)
        admin_fail_error(call, error);
    else
        command_query(admin_core_of(call), call_arena(call), &query, answer_list, call);
}

static void list(struct call *call)
{
    uint64_t *page = arena_zalloc(call_arena(call), sizeof(*page));
    struct str text = call_query(call, "page");

    if (text.p && !str_to_u64(text, INT32_MAX, page)) {
        admin_fail(call, 400, "page: a number from 0");
        return;
    }
    call_set_context(call, page);
    app_read(admin_core_of(call), call_path_param(call, "appId"), app_known, call);
}

/* ---- one ---- */

static void answer_one(enum error error, const struct command *command, void *arg)
{
    struct call *call = arg;

    if (error == ERR_COMMAND_NOT_FOUND) {
        admin_fail(call, 404, "there is no such command");
    } else if (error == ERR_COMMAND_OVER) {
        admin_fail(call, 409, "the command is not pending any more");
    } else if (error) {
        admin_fail_error(call, error);
    } else {
        write_command(call_json(call), command);
        call_reply_json(call, 200);
    }
}

static void show(struct call *call)
{
    command_read(admin_core_of(call), call_arena(call), STR_NONE,
                 call_path_param(call, "commandId"), answer_one, call);
}

static void cancel(struct call *call)
{
    command_cancel(admin_core_of(call), call_arena(call), STR_NONE, STR_NONE,
                   call_path_param(call, "commandId"), answer_one, call);
}

const struct route admin_command_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}/commands", 0, list},
    {EVHTTP_REQ_GET, "/admin/v1/commands/{commandId}", 0, show},
    {EVHTTP_REQ_POST, "/admin/v1/commands/{commandId}/cancel", 0, cancel},
    {0},
};

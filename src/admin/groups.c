#include "admin/groups.h"

#include "admin/answer.h"
#include "core/app/app.h"
#include "core/device/group.h"

#define LIST_PAGE    500
#define MEMBERS_PAGE GROUP_IDS_MAX

struct request {
    struct call *call;
    uint64_t page;
    bool is_by_name; /* no group has the id, so it was taken for a name */
};

static struct str app_id_of(const struct call *call)
{
    return call_path_param(call, "appId");
}

static void write_members(struct call *call, const struct group *group)
{
    struct json_writer *w = call_json(call);

    json_member_str(w, "id", group->id);
    json_member_str(w, "name", group->name);
    json_member_i64(w, "devices", group->devices);
    json_member_i64(w, "maxDevices", group->most_devices);
    admin_write_time(w, "createTime", group->created_ms);
    json_member_raw(w, "description", group->description);
}

/* NULL when it has been answered. Pages have a fixed size. */
static struct request *request_new(struct call *call)
{
    struct request *request = arena_zalloc(call_arena(call), sizeof(*request));
    struct str page = call_query(call, "page");

    request->call = call;
    if (!page.p || str_to_u64(page, INT32_MAX, &request->page))
        return request;
    admin_fail(call, 400, "page: a number from 0");
    return NULL;
}

/* ---- listing ---- */

static void answer_list(enum error error, const struct group *groups, size_t count, int64_t total,
                        void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, "total", total);
    json_key(w, "groups");
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        json_object(w);
        write_members(call, &groups[i]);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_app_read(enum error error, const struct app *app, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    (void)app;
    if (error)
        admin_fail_error(call, error);
    else
        group_list(admin_core_of(call), call_arena(call), app_id_of(call), STR_NONE,
                   request->page * LIST_PAGE, LIST_PAGE, answer_list, request);
}

static void list(struct call *call)
{
    struct request *request = request_new(call);

    if (request)
        app_read(admin_core_of(call), app_id_of(call), list_app_read, request);
}

/* ---- showing one ---- */

static void read_group(struct request *request, struct str id);

static void group_named(enum error error, const struct group *groups, size_t count, int64_t total,
                        void *arg)
{
    struct request *request = arg;

    (void)total;
    if (error)
        admin_fail_error(request->call, error);
    else if (count == 0)
        admin_fail(request->call, 404, "the application has no group with this id or name");
    else
        read_group(request, groups[0].id);
}

static void find_by_name(struct request *request)
{
    struct call *call = request->call;
    struct str name = call_path_param(call, "group");

    request->is_by_name = true;
    if (group_name_is_valid(name))
        group_list(admin_core_of(call), call_arena(call), app_id_of(call), name, 0, 1, group_named,
                   request);
    else
        admin_fail(call, 404, "the application has no group with this id or name");
}

static void answer_group(enum error error, const struct group *group, struct group_ids members,
                         void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error == ERR_GROUP_NOT_FOUND && !request->is_by_name) {
        find_by_name(request);
        return;
    }
    if (error) {
        if (error == ERR_GROUP_NOT_FOUND) /* deleted in this moment */
            admin_fail(call, 404, "the application has no group with this id or name");
        else
            admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "app", app_id_of(call));
    write_members(call, group);
    json_key(w, "members");
    json_array(w);
    for (size_t i = 0; i < members.count; i++)
        json_str(w, members.list[i]);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void read_group(struct request *request, struct str id)
{
    struct call *call = request->call;

    group_read(admin_core_of(call), call_arena(call), app_id_of(call), id,
               request->page * MEMBERS_PAGE, MEMBERS_PAGE, answer_group, request);
}

static void show_app_read(enum error error, const struct app *app, void *arg)
{
    struct request *request = arg;

    (void)app;
    if (error)
        admin_fail_error(request->call, error);
    else
        read_group(request, call_path_param(request->call, "group"));
}

static void show(struct call *call)
{
    struct request *request = request_new(call);

    if (request)
        app_read(admin_core_of(call), app_id_of(call), show_app_read, request);
}

const struct route admin_group_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}/groups", 0, list},
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}/groups/{group}", 0, show},
    {0},
};

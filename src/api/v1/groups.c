/*
 * Groups of devices (/iocm/app/devgroup), and their members (/iocm/app/dm). Most of what goes wrong
 * here is answered with status 200 and an error_code.
 */
#include "api/v1/v1.h"

#include "core/device/group.h"

#define DESCRIPTION_MAX 1024
#define LIST_PAGE_MAX   500

/* ---- reading requests ---- */

struct page {
    uint64_t number, size;
};

/* false: not numbers, or out of their bounds. An empty one counts as absent. */
static bool read_page(const struct call *call, uint64_t default_size, uint64_t most,
                      struct page *page)
{
    struct str number = call_query(call, "pageNo"), size = call_query(call, "pageSize");

    *page = (struct page){0, default_size};
    return (!number.len || str_to_u64(number, INT32_MAX, &page->number)) &&
           (!size.len || (str_to_u64(size, most, &page->size) && page->size >= 1));
}

/* The texts of an array; false: one is no text. */
static bool read_ids(struct call *call, const struct json *array, struct group_ids *ids)
{
    struct str *list =
        arena_alloc(call_arena(call), (array ? array->count + 1 : 1) * sizeof(*list));

    *ids = (struct group_ids){list, 0};
    JSON_FOREACH (id, array) {
        if (id->type != JSON_STRING)
            return false;
        list[ids->count++] = id->text;
    }
    return true;
}

static struct str json_text_of(struct call *call, struct str text)
{
    struct json_writer *w = json_writer_new();
    struct str json;

    json_str(w, text);
    json = arena_str(call_arena(call), json_writer_text(w));
    json_writer_free(w);
    return json;
}

/* ---- writing groups ---- */

static void write_members(struct json_writer *w, const struct group *group, struct str app_id)
{
    json_member_str(w, "name", group->name);
    json_member_raw(w, "description", group->description);
    json_member_str(w, "id", group->id);
    json_member_str(w, "appId", app_id);
    json_member_i64(w, "maxDevNum", group->most_devices);
    json_member_i64(w, "curDevNum", group->devices);
}

/* As queries show it. No application makes groups for another one, so the owner is the creator. */
static void write_group(struct json_writer *w, const struct group *group, struct str app_id)
{
    json_object(w);
    write_members(w, group, app_id);
    json_member_str(w, "creator", app_id);
    json_object_end(w);
}

static void write_ids(struct json_writer *w, struct group_ids ids)
{
    json_key(w, "deviceIds");
    json_array(w);
    for (size_t i = 0; i < ids.count; i++)
        json_str(w, ids.list[i]);
    json_array_end(w);
}

/* ---- creating ---- */

struct group_body {
    struct str name, description, app_id;
    int64_t most_devices;
    const struct json *devices;
};

static const struct field create_fields[] = {
    {"name", FIELD_STRING, offsetof(struct group_body, name), 1, GROUP_NAME_MAX, FIELD_REQUIRED,
     NULL},
    {"description", FIELD_STRING, offsetof(struct group_body, description), 0, DESCRIPTION_MAX, 0,
     NULL},
    {"appId", FIELD_STRING, offsetof(struct group_body, app_id), 0, 256, 0, NULL},
    {"maxDevNum", FIELD_INT, offsetof(struct group_body, most_devices), 0, INT32_MAX, 0, NULL},
    {"deviceIds", FIELD_ARRAY, offsetof(struct group_body, devices), 0, 0, 0, NULL},
    {0},
};

struct creating {
    struct call *call;
    struct group wanted;
    struct group_ids members;
    bool names_members;
};

static void answer_created(enum error error, const struct group *group, void *arg)
{
    struct creating *creating = arg;
    struct call *call = creating->call;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error == ERR_APP_NOT_FOUND     ? ERR_APP_NOT_FOUND_200
                      : error == ERR_GROUP_FULL      ? ERR_GROUP_TOO_MANY
                      : error == ERR_GROUP_PARAMETER ? ERR_BAD_REQUEST
                                                     : error);
        return;
    }
    json_object(w);
    write_members(w, group, v1_app_id(call));
    if (creating->names_members)
        write_ids(w, creating->members);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void create_own(struct call *call)
{
    struct creating *creating = call_context(call);

    group_create(v1_core(call), call_arena(call), v1_app_id(call), &creating->wanted,
                 creating->members, answer_created, creating);
}

static void create(struct call *call)
{
    struct creating *creating = arena_zalloc(call_arena(call), sizeof(*creating));
    struct group_body body = {0};

    if (!v1_read_body(call, create_fields, &body, ERR_BAD_REQUEST, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      NULL))
        return;
    if (!group_name_is_valid(body.name) || !read_ids(call, body.devices, &creating->members)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    if (creating->members.count > (size_t)v1_core(call)->settings->group_ids_per_call) {
        v1_fail(call, ERR_GROUP_TOO_MANY);
        return;
    }
    creating->call = call;
    creating->names_members = body.devices != NULL;
    creating->wanted.name = body.name;
    creating->wanted.description = json_text_of(call, body.description);
    creating->wanted.most_devices = body.most_devices;
    call_set_context(call, creating);
    v1_check_app_200(call, body.app_id, create_own);
}

/* ---- modifying, deleting ---- */

static const struct field modify_fields[] = {
    {"name", FIELD_STRING, offsetof(struct group_body, name), 1, GROUP_NAME_MAX, FIELD_REQUIRED,
     NULL},
    {"description", FIELD_STRING, offsetof(struct group_body, description), 0, DESCRIPTION_MAX, 0,
     NULL},
    {"maxDevNum", FIELD_INT, offsetof(struct group_body, most_devices), 0, INT32_MAX, 0, NULL},
    {0},
};

static void answer_modified(enum error error, const struct group *group, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    write_members(w, group, v1_app_id(call));
    json_object_end(w);
    call_reply_json(call, 200);
}

static void modify_own(struct call *call)
{
    group_modify(v1_core(call), call_arena(call), v1_app_id(call),
                 call_path_param(call, "devGroupId"), call_context(call), answer_modified, call);
}

static void modify(struct call *call)
{
    struct group_change *change = arena_zalloc(call_arena(call), sizeof(*change));
    struct group_body body = {.most_devices = -1};

    if (!v1_read_body(call, modify_fields, &body, ERR_BAD_REQUEST, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      NULL))
        return;
    if (!group_name_is_valid(body.name)) {
        v1_fail(call, ERR_BAD_REQUEST);
        return;
    }
    change->name = body.name;
    change->description = body.description.p ? json_text_of(call, body.description) : STR_NONE;
    change->most_devices = body.most_devices;
    call_set_context(call, change);
    v1_check_app_200(call, STR_NONE, modify_own);
}

static void answer_done(enum error error, void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 200);
}

static void delete_own(struct call *call)
{
    group_delete(v1_core(call), call_arena(call), v1_app_id(call),
                 call_path_param(call, "devGroupId"), answer_done, call);
}

static void delete_group(struct call *call)
{
    v1_check_app_200(call, STR_NONE, delete_own);
}

/* ---- querying ---- */

static void answer_list(enum error error, const struct group *groups, size_t count, int64_t total,
                        void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    const struct page *page = call_context(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, "totalCount", total);
    json_member_i64(w, "pageNo", (int64_t)page->number);
    json_member_i64(w, "pageSize", (int64_t)page->size);
    json_key(w, "list");
    json_array(w);
    for (size_t i = 0; i < count; i++)
        write_group(w, &groups[i], v1_app_id(call));
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_own(struct call *call)
{
    const struct page *page = call_context(call);
    struct str name = call_query(call, "name");

    group_list(v1_core(call), call_arena(call), v1_app_id(call), name.len ? name : STR_NONE,
               page->number * page->size, page->size, answer_list, call);
}

static void list(struct call *call)
{
    struct page *page = arena_alloc(call_arena(call), sizeof(*page));
    struct str name = call_query(call, "name");

    call_set_context(call, page);
    if (read_page(call, 1, LIST_PAGE_MAX, page) && (!name.len || group_name_is_valid(name)))
        v1_check_app_200(call, STR_NONE, list_own);
    else
        v1_fail(call, ERR_BAD_REQUEST);
}

static void answer_one(enum error error, const struct group *group, struct group_ids members,
                       void *arg)
{
    struct call *call = arg;

    (void)members;
    if (error) {
        v1_fail(call, error);
        return;
    }
    write_group(call_json(call), group, v1_app_id(call));
    call_reply_json(call, 200);
}

static void query_own(struct call *call)
{
    group_read(v1_core(call), call_arena(call), v1_app_id(call),
               call_path_param(call, "devGroupId"), 0, 0, answer_one, call);
}

static void query_one(struct call *call)
{
    v1_check_app_200(call, STR_NONE, query_own);
}

/* ---- members ---- */

static void answer_members(enum error error, const struct group *group, struct group_ids members,
                           void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    const struct page *page = call_context(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, "totalCount", group->devices);
    json_member_i64(w, "pageNo", (int64_t)page->number);
    json_member_i64(w, "pageSize", (int64_t)page->size);
    write_ids(w, members);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_own_members(struct call *call)
{
    const struct page *page = call_context(call);

    group_read(v1_core(call), call_arena(call), v1_app_id(call), call_query(call, "devGroupId"),
               page->number * page->size, page->size, answer_members, call);
}

static void list_members(struct call *call)
{
    struct page *page = arena_alloc(call_arena(call), sizeof(*page));

    call_set_context(call, page);
    if (call_query(call, "devGroupId").len && read_page(call, 10, GROUP_IDS_MAX, page))
        v1_check_app(call, STR_NONE, list_own_members);
    else
        v1_fail(call, ERR_BAD_REQUEST);
}

struct tag_body {
    struct str group_id;
    const struct json *devices;
};

static const struct field tag_fields[] = {
    {"devGroupId", FIELD_STRING, offsetof(struct tag_body, group_id), 1, GROUP_ID_MAX,
     FIELD_REQUIRED, NULL},
    {"deviceIds", FIELD_ARRAY, offsetof(struct tag_body, devices), 1, GROUP_IDS_MAX, FIELD_REQUIRED,
     NULL},
    {0},
};

struct tagging {
    struct call *call;
    struct str group_id;
    struct group_ids devices;
};

/* NULL when it has been answered. */
static struct tagging *read_tagging(struct call *call)
{
    struct tagging *tagging = arena_zalloc(call_arena(call), sizeof(*tagging));
    struct tag_body body = {0};

    if (!v1_read_body(call, tag_fields, &body, ERR_BAD_REQUEST, ERR_BAD_REQUEST, ERR_BAD_REQUEST,
                      NULL))
        return NULL;
    if (!read_ids(call, body.devices, &tagging->devices) ||
        tagging->devices.count > (size_t)v1_core(call)->settings->group_ids_per_call) {
        v1_fail(call, ERR_BAD_REQUEST);
        return NULL;
    }
    tagging->call = call;
    tagging->group_id = body.group_id;
    call_set_context(call, tagging);
    return tagging;
}

static void answer_added(enum error error, void *arg)
{
    struct tagging *tagging = arg;
    struct call *call = tagging->call;
    struct json_writer *w = call_json(call);

    if (error) {
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "devGroupId", tagging->group_id);
    write_ids(w, tagging->devices);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void add_own(struct call *call)
{
    struct tagging *tagging = call_context(call);

    group_add(v1_core(call), call_arena(call), v1_app_id(call), tagging->group_id, tagging->devices,
              answer_added, tagging);
}

static void add(struct call *call)
{
    if (read_tagging(call))
        v1_check_app(call, STR_NONE, add_own);
}

static void remove_own(struct call *call)
{
    struct tagging *tagging = call_context(call);

    group_remove(v1_core(call), call_arena(call), v1_app_id(call), tagging->group_id,
                 tagging->devices, answer_done, call);
}

static void remove_devices(struct call *call)
{
    if (read_tagging(call))
        v1_check_app(call, STR_NONE, remove_own);
}

#define GROUPS  "/iocm/app/devgroup/v1.3.0/devGroups"
#define DEVICES "/iocm/app/dm/v1.1.0/devices"

const struct route v1_group_routes[] = {
    {EVHTTP_REQ_POST, GROUPS, V1_APP, create},
    {EVHTTP_REQ_GET, GROUPS, V1_APP, list},
    {EVHTTP_REQ_GET, GROUPS "/{devGroupId}", V1_APP, query_one},
    {EVHTTP_REQ_PUT, GROUPS "/{devGroupId}", V1_APP, modify},
    {EVHTTP_REQ_DELETE, GROUPS "/{devGroupId}", V1_APP, delete_group},
    {EVHTTP_REQ_GET, "/iocm/app/dm/v1.2.0/devices/ids", V1_APP, list_members},
    {EVHTTP_REQ_POST, DEVICES "/addDevGroupTagToDevices", V1_APP, add},
    {EVHTTP_REQ_POST, DEVICES "/deleteDevGroupTagFromDevices", V1_APP, remove_devices},
    {0},
};

#include "admin/apps.h"

#include "admin/answer.h"
#include "core/app/app.h"
#include "core/device/index.h"

#define LIST_MAX    10000
#define DELETE_STEP 50

/* ---- listing ---- */

static void write_row(struct json_writer *w, const struct app_row *row)
{
    json_object(w);
    json_member_text(w, "appId", row->app->id);
    json_member_text(w, "name", row->app->name);
    json_member_text(w, "state", row->app->is_frozen ? "frozen" : "active");
    admin_write_time(w, "createTime", row->app->created_ms);
    json_member_i64(w, "devices", row->devices);
    json_member_i64(w, "subscriptions", row->subscriptions);
    json_object_end(w);
}

static void answer_list(enum error error, const struct app_row *rows, size_t count, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_key(w, "apps");
    json_array(w);
    for (size_t i = 0; i < count; i++)
        write_row(w, &rows[i]);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list(struct call *call)
{
    app_list(admin_core_of(call), LIST_MAX, answer_list, call);
}

static void answer_one(enum error error, const struct app_row *rows, size_t count, void *arg)
{
    struct call *call = arg;

    if (error || count == 0) {
        admin_fail_error(call, error ? error : ERR_APP_NOT_FOUND);
        return;
    }
    write_row(call_json(call), rows);
    call_reply_json(call, 200);
}

static void show(struct call *call)
{
    app_show(admin_core_of(call), call_path_param(call, "appId"), answer_one, call);
}

/* ---- changing ---- */

struct creation {
    struct call *call;
    struct str name;
};

static void answer_secret(enum error error, const struct app_secret *made, void *arg)
{
    struct creation *creation = arg;
    struct call *call = creation->call;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    call_set_app(call, str_of(made->app_id));
    json_object(w);
    json_member_text(w, "appId", made->app_id);
    json_member_text(w, "secret", made->secret);
    if (creation->name.p) {
        json_member_str(w, "name", creation->name);
        admin_write_time(w, "createTime", made->created_ms);
    }
    json_object_end(w);
    call_add_header(call, "Cache-Control", "no-store");
    call_reply_json(call, creation->name.p ? 201 : 200);
}

static void create(struct call *call)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    struct creation *creation = arena_zalloc(call_arena(call), sizeof(*creation));

    creation->call = call;
    creation->name = json_get_str(body, "name");
    call_audit(call, "admin", creation->name);
    if (!creation->name.len || creation->name.len > APP_NAME_MAX ||
        !str_is_printable(creation->name))
        admin_fail(call, 400, "name: 1 to 256 printable characters are needed");
    else
        app_create(admin_core_of(call), creation->name, answer_secret, creation);
}

static void reset_secret(struct call *call)
{
    struct creation *creation = arena_zalloc(call_arena(call), sizeof(*creation));

    creation->call = call;
    app_reset_secret(admin_core_of(call), call_path_param(call, "appId"), answer_secret, creation);
}

static void answer_done(enum error error, void *arg)
{
    if (error)
        admin_fail_error(arg, error);
    else
        call_reply_empty(arg, 204);
}

static void freeze(struct call *call)
{
    app_set_frozen(admin_core_of(call), call_path_param(call, "appId"), true, answer_done, call);
}

static void unfreeze(struct call *call)
{
    app_set_frozen(admin_core_of(call), call_path_param(call, "appId"), false, answer_done, call);
}

/* ---- deleting, with its devices: some at a time, until none is left ---- */

struct cascade {
    struct call *call;
    struct arena *arena; /* of the step under way */
    size_t waiting, deleted;
    enum error error;
};

static void delete_devices(struct cascade *cascade);

static void cascade_end(struct cascade *cascade, enum error error)
{
    arena_free(cascade->arena);
    cascade->arena = NULL;
    if (error)
        admin_fail_error(cascade->call, error);
    else
        app_delete(admin_core_of(cascade->call), call_path_param(cascade->call, "appId"),
                   answer_done, cascade->call);
}

static void device_gone(enum error error, void *arg)
{
    struct cascade *cascade = arg;

    if (error == ERR_INTERNAL)
        cascade->error = error;
    else
        cascade->deleted++;
    if (--cascade->waiting > 0)
        return;
    if (cascade->error)
        cascade_end(cascade, cascade->error);
    else
        delete_devices(cascade);
}

static void device_deleted(enum error error, void *arg);

struct cascade_device {
    struct cascade *cascade;
    struct str id;
};

static void devices_listed(enum error error, const struct str *ids, size_t count, void *arg)
{
    struct cascade *cascade = arg;
    struct call *call = cascade->call;

    if (error || count == 0) {
        cascade_end(cascade, error);
        return;
    }
    arena_free(cascade->arena);
    cascade->arena = arena_new();
    cascade->waiting = count;
    for (size_t i = 0; i < count; i++) {
        struct cascade_device *device = arena_alloc(cascade->arena, sizeof(*device));

        *device = (struct cascade_device){cascade, arena_str(cascade->arena, ids[i])};
        device_delete(admin_core_of(call), cascade->arena, call_path_param(call, "appId"),
                      device->id, true, device_deleted, device);
    }
}

/* A device that is in the index and nowhere else would be found again and again. */
static void device_deleted(enum error error, void *arg)
{
    struct cascade_device *device = arg;
    struct call *call = device->cascade->call;

    if (error == ERR_DEVICE_NOT_FOUND)
        device_index_forget(admin_core_of(call), call_path_param(call, "appId"), device->id,
                            device_gone, device->cascade);
    else
        device_gone(error, device->cascade);
}

static void delete_devices(struct cascade *cascade)
{
    app_devices(admin_core_of(cascade->call), call_path_param(cascade->call, "appId"), DELETE_STEP,
                devices_listed, cascade);
}

static void delete_app(struct call *call)
{
    if (str_eq(call_query(call, "cascade"), STR("true"))) {
        struct cascade *cascade = arena_zalloc(call_arena(call), sizeof(*cascade));

        cascade->call = call;
        delete_devices(cascade);
    } else {
        app_delete(admin_core_of(call), call_path_param(call, "appId"), answer_done, call);
    }
}

const struct route admin_app_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/apps", 0, list},
    {EVHTTP_REQ_POST, "/admin/v1/apps", 0, create},
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}", 0, show},
    {EVHTTP_REQ_DELETE, "/admin/v1/apps/{appId}", 0, delete_app},
    {EVHTTP_REQ_POST, "/admin/v1/apps/{appId}/freeze", 0, freeze},
    {EVHTTP_REQ_POST, "/admin/v1/apps/{appId}/unfreeze", 0, unfreeze},
    {EVHTTP_REQ_POST, "/admin/v1/apps/{appId}/reset-secret", 0, reset_secret},
    {0},
};

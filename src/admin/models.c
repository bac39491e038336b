/*
 * Product models of an application. A package is the body as it is, its file name stands in the query:
 * POST .../models?name=WaterMeter_ACME01_WM200.zip[&replace=true].
 */
#include "admin/models.h"

#include "admin/answer.h"
#include "base/log.h"
#include "core/app/app.h"
#include "core/device/index.h"
#include "core/model/package.h"
#include "core/model/store.h"
#include <stdlib.h>

#define FILE_NAME_MAX 1024

struct request {
    struct call *call;
    struct model *model; /* held */
    struct model_catalogue *catalogue; /* held */
    const struct model_facts *facts;   /* in it */
};

static struct str app_id_of(const struct call *call)
{
    return call_path_param(call, "appId");
}

static struct request *request_new(struct call *call)
{
    struct request *request = arena_zalloc(call_arena(call), sizeof(*request));

    request->call = call;
    return request;
}

static void request_end(struct request *request)
{
    model_release(request->model);
    model_catalogue_release(request->catalogue);
}

static void fail(struct request *request, enum error error)
{
    request_end(request);
    if (error == ERR_NOT_FOUND)
        admin_fail(request->call, 404, "the application has no such product model");
    else
        admin_fail_error(request->call, error);
}

static bool is_switched_on(const struct call *call, const char *name)
{
    return str_eq(call_query(call, name), STR("true"));
}

/* ---- showing ---- */

static void write_names(struct json_writer *w, struct str product_id, struct str manufacturer_id,
                        struct str manufacturer_name, struct str name, struct str device_type,
                        struct str protocol_type)
{
    json_member_str(w, "productId", product_id);
    json_member_str(w, "manufacturerId", manufacturer_id);
    json_member_str(w, "manufacturerName", manufacturer_name);
    json_member_str(w, "model", name);
    json_member_str(w, "deviceType", device_type);
    json_member_str(w, "protocolType", protocol_type);
}

static void write_facts(struct json_writer *w, const struct model_facts *facts)
{
    write_names(w, facts->product_id, facts->manufacturer_id, facts->manufacturer_name,
                facts->name, facts->device_type, facts->protocol_type);
    json_member_i64(w, "services", facts->services);
    json_member_i64(w, "packageBytes", facts->package_bytes);
    json_member_str(w, "version", facts->version);
    admin_write_time(w, "createTime", facts->created_ms);
    admin_write_time(w, "modifyTime", facts->modified_ms);
}

static void answer_list(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error) {
        fail(request, error);
        return;
    }
    json_object(w);
    json_key(w, "models");
    json_array(w);
    for (size_t i = 0; i < catalogue->count; i++) {
        json_object(w);
        write_facts(w, &catalogue->list[i]);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void app_was_read(enum error error, const struct app *app, void *arg)
{
    struct request *request = arg;

    (void)app;
    if (error)
        fail(request, error);
    else
        model_catalogue_read(admin_core_of(request->call), app_id_of(request->call), answer_list,
                             request);
}

static void list(struct call *call)
{
    app_read(admin_core_of(call), app_id_of(call), app_was_read, request_new(call));
}

static void answer_one(enum error error, struct model *model, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error || !model) {
        fail(request, error ? error : ERR_NOT_FOUND);
        return;
    }
    json_object(w);
    write_facts(w, request->facts);
    json_key(w, "serviceCapabilities");
    model_write_capabilities(model, w);
    json_object_end(w);
    request_end(request);
    call_reply_json(call, 200);
}

/* Finds what the path names; false: it has been answered. */
static bool take_catalogue(struct request *request, enum error error,
                           struct model_catalogue *catalogue)
{
    if (!error) {
        request->facts =
            model_catalogue_find(catalogue, call_path_param(request->call, "productId"));
        request->catalogue = model_catalogue_hold(catalogue);
    }
    if (!error && request->facts)
        return true;
    fail(request, error ? error : ERR_NOT_FOUND);
    return false;
}

static void found_to_show(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    if (take_catalogue(request, error, catalogue))
        model_get(admin_core_of(call), call_arena(call), app_id_of(call),
                  request->facts->product_id, answer_one, request);
}

static void show(struct call *call)
{
    model_catalogue_read(admin_core_of(call), app_id_of(call), found_to_show, request_new(call));
}

static void answer_package(enum error error, struct str package, void *arg)
{
    struct request *request = arg;
    const struct model_facts *facts = request->facts;
    struct call *call = request->call;

    if (error) {
        fail(request, error);
        return;
    }
    call_add_header(call, "X-Package-Name",
                    arena_printf(call_arena(call), "%.*s_%.*s_%.*s.zip",
                                 STR_ARG(facts->device_type), STR_ARG(facts->manufacturer_id),
                                 STR_ARG(facts->name)));
    request_end(request);
    call_reply_text(call, 200, "application/zip", package);
}

static void found_to_export(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    if (take_catalogue(request, error, catalogue))
        model_read_package(admin_core_of(call), app_id_of(call), request->facts->product_id,
                           answer_package, request);
}

static void export(struct call *call)
{
    model_catalogue_read(admin_core_of(call), app_id_of(call), found_to_export, request_new(call));
}

/* ---- uploading ---- */

static void answer_stored(enum error error, const struct model_put_result *result, void *arg)
{
    struct request *request = arg;
    const struct model *model = request->model;
    struct call *call = request->call;
    struct json_writer *w = call_json(call);

    if (error == ERR_MODEL_EXISTS) {
        request_end(request);
        admin_fail(call, 409,
                   arena_printf(call_arena(call),
                                "the application has a model of this manufacturer and model "
                                "already, product %.*s: --replace (replace=true) replaces it",
                                STR_ARG(result->product_id)));
    } else if (error == ERR_MODEL_QUOTA) {
        request_end(request);
        admin_fail(call, 409, "the application has as many product models as it may have "
                              "(model.per_application)");
    } else if (error) {
        fail(request, error);
    } else {
        log_info("model", "app=%.*s product=%.*s manufacturer=%.*s model=%.*s state=%s",
                 STR_ARG(app_id_of(call)), STR_ARG(result->product_id),
                 STR_ARG(model->manufacturer_id), STR_ARG(model->name),
                 result->has_replaced ? "replaced" : "stored");
        json_object(w);
        write_names(w, result->product_id, model->manufacturer_id, model->manufacturer_name,
                    model->name, model->device_type, model->protocol_type);
        json_member_i64(w, "services", (int64_t)model->service_count);
        json_member_bool(w, "replaced", result->has_replaced);
        json_object_end(w);
        request_end(request);
        call_reply_json(call, result->has_replaced ? 200 : 201);
    }
}

static void upload(struct call *call)
{
    const struct core_settings *settings = admin_core_of(call)->settings;
    const struct model_package_limits limits = {
        settings->model_package_bytes, settings->model_files, settings->model_unpacked_bytes,
        settings->model_content_bytes};
    struct request *request = request_new(call);
    struct str name = call_query(call, "name");
    struct model_upload upload = {.package = call_body(call),
                                  .replaces = is_switched_on(call, "replace")};
    const char *problem = NULL;

    call_audit(call, "admin", name);
    if (name.len > FILE_NAME_MAX || !str_is_printable(name)) {
        admin_fail(call, 400, "name: up to 1024 printable characters");
        return;
    }
    upload.content = model_package_read(call_arena(call), upload.package, name, &limits,
                                        &request->model, &problem);
    if (!upload.content.p) {
        admin_fail(call, 400,
                   arena_printf(call_arena(call), "the package is refused: %s", problem));
        return;
    }
    upload.model = request->model;
    model_put(admin_core_of(call), call_arena(call), app_id_of(call), &upload, answer_stored,
              request);
}

/* ---- deleting ---- */

static void answer_deleted(enum error error, void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    if (error) {
        fail(request, error);
        return;
    }
    log_info("model", "app=%.*s product=%.*s state=deleted", STR_ARG(app_id_of(call)),
             STR_ARG(request->facts->product_id));
    request_end(request);
    call_reply_empty(call, 204);
}

static void delete_now(struct request *request)
{
    struct call *call = request->call;

    model_delete(admin_core_of(call), call_arena(call), app_id_of(call), request->facts,
                 answer_deleted, request);
}

static void users_counted(enum error error, uint64_t total, const struct str *ids, size_t count,
                          void *arg)
{
    struct request *request = arg;
    struct call *call = request->call;

    (void)ids;
    (void)count;
    if (error) {
        fail(request, error);
    } else if (total) {
        request_end(request);
        admin_fail(call, 409,
                   arena_printf(call_arena(call),
                                "%llu devices are of this manufacturer and model: --force "
                                "(force=true) deletes it all the same",
                                (unsigned long long)total));
    } else {
        delete_now(request);
    }
}

/* Who registers a device meanwhile has one without a model: nothing is wrong with that. */
static void found_to_delete(enum error error, struct model_catalogue *catalogue, void *arg)
{
    static const struct device_page only_count = {0};
    struct request *request = arg;
    struct call *call = request->call;
    struct device_filter filter = {0};

    if (!take_catalogue(request, error, catalogue))
        return;
    filter.manufacturer_id = request->facts->manufacturer_id;
    filter.model = request->facts->name;
    if (is_switched_on(call, "force"))
        delete_now(request);
    else
        device_index_find(admin_core_of(call), call_arena(call), app_id_of(call), &filter,
                          &only_count, users_counted, request);
}

static void delete_model(struct call *call)
{
    model_catalogue_read(admin_core_of(call), app_id_of(call), found_to_delete, request_new(call));
}

#define MODELS "/admin/v1/apps/{appId}/models"

const struct route admin_model_routes[] = {
    {EVHTTP_REQ_GET, MODELS, 0, list},
    {EVHTTP_REQ_POST, MODELS, 0, upload},
    {EVHTTP_REQ_GET, MODELS "/{productId}", 0, show},
    {EVHTTP_REQ_GET, MODELS "/{productId}/package", 0, export},
    {EVHTTP_REQ_DELETE, MODELS "/{productId}", 0, delete_model},
    {0},
};

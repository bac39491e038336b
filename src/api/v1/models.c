/* What devices can do, by their product models: capabilities, device types. */
#include "api/v1/v1.h"

#include "core/device/index.h"
#include "core/model/store.h"
#include <stdlib.h>

/* ---- capabilities ---- */

/* Of one device, of what is behind a gateway and the gateway itself, or of all of the application. The
 * answer names each device with all its services, so its devices and its bytes are limited. */
struct capabilities {
    struct call *call;
    const struct device *const *devices;
    size_t count, next;
    int64_t bytes; /* of the answer so far, about */
};

static void fail(struct capabilities *capabilities, enum error error)
{
    v1_fail(capabilities->call, error);
}

static bool has_room(struct capabilities *capabilities, const struct model *model)
{
    const struct core_settings *settings = v1_core(capabilities->call)->settings;

    capabilities->bytes += (int64_t)model_capabilities_bytes(model) + 100;
    return capabilities->bytes <= settings->capability_bytes;
}

static void write_one(struct capabilities *capabilities, const struct model *model)
{
    struct json_writer *w = call_json(capabilities->call);

    json_object(w);
    json_member_str(w, "deviceId", capabilities->devices[capabilities->next++]->id);
    json_key(w, "serviceCapabilities");
    if (model) {
        model_write_capabilities(model, w);
    } else {
        json_array(w);
        json_array_end(w);
    }
    json_object_end(w);
}

static void model_found(enum error error, struct model *model, void *arg);

static void go_on(struct capabilities *capabilities)
{
    struct call *call = capabilities->call;

    while (capabilities->next < capabilities->count) {
        struct model_reference reference =
            model_reference_of(capabilities->devices[capabilities->next]);
        struct model *model;

        if (!model_match_cached(v1_core(call), &reference, &model)) {
            model_match(v1_core(call), call_arena(call), &reference, model_found, capabilities);
            return;
        }
        if (!has_room(capabilities, model)) {
            fail(capabilities, ERR_DEVICE_PARAMETER);
            return;
        }
        write_one(capabilities, model);
    }
    json_array_end(call_json(call));
    json_object_end(call_json(call));
    call_reply_json(call, 200);
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct capabilities *capabilities = arg;

    if (error || !has_room(capabilities, model)) {
        fail(capabilities, error ? error : ERR_DEVICE_PARAMETER);
        return;
    }
    write_one(capabilities, model);
    go_on(capabilities);
}

static void devices_read(enum error error, const struct device *const *devices, size_t count,
                         void *arg)
{
    struct capabilities *capabilities = arg;
    struct json_writer *w = call_json(capabilities->call);

    if (error) {
        fail(capabilities, error);
        return;
    }
    capabilities->devices = devices;
    capabilities->count = count;
    json_object(w);
    json_key(w, "deviceCapabilities");
    json_array(w);
    go_on(capabilities);
}

static void devices_found(enum error error, uint64_t total, const struct str *ids, size_t count,
                          void *arg)
{
    struct capabilities *capabilities = arg;
    struct call *call = capabilities->call;

    if (!error && total > (uint64_t)v1_core(call)->settings->devices_per_query)
        error = ERR_DEVICE_PARAMETER;
    if (error)
        fail(capabilities, error);
    else
        device_read_list(v1_core(call), call_arena(call), v1_app_id(call), ids, count, false,
                         devices_read, capabilities);
}

static void query_own(struct call *call)
{
    struct capabilities *capabilities = arena_zalloc(call_arena(call), sizeof(*capabilities));
    struct str *device_id = arena_alloc(call_arena(call), sizeof(*device_id));
    struct str gateway_id = call_query(call, "gatewayId");
    struct device_filter filter = {.gateway_id = gateway_id.len ? gateway_id : STR_NONE};
    struct device_page page = {
        .is_descending = true,
        .count = (size_t)v1_core(call)->settings->devices_per_query};

    capabilities->call = call;
    *device_id = call_query(call, "deviceId");
    if (device_id->len)
        device_read_list(v1_core(call), call_arena(call), v1_app_id(call), device_id, 1, false,
                         devices_read, capabilities);
    else
        device_index_find(v1_core(call), call_arena(call), v1_app_id(call), &filter, &page,
                          devices_found, capabilities);
}

static void query_capabilities(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own);
}

/* ---- device types ---- */

static int by_type(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    size_t common = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->p, y->p, common);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void answer_types(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    struct str *types;

    if (error) {
        v1_fail(call, error);
        return;
    }
    types = arena_alloc(call_arena(call), (catalogue->count + 1) * sizeof(*types));
    for (size_t i = 0; i < catalogue->count; i++)
        types[i] = catalogue->list[i].device_type;
    if (catalogue->count)
        qsort(types, catalogue->count, sizeof(*types), by_type);
    json_object(w);
    json_key(w, "deviceTypes");
    json_array(w);
    for (size_t i = 0; i < catalogue->count; i++) {
        if (i == 0 || !str_eq(types[i], types[i - 1]))
            json_str(w, types[i]);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void query_own_types(struct call *call)
{
    model_catalogue_read(v1_core(call), v1_app_id(call), answer_types, call);
}

static void query_types(struct call *call)
{
    v1_check_app(call, call_query(call, "appId"), query_own_types);
}

const struct route v1_model_routes[] = {
    {EVHTTP_REQ_GET, "/iocm/app/data/v1.1.0/deviceCapabilities", V1_APP, query_capabilities},
    {EVHTTP_REQ_GET, "/iocm/app/profile/v1.1.0/allDeviceTypes", V1_APP, query_types},
    {0},
};

#include "admin/devices.h"

#include "admin/answer.h"
#include "base/clock.h"
#include "core/app/app.h"
#include "core/device/index.h"

#define PAGE_SIZE_DEFAULT 50
#define PAGE_SIZE_MAX     1000

/* ---- listing ---- */

struct listing {
    struct call *call;
    struct device_filter filter;
    struct device_page wanted;
    uint64_t page, size, total;
};

static void write_row(struct json_writer *w, const struct device *device)
{
    json_object(w);
    json_member_str(w, "id", device->id);
    json_member_str(w, "nodeId", device_member(device, "nodeId"));
    json_member_str(w, "name", device_member(device, "name"));
    json_member_str(w, "type", device_member(device, "deviceType"));
    json_member_str(w, "status", device_member(device, "status"));
    json_member_str(w, "gateway",
                    str_eq(device->id, device->gateway_id) ? STR_NONE : device->gateway_id);
    admin_write_time(w, "createTime", device->created_ms);
    json_object_end(w);
}

static void answer_list(enum error error, const struct device *const *devices, size_t count,
                        void *arg)
{
    struct listing *listing = arg;
    struct json_writer *w = call_json(listing->call);

    if (error) {
        admin_fail_error(listing->call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, "totalCount", (int64_t)listing->total);
    json_member_i64(w, "page", (int64_t)listing->page);
    json_member_i64(w, "size", (int64_t)listing->size);
    json_key(w, "devices");
    json_array(w);
    for (size_t i = 0; i < count; i++) {
        if (device_matches(devices[i], &listing->filter))
            write_row(w, devices[i]);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(listing->call, 200);
}

static void page_found(enum error error, uint64_t total, const struct str *ids, size_t count,
                       void *arg)
{
    struct listing *listing = arg;
    struct call *call = listing->call;

    listing->total = total;
    if (error)
        admin_fail_error(call, error);
    else
        device_read_list(admin_core_of(call), call_arena(call), call_path_param(call, "appId"), ids,
                         count, false, answer_list, listing);
}

static bool read_number(const struct call *call, const char *name, uint64_t least, uint64_t most,
                        uint64_t *number)
{
    struct str text = call_query(call, name);

    return !text.len || (str_to_u64(text, most, number) && *number >= least);
}

static bool read_status(const struct call *call, struct str *status)
{
    static const char *const names[] = {"ONLINE", "OFFLINE", "INACTIVE", "ABNORMAL"};
    struct str text = call_query(call, "status");

    for (size_t i = 0; text.len && i < sizeof(names) / sizeof(*names); i++) {
        if (str_eq_nocase(text, str_of(names[i]))) {
            *status = str_of(names[i]);
            return true;
        }
    }
    return !text.len;
}

static struct str text_or_none(const struct call *call, const char *name)
{
    struct str text = call_query(call, name);

    return text.len ? text : STR_NONE;
}

static void app_found(enum error error, const struct app *app, void *arg)
{
    struct listing *listing = arg;
    struct call *call = listing->call;

    (void)app;
    if (error)
        admin_fail_error(call, error);
    else
        device_index_find(admin_core_of(call), call_arena(call), call_path_param(call, "appId"),
                          &listing->filter, &listing->wanted, page_found, listing);
}

static void list(struct call *call)
{
    struct listing *listing = arena_zalloc(call_arena(call), sizeof(*listing));

    listing->call = call;
    listing->size = PAGE_SIZE_DEFAULT;
    listing->filter.device_type = text_or_none(call, "type");
    listing->filter.name = text_or_none(call, "name");
    listing->filter.gateway_id = text_or_none(call, "gateway");
    if (!core_is_ready(admin_core_of(call))) {
        admin_fail_error(call, ERR_INTERNAL);
    } else if (!read_number(call, "page", 0, INT32_MAX, &listing->page)) {
        admin_fail(call, 400, "page: a number from 0");
    } else if (!read_number(call, "size", 1, PAGE_SIZE_MAX, &listing->size)) {
        admin_fail(call, 400, "size: a number from 1 to 1000");
    } else if (!read_status(call, &listing->filter.status)) {
        admin_fail(call, 400, "status: ONLINE, OFFLINE, INACTIVE or ABNORMAL");
    } else {
        listing->wanted = (struct device_page){true, listing->page * listing->size, listing->size};
        app_read(admin_core_of(call), call_path_param(call, "appId"), app_found, listing);
    }
}

/* ---- one ---- */

static void write_services(struct json_writer *w, const struct device *device)
{
    json_key(w, "services");
    json_array(w);
    for (const struct device_service *service = device->services; service;
         service = service->next) {
        json_object(w);
        json_member_str(w, "serviceId", service->id);
        admin_write_time(w, "eventTime", service->time_ms);
        json_key(w, "data");
        json_object(w);
        for (size_t i = 0; i < service->properties.count; i++) {
            json_key_str(w, service->properties.list[i].name);
            json_raw(w, service->properties.list[i].value);
        }
        json_object_end(w);
        json_object_end(w);
    }
    json_array_end(w);
}

/* No credentials: they are told once, to who registers. */
static void answer_one(enum error error, const struct device *device, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    call_set_app(call, device->app_id);
    json_object(w);
    json_member_str(w, "id", device->id);
    json_member_str(w, "application", device->app_id);
    json_member_str(w, "gateway", device->gateway_id);
    json_member_bool(w, "activated", device->is_activated);
    admin_write_time(w, "createTime", device->created_ms);
    admin_write_time(w, "lastModifiedTime", device->modified_ms);
    for (size_t i = 0; device_info_names[i]; i++) {
        struct str value = device_member(device, device_info_names[i]);

        if (value.len)
            json_member_str(w, device_info_names[i], value);
    }
    write_services(w, device);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void show(struct call *call)
{
    if (!core_is_ready(admin_core_of(call)))
        admin_fail_error(call, ERR_INTERNAL);
    else
        device_read(admin_core_of(call), call_arena(call), STR_NONE,
                    call_path_param(call, "deviceId"), true, answer_one, call);
}

static void answer_deleted(enum error error, void *arg)
{
    if (error)
        admin_fail_error(arg, error);
    else
        call_reply_empty(arg, 204);
}

static void delete_device(struct call *call)
{
    bool cascade = str_eq(call_query(call, "cascade"), STR("true"));

    call_audit(call, "admin", call_path_param(call, "deviceId"));
    if (!core_is_ready(admin_core_of(call)))
        admin_fail_error(call, ERR_INTERNAL);
    else
        device_delete(admin_core_of(call), call_arena(call), STR_NONE,
                      call_path_param(call, "deviceId"), cascade, answer_deleted, call);
}

const struct route admin_device_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}/devices", 0, list},
    {EVHTTP_REQ_GET, "/admin/v1/devices/{deviceId}", 0, show},
    {EVHTTP_REQ_DELETE, "/admin/v1/devices/{deviceId}", 0, delete_device},
    {0},
};

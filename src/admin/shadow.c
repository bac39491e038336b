#include "admin/shadow.h"

#include "admin/answer.h"
#include "core/data/shadow.h"

static void write_reported(struct json_writer *w, const struct device_service *reported)
{
    json_key(w, "reported");
    json_object(w);
    for (size_t i = 0; reported && i < reported->properties.count; i++) {
        json_key_str(w, reported->properties.list[i].name);
        json_raw(w, reported->properties.list[i].value);
    }
    json_object_end(w);
    if (reported)
        admin_write_time(w, "reportTime", reported->time_ms);
    else
        json_member_null(w, "reportTime");
}

static void write_desired(struct json_writer *w, const struct shadow_service *service)
{
    json_key(w, "desired");
    json_object(w);
    for (const struct shadow_property *each = service->desired; each; each = each->next) {
        json_key_str(w, each->name);
        json_raw(w, each->value);
    }
    json_object_end(w);
    if (service->desired)
        admin_write_time(w, "desireTime", service->written_ms);
    else
        json_member_null(w, "desireTime");
    json_member_i64(w, "version", service->version);
}

/* Which of the desired values are on their way: sent, and not reported since. */
static void write_sent(struct json_writer *w, const struct shadow_service *service)
{
    json_key(w, "sent");
    json_object(w);
    for (const struct shadow_property *each = service->desired; each; each = each->next) {
        if (each->sent_ms)
            admin_write_time(w, each->name.p, each->sent_ms);
    }
    json_object_end(w);
}

static void answer_shadow(enum error error, const struct shadow *shadow, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error == ERR_DEVICE_NOT_FOUND) {
        admin_fail(call, 404, "no such device");
        return;
    }
    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_member_str(w, "deviceId", shadow->device->id);
    json_member_str(w, "appId", shadow->device->app_id);
    json_member_str(w, "status", device_member(shadow->device, "status"));
    json_key(w, "services");
    json_array(w);
    for (const struct shadow_service *each = shadow->services; each; each = each->next) {
        json_object(w);
        json_member_str(w, "serviceId", each->id);
        json_member_str(w, "serviceType", each->type);
        write_reported(w, each->reported);
        write_desired(w, each);
        write_sent(w, each);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void show(struct call *call)
{
    shadow_read(admin_core_of(call), call_arena(call), STR_NONE,
                call_path_param(call, "deviceId"), answer_shadow, call);
}

const struct route admin_shadow_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/devices/{deviceId}/shadow", 0, show},
    {0},
};

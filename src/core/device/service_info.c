#include "core/device/service_info.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "core/device/device.h"
#include "core/model/store.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#define SERVICE_ID_MAX   256
#define COMMAND_NAME_MAX 256

/* '/' separates kind and service in the names of the fields. */
bool service_id_is_valid(struct str service_id)
{
    return service_id.len >= 1 && service_id.len <= SERVICE_ID_MAX &&
           str_is_printable(service_id) && !memchr(service_id.p, '/', service_id.len);
}

bool service_mute_commands_are_valid(const struct core *core, const struct json *mute_commands)
{
    if (!mute_commands || mute_commands->type != JSON_ARRAY ||
        mute_commands->count > (size_t)core->settings->muted_commands)
        return false;
    JSON_FOREACH (name, mute_commands) {
        if (name->type != JSON_STRING || !name->text.len ||
            str_characters(name->text) > COMMAND_NAME_MAX)
            return false;
    }
    return true;
}

/* ---- setting ---- */

struct setting_info {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id, service_id;
    const struct json *mute_commands;
    service_info_cb cb;
    void *arg;
};

static void info_set(enum redis_status status, const redisReply *reply, void *arg)
{
    struct setting_info *setting = arg;
    enum error error = core_error_of(status);

    if (!error && !redis_reply_is(reply, "OK"))
        error = redis_reply_is(reply, "FULL") ? ERR_BAD_REQUEST : ERR_DEVICE_NOT_FOUND;
    setting->cb(error, setting->arg);
}

static void write_info(struct json_writer *w, const struct json *mute_commands)
{
    json_object(w);
    json_key(w, "muteCmds");
    json_value(w, mute_commands);
    json_object_end(w);
}

static struct str info_of(const struct setting_info *setting)
{
    struct json_writer *w = json_writer_new();
    struct str info;

    write_info(w, setting->mute_commands);
    info = arena_str(setting->arena, json_writer_text(w));
    json_writer_free(w);
    return info;
}

/* type STR_NONE: the device has no model, or the model no such service. */
static struct str payload_of(const struct setting_info *setting, struct str type)
{
    struct json_writer *w = json_writer_new();
    struct str payload;

    json_object(w);
    json_member_str(w, "id", setting->service_id);
    if (type.p)
        json_member_str(w, "type", type);
    json_key(w, "info");
    write_info(w, setting->mute_commands);
    json_object_end(w);
    payload = arena_str(setting->arena, json_writer_text(w));
    json_writer_free(w);
    return payload;
}

static void set_info(struct setting_info *setting, struct str type)
{
    struct core *core = setting->core;
    struct str id = setting->device_id;
    uint32_t partition = partition_of(core, id);
    struct key device, shadow, events;
    struct decimal now, most;
    struct str keys[] = {key_device(&device, partition, id), key_shadow(&shadow, partition, id),
                         key_events(&events, partition)};
    struct str args[] = {
        setting->app_id,
        id,
        decimal_str(&now, clock_now_ms()),
        str_of(arena_printf(setting->arena, "si/%.*s", STR_ARG(setting->service_id))),
        info_of(setting),
        payload_of(setting, type),
        decimal_str(&most, core->settings->shadow_properties)};

    redis_script(core->redis, &script_service_info, 3, keys, 7, args, info_set, setting);
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct setting_info *setting = arg;
    const struct model_service *service = model_find_service(model, setting->service_id);

    if (error)
        setting->cb(error, setting->arg);
    else
        set_info(setting, service ? service->type : STR_NONE);
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct setting_info *setting = arg;

    if (error) {
        setting->cb(error, setting->arg);
        return;
    }
    setting->device_id = device->id;
    model_of_device(setting->core, setting->arena, device, model_found, setting);
}

void service_info_set(struct core *core, struct arena *arena, struct str app_id,
                      struct str device_id, struct str service_id, const struct json *mute_commands,
                      service_info_cb cb, void *arg)
{
    struct setting_info *setting = arena_alloc(arena, sizeof(*setting));

    *setting =
        (struct setting_info){core, arena, app_id, STR_NONE, service_id, mute_commands, cb, arg};
    device_read(core, arena, app_id, device_id, false, device_found, setting);
}

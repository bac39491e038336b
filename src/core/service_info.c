#include "core/service_info.h"

#include "base/clock.h"
#include "base/decimal.h"
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

struct setting_info {
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

static struct str info_of(struct arena *arena, const struct json *mute_commands)
{
    struct json_writer *w = json_writer_new();
    struct str info;

    write_info(w, mute_commands);
    info = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
    return info;
}

static struct str payload_of(struct arena *arena, struct str service_id,
                             const struct json *mute_commands)
{
    struct json_writer *w = json_writer_new();
    struct str payload;

    json_object(w);
    json_member_str(w, "id", service_id);
    json_key(w, "info");
    write_info(w, mute_commands);
    json_object_end(w);
    payload = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
    return payload;
}

void service_info_set(struct core *core, struct arena *arena, struct str app_id,
                      struct str device_id, struct str service_id,
                      const struct json *mute_commands, service_info_cb cb, void *arg)
{
    struct setting_info *setting = arena_alloc(arena, sizeof(*setting));
    struct str id = str_is_id(device_id, KEY_ID_MAX) ? device_id : STR("-");
    uint32_t partition = partition_of(core, id);
    struct key device, shadow, events;
    struct decimal now, most;
    struct str keys[] = {key_device(&device, partition, id), key_shadow(&shadow, partition, id),
                         key_events(&events, partition)};
    struct str args[] = {app_id,
                         id,
                         decimal_str(&now, clock_now_ms()),
                         str_of(arena_printf(arena, "si/%.*s", STR_ARG(service_id))),
                         info_of(arena, mute_commands),
                         payload_of(arena, service_id, mute_commands),
                         decimal_str(&most, core->settings->shadow_properties)};

    *setting = (struct setting_info){cb, arg};
    redis_script(core->redis, &script_service_info, 3, keys, 7, args, info_set, setting);
}

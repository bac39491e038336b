#include "core/command/check.h"

#include "core/model/store.h"
#include "core/partition.h"
#include "store/keys.h"

struct check {
    struct core *core;
    struct arena *arena;
    const struct device *device;
    const struct command_order *order;
    struct command_kind kind;
    command_check_cb cb;
    void *arg;
};

/* ---- parameters ---- */

static bool is_number(const struct model_value *value)
{
    return value->type == MODEL_INT || value->type == MODEL_LONG || value->type == MODEL_DECIMAL;
}

/* "12", "-3", "0.5": what a JSON number may look like. */
static bool looks_like_number(struct str text)
{
    size_t digits = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];

        if (c >= '0' && c <= '9')
            digits++;
        else if (!(c == '-' && i == 0) && c != '.')
            return false;
    }
    return digits > 0;
}

static bool para_fits(const struct model_value *value, const struct json *para, bool is_strict,
                      bool enforces_enum)
{
    struct json number;

    if (!is_strict && is_number(value) && para->type == JSON_STRING &&
        looks_like_number(para->text)) {
        number = *para;
        number.type = JSON_NUMBER;
        para = &number;
    }
    return model_check_value(value, para, enforces_enum) == MODEL_GOOD;
}

bool command_paras_fit(const struct model_command *command, const struct json *paras, bool is_strict,
                       bool enforces_enum)
{
    JSON_FOREACH (para, paras) {
        const struct model_value *value = model_find_parameter(command, para->key);

        if (value ? !para_fits(value, para, is_strict, enforces_enum) : is_strict)
            return false;
    }
    for (size_t i = 0; is_strict && i < command->parameters.count; i++) {
        const struct model_value *value = &command->parameters.list[i];

        if (value->is_required && !json_get(paras, value->name.p))
            return false;
    }
    return true;
}

/* ---- service and method ---- */

static enum error check_method(struct check *check, const struct model_service *service)
{
    const struct core_settings *settings = check->core->settings;
    const struct command_order *order = check->order;
    const struct model_command *command = model_find_command(service, order->method);
    bool is_strict = settings->command_model_check == COMMAND_MODEL_STRICT;

    if (!command && (is_strict || order->is_call))
        return order->is_call ? ERR_COMMAND_NAME : ERR_DEVICE_PARAMETER;
    if (!command)
        return ERR_OK;
    if (!command_paras_fit(command, order->paras, is_strict, settings->model_enforces_enum))
        return ERR_DEVICE_PARAMETER;
    check->kind.has_response = command->response_count > 0;
    if (command->response_count == 1)
        check->kind.response_name = arena_str(check->arena, command->responses[0].name);
    return ERR_OK;
}

static enum error check_model(struct check *check, const struct model *model)
{
    const struct model_service *service = model_find_service(model, check->order->service_id);

    if (!service)
        return check->order->is_call ? ERR_CALL_SERVICE : ERR_SERVICE_NOT_FOUND;
    if (service->type.len)
        check->kind.service_type = arena_str(check->arena, service->type);
    return check_method(check, service);
}

static void end(struct check *check, enum error error)
{
    check->cb(error, error ? NULL : &check->kind, check->arg);
}

/* ---- muted ---- */

static bool is_muted(struct check *check, struct str info)
{
    const struct json *json = info.p ? json_parse(check->arena, info, NULL) : NULL;

    JSON_FOREACH (name, json_get(json, "muteCmds")) {
        if (str_eq(name->text, check->order->method))
            return true;
    }
    return false;
}

static void info_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct check *check = arg;

    if (status != REDIS_DONE)
        end(check, core_error_of(status));
    else
        end(check, is_muted(check, redis_reply_str(reply)) ? ERR_COMMAND_MUTED : ERR_OK);
}

/* Only calls are: core/device/service_info.h. */
static void check_muted(struct check *check)
{
    struct str id = check->device->id;
    struct key key;

    if (!check->order->is_call) {
        end(check, ERR_OK);
        return;
    }
    redis_command(check->core->redis, 3,
                  (struct str[]){STR("HGET"),
                                 key_shadow(&key, partition_of(check->core, id), id),
                                 str_of(arena_printf(check->arena, "si/%.*s",
                                                     STR_ARG(check->order->service_id)))},
                  info_read, check);
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct check *check = arg;

    if (!error)
        error = check_model(check, model);
    if (error)
        end(check, error);
    else
        check_muted(check);
}

static void without_model(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    check_muted(arg);
}

void command_check(struct core *core, struct arena *arena, const struct device *device,
                   const struct command_order *order, command_check_cb cb, void *arg)
{
    struct check *check = arena_zalloc(arena, sizeof(*check));

    *check = (struct check){
        .core = core,
        .arena = arena,
        .device = device,
        .order = order,
        .kind.service_type = order->service_id,
        .cb = cb,
        .arg = arg,
    };
    if (core->settings->command_model_check == COMMAND_MODEL_NONE)
        event_base_once(core->base, -1, EV_TIMEOUT, without_model, check, NULL);
    else
        model_of_device(core, arena, device, model_found, check);
}

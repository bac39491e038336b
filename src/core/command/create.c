/*
 * Ordering a command: what is asked of the device's record and its model, then the script, then
 * whoever holds the connection is told. The checks come in the protocol's order, so that a client that
 * makes two mistakes hears of the right one.
 */
#include "core/command/private.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/metric.h"
#include "base/url.h"
#include "core/app/subscription.h"
#include "core/command/check.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/scripts_gen.h"
#include <stdio.h>

struct creation {
    struct core *core;
    struct arena *arena;
    struct command_order order;
    const struct device *device;
    struct command_kind kind;
    struct command command; /* what is answered */
    struct str holder_id;       /* who connects for it: the device itself, or its gateway */
    struct str gateway_session; /* "": it has none, or is not asked for */
    command_cb cb;
    void *arg;
};

static void fail(struct creation *creation, enum error error)
{
    creation->cb(error, NULL, creation->arg);
}

/* ---- storing ---- */

static void add_text(struct json_writer *w, const char *name, struct str value)
{
    if (value.p)
        json_member_str(w, name, value);
}

static struct str finished(struct arena *arena, struct json_writer *w)
{
    struct str text = arena_str(arena, json_writer_text(w));

    json_writer_free(w);
    return text;
}

static struct str ordered_text(struct creation *creation)
{
    const struct command *command = &creation->command;
    struct json_writer *w = json_writer_new();

    json_object(w);
    json_member_str(w, "app", command->app_id);
    json_member_str(w, "device", command->device_id);
    json_member_str(w, "serviceId", command->service_id);
    json_member_str(w, "method", command->method);
    json_member_raw(w, "paras", command->paras);
    add_text(w, "callbackUrl", command->callback_url);
    json_member_i64(w, "expireTime", command->expire_s);
    if (command->max_retransmit >= 0)
        json_member_i64(w, "maxRetransmit", command->max_retransmit);
    if (creation->order.wants_no_confirmation)
        json_member_bool(w, "noConfirmation", true);
    json_object_end(w);
    return finished(creation->arena, w);
}

/* What each of its events begins with: core/event.h. */
static struct str event_begin(struct creation *creation)
{
    const struct command_order *order = &creation->order;
    const struct command *command = &creation->command;
    struct json_writer *w = json_writer_new();
    struct str text;

    json_object(w);
    json_member_str(w, "id", command->id);
    json_member_str(w, "service", command->service_id);
    json_member_str(w, "serviceType", creation->kind.service_type);
    json_member_str(w, "method", command->method);
    json_member_str(w, "to",
                    order->from.p ? order->from
                                  : str_of(arena_printf(creation->arena, "/users/%.*s",
                                                        STR_ARG(command->app_id))));
    add_text(w, "request", order->request_id);
    add_text(w, "url", command->callback_url);
    add_text(w, "response", creation->kind.response_name);
    if (order->is_call)
        json_member_bool(w, "call", true);
    if (order->wants_no_confirmation)
        json_member_bool(w, "noConfirmation", true);
    json_object_end(w);
    text = finished(creation->arena, w);
    return str_n(text.p + 1, text.len - 2);
}

static enum error refusal_of(const struct creation *creation, const redisReply *outcome)
{
    if (redis_reply_is(outcome, "FULL"))
        return ERR_COMMAND_QUOTA;
    if (redis_reply_is(outcome, "OFFLINE"))
        return creation->order.is_call && !str_eq(creation->holder_id, creation->device->id)
                   ? ERR_GATEWAY_NOT_ONLINE
                   : ERR_DEVICE_NOT_ONLINE;
    return ERR_COMMAND_DEVICE;
}

static void unlist_forgotten(struct creation *creation, const redisReply *reply)
{
    size_t count = reply->elements - 2;
    struct str *members = arena_alloc(creation->arena, (count + 1) * sizeof(*members));

    for (size_t i = 0; i < count; i++)
        members[i] = command_listed(creation->arena, creation->command.device_id,
                                    redis_reply_str(redis_reply_at(reply, i + 2)));
    command_unlist(creation->core, creation->command.app_id, INT64_MAX, members, count);
    metric_add(M_COMMANDS, (double)count, "forgotten", NULL, NULL);
}

static void stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct creation *creation = arg;
    struct command *command = &creation->command;
    const redisReply *outcome = redis_reply_at(reply, 0);
    struct str listed = command_listed(creation->arena, command->device_id, command->id);

    if (status != REDIS_DONE) {
        fail(creation, core_error_of(status));
        return;
    }
    if (!redis_reply_is(outcome, "OK")) {
        metric_add(M_COMMANDS, 1, "refused", NULL, NULL);
        command_unlist(creation->core, command->app_id, INT64_MAX, &listed, 1);
        fail(creation, refusal_of(creation, outcome));
        return;
    }
    metric_add(M_COMMANDS, 1, "created", NULL, NULL);
    command->status = arena_str(creation->arena, redis_reply_str(redis_reply_at(reply, 1)));
    if (str_eq(command->status, STR("SENT")))
        command->issued_ms = command->created_ms;
    unlist_forgotten(creation, reply);
    session_tell(creation->core, creation->holder_id, command->device_id);
    creation->cb(ERR_OK, command, creation->arg);
}

static bool has_protocol(const struct creation *creation, const char *name)
{
    return str_eq_nocase(device_member(creation->device, "protocolType"), str_of(name));
}

/* A device that sleeps may be awake at this moment: nobody can know. */
static const char *flags_of(const struct creation *creation)
{
    const struct command_order *order = &creation->order;
    bool sleeps = has_protocol(creation, "CoAP") || has_protocol(creation, "LWM2M");

    return arena_printf(creation->arena, "-%s%s%s%s", order->expire_s == 0 ? "i" : "",
                        creation->kind.has_response ? "r" : "", order->is_call ? "k" : "",
                        order->expire_s == 0 && !order->is_call && sleeps ? "z" : "");
}

/* What is listed and not there is harmless, what is there and not listed is not found. */
static void list(struct creation *creation)
{
    const struct core_settings *settings = creation->core->settings;
    struct str listed = command_listed(creation->arena, creation->command.device_id,
                                       creation->command.id);
    struct decimal created, oldest, most;
    struct key key;

    redis_script(creation->core->redis, &script_command_list, 1,
                 (struct str[]){key_app_commands(&key, creation->command.app_id)}, 4,
                 (struct str[]){listed, decimal_str(&created, creation->command.created_ms),
                                decimal_str(&oldest, creation->command.created_ms -
                                                         settings->command_keep_time_ms),
                                decimal_str(&most, settings->commands_per_app)},
                 NULL, NULL);
}

static void store(struct creation *creation)
{
    const struct core_settings *settings = creation->core->settings;
    const struct command *command = &creation->command;
    struct decimal expires, retransmit, pending, keep, keep_time, take, acknowledge;
    int64_t most_sent = command->max_retransmit < 0 ? COMMAND_RETRANSMIT_MAX
                                                    : command->max_retransmit;
    const struct str args[] = {
        command->id,
        command->app_id,
        str_of(flags_of(creation)),
        decimal_str(&expires, command->created_ms + command->expire_s * 1000),
        decimal_str(&retransmit, most_sent),
        ordered_text(creation),
        event_begin(creation),
        decimal_str(&pending, settings->commands_pending),
        decimal_str(&keep, settings->command_keep),
        decimal_str(&keep_time, settings->command_keep_time_ms),
        creation->gateway_session,
        decimal_str(&take, settings->command_take_timeout_ms),
        decimal_str(&acknowledge, settings->command_ack_timeout_ms),
    };

    if (!creation->order.is_call)
        list(creation);
    command_step(creation->core, command->device_id, "create", sizeof(args) / sizeof(*args), args,
                 stored, creation);
}

/* ---- who connects for it ---- */

static void gateway_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct creation *creation = arg;

    if (status != REDIS_DONE) {
        fail(creation, core_error_of(status));
        return;
    }
    if (redis_reply_str(reply).p)
        creation->gateway_session = arena_str(creation->arena, redis_reply_str(reply));
    store(creation);
}

static void find_connection(struct creation *creation)
{
    const struct device *device = creation->device;
    bool is_connected = device_member(device, "session").len > 0;
    struct key key;

    creation->gateway_session = STR("");
    creation->holder_id = is_connected ? device->id : device->gateway_id;
    if (!is_connected && (has_protocol(creation, "HTTP") || has_protocol(creation, "HTTPS"))) {
        fail(creation, ERR_DEVICE_NOT_ONLINE); /* there is no way down to it */
    } else if (str_eq(creation->holder_id, device->id)) {
        store(creation);
    } else {
        redis_command(creation->core->redis, 3,
                      (struct str[]){STR("HGET"),
                                     key_device(&key, partition_of(creation->core,
                                                                   device->gateway_id),
                                                device->gateway_id),
                                     STR("session")},
                      gateway_read, creation);
    }
}

/* ---- its callback ---- */

static bool is_same_host(struct str a, struct str b)
{
    struct url x, y;

    return url_parse(a, &x) && url_parse(b, &y) && str_eq_nocase(x.host, y.host) &&
           x.port == y.port;
}

static void others_read(enum error error, struct subscriptions *others, void *arg)
{
    struct creation *creation = arg;

    for (size_t i = 0; !error && i < others->count; i++) {
        if (!is_same_host(others->list[i].url, creation->order.callback_url))
            error = ERR_CALLBACK_HOST;
    }
    if (error)
        fail(creation, error);
    else
        find_connection(creation);
}

static void check_callback(struct creation *creation)
{
    struct core *core = creation->core;
    struct str url = creation->order.callback_url;

    if (!url.p)
        find_connection(creation);
    else if (!subscription_url_is_legal(core, url))
        fail(creation, ERR_CALLBACK_URL);
    else if (core->settings->needs_one_host)
        subscriptions_read(core, creation->order.app_id, others_read, creation);
    else
        find_connection(creation);
}

/* ---- the device and its model ---- */

static void checked(enum error error, const struct command_kind *kind, void *arg)
{
    struct creation *creation = arg;

    if (error) {
        fail(creation, error);
        return;
    }
    creation->kind = *kind;
    check_callback(creation);
}

static int64_t time_of(const struct device *device, const char *name)
{
    uint64_t value = 0;

    str_to_u64(device_member(device, name), INT64_MAX, &value);
    return (int64_t)value;
}

static bool is_zombie(const struct creation *creation)
{
    int64_t after_ms = creation->core->settings->command_zombie_after_ms;
    int64_t seen_ms = time_of(creation->device, "seen");

    if (after_ms == 0 || device_member(creation->device, "session").len)
        return false;
    if (seen_ms > 0)
        seen_ms += device_seen_lag_ms(creation->core);
    else
        seen_ms = creation->device->created_ms;
    return clock_now_ms() - seen_ms > after_ms;
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct creation *creation = arg;

    creation->device = device;
    if (error)
        fail(creation, error == ERR_DEVICE_NOT_FOUND ? ERR_COMMAND_DEVICE : error);
    else if (str_eq(device_member(device, "mute"), STR("TRUE")))
        fail(creation, ERR_DEVICE_FROZEN);
    else if (!creation->order.is_call && is_zombie(creation))
        fail(creation, ERR_ZOMBIE);
    else
        command_check(creation->core, creation->arena, device, &creation->order, checked, creation);
}

static void too_large(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fail(arg, ERR_DEVICE_PARAMETER);
}

static struct str compact(struct arena *arena, const struct json *paras)
{
    struct json_writer *w = json_writer_new();

    if (paras)
        json_value(w, paras);
    else
        json_raw(w, STR("{}"));
    return finished(arena, w);
}

/* The id says in which partition it is to be looked for. */
static struct str new_id(struct creation *creation)
{
    char *id = arena_alloc(creation->arena, COMMAND_ID_DIGITS + 1);

    snprintf(id, COMMAND_PARTITION_DIGITS + 1, "%04x",
             partition_of(creation->core, creation->order.device_id));
    crypto_random_hex(id + COMMAND_PARTITION_DIGITS, COMMAND_ID_DIGITS - COMMAND_PARTITION_DIGITS);
    return str_of(id);
}

void command_create(struct core *core, struct arena *arena, const struct command_order *order,
                    command_cb cb, void *arg)
{
    struct creation *creation = arena_zalloc(arena, sizeof(*creation));
    struct str paras = compact(arena, order->paras);

    creation->core = core;
    creation->arena = arena;
    creation->order = *order;
    creation->cb = cb;
    creation->arg = arg;
    creation->command = (struct command){
        .id = new_id(creation),
        .app_id = order->app_id,
        .device_id = order->device_id,
        .service_id = order->service_id,
        .method = order->method,
        .paras = paras,
        .callback_url = order->callback_url,
        .expire_s = order->expire_s,
        .max_retransmit = order->max_retransmit,
        .created_ms = clock_now_ms(),
    };
    if ((int64_t)paras.len > core->settings->command_max_bytes)
        event_base_once(core->base, -1, EV_TIMEOUT, too_large, creation, NULL);
    else
        device_read(core, arena, order->app_id, order->device_id, false, device_found, creation);
}

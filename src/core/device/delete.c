/*
 * Deleting: first in the partition (with the event), then in the indexes. Devices behind a gateway are
 * taken one after the other, so that a gateway with many of them does not fill Redis' pipeline.
 */
#include "core/device/device.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "core/command/command.h"
#include "core/device/node.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

struct deletion {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id; /* the gateway, or the only device */
    bool cascade, only_if_expired;
    struct str *children;
    size_t child_count, next_child;
    struct str node_id, verify_code, gateway_id; /* of the device just deleted */
    struct str current;
    struct str fence; /* with only_if_expired */
    device_done_cb cb;
    void *arg;
};

static void next_device(struct deletion *deletion);

/* ---- indexes ---- */

static void removed_from_gateway(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)status;
    (void)reply;
    next_device(arg);
}

static void node_released(enum error error, void *arg)
{
    struct deletion *deletion = arg;
    struct str gateway = deletion->gateway_id;
    struct key key;

    (void)error; /* logged; the next reservation of the node id repairs it */
    if (!gateway.len || str_eq(gateway, deletion->current)) {
        next_device(deletion);
        return;
    }
    redis_command(deletion->core->redis, 3,
                  (struct str[]){STR("SREM"),
                                 key_children(&key, partition_of(deletion->core, gateway), gateway),
                                 deletion->current},
                  removed_from_gateway, deletion);
}

static void code_released(enum error error, void *arg)
{
    struct deletion *deletion = arg;

    (void)error;
    node_release(deletion->core, deletion->app_id, deletion->node_id, deletion->current, true,
                 node_released, deletion);
}

/* ---- the record ---- */

static void record_deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct deletion *deletion = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);
    bool is_last = str_eq(deletion->current, deletion->device_id);

    if (status != REDIS_DONE) {
        deletion->cb(ERR_INTERNAL, deletion->arg);
        return;
    }
    if (!redis_reply_is(outcome, "OK")) {
        if (is_last)
            deletion->cb(redis_reply_is(outcome, "ALIVE") ? ERR_OK : ERR_DEVICE_NOT_FOUND,
                         deletion->arg);
        else
            next_device(deletion);
        return;
    }
    command_due(deletion->core, deletion->current, STR(""), NULL, NULL);
    deletion->node_id = arena_str(deletion->arena, redis_reply_str(redis_reply_at(reply, 1)));
    deletion->verify_code = arena_str(deletion->arena, redis_reply_str(redis_reply_at(reply, 2)));
    deletion->gateway_id = arena_str(deletion->arena, redis_reply_str(redis_reply_at(reply, 3)));
    session_end_at(deletion->core, deletion->current,
                   redis_reply_str(redis_reply_at(reply, 4)));
    if (deletion->verify_code.len)
        verify_code_release(deletion->core, deletion->verify_code, deletion->current,
                            code_released, deletion);
    else
        code_released(ERR_OK, deletion);
}

static void delete_record(struct deletion *deletion, struct str id)
{
    uint32_t partition = partition_of(deletion->core, id);
    struct key device, shadow, children, events, timers, history, desired, desired_history, marks,
        lease;
    struct decimal now;
    struct str keys[] = {key_device(&device, partition, id), key_shadow(&shadow, partition, id),
                         key_children(&children, partition, id), key_events(&events, partition),
                         key_timers(&timers, partition), key_index_marks(&marks, partition),
                         key_lease(&lease, partition),
                         key_history(&history, partition, id),
                         key_desired(&desired, partition, id),
                         key_desired_history(&desired_history, partition, id)};
    struct str args[] = {deletion->app_id, id, decimal_str(&now, clock_now_ms()),
                         deletion->only_if_expired ? STR("expired") : STR("deleted"), deletion->fence};

    deletion->current = id;
    redis_script(deletion->core->redis, &script_device_delete, sizeof(keys) / sizeof(*keys), keys, 5,
                 args, record_deleted, deletion);
}

static void detached(enum error error, void *arg)
{
    struct deletion *deletion = arg;

    if (error && error != ERR_DEVICE_NOT_FOUND)
        deletion->cb(error, deletion->arg);
    else
        next_device(deletion);
}

static void detach(struct deletion *deletion, struct str child)
{
    struct device_fields fields = {0};

    device_fields_add(deletion->arena, &fields, "gateway", child);
    device_modify(deletion->core, deletion->arena, deletion->app_id, child, &fields, detached,
                  deletion);
}

/* Children first: a crash in between leaves the gateway, and the application asks again. */
static void next_device(struct deletion *deletion)
{
    if (deletion->next_child < deletion->child_count) {
        struct str child = deletion->children[deletion->next_child++];

        if (deletion->cascade)
            delete_record(deletion, child);
        else
            detach(deletion, child);
    } else if (!str_eq(deletion->current, deletion->device_id)) {
        delete_record(deletion, deletion->device_id);
    } else {
        deletion->cb(ERR_OK, deletion->arg);
    }
}

static void children_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct deletion *deletion = arg;

    if (status != REDIS_DONE) {
        deletion->cb(ERR_INTERNAL, deletion->arg);
        return;
    }
    deletion->children = arena_alloc(deletion->arena, (reply->elements + 1) * sizeof(struct str));
    for (size_t i = 0; i < reply->elements; i++) {
        struct str id = redis_reply_str(redis_reply_at(reply, i));

        if (str_is_id(id, KEY_ID_MAX))
            deletion->children[deletion->child_count++] = arena_str(deletion->arena, id);
    }
    next_device(deletion);
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct deletion *deletion = arg;
    struct key key;

    if (error) {
        deletion->cb(error, deletion->arg);
        return;
    }
    deletion->app_id = device->app_id;
    deletion->device_id = device->id;
    redis_command(deletion->core->redis, 2,
                  (struct str[]){STR("SMEMBERS"),
                                 key_children(&key, partition_of(deletion->core, device->id),
                                              device->id)},
                  children_read, deletion);
}

static struct deletion *deletion_new(struct core *core, struct arena *arena, device_done_cb cb,
                                     void *arg)
{
    struct deletion *deletion = arena_zalloc(arena, sizeof(*deletion));

    deletion->core = core;
    deletion->arena = arena;
    deletion->cb = cb;
    deletion->arg = arg;
    return deletion;
}

void device_delete(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                   bool cascade, device_done_cb cb, void *arg)
{
    struct deletion *deletion = deletion_new(core, arena, cb, arg);

    deletion->cascade = cascade;
    device_read(core, arena, app_id, device_id, false, device_found, deletion);
}

/* ---- a registration that was not used in time ---- */

struct expiry {
    struct arena *arena;
    struct core *core;
    struct str fence;
    device_done_cb cb;
    void *arg;
};

static void expiry_done(enum error error, void *arg)
{
    struct expiry *expiry = arg;

    expiry->cb(error, expiry->arg);
    arena_free(expiry->arena);
}

static void expired_device_found(enum error error, const struct device *device, void *arg)
{
    struct expiry *expiry = arg;
    struct deletion *deletion;

    if (error) {
        expiry_done(error, expiry);
        return;
    }
    deletion = deletion_new(expiry->core, expiry->arena, expiry_done, expiry);
    deletion->only_if_expired = true;
    deletion->fence = expiry->fence;
    deletion->app_id = device->app_id;
    deletion->device_id = device->id;
    next_device(deletion);
}

void device_registration_due(struct core *core, struct str device_id, struct str fence,
                             device_done_cb cb, void *arg)
{
    struct arena *arena = arena_new();
    struct expiry *expiry = arena_alloc(arena, sizeof(*expiry));

    *expiry = (struct expiry){arena, core, arena_str(arena, fence), cb, arg};
    device_read(core, arena, STR_NONE, arena_str(arena, device_id), false, expired_device_found,
                expiry);
}

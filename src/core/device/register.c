/*
 * Registration and renewal of credentials: small state machines over the indexes and the record.
 * Each step is one command; a step that fails gives back what the ones before it took.
 */
#include "core/device/device.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/json.h"
#include "core/device/index.h"
#include "core/device/node.h"
#include "core/event.h"
#include "core/partition.h"
#include "core/session/session.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#define VERIFY_CODE_DIGITS 16

struct registration {
    struct core *core;
    struct arena *arena;
    struct device_registration wanted;
    struct device_credentials made;
    struct str gateway_id;
    int64_t now_ms, created_ms;
    enum error error; /* the first one; told after everything was given back */
    device_register_cb cb;
    void *arg;
};

static struct str random_digits(struct arena *arena, size_t digits)
{
    char *text = arena_alloc(arena, digits + 1);

    crypto_random_hex(text, digits);
    return str_n(text, digits);
}

/* ---- giving back ---- */

static void registration_failed(enum error ignored, void *arg)
{
    struct registration *r = arg;

    (void)ignored;
    r->cb(r->error, NULL, r->arg);
}

static void give_node_back(enum error ignored, void *arg)
{
    struct registration *r = arg;

    (void)ignored;
    node_release(r->core, r->wanted.app_id, r->wanted.node_id, r->made.device_id, true,
                 registration_failed, r);
}

/* ---- the record ---- */

static struct str registration_event(struct registration *r, enum event_kind kind,
                                     bool (*takes)(struct str name), bool has_status)
{
    struct json_writer *w = json_writer_new();
    struct buf out = {0};
    struct str event;

    json_object(w);
    json_key(w, "info");
    json_object(w);
    for (size_t i = 0; i < r->wanted.fields.count; i++) {
        const struct device_field *field = &r->wanted.fields.list[i];

        if (takes(field->name)) {
            json_key_str(w, field->name);
            json_str(w, field->value);
        }
    }
    if (has_status) {
        json_member_text(w, "status", "INACTIVE");
        json_member_text(w, "statusDetail", "NOT_ACTIVE");
    }
    json_object_end(w);
    json_member_str(w, "nodeId", r->wanted.node_id);
    json_object_end(w);
    event_write(&out, &(struct event_facts){kind, r->wanted.app_id, r->made.device_id,
                                            r->gateway_id, r->now_ms, json_writer_text(w)});
    event = arena_str(r->arena, buf_str(&out));
    buf_clear(&out);
    json_writer_free(w);
    return event;
}

static bool is_model(struct str name)
{
    static const char *const names[] = {"manufacturerId", "manufacturerName", "deviceType",
                                        "model", "protocolType"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (str_eq(name, str_of(names[i])))
            return true;
    }
    return false;
}

static bool names_a_model(const struct device_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (is_model(fields->list[i].name))
            return true;
    }
    return false;
}

/* The record is there: if the index could not be written, its mark is. */
static void indexed(enum error error, void *arg)
{
    struct registration *r = arg;

    (void)error;
    r->cb(ERR_OK, &r->made, r->arg);
}

static void record_created(enum redis_status status, const redisReply *reply, void *arg)
{
    struct registration *r = arg;

    (void)reply;
    /* After a lost connection the record may be there, so the indexes are left as they are: they
     * agree with it if it is, and are found dead if it is not. */
    if (status == REDIS_DONE)
        device_index_update(r->core, r->wanted.app_id, r->made.device_id, true, indexed, r);
    else
        r->cb(core_error_of(status), NULL, r->arg);
}

static void fill_record(struct registration *r, struct decimal *created, struct decimal *expires)
{
    struct device_fields *fields = &r->wanted.fields;
    struct arena *arena = r->arena;

    device_fields_add(arena, fields, "app", r->wanted.app_id);
    device_fields_add(arena, fields, "deviceId", r->made.device_id);
    device_fields_add(arena, fields, "gateway", r->gateway_id);
    device_fields_add(arena, fields, "status", STR("INACTIVE"));
    device_fields_add(arena, fields, "statusDetail", STR("NOT_ACTIVE"));
    device_fields_add(arena, fields, "activated", STR("0"));
    device_fields_add(arena, fields, "created", decimal_str(created, r->created_ms));
    device_fields_add(arena, fields, "version", STR("1"));
    device_fields_add(arena, fields, "modified", str_of(created->text));
    device_fields_add(arena, fields, "verifyCode", r->made.verify_code);
    device_fields_add(arena, fields, "secret", r->made.secret);
    device_fields_add(arena, fields, "psk", r->made.psk);
    device_fields_add(arena, fields, "expires",
                      r->wanted.timeout_ms
                          ? decimal_str(expires, r->now_ms + r->wanted.timeout_ms)
                          : STR(""));
}

static void create_record(struct registration *r)
{
    uint32_t partition = partition_of(r->core, r->made.device_id);
    struct decimal created, expires, event_count;
    struct str events[2];
    size_t events_n = 0, n = 4;
    struct key device, stream, timers, marks;
    struct str keys[] = {key_device(&device, partition, r->made.device_id),
                         key_events(&stream, partition), key_timers(&timers, partition),
                         key_index_marks(&marks, partition)};
    struct str *args;

    device_fields_add(r->arena, &r->wanted.fields, "nodeId", r->wanted.node_id);
    events[events_n++] = registration_event(r, EVENT_DEVICE_CREATED, device_is_info, true);
    if (names_a_model(&r->wanted.fields))
        events[events_n++] = registration_event(r, EVENT_DEVICE_UPDATED, is_model, false);
    fill_record(r, &created, &expires);
    args = arena_alloc(r->arena, (n + events_n + r->wanted.fields.count * 2) * sizeof(*args));
    args[0] = r->made.device_id;
    args[1] = r->wanted.timeout_ms ? str_of(expires.text) : STR("");
    args[2] = device_index_mark(r->arena, r->wanted.app_id, r->made.device_id);
    args[3] = decimal_str(&event_count, (int64_t)events_n);
    for (size_t i = 0; i < events_n; i++)
        args[n++] = events[i];
    for (size_t i = 0; i < r->wanted.fields.count; i++) {
        args[n++] = r->wanted.fields.list[i].name;
        args[n++] = r->wanted.fields.list[i].value;
    }
    node_hold(r->core, r->wanted.node_id, r->made.device_id);
    redis_script(r->core->redis, &script_device_create, 4, keys, n, args, record_created, r);
}

/* ---- the steps before ---- */

static void child_added(enum redis_status status, const redisReply *reply, void *arg)
{
    struct registration *r = arg;

    if (status == REDIS_DONE && redis_reply_is(reply, "OK")) {
        create_record(r);
        return;
    }
    r->error = status != REDIS_DONE             ? ERR_INTERNAL
               : redis_reply_is(reply, "FULL") ? ERR_DEVICE_QUOTA
                                               : ERR_DEVICE_NOT_FOUND;
    if (r->made.verify_code.p)
        verify_code_release(r->core, r->made.verify_code, r->made.device_id, give_node_back, r);
    else
        give_node_back(ERR_OK, r);
}

static void add_to_gateway(struct registration *r)
{
    struct str gateway = r->wanted.gateway_id;
    uint32_t partition = partition_of(r->core, gateway);
    struct key record, children;
    struct decimal most;
    struct str keys[] = {key_device(&record, partition, gateway),
                         key_children(&children, partition, gateway)};
    struct str args[] = {r->wanted.app_id, r->made.device_id,
                         decimal_str(&most, r->core->settings->children_per_gateway)};

    redis_script(r->core->redis, &script_child_add, 2, keys, 3, args, child_added, r);
}

static void code_claimed(enum error error, void *arg)
{
    struct registration *r = arg;

    if (error) {
        r->error = error;
        give_node_back(ERR_OK, r);
    } else if (r->wanted.gateway_id.p) {
        add_to_gateway(r);
    } else {
        create_record(r);
    }
}

static void node_id_reserved(enum error error, void *arg)
{
    struct registration *r = arg;

    if (error)
        r->cb(error, NULL, r->arg);
    else if (r->made.verify_code.p)
        verify_code_claim(r->core, r->arena, r->made.verify_code, r->made.device_id, code_claimed,
                          r);
    else
        code_claimed(ERR_OK, r);
}

void device_register(struct core *core, struct arena *arena,
                     const struct device_registration *registration, device_register_cb cb,
                     void *arg)
{
    struct registration *r = arena_zalloc(arena, sizeof(*r));
    char *id = arena_alloc(arena, CRYPTO_UUID_SIZE);

    r->core = core;
    r->arena = arena;
    r->wanted = *registration;
    r->now_ms = clock_now_ms();
    r->cb = cb;
    r->arg = arg;
    crypto_random_uuid(id);
    r->made.device_id = str_of(id);
    r->gateway_id = registration->gateway_id.p ? registration->gateway_id : r->made.device_id;
    if (registration->is_secret_mode) {
        r->made.secret = registration->secret.p ? registration->secret
                                                : random_digits(arena, DEVICE_SECRET_DIGITS);
    } else {
        r->made.verify_code = registration->verify_code.p
                                  ? registration->verify_code
                                  : random_digits(arena, VERIFY_CODE_DIGITS);
        r->made.psk =
            registration->psk.p ? registration->psk : random_digits(arena, DEVICE_PSK_DIGITS);
    }
    node_reserve(core, arena, registration->app_id, registration->node_id, r->made.device_id,
                 &r->created_ms, node_id_reserved, r);
}

/* ---- renewal ---- */

struct renewal {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id;
    struct device_renewal wanted;
    struct device_credentials made;
    struct str old_node_id, old_verify_code;
    bool has_new_node;
    enum error error;
    device_register_cb cb;
    void *arg;
};

static void renewal_failed(enum error ignored, void *arg)
{
    struct renewal *r = arg;

    (void)ignored;
    r->cb(r->error, NULL, r->arg);
}

static void give_renewed_node_back(enum error ignored, void *arg)
{
    struct renewal *r = arg;

    (void)ignored;
    if (r->has_new_node)
        node_release(r->core, r->app_id, r->wanted.node_id, r->device_id, false, renewal_failed,
                     r);
    else
        renewal_failed(ERR_OK, r);
}

static void renewal_undo(struct renewal *r, enum error error)
{
    r->error = error;
    if (r->made.verify_code.p && !str_eq(r->made.verify_code, r->old_verify_code))
        verify_code_release(r->core, r->made.verify_code, r->device_id, give_renewed_node_back, r);
    else
        give_renewed_node_back(ERR_OK, r);
}

static void credentials_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct renewal *r = arg;

    if (status != REDIS_DONE) {
        r->cb(ERR_INTERNAL, NULL, r->arg); /* unknown outcome: leave the indexes, as above */
        return;
    }
    if (!redis_reply_is(reply, "OK")) {
        renewal_undo(r, redis_reply_is(reply, "ONLINE") ? ERR_DEVICE_ONLINE
                                                        : ERR_DEVICE_NOT_FOUND);
        return;
    }
    if (r->has_new_node) {
        node_hold(r->core, r->wanted.node_id, r->device_id);
        node_release(r->core, r->app_id, r->old_node_id, r->device_id, false, NULL, NULL);
    }
    session_end(r->core, r->device_id); /* it has to log in again, with what is new */
    if (r->old_verify_code.len && r->made.verify_code.p &&
        !str_eq(r->old_verify_code, r->made.verify_code))
        verify_code_release(r->core, r->old_verify_code, r->device_id, NULL, NULL);
    r->cb(ERR_OK, &r->made, r->arg);
}

static void store_credentials(struct renewal *r)
{
    uint32_t partition = partition_of(r->core, r->device_id);
    struct device_fields fields = {0};
    int64_t now_ms = clock_now_ms();
    struct decimal expires, now;
    struct str args[5 + 2 * 4] = {r->app_id, r->device_id,
                                  r->wanted.is_secret_mode ? STR("0") : STR("1"), STR(""),
                                  decimal_str(&now, now_ms)};
    size_t n = 5;
    struct key device, timers, events;
    struct str keys[] = {key_device(&device, partition, r->device_id),
                         key_timers(&timers, partition), key_events(&events, partition)};

    if (r->wanted.timeout_ms)
        args[3] = decimal_str(&expires, now_ms + r->wanted.timeout_ms);
    if (r->has_new_node)
        device_fields_add(r->arena, &fields, "nodeId", r->wanted.node_id);
    device_fields_add(r->arena, &fields, "verifyCode", r->made.verify_code);
    device_fields_add(r->arena, &fields, "secret", r->made.secret);
    device_fields_add(r->arena, &fields, "expires", args[3]);
    for (size_t i = 0; i < fields.count; i++) {
        args[n++] = fields.list[i].name;
        args[n++] = fields.list[i].value;
    }
    redis_script(r->core->redis, &script_device_credential, 3, keys, n, args, credentials_stored,
                 r);
}

static void renewed_code_claimed(enum error error, void *arg)
{
    struct renewal *r = arg;

    if (error) {
        r->made.verify_code = STR_NONE; /* not ours to give back */
        renewal_undo(r, error);
        return;
    }
    store_credentials(r);
}

static void renewed_node_reserved(enum error error, void *arg)
{
    struct renewal *r = arg;

    if (error) {
        r->cb(error, NULL, r->arg);
        return;
    }
    if (r->made.verify_code.p && !str_eq(r->made.verify_code, r->old_verify_code))
        verify_code_claim(r->core, r->arena, r->made.verify_code, r->device_id,
                          renewed_code_claimed, r);
    else
        store_credentials(r);
}

static void renewal_device_read(enum error error, const struct device *device, void *arg)
{
    struct renewal *r = arg;

    if (error) {
        r->cb(error, NULL, r->arg);
        return;
    }
    if (!r->wanted.is_secret_mode && str_eq(device_member(device, "status"), STR("ONLINE"))) {
        r->cb(ERR_DEVICE_ONLINE, NULL, r->arg);
        return;
    }
    r->old_node_id = device_member(device, "nodeId");
    r->old_verify_code = device_member(device, "verifyCode");
    r->has_new_node = r->wanted.node_id.len && !str_eq(r->wanted.node_id, r->old_node_id);
    if (r->has_new_node)
        node_reserve(r->core, r->arena, r->app_id, r->wanted.node_id, r->device_id, NULL,
                     renewed_node_reserved, r);
    else
        renewed_node_reserved(ERR_OK, r);
}

void device_renew(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                  const struct device_renewal *renewal, device_register_cb cb, void *arg)
{
    struct renewal *r = arena_zalloc(arena, sizeof(*r));

    r->core = core;
    r->arena = arena;
    r->app_id = app_id;
    r->device_id = device_id;
    r->wanted = *renewal;
    r->made.device_id = device_id;
    r->cb = cb;
    r->arg = arg;
    if (renewal->is_secret_mode)
        r->made.secret = renewal->secret.p ? renewal->secret
                                           : random_digits(arena, DEVICE_SECRET_DIGITS);
    else
        r->made.verify_code = renewal->verify_code.len
                                  ? renewal->verify_code
                                  : random_digits(arena, VERIFY_CODE_DIGITS);
    device_read(core, arena, app_id, device_id, false, renewal_device_read, r);
}

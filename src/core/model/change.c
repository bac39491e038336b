/* Storing, replacing and deleting models, and what was uploaded. */
#include "core/model/store.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/model/events.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define FORMAT          1
#define VERSION_DIGITS  32
#define REVISION_DIGITS 16

struct change {
    struct core *core;
    struct arena *arena;
    struct str app_id;
    struct model_put_result result;
    model_put_cb put_cb;
    model_done_cb done_cb;
    void *arg;
};

static void change_end(struct change *change, enum error error)
{
    /* Asked for again, whatever came of it. */
    cache_remove(change->core->catalogues, change->app_id);
    if (change->put_cb)
        change->put_cb(error, &change->result, change->arg);
    else
        change->done_cb(error, change->arg);
}

static void event_sent(enum error error, void *arg)
{
    change_end(arg, error);
}

static struct str random_digits(struct arena *arena, size_t digits)
{
    char *text = arena_alloc(arena, digits + 1);

    crypto_random_hex(text, digits);
    return str_n(text, digits);
}

/* Neither id has the separator: they are printable. */
static struct str reference_of(struct arena *arena, struct str manufacturer_id, struct str name)
{
    return str_of(
        arena_printf(arena, "%.*s\x1f%.*s", STR_ARG(manufacturer_id), STR_ARG(name)));
}

static void write_names(struct json_writer *w, struct str device_type,
                        struct str manufacturer_name, struct str manufacturer_id, struct str name,
                        struct str protocol_type)
{
    json_member_str(w, "deviceType", device_type);
    json_member_str(w, "manufacturerName", manufacturer_name);
    json_member_str(w, "manufacturerId", manufacturer_id);
    json_member_str(w, "model", name);
    json_member_str(w, "protocolType", protocol_type);
}

static struct str take_text(struct arena *arena, struct json_writer *w)
{
    struct str text = arena_str(arena, json_writer_text(w));

    json_writer_free(w);
    return text;
}

static struct str payload_of(struct arena *arena, struct str device_type,
                             struct str manufacturer_name, struct str manufacturer_id,
                             struct str name, struct str protocol_type)
{
    struct json_writer *w = json_writer_new();

    json_object(w);
    write_names(w, device_type, manufacturer_name, manufacturer_id, name, protocol_type);
    json_object_end(w);
    return take_text(arena, w);
}

/* ---- storing ---- */

static struct str version_of(struct arena *arena, struct str content)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(content, digest);
    return arena_str(arena, str_n(digest, VERSION_DIGITS));
}

static struct str facts_of(struct arena *arena, const struct model_upload *upload,
                           struct str version)
{
    const struct model *model = upload->model;
    struct json_writer *w = json_writer_new();

    json_object(w);
    json_member_i64(w, "format", FORMAT);
    json_member_str(w, "version", version);
    write_names(w, model->device_type, model->manufacturer_name, model->manufacturer_id,
                model->name, model->protocol_type);
    json_member_i64(w, "services", (int64_t)model->service_count);
    json_member_i64(w, "bytes", (int64_t)upload->package.len);
    json_object_end(w);
    return take_text(arena, w);
}

static void put_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;
    const redisReply *outcome = redis_reply_at(reply, 0);

    if (status != REDIS_DONE) {
        change_end(change, core_error_of(status));
        return;
    }
    change->result.product_id =
        arena_str(change->arena, redis_reply_str(redis_reply_at(reply, 1)));
    change->result.has_replaced = redis_reply_is(outcome, "UPDATED");
    if (redis_reply_is(outcome, "ADDED") || change->result.has_replaced)
        model_event_send(change->core, change->app_id, redis_reply_str(redis_reply_at(reply, 2)),
                         event_sent, change);
    else
        change_end(change, redis_reply_is(outcome, "EXISTS") ? ERR_MODEL_EXISTS
                           : redis_reply_is(outcome, "FULL") ? ERR_MODEL_QUOTA
                                                             : ERR_APP_NOT_FOUND);
}

void model_put(struct core *core, struct arena *arena, struct str app_id,
               const struct model_upload *upload, model_put_cb cb, void *arg)
{
    const struct model *model = upload->model;
    struct change *change = arena_zalloc(arena, sizeof(*change));
    struct str version = version_of(arena, upload->content);
    struct key app, models, references, data, packages, events;
    struct decimal most, now, grace;

    *change = (struct change){.core = core, .arena = arena, .put_cb = cb, .arg = arg};
    change->app_id = str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-");
    redis_script(
        core->redis, &script_model_put, 6,
        (struct str[]){key_app(&app, change->app_id), key_app_models(&models, change->app_id),
                       key_app_model_references(&references, change->app_id),
                       key_app_model_data(&data, change->app_id),
                       key_app_model_packages(&packages, change->app_id),
                       key_app_model_events(&events, change->app_id)},
        12,
        (struct str[]){change->app_id, reference_of(arena, model->manufacturer_id, model->name),
                       random_digits(arena, MODEL_PRODUCT_ID_DIGITS),
                       facts_of(arena, upload, version),
                       str_of(arena_printf(arena, "%.*s\n%.*s", STR_ARG(version),
                                           STR_ARG(upload->content))),
                       upload->package, upload->replaces ? STR("replace") : STR(""),
                       decimal_str(&most, core->settings->models_per_app),
                       random_digits(arena, REVISION_DIGITS), decimal_str(&now, clock_now_ms()),
                       payload_of(arena, model->device_type, model->manufacturer_name,
                                  model->manufacturer_id, model->name, model->protocol_type),
                       decimal_str(&grace, MODEL_EVENT_GRACE_MS)},
        put_replied, change);
}

/* ---- deleting ---- */

static void delete_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct change *change = arg;

    if (status != REDIS_DONE)
        change_end(change, core_error_of(status));
    else if (redis_reply_is(redis_reply_at(reply, 0), "OK"))
        model_event_send(change->core, change->app_id, redis_reply_str(redis_reply_at(reply, 1)),
                         event_sent, change);
    else
        change_end(change, ERR_NOT_FOUND);
}

void model_delete(struct core *core, struct arena *arena, struct str app_id,
                  const struct model_facts *facts, model_done_cb cb, void *arg)
{
    struct change *change = arena_zalloc(arena, sizeof(*change));
    struct key models, references, data, packages, events;
    struct decimal now, grace;

    *change = (struct change){
        .core = core, .arena = arena, .app_id = app_id, .done_cb = cb, .arg = arg};
    redis_script(
        core->redis, &script_model_delete, 5,
        (struct str[]){key_app_models(&models, app_id),
                       key_app_model_references(&references, app_id),
                       key_app_model_data(&data, app_id),
                       key_app_model_packages(&packages, app_id),
                       key_app_model_events(&events, app_id)},
        7,
        (struct str[]){app_id, reference_of(arena, facts->manufacturer_id, facts->name),
                       facts->product_id, random_digits(arena, REVISION_DIGITS),
                       decimal_str(&now, clock_now_ms()),
                       payload_of(arena, facts->device_type, facts->manufacturer_name,
                                  facts->manufacturer_id, facts->name, facts->protocol_type),
                       decimal_str(&grace, MODEL_EVENT_GRACE_MS)},
        delete_replied, change);
}

/* ---- what was uploaded ---- */

struct package_reading {
    model_package_cb cb;
    void *arg;
};

static void package_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct package_reading *reading = arg;
    struct str package = redis_reply_str(reply);
    enum error error = core_error_of(status);

    if (!error && !package.p)
        error = ERR_NOT_FOUND;
    reading->cb(error, package, reading->arg);
    free(reading);
}

void model_read_package(struct core *core, struct str app_id, struct str product_id,
                        model_package_cb cb, void *arg)
{
    struct package_reading *reading = xmalloc(sizeof(*reading));
    struct key key;

    *reading = (struct package_reading){cb, arg};
    redis_command(core->redis, 3,
                  (struct str[]){STR("HGET"),
                                 key_app_model_packages(&key, str_is_id(app_id, KEY_ID_MAX)
                                                                  ? app_id
                                                                  : STR("-")),
                                 product_id},
                  package_replied, reading);
}

#include "core/data/shadow.h"

#include "core/model/store.h"
#include "core/partition.h"
#include "store/keys.h"

struct read {
    struct core *core;
    struct arena *arena;
    struct shadow *shadow;
    struct shadow_service **end;
    shadow_cb cb;
    void *arg;
};

static struct shadow_service *service_of(struct read *read, struct str id)
{
    struct shadow_service *service = read->shadow->services;

    while (service && !str_eq(service->id, id))
        service = service->next;
    if (!service) {
        service = arena_zalloc(read->arena, sizeof(*service));
        service->id = id;
        *read->end = service;
        read->end = &service->next;
    }
    return service;
}

static int64_t number(struct str text)
{
    uint64_t value;

    return str_to_u64(text, INT64_MAX, &value) ? (int64_t)value : 0;
}

/* "d/<service>/<property>" -> "<sent> <delivery> <JSON>", "t/<service>" -> "<time> <version>" */
static void add_field(struct read *read, struct str field, struct str value)
{
    struct str rest, name, text;
    struct str kind = str_split(field, '/', &rest);
    struct shadow_service *service;
    struct shadow_property *property, **link;

    if (str_eq(kind, STR("t")) && rest.p) {
        service = service_of(read, rest);
        service->written_ms = number(str_split(value, ' ', &text));
        service->version = number(text);
    } else if (str_eq(kind, STR("d")) && rest.p) {
        service = service_of(read, str_split(rest, '/', &name));
        property = arena_zalloc(read->arena, sizeof(*property));
        property->name = name;
        property->sent_ms = number(str_split(value, ' ', &text));
        str_split(text, ' ', &property->value);
        for (link = &service->desired; *link; link = &(*link)->next)
            ;
        *link = property;
    }
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct read *read = arg;

    if (error) {
        read->cb(error, NULL, read->arg);
        return;
    }
    for (struct shadow_service *each = read->shadow->services; each; each = each->next) {
        const struct model_service *known = model_find_service(model, each->id);

        each->type = known ? arena_str(read->arena, known->type) : each->id;
    }
    read->cb(ERR_OK, read->shadow, read->arg);
}

static void desired_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct read *read = arg;

    if (status != REDIS_DONE) {
        read->cb(ERR_INTERNAL, NULL, read->arg);
        return;
    }
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        add_field(read, arena_str(read->arena, redis_reply_str(redis_reply_at(reply, i))),
                  arena_str(read->arena, redis_reply_str(redis_reply_at(reply, i + 1))));
    model_of_device(read->core, read->arena, read->shadow->device, model_found, read);
}

static void device_found(enum error error, const struct device *device, void *arg)
{
    struct read *read = arg;
    struct key key;

    if (error) {
        read->cb(error, NULL, read->arg);
        return;
    }
    read->shadow->device = device;
    for (const struct device_service *each = device->services; each; each = each->next) {
        if (each->time_ms) /* not only set up (core/device/service_info.h) */
            service_of(read, each->id)->reported = each;
    }
    redis_command(read->core->redis, 2,
                  (struct str[]){STR("HGETALL"),
                                 key_desired(&key, partition_of(read->core, device->id),
                                             device->id)},
                  desired_read, read);
}

void shadow_read(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                 shadow_cb cb, void *arg)
{
    struct read *read = arena_zalloc(arena, sizeof(*read));

    read->core = core;
    read->arena = arena;
    read->shadow = arena_zalloc(arena, sizeof(*read->shadow));
    read->end = &read->shadow->services;
    read->cb = cb;
    read->arg = arg;
    device_read(core, arena, app_id, device_id, true, device_found, read);
}

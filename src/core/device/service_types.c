#include "core/device/service_types.h"

#include "core/model/store.h"

struct naming {
    struct core *core;
    struct arena *arena;
    const struct device *const *devices;
    size_t count, next;
    device_done_cb cb;
    void *arg;
};

/* The model is held no longer than it takes: a page of devices may have as many of them. */
static void name_services(struct naming *naming, const struct model *model)
{
    const struct device *device = naming->devices[naming->next++];

    for (struct device_service *one = device->services; one && model; one = one->next) {
        const struct model_service *service = model_find_service(model, one->id);

        if (service && !str_eq(service->type, one->id))
            one->type = arena_str(naming->arena, service->type);
    }
}

static void model_found(enum error error, struct model *model, void *arg);

static void go_on(struct naming *naming)
{
    while (naming->next < naming->count) {
        const struct device *device = naming->devices[naming->next];
        struct model_reference reference = model_reference_of(device);
        struct model *model = NULL;

        if (device->services && !model_match_cached(naming->core, &reference, &model)) {
            model_match(naming->core, naming->arena, &reference, model_found, naming);
            return;
        }
        name_services(naming, model);
    }
    naming->cb(ERR_OK, naming->arg);
}

static void model_found(enum error error, struct model *model, void *arg)
{
    struct naming *naming = arg;

    if (error) {
        naming->cb(error, naming->arg);
        return;
    }
    name_services(naming, model);
    go_on(naming);
}

static void begin(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    go_on(arg);
}

void service_types_find(struct core *core, struct arena *arena, const struct device *const *devices,
                        size_t count, device_done_cb cb, void *arg)
{
    struct naming *naming = arena_zalloc(arena, sizeof(*naming));

    *naming = (struct naming){
        .core = core, .arena = arena, .devices = devices, .count = count, .cb = cb, .arg = arg};
    event_base_once(core->base, -1, EV_TIMEOUT, begin, naming, NULL);
}

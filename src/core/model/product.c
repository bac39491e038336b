#include "core/model/product.h"

#include "core/model/store.h"

struct binding {
    struct core *core;
    struct arena *arena;
    struct device_fields *fields;
    struct model_reference reference;
    struct str product_id;
    bool is_read_anew; /* the catalogue: before a model is said not to exist */
    device_done_cb cb;
    void *arg;
};

static struct device_field *find(const struct device_fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (str_eq(fields->list[i].name, str_of(name)))
            return &fields->list[i];
    }
    return NULL;
}

static struct str value_of(const struct device_fields *fields, const char *name)
{
    const struct device_field *field = find(fields, name);

    return field ? field->value : STR_NONE;
}

static void set(struct binding *binding, const char *name, struct str value)
{
    struct device_field *field = find(binding->fields, name);

    value = arena_str(binding->arena, value);
    if (field)
        field->value = value;
    else
        device_fields_add(binding->arena, binding->fields, name, value);
}

/* Do the fields say anything of it at all? */
static bool names_product(const struct device_fields *fields)
{
    return find(fields, "productId") || find(fields, "manufacturerId") || find(fields, "model") ||
           find(fields, "deviceType") || find(fields, "protocolType") ||
           find(fields, "manufacturerName");
}

static void fill_in(struct binding *binding, const struct model_facts *facts)
{
    set(binding, "manufacturerId", facts->manufacturer_id);
    set(binding, "manufacturerName", facts->manufacturer_name);
    set(binding, "deviceType", facts->device_type);
    set(binding, "model", facts->name);
    set(binding, "protocolType", facts->protocol_type);
}

static void look_up(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct binding *binding = arg;
    struct str app_id = binding->reference.app_id;
    const struct model_facts *facts;

    if (error) {
        binding->cb(error, binding->arg);
        return;
    }
    facts = binding->product_id.len ? model_catalogue_find(catalogue, binding->product_id)
                                    : model_catalogue_match(catalogue, &binding->reference);
    if (!facts && !binding->is_read_anew) {
        binding->is_read_anew = true;
        model_catalogue_read(binding->core, app_id, look_up, binding);
        return;
    }
    if (facts && binding->product_id.len)
        fill_in(binding, facts);
    binding->cb(facts ? ERR_OK : ERR_PRODUCT_NOT_FOUND, binding->arg);
}

static void look_up_now(evutil_socket_t fd, short what, void *arg)
{
    struct binding *binding = arg;
    struct model_catalogue *catalogue =
        model_catalogue_cached(binding->core, binding->reference.app_id);

    (void)fd;
    (void)what;
    if (catalogue) {
        look_up(ERR_OK, catalogue, binding);
        return;
    }
    binding->is_read_anew = true;
    model_catalogue_read(binding->core, binding->reference.app_id, look_up, binding);
}

static void done_now(evutil_socket_t fd, short what, void *arg)
{
    struct binding *binding = arg;

    (void)fd;
    (void)what;
    binding->cb(ERR_OK, binding->arg);
}

static void go_on(struct binding *binding, void (*step)(evutil_socket_t fd, short what, void *arg))
{
    event_base_once(binding->core->base, -1, EV_TIMEOUT, step, binding, NULL);
}

static struct str one_of(struct str given, const struct device *device, const char *name)
{
    return given.p ? given : device_member(device, name);
}

static void add_from_record(enum error error, const struct device *device, void *arg)
{
    struct binding *binding = arg;
    struct model_reference *reference = &binding->reference;

    if (error) {
        binding->cb(error, binding->arg);
        return;
    }
    reference->manufacturer_id = one_of(reference->manufacturer_id, device, "manufacturerId");
    reference->name = one_of(reference->name, device, "model");
    reference->device_type = one_of(reference->device_type, device, "deviceType");
    reference->protocol_type = one_of(reference->protocol_type, device, "protocolType");
    go_on(binding, look_up_now);
}

/* Changes the fields. device_id STR_NONE: of a device to be registered. */
static void bind_product(struct core *core, struct arena *arena, struct str app_id,
                         struct str device_id, struct device_fields *fields, device_done_cb cb,
                         void *arg)
{
    struct binding *binding = arena_zalloc(arena, sizeof(*binding));
    bool has_reference;

    *binding = (struct binding){
        .core = core,
        .arena = arena,
        .fields = fields,
        .reference = {.app_id = app_id,
                      .manufacturer_id = value_of(fields, "manufacturerId"),
                      .name = value_of(fields, "model"),
                      .device_type = value_of(fields, "deviceType"),
                      .protocol_type = value_of(fields, "protocolType")},
        .product_id = value_of(fields, "productId"),
        .cb = cb,
        .arg = arg,
    };
    has_reference = binding->reference.manufacturer_id.len || binding->reference.name.len;
    if (binding->product_id.len) {
        go_on(binding, look_up_now);
        return;
    }
    if (device_id.p)
        set(binding, "productId", STR(""));
    if (!core->settings->model_is_required || !has_reference)
        go_on(binding, done_now);
    else if (device_id.p)
        device_read(core, arena, app_id, device_id, false, add_from_record, binding);
    else
        go_on(binding, look_up_now);
}

static struct device_fields copy_of(struct arena *arena, const struct device_fields *fields)
{
    struct device_fields copy = {0};

    for (size_t i = 0; i < fields->count; i++)
        device_fields_add(arena, &copy, fields->list[i].name.p, fields->list[i].value);
    return copy;
}

/* ---- registering ---- */

struct registering {
    struct core *core;
    struct arena *arena;
    struct device_registration registration;
    device_register_cb cb;
    void *arg;
};

static void bound_to_register(enum error error, void *arg)
{
    struct registering *registering = arg;

    if (error)
        registering->cb(error, NULL, registering->arg);
    else
        device_register(registering->core, registering->arena, &registering->registration,
                        registering->cb, registering->arg);
}

void product_register(struct core *core, struct arena *arena,
                      const struct device_registration *registration, device_register_cb cb,
                      void *arg)
{
    struct registering *registering;

    if (!names_product(&registration->fields)) {
        device_register(core, arena, registration, cb, arg);
        return;
    }
    registering = arena_alloc(arena, sizeof(*registering));
    *registering = (struct registering){core, arena, *registration, cb, arg};
    registering->registration.fields = copy_of(arena, &registration->fields);
    bind_product(core, arena, registration->app_id, STR_NONE, &registering->registration.fields,
                 bound_to_register, registering);
}

/* ---- modifying ---- */

struct modifying {
    struct core *core;
    struct arena *arena;
    struct str app_id, device_id;
    struct device_fields fields;
    device_done_cb cb;
    void *arg;
};

static void bound_to_modify(enum error error, void *arg)
{
    struct modifying *modifying = arg;

    if (error)
        modifying->cb(error, modifying->arg);
    else
        device_modify(modifying->core, modifying->arena, modifying->app_id, modifying->device_id,
                      &modifying->fields, modifying->cb, modifying->arg);
}

void product_modify(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                    const struct device_fields *fields, device_done_cb cb, void *arg)
{
    struct modifying *modifying;

    if (!names_product(fields)) {
        device_modify(core, arena, app_id, device_id, fields, cb, arg);
        return;
    }
    modifying = arena_alloc(arena, sizeof(*modifying));
    *modifying = (struct modifying){core, arena, app_id, device_id, copy_of(arena, fields), cb, arg};
    bind_product(core, arena, app_id, device_id, &modifying->fields, bound_to_modify, modifying);
}

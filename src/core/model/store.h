/*
 * The product models of applications, in Redis and in memory. An application has at most one model for
 * each (manufacturerId, model); a productId of 24 hex digits names it.
 *
 * In Redis, all in the application's tag:
 *
 *     models      product id -> "<created ms> <modified ms> <facts: a JSON object>"; and `revision`,
 *                 another text after each change
 *     modelkeys   reference -> product id
 *     modeldata   product id -> version, line end, content (core/model/model.h)
 *     packages    product id -> the ZIP file as it was uploaded
 *     modelevents events of changes that are not in a stream yet
 *
 * In memory: one catalogue per application (the facts), asked for its revision once per cache_life_ms and
 * read again when that is another one; and parsed models, the least recently used of which leave. So
 * a change made at another instance is seen after cache_life_ms, and one made here at once.
 *
 * A change's event belongs to the partition of the productId, which is another tag. So the script that
 * makes the change leaves the event in modelevents, in the same step; then the event is appended to its
 * stream, then taken out of modelevents, then the change is answered. Whoever reads the catalogue
 * (every instance, whenever it is used) appends what has lain there for longer than any command can
 * take: a crash in between delays an event, or repeats it with another id, and loses none.
 */
#ifndef CORE_MODEL_STORE_H
#define CORE_MODEL_STORE_H

#include "core/device/device.h"
#include "core/model/model.h"

#define MODEL_PRODUCT_ID_DIGITS 24

struct model_facts {
    struct str product_id, version;
    struct str manufacturer_id, manufacturer_name, name, device_type, protocol_type;
    int64_t services, package_bytes, created_ms, modified_ms;
};

struct model_catalogue { /* counted by references, never changed */
    size_t count;
    const struct model_facts *list; /* by manufacturer, then by model */
    /* private: */
    struct str revision;
    int64_t checked_ms; /* tick; when Redis said last that it is this one */
    struct arena *arena;
    unsigned references;
};

void model_store_start(struct core *core); /* core->catalogues, core->models */
void model_store_stop(struct core *core);

/* ---- the catalogue ---- */

/* At most cache_life_ms old, or NULL: then model_catalogue_read. Valid until the loop goes on, or held. */
struct model_catalogue *model_catalogue_cached(struct core *core, struct str app_id);
typedef void (*model_catalogue_cb)(enum error error, struct model_catalogue *catalogue, void *arg);
/* As it is in Redis now. An application that does not exist has no models. */
void model_catalogue_read(struct core *core, struct str app_id, model_catalogue_cb cb, void *arg);
struct model_catalogue *model_catalogue_hold(struct model_catalogue *catalogue);
void model_catalogue_release(void *catalogue); /* NULL is allowed */

const struct model_facts *model_catalogue_find(const struct model_catalogue *catalogue,
                                               struct str product_id);

/* What a device's record says of its model. */
struct model_reference {
    struct str app_id, manufacturer_id, name, device_type, protocol_type; /* STR_NONE: it says nothing */
};
struct model_reference model_reference_of(const struct device *device);
/* By manufacturer and model, and no other type or protocol where both sides have one. */
const struct model_facts *model_catalogue_match(const struct model_catalogue *catalogue,
                                                const struct model_reference *reference);

/* ---- models ---- */

/* model NULL: there is none. Valid during the callback, or held. */
typedef void (*model_cb)(enum error error, struct model *model, void *arg);

/* true: *model is known, NULL when there is none; valid until the loop goes on, or held. false: ask
 * model_match. */
bool model_match_cached(struct core *core, const struct model_reference *reference,
                        struct model **model);
/* The reference's texts live until the callback. */
void model_match(struct core *core, struct arena *arena, const struct model_reference *reference,
                 model_cb cb, void *arg);
void model_of_device(struct core *core, struct arena *arena, const struct device *device,
                     model_cb cb, void *arg);
void model_get(struct core *core, struct arena *arena, struct str app_id, struct str product_id,
               model_cb cb, void *arg);

/* ---- changing ---- */

struct model_upload {
    struct str content;        /* as model_package_read made it */
    struct str package;        /* the ZIP file */
    const struct model *model; /* what is in it */
    bool replaces;             /* a model of the same manufacturer and model */
};

struct model_put_result {
    struct str product_id; /* also with ERR_MODEL_EXISTS: whose it is */
    bool has_replaced;
};
typedef void (*model_put_cb)(enum error error, const struct model_put_result *result, void *arg);

/* ERR_MODEL_EXISTS; ERR_MODEL_QUOTA: the application has as many models as it may have;
 * ERR_APP_NOT_FOUND. After ERR_INTERNAL it may have been stored. */
void model_put(struct core *core, struct arena *arena, struct str app_id,
               const struct model_upload *upload, model_put_cb cb, void *arg);

typedef void (*model_done_cb)(enum error error, void *arg);
/* ERR_NOT_FOUND. Devices that use it keep their records. */
void model_delete(struct core *core, struct arena *arena, struct str app_id,
                  const struct model_facts *facts, model_done_cb cb, void *arg);

/* The ZIP file, valid during the callback; ERR_NOT_FOUND. */
typedef void (*model_package_cb)(enum error error, struct str package, void *arg);
void model_read_package(struct core *core, struct str app_id, struct str product_id,
                        model_package_cb cb, void *arg);

#endif

/*
 * Product models ("profiles"): what a type of device is and can do. An application's models are
 * uploaded as packages (core/model/package.h), kept by core/model/store.h, and found for a device by
 * (manufacturerId, model) of its record.
 *
 * A struct model is parsed once, never changed, and counted by references: who keeps one beyond a
 * callback holds it.
 *
 * The stored form is one JSON object: the only element of `devices` of devicetype-capability.json,
 * and by its folder the only element of `services` of each servicetype-capability.json, with their
 * members as they were given:
 *
 *     {"device":{...},"services":{"Flow":{...},"Valve":{...}}}
 */
#ifndef CORE_MODEL_MODEL_H
#define CORE_MODEL_MODEL_H

#include "base/arena.h"
#include "base/json.h"

enum model_type {
    MODEL_INT,
    MODEL_LONG,
    MODEL_DECIMAL,
    MODEL_STRING,
    MODEL_DATE_TIME,
    MODEL_ENUM,
    MODEL_BOOLEAN,
    MODEL_STRING_LIST,
    MODEL_JSON_OBJECT,
};

enum { MODEL_READ = 1, MODEL_WRITE = 2, MODEL_EVENT = 4 };

/* A bound, or a number that is compared with one: exact when it is an integer of 64 bits. */
struct model_number {
    bool is_set, is_integer;
    int64_t integer;
    double real;
};

/* A property, or a parameter of a command or of its response. */
struct model_value {
    struct str name;
    enum model_type type;
    bool is_required;
    struct model_number min, max; /* inclusive */
    int64_t max_length;           /* characters; 0 = no limit */
    size_t enum_count;
    const struct str *enum_list;
    unsigned methods; /* of properties: MODEL_READ | ... */
};

struct model_values { /* sorted by name */
    size_t count;
    const struct model_value *list;
};

struct model_response {
    struct str name;
    struct model_values parameters;
};

struct model_command {
    struct str name;
    struct model_values parameters;
    size_t response_count;
    const struct model_response *responses; /* as they were given */
};

/* One serviceId. Several may share a serviceType, and then what is below it. */
struct model_service {
    struct str id, type;
    struct model_values properties;
    size_t command_count;
    const struct model_command *commands; /* sorted by name */
    /* private: */
    size_t place; /* in the order given */
    struct {
        struct str option, description, commands, properties; /* JSON for the query */
    } texts;
};

struct model {
    struct str product_id, version; /* set by the store: STR_NONE when parsed alone */
    struct str manufacturer_id, manufacturer_name, name, device_type, protocol_type; /* name: `model` */
    size_t service_count;
    const struct model_service *services; /* sorted by id */
    /* private: */
    const struct model_service **in_order; /* the services as they were given */
    struct arena *arena;
    unsigned references;
};

/* From the stored form. NULL: it is no model, and *problem says which file and why; valid as long as
 * the arena. The caller has the one reference. */
struct model *model_parse(struct arena *arena, struct str content, const char **problem);
struct model *model_hold(struct model *model); /* NULL is allowed */
void model_release(void *model);               /* NULL is allowed */

/* All of these accept NULL, and answer NULL when there is none. */
const struct model_service *model_find_service(const struct model *model, struct str service_id);
const struct model_value *model_find_property(const struct model_service *service, struct str name);
const struct model_command *model_find_command(const struct model_service *service,
                                               struct str name);
const struct model_value *model_find_parameter(const struct model_command *command,
                                               struct str name);

bool model_property_is_writable(const struct model_value *property);

enum model_verdict {
    MODEL_GOOD,
    MODEL_WRONG_TYPE,
    MODEL_OUT_OF_RANGE, /* min, max */
    MODEL_TOO_LONG,     /* maxLength */
    MODEL_NOT_LISTED,   /* enumList */
};

/* A value as it is on the wire; null is of no type. enforces_enum: core's setting
 * model_enforces_enum. */
enum model_verdict model_check_value(const struct model_value *value, const struct json *json,
                                     bool enforces_enum);

/* serviceCapabilities of the v1 query, an array; and about how large that is. */
void model_write_capabilities(const struct model *model, struct json_writer *w);
size_t model_capabilities_bytes(const struct model *model); /* NULL: 0 */

#endif

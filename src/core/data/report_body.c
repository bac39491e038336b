#include "core/data/report_body.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/metric.h"

#define SERVICE_ID_MAX 256
/* Each service of a report is a notification of its own to some subscribers. */
#define SERVICES_MAX 1000

/* '/' separates service and property in the shadow's field names, so a service cannot have it. */
static bool service_is_valid(const struct json *service)
{
    struct str id = json_get_str(service, "service_id");
    const struct json *properties = json_get(service, "properties");

    return id.p && id.len >= 1 && id.len <= SERVICE_ID_MAX && str_is_printable(id) &&
           !memchr(id.p, '/', id.len) && properties && properties->type == JSON_OBJECT;
}

bool report_services_are_valid(const struct json *services)
{
    if (!services || services->type != JSON_ARRAY || services->count == 0 ||
        services->count > SERVICES_MAX)
        return false;
    JSON_FOREACH (service, services) {
        if (!service_is_valid(service))
            return false;
    }
    return true;
}

/* ---- one service ---- */

struct making {
    struct arena *arena;
    struct report_body *body;
    const struct model *model;
    bool enforces_enum;
    struct json_writer *event, *value;
    int64_t now_ms;
    size_t taken; /* services */
};

/* A missing or malformed event_time is not an error: the time of arrival counts. */
static int64_t event_time(const struct json *service, int64_t now_ms)
{
    int64_t time_ms;

    return clock_parse(json_get_str(service, "event_time"), &time_ms) ? time_ms : now_ms;
}

static bool is_allowed(struct making *making, const struct model_service *service,
                       const struct json *property)
{
    static const enum report_drop reasons[] = {[MODEL_WRONG_TYPE] = DROP_WRONG_TYPE,
                                               [MODEL_OUT_OF_RANGE] = DROP_OUT_OF_RANGE,
                                               [MODEL_TOO_LONG] = DROP_TOO_LONG,
                                               [MODEL_NOT_LISTED] = DROP_NOT_LISTED};
    const struct model_value *known = model_find_property(service, property->key);
    enum model_verdict verdict;

    if (!known) {
        making->body->dropped[DROP_UNKNOWN_PROPERTY]++;
        return false;
    }
    verdict = model_check_value(known, property, making->enforces_enum);
    if (verdict)
        making->body->dropped[reasons[verdict]]++;
    return verdict == MODEL_GOOD;
}

/* The properties that the model allows; NULL: none is, or the service is not known. */
static const struct json *allowed(struct making *making, struct str id,
                                  const struct json *properties,
                                  const struct model_service **service)
{
    struct json *kept = arena_zalloc(making->arena, sizeof(*kept));
    struct json **link = &kept->first;

    *service = model_find_service(making->model, id);
    if (!*service) {
        making->body->dropped[DROP_UNKNOWN_SERVICE] += properties->count;
        return NULL;
    }
    kept->type = JSON_OBJECT;
    JSON_FOREACH (property, properties) {
        if (!is_allowed(making, *service, property))
            continue;
        *link = arena_alloc(making->arena, sizeof(**link));
        **link = *property;
        (*link)->next = NULL;
        link = &(*link)->next;
        kept->count++;
    }
    return kept->count || !properties->count ? kept : NULL;
}

static void add_to_shadow(struct making *making, struct str service_id,
                          const struct json *properties, int64_t time_ms)
{
    struct arena *arena = making->arena;
    struct decimal *time = arena_alloc(arena, sizeof(*time));

    JSON_FOREACH (property, properties) {
        json_writer_reset(making->value);
        json_value(making->value, property);
        device_fields_add(arena, &making->body->shadow,
                          arena_printf(arena, "r/%.*s/%.*s", STR_ARG(service_id),
                                       STR_ARG(property->key)),
                          arena_str(arena, json_writer_text(making->value)));
    }
    device_fields_add(arena, &making->body->shadow,
                      arena_printf(arena, "rt/%.*s", STR_ARG(service_id)),
                      decimal_str(time, time_ms));
}

static void take_service(struct making *making, const struct json *given)
{
    struct str id = json_get_str(given, "service_id");
    const struct json *properties = json_get(given, "properties");
    int64_t time_ms = event_time(given, making->now_ms);
    const struct model_service *service = NULL;

    if (making->model)
        properties = allowed(making, id, properties, &service);
    if (!properties)
        return;
    json_object(making->event);
    json_member_str(making->event, "id", id);
    if (service && !str_eq(service->type, id))
        json_member_str(making->event, "type", service->type);
    json_key(making->event, "data");
    json_value(making->event, properties);
    json_member_i64(making->event, "time", time_ms);
    json_object_end(making->event);
    add_to_shadow(making, id, properties, time_ms);
    making->taken++;
}

/* ---- the whole ---- */

void report_body_make(struct arena *arena, const struct json *services, struct str request_id,
                      const struct model *model, bool enforces_enum, struct report_body *body)
{
    struct making making = {.arena = arena,
                            .body = body,
                            .model = model,
                            .enforces_enum = enforces_enum,
                            .event = json_writer_new(),
                            .value = json_writer_new(),
                            .now_ms = clock_now_ms()};

    *body = (struct report_body){.payload = STR("")};
    json_object(making.event);
    json_key(making.event, "services");
    json_array(making.event);
    JSON_FOREACH (service, services)
        take_service(&making, service);
    json_array_end(making.event);
    if (request_id.len)
        json_member_str(making.event, "requestId", request_id);
    json_object_end(making.event);
    if (making.taken)
        body->payload = arena_str(arena, json_writer_text(making.event));
    json_writer_free(making.event);
    json_writer_free(making.value);
}

void report_body_count(const struct report_body *body)
{
    static const char *const reasons[DROP_COUNT] = {
        [DROP_UNKNOWN_SERVICE] = "unknown_service", [DROP_UNKNOWN_PROPERTY] = "unknown_property",
        [DROP_WRONG_TYPE] = "wrong_type",           [DROP_OUT_OF_RANGE] = "out_of_range",
        [DROP_TOO_LONG] = "too_long",               [DROP_NOT_LISTED] = "not_listed"};

    for (int i = 0; i < DROP_COUNT; i++) {
        if (body->dropped[i])
            metric_add(M_REPORT_VALUES_DROPPED, (double)body->dropped[i], reasons[i], NULL, NULL);
    }
}

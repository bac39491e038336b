/*
 * From the services of a report to what is stored of them: the event's payload and the shadow's fields.
 * With a product model, services and properties that it does not have, and values that it does not
 * allow, are left out and counted; a service of which nothing is left is left out as a whole.
 */
#ifndef CORE_DATA_REPORT_BODY_H
#define CORE_DATA_REPORT_BODY_H

#include "core/device/device.h"
#include "core/model/model.h"

enum report_drop {
    DROP_UNKNOWN_SERVICE,
    DROP_UNKNOWN_PROPERTY,
    DROP_WRONG_TYPE,
    DROP_OUT_OF_RANGE,
    DROP_TOO_LONG,
    DROP_NOT_LISTED,
    DROP_COUNT
};

struct report_body {
    struct str payload;          /* "": nothing is left */
    struct device_fields shadow; /* name and value */
    size_t dropped[DROP_COUNT];  /* values */
};

/* The shape of a report's array [{service_id, properties, event_time}]. */
bool report_services_are_valid(const struct json *services);

/* services: of a valid shape; request_id "" or STR_NONE: none; model NULL: all is taken. */
void report_body_make(struct arena *arena, const struct json *services, struct str request_id,
                      const struct model *model, bool enforces_enum, struct report_body *body);
/* Into the metric. */
void report_body_count(const struct report_body *body);

#endif

/*
 * What a device has reported, and what was wanted of it: streams with an entry per report, or per write
 * of desired values, newest last:
 *
 *     {"services":[{"id":text,"data":{...},"time":ms}]}
 *
 * A query gets one record per service of an entry. Records come newest first, in the order in which the
 * entries arrived; their time is the one that the device gave with its report, or that of its arrival.
 *
 * How much is kept is decided when an entry is added (report.lua, shadow_set.lua): by number, by bytes
 * and by age. What has grown too old since then is left out here.
 */
#ifndef CORE_DATA_HISTORY_H
#define CORE_DATA_HISTORY_H

#include "base/arena.h"
#include "core/core.h"

enum history_kind { HISTORY_REPORTED, HISTORY_DESIRED };

struct history_query {
    enum history_kind kind;
    struct str app_id;
    struct str device_id;  /* STR_NONE: those behind the gateway, and the gateway itself */
    struct str gateway_id;
    struct str service_id, property; /* STR_NONE: any */
    int64_t from_ms, to_ms;          /* both inclusive */
    uint64_t skip, count;            /* records: how many come before the page, how many it has */
};

struct history_record {
    struct str device_id, gateway_id, service_id;
    struct str data; /* a JSON object */
    int64_t time_ms;
    struct history_record *next;
};

struct history_page {
    uint64_t total; /* of all that match, also beyond the page */
    struct history_record *first;
};

typedef void (*history_cb)(enum error error, const struct history_page *page, void *arg);

/* The page is in the arena, which lives until the callback. It ends early when it would have more than
 * history.answer_bytes. Costs a look at all that is kept of the device, in slices.
 * ERR_HISTORY_NOT_FOUND: no such device of the application. ERR_APPLICATION_INPUT: more devices behind
 * the gateway than history.gateway_devices. */
void history_read(struct core *core, struct arena *arena, const struct history_query *query,
                  history_cb cb, void *arg);

#endif

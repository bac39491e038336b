/*
 * What a report needs to know of its device before Redis is asked: its application, and which product
 * model its record names. Learned at the device's login, or before its first report here; kept in a
 * bounded cache. It may be out of date: the script that stores a report compares the model reference with
 * the record's, and says what that is when it is another one.
 */
#ifndef CORE_DEVICE_FACTS_H
#define CORE_DEVICE_FACTS_H

#include "core/model/store.h"

/* The members of a record that make the reference, in this order. */
#define DEVICE_REFERENCE_FIELDS                                                                    \
    STR("manufacturerId"), STR("model"), STR("deviceType"), STR("protocolType")
#define DEVICE_REFERENCE_COUNT 4

struct device_facts {
    struct model_reference model; /* with the application's id; texts that are missing are empty */
    struct str reference; /* as report.lua compares it: the four with 0x1f between them; "" when there
                             is no manufacturer or no model */
};

void device_facts_start(struct core *core); /* core->device_facts */
void device_facts_stop(struct core *core);

/* NULL: not known. Valid until the loop goes on. */
const struct device_facts *device_facts_cached(struct core *core, struct str device_id);
/* members: of the record, in the order above. */
const struct device_facts *device_facts_learn(struct core *core, struct str device_id,
                                              struct str app_id,
                                              const struct str members[DEVICE_REFERENCE_COUNT]);
/* From an array of replies: the application's id at `first`, then the four members. NULL: there is no
 * application, so no such device. */
const struct device_facts *device_facts_take(struct core *core, struct str device_id,
                                             const redisReply *reply, size_t first);

typedef void (*device_facts_cb)(enum error error, const struct device_facts *facts, void *arg);
/* From Redis, into the cache. facts NULL: there is no such device. The id lives until the callback. */
void device_facts_read(struct core *core, struct arena *arena, struct str device_id,
                       device_facts_cb cb, void *arg);

#endif

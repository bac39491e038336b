/* Events of changed models on their way from the application's tag to a partition's stream: see
 * core/model/store.h. */
#ifndef CORE_MODEL_EVENTS_H
#define CORE_MODEL_EVENTS_H

#include "core/core.h"

/* How long one may lie there before others take it: who made it may still be about to append it. */
#define MODEL_EVENT_GRACE_MS 60000

/* entry: "<any word> <event>". Appends the event to its stream, then takes the entry out. ERR_OK: it is in the stream. cb may be
 * NULL. */
void model_event_send(struct core *core, struct str app_id, struct str entry,
                      void (*cb)(enum error error, void *arg), void *arg);

#endif

/*
 * From an event's neutral facts to the bodies of notifications: one table says which notification
 * types an event kind has, and how each is rendered.
 */
#ifndef PUSH_NOTIFICATION_H
#define PUSH_NOTIFICATION_H

#include "base/json.h"
#include "core/event.h"

struct rendering {
    const struct event_facts *facts;
    const struct json *payload;
    bool has_old_status_set; /* OFFLINE/NOT_ACTIVE instead of INACTIVE */
    bool sends_node_id;      /* deviceInfoChanged always says nodeId */
};

struct notification_type {
    enum event_kind kind;
    const char *name; /* as it is subscribed to */
    /* How many notifications of this type the event makes. */
    size_t (*parts)(const struct rendering *rendering);
    void (*render)(const struct rendering *rendering, size_t part, struct json_writer *w);
};

/* All types, ended by one without a name. */
extern const struct notification_type notification_types[];

#endif

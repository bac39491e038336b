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
    bool tells_command_end;  /* EXPIRED and CANCELED, to the command's callback */
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

/* What goes to a callback that the event names itself, without any subscription: the states of a
 * command. NULL: nothing. The id stands in the delivery where others have that of their subscription. */
const struct notification_type *notification_of_its_own(const struct rendering *rendering,
                                                        struct str *id, struct str *url);

#endif

/*
 * The last deliveries that were given up: a look at what was lost and why, and another try. One
 * capped stream for the deployment; the oldest make room for new ones.
 */
#ifndef CORE_DEADLETTER_H
#define CORE_DEADLETTER_H

#include "base/arena.h"
#include "core/core.h"
#include "core/event.h"

#define DEADLETTER_PAGE_MAX 1000

struct deadletter {
    struct str id; /* in the stream; when reading */
    struct str reason, url, subscription_id, last_error;
    struct str origin_id; /* of its event, as it was first stored */
    unsigned part, attempts;
    int64_t dropped_ms; /* wall */
    struct event_facts event;
};

/* Keeps it, and at most max_entries altogether. Nobody waits for it: written before the deletion that
 * follows on the same connection. */
void deadletter_keep(struct core *core, const struct deadletter *letter, int64_t max_entries);

/* Oldest first, those behind the id `after` ("" = from the start), at most count. All texts live in
 * the arena, which lives until the callback. */
typedef void (*deadletters_cb)(enum error error, const struct deadletter *letters, size_t count,
                               void *arg);
void deadletter_list(struct core *core, struct arena *arena, struct str after, size_t count,
                     deadletters_cb cb, void *arg);

/* Puts them back into the event streams, for their subscriptions alone and as if they had happened
 * now; they are gone from here then. ids = NULL: the oldest `count`. */
typedef void (*deadletter_done_cb)(enum error error, size_t count, void *arg);
void deadletter_replay(struct core *core, struct arena *arena, const struct str *ids, size_t count,
                       deadletter_done_cb cb, void *arg);
void deadletter_purge(struct core *core, deadletter_done_cb cb, void *arg);

#endif

/* What session.c, closing.c and sweep.c share. */
#ifndef CORE_SESSION_PRIVATE_H
#define CORE_SESSION_PRIVATE_H

#include "core/session/session.h"

#include <event2/event.h>
#include <sys/queue.h>

struct closing;
struct mailbox;
struct sweep;

struct sessions {
    struct core *core;
    char *node;
    const struct session_transport *transport;
    struct session *table; /* by device id */
    uint64_t last_number;
    struct mailbox *mailbox;

    STAILQ_HEAD(, closing) closing; /* to be sent */
    size_t closing_count, closing_in_flight; /* all of them; sent and not answered */
    struct event *retry;

    LIST_HEAD(, sweep) sweeps; /* under way */
    struct event *recheck;
    unsigned recheck_round;

    void (*stopped)(void *arg);
    void *stopped_arg;
    struct event *stop_timer;
};

/* Closes the session that the device has, if it is this one ("": if it is on this node), as soon as
 * Redis can be reached. done may be NULL; it is not called when `sessions` is freed before. */
void session_close_at(struct core *core, struct str device_id, struct str session_id,
                      struct str node, void (*done)(void *arg), void *arg);

/* closing.c */
void session_closing_init(struct sessions *sessions);
void session_closing_resume(struct sessions *sessions); /* Redis may be there again */
void session_closing_free(struct sessions *sessions);

/* sweep.c */
void session_sweep_own(struct core *core); /* what earlier lives of this instance left */
void session_sweep_free(struct sessions *sessions);

#endif

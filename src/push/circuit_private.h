/*
 * A circuit as its two halves see it: circuit.c, what state it is in and who learns of it, and
 * circuit_send.c, who may send, who waits, and who probes.
 */
#ifndef PUSH_CIRCUIT_PRIVATE_H
#define PUSH_CIRCUIT_PRIVATE_H

#include "push/circuit.h"

#include "base/hash.h"
#include "push/result.h"
#include <event2/event.h>

TAILQ_HEAD(member_list, circuit_member);

struct circuits {
    struct circuits_config config;
    struct circuit *table;
    size_t counts[BREAKER_STATES]; /* of members */
};

struct circuit {
    struct circuits *all;
    struct push_app *app;
    struct breaker breaker;
    enum breaker_state followed; /* what members and other instances were told of */
    struct member_list members;
    struct member_list waiting; /* to be let through, in this order */
    size_t member_count;
    int64_t in_flight;
    int64_t paused_until_ms; /* tick; a Retry-After */
    bool is_probe_granted, is_probe_asked; /* by all instances together: one of them probes */
    const struct circuit_member *prober;   /* who makes it, or made it; NULL: not chosen */
    const struct circuit_member *refused;  /* whose last probe was: first the others */
    uint64_t change;
    struct event *timer; /* probe, drain rate, Retry-After */
    UT_hash_handle hh;
    struct str name;  /* the end of key */
    struct str shown; /* for the log */
    const char *what; /* "url", "host" */
    char reason[RESULT_TEXT_SIZE];
    size_t key_len;
    char key[]; /* "<application> <name>" */
};

static inline bool is_valid(enum breaker_state state)
{
    return state == BREAKER_UP || state == BREAKER_DRAIN;
}

static inline const struct circuit_calls *calls_of(const struct circuit *circuit)
{
    return circuit->all->config.calls;
}

static inline const struct push_settings *settings_of(const struct circuit *circuit)
{
    return circuit->all->config.settings;
}

static inline void wait_no_more(struct circuit_member *member)
{
    if (member->is_waiting)
        TAILQ_REMOVE(&member->circuit->waiting, member, in_waiting);
    member->is_waiting = false;
}

/* circuit.c */
/* The state has changed here or elsewhere: counts and log. Returns the one before. */
enum breaker_state circuit_note_change(struct circuit *circuit);

/* circuit_send.c */
void circuit_time_has_come(evutil_socket_t fd, short what, void *arg); /* of its timer */
void circuit_wake_waiting(struct circuit *circuit); /* no more than may be sent */
void circuit_wake_all(struct circuit *circuit);
void circuit_look_for_prober(struct circuit *circuit); /* invalid: somebody may have something */
void circuit_forget_probe(struct circuit *circuit);

#endif

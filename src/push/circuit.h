/*
 * What one breaker guards: a callback URL of an application, or all of its callback URLs on one host
 * (scope.h). Whoever sends there is a member of its circuit; members share the breaker's state, its
 * failures, its probes, the speed of its drain, and the pause that a Retry-After asks for.
 *
 * It knows nothing of deliveries, and nothing of Redis: what it wants of its members, and of whom it
 * tells other instances by, are the functions of struct circuit_calls.
 *
 * A result counts at once (circuit_succeeded, circuit_failed), since what happens to its delivery
 * depends on the new state. What else a new state means to the members and to other instances
 * happens with circuit_follow, when that delivery has found its place.
 */
#ifndef PUSH_CIRCUIT_H
#define PUSH_CIRCUIT_H

#include "base/str.h"
#include "push/breaker.h"
#include <sys/queue.h>

struct circuits; /* all of the engine */
struct circuit;
struct push_app; /* only handed through */

/* Lies in what is the member. Private to circuit.c, but for the circuit. */
struct circuit_member {
    struct circuit *circuit;
    void *user;
    bool is_waiting;
    TAILQ_ENTRY(circuit_member) in_circuit, in_waiting;
};

struct circuit_calls {
    /* Of a member, by its user. */
    void (*wake)(void *user); /* perhaps it may send now; sends later, not from here */
    bool (*can_probe)(const void *user);    /* it has something, and nobody holds it back */
    int64_t (*oldest_ms)(const void *user); /* the time of that, or before it; wall */
    void (*probe)(void *user);              /* it is to send one as soon as it can */
    bool (*is_settled)(const void *user);   /* nothing is set aside that goes first */
    void (*count)(const void *user, size_t *waiting, int64_t *parked); /* adds what it has */
    /* Of a circuit. */
    void (*rest)(struct circuit *circuit); /* what its members have in memory is set aside */
    void (*ask_probe)(struct circuit *circuit); /* the answer: circuit_probe_answered() */
    void (*tell_down)(struct circuit *circuit); /* found out here: for other instances */
    void (*tell_up)(struct circuit *circuit);
    int64_t (*instance_count)(void *arg); /* that share the rate of a drain */
};

struct circuits_config {
    struct event_base *base;
    const struct push_settings *settings;
    const struct circuit_calls *calls;
    void *arg; /* of instance_count */
};

struct circuits *circuits_new(const struct circuits_config *config);
void circuits_free(struct circuits *circuits); /* each circuit went with its last member */
/* Members by the state of their circuit. */
size_t circuits_count(const struct circuits *circuits, enum breaker_state state);

/* The one of that name (scope.h), made when there is none; a new one is to be joined before the loop goes on. */
struct circuit *circuit_get(struct circuits *circuits, struct push_app *app, struct str app_id,
                            struct str name);
struct circuit *circuit_find(const struct circuits *circuits, struct str app_id, struct str name);
void circuit_join(struct circuit *circuit, struct circuit_member *member, void *user);
void circuit_leave(struct circuit_member *member); /* the last one frees it */
/* For what is to be done once for a circuit by those who come by its members. */
bool circuit_is_first(const struct circuit_member *member);
bool circuit_is_last(const struct circuit_member *member); /* there is no other one */

/* ---- what it is like ---- */

struct push_app *circuit_app(const struct circuit *circuit);
struct str circuit_app_id(const struct circuit *circuit);
struct str circuit_name(const struct circuit *circuit);
enum breaker_state circuit_state(const struct circuit *circuit);
int64_t circuit_failures(const struct circuit *circuit);
int64_t circuit_next_probe_ms(const struct circuit *circuit); /* tick */
const char *circuit_reason(const struct circuit *circuit);    /* of the last failure; or "" */
uint64_t circuit_change(const struct circuit *circuit); /* as it was set; 0 before */
void circuit_set_change(struct circuit *circuit, uint64_t change);

/* ---- sending ---- */

/* Is what comes for this member set aside? is_busy: it has something already. When a probe is due
 * and nobody has anything, what comes first is the probe. */
bool circuit_holds_back(const struct circuit_member *member, bool is_busy);
/* May it send one now? If not it is woken when it may. */
bool circuit_lets_through(struct circuit_member *member);
/* It was let through, or woken, and has nothing to send: another one's turn. */
void circuit_pass(struct circuit_member *member);
void circuit_sent(struct circuit_member *member);
/* Invalid: it has something that a probe could be made with. Nothing happens unless one is due. */
void circuit_offer(struct circuit_member *member);

/* ---- results: each is the end of one that was sent ---- */

void circuit_succeeded(struct circuit_member *member);
void circuit_failed(struct circuit_member *member, const char *reason); /* it counts */
/* Neither. A refused one is not probed with again while another member can be. */
void circuit_neutral(struct circuit_member *member, const char *reason, bool is_refused);
void circuit_postponed(struct circuit_member *member); /* it was not made at all */
void circuit_follow(struct circuit *circuit); /* after each of these */
/* Retry-After: nobody sends for so long. */
void circuit_pause(struct circuit *circuit, int64_t pause_ms);
/* Forgets failures, and a Retry-After. What is invalid stays invalid. */
void circuit_forgive(struct circuit *circuit);
/* Once in a while: a drain ends when nothing is left. */
void circuit_settle(struct circuit *circuit);

/* ---- what other instances found out ---- */

/* Times are ticks. */
void circuit_learn_down(struct circuit *circuit, int64_t fails, int64_t down_since_ms,
                        int64_t next_probe_ms, const char *reason);
void circuit_learn_up(struct circuit *circuit);
/* wait_ms 0: this instance probes; more: not before that; less: it is valid. */
void circuit_probe_answered(struct circuit *circuit, int64_t wait_ms);

#endif

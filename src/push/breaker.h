/*
 * The state of what one breaker guards (circuit.h).
 *
 *     UP      sends; fail_limit failures in a row -> DOWN
 *     DOWN    sends nothing; every probe_interval, when something waits -> PROBE
 *     PROBE   exactly one attempt; success -> DRAIN, anything else -> DOWN
 *     DRAIN   sends what waited, slowly at first (one at a time, doubling with each success, at most
 *             drain_rate within any second); drain_fail_limit failures in a row -> DOWN; all sent -> UP
 *
 * Pure logic: the time is handed in (monotonic, in ms), the owner does the sending.
 */
#ifndef PUSH_BREAKER_H
#define PUSH_BREAKER_H

#include "push/push.h"

enum breaker_state { BREAKER_UP, BREAKER_DOWN, BREAKER_PROBE, BREAKER_DRAIN, BREAKER_STATES };

struct breaker {
    enum breaker_state state;
    int64_t fails, last_fail_ms;
    int64_t down_since_ms, next_probe_ms;
    int64_t drain_fails, drain_parallel;
    int64_t drain_tokens, drain_filled_ms; /* thousandths of a delivery, and as of when */
    int64_t instances; /* that share the drain rate; 0 = 1 */
};

const char *breaker_state_name(enum breaker_state state); /* "valid", "invalid", "probing", "draining" */

void breaker_init(struct breaker *breaker);

/* May one more be sent now, with in_flight under way? */
bool breaker_allows(const struct breaker *breaker, const struct push_settings *settings,
                    int64_t now_ms, int64_t in_flight);
/* When to ask again if it does not: 0 = when something changes. */
int64_t breaker_next_ms(const struct breaker *breaker, const struct push_settings *settings,
                        int64_t now_ms);

/* One is being sent: DOWN becomes PROBE, DRAIN counts it. */
void breaker_sent(struct breaker *breaker, const struct push_settings *settings, int64_t now_ms);
void breaker_not_sent(struct breaker *breaker); /* the probe could not be made: it is still due */

void breaker_succeeded(struct breaker *breaker, bool nothing_waits);
/* A failure that counts. */
void breaker_failed(struct breaker *breaker, const struct push_settings *settings,
                    int64_t now_ms);
/* An answer that is neither: a probe is over without success. */
void breaker_neutral(struct breaker *breaker, const struct push_settings *settings,
                     int64_t now_ms);
/* What another instance found out: invalid, and when to probe (again); or valid. */
void breaker_learn_down(struct breaker *breaker, int64_t fails, int64_t down_since_ms,
                        int64_t next_probe_ms);
void breaker_learn_up(struct breaker *breaker, bool nothing_waits);
void breaker_forgive(struct breaker *breaker); /* failures are counted from 0 */
void breaker_emptied(struct breaker *breaker); /* nothing waits any more: DRAIN becomes UP */

#endif

/*
 * Who of a circuit's members may send: all, while it is valid; in turn, while it drains or rests for a
 * Retry-After; one of them, for a probe.
 */
#include "push/circuit_private.h"

#include "base/clock.h"

/* ---- waking ---- */

static void schedule(struct circuit *circuit, int64_t at_ms)
{
    int64_t pause_ms = at_ms - clock_tick_ms();
    struct timeval pause = {0, 0};

    if (pause_ms > 0)
        pause = (struct timeval){pause_ms / 1000, pause_ms % 1000 * 1000};
    event_add(circuit->timer, &pause);
}

/* Most often it is not, and the clock need not be asked. */
static bool is_paused(const struct circuit *circuit)
{
    return circuit->paused_until_ms && clock_tick_ms() < circuit->paused_until_ms;
}

/* How many may be sent now. */
static int64_t room(const struct circuit *circuit)
{
    const struct breaker *breaker = &circuit->breaker;

    if (!is_valid(breaker->state) || is_paused(circuit))
        return 0;
    if (breaker->state == BREAKER_UP)
        return INT64_MAX;
    if (!breaker_allows(breaker, settings_of(circuit), clock_tick_ms(), circuit->in_flight))
        return 0;
    return breaker->drain_parallel - circuit->in_flight;
}

/* No more than may be sent: thousands may wait, and each that ends lets some of them go. */
void circuit_wake_waiting(struct circuit *circuit)
{
    struct circuit_member *member;
    int64_t left;

    if (TAILQ_EMPTY(&circuit->waiting))
        return;
    for (left = room(circuit); left > 0 && (member = TAILQ_FIRST(&circuit->waiting)); left--) {
        wait_no_more(member);
        calls_of(circuit)->wake(member->user);
    }
}

void circuit_wake_all(struct circuit *circuit)
{
    struct circuit_member *member;

    TAILQ_FOREACH (member, &circuit->members, in_circuit)
        calls_of(circuit)->wake(member->user);
}

void circuit_pass(struct circuit_member *member)
{
    wait_no_more(member);
    circuit_wake_waiting(member->circuit);
}

/* ---- probing ---- */

static bool can_probe(const struct circuit_member *member)
{
    return member->circuit->all->config.calls->can_probe(member->user);
}

/* The one with the oldest to send; the one that was refused last only if there is no other. */
static const struct circuit_member *choose_prober(const struct circuit *circuit)
{
    const struct circuit_member *member, *chosen = NULL;
    int64_t chosen_ms = 0;

    TAILQ_FOREACH (member, &circuit->members, in_circuit) {
        int64_t oldest_ms;

        if (member == circuit->refused || !can_probe(member))
            continue;
        oldest_ms = calls_of(circuit)->oldest_ms(member->user);
        if (!chosen || oldest_ms < chosen_ms) {
            chosen = member;
            chosen_ms = oldest_ms;
        }
    }
    if (!chosen && circuit->refused && can_probe(circuit->refused))
        chosen = circuit->refused;
    return chosen;
}

/* Somebody has something to probe with. */
static void consider_probe(struct circuit *circuit)
{
    if (!circuit->is_probe_granted) {
        if (clock_tick_ms() < circuit->breaker.next_probe_ms) {
            schedule(circuit, circuit->breaker.next_probe_ms);
        } else if (!circuit->is_probe_asked) {
            circuit->is_probe_asked = true;
            calls_of(circuit)->ask_probe(circuit);
        }
        return;
    }
    if (!circuit->prober || !can_probe(circuit->prober))
        circuit->prober = choose_prober(circuit);
    if (circuit->prober)
        calls_of(circuit)->probe(circuit->prober->user);
}

void circuit_offer(struct circuit_member *member)
{
    if (member->circuit->breaker.state == BREAKER_DOWN && can_probe(member))
        consider_probe(member->circuit);
}

void circuit_look_for_prober(struct circuit *circuit)
{
    const struct circuit_member *member;

    TAILQ_FOREACH (member, &circuit->members, in_circuit) {
        if (can_probe(member)) {
            consider_probe(circuit);
            return;
        }
    }
}

void circuit_time_has_come(evutil_socket_t fd, short what, void *arg)
{
    struct circuit *circuit = arg;

    (void)fd;
    (void)what;
    if (circuit->breaker.state == BREAKER_DOWN)
        circuit_look_for_prober(circuit);
    else
        circuit_wake_waiting(circuit);
}

void circuit_forget_probe(struct circuit *circuit)
{
    circuit->is_probe_granted = false;
    circuit->prober = circuit->refused = NULL;
}

/* ---- sending ---- */

bool circuit_holds_back(const struct circuit_member *member, bool is_busy)
{
    const struct circuit *circuit = member->circuit;

    if (is_valid(circuit->breaker.state))
        return false;
    return circuit->breaker.state == BREAKER_PROBE || is_busy || circuit->is_probe_asked ||
           (circuit->prober && circuit->prober != member) ||
           clock_tick_ms() < circuit->breaker.next_probe_ms;
}

/* It keeps its place if it has one. */
static bool waits(struct circuit_member *member)
{
    if (!member->is_waiting)
        TAILQ_INSERT_TAIL(&member->circuit->waiting, member, in_waiting);
    member->is_waiting = true;
    return false;
}

static bool is_to_probe(struct circuit_member *member)
{
    const struct circuit *circuit = member->circuit;

    if (!circuit->is_probe_granted || circuit->prober != member)
        circuit_offer(member);
    return circuit->is_probe_granted && circuit->prober == member;
}

static bool drain_lets_through(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;
    const struct circuits_config *config = &circuit->all->config;
    int64_t now_ms = clock_tick_ms(), next_ms;

    circuit->breaker.instances = config->calls->instance_count(config->arg);
    if (breaker_allows(&circuit->breaker, config->settings, now_ms, circuit->in_flight))
        return true;
    next_ms = breaker_next_ms(&circuit->breaker, config->settings, now_ms);
    if (next_ms)
        schedule(circuit, next_ms);
    return waits(member);
}

bool circuit_lets_through(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;
    bool may_go = true;

    if (is_paused(circuit)) {
        schedule(circuit, circuit->paused_until_ms);
        return waits(member);
    }
    if (circuit->breaker.state == BREAKER_DRAIN)
        may_go = drain_lets_through(member);
    else if (circuit->breaker.state != BREAKER_UP)
        may_go = is_to_probe(member); /* all are woken when it has gone well */
    if (may_go)
        wait_no_more(member);
    return may_go;
}

void circuit_sent(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;

    circuit->is_probe_granted = false;
    circuit->in_flight++;
    if (circuit->breaker.state == BREAKER_UP)
        return;
    breaker_sent(&circuit->breaker, settings_of(circuit), clock_tick_ms());
    circuit_note_change(circuit);
}

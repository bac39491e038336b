#include "push/circuit_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "push/scope.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- life ---- */

struct circuits *circuits_new(const struct circuits_config *config)
{
    struct circuits *circuits = xcalloc(1, sizeof(*circuits));

    circuits->config = *config;
    return circuits;
}

void circuits_free(struct circuits *circuits)
{
    free(circuits);
}

size_t circuits_count(const struct circuits *circuits, enum breaker_state state)
{
    return circuits->counts[state];
}

struct circuit *circuit_find(const struct circuits *circuits, struct str app_id, struct str name)
{
    char buffer[SCOPE_KEY_MAX];
    struct str key = scope_key(buffer, app_id, name);
    struct circuit *circuit;

    HASH_FIND(hh, circuits->table, key.p, key.len, circuit);
    return circuit;
}

static struct circuit *circuit_new(struct circuits *circuits, struct str key, size_t app_id_len)
{
    struct circuit *circuit = xcalloc(1, sizeof(*circuit) + key.len + 1);

    memcpy(circuit->key, key.p, key.len);
    circuit->key_len = key.len;
    circuit->name = str_n(circuit->key + app_id_len + 1, key.len - app_id_len - 1);
    circuit->shown = scope_shown(circuit->name);
    circuit->what = scope_text(scope_of(circuit->name));
    circuit->all = circuits;
    breaker_init(&circuit->breaker);
    TAILQ_INIT(&circuit->members);
    TAILQ_INIT(&circuit->waiting);
    circuit->timer = evtimer_new(circuits->config.base, circuit_time_has_come, circuit);
    HASH_ADD_KEYPTR(hh, circuits->table, circuit->key, circuit->key_len, circuit);
    return circuit;
}

struct circuit *circuit_get(struct circuits *circuits, struct push_app *app, struct str app_id,
                            struct str name)
{
    char buffer[SCOPE_KEY_MAX];
    struct str key = scope_key(buffer, app_id, name);
    struct circuit *circuit;

    HASH_FIND(hh, circuits->table, key.p, key.len, circuit);
    if (!circuit)
        circuit = circuit_new(circuits, key, app_id.len);
    circuit->app = app;
    return circuit;
}

void circuit_join(struct circuit *circuit, struct circuit_member *member, void *user)
{
    *member = (struct circuit_member){.circuit = circuit, .user = user};
    TAILQ_INSERT_TAIL(&circuit->members, member, in_circuit);
    circuit->member_count++;
    circuit->all->counts[circuit->followed]++;
}

void circuit_leave(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;

    wait_no_more(member);
    TAILQ_REMOVE(&circuit->members, member, in_circuit);
    circuit->all->counts[circuit->followed]--;
    if (circuit->prober == member)
        circuit->prober = NULL;
    if (circuit->refused == member)
        circuit->refused = NULL;
    if (--circuit->member_count > 0)
        return;
    HASH_DEL(circuit->all->table, circuit);
    event_free(circuit->timer);
    free(circuit);
}

bool circuit_is_first(const struct circuit_member *member)
{
    return TAILQ_FIRST(&member->circuit->members) == member;
}

bool circuit_is_last(const struct circuit_member *member)
{
    return member->circuit->member_count == 1;
}

/* ---- what it is like ---- */

struct push_app *circuit_app(const struct circuit *circuit)
{
    return circuit->app;
}

struct str circuit_app_id(const struct circuit *circuit)
{
    return str_n(circuit->key, circuit->key_len - circuit->name.len - 1);
}

struct str circuit_name(const struct circuit *circuit)
{
    return circuit->name;
}

enum breaker_state circuit_state(const struct circuit *circuit)
{
    return circuit->breaker.state;
}

int64_t circuit_failures(const struct circuit *circuit)
{
    return circuit->breaker.fails;
}

int64_t circuit_next_probe_ms(const struct circuit *circuit)
{
    return circuit->breaker.next_probe_ms;
}

const char *circuit_reason(const struct circuit *circuit)
{
    return circuit->reason;
}

uint64_t circuit_change(const struct circuit *circuit)
{
    return circuit->change;
}

void circuit_set_change(struct circuit *circuit, uint64_t change)
{
    circuit->change = change;
}

static bool is_settled(const struct circuit *circuit)
{
    const struct circuit_member *member;

    TAILQ_FOREACH (member, &circuit->members, in_circuit) {
        if (!calls_of(circuit)->is_settled(member->user))
            return false;
    }
    return true;
}

/* ---- changes ---- */

static void log_change(const struct circuit *circuit, enum breaker_state before)
{
    enum breaker_state now = circuit->breaker.state;
    const struct circuit_member *member;
    size_t waiting = 0;
    int64_t parked = 0;

    TAILQ_FOREACH (member, &circuit->members, in_circuit)
        calls_of(circuit)->count(member->user, &waiting, &parked);
    if (now == BREAKER_DOWN && before != BREAKER_PROBE)
        log_warn("push", "%s=%.*s state=invalid failures=%lld reason=%s waiting=%zu parked=%lld",
                 circuit->what, STR_ARG(circuit->shown), (long long)circuit->breaker.fails,
                 circuit->reason, waiting, (long long)parked);
    else if (now == BREAKER_UP || (now == BREAKER_DRAIN && before != BREAKER_UP))
        log_info("push", "%s=%.*s state=%s waiting=%zu parked=%lld", circuit->what,
                 STR_ARG(circuit->shown), breaker_state_name(now), waiting, (long long)parked);
}

enum breaker_state circuit_note_change(struct circuit *circuit)
{
    enum breaker_state before = circuit->followed, now = circuit->breaker.state;

    if (now == before)
        return before;
    circuit->all->counts[before] -= circuit->member_count;
    circuit->all->counts[now] += circuit->member_count;
    circuit->followed = now;
    log_change(circuit, before);
    return before;
}

void circuit_follow(struct circuit *circuit)
{
    enum breaker_state before = circuit_note_change(circuit), now = circuit->breaker.state;

    if (is_valid(before) && now == BREAKER_DOWN) {
        calls_of(circuit)->tell_down(circuit);
        calls_of(circuit)->rest(circuit);
    } else if (!is_valid(before) && is_valid(now)) {
        calls_of(circuit)->tell_up(circuit);
        circuit_wake_all(circuit);
    }
    if (now == BREAKER_DOWN && now != before)
        circuit_look_for_prober(circuit);
    circuit_wake_waiting(circuit);
}

void circuit_settle(struct circuit *circuit)
{
    if (circuit->breaker.state != BREAKER_DRAIN || !is_settled(circuit))
        return;
    breaker_emptied(&circuit->breaker);
    circuit_follow(circuit);
}

void circuit_learn_down(struct circuit *circuit, int64_t fails, int64_t down_since_ms,
                        int64_t next_probe_ms, const char *reason)
{
    bool is_new = is_valid(circuit->breaker.state);

    if (circuit->breaker.state == BREAKER_PROBE)
        return; /* its result is to come */
    if (is_new)
        snprintf(circuit->reason, sizeof(circuit->reason), "%s", reason);
    breaker_learn_down(&circuit->breaker, fails, down_since_ms, next_probe_ms);
    circuit_note_change(circuit);
    if (is_new)
        calls_of(circuit)->rest(circuit);
    circuit_look_for_prober(circuit);
}

void circuit_learn_up(struct circuit *circuit)
{
    if (circuit->breaker.state != BREAKER_DOWN)
        return;
    circuit_forget_probe(circuit);
    breaker_learn_up(&circuit->breaker, is_settled(circuit));
    circuit_note_change(circuit);
    circuit_wake_all(circuit);
}

void circuit_probe_answered(struct circuit *circuit, int64_t wait_ms)
{
    circuit->is_probe_asked = false;
    if (circuit->breaker.state != BREAKER_DOWN)
        return;
    if (wait_ms < 0) {
        circuit_learn_up(circuit);
    } else if (wait_ms == 0) {
        circuit->is_probe_granted = true;
        circuit->prober = NULL;
        circuit_look_for_prober(circuit);
    } else {
        circuit->breaker.next_probe_ms = clock_tick_ms() + wait_ms;
        calls_of(circuit)->rest(circuit); /* what came to be the probe */
        circuit_look_for_prober(circuit);
    }
}

void circuit_forgive(struct circuit *circuit)
{
    breaker_forgive(&circuit->breaker);
    circuit->paused_until_ms = 0;
    circuit_wake_waiting(circuit);
}

void circuit_pause(struct circuit *circuit, int64_t pause_ms)
{
    circuit->paused_until_ms = clock_tick_ms() + pause_ms;
}

/* ---- results ---- */

static void ended(struct circuit_member *member)
{
    member->circuit->in_flight--;
}

void circuit_succeeded(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;
    bool was_up = circuit->breaker.state == BREAKER_UP;

    ended(member);
    if (!was_up)
        circuit_forget_probe(circuit);
    breaker_succeeded(&circuit->breaker, !was_up && is_settled(circuit));
}

static void not_succeeded(struct circuit_member *member, const char *reason)
{
    struct circuit *circuit = member->circuit;

    ended(member);
    snprintf(circuit->reason, sizeof(circuit->reason), "%s", reason);
    if (circuit->breaker.state == BREAKER_PROBE)
        circuit->prober = circuit->refused = NULL;
}

void circuit_failed(struct circuit_member *member, const char *reason)
{
    not_succeeded(member, reason);
    breaker_failed(&member->circuit->breaker, settings_of(member->circuit), clock_tick_ms());
}

void circuit_neutral(struct circuit_member *member, const char *reason, bool is_refused)
{
    struct circuit *circuit = member->circuit;
    bool was_probe = circuit->breaker.state == BREAKER_PROBE && circuit->prober == member;

    not_succeeded(member, reason);
    if (was_probe && is_refused)
        circuit->refused = member;
    breaker_neutral(&circuit->breaker, settings_of(circuit), clock_tick_ms());
}

/* The next one of a probe that was not made is due at once. */
void circuit_postponed(struct circuit_member *member)
{
    struct circuit *circuit = member->circuit;

    ended(member);
    if (circuit->breaker.state != BREAKER_PROBE || circuit->prober != member)
        return;
    breaker_not_sent(&circuit->breaker);
    circuit->is_probe_granted = true;
}

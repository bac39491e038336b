#include "push/breaker.h"

#define MAX_PARALLEL (1 << 20)

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"valid", "invalid", "probing", "draining"};

    return names[state];
}

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_UP};
}

static bool is_drain_second_full(const struct breaker *breaker,
                                 const struct push_settings *settings, int64_t now_ms)
{
    int64_t rate = settings->drain_rate / (breaker->instances ? breaker->instances : 1);

    return now_ms - breaker->drain_window_ms < 1000 && breaker->drain_sent >= (rate ? rate : 1);
}

bool breaker_allows(const struct breaker *breaker, const struct push_settings *settings,
                    int64_t now_ms, int64_t in_flight)
{
    switch (breaker->state) {
    case BREAKER_UP:
        return true;
    case BREAKER_DOWN:
        return now_ms >= breaker->next_probe_ms;
    case BREAKER_DRAIN:
        return in_flight < breaker->drain_parallel &&
               !is_drain_second_full(breaker, settings, now_ms);
    default:
        return false;
    }
}

int64_t breaker_next_ms(const struct breaker *breaker, const struct push_settings *settings,
                        int64_t now_ms)
{
    if (breaker->state == BREAKER_DOWN)
        return breaker->next_probe_ms;
    if (breaker->state == BREAKER_DRAIN && is_drain_second_full(breaker, settings, now_ms))
        return breaker->drain_window_ms + 1000;
    return 0;
}

void breaker_sent(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->state == BREAKER_DOWN) {
        breaker->state = BREAKER_PROBE;
    } else if (breaker->state == BREAKER_DRAIN) {
        if (now_ms - breaker->drain_window_ms >= 1000) {
            breaker->drain_window_ms = now_ms;
            breaker->drain_sent = 0;
        }
        breaker->drain_sent++;
    }
}

static void go_down(struct breaker *breaker, const struct push_settings *settings, int64_t now_ms)
{
    breaker->state = BREAKER_DOWN;
    breaker->down_since_ms = now_ms;
    breaker->next_probe_ms = now_ms + settings->probe_interval_ms;
}

/* The probes keep their rhythm: at down_since + k * probe_interval, however long one took. */
static void probe_is_over(struct breaker *breaker, const struct push_settings *settings,
                          int64_t now_ms)
{
    breaker->state = BREAKER_DOWN;
    while (breaker->next_probe_ms <= now_ms)
        breaker->next_probe_ms +=
            settings->probe_interval_ms *
            (1 + (now_ms - breaker->next_probe_ms) / settings->probe_interval_ms);
}

static void start_drain(struct breaker *breaker)
{
    breaker->state = BREAKER_DRAIN;
    breaker->drain_parallel = 1;
    breaker->drain_window_ms = 0;
    breaker->drain_sent = 0;
}

void breaker_succeeded(struct breaker *breaker, bool nothing_waits)
{
    breaker->fails = 0;
    breaker->drain_fails = 0;
    if (breaker->state == BREAKER_DRAIN) {
        if (breaker->drain_parallel < MAX_PARALLEL)
            breaker->drain_parallel *= 2;
    } else if (breaker->state != BREAKER_UP) {
        start_drain(breaker);
    }
    if (nothing_waits)
        breaker_emptied(breaker);
}

void breaker_learn_down(struct breaker *breaker, int64_t fails, int64_t down_since_ms,
                        int64_t next_probe_ms)
{
    breaker->state = BREAKER_DOWN;
    breaker->fails = fails;
    breaker->down_since_ms = down_since_ms;
    breaker->next_probe_ms = next_probe_ms;
}

void breaker_learn_up(struct breaker *breaker, bool nothing_waits)
{
    breaker->fails = 0;
    breaker->drain_fails = 0;
    start_drain(breaker);
    if (nothing_waits)
        breaker_emptied(breaker);
}

void breaker_failed(struct breaker *breaker, const struct push_settings *settings, int64_t now_ms)
{
    if (breaker->fails > 0 && now_ms - breaker->last_fail_ms > settings->fail_window_ms)
        breaker->fails = 0;
    breaker->fails++;
    breaker->last_fail_ms = now_ms;
    if (breaker->state == BREAKER_PROBE)
        probe_is_over(breaker, settings, now_ms);
    else if (breaker->state == BREAKER_UP && breaker->fails >= settings->fail_limit)
        go_down(breaker, settings, now_ms);
    else if (breaker->state == BREAKER_DRAIN &&
             ++breaker->drain_fails >= settings->drain_fail_limit)
        go_down(breaker, settings, now_ms);
}

void breaker_neutral(struct breaker *breaker, const struct push_settings *settings, int64_t now_ms)
{
    if (breaker->state == BREAKER_PROBE)
        probe_is_over(breaker, settings, now_ms);
}

void breaker_emptied(struct breaker *breaker)
{
    if (breaker->state == BREAKER_DRAIN)
        breaker->state = BREAKER_UP;
}

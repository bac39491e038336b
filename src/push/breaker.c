#include "push/breaker.h"

#define MAX_PARALLEL (1 << 20)
#define TOKEN        1000 /* of one delivery */
#define BURST        20   /* a bucket holds this part of a second's rate, and one at least */

const char *breaker_state_name(enum breaker_state state)
{
    static const char *const names[] = {"valid", "invalid", "probing", "draining"};

    return names[state];
}

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){.state = BREAKER_UP};
}

/* A bucket of `size` deliveries that gets `rate` of them a second. Both together are the most that goes
 * out within any second, so they share what is allowed. */
struct bucket {
    int64_t size, rate;
};

static struct bucket drain_bucket(const struct breaker *breaker,
                                  const struct push_settings *settings)
{
    int64_t rate = settings->drain_rate / (breaker->instances ? breaker->instances : 1);
    int64_t size = rate / BURST;

    if (rate < 1)
        rate = 1;
    if (size < 1)
        size = 1;
    return (struct bucket){size, rate - (size - 1)};
}

static int64_t drain_tokens(const struct breaker *breaker, struct bucket bucket, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - breaker->drain_filled_ms;
    int64_t tokens =
        breaker->drain_tokens + (elapsed_ms < 1000 ? elapsed_ms : 1000) * bucket.rate;

    return tokens < bucket.size * TOKEN ? tokens : bucket.size * TOKEN;
}

static bool is_drain_rate_used_up(const struct breaker *breaker,
                                  const struct push_settings *settings, int64_t now_ms)
{
    return drain_tokens(breaker, drain_bucket(breaker, settings), now_ms) < TOKEN;
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
               !is_drain_rate_used_up(breaker, settings, now_ms);
    default:
        return false;
    }
}

int64_t breaker_next_ms(const struct breaker *breaker, const struct push_settings *settings,
                        int64_t now_ms)
{
    if (breaker->state == BREAKER_DOWN)
        return breaker->next_probe_ms;
    if (breaker->state == BREAKER_DRAIN && is_drain_rate_used_up(breaker, settings, now_ms)) {
        struct bucket bucket = drain_bucket(breaker, settings);
        int64_t missing = TOKEN - drain_tokens(breaker, bucket, now_ms);

        return now_ms + (missing + bucket.rate - 1) / bucket.rate;
    }
    return 0;
}

void breaker_sent(struct breaker *breaker, const struct push_settings *settings, int64_t now_ms)
{
    if (breaker->state == BREAKER_DOWN) {
        breaker->state = BREAKER_PROBE;
    } else if (breaker->state == BREAKER_DRAIN) {
        breaker->drain_tokens =
            drain_tokens(breaker, drain_bucket(breaker, settings), now_ms) - TOKEN;
        breaker->drain_filled_ms = now_ms;
    }
}

void breaker_not_sent(struct breaker *breaker)
{
    if (breaker->state == BREAKER_PROBE)
        breaker->state = BREAKER_DOWN;
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
    breaker->drain_tokens = TOKEN;
    breaker->drain_filled_ms = 0;
}

void breaker_forgive(struct breaker *breaker)
{
    breaker->fails = 0;
    breaker->drain_fails = 0;
}

void breaker_succeeded(struct breaker *breaker, bool nothing_waits)
{
    breaker_forgive(breaker);
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
    breaker_forgive(breaker);
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

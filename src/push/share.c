/*
 * What instances tell each other of callback URLs, in Redis: which are invalid, since when, and when
 * the next probe is due, by the name of the circuit. Failures are counted by each instance for itself;
 * the first that comes to the limit makes the URL invalid for all, one of them makes each probe, and
 * its success makes the URL valid for all. Others notice when they read the application's subscriptions again, about once a
 * second, or when they ask to probe.
 *
 * A reading that was sent before the last change made here knows nothing of it, and is not believed.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "push/scope.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define FIELDS     5   /* of breakers_read.lua, per URL */
#define FORGET_MAX 100 /* per reading; the rest comes with the next ones */

struct shared_breaker {
    char *name; /* of its circuit */
    char *reason;
    int64_t down_since_ms, next_probe_ms; /* tick */
    int64_t fails;
};

struct shared_breakers {
    uint64_t change; /* of ours, that the reading had seen */
    size_t count;
    struct shared_breaker list[];
};

void share_free(struct shared_breakers *breakers)
{
    for (size_t i = 0; breakers && i < breakers->count; i++) {
        free(breakers->list[i].name);
        free(breakers->list[i].reason);
    }
    free(breakers);
}

/* ---- telling ---- */

static struct push *push_of(const struct circuit *circuit)
{
    return circuit_app(circuit)->push;
}

static void note_change(struct circuit *circuit)
{
    circuit_set_change(circuit, ++push_of(circuit)->shared_changes);
    refresh_doubt(circuit_app(circuit));
}

void share_down(struct circuit *circuit)
{
    struct str app_id = circuit_app_id(circuit);
    int64_t pause_ms = circuit_next_probe_ms(circuit) - clock_tick_ms();
    struct decimal fails, pause;
    struct key app, breakers;
    struct str keys[] = {key_app(&app, app_id), key_app_breakers(&breakers, app_id)};
    struct str args[] = {circuit_name(circuit), decimal_str(&fails, circuit_failures(circuit)),
                         decimal_str(&pause, pause_ms), str_of(circuit_reason(circuit))};

    note_change(circuit);
    redis_script(push_of(circuit)->core->redis, &script_breaker_down, 2, keys, 4, args, NULL,
                 NULL);
}

void share_up(struct circuit *circuit)
{
    struct key key;

    note_change(circuit);
    redis_command(push_of(circuit)->core->redis, 3,
                  (struct str[]){STR("HDEL"), key_app_breakers(&key, circuit_app_id(circuit)),
                                 circuit_name(circuit)},
                  NULL, NULL);
}

/* ---- hearing ---- */

static const struct shared_breaker *find(const struct shared_breakers *breakers, struct str name)
{
    for (size_t i = 0; i < breakers->count; i++) {
        if (str_eq(str_of(breakers->list[i].name), name))
            return &breakers->list[i];
    }
    return NULL;
}

void share_apply(struct circuit *circuit)
{
    const struct shared_breakers *breakers = circuit_app(circuit)->breakers;
    const struct shared_breaker *shared;

    if (!breakers || circuit_change(circuit) > breakers->change)
        return;
    shared = find(breakers, circuit_name(circuit));
    if (shared)
        circuit_learn_down(circuit, shared->fails, shared->down_since_ms, shared->next_probe_ms,
                           shared->reason);
    else
        circuit_learn_up(circuit);
}

static struct shared_breakers *breakers_from(const redisReply *reply, uint64_t change)
{
    size_t count = reply->elements / FIELDS;
    struct shared_breakers *breakers =
        xcalloc(1, sizeof(*breakers) + count * sizeof(*breakers->list));
    int64_t now_ms = clock_tick_ms();

    breakers->change = change;
    breakers->count = count;
    for (size_t i = 0; i < count; i++) {
        const redisReply *const *fields = (const redisReply *const *)reply->element + i * FIELDS;

        breakers->list[i] = (struct shared_breaker){
            .name = str_dup(redis_reply_str(fields[0])),
            .down_since_ms = now_ms - redis_reply_i64(fields[1]),
            .next_probe_ms = now_ms + redis_reply_i64(fields[2]),
            .fails = redis_reply_i64(fields[3]),
            .reason = str_dup(redis_reply_str(fields[4])),
        };
    }
    return breakers;
}

struct share_reading {
    struct push_app *app;
    uint64_t change;
    void (*cb)(bool is_read, struct push_app *app);
};

static void breakers_came(enum redis_status status, const redisReply *reply, void *arg)
{
    struct share_reading *reading = arg;
    struct push_app *app = reading->app;
    bool is_read = status == REDIS_DONE && reply->type == REDIS_REPLY_ARRAY;

    if (is_read) {
        share_free(app->breakers);
        app->breakers = breakers_from(reply, reading->change);
    }
    reading->cb(is_read, app);
    free(reading);
}

void share_read(struct push_app *app, void (*cb)(bool is_read, struct push_app *app))
{
    struct share_reading *reading = xmalloc(sizeof(*reading));
    struct key key;

    *reading = (struct share_reading){app, app->push->shared_changes, cb};
    redis_script(app->push->core->redis, &script_breakers_read, 1,
                 (struct str[]){key_app_breakers(&key, str_of(app->id))}, 0, NULL, breakers_came,
                 reading);
}

/* Left by instances with another push.breaker_scope_v1, and probed by nobody for longer than anything
 * can wait: there is none of them any more, or none that has anything to send there. */
static bool is_of_other_scope(const struct push *push, const struct shared_breaker *shared)
{
    return (int)scope_of(str_of(shared->name)) != push->settings->breaker_scope_v1 &&
           clock_tick_ms() - shared->next_probe_ms > push->settings->v1_cache_time_ms;
}

static bool is_unused(const struct push_app *app, const struct shared_breaker *shared)
{
    struct str name = str_of(shared->name);

    return !circuit_find(app->push->circuits, str_of(app->id), name) &&
           (is_of_other_scope(app->push, shared) || !push_app_leads_to(app, name));
}

/* What was unsubscribed or changed while it was invalid: whoever had it in memory may have been
 * stopped since, so everybody who comes by clears up. */
void share_forget_unused(struct push_app *app)
{
    const struct shared_breakers *breakers = app->breakers;
    struct str words[2 + FORGET_MAX] = {STR("HDEL")};
    size_t count = 0;
    struct key key;

    for (size_t i = 0; i < breakers->count && count < FORGET_MAX; i++) {
        if (is_unused(app, &breakers->list[i]))
            words[2 + count++] = str_of(breakers->list[i].name);
    }
    words[1] = key_app_breakers(&key, str_of(app->id));
    if (count > 0)
        redis_command(app->push->core->redis, 2 + count, words, NULL, NULL);
}

/* ---- who probes ---- */

struct probe_question {
    struct push *push;
    char *app_id, *name; /* of the circuit: it may be gone when the answer comes */
};

static struct probe_question *question_new(const struct circuit *circuit)
{
    struct probe_question *question = xmalloc(sizeof(*question));

    question->push = push_of(circuit);
    question->app_id = str_dup(circuit_app_id(circuit));
    question->name = str_dup(circuit_name(circuit));
    return question;
}

static void question_free(struct probe_question *question)
{
    free(question->app_id);
    free(question->name);
    free(question);
}

static struct circuit *circuit_asked_for(const struct probe_question *question)
{
    return circuit_find(question->push->circuits, str_of(question->app_id),
                        str_of(question->name));
}

static void probe_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct probe_question *question = arg;
    struct circuit *circuit = circuit_asked_for(question);
    int64_t wait_ms = redis_reply_i64(reply);

    if (status != REDIS_DONE) /* unknown: it may have been granted, so wait as if it was not */
        wait_ms = question->push->settings->probe_interval_ms;
    if (circuit)
        circuit_probe_answered(circuit, wait_ms);
    question_free(question);
}

void share_ask_probe(struct circuit *circuit)
{
    struct push *push = push_of(circuit);
    struct decimal pause;
    struct key key;

    redis_script(push->core->redis, &script_breaker_probe, 1,
                 (struct str[]){key_app_breakers(&key, circuit_app_id(circuit))}, 2,
                 (struct str[]){circuit_name(circuit),
                                decimal_str(&pause, push->settings->probe_interval_ms)},
                 probe_answered, question_new(circuit));
}

static void made_due(enum redis_status status, const redisReply *reply, void *arg)
{
    struct probe_question *question = arg;

    if (status == REDIS_DONE && redis_reply_i64(reply) == 1)
        dispatch_subscriptions_changed(question->push, str_of(question->app_id));
    question_free(question);
}

void share_probe_now(struct circuit *circuit)
{
    struct key key;

    redis_script(push_of(circuit)->core->redis, &script_breaker_due, 1,
                 (struct str[]){key_app_breakers(&key, circuit_app_id(circuit))}, 1,
                 (struct str[]){circuit_name(circuit)}, made_due, question_new(circuit));
}

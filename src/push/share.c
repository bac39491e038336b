/*
 * What instances tell each other of callback URLs, in Redis: which are invalid, since when, and when
 * the next probe is due. Failures are counted by each instance for itself; the first that comes to the
 * limit makes the URL invalid for all, one of them makes each probe, and its success makes the URL
 * valid for all. Others notice when they read the application's subscriptions again, about once a
 * second, or when they ask to probe.
 *
 * A reading that was sent before the last change made here knows nothing of it, and is not believed.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define FIELDS     5   /* of breakers_read.lua, per URL */
#define FORGET_MAX 100 /* per reading; the rest comes with the next ones */

struct shared_breaker {
    char *url, *reason;
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
        free(breakers->list[i].url);
        free(breakers->list[i].reason);
    }
    free(breakers);
}

/* ---- telling ---- */

static struct str app_id_of(const struct target *target)
{
    return str_of(target->app->id);
}

static void note_change(struct target *target)
{
    target->shared_change = ++target->push->shared_changes;
    refresh_doubt(target->app);
}

void share_down(struct target *target)
{
    const struct push *push = target->push;
    struct decimal fails, pause;
    struct key app, breakers;
    struct str keys[] = {key_app(&app, app_id_of(target)),
                         key_app_breakers(&breakers, app_id_of(target))};
    struct str args[] = {str_of(target->url), decimal_str(&fails, target->breaker.fails),
                         decimal_str(&pause, target->breaker.next_probe_ms - clock_tick_ms()),
                         str_of(target->last_error)};

    note_change(target);
    redis_script(push->core->redis, &script_breaker_down, 2, keys, 4, args, NULL, NULL);
}

void share_up(struct target *target)
{
    struct key key;

    note_change(target);
    redis_command(target->push->core->redis, 3,
                  (struct str[]){STR("HDEL"), key_app_breakers(&key, app_id_of(target)),
                                 str_of(target->url)},
                  NULL, NULL);
}

/* ---- hearing ---- */

static void learn_down(struct target *target, const struct shared_breaker *shared)
{
    enum breaker_state before = target->breaker.state;

    if (before == BREAKER_UP || before == BREAKER_DRAIN)
        snprintf(target->last_error, sizeof(target->last_error), "%s", shared->reason);
    breaker_learn_down(&target->breaker, shared->fails, shared->down_since_ms,
                       shared->next_probe_ms);
    target_note_state(target, before);
    if (before == BREAKER_UP || before == BREAKER_DRAIN)
        target_park_all(target);
    target_wake(target);
}

static void learn_up(struct target *target)
{
    enum breaker_state before = target->breaker.state;

    target->is_probe_granted = false;
    breaker_learn_up(&target->breaker, target_is_settled(target));
    target_note_state(target, before);
    target_wake(target);
}

static const struct shared_breaker *find(const struct shared_breakers *breakers, const char *url)
{
    for (size_t i = 0; breakers && i < breakers->count; i++) {
        if (strcmp(breakers->list[i].url, url) == 0)
            return &breakers->list[i];
    }
    return NULL;
}

void share_apply(struct target *target)
{
    const struct shared_breakers *breakers = target->app->breakers;
    const struct shared_breaker *shared = find(breakers, target->url);

    if (!breakers || target->shared_change > breakers->change)
        return;
    if (shared && target->breaker.state != BREAKER_PROBE)
        learn_down(target, shared);
    else if (!shared && target->breaker.state == BREAKER_DOWN)
        learn_up(target);
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
            .url = str_dup(redis_reply_str(fields[0])),
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

/* A URL that was unsubscribed or changed while it was invalid: whoever had it in memory may have been
 * stopped since, so everybody who comes by clears up. */
void share_forget_unused(struct push_app *app)
{
    const struct shared_breakers *breakers = app->breakers;
    struct str words[2 + FORGET_MAX] = {STR("HDEL")};
    size_t count = 0;
    struct key key;

    for (size_t i = 0; i < breakers->count && count < FORGET_MAX; i++) {
        struct str url = str_of(breakers->list[i].url);

        if (!push_app_may_use(app, url) && !target_find(app->push, str_of(app->id), url))
            words[2 + count++] = url;
    }
    words[1] = key_app_breakers(&key, str_of(app->id));
    if (count > 0)
        redis_command(app->push->core->redis, 2 + count, words, NULL, NULL);
}

/* ---- who probes ---- */

struct probe_question {
    struct push *push;
    size_t key_len;
    char key[]; /* the target's: it may be gone when the answer comes */
};

static void probe_answered(enum redis_status status, const redisReply *reply, void *arg)
{
    struct probe_question *question = arg;
    struct target *target;
    int64_t wait_ms = redis_reply_i64(reply);

    HASH_FIND(hh, question->push->targets, question->key, question->key_len, target);
    free(question);
    if (!target)
        return;
    target->is_probe_asked = false;
    if (target->breaker.state != BREAKER_DOWN)
        return;
    if (status != REDIS_DONE) /* unknown: it may have been granted, so wait as if it was not */
        wait_ms = target->push->settings->probe_interval_ms;
    if (wait_ms < 0) {
        learn_up(target);
    } else if (wait_ms == 0) {
        target->is_probe_granted = true;
        target_wake(target);
    } else {
        target->breaker.next_probe_ms = clock_tick_ms() + wait_ms;
        target_park_all(target); /* what came to be the probe */
        target_wake(target);
    }
}

static struct probe_question *question_new(const struct target *target)
{
    struct probe_question *question = xmalloc(sizeof(*question) + target->key_len);

    question->push = target->push;
    question->key_len = target->key_len;
    memcpy(question->key, target->key, target->key_len);
    return question;
}

void share_ask_probe(struct target *target)
{
    struct push *push = target->push;
    struct decimal pause;
    struct key key;

    if (target->is_probe_asked)
        return;
    target->is_probe_asked = true;
    redis_script(push->core->redis, &script_breaker_probe, 1,
                 (struct str[]){key_app_breakers(&key, app_id_of(target))}, 2,
                 (struct str[]){str_of(target->url),
                                decimal_str(&pause, push->settings->probe_interval_ms)},
                 probe_answered, question_new(target));
}

static void made_due(enum redis_status status, const redisReply *reply, void *arg)
{
    struct probe_question *question = arg;
    struct target *target;

    HASH_FIND(hh, question->push->targets, question->key, question->key_len, target);
    if (target && status == REDIS_DONE && redis_reply_i64(reply) == 1)
        dispatch_subscriptions_changed(question->push, app_id_of(target));
    free(question);
}

void share_probe_now(struct target *target)
{
    struct key key;

    redis_script(target->push->core->redis, &script_breaker_due, 1,
                 (struct str[]){key_app_breakers(&key, app_id_of(target))}, 1,
                 (struct str[]){str_of(target->url)}, made_due, question_new(target));
}

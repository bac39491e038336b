/*
 * Reading the subscriptions and breakers of applications again, because other instances may have
 * changed them. Each is asked for so early that the list in the cache is still good, so that events
 * need not wait, and the questions are spread: Redis would keep reports waiting behind those for a
 * thousand applications. Most often nothing has changed, so the first question is for a digest of all
 * that was read.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/mem.h"
#include "core/app/signing.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

#define LEAST_MS 250
#define TICK_MS  10

struct refresh {
    struct push_app_list apps; /* by time */
    size_t count;
    struct event *timer;
};

void refresh_leave(struct push_app *app)
{
    struct refresh *refresh = app->push->refresh;

    if (!app->refresh_ms)
        return;
    TAILQ_REMOVE(&refresh->apps, app, in_refresh);
    refresh->count--;
    app->refresh_ms = 0;
}

static int64_t pause_ms_of(const struct push *push)
{
    int64_t pause_ms = push->core->settings->cache_life_ms / 4 * 3;

    return pause_ms < LEAST_MS ? LEAST_MS : pause_ms;
}

static void schedule(struct refresh *refresh, int64_t pause_ms)
{
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    if (!event_pending(refresh->timer, EV_TIMEOUT, NULL))
        event_add(refresh->timer, &pause);
}

void refresh_join(struct push_app *app)
{
    struct refresh *refresh = app->push->refresh;
    int64_t pause_ms = pause_ms_of(app->push);

    refresh_leave(app);
    app->refresh_ms = clock_tick_ms() + pause_ms;
    TAILQ_INSERT_TAIL(&refresh->apps, app, in_refresh);
    refresh->count++;
    schedule(refresh, pause_ms);
}

void refresh_soon(struct push_app *app)
{
    struct refresh *refresh = app->push->refresh;

    app->refresh_ms = clock_tick_ms();
    TAILQ_INSERT_HEAD(&refresh->apps, app, in_refresh);
    refresh->count++;
    event_active(refresh->timer, EV_TIMEOUT, 0);
}

/* ---- has anything changed? ---- */

void refresh_doubt(struct push_app *app)
{
    app->digest[0] = '\0';
    app->is_digest_old = true;
}

static bool is_unchanged(const struct push_app *app, struct str digest)
{
    return digest.len > 0 && str_eq(digest, str_of(app->digest)) && app->subscriptions &&
           !app->is_outdated;
}

/* What was read is held against the digest from before: what changed in between is read once more. */
static void read_changes(struct push_app *app, struct str digest)
{
    bool is_refresh = app->is_refresh;

    push_app_read(app);
    app->is_refresh = is_refresh;
    app->digest[0] = '\0';
    if (digest.len < DIGEST_SIZE && !app->is_digest_old) {
        memcpy(app->digest, digest.p, digest.len);
        app->digest[digest.len] = '\0';
    }
}

static void digest_came(enum redis_status status, const redisReply *reply, void *arg)
{
    struct push_app *app = arg;
    struct str digest = status == REDIS_DONE ? redis_reply_str(reply) : STR("");

    app->is_reading = false;
    if (!is_unchanged(app, digest)) {
        read_changes(app, digest);
        return;
    }
    subscriptions_keep(app->push->core, str_of(app->id), app->subscriptions);
    refresh_join(app);
    push_app_go_on(app);
}

/* It is a reading as far as anybody else is concerned. */
static void ask_digest(struct push_app *app)
{
    struct str id = str_of(app->id);
    struct key record, subscriptions, breakers;

    app->is_outdated = app->is_digest_old = false;
    app->is_reading = app->is_refresh = true;
    redis_script(app->push->core->redis, &script_app_digest, 3,
                 (struct str[]){key_app(&record, id), key_app_subscriptions(&subscriptions, id),
                                key_app_breakers(&breakers, id)},
                 SIGNING_FIELD_COUNT, (struct str[]){SIGNING_FIELDS}, digest_came, app);
}

/* ---- the next ones ---- */

static void read_next(evutil_socket_t fd, short what, void *arg)
{
    struct push *push = arg;
    struct refresh *refresh = push->refresh;
    int64_t now_ms = clock_tick_ms(), pause_ms = TICK_MS;
    size_t count = 1 + 3 * refresh->count * TICK_MS / (size_t)pause_ms_of(push);
    struct push_app *app;

    (void)fd;
    (void)what;
    while (redis_is_connected(push->core->redis) && (app = TAILQ_FIRST(&refresh->apps)) &&
           app->refresh_ms <= now_ms && count-- > 0) {
        refresh_leave(app);
        if (!app->is_reading)
            ask_digest(app);
    }
    app = TAILQ_FIRST(&refresh->apps);
    if (app && app->refresh_ms - now_ms > pause_ms)
        pause_ms = app->refresh_ms - now_ms;
    if (app)
        schedule(refresh, pause_ms);
}

struct refresh *refresh_new(struct push *push)
{
    struct refresh *refresh = xcalloc(1, sizeof(*refresh));

    TAILQ_INIT(&refresh->apps);
    refresh->timer = evtimer_new(push->core->base, read_next, push);
    return refresh;
}

void refresh_free(struct refresh *refresh)
{
    event_free(refresh->timer);
    free(refresh);
}

/*
 * Reading the subscriptions and breakers of applications again, because other instances may have
 * changed them. Each is read so early that the list in the cache is still good, so that events need not
 * wait, and the readings are spread: Redis would keep reports waiting behind those of a thousand
 * applications.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/mem.h"
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
    int64_t pause_ms = push->core->settings->cache_life_ms / 2;

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

static void read_next(evutil_socket_t fd, short what, void *arg)
{
    struct push *push = arg;
    struct refresh *refresh = push->refresh;
    int64_t now_ms = clock_tick_ms(), pause_ms = TICK_MS;
    size_t count = 1 + refresh->count * TICK_MS / (size_t)pause_ms_of(push);
    struct push_app *app;

    (void)fd;
    (void)what;
    while (redis_is_connected(push->core->redis) && (app = TAILQ_FIRST(&refresh->apps)) &&
           app->refresh_ms <= now_ms && count-- > 0) {
        refresh_leave(app);
        if (!app->is_reading) {
            push_app_read(app);
            app->is_refresh = true;
        }
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

/*
 * Sessions that have ended, until Redis has confirmed that: a device must not stay ONLINE because Redis
 * was away at the wrong moment. Few at a time are sent: when a whole instance's devices go, others want
 * Redis too.
 */
#include "core/session/private.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdlib.h>

#define AT_ONCE 256

static const struct timeval retry_pause = {0, 200000};

struct closing {
    STAILQ_ENTRY(closing) entry;
    struct core *core;
    char *device_id, *session_id, *node;
    void (*done)(void *arg);
    void *arg;
};

static void closing_free(struct closing *closing)
{
    free(closing->device_id);
    free(closing->session_id);
    free(closing->node);
    free(closing);
}

static void check_stopped(struct sessions *sessions)
{
    if (sessions->stopped && sessions->closing_count == 0)
        event_active(sessions->stop_timer, EV_TIMEOUT, 0);
}

static void pump(struct sessions *sessions);

static void closed(enum redis_status status, const redisReply *reply, void *arg)
{
    struct closing *closing = arg;
    struct sessions *sessions = closing->core->sessions;

    (void)reply;
    sessions->closing_in_flight--;
    if (status != REDIS_DONE && status != REDIS_ERROR) {
        STAILQ_INSERT_TAIL(&sessions->closing, closing, entry);
        event_add(sessions->retry, &retry_pause);
        return;
    }
    if (closing->done)
        closing->done(closing->arg);
    closing_free(closing);
    sessions->closing_count--;
    check_stopped(sessions);
    pump(sessions);
}

static void send_closing(struct closing *closing)
{
    struct core *core = closing->core;
    struct str device_id = str_of(closing->device_id), node = str_of(closing->node);
    uint32_t partition = partition_of(core, device_id);
    struct key device, events, on_node, marks;
    struct decimal now;
    struct str keys[] = {key_device(&device, partition, device_id), key_events(&events, partition),
                         key_on_node(&on_node, partition, node),
                         key_index_marks(&marks, partition)};
    struct str args[] = {device_id, str_of(closing->session_id), decimal_str(&now, clock_now_ms()),
                         node};

    core->sessions->closing_in_flight++;
    redis_script(core->redis, &script_session_close, 4, keys, 4, args, closed, closing);
}

static void pump(struct sessions *sessions)
{
    struct closing *closing;

    while (sessions->closing_in_flight < AT_ONCE &&
           redis_is_connected(sessions->core->redis) &&
           (closing = STAILQ_FIRST(&sessions->closing))) {
        STAILQ_REMOVE_HEAD(&sessions->closing, entry);
        send_closing(closing);
    }
}

static void retry(evutil_socket_t fd, short what, void *arg)
{
    struct sessions *sessions = arg;

    (void)fd;
    (void)what;
    pump(sessions);
    if (!STAILQ_EMPTY(&sessions->closing) && sessions->closing_in_flight == 0)
        event_add(sessions->retry, &retry_pause);
}

void session_close_at(struct core *core, struct str device_id, struct str session_id,
                      struct str node, void (*done)(void *arg), void *arg)
{
    struct sessions *sessions = core->sessions;
    struct closing *closing = xcalloc(1, sizeof(*closing));

    closing->core = core;
    closing->device_id = str_dup(device_id);
    closing->session_id = str_dup(session_id);
    closing->node = str_dup(node);
    closing->done = done;
    closing->arg = arg;
    STAILQ_INSERT_TAIL(&sessions->closing, closing, entry);
    sessions->closing_count++;
    if (sessions->closing_in_flight < AT_ONCE)
        event_active(sessions->retry, EV_TIMEOUT, 0);
}

void session_closing_resume(struct sessions *sessions)
{
    event_active(sessions->retry, EV_TIMEOUT, 0);
}

void session_closing_init(struct sessions *sessions)
{
    STAILQ_INIT(&sessions->closing);
    sessions->retry = evtimer_new(sessions->core->base, retry, sessions);
}

void session_closing_free(struct sessions *sessions)
{
    struct closing *closing;

    while ((closing = STAILQ_FIRST(&sessions->closing))) {
        STAILQ_REMOVE_HEAD(&sessions->closing, entry);
        closing_free(closing);
    }
    event_free(sessions->retry);
    if (sessions->stop_timer)
        event_free(sessions->stop_timer);
}

/* ---- the end ---- */

static void on_stopped(evutil_socket_t fd, short what, void *arg)
{
    struct sessions *sessions = arg;
    void (*stopped)(void *) = sessions->stopped;

    (void)fd;
    (void)what;
    sessions->stopped = NULL;
    if (stopped)
        stopped(sessions->stopped_arg);
}

void sessions_stop(struct core *core, int64_t timeout_ms, void (*stopped)(void *arg), void *arg)
{
    struct sessions *sessions = core->sessions;
    struct timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    sessions->stopped = stopped;
    sessions->stopped_arg = arg;
    sessions->stop_timer = evtimer_new(core->base, on_stopped, sessions);
    event_add(sessions->stop_timer, &timeout);
    check_stopped(sessions);
}

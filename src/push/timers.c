/*
 * Durable timers: each partition has a zset of "<kind>:<device>" by due time. The owner looks at all
 * of its partitions once per interval, and runs what is due, by its fence. The scripts that a timer runs decide by
 * the facts in Redis whether there is anything to do, and take the timer away themselves; so a timer
 * may run twice, or at two instances, or long after its time, without harm.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/command/command.h"
#include "core/data/shadow.h"
#include "core/device/device.h"
#include "store/keys.h"
#include <stdlib.h>

#define DUE_MAX "100" /* per partition and look; the rest comes with the next one */

/* It asks the device again, and puts nothing into the queue. */
static void desired_due(struct core *core, struct str device_id, struct str fence,
                        device_done_cb cb, void *arg)
{
    (void)fence;
    shadow_timer_due(core, device_id, cb, arg);
}

static const struct {
    const char *kind;
    void (*due)(struct core *core, struct str device_id, struct str fence, device_done_cb cb,
                void *arg);
} kinds[] = {
    {"registration", device_registration_due},
    {"presence", device_presence_due},
    {"desired", desired_due},
    {"command", command_due},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

struct timers {
    struct push *push;
    struct event *tick;
    size_t looking; /* replies still to come; the next look waits for them */
};

struct timer_look {
    struct timers *timers;
    struct partition *partition;
};

static void timer_done(enum error error, void *arg)
{
    (void)arg;
    if (error == ERR_INTERNAL)
        log_warn("timer", "state=postponed reason=%s", "redis did not answer");
}

static void run_timer(struct push *push, const struct partition *partition, struct str entry)
{
    struct str device_id;
    struct str kind = str_split(entry, ':', &device_id);

    for (size_t i = 0; device_id.p && i < KIND_COUNT; i++) {
        if (str_eq(kind, str_of(kinds[i].kind))) {
            metric_add(M_TIMERS_FIRED, 1, kinds[i].kind, NULL, NULL);
            kinds[i].due(push->core, device_id, str_of(partition->fence), timer_done, push);
            return;
        }
    }
    log_error("timer", "entry=%.*s state=unknown", STR_ARG(entry));
}

static void schedule_look(struct timers *timers)
{
    int64_t pause_ms = timers->push->settings->timer_interval_ms;
    struct timeval pause = {pause_ms / 1000, pause_ms % 1000 * 1000};

    event_add(timers->tick, &pause);
}

static void due_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct timer_look *one = arg;
    struct timers *timers = one->timers;
    const struct partition *partition = one->partition;
    bool is_ours = partition_may_send(partition, clock_tick_ms());

    for (size_t i = 0; status == REDIS_DONE && is_ours && i < reply->elements; i++)
        run_timer(timers->push, partition, redis_reply_str(redis_reply_at(reply, i)));
    free(one);
    if (--timers->looking == 0)
        schedule_look(timers);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
    struct timers *timers = arg;
    struct push *push = timers->push;
    uint32_t count = push->partitions ? push->core->partition_count : 0;
    int64_t now_ms = clock_now_ms();
    struct decimal now;

    (void)fd;
    (void)what;
    for (uint32_t i = 0; i < count && redis_is_connected(push->core->redis); i++) {
        struct timer_look *one;
        struct key key;

        if (!partition_may_send(&push->partitions[i], clock_tick_ms()))
            continue;
        timers->looking++;
        one = xmalloc(sizeof(*one));
        *one = (struct timer_look){timers, &push->partitions[i]};
        redis_command(push->core->redis, 7,
                      (struct str[]){STR("ZRANGEBYSCORE"), key_timers(&key, i), STR("0"),
                                     decimal_str(&now, now_ms), STR("LIMIT"), STR("0"), STR(DUE_MAX)},
                      due_read, one);
    }
    if (timers->looking == 0)
        schedule_look(timers);
}

struct timers *timers_new(struct push *push)
{
    struct timers *timers = xcalloc(1, sizeof(*timers));

    timers->push = push;
    timers->tick = evtimer_new(push->core->base, look, timers);
    return timers;
}

void timers_start(struct timers *timers)
{
    if (timers->looking == 0)
        schedule_look(timers);
}

void timers_stop(struct timers *timers)
{
    event_del(timers->tick);
}

void timers_free(struct timers *timers)
{
    event_free(timers->tick);
    free(timers);
}

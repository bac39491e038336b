/*
 * What waits for the devices behind a gateway. There may be a thousand of them, and after an outage many
 * gateways come at once: so each gateway has one round at a time over its children, rounds take turns
 * child by child, and of all questions to Redis so few are under way that others get through
 * (device.mqtt_gateway_offers). A round pauses while its gateway cannot take more.
 *
 *     offered ──> ids read ──> in the queue ──> asked for one child ──> in the queue ... ──> over
 *                                    ^                 │
 *                                    └─ there is room ─┴─ no room
 */
#include "device/downlink.h"

#include "base/mem.h"
#include "base/metric.h"
#include "core/device/children.h"

#include <stdlib.h>

struct family { /* one round */
    TAILQ_ENTRY(family) entry;
    struct device_mqtt *mqtt;
    struct mqtt_device *holder; /* NULL: its connection has ended */
    struct arena *arena;        /* of the ids */
    const struct str *ids;
    size_t count, next;
    size_t waiting;         /* answers of Redis */
    size_t desired_waiting; /* of them: for desired values */
    unsigned what;          /* OFFER_... */
    unsigned lost;          /* of it: Redis did not answer */
    bool is_known;          /* who is in it */
    bool is_queued;
};

static void leave_queue(struct family *family)
{
    if (family->is_queued)
        TAILQ_REMOVE(&family->mqtt->families, family, entry);
    family->is_queued = false;
}

static void end(struct family *family)
{
    struct mqtt_device *holder = family->holder;
    unsigned lost = family->lost;

    leave_queue(family);
    arena_free(family->arena);
    free(family);
    if (!holder)
        return;
    holder->family = NULL;
    if (lost)
        downlink_come_back(holder, STR_NONE, lost);
    downlink_family_has_room(holder); /* for the next one */
}

/* What is left of it that the gateway understands. */
static unsigned what_goes(const struct family *family)
{
    unsigned what = family->what;

    if (!family->holder || (family->is_known && family->next == family->count))
        return 0;
    if (!downlink_speaks_v5(family->holder))
        what &= ~(unsigned)OFFER_DESIRED;
    if (!downlink_takes_commands(family->holder))
        what &= ~(unsigned)OFFER_COMMANDS;
    return what;
}

static bool has_room(const struct family *family)
{
    const struct mqtt_device *holder = family->holder;
    const struct device_mqtt_settings *settings = family->mqtt->settings;
    size_t awaited = holder->awaited_count + family->desired_waiting;
    size_t coming = holder->commands_asked_for + family->desired_waiting;

    return mqtt_down_is_flowing(holder, coming) &&
           (int64_t)(holder->sent_count + coming) < settings->window &&
           (!(family->what & OFFER_DESIRED) || (int64_t)awaited < settings->awaited_answers);
}

/* On into the queue, or to its end; or neither, until something changes. */
static void proceed(struct family *family)
{
    if (!what_goes(family)) {
        if (!family->waiting)
            end(family);
    } else if (family->is_known && !family->is_queued && has_room(family)) {
        family->is_queued = true;
        TAILQ_INSERT_TAIL(&family->mqtt->families, family, entry);
    }
}

static void pump(struct device_mqtt *mqtt);

static void count_offers(struct family *family, int change)
{
    family->waiting += (size_t)change;
    family->mqtt->offers += (size_t)change;
    metric_set(M_MQTT_GATEWAY_OFFERS, (double)family->mqtt->offers, NULL);
}

static void answered(struct family *family)
{
    struct device_mqtt *mqtt = family->mqtt;

    count_offers(family, -1);
    proceed(family);
    pump(mqtt);
}

static void asked_for_desired(enum error error, void *arg)
{
    struct family *family = arg;

    if (error)
        family->lost |= OFFER_DESIRED;
    family->desired_waiting--;
    answered(family);
}

static void asked_for_command(void *arg)
{
    answered(arg);
}

static void ask(struct family *family)
{
    struct mqtt_device *holder = family->holder;
    unsigned what = what_goes(family);
    struct str child = what ? family->ids[family->next++] : STR_NONE;

    if (what & OFFER_DESIRED) {
        count_offers(family, 1);
        family->desired_waiting++;
        shadow_offer_then(family->mqtt->core, child, asked_for_desired, family);
    }
    if (what & OFFER_COMMANDS) {
        count_offers(family, 1);
        downlink_ask_for_command(holder, child, asked_for_command, family);
    }
}

static void pump(struct device_mqtt *mqtt)
{
    struct family *family;

    while ((int64_t)mqtt->offers < mqtt->settings->gateway_offers &&
           (family = TAILQ_FIRST(&mqtt->families))) {
        leave_queue(family);
        if (has_room(family))
            ask(family);
        proceed(family);
    }
}

static void children_known(enum error error, const struct str *ids, size_t count, void *arg)
{
    struct family *family = arg;
    struct device_mqtt *mqtt = family->mqtt;

    family->waiting--;
    family->ids = ids;
    family->count = error ? 0 : count;
    if (error)
        family->lost = family->what;
    family->is_known = true;
    proceed(family);
    pump(mqtt);
}

static void begin(struct mqtt_device *holder, unsigned what)
{
    struct family *family = xcalloc(1, sizeof(*family));

    family->mqtt = holder->mqtt;
    family->holder = holder;
    family->arena = arena_new();
    family->what = what;
    family->waiting = 1;
    holder->family = family;
    children_ids(holder->mqtt->core, family->arena,
                 arena_str(family->arena, str_of(holder->session->device_id)), children_known,
                 family);
}

/* ---- what others call ---- */

void downlink_family_offer(struct mqtt_device *holder, unsigned what)
{
    if (holder->family)
        holder->family_waits |= what;
    else
        begin(holder, what);
}

void downlink_family_has_room(struct mqtt_device *holder)
{
    unsigned what = holder->family_waits;

    if (!holder->session)
        return;
    if (holder->family) {
        proceed(holder->family);
    } else if (what && (int64_t)holder->sent_count * 2 <= holder->mqtt->settings->window) {
        /* Not with each acknowledgement: a round asks for all of them. */
        holder->family_waits = 0;
        begin(holder, what);
    }
    pump(holder->mqtt);
}

void downlink_family_leave(struct mqtt_device *holder)
{
    struct family *family = holder->family;

    if (!family)
        return;
    leave_queue(family);
    family->holder = NULL;
    holder->family = NULL;
    if (!family->waiting)
        end(family);
}

/*
 * Reports over MQTT: a connection per device, and on each some reports without a PUBACK. The packet
 * id of a report is the number of its slot, and one: so a PUBACK finds it, in whichever order they
 * come.
 */
#include "bench/load_private.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/crowd.h"
#include <stdlib.h>

struct slot {
    uint64_t number;
    int64_t due_us, sent_us; /* sent_us 0: free */
};

struct mqtt_load {
    struct load *load;
    struct crowd *crowd;
    struct loop *connecting; /* the loop while all devices connect */
    size_t outstanding;
    struct slot *slots; /* `outstanding` of each device */
    size_t *next_slot;  /* by device */
    struct str *topics;
    struct arena *arena;
};

static struct slot *slots_of(const struct mqtt_load *mqtt, size_t device)
{
    return mqtt->slots + device * mqtt->outstanding;
}

/* ---- connections ---- */

static void note_opened(size_t device, void *arg)
{
    struct mqtt_load *mqtt = arg;

    load_set_limit(mqtt->load, device, mqtt->outstanding);
}

static void give_up_reports(struct mqtt_load *mqtt, size_t device)
{
    struct slot *slots = slots_of(mqtt, device);

    load_set_limit(mqtt->load, device, 0);
    for (size_t i = 0; i < mqtt->outstanding; i++) {
        struct slot slot = slots[i];

        slots[i].sent_us = 0;
        if (slot.sent_us)
            load_answered(mqtt->load, device, slot.number, 0, slot.due_us);
    }
}

static void note_lost(size_t device, void *arg)
{
    give_up_reports(arg, device);
}

static void note_puback(size_t device, uint16_t id, void *arg)
{
    struct mqtt_load *mqtt = arg;
    struct slot *slot = slots_of(mqtt, device) + id - 1, report;

    if (id > mqtt->outstanding || !slot->sent_us)
        return;
    report = *slot;
    slot->sent_us = 0;
    load_answered(mqtt->load, device, report.number, LOAD_PUBACK, report.due_us);
}

static void note_turn(void *arg)
{
    struct mqtt_load *mqtt = arg;

    if (mqtt->connecting) {
        const struct crowd_figures *figures = crowd_figures(mqtt->crowd);

        if (figures->not_connected || figures->dropped || crowd_refused(mqtt->crowd) ||
            crowd_is_settled(mqtt->crowd))
            loop_stop(mqtt->connecting);
        return;
    }
    mqtt->load->figures.not_connected = crowd_figures(mqtt->crowd)->not_connected;
    load_pump(mqtt->load);
}

static void show_connecting(char *line, size_t size, void *arg)
{
    const struct mqtt_load *mqtt = arg;

    snprintf(line, size, "connecting devices: %zu of %zu", crowd_figures(mqtt->crowd)->open,
             mqtt->load->config.fleet->device_count);
}

static enum bench_exit mqtt_connect(void *state, struct loop *loop)
{
    struct mqtt_load *mqtt = state;
    const struct crowd_figures *figures = crowd_figures(mqtt->crowd);
    enum bench_exit result = BENCH_DONE;

    mqtt->connecting = loop;
    crowd_start(mqtt->crowd);
    loop_show(loop, show_connecting, mqtt);
    if (!crowd_is_settled(mqtt->crowd))
        loop_run(loop, 0);
    loop_show(loop, NULL, NULL);
    mqtt->connecting = NULL;
    if (figures->open < mqtt->load->config.fleet->device_count)
        result = crowd_complain(mqtt->crowd);
    crowd_endure(mqtt->crowd);
    return result;
}

/* ---- reports ---- */

/* Free when PUBACKs come in order, and that is what the standard asks for; if not, the next one is.
 */
static size_t take_slot(struct mqtt_load *mqtt, size_t device)
{
    const struct slot *slots = slots_of(mqtt, device);
    size_t slot = mqtt->next_slot[device];

    while (slots[slot].sent_us)
        slot = (slot + 1) % mqtt->outstanding;
    mqtt->next_slot[device] = (slot + 1) % mqtt->outstanding;
    return slot;
}

static void mqtt_send(void *state, size_t device, uint64_t number, int64_t due_us)
{
    struct mqtt_load *mqtt = state;
    size_t slot = take_slot(mqtt, device);
    struct mqtt_publish packet = {
        .qos = 1,
        .id = (uint16_t)(slot + 1),
        .topic = mqtt->topics[device],
        .payload = body_write(mqtt->load->body, device, number, due_us),
    };

    slots_of(mqtt, device)[slot] = (struct slot){number, due_us, clock_tick_us()};
    crowd_publish(mqtt->crowd, device, &packet);
}

static void mqtt_expire(void *state, int64_t oldest_us)
{
    struct mqtt_load *mqtt = state;

    for (size_t device = 0; device < mqtt->load->config.fleet->device_count; device++) {
        const struct slot *slots = slots_of(mqtt, device);
        bool is_late = false;

        for (size_t i = 0; mqtt->load->devices[device].in_flight && i < mqtt->outstanding; i++)
            is_late = is_late || (slots[i].sent_us && slots[i].sent_us < oldest_us);
        if (is_late) {
            crowd_drop(mqtt->crowd, device);
            give_up_reports(mqtt, device);
        }
    }
}

static void mqtt_summarize(const void *state, struct summary *summary, const char *label)
{
    const struct mqtt_load *mqtt = state;
    const struct crowd_figures *figures = crowd_figures(mqtt->crowd);

    (void)label;
    summary_count(summary, "unanswered", "without a PUBACK", mqtt->load->figures.unanswered);
    summary_count(summary, "connections", "connections", figures->codes[MQTT_ACCEPTED]);
    summary_count(summary, "refused", "logins refused", crowd_refused(mqtt->crowd));
    summary_count(summary, "notConnected", "failed to connect", figures->not_connected);
    summary_count(summary, "dropped", "connections dropped", figures->dropped);
}

/* ---- life ---- */

static void mqtt_close(void *state)
{
    struct mqtt_load *mqtt = state;

    crowd_free(mqtt->crowd);
    free(mqtt->slots);
    free(mqtt->next_slot);
    free(mqtt->topics);
    arena_free(mqtt->arena);
    free(mqtt);
}

static void name_topics(struct mqtt_load *mqtt)
{
    const struct fleet *fleet = mqtt->load->config.fleet;
    bool is_v1 = mqtt->load->config.options->dialect == DIALECT_V1;

    for (size_t i = 0; i < fleet->device_count; i++)
        mqtt->topics[i] = str_of(arena_printf(mqtt->arena,
                                              is_v1 ? "/huawei/v1/devices/%s/data/json"
                                                    : "$oc/devices/%s/sys/properties/report",
                                              fleet->devices[i].name));
}

static void *mqtt_open(struct load *load)
{
    size_t count = load->config.fleet->device_count;
    struct mqtt_load *mqtt = xcalloc(1, sizeof(*mqtt));
    struct crowd_config config = {
        .base = load->config.base,
        .fleet = load->config.fleet,
        .opened = note_opened,
        .lost = note_lost,
        .puback = note_puback,
        .turn = note_turn,
        .arg = mqtt,
    };

    mqtt->load = load;
    mqtt->outstanding = (size_t)load->config.options->outstanding;
    mqtt->slots = xcalloc(count * mqtt->outstanding, sizeof(*mqtt->slots));
    mqtt->next_slot = xcalloc(count, sizeof(*mqtt->next_slot));
    mqtt->topics = xcalloc(count, sizeof(*mqtt->topics));
    mqtt->arena = arena_new();
    name_topics(mqtt);
    mqtt->crowd = crowd_new(&config, load->config.options);
    if (mqtt->crowd)
        return mqtt;
    mqtt_close(mqtt);
    return NULL;
}

static void mqtt_start(void *state)
{
    (void)state; /* all are connected */
}

const struct driver mqtt_driver = {
    .open = mqtt_open,
    .connect = mqtt_connect,
    .start = mqtt_start,
    .send = mqtt_send,
    .expire = mqtt_expire,
    .summarize = mqtt_summarize,
    .close = mqtt_close,
};

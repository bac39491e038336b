#include "bench/crowd.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>

#define TICK_MS       10
#define SWEEP_TICKS   25
#define CLIENT_ID_MAX 300

struct member {
    struct mqtt_client *client;
    int64_t dialed_us;
};

struct crowd {
    struct crowd_config config;
    const struct options *options;
    struct crowd_figures figures;
    struct target target;
    struct mqtt_clients *clients;
    size_t count;
    struct member *members;
    size_t *waiting, waiting_first, waiting_count; /* a ring of those to dial */
    bool endures, is_running;
    int64_t started_us;
    uint64_t dialed;
    struct event *tick;
    uint64_t ticks;
    size_t next_ping;  /* whose turn it is */
    double pings_owed; /* a part of one is carried to the next tick */
};

/* ---- dialing ---- */

static void wait_for_turn(struct crowd *crowd, size_t device)
{
    size_t last = crowd->waiting_first + crowd->waiting_count++;

    crowd->waiting[last < crowd->count ? last : last - crowd->count] = device;
}

static void note_turn(void *arg)
{
    struct crowd *crowd = arg;

    if (crowd->config.turn)
        crowd->config.turn(crowd->config.arg);
}

static void note_not_connected(struct crowd *crowd, size_t device, int error)
{
    crowd->figures.not_connected++;
    crowd->figures.error = error;
    if (crowd->endures)
        wait_for_turn(crowd, device);
}

/* What either generation of devices logs in with: its id, or its node id, and the hour as the key.
 */
static int dial_with_login(struct crowd *crowd, size_t index, struct mqtt_connect packet)
{
    const struct fleet_device *device = &crowd->config.fleet->devices[index];
    bool is_by_node = crowd->options->dialect == DIALECT_V1;
    char hour[FLEET_HOUR_SIZE], password[CRYPTO_SHA256_HEX_SIZE], client_id[CLIENT_ID_MAX];

    fleet_hour(hour);
    crypto_hmac_sha256_hex(str_of(hour), str_of(device->secret), password);
    snprintf(client_id, sizeof(client_id), "%s_%d_1_%s", device->name, is_by_node ? 2 : 0, hour);
    packet.client_id = str_of(client_id);
    packet.user = str_of(device->name);
    packet.password = str_of(password);
    return mqtt_client_dial(crowd->members[index].client, &packet);
}

static void dial(struct crowd *crowd, size_t index)
{
    const struct fleet_device *device = &crowd->config.fleet->devices[index];
    struct mqtt_connect packet = {
        .level = MQTT_LEVEL_311,
        .is_clean = true,
        .keep_alive_s = (uint16_t)((crowd->options->keep_alive_ms + 999) / 1000),
        .client_id = str_of(device->name),
    };
    int error;

    crowd->dialed++;
    crowd->members[index].dialed_us = clock_tick_us();
    error = device->secret ? dial_with_login(crowd, index, packet)
                           : mqtt_client_dial(crowd->members[index].client, &packet);
    if (error)
        note_not_connected(crowd, index, error);
    else
        crowd->figures.opening++;
}

static bool is_due(const struct crowd *crowd)
{
    int64_t time_us = clock_tick_us() - crowd->started_us;

    return crowd->config.rate == 0 ||
           (double)crowd->dialed <= (double)time_us * (double)crowd->config.rate / 1e6;
}

/* A device that cannot be dialed waits again, behind the others: each is tried once at most. */
static void dial_more(struct crowd *crowd)
{
    size_t tries = crowd->is_running ? crowd->waiting_count : 0;

    while (tries-- > 0 && crowd->figures.opening < (size_t)crowd->options->opening &&
           is_due(crowd)) {
        size_t device = crowd->waiting[crowd->waiting_first];

        if (++crowd->waiting_first == crowd->count)
            crowd->waiting_first = 0;
        crowd->waiting_count--;
        dial(crowd, device);
    }
}

/* ---- what clients tell ---- */

static void note_answer(struct mqtt_client *client, int code, void *arg)
{
    struct crowd *crowd = arg;
    size_t device = mqtt_client_number(client);

    crowd->figures.opening--;
    crowd->figures.codes[code]++;
    if (code == MQTT_ACCEPTED) {
        crowd->figures.open++;
        histogram_add(&crowd->figures.times, clock_tick_us() - crowd->members[device].dialed_us);
        crowd->config.opened(device, crowd->config.arg);
    } else if (crowd->endures) {
        wait_for_turn(crowd, device);
    }
    if (!crowd->endures) /* later, the next tick is soon enough */
        dial_more(crowd);
}

static void note_loss(struct mqtt_client *client, bool was_open, int error, void *arg)
{
    struct crowd *crowd = arg;
    size_t device = mqtt_client_number(client);

    if (was_open) {
        crowd->figures.open--;
        crowd->figures.dropped++;
        if (crowd->endures)
            wait_for_turn(crowd, device);
        crowd->config.lost(device, crowd->config.arg);
    } else {
        crowd->figures.opening--;
        note_not_connected(crowd, device, error);
        dial_more(crowd);
    }
    note_turn(crowd);
}

static void note_puback(struct mqtt_client *client, uint16_t id, void *arg)
{
    struct crowd *crowd = arg;

    if (crowd->config.puback)
        crowd->config.puback(mqtt_client_number(client), id, crowd->config.arg);
}

/* ---- time ---- */

static void give_up(struct crowd *crowd, size_t device)
{
    struct mqtt_client *client = crowd->members[device].client;
    bool was_open = mqtt_client_state(client) == MQTT_CLIENT_OPEN;

    mqtt_client_close(client);
    note_loss(client, was_open, was_open ? 0 : ETIMEDOUT, crowd);
}

static void expire(struct crowd *crowd)
{
    int64_t oldest_us = clock_tick_us() - crowd->options->timeout_ms * 1000;

    for (size_t i = 0; i < crowd->count && crowd->figures.opening > 0; i++) {
        if (mqtt_client_state(crowd->members[i].client) == MQTT_CLIENT_DIALING &&
            crowd->members[i].dialed_us < oldest_us)
            give_up(crowd, i);
    }
}

/* Each gets a ping per half a keep-alive time; who has not answered the one before is dead. */
static void ping_some(struct crowd *crowd)
{
    crowd->pings_owed += (double)crowd->count * 2 * TICK_MS / (double)crowd->options->keep_alive_ms;
    for (; crowd->pings_owed >= 1; crowd->pings_owed--) {
        size_t device = crowd->next_ping;
        struct mqtt_client *client = crowd->members[device].client;

        crowd->next_ping = device + 1 < crowd->count ? device + 1 : 0;
        if (mqtt_client_state(client) != MQTT_CLIENT_OPEN)
            continue;
        if (mqtt_client_is_pinged(client)) {
            give_up(crowd, device);
            continue;
        }
        mqtt_client_ping(client);
        crowd->figures.pings++;
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct crowd *crowd = arg;

    (void)fd;
    (void)what;
    if (++crowd->ticks % SWEEP_TICKS == 0 && crowd->figures.opening > 0)
        expire(crowd);
    if (crowd->options->keep_alive_ms > 0)
        ping_some(crowd);
    dial_more(crowd);
    note_turn(crowd); /* dialing may have failed at once */
}

/* ---- life ---- */

struct crowd *crowd_new(const struct crowd_config *config, const struct options *options)
{
    struct mqtt_clients_config clients = {
        .base = config->base,
        .answered = note_answer,
        .puback = note_puback,
        .lost = note_loss,
        .turn = note_turn,
    };
    struct crowd *crowd = xcalloc(1, sizeof(*crowd));

    clients.target = &crowd->target;
    clients.arg = crowd;
    crowd->config = *config;
    crowd->options = options;
    crowd->count = config->fleet->device_count;
    crowd->members = xcalloc(crowd->count, sizeof(*crowd->members));
    crowd->waiting = xcalloc(crowd->count, sizeof(*crowd->waiting));
    crowd->tick = event_new(config->base, -1, EV_PERSIST, on_tick, crowd);
    crowd->clients = mqtt_clients_new(&clients);
    for (size_t i = 0; i < crowd->count; i++)
        crowd->members[i].client = mqtt_client_new(crowd->clients, i);
    if (target_open(&crowd->target, config->fleet->device_url, config->fleet->ca_file))
        return crowd;
    crowd_free(crowd);
    return NULL;
}

void crowd_start(struct crowd *crowd)
{
    struct timeval tick = {0, TICK_MS * 1000};

    crowd->is_running = true;
    crowd->started_us = clock_tick_us();
    for (size_t i = 0; i < crowd->count; i++)
        wait_for_turn(crowd, i);
    event_add(crowd->tick, &tick);
    dial_more(crowd);
}

void crowd_stop(struct crowd *crowd)
{
    crowd->is_running = false;
}

void crowd_endure(struct crowd *crowd)
{
    crowd->endures = true;
}

bool crowd_is_settled(const struct crowd *crowd)
{
    return crowd->waiting_count == 0 && crowd->figures.opening == 0;
}

uint64_t crowd_refused(const struct crowd *crowd)
{
    uint64_t refused = 0;

    for (size_t i = 1; i < CROWD_CODES; i++)
        refused += crowd->figures.codes[i];
    return refused;
}

static const char *reason_of_code(size_t code)
{
    static const char *const reasons[] = {
        [MQTT_BAD_VERSION] = "the version of MQTT",
        [MQTT_BAD_CLIENT_ID] = "the client id, or the keep-alive time",
        [MQTT_UNAVAILABLE] = "not available, or too many logins",
        [MQTT_BAD_LOGIN] = "the user name, password or time",
        [MQTT_NOT_AUTHORIZED] = "not authorized",
    };

    return code < sizeof(reasons) / sizeof(*reasons) ? reasons[code] : "unknown";
}

enum bench_exit crowd_complain(const struct crowd *crowd)
{
    const struct crowd_figures *figures = &crowd->figures;
    const char *url = crowd->config.fleet->device_url;

    for (size_t code = 1; code < CROWD_CODES; code++) {
        if (!figures->codes[code])
            continue;
        bench_complain("%s refused a login with CONNACK %zu: %s", url, code, reason_of_code(code));
        return BENCH_FAILED;
    }
    if (figures->not_connected && figures->error) {
        bench_complain("cannot connect to %s: %s", url, strerror(figures->error));
        return figures->open ? BENCH_FAILED : BENCH_UNREACHABLE;
    }
    if (!figures->not_connected && !figures->dropped)
        bench_complain("%s: stopped before all devices were connected", url);
    else
        bench_complain("%s closed a connection%s; is it MQTT, and does it allow so many from one "
                       "address (limits.connections_per_address)?",
                       url, crowd->target.tls ? ", or is not trusted (--ca-file)" : "");
    return BENCH_FAILED;
}

const struct crowd_figures *crowd_figures(const struct crowd *crowd)
{
    return &crowd->figures;
}

void crowd_publish(struct crowd *crowd, size_t device, const struct mqtt_publish *packet)
{
    mqtt_client_publish(crowd->members[device].client, packet);
}

void crowd_drop(struct crowd *crowd, size_t device)
{
    mqtt_client_close(crowd->members[device].client);
    crowd->figures.open--;
    crowd->figures.dropped++;
    if (crowd->endures)
        wait_for_turn(crowd, device);
}

void crowd_free(struct crowd *crowd)
{
    if (!crowd)
        return;
    for (size_t i = 0; i < crowd->count; i++)
        mqtt_client_free(crowd->members[i].client);
    mqtt_clients_free(crowd->clients);
    event_free(crowd->tick);
    target_close(&crowd->target);
    free(crowd->waiting);
    free(crowd->members);
    free(crowd);
}

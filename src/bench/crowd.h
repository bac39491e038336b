/*
 * The MQTT connections of a fleet's devices, one each: logged in with an HMAC of the device's
 * secret, so many at a time, and kept alive by pings that are spread evenly over the keep-alive
 * time. One timer for all of them; an idle connection costs nothing between its pings.
 */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "bench/fleet.h"
#include "bench/histogram.h"
#include "bench/mqtt_client.h"

#define CROWD_CODES 256

struct crowd_figures {
    uint64_t codes[CROWD_CODES]; /* CONNACKs; codes[MQTT_ACCEPTED] were accepted */
    uint64_t not_connected;      /* ended, or timed out, before the CONNACK */
    uint64_t dropped;            /* by the server, or silent to a ping */
    uint64_t pings;
    struct histogram times; /* of accepted ones, from dialing to the CONNACK */
    size_t open, opening;
    int error; /* of the last that was not connected: errno, 0 = the server closed it, or was silent
                */
};

struct crowd_config {
    struct event_base *base;
    const struct fleet *fleet;
    uint64_t rate; /* connections begun a second; 0 = as fast as they go */
    void (*opened)(size_t device, void *arg);
    void (*lost)(size_t device, void *arg); /* was open */
    void (*puback)(size_t device, uint16_t id, void *arg);
    void (*turn)(void *arg); /* see mqtt_client.h; also when one could not be opened */
    void *arg;
};

struct crowd;

/* All but rate, events and arg comes from options. NULL: what is wrong has been said. */
struct crowd *crowd_new(const struct crowd_config *config, const struct options *options);
void crowd_free(struct crowd *crowd); /* says goodbye; NULL is allowed */

void crowd_start(struct crowd *crowd);
void crowd_stop(struct crowd *crowd); /* dials no more; what is open is kept alive */
/* From now on what is refused or lost is dialed again. */
void crowd_endure(struct crowd *crowd);
/* Has each been dialed, and been opened, refused or not connected? */
bool crowd_is_settled(const struct crowd *crowd);
uint64_t crowd_refused(const struct crowd *crowd); /* by a CONNACK, in all */
/* Says why not all are open, and how a run that needs them ends. */
enum bench_exit crowd_complain(const struct crowd *crowd);
const struct crowd_figures *crowd_figures(const struct crowd *crowd);

/* Of an open one. */
void crowd_publish(struct crowd *crowd, size_t device, const struct mqtt_publish *packet);
void crowd_drop(struct crowd *crowd, size_t device); /* `lost` is not called */

#endif

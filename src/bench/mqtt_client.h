/*
 * Connections as an MQTT client, many of them: what is the same for all is in struct mqtt_clients.
 * Made for speed: one read for what came together, and what one turn of the loop writes goes out at
 * its end in one write per connection. An idle connection holds no buffer.
 *
 * The life of a client: closed -> mqtt_client_dial -> `answered` with the CONNACK's code -> packets
 * -> `lost`. After a code other than MQTT_ACCEPTED, and after `lost`, it is closed, and may be
 * dialed again also from within these two. Closing it oneself calls nothing.
 */
#ifndef BENCH_MQTT_CLIENT_H
#define BENCH_MQTT_CLIENT_H

#include "bench/target.h"
#include "net/mqtt_codec.h"
#include <event2/event.h>

struct mqtt_client;

struct mqtt_clients_config {
    struct event_base *base;
    const struct target *target;
    void (*answered)(struct mqtt_client *client, int code, void *arg);
    void (*puback)(struct mqtt_client *client, uint16_t id, void *arg);
    /* SUBACK: the first code of it. NULL: nobody subscribes, and a SUBACK ends the connection. */
    void (*subscribed)(struct mqtt_client *client, int code, void *arg);
    /* Lives until it returns. NULL: of no interest, and acknowledged. */
    void (*message)(struct mqtt_client *client, const struct mqtt_publish *packet, void *arg);
    /* After all packets that came together. NULL: of no interest. */
    void (*turn)(void *arg);
    /* Before the CONNACK: not connected; error is errno's, or 0 when the server has closed it, or
     * has sent what is no MQTT. */
    void (*lost)(struct mqtt_client *client, bool was_open, int error, void *arg);
    void *arg;
};

struct mqtt_clients;

struct mqtt_clients *mqtt_clients_new(const struct mqtt_clients_config *config);
void mqtt_clients_free(struct mqtt_clients *clients); /* after its clients; NULL is allowed */

struct mqtt_client *mqtt_client_new(struct mqtt_clients *clients, size_t number);
void mqtt_client_free(
    struct mqtt_client *client); /* says goodbye when it is open; NULL is allowed */
size_t mqtt_client_number(const struct mqtt_client *client);

enum mqtt_client_state { MQTT_CLIENT_CLOSED, MQTT_CLIENT_DIALING, MQTT_CLIENT_OPEN };
enum mqtt_client_state mqtt_client_state(const struct mqtt_client *client);

/* Of a closed one. The packet is copied. errno, or 0. */
int mqtt_client_dial(struct mqtt_client *client, const struct mqtt_connect *packet);
void mqtt_client_close(struct mqtt_client *client);

/* Of an open one. */
void mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publish *packet);
void mqtt_client_subscribe(struct mqtt_client *client, struct str filter, int qos);
void mqtt_client_acknowledge(struct mqtt_client *client, uint16_t id);
void mqtt_client_ping(struct mqtt_client *client);
bool mqtt_client_is_pinged(const struct mqtt_client *client); /* and has not answered */

#endif

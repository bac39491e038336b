/*
 * MQTT serving: listeners, connections, limits. It knows packets, not what they are about: what is above
 * (struct mqtt_service) says who may log in and what becomes of a message.
 *
 * The life of a connection: accepted -> (TLS) -> CONNECT -> login, which ends in mqtt_accept or
 * mqtt_refuse -> packets -> closed. The first packet must be there within header_timeout, and a packet
 * once begun within body_timeout; after the login one and a half times the keep-alive time may pass
 * without a whole packet.
 *
 * Bytes lie in the connection's buffers only while a packet is incomplete or waits to be written. A
 * message is copied once, into an arena of its own, which lives until mqtt_message_end. Its PUBACK goes
 * out when the service says that it is stored, in the order of arrival. Not read from meanwhile is
 * whoever sends faster than its rate, has too many messages that are not stored yet, or would make all
 * messages under way larger than bytes_in_flight together: so nothing is lost, and the client waits.
 *
 * A client that does not take what is sent to it is closed when output_bytes wait; and one whose message
 * could not be stored, unstored_close later, without a PUBACK: it will send again.
 *
 * Refused by closing: whatever the standard forbids, QoS 2, and what is larger than allowed. Wills and
 * retain flags are read and ignored: this is no broker.
 */
#ifndef NET_MQTT_SERVER_H
#define NET_MQTT_SERVER_H

#include "base/arena.h"
#include "net/mqtt_codec.h"
#include <event2/event.h>

struct mqtt_limits {
    int64_t connections;             /* all listeners together */
    int64_t connections_per_address; /* 0 = no limit */
    int64_t header_bytes;            /* of a CONNECT */
    int64_t header_timeout_ms, body_timeout_ms;
    int64_t keep_alive_min_s, keep_alive_max_s; /* outside: CONNACK 2 */
    int64_t messages, message_bytes;            /* per second and connection; 0 = no limit */
    int64_t payload_bytes;                      /* of one PUBLISH */
    int64_t in_flight;                          /* messages of one connection not stored yet */
    int64_t bytes_in_flight;                    /* of all connections */
    int64_t output_bytes;                       /* waiting for one client */
    int64_t unstored_close_ms;
};

struct mqtt_connection;

/* A CONNECT or a PUBLISH under way; texts live in the arena. */
struct mqtt_message {
    struct mqtt_connection *connection; /* NULL: it is closed meanwhile */
    struct arena *arena;
    union {
        struct mqtt_connect connect;
        struct mqtt_publish publish;
    };
};

struct mqtt_service {
    /* Ends in mqtt_accept or mqtt_refuse, now or later, also when the connection is gone. */
    void (*login)(struct mqtt_message *message, void *context);
    /* Ends in mqtt_message_end, now or later, also when the connection is gone. */
    void (*publish)(struct mqtt_message *message, void *context);
    /* QoS that is granted, or MQTT_NOT_GRANTED. */
    int (*subscribe)(struct mqtt_connection *connection, struct mqtt_filter filter, void *context);
    void (*unsubscribe)(struct mqtt_connection *connection, struct str filter, void *context);
    void (*puback)(struct mqtt_connection *connection, uint16_t id, void *context);
    /* All that waited to be written to it is written. */
    void (*drained)(struct mqtt_connection *connection, void *context);
    /* Once for each that was accepted; it may not be used any more. */
    void (*closed)(struct mqtt_connection *connection, void *context);
    void *context;
};

struct mqtt_server;
struct mqtt_listener;
struct tls_server;

/* limits are read at each use until mqtt_server_free, and so is the service. */
struct mqtt_server *mqtt_server_new(struct event_base *base, const struct mqtt_limits *limits,
                                    const struct mqtt_service *service);

struct mqtt_listener_config {
    const char *name;       /* label in metrics and log */
    const char *address;    /* as for HTTP: net/http_address.h */
    struct tls_server *tls; /* NULL = plain; not owned */
};

/* NULL, with a text of what is wrong in *error (free() it). */
struct mqtt_listener *mqtt_server_listen(struct mqtt_server *server,
                                         const struct mqtt_listener_config *config, char **error);
const char *mqtt_listener_address(const struct mqtt_listener *listener);
const struct sockaddr *mqtt_listener_sockaddr(const struct mqtt_listener *listener);

size_t mqtt_server_connections(const struct mqtt_server *server);
/* Stops accepting and reading; each connection is closed when its messages have ended. stopped(arg) is
 * called once, when none is left or after timeout_ms. */
void mqtt_server_stop(struct mqtt_server *server, int64_t timeout_ms, void (*stopped)(void *arg),
                      void *arg);
/* Closes what is left. Messages may still be under way: their ends go into the void, also later. */
void mqtt_server_free(struct mqtt_server *server);

/* ---- for the service ---- */

/* Both free the message. user must not be NULL; false: the connection is gone, and user is not kept. */
bool mqtt_accept(struct mqtt_message *login, void *user);
void mqtt_refuse(struct mqtt_message *login, enum mqtt_connack code);
void *mqtt_connection_user(const struct mqtt_connection *connection);

/* Its arena has grown, by a parsed or unpacked payload: that counts, too, against bytes_in_flight. */
void mqtt_message_weigh(struct mqtt_message *message);

/* is_stored: also when it can never be, and need not be sent again. Frees the message. */
void mqtt_message_end(struct mqtt_message *message, bool is_stored);

enum mqtt_output { MQTT_OUTPUT_EMPTY, MQTT_OUTPUT_SOME, MQTT_OUTPUT_MUCH /* half of what may wait */ };
enum mqtt_output mqtt_connection_output(const struct mqtt_connection *connection);

/* false: it was too slow and is being closed. */
bool mqtt_publish(struct mqtt_connection *connection, const struct mqtt_publish *packet);

/* Allowed everywhere; what was written before goes out. The reason is a literal, for log and metric. */
void mqtt_connection_close(struct mqtt_connection *connection, const char *reason);

const char *mqtt_connection_address(const struct mqtt_connection *connection); /* "" when unknown */
struct str mqtt_connection_peer(const struct mqtt_connection *connection); /* a key of its address */
bool mqtt_connection_is_tls(const struct mqtt_connection *connection);

#endif

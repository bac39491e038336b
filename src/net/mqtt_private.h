/*
 * What the files of the MQTT server share: mqtt_server.c (listeners, budgets, the end), mqtt_listener.c
 * (accepting), mqtt_connection.c (a connection's life), mqtt_input.c (its packets), mqtt_message.c (what
 * is under way).
 *
 * A connection is freed from the server's deferred event only, never while something is done with it.
 * A message outlives its connection, and the server's memory outlives the last message.
 */
#ifndef NET_MQTT_PRIVATE_H
#define NET_MQTT_PRIVATE_H

#include "net/mqtt_server.h"
#include "net/peer.h"
#include "net/wheel.h"

#include <event2/bufferevent.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum mqtt_state {
    MQTT_STATE_NEW,      /* no CONNECT yet */
    MQTT_STATE_LOGIN,    /* under way */
    MQTT_STATE_LIVE,     /* accepted */
    MQTT_STATE_FLUSHING, /* the last bytes are being written */
    MQTT_STATE_CLOSED,   /* to be freed from the deferred event */
};

/* Why nothing is read from a connection. */
enum mqtt_stall {
    MQTT_FLOWING,
    MQTT_STALL_LOGIN,
    MQTT_STALL_RATE,      /* its second is used up */
    MQTT_STALL_IN_FLIGHT, /* its own messages */
    MQTT_STALL_BUDGET,    /* everybody's; it is in the list `waiting` */
    MQTT_STALL_END,       /* a message could not be stored, or the server stops */
};

struct mqtt_pending { /* the message as the service sees it, and what we know of it */
    struct mqtt_message message;
    TAILQ_ENTRY(mqtt_pending) entry; /* of its connection */
    struct mqtt_server *server;
    size_t reserved;
    bool has_ended, is_stored;
};
TAILQ_HEAD(mqtt_pendings, mqtt_pending);

struct mqtt_connection {
    TAILQ_ENTRY(mqtt_connection) entry;       /* of the server: open or closed */
    TAILQ_ENTRY(mqtt_connection) queue_entry; /* waiting or ready */
    struct wheel_entry wheel;
    struct mqtt_listener *listener;
    struct bufferevent *bev;
    struct peer *peer;
    struct in6_addr address;
    uint16_t port;
    void *user;

    unsigned char state, stall, level;
    bool has_head, is_admitted; /* of the packet that is coming in */
    bool is_ready;              /* in the list `ready` */
    bool is_ipv4;
    struct mqtt_head head;
    int64_t head_ms;   /* tick: when it came */
    int64_t heard_ms;  /* tick: the last whole packet, or the acceptance */
    int64_t limit_ms;  /* tick: the end of a flush, or of a connection with something unstored; 0 */
    uint32_t keep_alive_ms;

    int64_t second_ms; /* tick: begin of the rate's second */
    uint32_t second_messages;
    uint64_t second_bytes;

    uint32_t in_flight; /* messages that have not ended */
    struct mqtt_pendings pending;
    const char *reason; /* of the end */
};
TAILQ_HEAD(mqtt_connections, mqtt_connection);

struct mqtt_listener {
    LIST_ENTRY(mqtt_listener) entry;
    struct mqtt_server *server;
    char *name, *address;
    struct sockaddr_storage sockaddr;
    struct tls_server *tls;
    struct evconnlistener *socket; /* NULL: it does not listen any more */
    struct event resume;
    unsigned accepted_at_once;
    size_t connection_count;
};

#define MQTT_SPARE_ARENAS 64
#define MQTT_MESSAGE_COST 5000 /* bytes of memory beside its own: an arena, a command to Redis */

struct mqtt_server {
    struct event_base *base;
    const struct mqtt_limits *limits;
    const struct mqtt_service *service;
    LIST_HEAD(, mqtt_listener) listeners;
    struct mqtt_connections open, closed; /* closed: to be freed */
    struct mqtt_connections waiting;      /* for the budget, longest first */
    struct mqtt_connections ready;        /* to be read from again */
    size_t connection_count;
    size_t descriptor_limit; /* descriptors from here on are not for clients */
    struct peers peers;
    struct wheel wheel;
    struct event turn; /* of the wheel, while there are connections */
    struct event deferred;
    size_t reserved; /* bytes of messages under way, or coming in */
    size_t pending_count;
    bool is_stopping, is_freed;
    struct event stopped_event;
    void (*stopped)(void *arg);
    void *stopped_arg;
    size_t spare_count;
    struct arena *spare_arenas[MQTT_SPARE_ARENAS];
};

/* mqtt_server.c */
void mqtt_server_has_connections(struct mqtt_server *server);
struct arena *mqtt_server_take_arena(struct mqtt_server *server);
void mqtt_server_give_arena(struct mqtt_server *server, struct arena *arena);
bool mqtt_server_reserve(struct mqtt_server *server, size_t bytes);
void mqtt_server_release(struct mqtt_server *server, size_t bytes);
void mqtt_server_message_gone(struct mqtt_server *server); /* may free the server */

/* mqtt_listener.c */
bool mqtt_listener_start(struct mqtt_listener *listener, int fd); /* takes fd */
void mqtt_listener_stop(struct mqtt_listener *listener);

/* mqtt_connection.c */
void mqtt_connection_open(struct mqtt_listener *listener, int fd, const struct sockaddr *address);
void mqtt_connection_free(struct mqtt_connection *connection);
void mqtt_connection_stall(struct mqtt_connection *connection, enum mqtt_stall stall);
void mqtt_connection_resume(struct mqtt_connection *connection); /* from the deferred event */
void mqtt_connection_look(struct mqtt_connection *connection);   /* a deadline may be over */
void mqtt_connection_set_deadline(struct mqtt_connection *connection);
/* false: too slow, and being closed. */
bool mqtt_connection_write(struct mqtt_connection *connection, const struct buf *bytes);

/* mqtt_input.c */
void mqtt_input_process(struct mqtt_connection *connection);

/* mqtt_message.c */
struct mqtt_pending *mqtt_pending_new(struct mqtt_connection *connection, size_t reserved);
void mqtt_pending_forget(struct mqtt_connection *connection); /* it is being closed */

#endif

/*
 * Messages under way: from the moment in which all of a CONNECT or PUBLISH is there, until the service
 * has ended it. PUBACKs go out in the order of arrival, so an end waits for those of earlier messages;
 * and after one that was not stored there are none, so that all comes again in its order.
 */
#include "net/mqtt_private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static struct mqtt_pending *pending_of(struct mqtt_message *message)
{
    return (struct mqtt_pending *)message; /* its first member */
}

struct mqtt_pending *mqtt_pending_new(struct mqtt_connection *connection, size_t reserved)
{
    struct mqtt_server *server = connection->listener->server;
    struct mqtt_pending *pending = xcalloc(1, sizeof(*pending));

    pending->server = server;
    pending->reserved = reserved;
    pending->message.connection = connection;
    pending->message.arena = mqtt_server_take_arena(server);
    TAILQ_INSERT_TAIL(&connection->pending, pending, entry);
    connection->in_flight++;
    server->pending_count++;
    return pending;
}

void mqtt_message_weigh(struct mqtt_message *message)
{
    struct mqtt_pending *pending = pending_of(message);
    size_t bytes = arena_bytes(message->arena) + MQTT_MESSAGE_COST;

    if (bytes <= pending->reserved)
        return;
    pending->server->reserved += bytes - pending->reserved;
    pending->reserved = bytes;
}

/* The service is done with it: its memory can go, its place in the order may have to stay. */
static void release(struct mqtt_pending *pending)
{
    struct mqtt_server *server = pending->server;

    mqtt_server_give_arena(server, pending->message.arena);
    pending->message.arena = NULL;
    mqtt_server_release(server, pending->reserved);
    pending->reserved = 0;
}

static void forget(struct mqtt_pending *pending)
{
    struct mqtt_server *server = pending->server;

    free(pending);
    mqtt_server_message_gone(server);
}

void mqtt_pending_forget(struct mqtt_connection *connection)
{
    struct mqtt_pending *pending;

    while ((pending = TAILQ_FIRST(&connection->pending))) {
        TAILQ_REMOVE(&connection->pending, pending, entry);
        pending->message.connection = NULL;
        if (pending->has_ended)
            forget(pending);
    }
    connection->in_flight = 0;
}

/* ---- CONNECT ---- */

/* NULL: nobody is there any more to be told. */
static struct mqtt_connection *end_login(struct mqtt_message *message)
{
    struct mqtt_pending *pending = pending_of(message);
    struct mqtt_connection *connection = message->connection;

    release(pending);
    if (connection) {
        TAILQ_REMOVE(&connection->pending, pending, entry);
        connection->in_flight--;
    }
    forget(pending);
    return connection;
}

static void send_connack(struct mqtt_connection *connection, enum mqtt_connack code)
{
    struct buf out = {0};

    mqtt_write_connack(&out, false, code);
    mqtt_connection_write(connection, &out);
    buf_clear(&out);
}

bool mqtt_accept(struct mqtt_message *login, void *user)
{
    struct mqtt_connection *connection = end_login(login);

    if (!connection)
        return false;
    connection->user = user;
    connection->state = MQTT_STATE_LIVE;
    send_connack(connection, MQTT_ACCEPTED);
    mqtt_connection_stall(connection, MQTT_FLOWING);
    if (connection->listener->server->is_stopping)
        mqtt_connection_close(connection, "stopping");
    return true;
}

void mqtt_refuse(struct mqtt_message *login, enum mqtt_connack code)
{
    struct mqtt_connection *connection = end_login(login);

    if (!connection)
        return;
    send_connack(connection, code);
    mqtt_connection_close(connection, "refused");
}

/* ---- PUBLISH ---- */

static void send_acknowledgements(struct mqtt_connection *connection)
{
    struct mqtt_pending *pending;
    struct buf out = {0};

    while ((pending = TAILQ_FIRST(&connection->pending)) && pending->is_stored) {
        if (pending->message.publish.qos)
            mqtt_write_id(&out, MQTT_PUBACK, pending->message.publish.id);
        TAILQ_REMOVE(&connection->pending, pending, entry);
        forget(pending);
    }
    if (out.len)
        mqtt_connection_write(connection, &out);
    buf_clear(&out);
}

/* Nothing more is read, so that what follows does not overtake it when it comes again. */
static void give_up_later(struct mqtt_connection *connection)
{
    int64_t pause_ms = connection->listener->server->limits->unstored_close_ms;

    if (connection->stall == MQTT_STALL_END)
        return;
    mqtt_connection_stall(connection, MQTT_STALL_END);
    connection->reason = "unstored";
    connection->limit_ms = clock_tick_ms() + pause_ms;
    mqtt_connection_set_deadline(connection);
}

void mqtt_message_end(struct mqtt_message *message, bool is_stored)
{
    struct mqtt_pending *pending = pending_of(message);
    struct mqtt_connection *connection = message->connection;

    release(pending);
    if (!connection) {
        forget(pending);
        return;
    }
    pending->has_ended = true;
    pending->is_stored = is_stored || message->publish.qos == 0; /* nobody would send it again */
    connection->in_flight--;
    if (!pending->is_stored)
        give_up_later(connection);
    send_acknowledgements(connection);
    if (connection->stall == MQTT_STALL_IN_FLIGHT &&
        connection->in_flight <= connection->listener->server->limits->in_flight / 2)
        mqtt_connection_stall(connection, MQTT_FLOWING);
    else if (connection->listener->server->is_stopping && connection->in_flight == 0)
        mqtt_connection_close(connection, "stopping");
}

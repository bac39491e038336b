#include "bench/mqtt_client.h"

#include "base/mem.h"
#include <errno.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define READ_BYTES  (64 * 1024)
#define PACKET_MAX  (2 * 1024 * 1024)
#define INPUT_BYTES (PACKET_MAX + READ_BYTES)

struct mqtt_client {
    struct mqtt_clients *clients;
    size_t number;
    enum mqtt_client_state state;
    bool is_connected; /* the socket is: what is written goes out */
    bool is_unwritten; /* in the list of those with output of this turn */
    bool is_pinged;
    struct wire wire;
    struct event readable, writable;
    struct buf input, output; /* an incomplete packet; what the socket has not taken */
    size_t written;           /* of output */
    STAILQ_ENTRY(mqtt_client) link;
};

struct mqtt_clients {
    struct mqtt_clients_config config;
    STAILQ_HEAD(unwritten, mqtt_client) unwritten;
    struct event *flush;
    char *input;                 /* where all read into */
    struct mqtt_client *reading; /* whose packets are being given; NULL: it was closed meanwhile */
};

/* ---- ends ---- */

void mqtt_client_close(struct mqtt_client *client)
{
    struct mqtt_clients *clients = client->clients;

    if (client->state == MQTT_CLIENT_CLOSED)
        return;
    if (client->is_unwritten)
        STAILQ_REMOVE(&clients->unwritten, client, mqtt_client, link);
    if (clients->reading == client)
        clients->reading = NULL;
    event_del(&client->readable);
    event_del(&client->writable);
    wire_close(&client->wire, false);
    buf_clear(&client->input);
    buf_clear(&client->output);
    client->state = MQTT_CLIENT_CLOSED;
    client->is_connected = client->is_unwritten = client->is_pinged = false;
    client->written = 0;
}

static void lose(struct mqtt_client *client, int error)
{
    const struct mqtt_clients_config *config = &client->clients->config;
    bool was_open = client->state == MQTT_CLIENT_OPEN;

    mqtt_client_close(client);
    config->lost(client, was_open, error, config->arg);
}

/* ---- output ---- */

/* false: it is lost. */
static bool write_output(struct mqtt_client *client)
{
    struct buf *output = &client->output;
    ssize_t n =
        wire_write(&client->wire, output->p + client->written, output->len - client->written);

    if (n < 0) {
        lose(client, 0);
        return false;
    }
    client->written += (size_t)n;
    if (client->written == output->len) {
        buf_clear(output);
        client->written = 0;
    } else if (!client->wire.ssl || client->wire.wants_write || n > 0) {
        event_add(&client->writable, NULL);
    } /* else TLS waits to be read to */
    return true;
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_clients *clients = arg;
    struct mqtt_client *client;

    (void)fd;
    (void)what;
    while ((client = STAILQ_FIRST(&clients->unwritten))) {
        STAILQ_REMOVE_HEAD(&clients->unwritten, link);
        client->is_unwritten = false;
        if (client->is_connected && !event_pending(&client->writable, EV_WRITE, NULL))
            write_output(client);
    }
}

/* Where to write a packet to; it goes out at the end of the turn. */
static struct buf *output_of(struct mqtt_client *client)
{
    struct mqtt_clients *clients = client->clients;

    if (!client->is_unwritten) {
        client->is_unwritten = true;
        if (STAILQ_EMPTY(&clients->unwritten))
            event_active(clients->flush, EV_TIMEOUT, 0);
        STAILQ_INSERT_TAIL(&clients->unwritten, client, link);
    }
    return &client->output;
}

void mqtt_client_publish(struct mqtt_client *client, const struct mqtt_publish *packet)
{
    struct buf *output = output_of(client);

    mqtt_write_publish_head(output, packet);
    buf_add_str(output, packet->payload);
}

void mqtt_client_subscribe(struct mqtt_client *client, struct str filter, int qos)
{
    struct mqtt_filter one = {filter, qos};

    mqtt_write_filters(output_of(client), MQTT_SUBSCRIBE, 1, &one, 1);
}

void mqtt_client_acknowledge(struct mqtt_client *client, uint16_t id)
{
    mqtt_write_id(output_of(client), MQTT_PUBACK, id);
}

void mqtt_client_ping(struct mqtt_client *client)
{
    mqtt_write_nothing(output_of(client), MQTT_PINGREQ);
    client->is_pinged = true;
}

/* ---- packets ---- */

static const char *take_connack(struct mqtt_client *client, struct str body)
{
    const struct mqtt_clients_config *config = &client->clients->config;
    bool is_session_present;
    int code;
    const char *error = mqtt_read_connack(body, &is_session_present, &code);

    if (error)
        return error;
    if (client->state == MQTT_CLIENT_OPEN)
        return "a second CONNACK";
    client->state = MQTT_CLIENT_OPEN;
    if (code != MQTT_ACCEPTED)
        mqtt_client_close(client);
    config->answered(client, code, config->arg);
    return NULL;
}

static const char *take_publish(struct mqtt_client *client, const struct mqtt_head *head,
                                struct str body)
{
    const struct mqtt_clients_config *config = &client->clients->config;
    struct mqtt_publish packet;
    const char *error = mqtt_read_publish(head, body, &packet);

    if (error)
        return error;
    if (packet.qos > 1)
        return "QoS 2 was not asked for";
    if (config->message)
        config->message(client, &packet, config->arg);
    else if (packet.qos == 1)
        mqtt_client_acknowledge(client, packet.id);
    return NULL;
}

static const char *take_puback(struct mqtt_client *client, struct str body)
{
    const struct mqtt_clients_config *config = &client->clients->config;
    uint16_t id;
    const char *error = mqtt_read_id(body, &id);

    if (!error && config->puback)
        config->puback(client, id, config->arg);
    return error;
}

static const char *take_suback(struct mqtt_client *client, struct str body)
{
    const struct mqtt_clients_config *config = &client->clients->config;
    struct str codes;
    uint16_t id;
    const char *error = mqtt_read_suback(body, &id, &codes);

    if (error)
        return error;
    if (!config->subscribed)
        return "a SUBACK without a SUBSCRIBE";
    config->subscribed(client, (unsigned char)codes.p[0], config->arg);
    return NULL;
}

/* NULL, or what is wrong with the packet. The client may be closed after it. */
static const char *take_packet(struct mqtt_client *client, const struct mqtt_head *head,
                               struct str body)
{
    if (head->type == MQTT_CONNACK)
        return take_connack(client, body);
    if (client->state != MQTT_CLIENT_OPEN)
        return "a packet before the CONNACK";
    switch (head->type) {
    case MQTT_PUBLISH:
        return take_publish(client, head, body);
    case MQTT_PUBACK:
        return take_puback(client, body);
    case MQTT_SUBACK:
        return take_suback(client, body);
    case MQTT_PINGRESP:
        client->is_pinged = false;
        return mqtt_read_nothing(body);
    default:
        return "not a packet for clients";
    }
}

/* Gives the packets that the bytes begin with, and keeps the rest. false: it is closed. */
static bool take_input(struct mqtt_client *client, struct str bytes)
{
    struct mqtt_clients *clients = client->clients;
    const char *error = NULL;
    size_t used = 0;

    clients->reading = client;
    do {
        struct mqtt_head head;
        struct str rest = str_n(bytes.p + used, bytes.len - used);
        enum mqtt_reading reading = mqtt_read_head(rest.p, rest.len, MQTT_LEVEL_311, &head);

        if (reading == MQTT_MALFORMED ||
            (reading == MQTT_COMPLETE && head.body_len > PACKET_MAX - MQTT_HEAD_MAX)) {
            error = "malformed, or too large";
        } else if (reading == MQTT_INCOMPLETE || head.head_len + head.body_len > rest.len) {
            break;
        } else {
            used += head.head_len + head.body_len;
            error = take_packet(client, &head, str_n(rest.p + head.head_len, head.body_len));
        }
    } while (clients->reading && !error);
    if (!clients->reading)
        return false;
    clients->reading = NULL;
    if (error) {
        lose(client, 0);
        return false;
    }
    buf_clear(&client->input);
    if (used < bytes.len)
        buf_add(&client->input, bytes.p + used, bytes.len - used);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_client *client = arg;
    struct mqtt_clients *clients = client->clients;
    ssize_t n;

    (void)fd;
    (void)what;
    do {
        size_t kept = client->input.len;

        if (kept)
            memcpy(clients->input, client->input.p, kept);
        n = wire_read(&client->wire, clients->input + kept, READ_BYTES);
        if (n < 0) {
            lose(client, 0);
            break;
        }
        if (client->wire.wants_write)
            event_add(&client->writable, NULL);
        if (n > 0 && !take_input(client, str_n(clients->input, kept + (size_t)n)))
            break;
        if (client->wire.ssl && client->output.len && !write_output(client))
            break;
    } while (n > 0 && wire_has_pending(&client->wire));
    if (clients->config.turn)
        clients->config.turn(clients->config.arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct mqtt_client *client = arg;
    int error;

    (void)what;
    if (!client->is_connected) {
        error = target_error(fd);
        if (error) {
            lose(client, error);
            return;
        }
        client->is_connected = true;
        event_add(&client->readable, NULL);
    }
    if (client->output.len)
        write_output(client);
}

/* ---- life ---- */

int mqtt_client_dial(struct mqtt_client *client, const struct mqtt_connect *packet)
{
    struct mqtt_clients *clients = client->clients;

    if (!target_dial(clients->config.target, client->number, &client->wire))
        return errno;
    client->state = MQTT_CLIENT_DIALING;
    event_assign(&client->readable, clients->config.base, client->wire.fd, EV_READ | EV_PERSIST,
                 on_readable, client);
    event_assign(&client->writable, clients->config.base, client->wire.fd, EV_WRITE, on_writable,
                 client);
    event_add(&client->writable, NULL);
    mqtt_write_connect(&client->output, packet);
    return 0;
}

struct mqtt_client *mqtt_client_new(struct mqtt_clients *clients, size_t number)
{
    struct mqtt_client *client = xcalloc(1, sizeof(*client));

    client->clients = clients;
    client->number = number;
    return client;
}

void mqtt_client_free(struct mqtt_client *client)
{
    if (!client)
        return;
    if (client->state == MQTT_CLIENT_OPEN) { /* as far as the socket takes it */
        mqtt_write_nothing(&client->output, MQTT_DISCONNECT);
        wire_write(&client->wire, client->output.p + client->written,
                   client->output.len - client->written);
    }
    mqtt_client_close(client);
    free(client);
}

size_t mqtt_client_number(const struct mqtt_client *client)
{
    return client->number;
}

enum mqtt_client_state mqtt_client_state(const struct mqtt_client *client)
{
    return client->state;
}

bool mqtt_client_is_pinged(const struct mqtt_client *client)
{
    return client->is_pinged;
}

struct mqtt_clients *mqtt_clients_new(const struct mqtt_clients_config *config)
{
    struct mqtt_clients *clients = xcalloc(1, sizeof(*clients));

    clients->config = *config;
    clients->input = xmalloc(INPUT_BYTES);
    clients->flush = event_new(config->base, -1, 0, on_flush, clients);
    STAILQ_INIT(&clients->unwritten);
    return clients;
}

void mqtt_clients_free(struct mqtt_clients *clients)
{
    if (!clients)
        return;
    event_free(clients->flush);
    free(clients->input);
    free(clients);
}

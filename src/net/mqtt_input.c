/*
 * What clients send: packet by packet out of the connection's input, each as soon as all of it is there.
 */
#include "net/mqtt_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

#include <event2/buffer.h>
#include <stdlib.h>

#define TOPIC_MAX     65535
#define SUBSCRIBE_MAX 65535 /* body of a SUBSCRIBE, UNSUBSCRIBE */

static struct mqtt_server *server_of(const struct mqtt_connection *connection)
{
    return connection->listener->server;
}

static void end_with(struct mqtt_connection *connection, const char *reason, const char *what)
{
    log_debug("mqtt", "listener=%s peer=%s packet=%d error=%s", connection->listener->name,
              mqtt_connection_address(connection), (int)connection->head.type, what);
    mqtt_connection_close(connection, reason);
}

/* ---- may it come in? ---- */

static size_t largest_body(const struct mqtt_connection *connection)
{
    const struct mqtt_limits *limits = server_of(connection)->limits;

    switch (connection->head.type) {
    case MQTT_CONNECT:
        return (size_t)limits->header_bytes;
    case MQTT_PUBLISH:
        return (size_t)limits->payload_bytes + TOPIC_MAX + 4;
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return SUBSCRIBE_MAX;
    default:
        return 2;
    }
}

static const char *check_head(const struct mqtt_connection *connection)
{
    if ((connection->state == MQTT_STATE_NEW) != (connection->head.type == MQTT_CONNECT))
        return connection->state == MQTT_STATE_NEW ? "the first packet is no CONNECT"
                                                   : "a second CONNECT";
    switch (connection->head.type) {
    case MQTT_PUBLISH:
        return (connection->head.flags >> 1 & 3) == 2 ? "QoS 2 is not served" : NULL;
    case MQTT_CONNECT:
    case MQTT_PUBACK:
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
    case MQTT_PINGREQ:
    case MQTT_DISCONNECT:
        return NULL;
    default:
        return "not a packet for a server, or of QoS 2";
    }
}

/* false: there is no whole head yet, or the connection ends. */
static bool read_head(struct mqtt_connection *connection, struct evbuffer *input)
{
    unsigned char bytes[MQTT_HEAD_MAX];
    ev_ssize_t len = evbuffer_copyout(input, bytes, sizeof(bytes));
    const char *problem;

    switch (mqtt_read_head(bytes, len < 0 ? 0 : (size_t)len, connection->level,
                           &connection->head)) {
    case MQTT_INCOMPLETE:
        return false;
    case MQTT_MALFORMED:
        end_with(connection, "protocol", "malformed head");
        return false;
    case MQTT_COMPLETE:
        break;
    }
    problem = check_head(connection);
    if (problem) {
        end_with(connection, "protocol", problem);
        return false;
    }
    if (connection->head.body_len > largest_body(connection)) {
        end_with(connection, "too_large", "larger than allowed");
        return false;
    }
    connection->has_head = true;
    connection->head_ms = clock_tick_ms();
    return true;
}

/* Windows of one second, that begin with their first message. */
static bool rate_allows(struct mqtt_connection *connection)
{
    const struct mqtt_limits *limits = server_of(connection)->limits;
    int64_t now_ms = clock_tick_ms();

    if (now_ms - connection->second_ms >= 1000) {
        connection->second_ms = now_ms;
        connection->second_messages = 0;
        connection->second_bytes = 0;
    }
    return !(limits->messages && connection->second_messages >= limits->messages) &&
           !(limits->message_bytes && connection->second_bytes >= (uint64_t)limits->message_bytes);
}

/* What costs more than a look at it. */
static bool has_share(const struct mqtt_connection *connection)
{
    return connection->head.type == MQTT_PUBLISH || connection->head.type == MQTT_SUBSCRIBE ||
           connection->head.type == MQTT_UNSUBSCRIBE;
}

/* It takes its share before it is read. */
static bool admit(struct mqtt_connection *connection)
{
    struct mqtt_server *server = server_of(connection);

    if (connection->is_admitted || !has_share(connection))
        return true;
    if (connection->head.type == MQTT_PUBLISH &&
        (int64_t)connection->in_flight >= server->limits->in_flight) {
        mqtt_connection_stall(connection, MQTT_STALL_IN_FLIGHT);
        return false;
    }
    if (!rate_allows(connection)) {
        metric_add(M_THROTTLED, 1, "mqtt", NULL, NULL);
        mqtt_connection_stall(connection, MQTT_STALL_RATE);
        mqtt_connection_set_deadline(connection);
        return false;
    }
    if (!mqtt_server_reserve(server, connection->head.body_len + MQTT_MESSAGE_COST)) {
        mqtt_connection_stall(connection, MQTT_STALL_BUDGET);
        return false;
    }
    connection->is_admitted = true; /* released with the message, or with the connection */
    connection->second_messages++;
    connection->second_bytes += connection->head.body_len;
    return true;
}

/* ---- CONNECT, PUBLISH ---- */

static bool keep_alive_is_allowed(const struct mqtt_limits *limits, unsigned seconds)
{
    return seconds && seconds >= limits->keep_alive_min_s && seconds <= limits->keep_alive_max_s;
}

static void take_connect(struct mqtt_connection *connection, struct mqtt_pending *pending,
                         struct str body)
{
    const struct mqtt_service *service = server_of(connection)->service;
    struct mqtt_connect *packet = &pending->message.connect;
    const char *error = mqtt_read_connect(body, packet);

    connection->state = MQTT_STATE_LOGIN;
    mqtt_connection_stall(connection, MQTT_STALL_LOGIN);
    if (error) {
        end_with(connection, "protocol", error);
        mqtt_message_end(&pending->message, false);
    } else if (!packet->is_level_served) {
        mqtt_refuse(&pending->message, MQTT_BAD_VERSION);
    } else if (!keep_alive_is_allowed(server_of(connection)->limits, packet->keep_alive_s)) {
        mqtt_refuse(&pending->message, MQTT_BAD_CLIENT_ID); /* so says the protocol's page */
    } else {
        connection->level = (unsigned char)packet->level;
        connection->keep_alive_ms = packet->keep_alive_s * 1500u;
        service->login(&pending->message, service->context);
    }
}

static void take_publish(struct mqtt_connection *connection, struct mqtt_pending *pending,
                         const struct mqtt_head *head, struct str body)
{
    const struct mqtt_service *service = server_of(connection)->service;
    struct mqtt_publish *packet = &pending->message.publish;
    const char *error = mqtt_read_publish(head, body, packet);

    metric_add(M_MQTT_MESSAGES, 1, "up", NULL, NULL);
    if (!error && (int64_t)packet->payload.len > server_of(connection)->limits->payload_bytes) {
        end_with(connection, "too_large", "larger than allowed");
        mqtt_message_end(&pending->message, false);
    } else if (error) {
        end_with(connection, "protocol", error);
        mqtt_message_end(&pending->message, false);
    } else {
        service->publish(&pending->message, service->context);
    }
}

/* Its only copy: out of the input into an arena. */
static void take_message(struct mqtt_connection *connection, struct evbuffer *input)
{
    struct mqtt_head head = connection->head;
    struct mqtt_pending *pending =
        mqtt_pending_new(connection, connection->is_admitted ? head.body_len + MQTT_MESSAGE_COST : 0);
    char *bytes = arena_alloc(pending->message.arena, head.body_len + 1);
    struct str body = {bytes, head.body_len};

    connection->is_admitted = false;
    evbuffer_remove(input, bytes, head.body_len);
    bytes[head.body_len] = '\0';
    if (head.type == MQTT_CONNECT)
        take_connect(connection, pending, body);
    else
        take_publish(connection, pending, &head, body);
}

/* ---- the small ones ---- */

static void write_nothing(struct mqtt_connection *connection, enum mqtt_type type)
{
    struct buf out = {0};

    mqtt_write_nothing(&out, type);
    mqtt_connection_write(connection, &out);
    buf_clear(&out);
}

static void answer_filters(struct mqtt_connection *connection, enum mqtt_type type, uint16_t id,
                           size_t count, struct str list)
{
    const struct mqtt_service *service = server_of(connection)->service;
    char *codes = xcalloc(count, 1);
    struct buf out = {0};

    for (size_t i = 0; i < count; i++) {
        struct mqtt_filter filter = mqtt_next_filter(type, &list);

        if (type == MQTT_SUBSCRIBE)
            codes[i] = (char)service->subscribe(connection, filter, service->context);
        else
            service->unsubscribe(connection, filter.text, service->context);
    }
    if (type == MQTT_SUBSCRIBE)
        mqtt_write_suback(&out, id, str_n(codes, count));
    else
        mqtt_write_id(&out, MQTT_UNSUBACK, id);
    mqtt_connection_write(connection, &out);
    buf_clear(&out);
    free(codes);
}

static void take_filters(struct mqtt_connection *connection, const struct mqtt_head *head,
                         struct str body)
{
    struct str list;
    uint16_t id;
    size_t count;
    const char *error = mqtt_read_filters(head, body, &id, &count, &list);

    if (error)
        end_with(connection, "protocol", error);
    else
        answer_filters(connection, head->type, id, count, list);
}

static void take_puback(struct mqtt_connection *connection, struct str body)
{
    const struct mqtt_service *service = server_of(connection)->service;
    uint16_t id;
    const char *error = mqtt_read_id(body, &id);

    if (error)
        end_with(connection, "protocol", error);
    else
        service->puback(connection, id, service->context);
}

static void take_control(struct mqtt_connection *connection, struct evbuffer *input)
{
    struct mqtt_head head = connection->head;
    unsigned char *bytes = head.body_len ? evbuffer_pullup(input, (ev_ssize_t)head.body_len) : NULL;
    struct str body = bytes ? str_n((const char *)bytes, head.body_len) : STR("");
    const char *error;

    if (connection->is_admitted)
        mqtt_server_release(server_of(connection), head.body_len + MQTT_MESSAGE_COST);
    connection->is_admitted = false;
    switch (head.type) {
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        take_filters(connection, &head, body);
        break;
    case MQTT_PUBACK:
        take_puback(connection, body);
        break;
    default:
        error = mqtt_read_nothing(body);
        if (error)
            end_with(connection, "protocol", error);
        else if (head.type == MQTT_PINGREQ)
            write_nothing(connection, MQTT_PINGRESP);
        else
            mqtt_connection_close(connection, "disconnect");
    }
    evbuffer_drain(input, head.body_len);
}

/* ---- all of them ---- */

static bool is_reading(const struct mqtt_connection *connection)
{
    return connection->stall == MQTT_FLOWING && connection->state <= MQTT_STATE_LIVE;
}

void mqtt_input_process(struct mqtt_connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);

    while (is_reading(connection)) {
        if (!connection->has_head && !read_head(connection, input))
            break;
        if (!admit(connection))
            break;
        if (evbuffer_get_length(input) < connection->head.head_len + connection->head.body_len)
            break;
        evbuffer_drain(input, connection->head.head_len);
        connection->has_head = false;
        connection->heard_ms = clock_tick_ms();
        if (connection->head.type == MQTT_CONNECT || connection->head.type == MQTT_PUBLISH)
            take_message(connection, input);
        else
            take_control(connection, input);
    }
    if (connection->has_head && is_reading(connection))
        mqtt_connection_set_deadline(connection);
}

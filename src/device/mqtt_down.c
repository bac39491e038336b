/*
 * What is sent to a device: on its topics, with the QoS that it subscribed with. Topics of v5 need no
 * subscription, and come with QoS 0 then; those of v1 do.
 */
#include "device/downlink.h"

#include "base/mem.h"
#include "base/metric.h"

#include <stdlib.h>

/* ---- subscriptions ---- */

static struct mqtt_subscription *find(const struct mqtt_device *device, struct str filter)
{
    struct mqtt_subscription *subscription;

    SLIST_FOREACH (subscription, &device->subscriptions, entry) {
        if (str_eq(str_n(subscription->filter, subscription->len), filter))
            break;
    }
    return subscription;
}

static int not_granted(void)
{
    metric_add(M_MQTT_IGNORED, 1, "subscription", NULL, NULL);
    return MQTT_NOT_GRANTED;
}

int mqtt_down_subscribe(struct mqtt_connection *connection, struct mqtt_filter filter,
                        void *context)
{
    struct mqtt_device *device = mqtt_connection_user(connection);
    const struct device_mqtt *mqtt = context;
    struct mqtt_subscription *subscription;
    bool is_v1 = filter.text.p && filter.text.len && filter.text.p[0] == '/';
    int qos = filter.qos > 1 ? 1 : filter.qos;

    if (!device || !mqtt_topic_is_subscribable(filter.text, str_of(device->session->device_id),
                                               str_of(device->node_id)))
        return not_granted();
    subscription = find(device, filter.text);
    if (!subscription) {
        if ((int64_t)device->subscription_count >= mqtt->settings->subscriptions)
            return not_granted();
        subscription = xmalloc(sizeof(*subscription) + filter.text.len);
        subscription->len = filter.text.len;
        memcpy(subscription->filter, filter.text.p, filter.text.len);
        SLIST_INSERT_HEAD(&device->subscriptions, subscription, entry);
        device->subscription_count++;
    }
    subscription->qos = qos;
    if (is_v1 && device->uses_v1)
        downlink_decided(device); /* perhaps it is to be told of commands only now */
    mqtt_device_speaks(device, is_v1);
    return qos;
}

void mqtt_down_unsubscribe(struct mqtt_connection *connection, struct str filter, void *context)
{
    struct mqtt_device *device = mqtt_connection_user(connection);
    struct mqtt_subscription *subscription = device ? find(device, filter) : NULL;

    (void)context;
    if (!subscription)
        return;
    SLIST_REMOVE(&device->subscriptions, subscription, mqtt_subscription, entry);
    device->subscription_count--;
    free(subscription);
}

/* -1: not subscribed to. However many filters match, a message is sent once. */
static int qos_of(const struct mqtt_device *device, enum mqtt_topic_kind kind, struct str topic)
{
    const struct mqtt_subscription *subscription;
    int qos = mqtt_topic_is_implicit(kind) ? 0 : -1;

    SLIST_FOREACH (subscription, &device->subscriptions, entry) {
        if (subscription->qos > qos &&
            mqtt_filter_matches(str_n(subscription->filter, subscription->len), topic))
            qos = subscription->qos;
    }
    return qos;
}

static bool matches_any(const struct mqtt_device *device, struct str topic)
{
    const struct mqtt_subscription *subscription;

    SLIST_FOREACH (subscription, &device->subscriptions, entry) {
        if (mqtt_filter_matches(str_n(subscription->filter, subscription->len), topic))
            return true;
    }
    return false;
}

bool mqtt_down_is_subscribed(const struct mqtt_device *device, enum mqtt_topic_kind kind)
{
    struct arena *arena;
    bool is_subscribed;

    if (SLIST_EMPTY(&device->subscriptions))
        return false;
    arena = arena_new();
    is_subscribed =
        matches_any(device, mqtt_topic_down(arena, kind, str_of(device->session->device_id),
                                            STR("x"))) ||
        matches_any(device, mqtt_topic_down(arena, kind, str_of(device->node_id), STR("x")));

    arena_free(arena);
    return is_subscribed;
}

/* ---- sending ---- */

bool mqtt_down_has_room(const struct mqtt_device *device)
{
    return (int64_t)device->sent_count < device->mqtt->settings->window;
}

bool mqtt_down_is_flowing(const struct mqtt_device *device, size_t coming)
{
    switch (mqtt_connection_output(device->connection)) {
    case MQTT_OUTPUT_EMPTY:
        return true;
    case MQTT_OUTPUT_SOME:
        return coming == 0;
    default:
        return false;
    }
}

bool mqtt_down_is_idle(const struct mqtt_device *device)
{
    return mqtt_connection_output(device->connection) == MQTT_OUTPUT_EMPTY &&
           mqtt_down_has_room(device);
}

void mqtt_down_wait(struct mqtt_device *device, struct mqtt_waiter *waiter)
{
    STAILQ_INSERT_TAIL(&device->waiters, waiter, entry);
}

/* One after the other, as far as the device reads; of one that has gone, all. */
void mqtt_down_resume(struct mqtt_device *device)
{
    struct mqtt_waiter *waiter;

    while ((waiter = STAILQ_FIRST(&device->waiters)) &&
           (!device->session || mqtt_down_is_idle(device))) {
        STAILQ_REMOVE_HEAD(&device->waiters, entry);
        waiter->resume(waiter->arg);
    }
}

static struct mqtt_sent *find_sent(const struct mqtt_device *device, uint16_t id)
{
    struct mqtt_sent *sent;

    LIST_FOREACH (sent, &device->sent, entry) {
        if (sent->id == id)
            break;
    }
    return sent;
}

/* There is one: what is promised beside a full window is no more than that. */
static uint16_t next_packet_id(struct mqtt_device *device)
{
    do {
        device->last_packet_id++;
    } while (device->last_packet_id == 0 || find_sent(device, device->last_packet_id));
    return device->last_packet_id;
}

static void remember(struct mqtt_device *device, uint16_t id, const struct mqtt_down *message)
{
    struct mqtt_sent *sent = xcalloc(1, sizeof(*sent));

    sent->id = id;
    sent->done = message->done;
    sent->arg = message->arg;
    LIST_INSERT_HEAD(&device->sent, sent, entry);
    device->sent_count++;
}

/* v1's topics have the name that the device logged in with; it may have subscribed to either. */
static int choose_topic(const struct mqtt_device *device, struct arena *arena,
                        const struct mqtt_down *message, struct str *topic)
{
    int qos;

    *topic = mqtt_topic_down(arena, message->kind, str_of(device->session->device_id),
                             message->request_id);
    qos = qos_of(device, message->kind, *topic);
    if (qos >= 0)
        return qos;
    *topic = mqtt_topic_down(arena, message->kind, str_of(device->node_id), message->request_id);
    return qos_of(device, message->kind, *topic);
}

enum mqtt_down_result mqtt_down_send(struct mqtt_device *device, const struct mqtt_down *message)
{
    enum mqtt_down_result result = MQTT_DOWN_NOT_SENT;
    struct arena *arena = arena_new();
    struct mqtt_publish packet = {.payload = message->payload};

    packet.qos = choose_topic(device, arena, message, &packet.topic);
    if (packet.qos > 0 && !message->is_promised && !mqtt_down_has_room(device)) {
        metric_add(M_MQTT_IGNORED, 1, "window", NULL, NULL);
    } else if (packet.qos >= 0) {
        packet.id = packet.qos ? next_packet_id(device) : 0;
        /* Remembered first: should it be too slow, closing tells of this one, too. */
        if (packet.qos)
            remember(device, packet.id, message);
        result = packet.qos ? MQTT_DOWN_WAITS : MQTT_DOWN_SENT;
        if (!mqtt_publish(device->connection, &packet) && !packet.qos)
            result = MQTT_DOWN_NOT_SENT;
    }
    arena_free(arena);
    return result;
}

static void end_sent(struct mqtt_device *device, struct mqtt_sent *sent, bool is_acknowledged)
{
    LIST_REMOVE(sent, entry);
    device->sent_count--;
    if (sent->done)
        sent->done(is_acknowledged, sent->arg);
    free(sent);
}

/* An id that is not under way any more is no mistake that a device could be told of. */
void mqtt_down_acknowledged(struct mqtt_connection *connection, uint16_t id, void *context)
{
    struct mqtt_device *device = mqtt_connection_user(connection);
    struct mqtt_sent *sent = device ? find_sent(device, id) : NULL;

    (void)context;
    if (!sent)
        return;
    end_sent(device, sent, true);
    mqtt_down_resume(device);
    if (mqtt_connection_user(connection)) /* that may have ended it */
        downlink_has_room(device);
}

void mqtt_down_clear(struct mqtt_device *device)
{
    struct mqtt_subscription *subscription;

    mqtt_down_resume(device);
    while (!LIST_EMPTY(&device->sent))
        end_sent(device, LIST_FIRST(&device->sent), false);
    while ((subscription = SLIST_FIRST(&device->subscriptions))) {
        SLIST_REMOVE_HEAD(&device->subscriptions, entry);
        free(subscription);
    }
}

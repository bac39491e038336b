/*
 * What the files of MQTT share: mqtt.c (login, and the life of a connected device), mqtt_uplink.c (what
 * it sends), mqtt_events.c (the events among that), mqtt_shadow.c (its questions for its shadow),
 * mqtt_down.c (what is sent to it).
 */
#ifndef DEVICE_MQTT_PRIVATE_H
#define DEVICE_MQTT_PRIVATE_H

#include "base/json.h"
#include "core/data/report.h"
#include "core/data/shadow.h"
#include "device/mqtt.h"
#include "device/mqtt_topics.h"
#include "device/unsaid.h"
#include "store/keys.h"

#include <sys/queue.h>

struct device_mqtt {
    struct core *core;
    const struct device_mqtt_settings *settings;
    struct mqtt_service service;
    struct rate *logins, *failures;
    struct shadow_transport shadow_transport;
    struct unsaid_list unsaid;
    TAILQ_HEAD(awaited_list, awaited) awaited; /* downlink.c: answers, of all devices */
    struct event *answer_timer;
    TAILQ_HEAD(, mqtt_device) undecided;       /* downlink.c: what do they speak? */
    struct event *undecided_timer;
    TAILQ_HEAD(, family) families; /* downlink_family.c: rounds whose turn comes */
    size_t offers;                 /* their questions to Redis that are under way */
};

struct mqtt_subscription {
    SLIST_ENTRY(mqtt_subscription) entry;
    int qos;
    size_t len;
    char filter[];
};

struct mqtt_sent { /* and not acknowledged */
    LIST_ENTRY(mqtt_sent) entry;
    uint16_t id;
    void (*done)(bool is_acknowledged, void *arg);
    void *arg;
};

struct mqtt_waiter { /* until a device can take more; not owned */
    STAILQ_ENTRY(mqtt_waiter) entry;
    void (*resume)(void *arg); /* once; also when the connection has ended */
    void *arg;
};

struct mqtt_device { /* as long as its connection */
    struct device_mqtt *mqtt;
    struct mqtt_connection *connection;
    struct session *session; /* NULL: it is being closed */
    char *app_id, *node_id;
    SLIST_HEAD(, mqtt_subscription) subscriptions;
    LIST_HEAD(, mqtt_sent) sent;
    STAILQ_HEAD(, mqtt_waiter) waiters;
    LIST_HEAD(, awaited) awaited; /* downlink.c: answers to requests */
    TAILQ_ENTRY(mqtt_device) undecided; /* of device_mqtt, by time of login */
    int64_t decided_ms;                 /* tick; then v5 is believed of it */
    uint32_t subscription_count, sent_count, awaited_count;
    uint32_t commands_asked_for; /* of core, and not here yet */
    bool uses_v1, uses_v5; /* topics, as far as it has shown */
    bool is_undecided;     /* has shown nothing yet, and may still be waited for */
    unsigned own_waits;    /* OFFER_...: what may wait for room to this device */
    unsigned family_waits; /* the same for those behind it */
    struct family *family; /* downlink_family.c: a round over them; NULL: none */
    uint16_t last_packet_id;
    uint64_t last_question; /* to core, for a command */
    unsigned comebacks;     /* downlink.c: after Redis did not say what is desired */
};

/* One of its messages under way; in the message's arena. */
struct upload {
    struct mqtt_message *message;
    struct core *core;
    struct str device_id, session_id; /* of who sent it */
    struct mqtt_topic topic;
    struct str payload; /* unpacked */
    size_t waiting;     /* parts of it */
    enum error error;   /* of any part */
    void (*take)(struct upload *upload); /* when the session was found to be current */
    struct str object_id;          /* of events: whom they are about */
    const struct json *next_event; /* of events: not begun yet */
    bool is_event_under_way, is_in_events;
};

/* Its payload as JSON; NULL: it is none. */
const struct json *upload_parse(struct upload *upload);
/* NULL: it is gone, or has connected anew meanwhile. */
struct mqtt_device *upload_device(const struct upload *upload);
void upload_end(struct upload *upload, enum error error);
/* Taken, and thrown away; what is a value of M_MQTT_IGNORED. */
void upload_ignore(struct upload *upload, const char *what);

/* It has used, or subscribed to, a topic of v1, or of v5. */
void mqtt_device_speaks(struct mqtt_device *device, bool is_v1);

/* mqtt_uplink.c */
void mqtt_uplink_publish(struct mqtt_message *message, void *context);

/* Goes on with take() if the connection is still the device's: for what a gateway does for others, where no
 * script sees its own record. Else the connection is closed. */
void upload_check(struct upload *upload, void (*take)(struct upload *upload));

/* mqtt_events.c, mqtt_shadow.c: end in upload_end or upload_ignore */
void mqtt_events_take(struct upload *upload);
void mqtt_shadow_answer(struct upload *upload);

/* mqtt_down.c */
int mqtt_down_subscribe(struct mqtt_connection *connection, struct mqtt_filter filter,
                        void *context);
void mqtt_down_unsubscribe(struct mqtt_connection *connection, struct str filter, void *context);
void mqtt_down_acknowledged(struct mqtt_connection *connection, uint16_t id, void *context);
/* For who has more to send than should wait for the device to read. */
bool mqtt_down_is_idle(const struct mqtt_device *device); /* nothing waits, and there is room */
void mqtt_down_wait(struct mqtt_device *device, struct mqtt_waiter *waiter);
void mqtt_down_resume(struct mqtt_device *device);
void mqtt_down_clear(struct mqtt_device *device); /* whatever was sent will not be acknowledged */

struct mqtt_down {
    enum mqtt_topic_kind kind;
    struct str request_id; /* of topics that have one */
    struct str payload;
    bool is_promised; /* there was room for it when it was begun: it goes in any case */
    /* Of QoS 1: it was acknowledged, or will not be any more. May be NULL. */
    void (*done)(bool is_acknowledged, void *arg);
    void *arg;
};

enum mqtt_down_result {
    MQTT_DOWN_NOT_SENT, /* not subscribed to, or too many wait already, or too slow: done is not called */
    MQTT_DOWN_SENT,     /* with QoS 0: done is not called */
    MQTT_DOWN_WAITS,    /* with QoS 1 */
};

/* Explicitly, to all messages of the kind. */
bool mqtt_down_is_subscribed(const struct mqtt_device *device, enum mqtt_topic_kind kind);
bool mqtt_down_has_room(const struct mqtt_device *device);
/* Does it take what is sent to it, so that more can be asked for? coming: how many messages were, and are
 * not here yet. */
bool mqtt_down_is_flowing(const struct mqtt_device *device, size_t coming);
enum mqtt_down_result mqtt_down_send(struct mqtt_device *device, const struct mqtt_down *message);

#endif

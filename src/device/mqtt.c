#include "device/mqtt_private.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rate.h"
#include "device/downlink.h"
#include "device/mqtt_login.h"

#include <stdlib.h>

#define RATE_KEYS 100000

/* ---- login ---- */

struct login {
    struct device_mqtt *mqtt;
    struct mqtt_message *message;
    struct mqtt_claim claim;
    const struct device_identity *facts;
};

static void refuse(struct login *login, enum mqtt_connack code, const char *reason)
{
    const struct mqtt_connection *connection = login->message->connection;

    metric_add(M_MQTT_LOGINS, 1, reason, NULL, NULL);
    log_info("mqtt", "peer=%s login=refused code=%d reason=%s client=%.*s",
             connection ? mqtt_connection_address(connection) : "", (int)code, reason,
             (int)(login->message->connect.client_id.len > 256 ? 256
                       : login->message->connect.client_id.len),
             login->message->connect.client_id.p);
    mqtt_refuse(login->message, code);
}

/* Counts against the address it came from. */
static void refuse_wrong(struct login *login, enum mqtt_connack code, const char *reason)
{
    const struct mqtt_connection *connection = login->message->connection;

    if (connection)
        rate_allows(login->mqtt->failures, mqtt_connection_peer(connection));
    refuse(login, code, reason);
}

static void refuse_for(struct login *login, enum error error)
{
    if (error == ERR_DEVICE_AUTH)
        refuse_wrong(login, MQTT_BAD_LOGIN, "wrong");
    else if (error == ERR_DEVICE_MUTED)
        refuse(login, MQTT_NOT_AUTHORIZED, "muted");
    else
        refuse(login, MQTT_UNAVAILABLE, "unavailable");
}

static void device_free(struct mqtt_device *device)
{
    /* First, so that nobody takes what ends for an occasion to send more. */
    session_close(device->session);
    device->session = NULL;
    mqtt_down_clear(device);
    downlink_disconnected(device);
    free(device->app_id);
    free(device->node_id);
    free(device);
}

static void opened(enum error error, struct session *session, void *arg)
{
    struct login *login = arg;
    struct mqtt_device *device;

    if (error) {
        refuse_for(login, error);
        return;
    }
    device = xcalloc(1, sizeof(*device));
    device->mqtt = login->mqtt;
    STAILQ_INIT(&device->waiters);
    device->session = session;
    device->connection = login->message->connection;
    device->app_id = str_dup(login->facts->app_id);
    device->node_id = str_dup(login->facts->node_id);
    device->uses_v1 = login->claim.proof.node_id.p; /* v5 knows no such login */
    session->connection = device;
    metric_add(M_MQTT_LOGINS, 1, "ok", NULL, NULL);
    if (!mqtt_accept(login->message, device))
        device_free(device); /* the client has gone meanwhile */
    else if (session->is_current)
        downlink_connected(device);
}

static void verified(enum error error, const struct device_identity *facts, void *arg)
{
    struct login *login = arg;
    struct mqtt_message *message = login->message;

    if (error) {
        refuse_for(login, error);
    } else if (!rate_allows(login->mqtt->logins, facts->device_id)) {
        metric_add(M_THROTTLED, 1, "mqtt_login", NULL, NULL);
        refuse(login, MQTT_UNAVAILABLE, "throttled");
    } else if (!message->connection) {
        mqtt_refuse(message, MQTT_UNAVAILABLE);
    } else {
        login->facts = facts;
        session_open(login->mqtt->core, message->arena, facts->device_id, facts->secret, opened,
                     login);
    }
}

static void log_in(struct mqtt_message *message, void *context)
{
    struct device_mqtt *mqtt = context;
    struct login *login = arena_zalloc(message->arena, sizeof(*login));

    login->mqtt = mqtt;
    login->message = message;
    mqtt_claim_read(&message->connect, &login->claim);
    if (login->claim.code)
        refuse_wrong(login, login->claim.code, login->claim.reason);
    else if (rate_is_used_up(mqtt->failures, mqtt_connection_peer(message->connection)))
        refuse(login, MQTT_UNAVAILABLE, "throttled");
    else if (!core_is_ready(mqtt->core))
        refuse(login, MQTT_UNAVAILABLE, "unavailable");
    else if (login->claim.is_time_checked &&
             !device_hour_is_near(mqtt->core, login->claim.proof.timestamp))
        refuse_wrong(login, MQTT_BAD_LOGIN, "time");
    else
        device_verify(mqtt->core, message->arena, &login->claim.proof, verified, login);
}

void mqtt_device_speaks(struct mqtt_device *device, bool is_v1)
{
    bool *speaks = is_v1 ? &device->uses_v1 : &device->uses_v5;

    if (*speaks)
        return;
    *speaks = true;
    downlink_decided(device);
}

static void drained(struct mqtt_connection *connection, void *context)
{
    (void)context;
    mqtt_down_resume(mqtt_connection_user(connection));
    if (mqtt_connection_user(connection)) /* that may have ended it */
        downlink_has_room(mqtt_connection_user(connection));
}

/* ---- the end ---- */

static void closed(struct mqtt_connection *connection, void *context)
{
    (void)context;
    device_free(mqtt_connection_user(connection));
}

static void lost(struct session *session)
{
    struct mqtt_device *device = session->connection;

    mqtt_connection_close(device->connection, "taken_over");
}

static void told(struct session *session, struct str device_id)
{
    downlink_offer(session->connection, device_id);
}

static void describe(const struct session *session, struct json_writer *w)
{
    const struct mqtt_device *device = session->connection;

    json_member_text(w, "address", mqtt_connection_address(device->connection));
    json_member_bool(w, "tls", mqtt_connection_is_tls(device->connection));
    json_member_i64(w, "subscriptions", device->subscription_count);
    json_member_i64(w, "unacknowledged", device->sent_count);
}

const struct session_transport device_mqtt_transport = {lost, describe, told};

/* ---- all of them ---- */

struct device_mqtt *device_mqtt_new(struct core *core,
                                    const struct device_mqtt_settings *settings)
{
    struct device_mqtt *mqtt = xcalloc(1, sizeof(*mqtt));

    mqtt->core = core;
    mqtt->settings = settings;
    mqtt->logins = rate_new(0, 1000, RATE_KEYS);
    mqtt->failures = rate_new(0, 1000, RATE_KEYS);
    device_mqtt_settings_changed(mqtt);
    downlink_init(mqtt);
    mqtt->service = (struct mqtt_service){
        .login = log_in,
        .publish = mqtt_uplink_publish,
        .subscribe = mqtt_down_subscribe,
        .unsubscribe = mqtt_down_unsubscribe,
        .puback = mqtt_down_acknowledged,
        .drained = drained,
        .closed = closed,
        .context = mqtt,
    };
    return mqtt;
}

void device_mqtt_settings_changed(struct device_mqtt *mqtt)
{
    const struct device_mqtt_settings *s = mqtt->settings;

    rate_set_limit(mqtt->logins, (uint32_t)s->login_limit, s->login_interval_ms);
    rate_set_limit(mqtt->failures, (uint32_t)s->failure_limit, s->failure_interval_ms);
}

void device_mqtt_free(struct device_mqtt *mqtt)
{
    if (!mqtt)
        return;
    downlink_clear(mqtt);
    rate_free(mqtt->logins);
    rate_free(mqtt->failures);
    free(mqtt);
}

const struct mqtt_service *device_mqtt_service(struct device_mqtt *mqtt)
{
    return &mqtt->service;
}

/*
 * What devices send up. A message is acknowledged when Redis has confirmed it, or when it can never be
 * stored, since MQTT 3.1.1 has no way to say so: a device that got no PUBACK would send it for ever.
 */
#include "device/mqtt_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "device/downlink.h"
#include "device/gzip.h"

#define CHILDREN_MAX 100

struct mqtt_device *upload_device(const struct upload *upload)
{
    return upload->message->connection ? mqtt_connection_user(upload->message->connection) : NULL;
}

static struct core *core_of(const struct upload *upload)
{
    return upload->core;
}

void upload_end(struct upload *upload, enum error error)
{
    struct mqtt_message *message = upload->message;

    if (error == ERR_TOKEN_INVALID && message->connection)
        mqtt_connection_close(message->connection, "not_allowed");
    mqtt_message_end(message, error != ERR_INTERNAL && error != ERR_APP_REPORT_RATE);
}

void upload_ignore(struct upload *upload, const char *what)
{
    metric_add(M_MQTT_IGNORED, 1, what, NULL, NULL);
    upload_end(upload, ERR_OK);
}

static void session_checked(enum error error, void *arg)
{
    struct upload *upload = arg;

    if (error || !upload_device(upload))
        upload_end(upload, error);
    else
        upload->take(upload);
}

void upload_check(struct upload *upload, void (*take)(struct upload *upload))
{
    upload->take = take;
    report_check_session(upload->core, upload->message->arena, upload->device_id,
                         upload->session_id, session_checked, upload);
}

static void reported(enum error error, void *arg)
{
    struct upload *upload = arg;

    metric_add(M_REPORTS, 1, "mqtt", error ? "refused" : "ok", NULL);
    upload_end(upload, error);
}

/* Of any of its parts: whether it could not be stored matters most. */
static void part_reported(enum error error, void *arg)
{
    struct upload *upload = arg;

    metric_add(M_REPORTS, 1, "mqtt", error ? "refused" : "ok", NULL);
    if (error == ERR_INTERNAL || !upload->error)
        upload->error = error;
    if (--upload->waiting == 0)
        upload_end(upload, upload->error);
}

static struct report_source own_source(const struct upload *upload)
{
    return (struct report_source){.session_id = upload->session_id,
                                  .request_id = upload->topic.request_id};
}

static struct report_source gateway_source(const struct upload *upload)
{
    return (struct report_source){.gateway_id = upload->device_id,
                                  .request_id = upload->topic.request_id};
}

const struct json *upload_parse(struct upload *upload)
{
    const struct json *body = json_parse(upload->message->arena, upload->payload, NULL);

    mqtt_message_weigh(upload->message);
    return body;
}

/* ---- properties ---- */

static void take_properties(struct upload *upload)
{
    struct report_source source = own_source(upload);
    const struct json *services = json_get(upload_parse(upload), "services");

    report_properties(core_of(upload), upload->message->arena, upload->device_id, &source,
                      services, reported, upload);
}

/* Those that are behind this gateway are stored; MQTT cannot tell of the others. */
static void take_children(struct upload *upload)
{
    struct report_source source = gateway_source(upload);
    const struct json *devices = json_get(upload_parse(upload), "devices");

    if (!devices || devices->type != JSON_ARRAY || devices->count == 0 ||
        devices->count > CHILDREN_MAX) {
        upload_ignore(upload, "payload");
        return;
    }
    upload->waiting = devices->count;
    JSON_FOREACH (device, devices) {
        struct str id = json_get_str(device, "device_id");

        report_properties(core_of(upload), upload->message->arena,
                          str_is_id(id, KEY_ID_MAX) ? id : STR("-"), &source,
                          json_get(device, "services"), part_reported, upload);
    }
}

/* ---- messages ---- */

static void take_childs_message(struct upload *upload)
{
    struct report_source source = gateway_source(upload);

    report_message(core_of(upload), upload->message->arena, upload->object_id, &source,
                   upload->payload, reported, upload);
}

/* Any bytes may come, and nothing else of them is looked at: so the tree goes at once. */
static struct str object_id_of(const struct upload *upload)
{
    struct arena *arena = arena_new();
    struct str id = json_get_str(json_parse(arena, upload->payload, NULL), "object_device_id");

    id = arena_str(upload->message->arena, id);
    arena_free(arena);
    return id;
}

/* The system's form may name a child; everything else is the device's own, whatever it is. */
static void take_message(struct upload *upload)
{
    struct report_source source = own_source(upload);

    upload->object_id = object_id_of(upload);
    if (!upload->object_id.len || str_eq(upload->object_id, upload->device_id))
        report_message(core_of(upload), upload->message->arena, upload->device_id, &source,
                       upload->payload, reported, upload);
    else if (str_is_id(upload->object_id, KEY_ID_MAX))
        upload_check(upload, take_childs_message);
    else
        upload_ignore(upload, "payload");
}

/* ---- v1: reports and answers on one topic ---- */

/* {"serviceId","serviceData","eventTime"} by the names that v5 gives them */
static struct json *rename_members(struct arena *arena, const struct json *service)
{
    static const struct {
        const char *v1, *v5;
    } names[] = {{"serviceId", "service_id"},
                 {"serviceData", "properties"},
                 {"eventTime", "event_time"}};
    struct json *renamed = arena_alloc(arena, sizeof(*renamed)), **end = &renamed->first;

    *renamed = *service;
    renamed->first = NULL;
    renamed->next = NULL;
    renamed->count = 0;
    for (size_t i = 0; service->type == JSON_OBJECT && i < 3; i++) {
        const struct json *member = json_get(service, names[i].v1);
        struct json *copy;

        if (!member)
            continue;
        copy = arena_alloc(arena, sizeof(*copy));
        *copy = *member;
        copy->key = str_of(names[i].v5);
        copy->next = NULL;
        *end = copy;
        end = &copy->next;
        renamed->count++;
    }
    return renamed;
}

static const struct json *services_of_v1(struct arena *arena, const struct json *data)
{
    struct json *services, **end;

    if (!data || data->type != JSON_ARRAY)
        return NULL;
    services = arena_alloc(arena, sizeof(*services));
    *services = *data;
    services->first = NULL;
    end = &services->first;
    JSON_FOREACH (service, data) {
        *end = rename_members(arena, service);
        end = &(*end)->next;
    }
    return services;
}

static void take_v1_data(struct upload *upload)
{
    struct report_source source = own_source(upload);
    const struct json *body = upload_parse(upload);
    struct str type = json_get_str(body, "msgType");

    if (str_eq(type, STR("deviceReq")))
        report_properties(core_of(upload), upload->message->arena, upload->device_id, &source,
                          services_of_v1(upload->message->arena, json_get(body, "data")), reported,
                          upload);
    else if (str_eq(type, STR("deviceRsp")))
        downlink_v1_answered(upload, body);
    else
        upload_ignore(upload, "payload");
}

/* ---- all of them ---- */

static bool names_the_device(const struct mqtt_device *device, const struct mqtt_topic *topic)
{
    if (str_eq(topic->id, str_of(device->session->device_id)))
        return true;
    if (topic->kind == TOPIC_V1_DATA)
        return str_eq(topic->id, str_of(device->node_id));
    return topic->kind == TOPIC_SHADOW_GET; /* an SDK puts the child's id here */
}

static void take(struct upload *upload, struct mqtt_device *device)
{
    mqtt_device_speaks(device, upload->topic.kind == TOPIC_V1_DATA);
    switch (upload->topic.kind) {
    case TOPIC_PROPERTIES:
        take_properties(upload);
        break;
    case TOPIC_CHILDREN:
        upload_check(upload, take_children);
        break;
    case TOPIC_MESSAGE:
        take_message(upload);
        break;
    case TOPIC_EVENT:
        upload_check(upload, mqtt_events_take);
        break;
    case TOPIC_SHADOW_GET:
        upload_check(upload, mqtt_shadow_answer);
        break;
    case TOPIC_V1_DATA:
        take_v1_data(upload);
        break;
    case TOPIC_SET_RESPONSE:
    case TOPIC_GET_RESPONSE:
    case TOPIC_COMMAND_RESPONSE:
        downlink_take_answer(upload);
        break;
    default:
        upload_ignore(upload, "topic");
    }
}

/* false: it is no gzip, or too large unpacked. */
static bool unpack(struct upload *upload, const struct device_mqtt_settings *settings)
{
    bool is_good;

    upload->payload = upload->message->publish.payload;
    if (!upload->topic.is_gzip)
        return true;
    is_good = gzip_unpack(upload->message->arena, upload->payload,
                          (size_t)settings->unpacked_bytes, &upload->payload);
    mqtt_message_weigh(upload->message);
    return is_good;
}

void mqtt_uplink_publish(struct mqtt_message *message, void *context)
{
    struct device_mqtt *mqtt = context;
    struct mqtt_device *device = mqtt_connection_user(message->connection);
    struct upload *upload = arena_zalloc(message->arena, sizeof(*upload));
    enum error error;

    upload->message = message;
    upload->core = mqtt->core;
    upload->device_id = arena_str(message->arena, str_of(device->session->device_id));
    upload->session_id = arena_str(message->arena, str_of(device->session->id));
    mqtt_topic_read(message->publish.topic, &upload->topic);
    error = report_check_rate_of_app(mqtt->core, upload->device_id);
    if (!upload->topic.kind || !names_the_device(device, &upload->topic)) {
        upload_ignore(upload, "topic");
    } else if (error) {
        metric_add(M_THROTTLED, 1, "app_reports", NULL, NULL);
        upload_end(upload, error);
    } else if (!unpack(upload, mqtt->settings)) {
        upload_ignore(upload, "payload");
    } else {
        take(upload, device);
    }
}

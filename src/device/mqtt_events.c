#include "device/mqtt_events.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/metric.h"

#define EVENTS_MAX 50 /* of one message */

/* ---- what all of them need ---- */

static void go_on(struct upload *upload);

void mqtt_event_end(struct mqtt_event *event, enum error error)
{
    struct upload *upload = event->upload;

    if (error == ERR_INTERNAL || !upload->error)
        upload->error = error;
    upload->is_event_under_way = false;
    if (!upload->is_in_events)
        go_on(upload);
}

void mqtt_event_ignore(struct mqtt_event *event)
{
    metric_add(M_MQTT_IGNORED, 1, "event", NULL, NULL);
    mqtt_event_end(event, ERR_OK);
}

static void write_event(struct json_writer *w, const struct mqtt_event *event, const char *type,
                        struct str paras)
{
    char time[CLOCK_COMPACT_SIZE], own_id[CRYPTO_UUID_SIZE];

    clock_format_compact(clock_now_ms(), time);
    crypto_random_uuid(own_id);
    json_object(w);
    json_member_str(w, "object_device_id", event->upload->object_id);
    json_key(w, "services");
    json_array(w);
    json_object(w);
    json_member_str(w, "service_id", event->service_id);
    json_member_text(w, "event_type", type);
    json_member_text(w, "event_time", time);
    json_member_str(w, "event_id", event->event_id.len ? event->event_id : str_of(own_id));
    json_member_raw(w, "paras", paras);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
}

void mqtt_event_answer(struct mqtt_event *event, const char *type, struct str paras)
{
    struct mqtt_device *device = upload_device(event->upload);
    struct json_writer *w;

    if (!device)
        return;
    w = json_writer_new();
    write_event(w, event, type, paras);
    mqtt_down_send(device, &(struct mqtt_down){.kind = TOPIC_EVENT_DOWN,
                                               .payload = json_writer_text(w)});
    json_writer_free(w);
}

/* ---- the time ---- */

static void answer_time(struct mqtt_event *event)
{
    struct json_writer *w = json_writer_new();
    int64_t now_ms = clock_now_ms(), sent_ms;

    json_object(w);
    if (json_get_i64(event->paras, "device_send_time", &sent_ms))
        json_member_i64(w, "device_send_time", sent_ms);
    json_member_i64(w, "server_recv_time", now_ms);
    json_member_i64(w, "server_send_time", now_ms);
    json_object_end(w);
    mqtt_event_answer(event, "time_sync_response", json_writer_text(w));
    json_writer_free(w);
    mqtt_event_end(event, ERR_OK);
}

/* ---- versions ---- */

static void modified(enum error error, void *arg)
{
    mqtt_event_end(arg, error == ERR_INTERNAL ? error : ERR_OK);
}

static void add_version(struct mqtt_event *event, struct device_fields *fields, const char *member,
                        const char *para)
{
    struct str version = json_get_str(event->paras, para);

    if (version.len && version.len <= 256 && str_is_printable(version))
        device_fields_add(event->upload->message->arena, fields, member, version);
}

/* $sdk_info and $ota tell of them alike. */
static void take_versions(struct mqtt_event *event)
{
    struct upload *upload = event->upload;
    struct mqtt_device *device = upload_device(upload);
    struct device_fields fields = {0};

    add_version(event, &fields, "swVersion", "sw_version");
    add_version(event, &fields, "fwVersion", "fw_version");
    if (!fields.count || !device) {
        mqtt_event_end(event, ERR_OK);
        return;
    }
    device_modify(upload->core, upload->message->arena,
                  arena_str(upload->message->arena, str_of(device->app_id)), upload->object_id,
                  &fields, modified, event);
}

/* ---- the device's log ---- */

static void take_log(struct mqtt_event *event)
{
    struct str type = json_get_str(event->paras, "type");
    struct str content = json_get_str(event->paras, "content");

    log_debug("device", "device=%.*s type=%.*s content=%.*s", STR_ARG(event->upload->device_id),
              (int)(type.len > 64 ? 64 : type.len), type.p ? type.p : "",
              (int)(content.len > 200 ? 200 : content.len), content.p ? content.p : "");
    mqtt_event_end(event, ERR_OK);
}

/* ---- all of them ---- */

static const struct {
    const char *service_id, *type;
    void (*take)(struct mqtt_event *event);
    bool is_of_gateways;
} known[] = {
    {"$time_sync", "time_sync_request", answer_time, false},
    {"$sub_device_manager", "sub_device_sync_request", mqtt_children_sync, true},
    {"$sub_device_manager", "sub_device_update_status", mqtt_children_status, true},
    {"$sub_device_manager", "add_sub_device_request", mqtt_children_add, true},
    {"$sub_device_manager", "delete_sub_device_request", mqtt_children_delete, true},
    {"$sdk_info", "sdk_info_report", take_versions, false},
    {"$ota", "version_report", take_versions, false},
    {"$log", "log_report", take_log, false},
};

static bool is_about_a_child(const struct upload *upload)
{
    return !str_eq(upload->object_id, upload->device_id);
}

static void take_event(struct mqtt_event *event)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (str_eq(event->service_id, str_of(known[i].service_id)) &&
            str_eq(event->type, str_of(known[i].type)) &&
            !(known[i].is_of_gateways && is_about_a_child(event->upload))) {
            known[i].take(event);
            return;
        }
    }
    mqtt_event_ignore(event);
}

static void begin_event(struct upload *upload)
{
    struct mqtt_event *event = arena_zalloc(upload->message->arena, sizeof(*event));
    const struct json *service = upload->next_event;

    upload->next_event = service->next;
    upload->is_event_under_way = true;
    event->upload = upload;
    event->service_id = json_get_str(service, "service_id");
    event->type = json_get_str(service, "event_type");
    event->event_id = json_get_str(service, "event_id");
    event->paras = json_get(service, "paras");
    take_event(event);
}

/* One after the other, so that a message is not thousands of questions at once. What follows one that could
 * not be stored waits for the message to come again; and nobody is left to answer when the device has gone. */
static void go_on(struct upload *upload)
{
    upload->is_in_events = true;
    while (!upload->is_event_under_way && upload->next_event && upload->error != ERR_INTERNAL &&
           upload_device(upload))
        begin_event(upload);
    upload->is_in_events = false;
    if (!upload->is_event_under_way)
        upload_end(upload, upload->error);
}

static void child_checked(enum error error, void *arg)
{
    struct upload *upload = arg;

    if (error == ERR_INTERNAL)
        upload_end(upload, error);
    else if (error)
        upload_ignore(upload, "event");
    else
        go_on(upload);
}

/* They are the device's own, or those of one that is behind it. */
void mqtt_events_take(struct upload *upload)
{
    const struct json *body = upload_parse(upload);
    const struct json *services = json_get(body, "services");
    struct str object_id = json_get_str(body, "object_device_id");

    if (!services || services->type != JSON_ARRAY || services->count == 0 ||
        services->count > EVENTS_MAX) {
        upload_ignore(upload, services ? "event" : "payload");
        return;
    }
    upload->object_id = object_id.len ? object_id : upload->device_id;
    upload->next_event = services->first;
    if (is_about_a_child(upload))
        report_check_children(upload->core, upload->message->arena, upload->device_id,
                              &upload->object_id, 1, child_checked, upload);
    else
        go_on(upload);
}

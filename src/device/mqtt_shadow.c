/*
 * A device asks for its shadow, or a gateway for a child's: the reported and the desired values of one
 * service, or of all.
 */
#include "device/mqtt_private.h"

#include "base/clock.h"
#include "base/metric.h"
#include "core/data/shadow.h"

struct shadow_question {
    struct upload *upload;
    struct str service_id; /* "": all */
};

static void write_time(struct json_writer *w, int64_t time_ms)
{
    char text[CLOCK_COMPACT_SIZE];

    clock_format_compact(time_ms, text);
    json_member_text(w, "event_time", text);
}

static void write_reported(struct json_writer *w, const struct device_service *service)
{
    json_key(w, "reported");
    json_object(w);
    json_key(w, "properties");
    json_object(w);
    for (size_t i = 0; service && i < service->properties.count; i++) {
        json_key_str(w, service->properties.list[i].name);
        json_raw(w, service->properties.list[i].value);
    }
    json_object_end(w);
    if (service)
        write_time(w, service->time_ms);
    json_object_end(w);
}

static void write_desired(struct json_writer *w, const struct shadow_service *service)
{
    json_key(w, "desired");
    json_object(w);
    json_key(w, "properties");
    json_object(w);
    for (const struct shadow_property *one = service->desired; one; one = one->next) {
        json_key_str(w, one->name);
        json_raw(w, one->value);
    }
    json_object_end(w);
    if (service->written_ms)
        write_time(w, service->written_ms);
    json_object_end(w);
}

static void write_shadow(struct json_writer *w, const struct shadow_question *question,
                         const struct shadow *shadow)
{
    json_object(w);
    json_member_str(w, "object_device_id", shadow->device->id);
    json_key(w, "shadow");
    json_array(w);
    for (const struct shadow_service *service = shadow->services; service;
         service = service->next) {
        if (question->service_id.len && !str_eq(question->service_id, service->id))
            continue;
        json_object(w);
        json_member_str(w, "service_id", service->id);
        write_desired(w, service);
        write_reported(w, service->reported);
        json_member_i64(w, "version", service->version);
        json_object_end(w);
    }
    json_array_end(w);
    json_object_end(w);
}

static void answer(enum error error, const struct shadow *shadow, void *arg)
{
    struct shadow_question *question = arg;
    struct upload *upload = question->upload;
    struct mqtt_device *asker = upload_device(upload);
    struct json_writer *w;

    if (error || (!str_eq(shadow->device->id, upload->device_id) &&
                  !str_eq(shadow->device->gateway_id, upload->device_id))) {
        metric_add(M_MQTT_IGNORED, 1, "question", NULL, NULL);
        upload_end(upload, error == ERR_INTERNAL ? error : ERR_OK);
        return;
    }
    w = json_writer_new();
    write_shadow(w, question, shadow);
    if (asker)
        mqtt_down_send(asker, &(struct mqtt_down){.kind = TOPIC_SHADOW_RESPONSE,
                                                  .request_id = upload->topic.request_id,
                                                  .payload = json_writer_text(w)});
    json_writer_free(w);
    upload_end(upload, ERR_OK);
}

void mqtt_shadow_answer(struct upload *upload)
{
    struct shadow_question *question =
        arena_alloc(upload->message->arena, sizeof(*question));
    const struct json *body = upload_parse(upload);
    struct str object_id = json_get_str(body, "object_device_id");

    *question = (struct shadow_question){upload, json_get_str(body, "service_id")};
    shadow_read(upload->core, upload->message->arena, STR_NONE,
                object_id.len ? object_id : upload->topic.id, answer, question);
}

/*
 * $sub_device_manager: a gateway asks which devices are behind it, says which of them are there, and
 * adds and deletes some.
 */
#include "device/mqtt_events.h"

#include "base/clock.h"
#include "base/metric.h"
#include "base/rate.h"
#include "core/device/children.h"
#include "core/model/product.h"
#include "device/downlink.h"

#define SYNC_AT_ONCE  50  /* devices of one answer */
#define CHANGED_MAX   50  /* of one request */
#define STATUS_MAX    100
#define NAME_MAX      256

static struct arena *arena_of(const struct mqtt_event *event)
{
    return event->upload->message->arena;
}

/* ---- which are there ---- */

static void write_child(struct json_writer *w, struct str gateway_id, const struct child *child)
{
    json_object(w);
    json_member_str(w, "parent_device_id", gateway_id);
    json_member_str(w, "node_id", child->node_id);
    json_member_str(w, "device_id", child->id);
    json_member_str(w, "name", child->name);
    json_member_str(w, "description", child->description);
    json_member_str(w, "manufacturer_id", child->manufacturer_id);
    json_member_str(w, "model", child->model);
    json_member_str(w, "product_id", child->product_id);
    json_member_str(w, "fw_version", child->fw_version);
    json_member_str(w, "sw_version", child->sw_version);
    json_member_str(w, "status", child->status);
    json_object_end(w);
}

struct sync {
    struct mqtt_event *event;
    const struct child *children;
    size_t count, next;
    struct mqtt_waiter waiter;
};

static void send_some(struct sync *sync)
{
    struct json_writer *w = json_writer_new();
    size_t end = sync->count - sync->next < SYNC_AT_ONCE ? sync->count : sync->next + SYNC_AT_ONCE;

    json_object(w);
    json_key(w, "devices");
    json_array(w);
    for (; sync->next < end; sync->next++)
        write_child(w, sync->event->upload->device_id, &sync->children[sync->next]);
    json_array_end(w);
    json_member_i64(w, "version", clock_now_ms());
    json_object_end(w);
    mqtt_event_answer(sync->event, "add_sub_device_notify", json_writer_text(w));
    json_writer_free(w);
}

/* As the gateway reads: all of it may be more than may wait. */
static void send_rest(void *arg)
{
    struct sync *sync = arg;
    struct mqtt_device *gateway = upload_device(sync->event->upload);

    if (gateway && !mqtt_down_is_idle(gateway)) {
        mqtt_down_wait(gateway, &sync->waiter);
        return;
    }
    if (gateway)
        send_some(sync);
    gateway = upload_device(sync->event->upload); /* it was closed, perhaps */
    if (gateway && sync->next < sync->count)
        mqtt_down_wait(gateway, &sync->waiter);
    else
        mqtt_event_end(sync->event, gateway ? ERR_OK : ERR_INTERNAL);
}

/* There is no history of children: the whole list stands for what is newer. */
static void children_read(enum error error, const struct child *children, size_t count, void *arg)
{
    struct mqtt_event *event = arg;
    struct sync *sync = arena_zalloc(arena_of(event), sizeof(*sync));

    if (error) {
        mqtt_event_end(event, error);
        return;
    }
    *sync = (struct sync){.event = event, .children = children, .count = count};
    sync->waiter = (struct mqtt_waiter){.resume = send_rest, .arg = sync};
    send_rest(sync);
}

void mqtt_children_sync(struct mqtt_event *event)
{
    children_list(event->upload->core, arena_of(event), event->upload->device_id, children_read,
                  event);
}

/* ---- what became of each of a request's ---- */

struct change {
    struct mqtt_event *event;
    const struct json *wanted; /* as the gateway wrote it */
    struct str device_id;
    struct str status;
    enum error error;
};

struct changes {
    struct mqtt_event *event;
    struct change *list;
    size_t count;
    size_t waiting;
    const char *answer;
    bool has_objects; /* successes are told as objects, else as ids */
    enum error error; /* ERR_INTERNAL, or none */
};

static struct changes *changes_of(const struct change *change)
{
    return change->event->work;
}

static void write_success(struct json_writer *w, const struct change *change,
                          const struct changes *changes)
{
    if (!changes->has_objects) {
        json_str(w, change->device_id);
        return;
    }
    json_object(w);
    json_member_str(w, "parent_device_id", change->event->upload->device_id);
    json_member_str(w, "device_id", change->device_id);
    JSON_FOREACH (member, change->wanted) {
        if (!str_eq(member->key, STR("device_id")) &&
            !str_eq(member->key, STR("parent_device_id"))) {
            json_key_str(w, member->key);
            json_value(w, member);
        }
    }
    json_object_end(w);
}

static void write_failure(struct json_writer *w, const struct change *change)
{
    json_object(w);
    if (change->wanted->type == JSON_STRING)
        json_member_str(w, "device_id", change->wanted->text);
    JSON_FOREACH (member, change->wanted) {
        if (str_eq(member->key, STR("node_id")) || str_eq(member->key, STR("product_id")) ||
            str_eq(member->key, STR("device_id"))) {
            json_key_str(w, member->key);
            json_value(w, member);
        }
    }
    json_member_text(w, "error_code", error_v5(change->error)->code);
    json_member_text(w, "error_msg", error_v5(change->error)->text);
    json_object_end(w);
}

static void answer_changes(struct changes *changes)
{
    struct json_writer *w = json_writer_new();

    json_object(w);
    json_key(w, "successful_devices");
    json_array(w);
    for (size_t i = 0; i < changes->count; i++) {
        if (!changes->list[i].error)
            write_success(w, &changes->list[i], changes);
    }
    json_array_end(w);
    json_key(w, "failed_devices");
    json_array(w);
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->list[i].error)
            write_failure(w, &changes->list[i]);
    }
    json_array_end(w);
    json_object_end(w);
    mqtt_event_answer(changes->event, changes->answer, json_writer_text(w));
    json_writer_free(w);
}

static void change_done(enum error error, void *arg)
{
    struct change *change = arg;
    struct changes *changes = changes_of(change);

    change->error = error;
    if (error == ERR_INTERNAL)
        changes->error = error;
    if (--changes->waiting > 0)
        return;
    /* What Redis did not answer for is sent again by the gateway: that must find nothing told yet. */
    if (!changes->error)
        answer_changes(changes);
    mqtt_event_end(changes->event, changes->error);
}

/* What can be refused without asking anybody is so when all have been begun. */
static void change_later(struct change *change, enum error error)
{
    change->error = error;
}

static void refuse_at_once(struct changes *changes)
{
    size_t refused = 0;

    for (size_t i = 0; changes && i < changes->count; i++)
        refused += changes->list[i].error != ERR_OK;
    if (!refused)
        return;
    changes->waiting -= refused - 1;
    for (size_t i = 0; i < changes->count; i++) {
        if (changes->list[i].error) {
            change_done(changes->list[i].error, &changes->list[i]);
            return;
        }
    }
}

/* NULL: the request is none, and the event has ended. */
static struct changes *begin_changes(struct mqtt_event *event, const char *list_name, size_t most,
                                     const char *answer)
{
    const struct json *list = json_get(event->paras, list_name);
    struct changes *changes;
    size_t n = 0;

    if (!list || list->type != JSON_ARRAY || list->count == 0 || list->count > most) {
        mqtt_event_ignore(event);
        return NULL;
    }
    changes = arena_zalloc(arena_of(event), sizeof(*changes));
    changes->event = event;
    changes->count = list->count;
    changes->list = arena_zalloc(arena_of(event), list->count * sizeof(*changes->list));
    changes->answer = answer;
    JSON_FOREACH (wanted, list) {
        changes->list[n].event = event;
        changes->list[n++].wanted = wanted;
    }
    changes->waiting = list->count;
    event->work = changes;
    return changes;
}

/* An id that cannot be one is nobody's: "-" is never given out. */
static struct str id_or_none(struct str id)
{
    return str_is_id(id, KEY_ID_MAX) ? id : STR("-");
}

/* ---- deleting ---- */

static void child_deletable(enum error error, void *arg)
{
    struct change *change = arg;
    struct upload *upload = change->event->upload;
    struct mqtt_device *gateway = upload_device(upload);

    if (error || !gateway)
        change_done(error ? error : ERR_INTERNAL, change);
    else
        device_delete(upload->core, arena_of(change->event),
                      arena_str(arena_of(change->event), str_of(gateway->app_id)),
                      change->device_id, false, change_done, change);
}

void mqtt_children_delete(struct mqtt_event *event)
{
    struct changes *changes =
        begin_changes(event, "devices", CHANGED_MAX, "delete_sub_device_response");

    for (size_t i = 0; changes && i < changes->count; i++) {
        struct change *change = &changes->list[i];

        change->device_id = id_or_none(
            change->wanted->type == JSON_STRING ? change->wanted->text : STR_NONE);
        report_check_children(event->upload->core, arena_of(event), event->upload->device_id,
                              &change->device_id, 1, child_deletable, change);
    }
}

/* ---- ONLINE, OFFLINE ---- */

/* Coming online is an occasion for what waits. */
static void child_is_online(enum error error, void *arg)
{
    struct change *change = arg;
    struct mqtt_device *gateway = upload_device(change->event->upload);

    if (!error && gateway)
        downlink_offer(gateway, change->device_id);
    change_done(error, change);
}

static void child_is_there(enum error error, void *arg)
{
    struct change *change = arg;

    if (error)
        change_done(error, change);
    else
        device_seen(change->event->upload->core, change->device_id, child_is_online, change);
}

/* A child that comes and goes counts as if it had logged in each time. */
static void child_is_gone(enum error error, bool has_changed, void *arg)
{
    struct change *change = arg;
    struct mqtt_device *gateway = upload_device(change->event->upload);

    if (has_changed && gateway)
        rate_allows(gateway->mqtt->logins, change->device_id);
    change_done(error, change);
}

static void set_offline(struct change *change)
{
    struct upload *upload = change->event->upload;

    if (rate_is_used_up(upload_device(upload)->mqtt->logins, change->device_id)) {
        metric_add(M_THROTTLED, 1, "child_status", NULL, NULL);
        change_later(change, ERR_THROTTLED);
        return;
    }
    child_offline(upload->core, upload->device_id, change->device_id, child_is_gone, change);
}

static void set_status(struct change *change)
{
    struct upload *upload = change->event->upload;
    struct str status = json_get_str(change->wanted, "status");

    change->device_id = id_or_none(json_get_str(change->wanted, "device_id"));
    if (str_eq(status, STR("OFFLINE")))
        set_offline(change);
    else if (str_eq(status, STR("ONLINE")))
        report_check_children(upload->core, arena_of(change->event), upload->device_id,
                              &change->device_id, 1, child_is_there, change);
    else
        change_later(change, ERR_BAD_REQUEST);
}

void mqtt_children_status(struct mqtt_event *event)
{
    struct changes *changes = begin_changes(event, "device_statuses", STATUS_MAX,
                                            "sub_device_update_status_response");

    if (changes)
        changes->has_objects = true;
    for (size_t i = 0; changes && i < changes->count; i++)
        set_status(&changes->list[i]);
    refuse_at_once(changes);
}

/* ---- adding ---- */

static void registered(enum error error, const struct device_credentials *made, void *arg)
{
    struct change *change = arg;

    if (!error)
        change->device_id = made->device_id;
    change_done(error, change);
}

static void add_text(struct change *change, struct device_fields *fields, const char *field,
                     const char *member)
{
    struct str text = json_get_str(change->wanted, member);

    if (text.len)
        device_fields_add(arena_of(change->event), fields, field, text);
}

static bool is_short(const struct json *wanted, const char *member)
{
    return json_get_str(wanted, member).len <= NAME_MAX;
}

static void add_child(struct change *change, struct str app_id)
{
    struct upload *upload = change->event->upload;
    struct str node_id = json_get_str(change->wanted, "node_id");
    struct str parent = json_get_str(change->wanted, "parent_device_id");
    struct device_registration registration = {.app_id = app_id,
                                               .gateway_id = upload->device_id,
                                               .node_id = node_id,
                                               .is_secret_mode = true};

    if (!node_id.len || !str_is_printable(node_id) || (parent.len && !str_eq(parent, upload->device_id)) ||
        !json_get_str(change->wanted, "product_id").len || !is_short(change->wanted, "name") ||
        !is_short(change->wanted, "node_id") || !is_short(change->wanted, "description")) {
        change_later(change, ERR_BAD_REQUEST);
        return;
    }
    add_text(change, &registration.fields, "name", "name");
    add_text(change, &registration.fields, "description", "description");
    add_text(change, &registration.fields, "productId", "product_id");
    product_register(upload->core, arena_of(change->event), &registration, registered, change);
}

void mqtt_children_add(struct mqtt_event *event)
{
    struct mqtt_device *gateway = upload_device(event->upload);
    struct changes *changes =
        begin_changes(event, "devices", CHANGED_MAX, "add_sub_device_response");

    if (!changes)
        return;
    changes->has_objects = true;
    for (size_t i = 0; i < changes->count; i++)
        add_child(&changes->list[i], arena_str(arena_of(event), str_of(gateway->app_id)));
    refuse_at_once(changes);
}

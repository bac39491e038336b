#include "core/data/shadow.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/event.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdio.h>
#include <stdlib.h>

#define DELIVERY_DIGITS 16

/* ---- deliveries ---- */

static void write_properties(struct shadow_delivery *delivery)
{
    struct json_writer *w = json_writer_new();

    json_object(w);
    for (size_t i = 0; i < delivery->values.count; i++) {
        json_key_str(w, delivery->values.list[i].name);
        json_raw(w, delivery->values.list[i].value);
    }
    json_object_end(w);
    delivery->properties = arena_str(delivery->arena, json_writer_text(w));
    json_writer_free(w);
}

/* {id, service, property, value, ...} */
static struct shadow_delivery *delivery_new(const redisReply *reply, const redisReply *list,
                                            struct str device_id)
{
    struct arena *arena = arena_new();
    struct shadow_delivery *delivery = arena_zalloc(arena, sizeof(*delivery));

    delivery->arena = arena;
    delivery->app_id = arena_str(arena, redis_reply_str(redis_reply_at(reply, 0)));
    delivery->gateway_id = arena_str(arena, redis_reply_str(redis_reply_at(reply, 1)));
    delivery->device_id = arena_str(arena, device_id);
    delivery->id = arena_str(arena, redis_reply_str(redis_reply_at(list, 0)));
    delivery->service_id = arena_str(arena, redis_reply_str(redis_reply_at(list, 1)));
    for (size_t i = 2; i + 1 < list->elements; i += 2)
        device_fields_add(arena, &delivery->values,
                          arena_dup0(arena, redis_reply_str(redis_reply_at(list, i))),
                          arena_str(arena, redis_reply_str(redis_reply_at(list, i + 1))));
    write_properties(delivery);
    return delivery;
}

void shadow_delivery_free(struct shadow_delivery *delivery)
{
    if (delivery)
        arena_free(delivery->arena);
}

/* ---- offering ---- */

struct offer {
    struct core *core;
    struct str device_id, gateway_id;
    struct arena *arena;
    bool is_look; /* of a timer: the device is not connected here */
    device_done_cb cb; /* NULL: nobody waits */
    void *arg;
};

static struct offer *offer_new(struct core *core, struct str device_id, struct str gateway_id)
{
    struct arena *arena = arena_new();
    struct offer *offer = arena_zalloc(arena, sizeof(*offer));

    offer->core = core;
    offer->arena = arena;
    offer->device_id = arena_str(arena, device_id);
    offer->gateway_id = arena_str(arena, gateway_id);
    return offer;
}

static void offer_end(struct offer *offer, enum error error)
{
    if (offer->cb)
        offer->cb(error, offer->arg);
    arena_free(offer->arena);
}

static void deliver(const struct offer *offer, const redisReply *reply)
{
    for (size_t i = 2; i < reply->elements; i++) {
        const struct shadow_transport *transport = offer->core->shadow_transport;
        const redisReply *list = redis_reply_at(reply, i);

        transport->deliver_take(delivery_new(reply, list, offer->device_id), transport->arg);
    }
}

static void due_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct offer *offer = arg;
    const struct shadow_transport *transport = offer->core->shadow_transport;
    struct str gateway_id = redis_reply_str(redis_reply_at(reply, 1));

    if (status != REDIS_DONE) {
        /* What the script may have marked is due again after the window. */
        if (!offer->is_look)
            log_warn("shadow", "device=%.*s state=postponed reason=%s",
                     STR_ARG(offer->device_id), "Redis did not answer");
        if (!offer->cb && !offer->is_look && transport && transport->announce)
            transport->announce(offer->device_id, offer->gateway_id, transport->arg);
    } else if (reply->elements > 2 && transport) {
        if (!offer->is_look)
            deliver(offer, reply);
        else
            shadow_offer(offer->core, offer->device_id, gateway_id);
    }
    offer_end(offer, core_error_of(status));
}

static void ask_what_is_due(struct offer *offer)
{
    struct core *core = offer->core;
    uint32_t partition = partition_of(core, offer->device_id);
    struct key device, shadow, desired, timers, events, watched;
    struct decimal now, window;
    char id[DELIVERY_DIGITS + 1] = "";
    struct str keys[] = {key_device(&device, partition, offer->device_id),
                         key_shadow(&shadow, partition, offer->device_id),
                         key_desired(&desired, partition, offer->device_id),
                         key_timers(&timers, partition), key_events(&events, partition),
                         key_watched(&watched, partition)};

    if (!offer->is_look)
        crypto_random_hex(id, DELIVERY_DIGITS);
    redis_script(core->redis, &script_shadow_due, 6, keys, 4,
                 (struct str[]){offer->device_id, decimal_str(&now, clock_now_ms()),
                                decimal_str(&window, core->settings->shadow_resend_after_ms),
                                str_of(id)},
                 due_read, offer);
}

void shadow_offer(struct core *core, struct str device_id, struct str gateway_id)
{
    const struct shadow_transport *transport = core->shadow_transport;

    if (!transport || !str_is_id(device_id, KEY_ID_MAX))
        return;
    if (transport->reaches(device_id, gateway_id, transport->arg))
        ask_what_is_due(offer_new(core, device_id, gateway_id));
    else if (transport->announce)
        transport->announce(device_id, gateway_id, transport->arg);
}

void shadow_offer_then(struct core *core, struct str device_id, device_done_cb cb, void *arg)
{
    struct offer *offer = offer_new(core, device_id, STR_NONE);

    offer->cb = cb;
    offer->arg = arg;
    ask_what_is_due(offer);
}

/* Whoever owns the partition need not be who has the device's connection: so it is looked first. */
void shadow_timer_due(struct core *core, struct str device_id, device_done_cb cb, void *arg)
{
    struct offer *offer =
        offer_new(core, str_is_id(device_id, KEY_ID_MAX) ? device_id : STR("-"), STR_NONE);

    offer->is_look = true;
    offer->cb = cb;
    offer->arg = arg;
    ask_what_is_due(offer);
}

/* ---- answers ---- */

static const struct {
    const char *metric;
    const char *status;  /* of the notification; NULL: there is none */
    bool is_to_be_sent;  /* again, with the next occasion */
} answers[] = {
    [SHADOW_OK] = {"ok", "DELIVERED", false},
    [SHADOW_REFUSED] = {"refused", "FAILED", true},
    [SHADOW_SILENT] = {"silent", NULL, false},
    [SHADOW_UNSENT] = {"unsent", NULL, true},
};

static struct str status_payload(struct shadow_delivery *delivery, const char *status)
{
    struct json_writer *w;
    struct str payload;

    if (!status)
        return STR("");
    w = json_writer_new();
    json_object(w);
    json_member_str(w, "service", delivery->service_id);
    json_member_raw(w, "properties", delivery->properties);
    json_member_text(w, "status", status);
    json_object_end(w);
    payload = arena_str(delivery->arena, json_writer_text(w));
    json_writer_free(w);
    return payload;
}

struct answering {
    struct shadow_delivery *delivery;
    enum shadow_answer answer;
    device_done_cb cb;
    void *arg;
};

static void answer_stored(enum redis_status status, const redisReply *reply, void *arg)
{
    struct answering *answering = arg;
    struct shadow_delivery *delivery = answering->delivery;
    bool is_lost = status != REDIS_DONE;

    (void)reply;
    if (is_lost)
        log_warn("shadow", "device=%.*s answer=%s reason=%s", STR_ARG(delivery->device_id),
                 answering->cb ? "postponed" : "lost", "Redis did not answer");
    if (!is_lost || !answering->cb) {
        metric_add(M_DESIRED_DELIVERIES, 1, answers[answering->answer].metric, NULL, NULL);
        shadow_delivery_free(delivery);
    }
    if (answering->cb)
        answering->cb(core_error_of(status), answering->arg);
    free(answering);
}

static void store_answer(struct core *core, struct answering *answering)
{
    struct shadow_delivery *delivery = answering->delivery;
    enum shadow_answer answer = answering->answer;
    uint32_t partition = partition_of(core, delivery->device_id);
    size_t count = 5 + delivery->values.count, n = 5;
    struct str *args = arena_alloc(delivery->arena, count * sizeof(*args));
    struct key device, desired, events;
    struct decimal now;
    struct str keys[] = {key_device(&device, partition, delivery->device_id),
                         key_desired(&desired, partition, delivery->device_id),
                         key_events(&events, partition)};

    args[0] = delivery->device_id;
    args[1] = decimal_str(&now, clock_now_ms());
    args[2] = delivery->id;
    args[3] = answers[answer].is_to_be_sent ? STR("1") : STR("0");
    args[4] = status_payload(delivery, answers[answer].status);
    for (size_t i = 0; i < delivery->values.count; i++)
        args[n++] = str_of(arena_printf(delivery->arena, "d/%.*s/%.*s",
                                        STR_ARG(delivery->service_id),
                                        STR_ARG(delivery->values.list[i].name)));
    redis_script(core->redis, &script_shadow_answer, 3, keys, count, args, answer_stored,
                 answering);
}

static void nothing_to_store(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    answer_stored(REDIS_DONE, NULL, arg);
}

void shadow_answer_take(struct core *core, struct shadow_delivery *delivery,
                        enum shadow_answer answer, device_done_cb cb, void *arg)
{
    bool is_to_be_stored = answers[answer].status || answers[answer].is_to_be_sent;
    struct answering *answering;

    if (!is_to_be_stored && !cb) {
        metric_add(M_DESIRED_DELIVERIES, 1, answers[answer].metric, NULL, NULL);
        shadow_delivery_free(delivery);
        return;
    }
    answering = xmalloc(sizeof(*answering));
    *answering = (struct answering){delivery, answer, cb, arg};
    if (is_to_be_stored)
        store_answer(core, answering);
    else
        event_base_once(core->base, -1, EV_TIMEOUT, nothing_to_store, answering, NULL);
}

#include "device/downlink.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/data/shadow.h"

#include <stdlib.h>

/* A request that an answer is waited for. It lives until the answer, its time-out or the end of the
 * connection, and until the message's PUBACK when it has one. */
struct awaited {
    TAILQ_ENTRY(awaited) by_time;   /* of device_mqtt, oldest first: all wait for equally long */
    LIST_ENTRY(awaited) of_device;
    struct mqtt_device *holder;     /* NULL: it is over, only the PUBACK is missing */
    struct shadow_delivery *delivery;
    int64_t due_ms;                 /* tick */
    bool waits_for_puback;
};

/* ---- ways ---- */

void way_init(struct way *way, struct mqtt_device *holder, struct str device_id)
{
    *way = (struct way){
        .mqtt = holder->mqtt,
        .holder_id = xstrdup(holder->session->device_id),
        .session_id = xstrdup(holder->session->id),
        .device_id = str_dup(device_id),
    };
}

void way_clear(struct way *way)
{
    free(way->holder_id);
    free(way->session_id);
    free(way->device_id);
}

struct mqtt_device *way_holder(const struct way *way)
{
    const struct session *session = session_find(way->mqtt->core, str_of(way->holder_id));

    return session && strcmp(session->id, way->session_id) == 0 ? session->connection : NULL;
}

/* ---- time-outs ---- */

/* For the first one of a list, which is the one whose time comes first. */
static void set_timer(struct event *timer, int64_t due_ms)
{
    int64_t left_ms = due_ms - clock_tick_ms();
    struct timeval left = {left_ms > 0 ? left_ms / 1000 : 0, left_ms > 0 ? left_ms % 1000 * 1000 : 0};

    event_add(timer, &left);
}

static void set_answer_timer(struct device_mqtt *mqtt)
{
    const struct awaited *oldest = TAILQ_FIRST(&mqtt->awaited);

    if (oldest)
        set_timer(mqtt->answer_timer, oldest->due_ms);
    else
        event_del(mqtt->answer_timer);
}

/* It is over: what was delivered is the caller's. */
static struct shadow_delivery *take_delivery(struct awaited *awaited)
{
    struct mqtt_device *holder = awaited->holder;
    struct device_mqtt *mqtt = holder->mqtt;
    bool was_oldest = awaited == TAILQ_FIRST(&mqtt->awaited);
    struct shadow_delivery *delivery = awaited->delivery;

    TAILQ_REMOVE(&mqtt->awaited, awaited, by_time);
    LIST_REMOVE(awaited, of_device);
    holder->awaited_count--;
    awaited->holder = NULL;
    awaited->delivery = NULL;
    if (!awaited->waits_for_puback)
        free(awaited);
    if (was_oldest)
        set_answer_timer(mqtt);
    return delivery;
}

static void end(struct awaited *awaited, enum shadow_answer answer)
{
    struct mqtt_device *holder = awaited->holder;

    shadow_answer_take(holder->mqtt->core, take_delivery(awaited), answer, NULL, NULL);
    downlink_has_room(holder);
}

static void on_answer_timer(evutil_socket_t fd, short what, void *arg)
{
    struct device_mqtt *mqtt = arg;
    struct awaited *oldest;

    (void)fd;
    (void)what;
    while ((oldest = TAILQ_FIRST(&mqtt->awaited)) && oldest->due_ms <= clock_tick_ms())
        end(oldest, SHADOW_SILENT);
    set_answer_timer(mqtt);
}

/* ---- properties/set ---- */

static bool is_own(const struct mqtt_device *holder, struct str device_id)
{
    return str_eq(device_id, str_of(holder->session->device_id));
}

static void write_set(struct json_writer *w, const struct mqtt_device *holder,
                      const struct shadow_delivery *delivery)
{
    json_object(w);
    if (!is_own(holder, delivery->device_id))
        json_member_str(w, "object_device_id", delivery->device_id);
    json_key(w, "services");
    json_array(w);
    json_object(w);
    json_member_str(w, "service_id", delivery->service_id);
    json_member_raw(w, "properties", delivery->properties);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
}

/* Without one the device has not got it, as far as anybody knows. */
static void set_acknowledged(bool is_acknowledged, void *arg)
{
    struct awaited *awaited = arg;

    awaited->waits_for_puback = false;
    if (!awaited->holder)
        free(awaited);
    else if (!is_acknowledged)
        end(awaited, SHADOW_UNSENT);
}

static struct awaited *await(struct mqtt_device *holder, struct shadow_delivery *delivery)
{
    struct awaited *awaited = xcalloc(1, sizeof(*awaited));

    awaited->holder = holder;
    awaited->delivery = delivery;
    awaited->due_ms = clock_tick_ms() + holder->mqtt->settings->answer_timeout_ms;
    TAILQ_INSERT_TAIL(&holder->mqtt->awaited, awaited, by_time);
    LIST_INSERT_HEAD(&holder->awaited, awaited, of_device);
    holder->awaited_count++;
    if (awaited == TAILQ_FIRST(&holder->mqtt->awaited))
        set_answer_timer(holder->mqtt);
    return awaited;
}

void downlink_postpone(struct mqtt_device *holder, struct str device_id, unsigned what)
{
    if (is_own(holder, device_id))
        holder->own_waits |= what;
    else
        holder->family_waits |= what;
}

static void send_set(struct mqtt_device *holder, struct shadow_delivery *delivery)
{
    struct json_writer *w = json_writer_new();
    struct awaited *awaited = await(holder, delivery);
    struct mqtt_down message = {.kind = TOPIC_SET, .request_id = delivery->id,
                                .done = set_acknowledged, .arg = awaited};

    write_set(w, holder, delivery);
    message.payload = json_writer_text(w);
    awaited->waits_for_puback = true; /* until we know better: sending may end the connection */
    switch (mqtt_down_send(holder, &message)) {
    case MQTT_DOWN_WAITS:
        break;
    case MQTT_DOWN_SENT:
        set_acknowledged(true, awaited);
        break;
    case MQTT_DOWN_NOT_SENT:
        if (awaited->holder) /* the connection is still there */
            downlink_postpone(holder, delivery->device_id, OFFER_DESIRED);
        set_acknowledged(false, awaited);
        break;
    }
    json_writer_free(w);
}

/* ---- the shadow's transport ---- */

static struct mqtt_device *holder_of(const struct core *core, struct str device_id,
                                     struct str gateway_id)
{
    const struct session *session = session_find(core, gateway_id.len ? gateway_id : device_id);

    return session ? session->connection : NULL;
}

bool downlink_speaks_v5(const struct mqtt_device *holder)
{
    return holder->uses_v5 || !holder->uses_v1;
}

static bool has_room_for_answers(const struct mqtt_device *holder)
{
    return (int64_t)holder->awaited_count < holder->mqtt->settings->awaited_answers;
}

static bool reaches(struct str device_id, struct str gateway_id, void *arg)
{
    const struct device_mqtt *mqtt = arg;
    const struct mqtt_device *holder = holder_of(mqtt->core, device_id, gateway_id);

    return holder && downlink_speaks_v5(holder) && has_room_for_answers(holder);
}

static void deliver(struct shadow_delivery *delivery, void *arg)
{
    struct device_mqtt *mqtt = arg;
    struct mqtt_device *holder =
        holder_of(mqtt->core, delivery->device_id, delivery->gateway_id);

    if (holder)
        send_set(holder, delivery);
    else
        shadow_answer_take(mqtt->core, delivery, SHADOW_UNSENT, NULL, NULL);
}

static void announce(struct str device_id, struct str gateway_id, void *arg)
{
    const struct device_mqtt *mqtt = arg;
    struct mqtt_device *holder = holder_of(mqtt->core, device_id, gateway_id);

    /* Who is here and cannot be reached has been told enough. */
    if (!holder)
        session_tell(mqtt->core, gateway_id.len ? gateway_id : device_id, device_id);
    else if (downlink_speaks_v5(holder) && has_room_for_answers(holder))
        downlink_come_back(holder, device_id, OFFER_DESIRED);
    else if (downlink_speaks_v5(holder))
        downlink_postpone(holder, device_id, OFFER_DESIRED);
}

const struct shadow_transport *device_mqtt_shadow_transport(struct device_mqtt *mqtt)
{
    return &mqtt->shadow_transport;
}

/* ---- what connections tell ---- */

static void offer(struct mqtt_device *holder, struct str device_id, unsigned what)
{
    if (what & OFFER_DESIRED)
        shadow_offer(holder->mqtt->core, device_id, str_of(holder->session->device_id));
    if (what & OFFER_COMMANDS)
        downlink_take_commands(holder, device_id);
}

void downlink_offer(struct mqtt_device *holder, struct str device_id)
{
    offer(holder, device_id, OFFER_DESIRED | OFFER_COMMANDS);
}

/* The device itself, and those behind it. */
static void offer_all(struct mqtt_device *holder, unsigned what)
{
    offer(holder, str_of(holder->session->device_id), what);
    downlink_family_offer(holder, what);
}

static void set_undecided_timer(struct device_mqtt *mqtt)
{
    const struct mqtt_device *first = TAILQ_FIRST(&mqtt->undecided);

    if (first)
        set_timer(mqtt->undecided_timer, first->decided_ms);
    else
        event_del(mqtt->undecided_timer);
}

static void leave_undecided(struct mqtt_device *holder)
{
    if (holder->is_undecided)
        TAILQ_REMOVE(&holder->mqtt->undecided, holder, undecided);
    holder->is_undecided = false;
}

static void on_undecided_timer(evutil_socket_t fd, short what, void *arg)
{
    struct device_mqtt *mqtt = arg;
    struct mqtt_device *first;

    (void)fd;
    (void)what;
    while ((first = TAILQ_FIRST(&mqtt->undecided)) && first->decided_ms <= clock_tick_ms())
        downlink_decided(first);
    set_undecided_timer(mqtt);
}

void downlink_decided(struct mqtt_device *holder)
{
    leave_undecided(holder);
    /* Who spoke v1 alone was not offered what is for v5. */
    offer_all(holder, holder->uses_v1 && holder->uses_v5 ? OFFER_DESIRED | OFFER_COMMANDS
                                                         : OFFER_COMMANDS);
}

/* What of the device's own that waits can go now. */
static unsigned what_fits(const struct mqtt_device *holder)
{
    unsigned what = holder->own_waits;

    if (!downlink_has_room_for_command(holder))
        what &= ~(unsigned)OFFER_COMMANDS;
    /* All of its values are asked for at once, so not with each acknowledgement. */
    if (!mqtt_down_is_flowing(holder, holder->commands_asked_for) || !has_room_for_answers(holder) ||
        (int64_t)holder->sent_count * 2 > holder->mqtt->settings->window)
        what &= ~(unsigned)OFFER_DESIRED;
    return what;
}

void downlink_has_room(struct mqtt_device *holder)
{
    unsigned what = what_fits(holder);

    if (!holder->session)
        return;
    holder->own_waits &= ~what;
    offer(holder, str_of(holder->session->device_id), what);
    downlink_family_has_room(holder);
}

#define COMEBACKS_MAX 100 /* of a connection: Redis answers, but with an error */

struct comeback {
    struct unsaid unsaid;
    struct way way;
    bool is_of_family;
    unsigned what;
};

static void drop_comeback(struct unsaid *unsaid)
{
    struct comeback *comeback = (struct comeback *)unsaid;

    way_clear(&comeback->way);
    free(comeback);
}

static void come_back(struct unsaid *unsaid)
{
    struct comeback *comeback = (struct comeback *)unsaid;
    struct mqtt_device *holder = way_holder(&comeback->way);

    if (holder && comeback->is_of_family)
        downlink_family_offer(holder, comeback->what);
    else if (holder)
        offer(holder, str_of(comeback->way.device_id), comeback->what);
    drop_comeback(unsaid);
}

void downlink_come_back(struct mqtt_device *holder, struct str device_id, unsigned what)
{
    struct comeback *comeback;

    if (holder->comebacks++ >= COMEBACKS_MAX)
        return;
    comeback = xcalloc(1, sizeof(*comeback));
    comeback->unsaid.say = come_back;
    comeback->unsaid.drop = drop_comeback;
    comeback->is_of_family = !device_id.p;
    comeback->what = what;
    way_init(&comeback->way, holder, device_id.p ? device_id : STR(""));
    unsaid_add(&holder->mqtt->unsaid, &comeback->unsaid);
}

void downlink_connected(struct mqtt_device *holder)
{
    struct device_mqtt *mqtt = holder->mqtt;

    if (!holder->uses_v1 && !holder->uses_v5) {
        holder->is_undecided = true;
        holder->decided_ms = clock_tick_ms() + mqtt->settings->decide_ms;
        TAILQ_INSERT_TAIL(&mqtt->undecided, holder, undecided);
        set_undecided_timer(mqtt);
    }
    offer_all(holder, holder->is_undecided ? OFFER_DESIRED : OFFER_DESIRED | OFFER_COMMANDS);
}

/* What has no PUBACK yet was ended by mqtt_down_clear before. */
void downlink_disconnected(struct mqtt_device *holder)
{
    leave_undecided(holder);
    downlink_family_leave(holder);
    while (!LIST_EMPTY(&holder->awaited))
        end(LIST_FIRST(&holder->awaited), SHADOW_SILENT);
}

/* ---- answers ---- */

/* The manual lets it be left out of a success. */
static bool is_success(const struct json *answer)
{
    const struct json *code = json_get(answer, "result_code");
    int64_t value;

    return !code || code->type == JSON_NULL || (json_to_i64(code, &value) && value == 0);
}

static struct awaited *find(const struct mqtt_device *holder, struct str request_id)
{
    struct awaited *awaited;

    LIST_FOREACH (awaited, &holder->awaited, of_device) {
        if (str_eq(awaited->delivery->id, request_id))
            break;
    }
    return awaited;
}

struct answer { /* of a device, that Redis is told of */
    struct unsaid unsaid;
    struct device_mqtt *mqtt;
    struct upload *upload;
    struct shadow_delivery *delivery;
    enum shadow_answer answer;
};

static void drop_answer(struct unsaid *unsaid)
{
    struct answer *answer = (struct answer *)unsaid;
    struct upload *upload = answer->upload;

    shadow_delivery_free(answer->delivery);
    free(answer);
    upload_end(upload, ERR_INTERNAL);
}

static void answer_stored(enum error error, void *arg)
{
    struct answer *answer = arg;
    struct upload *upload = answer->upload;

    if (error) {
        unsaid_add(&answer->mqtt->unsaid, &answer->unsaid);
        return;
    }
    free(answer);
    upload_end(upload, ERR_OK);
}

static void store_answer(struct unsaid *unsaid)
{
    struct answer *answer = (struct answer *)unsaid;

    shadow_answer_take(answer->mqtt->core, answer->delivery, answer->answer, answer_stored, answer);
}

static void set_answered(struct upload *upload, struct awaited *awaited)
{
    const struct json *body = upload_parse(upload);
    struct mqtt_device *holder = awaited->holder;
    struct answer *answer = xcalloc(1, sizeof(*answer));

    answer->unsaid.say = store_answer;
    answer->unsaid.drop = drop_answer;
    answer->mqtt = holder->mqtt;
    answer->upload = upload;
    answer->answer = is_success(body) ? SHADOW_OK : SHADOW_REFUSED;
    answer->delivery = take_delivery(awaited);
    store_answer(&answer->unsaid);
    downlink_has_room(holder);
}

void downlink_take_answer(struct upload *upload)
{
    struct mqtt_device *holder = upload_device(upload);
    struct awaited *awaited = upload->topic.kind == TOPIC_SET_RESPONSE
                                  ? find(holder, upload->topic.request_id)
                                  : NULL;

    if (upload->topic.kind == TOPIC_COMMAND_RESPONSE)
        downlink_command_answered(upload);
    else if (awaited)
        set_answered(upload, awaited);
    else
        upload_ignore(upload, "answer"); /* too late, or never asked for */
}

/* ---- begin and end ---- */

void downlink_init(struct device_mqtt *mqtt)
{
    TAILQ_INIT(&mqtt->awaited);
    mqtt->answer_timer = evtimer_new(mqtt->core->base, on_answer_timer, mqtt);
    unsaid_init(&mqtt->unsaid, mqtt->core);
    TAILQ_INIT(&mqtt->undecided);
    TAILQ_INIT(&mqtt->families);
    mqtt->undecided_timer = evtimer_new(mqtt->core->base, on_undecided_timer, mqtt);
    mqtt->shadow_transport = (struct shadow_transport){reaches, deliver, announce, mqtt};
}

void downlink_clear(struct device_mqtt *mqtt)
{
    unsaid_clear(&mqtt->unsaid);
    event_free(mqtt->answer_timer);
    event_free(mqtt->undecided_timer);
}

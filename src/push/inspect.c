/*
 * What operators see of callback URLs, and the few things they can do to one: probe it now, forget its
 * failures, throw away what is parked for it. Everything else about it is switches (pause) and rules.
 */
#include "push/park.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "push/scope.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <stdlib.h>

/* ---- what this instance knows ---- */

static void write_latency(const struct latency *latency, struct json_writer *w)
{
    static const struct {
        const char *name;
        double percent;
    } percentiles[] = {{"p50Ms", 50}, {"p95Ms", 95}, {"p99Ms", 99}, {"maxMs", 100}};

    for (size_t i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++) {
        int64_t value_ms = latency_percentile_ms(latency, percentiles[i].percent);

        if (value_ms >= 0)
            json_member_i64(w, percentiles[i].name, value_ms);
        else
            json_member_null(w, percentiles[i].name);
    }
}

static int64_t seconds_since(int64_t wall_ms)
{
    int64_t age_ms = clock_now_ms() - wall_ms;

    return age_ms > 0 ? age_ms / 1000 : 0;
}

static int64_t oldest_seconds(const struct target *target)
{
    const struct delivery *oldest = TAILQ_FIRST(&target->deliveries);
    int64_t oldest_ms = oldest ? oldest->event->facts.time_ms : INT64_MAX;
    int64_t parked_ms = park_oldest_ms(target);

    if (parked_ms > 0 && parked_ms < oldest_ms) /* 0: not looked at yet */
        oldest_ms = parked_ms;
    return oldest_ms == INT64_MAX ? 0 : seconds_since(oldest_ms);
}

static void write_row(const struct target *target, struct json_writer *w)
{
    const struct circuit *circuit = target->member.circuit;

    json_member_text(w, "url", target->url);
    json_member_text(w, "application", target->app->id);
    json_member_text(w, "state",
                     target->is_paused ? "paused" : breaker_state_name(circuit_state(circuit)));
    json_member_i64(w, "failures", circuit_failures(circuit));
    json_member_i64(w, "waiting", (int64_t)target->delivery_count - target->in_flight);
    json_member_i64(w, "inFlight", target->in_flight);
    json_member_i64(w, "parked", target->parked_entries);
    json_member_i64(w, "oldestSeconds", oldest_seconds(target));
    json_member_text(w, "lastError", target_last_error(target));
    json_member_text(w, "instance", target->push->instance_id);
}

void push_write_endpoints(const struct push *push, bool is_failing_only, struct json_writer *w)
{
    const struct target *target;

    json_array(w);
    for (target = push->targets; target; target = target->hh.next) {
        const struct circuit *circuit = target->member.circuit;

        if (is_failing_only && circuit_state(circuit) == BREAKER_UP && circuit_failures(circuit) == 0)
            continue;
        json_object(w);
        write_row(target, w);
        json_object_end(w);
    }
    json_array_end(w);
}

static const struct target *find(const struct push *push, struct str app_id, struct str url,
                                 const struct target *after)
{
    const struct target *target = after ? after->hh.next : push->targets;

    for (; target; target = target->hh.next) {
        if (str_eq(str_of(target->url), url) &&
            (!app_id.len || str_eq(str_of(target->app->id), app_id)))
            return target;
    }
    return NULL;
}

/* ---- in all partitions ---- */

#define PORTION 100 /* commands under way, and a few: reports must not wait behind all of them */

struct question {
    struct inspection *inspection;
    struct push_endpoint *endpoint;
};

struct inspection {
    struct push *push;
    struct push_endpoint *list;
    struct question *questions; /* one for each */
    size_t count, waiting;
    void (*ask)(struct question *question, uint32_t partition); /* counts what it waits for */
    size_t asked, to_ask; /* of each endpoint in each partition */
    enum error error;
    push_endpoints_cb cb;
    void *arg;
};

static void ask_more(struct inspection *inspection)
{
    uint32_t partitions = inspection->push->core->partition_count;

    while (inspection->asked < inspection->to_ask && inspection->waiting < PORTION &&
           !inspection->error) {
        size_t n = inspection->asked++;

        inspection->ask(&inspection->questions[n / partitions], (uint32_t)(n % partitions));
    }
}

static void one_less(struct inspection *inspection, enum redis_status status)
{
    if (status != REDIS_DONE)
        inspection->error = ERR_INTERNAL;
    inspection->waiting--;
    ask_more(inspection);
    if (inspection->waiting == 0)
        inspection->cb(inspection->error, inspection->list, inspection->count, inspection->arg);
}

static void ask_everywhere(struct inspection *inspection,
                           void (*ask)(struct question *question, uint32_t partition))
{
    inspection->ask = ask;
    inspection->to_ask = inspection->count * inspection->push->core->partition_count;
    one_less(inspection, REDIS_DONE);
}

static void entries_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;

    if (status == REDIS_DONE)
        question->endpoint->parked += redis_reply_i64(reply);
    one_less(question->inspection, status);
}

static void bytes_read(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;
    uint64_t bytes;

    if (status == REDIS_DONE &&
        str_to_u64(str_split(redis_reply_str(reply), ' ', &(struct str){0}), INT64_MAX, &bytes))
        question->endpoint->parked_bytes += (int64_t)bytes;
    one_less(question->inspection, status);
}

static void oldest_read(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;
    char origin_id[EVENT_ID_SIZE];
    struct entry_facts entry;
    struct event_facts event;

    if (status == REDIS_DONE &&
        park_read_entry(redis_reply_str(redis_reply_at(reply, 0)), &entry, origin_id) &&
        event_read(entry.text, &event)) {
        int64_t seconds = seconds_since(event.time_ms);

        if (seconds > question->endpoint->oldest_seconds)
            question->endpoint->oldest_seconds = seconds;
    }
    one_less(question->inspection, status);
}

static void ask_what_is_parked(struct question *question, uint32_t partition)
{
    struct redis *redis = question->inspection->push->core->redis;
    struct str digest = str_of(question->endpoint->digest);
    struct key key;

    question->inspection->waiting += 3;
    redis_command(redis, 2, (struct str[]){STR("ZCARD"), key_parked(&key, partition, digest)},
                  entries_counted, question);
    redis_command(redis, 3, (struct str[]){STR("HGET"), key_parked_table(&key, partition), digest},
                  bytes_read, question);
    redis_command(redis, 4,
                  (struct str[]){STR("ZRANGE"), key_parked(&key, partition, digest), STR("0"),
                                 STR("0")},
                  oldest_read, question);
}

static struct inspection *inspection_new(struct push *push, struct arena *arena,
                                         struct str app_id, struct str url, push_endpoints_cb cb,
                                         void *arg)
{
    struct inspection *inspection = arena_zalloc(arena, sizeof(*inspection));
    const struct target *target = NULL;

    if (app_id.len) /* known from here on, at least for a while */
        target_get(push, app_id, url);
    *inspection = (struct inspection){.push = push, .waiting = 1, .cb = cb, .arg = arg};
    while ((target = find(push, app_id, url, target)))
        inspection->count++;
    inspection->list =
        arena_zalloc(arena, (inspection->count + 1) * sizeof(*inspection->list));
    inspection->questions =
        arena_zalloc(arena, (inspection->count + 1) * sizeof(*inspection->questions));
    for (size_t i = 0; i < inspection->count; i++) {
        struct push_endpoint *endpoint = &inspection->list[i];

        target = find(push, app_id, url, target);
        inspection->questions[i] = (struct question){inspection, endpoint};
        endpoint->app_id = arena_str(arena, str_of(target->app->id));
        endpoint->url = arena_str(arena, url);
        endpoint->breaker = arena_str(arena, circuit_name(target->member.circuit));
        endpoint->digest = arena_dup0(arena, str_of(target->digest));
        endpoint->oldest_seconds = oldest_seconds(target);
    }
    return inspection;
}

void push_show_endpoints(struct push *push, struct arena *arena, struct str app_id,
                         struct str url, push_endpoints_cb cb, void *arg)
{
    ask_everywhere(inspection_new(push, arena, app_id, url, cb, arg), ask_what_is_parked);
}

void push_write_endpoint(const struct push *push, const struct push_endpoint *endpoint,
                         struct json_writer *w)
{
    const struct target *target = find(push, endpoint->app_id, endpoint->url, NULL);

    json_object(w);
    if (target) { /* else it was forgotten meanwhile, since nothing is there */
        const struct circuit *circuit = target->member.circuit;
        int64_t probe_ms = circuit_next_probe_ms(circuit) - clock_tick_ms();

        write_row(target, w);
        json_member_str(w, "breaker", scope_shown(circuit_name(circuit)));
        if (circuit_state(circuit) == BREAKER_DOWN)
            json_member_i64(w, "nextProbeSeconds", probe_ms > 0 ? probe_ms / 1000 : 0);
        json_member_i64(w, "delivered", (int64_t)target->delivered);
        json_member_i64(w, "dropped", (int64_t)target->dropped);
        write_latency(&target->latency, w);
    }
    json_member_i64(w, "parkedEverywhere", endpoint->parked);
    json_member_i64(w, "parkedBytesEverywhere", endpoint->parked_bytes);
    json_member_i64(w, "oldestSecondsEverywhere", endpoint->oldest_seconds);
    json_object_end(w);
}

/* ---- probing ---- */

static void made_due(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;
    struct push_app *app;

    if (status == REDIS_DONE && redis_reply_i64(reply) == 1) {
        question->endpoint->is_done = true;
        HASH_FIND(hh, question->inspection->push->apps, question->endpoint->app_id.p,
                  question->endpoint->app_id.len, app);
        if (app) /* others learn of it with their next reading */
            push_app_read(app);
    }
    one_less(question->inspection, status);
}

void push_probe_endpoints(struct push *push, struct arena *arena, struct str app_id,
                          struct str url, push_endpoints_cb cb, void *arg)
{
    struct inspection *inspection = inspection_new(push, arena, app_id, url, cb, arg);

    for (size_t i = 0; i < inspection->count; i++) {
        struct question *question = &inspection->questions[i];
        struct key key;

        inspection->waiting++;
        redis_script(push->core->redis, &script_breaker_due, 1,
                     (struct str[]){key_app_breakers(&key, question->endpoint->app_id)}, 1,
                     (struct str[]){question->endpoint->breaker}, made_due, question);
    }
    one_less(inspection, REDIS_DONE);
}

/* ---- forgetting failures ---- */

/* An invalid one becomes valid here with the next reading, since it is in Redis no more. */
static void forget_failures(struct target *target)
{
    circuit_forgive(target->member.circuit);
    target_wake(target);
}

static void reset(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;
    struct push *push = question->inspection->push;

    (void)reply;
    if (status == REDIS_DONE) {
        forget_failures(target_get(push, question->endpoint->app_id, question->endpoint->url));
        dispatch_subscriptions_changed(push, question->endpoint->app_id);
    }
    one_less(question->inspection, status);
}

void push_reset_endpoints(struct push *push, struct arena *arena, struct str app_id,
                          struct str url, push_endpoints_cb cb, void *arg)
{
    struct inspection *inspection = inspection_new(push, arena, app_id, url, cb, arg);

    for (size_t i = 0; i < inspection->count; i++) {
        struct question *question = &inspection->questions[i];
        struct key key;

        inspection->waiting++;
        redis_command(push->core->redis, 3,
                      (struct str[]){STR("HDEL"),
                                     key_app_breakers(&key, question->endpoint->app_id),
                                     question->endpoint->breaker},
                      reset, question);
    }
    one_less(inspection, REDIS_DONE);
}

/* ---- throwing away ---- */

static void dropped(enum redis_status status, const redisReply *reply, void *arg)
{
    const struct question *question = arg;

    if (status == REDIS_DONE) {
        question->endpoint->parked += redis_reply_i64(reply);
        metric_add(M_DROPPED, (uint64_t)redis_reply_i64(reply), "operator", NULL, NULL);
    }
    one_less(question->inspection, status);
}

/* What is in memory already is sent or forgotten; the rest is found to be gone by the next sweep. */
static void look_again(struct target *target)
{
    for (uint32_t i = 0; target->parks && i < target->push->core->partition_count; i++) {
        if (target->parks[i])
            target->parks[i]->oldest_ms = 0;
    }
}

static void drop_in(struct question *question, uint32_t partition)
{
    struct str digest = str_of(question->endpoint->digest);
    struct key entries, table;

    question->inspection->waiting++;
    redis_script(question->inspection->push->core->redis, &script_park_drop, 2,
                 (struct str[]){key_parked(&entries, partition, digest),
                                key_parked_table(&table, partition)},
                 1, (struct str[]){digest}, dropped, question);
}

void push_drop_parked(struct push *push, struct arena *arena, struct str app_id, struct str url,
                      push_endpoints_cb cb, void *arg)
{
    struct inspection *inspection = inspection_new(push, arena, app_id, url, cb, arg);

    for (size_t i = 0; i < inspection->count; i++)
        look_again(target_get(push, inspection->list[i].app_id, url));
    ask_everywhere(inspection, drop_in);
}

/*
 * Reading goes from the newest entry back to the oldest, since the total needs them all; each slice is
 * a turn of the loop. Several devices are merged: the newest entry of all heads comes next, and a device
 * whose slice is used up gets a new one before anything else is taken.
 */
#include "core/data/history.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/json.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS 86400000ll
/* Of a slice: entries differ in size a thousandfold, so the first one is small, and says how many of
 * the next ones make so many bytes. */
#define SLICE_BYTES       (512 * 1024)
#define SLICE_MAX         500
#define SLICE_FIRST       20
#define SLICE_FIRST_MANY  2 /* when several devices are read */
#define RECORD_BYTES      200 /* of an answer's record, besides ids and data */

struct entry {
    uint64_t ms, part; /* of its id */
    struct str payload;
};

struct stream {
    struct reading *reading;
    struct str device_id, gateway_id;
    bool is_known, is_over;
    int64_t oldest_ms; /* what is older is not shown */
    struct arena *arena; /* of the slice */
    struct entry *entries;
    size_t count, next;
    char after[48]; /* id to go on below; "+" at first */
    size_t slice;
};

struct reading {
    struct core *core;
    struct arena *arena, *scratch; /* scratch: of one entry */
    const struct history_query *query;
    struct stream *streams;
    size_t stream_count, waiting;
    bool has_failed;
    struct history_page page;
    struct history_record **end;
    uint64_t taken;
    size_t bytes;
    bool is_full;
    history_cb cb;
    void *arg;
};

static void merge(struct reading *reading);

static void finish(struct reading *reading, enum error error)
{
    history_cb cb = reading->cb;
    void *arg = reading->arg;

    for (size_t i = 0; i < reading->stream_count; i++)
        arena_free(reading->streams[i].arena);
    arena_free(reading->scratch);
    cb(error, error ? NULL : &reading->page, arg);
}

/* ---- an entry's records ---- */

static bool holds(const struct json *data, struct str property)
{
    JSON_FOREACH (member, data) {
        if (str_eq(member->key, property))
            return true;
    }
    return false;
}

static bool matches(const struct history_query *query, const struct json *service,
                    int64_t time_ms)
{
    return (!query->service_id.p || str_eq(json_get_str(service, "id"), query->service_id)) &&
           (!query->property.p || holds(json_get(service, "data"), query->property)) &&
           time_ms >= query->from_ms && time_ms <= query->to_ms;
}

static void add_record(struct reading *reading, const struct stream *stream,
                       const struct json *service, int64_t time_ms)
{
    struct str id = json_get_str(service, "id"), data = json_get(service, "data")->text;
    struct history_record *record;

    reading->bytes += RECORD_BYTES + stream->device_id.len + stream->gateway_id.len +
                      reading->query->app_id.len + id.len + data.len;
    if (reading->bytes > (size_t)reading->core->settings->history_answer_bytes &&
        reading->taken > 0) {
        reading->is_full = true;
        return;
    }
    record = arena_alloc(reading->arena, sizeof(*record));
    *record = (struct history_record){.device_id = stream->device_id,
                                      .gateway_id = stream->gateway_id,
                                      .service_id = arena_str(reading->arena, id),
                                      .data = arena_str(reading->arena, data),
                                      .time_ms = time_ms};
    *reading->end = record;
    reading->end = &record->next;
    reading->taken++;
}

static void look_at(struct reading *reading, const struct stream *stream,
                    const struct json *service)
{
    const struct history_query *query = reading->query;
    const struct json *data = json_get(service, "data");
    int64_t time_ms = 0;

    json_get_i64(service, "time", &time_ms);
    if (!data || data->type != JSON_OBJECT || !matches(query, service, time_ms))
        return;
    if (reading->page.total++ >= query->skip && reading->taken < query->count &&
        !reading->is_full)
        add_record(reading, stream, service, time_ms);
}

/* The last service of a report is its newest. */
static void take_entry(struct reading *reading, struct stream *stream)
{
    const struct json *services, **each;
    size_t n = 0;

    arena_reset(reading->scratch);
    services = json_get(
        json_parse(reading->scratch, stream->entries[stream->next++].payload, NULL), "services");
    if (!services || services->type != JSON_ARRAY)
        return;
    each = arena_alloc(reading->scratch, (services->count + 1) * sizeof(*each));
    JSON_FOREACH (service, services)
        each[n++] = service;
    while (n > 0)
        look_at(reading, stream, each[--n]);
}

/* ---- slices ---- */

static bool read_id(struct str id, struct entry *entry)
{
    struct str part;
    struct str ms = str_split(id, '-', &part);

    return str_to_u64(ms, UINT64_MAX, &entry->ms) && str_to_u64(part, UINT64_MAX, &entry->part);
}

static void take_slice(struct stream *stream, const redisReply *reply)
{
    size_t bytes = 0, share = SLICE_BYTES / stream->reading->stream_count;

    if (stream->arena)
        arena_reset(stream->arena);
    else
        stream->arena = arena_new();
    stream->entries = arena_alloc(stream->arena, (reply->elements + 1) * sizeof(*stream->entries));
    stream->count = stream->next = 0;
    stream->is_over = reply->elements < stream->slice;
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *each = redis_reply_at(reply, i);
        struct entry *entry = &stream->entries[stream->count];
        struct str id = redis_reply_str(redis_reply_at(each, 0));
        struct str payload = redis_reply_str(redis_reply_at(redis_reply_at(each, 1), 1));

        if (!payload.p || !read_id(id, entry))
            continue;
        entry->payload = arena_str(stream->arena, payload);
        bytes += payload.len;
        stream->count++;
        snprintf(stream->after, sizeof(stream->after), "(%.*s", STR_ARG(id));
    }
    if (stream->count > 0 && bytes > 0)
        stream->slice = share / (bytes / stream->count + 1);
    stream->slice = stream->slice < 1 ? 1 : stream->slice > SLICE_MAX ? SLICE_MAX : stream->slice;
}

static void slice_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct stream *stream = arg;
    struct reading *reading = stream->reading;

    if (status == REDIS_DONE)
        take_slice(stream, reply);
    reading->has_failed |= status != REDIS_DONE;
    if (--reading->waiting > 0)
        return;
    if (reading->has_failed)
        finish(reading, ERR_INTERNAL);
    else
        merge(reading);
}

static void ask_slice(struct stream *stream)
{
    struct core *core = stream->reading->core;
    uint32_t partition = partition_of(core, stream->device_id);
    struct key key;
    struct decimal oldest, count;
    struct str name = stream->reading->query->kind == HISTORY_DESIRED
                          ? key_desired_history(&key, partition, stream->device_id)
                          : key_history(&key, partition, stream->device_id);

    redis_command(core->redis, 6,
                  (struct str[]){STR("XREVRANGE"), name, str_of(stream->after),
                                 decimal_str(&oldest, stream->oldest_ms), STR("COUNT"),
                                 decimal_str(&count, (int64_t)stream->slice)},
                  slice_read, stream);
}

static bool is_used_up(const struct stream *stream)
{
    return stream->next == stream->count && !stream->is_over;
}

static void refill(struct reading *reading)
{
    for (size_t i = 0; i < reading->stream_count; i++)
        reading->waiting += is_used_up(&reading->streams[i]);
    for (size_t i = 0; i < reading->stream_count; i++) {
        if (is_used_up(&reading->streams[i]))
            ask_slice(&reading->streams[i]);
    }
}

static bool is_newer(const struct stream *a, const struct stream *b)
{
    const struct entry *x = &a->entries[a->next], *y = &b->entries[b->next];

    return x->ms > y->ms || (x->ms == y->ms && x->part > y->part);
}

static void merge(struct reading *reading)
{
    for (;;) {
        struct stream *newest = NULL;
        bool needs_more = false;

        for (size_t i = 0; i < reading->stream_count; i++) {
            struct stream *stream = &reading->streams[i];

            needs_more |= is_used_up(stream);
            if (stream->next < stream->count && (!newest || is_newer(stream, newest)))
                newest = stream;
        }
        if (needs_more) {
            refill(reading);
            return;
        }
        if (!newest) {
            finish(reading, ERR_OK);
            return;
        }
        take_entry(reading, newest);
    }
}

/* ---- whose history ---- */

/* The devices that are there and the application's own move to the front. */
static void begin(struct reading *reading)
{
    size_t known = 0;

    for (size_t i = 0; i < reading->stream_count; i++) {
        if (reading->streams[i].is_known)
            reading->streams[known++] = reading->streams[i];
    }
    reading->stream_count = known;
    if (known == 0) {
        finish(reading, ERR_HISTORY_NOT_FOUND);
        return;
    }
    for (size_t i = 0; i < known; i++) {
        snprintf(reading->streams[i].after, sizeof(reading->streams[i].after), "+");
        reading->streams[i].slice = known == 1 ? SLICE_FIRST : SLICE_FIRST_MANY;
    }
    refill(reading);
}

/* Days that the device's own setting says, else the general age. */
static int64_t age_ms(const struct reading *reading, struct str days)
{
    uint64_t own;

    return reading->query->kind == HISTORY_REPORTED && str_to_u64(days, 36500, &own)
               ? (int64_t)own * DAY_MS
               : reading->core->settings->history_age_ms;
}

static void record_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct stream *stream = arg;
    struct reading *reading = stream->reading;
    struct str app = redis_reply_str(redis_reply_at(reply, 0));

    reading->has_failed |= status != REDIS_DONE;
    if (app.p && str_eq(app, reading->query->app_id)) {
        stream->is_known = true;
        stream->gateway_id =
            arena_str(reading->arena, redis_reply_str(redis_reply_at(reply, 1)));
        stream->oldest_ms =
            clock_now_ms() - age_ms(reading, redis_reply_str(redis_reply_at(reply, 2)));
        if (stream->oldest_ms < 0)
            stream->oldest_ms = 0;
    }
    if (--reading->waiting > 0)
        return;
    if (reading->has_failed)
        finish(reading, ERR_INTERNAL);
    else
        begin(reading);
}

static void read_records(struct reading *reading)
{
    struct core *core = reading->core;

    reading->waiting = reading->stream_count;
    for (size_t i = 0; i < reading->stream_count; i++) {
        struct stream *stream = &reading->streams[i];
        struct key key;

        stream->reading = reading;
        redis_command(core->redis, 5,
                      (struct str[]){STR("HMGET"),
                                     key_device(&key, partition_of(core, stream->device_id),
                                                stream->device_id),
                                     STR("app"), STR("gateway"), STR("dataAging")},
                      record_read, stream);
    }
}

/* Ids that cannot be ours name no device; "-" is one that is never given out. */
static struct str id_or_none(struct str id)
{
    return str_is_id(id, KEY_ID_MAX) ? id : STR("-");
}

static void add_stream(struct reading *reading, struct str device_id)
{
    reading->streams[reading->stream_count++].device_id = device_id;
}

static void children_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;

    if (status != REDIS_DONE) {
        finish(reading, ERR_INTERNAL);
        return;
    }
    reading->streams = arena_zalloc(reading->arena, (reply->elements + 1) * sizeof(struct stream));
    add_stream(reading, id_or_none(reading->query->gateway_id));
    for (size_t i = 0; i < reply->elements; i++)
        add_stream(reading,
                   arena_str(reading->arena, id_or_none(redis_reply_str(redis_reply_at(reply, i)))));
    read_records(reading);
}

static void children_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct reading *reading = arg;
    struct core *core = reading->core;
    struct str gateway = id_or_none(reading->query->gateway_id);
    struct key key;

    if (status != REDIS_DONE)
        finish(reading, ERR_INTERNAL);
    else if (redis_reply_i64(reply) > core->settings->history_gateway_devices)
        finish(reading, ERR_APPLICATION_INPUT);
    else
        redis_command(core->redis, 2,
                      (struct str[]){STR("SMEMBERS"),
                                     key_children(&key, partition_of(core, gateway), gateway)},
                      children_read, reading);
}

static void read_family(struct reading *reading)
{
    struct core *core = reading->core;
    struct str gateway = id_or_none(reading->query->gateway_id);
    struct key key;

    redis_command(core->redis, 2,
                  (struct str[]){STR("SCARD"),
                                 key_children(&key, partition_of(core, gateway), gateway)},
                  children_counted, reading);
}

void history_read(struct core *core, struct arena *arena, const struct history_query *query,
                  history_cb cb, void *arg)
{
    struct reading *reading = arena_zalloc(arena, sizeof(*reading));
    struct history_query *copy = arena_alloc(arena, sizeof(*copy));

    *copy = *query;
    reading->core = core;
    reading->arena = arena;
    reading->scratch = arena_new();
    reading->query = copy;
    reading->end = &reading->page.first;
    reading->cb = cb;
    reading->arg = arg;
    if (!query->device_id.p) {
        read_family(reading);
        return;
    }
    reading->streams = arena_zalloc(arena, sizeof(struct stream));
    add_stream(reading, id_or_none(query->device_id));
    read_records(reading);
}

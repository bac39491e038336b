/*
 * A subscriber of any MQTT broker that writes each message to Redis, as the last one of its topic
 * and into a stream, and acknowledges it when Redis has confirmed both: what one puts beside a
 * broker to have what iotpushd does with a report. It does not wait for one message before it sends
 * the next to Redis, so that the comparison is with the broker and not with us; --outstanding 1 is
 * how a simple script does it.
 *
 *     bench:last:TOPIC   hash: payload
 *     bench:events       stream: topic, payload; the last STREAM_MAX, about
 */
#include "bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "bench/loop.h"
#include "bench/mqtt_client.h"
#include "bench/summary.h"
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

#define STREAM_MAX "100000"

struct waiting {
    struct buf topic, payload;
    struct mqtt_publish packet; /* its texts are those two */
    STAILQ_ENTRY(waiting) link;
};

struct store {
    const struct options *options;
    struct loop *loop;
    struct target target;
    struct mqtt_clients *clients;
    struct mqtt_client *client;
    redisAsyncContext *redis;          /* NULL when hiredis has freed it */
    STAILQ_HEAD(queue, waiting) queue; /* that Redis has not been given yet */
    size_t waiting, at_redis;
    uint64_t received, stored, bytes;
    int64_t first_us, last_us;
    uint64_t shown;
    bool is_ending;
    enum bench_exit result;
};

static void end(struct store *store, enum bench_exit result)
{
    if (!store->is_ending)
        store->result = result;
    store->is_ending = true;
    loop_stop(store->loop);
}

/* ---- Redis ---- */

static void send_to_redis(struct store *store, const struct mqtt_publish *packet);

static void send_waiting(struct store *store)
{
    while (store->waiting > 0 && store->at_redis < (size_t)store->options->outstanding) {
        struct waiting *waiting = STAILQ_FIRST(&store->queue);

        STAILQ_REMOVE_HEAD(&store->queue, link);
        store->waiting--;
        send_to_redis(store, &waiting->packet);
        buf_clear(&waiting->topic);
        buf_clear(&waiting->payload);
        free(waiting);
    }
}

/* NULL: the connection has ended, which on_disconnect tells. */
static bool is_good(struct store *store, const redisReply *reply)
{
    if (!reply || store->is_ending)
        return false;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    bench_complain("--redis: %s", reply->str);
    end(store, BENCH_FAILED);
    return false;
}

static void note_value(redisAsyncContext *context, void *reply, void *unused)
{
    (void)unused;
    is_good(context->data, reply);
}

static void note_stored(redisAsyncContext *context, void *reply, void *id)
{
    struct store *store = context->data;

    if (!is_good(store, reply))
        return;
    store->at_redis--;
    store->stored++;
    store->last_us = clock_tick_us();
    if (id && mqtt_client_state(store->client) == MQTT_CLIENT_OPEN)
        mqtt_client_acknowledge(store->client, (uint16_t)(uintptr_t)id);
    send_waiting(store);
    if (store->options->events > 0 && store->stored >= (uint64_t)store->options->events)
        end(store, BENCH_DONE);
}

static void command(struct store *store, redisCallbackFn *done, void *arg, const struct str *words,
                    size_t count)
{
    const char *texts[10];
    size_t lengths[10];

    for (size_t i = 0; i < count; i++) {
        texts[i] = words[i].p;
        lengths[i] = words[i].len;
    }
    redisAsyncCommandArgv(store->redis, done, arg, (int)count, texts, lengths);
}

static void send_to_redis(struct store *store, const struct mqtt_publish *packet)
{
    char *key;

    if (!store->redis)
        return;
    key = xasprintf("bench:last:%.*s", STR_ARG(packet->topic));
    store->at_redis++;
    command(store, note_value, NULL,
            (struct str[]){STR("HSET"), str_of(key), STR("payload"), packet->payload}, 4);
    command(store, note_stored, (void *)(uintptr_t)packet->id,
            (struct str[]){STR("XADD"), STR("bench:events"), STR("MAXLEN"), STR("~"),
                           STR(STREAM_MAX), STR("*"), STR("topic"), packet->topic, STR("payload"),
                           packet->payload},
            10);
    free(key);
}

static void on_redis_connected(const redisAsyncContext *context, int status)
{
    struct store *store = context->data;

    if (status == REDIS_OK)
        return;
    bench_complain("--redis %s: %s", store->options->redis, context->errstr);
    store->redis = NULL;
    end(store, BENCH_UNREACHABLE);
}

static void on_redis_disconnected(const redisAsyncContext *context, int status)
{
    struct store *store = context->data;

    store->redis = NULL;
    if (status == REDIS_OK)
        return;
    bench_complain("--redis %s: %s", store->options->redis, context->errstr);
    end(store, BENCH_FAILED);
}

static bool open_redis(struct store *store)
{
    const char *address = store->options->redis, *colon = strrchr(address, ':');
    char *host = str_dup(str_n(address, colon ? (size_t)(colon - address) : 0));
    redisAsyncContext *redis =
        colon ? redisAsyncConnect(host, atoi(colon + 1)) : redisAsyncConnectUnix(address);

    free(host);
    if (redis && !redis->err && redisLibeventAttach(redis, loop_base(store->loop)) == REDIS_OK) {
        redis->data = store;
        redisAsyncSetConnectCallback(redis, on_redis_connected);
        redisAsyncSetDisconnectCallback(redis, on_redis_disconnected);
        store->redis = redis;
        return true;
    }
    bench_complain("--redis %s: %s", address, redis && redis->err ? redis->errstr : "no memory");
    if (redis)
        redisAsyncFree(redis);
    return false;
}

/* ---- the broker ---- */

static void note_answer(struct mqtt_client *client, int code, void *arg)
{
    struct store *store = arg;

    if (code == MQTT_ACCEPTED) {
        mqtt_client_subscribe(client, str_of(store->options->filter), 1);
        return;
    }
    bench_complain("%s refused the login with CONNACK %d", store->options->broker, code);
    end(store, BENCH_FAILED);
}

static void note_subscribed(struct mqtt_client *client, int code, void *arg)
{
    struct store *store = arg;

    (void)client;
    if (code == MQTT_NOT_GRANTED) {
        bench_complain("%s does not grant --filter %s", store->options->broker,
                       store->options->filter);
        end(store, BENCH_FAILED);
        return;
    }
    fprintf(stderr, "iotpush-bench: subscribed to %s\n", store->options->filter);
}

static void keep(struct store *store, const struct mqtt_publish *packet)
{
    struct waiting *waiting = xcalloc(1, sizeof(*waiting));

    buf_add_str(&waiting->topic, packet->topic);
    buf_add_str(&waiting->payload, packet->payload);
    waiting->packet = *packet;
    waiting->packet.topic = buf_str(&waiting->topic);
    waiting->packet.payload = buf_str(&waiting->payload);
    STAILQ_INSERT_TAIL(&store->queue, waiting, link);
    store->waiting++;
}

static void note_message(struct mqtt_client *client, const struct mqtt_publish *packet, void *arg)
{
    struct store *store = arg;

    (void)client;
    if (store->received++ == 0)
        store->first_us = clock_tick_us();
    store->bytes += packet->payload.len;
    if (store->waiting > 0 || store->at_redis >= (size_t)store->options->outstanding)
        keep(store, packet);
    else
        send_to_redis(store, packet);
}

static void note_loss(struct mqtt_client *client, bool was_open, int error, void *arg)
{
    struct store *store = arg;

    (void)client;
    bench_complain("%s: %s", store->options->broker,
                   error ? strerror(error) : "has closed the connection");
    end(store, was_open ? BENCH_FAILED : BENCH_UNREACHABLE);
}

static bool open_broker(struct store *store)
{
    char *client_id = xasprintf("iotpush-bench-%d", (int)getpid());
    struct mqtt_connect packet = {
        .level = MQTT_LEVEL_311, .is_clean = true, .client_id = str_of(client_id)};
    struct mqtt_clients_config config = {
        .base = loop_base(store->loop),
        .target = &store->target,
        .answered = note_answer,
        .subscribed = note_subscribed,
        .message = note_message,
        .lost = note_loss,
        .arg = store,
    };
    int error;

    store->clients = mqtt_clients_new(&config);
    store->client = mqtt_client_new(store->clients, 0);
    error = mqtt_client_dial(store->client, &packet);
    free(client_id);
    if (error)
        bench_complain("%s: %s", store->options->broker, strerror(error));
    return error == 0;
}

/* ---- the run ---- */

static void show(char *line, size_t size, void *arg)
{
    struct store *store = arg;

    snprintf(line, size, "%" PRIu64 " stored, %" PRIu64 " /s, %zu at Redis, %zu waiting",
             store->stored, store->stored - store->shown, store->at_redis, store->waiting);
    store->shown = store->stored;
}

static void print_summary(struct store *store)
{
    struct summary *summary = summary_new("store", store->options->wants_json);
    int64_t time_us = store->stored ? store->last_us - store->first_us : 0;

    summary_time(summary, "timeUs", "first message to last stored", time_us);
    summary_count(summary, "received", "messages", store->received);
    summary_count(summary, "bytes", "bytes of payload", store->bytes);
    summary_count(summary, "stored", "stored", store->stored);
    summary_rate(summary, "storedPerSecond", "stored a second", store->stored, time_us);
    summary_print_take(summary);
}

static void close_all(struct store *store)
{
    mqtt_client_free(store->client);
    mqtt_clients_free(store->clients);
    target_close(&store->target);
    store->is_ending = true;
    if (store->redis)
        redisAsyncFree(store->redis);
    while (store->waiting-- > 0) {
        struct waiting *waiting = STAILQ_FIRST(&store->queue);

        STAILQ_REMOVE_HEAD(&store->queue, link);
        buf_clear(&waiting->topic);
        buf_clear(&waiting->payload);
        free(waiting);
    }
    loop_free(store->loop);
}

enum bench_exit store_run(const struct options *options)
{
    struct store store = {.options = options, .loop = loop_new()};

    STAILQ_INIT(&store.queue);
    if (!target_open(&store.target, options->broker, options->ca_file) || !open_redis(&store) ||
        !open_broker(&store)) {
        close_all(&store);
        return BENCH_UNREACHABLE;
    }
    loop_show(store.loop, show, &store);
    loop_run(store.loop, options->duration_ms);
    loop_show(store.loop, NULL, NULL);
    if (store.result == BENCH_DONE || store.received > 0)
        print_summary(&store);
    close_all(&store);
    return store.result;
}

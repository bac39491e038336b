/* Dialing, the handshake, and losing the connection: from one wait for an attempt to the next. */
#include "store/redis_private.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "store/scripts.h"

#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   5000
#define STEADY_MS        1000  /* a connection that lived so long starts a new backoff */
#define GRACE_MS         20    /* see redis_on_reply_limit */
#define REPEAT_REASON_MS 60000 /* the same reason is logged once in so long */

void redis_arm(struct event *timer, int64_t delay_ms)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    evtimer_add(timer, &delay);
}

/* The connection: losing it and trying again */

static int64_t backoff_ms(unsigned failures)
{
    int64_t limit = BACKOFF_MAX_MS;
    uint16_t jitter;

    if (failures < 6)
        limit = (int64_t)BACKOFF_MIN_MS << failures;
    crypto_random_bytes(&jitter, sizeof(jitter));
    return limit / 2 + limit / 2 * jitter / UINT16_MAX;
}

static void log_reason(struct redis *redis, const char *reason, int64_t retry_ms)
{
    int64_t now = clock_tick_ms();

    if (!redis->is_connected && strcmp(redis->last_reason, reason) == 0 &&
        now - redis->last_reason_ms < REPEAT_REASON_MS)
        return;
    snprintf(redis->last_reason, sizeof(redis->last_reason), "%s", reason);
    redis->last_reason_ms = now;
    log_warn("redis", "connection=%s server=%s state=down reason=%s retry_ms=%lld",
             redis->config.name, redis->where, redis->last_reason, (long long)retry_ms);
}

redisAsyncContext *redis_detach(struct redis *redis)
{
    redisAsyncContext *context = redis->context;

    if (context)
        context->data = NULL;
    redis->context = NULL;
    return context;
}

void redis_lose(struct redis *redis, enum redis_status status, const char *reason)
{
    bool was_connected = redis->is_connected;
    int64_t retry_ms;

    redis_detach(redis);
    if (was_connected && clock_tick_ms() - redis->connected_at_ms >= STEADY_MS)
        redis->failures = 0;
    retry_ms = backoff_ms(redis->failures++);
    log_reason(redis, reason[0] ? reason : "unknown", retry_ms);
    evtimer_del(redis->connect_limit);
    evtimer_del(redis->reply_limit);
    redis_arm(redis->next_attempt, retry_ms);
    redis->is_connected = false;

    redis_hold(redis);
    redis_end_all(redis, &redis->sent, status);
    if (was_connected && !redis->is_freed && redis->config.state)
        redis->config.state(false, redis->config.arg);
    redis_release(redis);
}

void redis_drop(struct redis *redis, enum redis_status status, const char *reason)
{
    char kept[sizeof(redis->last_reason)];
    redisAsyncContext *context = redis_detach(redis);

    snprintf(kept, sizeof(kept), "%s", reason);
    if (context)
        redisAsyncFree(context);
    redis_lose(redis, status, kept);
}

void redis_on_connect_limit(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    if (redis->dial)
        redis_dial_cancel(redis->dial);
    redis->dial = NULL;
    redis_drop(redis, REDIS_LOST, "no connection within the connect timeout");
}

/*
 * The oldest command is overdue, or seems so: when this process was stopped or busy for long, its
 * reply may be lying in the socket. So the connection is dropped only when a moment for reading
 * brought no reply at all.
 */
void redis_on_reply_limit(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;
    struct redis_request *oldest = STAILQ_FIRST(&redis->sent);
    int64_t left_ms;

    (void)fd;
    (void)what;
    if (!oldest)
        return;
    left_ms = redis->config.command_timeout_ms - (clock_tick_us() - oldest->sent_us) / 1000;
    if (left_ms > 0) {
        redis->replies_at_grace = UINT64_MAX;
        redis_arm(redis->reply_limit, left_ms);
    } else if (redis->replies_at_grace != redis->replies) {
        redis->replies_at_grace = redis->replies;
        redis_arm(redis->reply_limit, GRACE_MS);
    } else {
        redis_drop(redis, REDIS_TIMEOUT, "no reply within the command timeout");
    }
}

/* Connecting */

static void send_handshake_words(struct redis *redis, size_t count, const struct str *words,
                                 redis_cb cb)
{
    struct redis_request *request = redis_request_of_words(count, words, cb, redis);

    request->is_handshake = true;
    redis_send_request(redis, request);
}

/* AUTH and SELECT. The text is like "WRONGPASS invalid ...", never the password itself. */
static void on_necessary(enum redis_status status, const redisReply *reply, void *arg)
{
    if (status == REDIS_ERROR)
        redis_drop(arg, REDIS_LOST, reply->str);
}

/* A name is only a convenience, but without a password this is also the first request, and so gets
 * the answer of a Redis that has too many clients. */
static void on_set_name(enum redis_status status, const redisReply *reply, void *arg)
{
    if (status == REDIS_ERROR && !redis_reply_is_error(reply, "NOPERM"))
        redis_drop(arg, REDIS_LOST, reply->str);
}

/* The answer to the handshake's last word, PING. LOADING and the like have been seen as REDIS_LOST
 * already; a Redis that only refuses writes (MISCONF), or this one request, is connected. */
static void on_ping(enum redis_status status, const redisReply *reply, void *arg)
{
    struct redis *redis = arg;

    (void)reply;
    if (status == REDIS_BUSY) {
        redis_drop(redis, REDIS_LOST, "a script blocks Redis");
        return;
    }
    if (!redis_status_has_reply(status))
        return;
    evtimer_del(redis->connect_limit);
    redis->is_connected = true;
    redis->connected_at_ms = clock_tick_ms();
    redis->last_reason[0] = '\0';
    log_info("redis", "connection=%s server=%s state=up", redis->config.name, redis->where);
    if (redis->config.state)
        redis->config.state(true, redis->config.arg);
}

static void send_handshake(struct redis *redis)
{
    const char *password = redis->password ? redis->password : redis->address.password;
    char db[16];

    snprintf(db, sizeof(db), "%u", redis->address.db);
    if (password && redis->address.user)
        send_handshake_words(
            redis, 3, (struct str[]){STR("AUTH"), str_of(redis->address.user), str_of(password)},
            on_necessary);
    else if (password)
        send_handshake_words(redis, 2, (struct str[]){STR("AUTH"), str_of(password)}, on_necessary);
    if (redis->address.db)
        send_handshake_words(redis, 2, (struct str[]){STR("SELECT"), str_of(db)}, on_necessary);
    send_handshake_words(redis, 3,
                         (struct str[]){STR("CLIENT"), STR("SETNAME"), str_of(redis->config.name)},
                         on_set_name);
    /* A Redis that was restarted knows no scripts. Without this each command of the first burst
     * would come back as NOSCRIPT and be sent again with its whole body. */
    for (size_t i = 0; all_scripts[i]; i++)
        send_handshake_words(redis, 3,
                             (struct str[]){STR("SCRIPT"), STR("LOAD"),
                                            str_n(all_scripts[i]->body, all_scripts[i]->body_len)},
                             NULL);
    send_handshake_words(redis, 1, (struct str[]){STR("PING")}, on_ping);
}

void redis_forget_password(struct redis *redis)
{
    if (redis->password)
        explicit_bzero(redis->password, strlen(redis->password));
    free(redis->password);
    redis->password = NULL;
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;

    if (!redis)
        return;
    if (status == REDIS_OK)
        send_handshake(redis);
    else
        redis_lose(redis, REDIS_LOST, context->c.errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;

    (void)status;
    if (redis)
        redis_lose(redis, REDIS_LOST, context->c.errstr);
}

static void on_dialed(redisAsyncContext *context, const char *error, void *arg)
{
    struct redis *redis = arg;

    redis->dial = NULL;
    if (!context) {
        redis_lose(redis, REDIS_LOST, error);
        return;
    }
    redis->context = context;
    context->data = redis;
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

void redis_on_next_attempt(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    redis_forget_password(redis);
    if (redis->config.password_file) {
        char *error = NULL;

        redis->password = redis_password_read(redis->config.password_file, &error);
        if (!redis->password) {
            redis_lose(redis, REDIS_LOST, error);
            free(error);
            return;
        }
    }
    redis_arm(redis->connect_limit, redis->config.connect_timeout_ms);
    redis->dial = redis_dial_start(redis->base, &redis->address, redis->failures, on_dialed, redis);
}

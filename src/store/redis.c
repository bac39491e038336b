/*
 * The life of a connection: wait -> dial -> handshake -> connected -> lost -> wait ...
 *
 * hiredis owns its context: it frees it by itself after a failed connect, after an error and after
 * the disconnect callback, and at those moments nobody else may. So there is one rule here:
 * detach() cuts the tie both ways (context->data = NULL, redis->context = NULL), and whoever calls
 * detach knows whether hiredis is freeing already or drop() has to. A context without data is
 * nobody's, and its callbacks do nothing.
 *
 * Replies come in the order of the commands, so the commands in flight are a queue of our own and
 * hiredis gets no pointer to them: whatever it does with its callbacks later, ours have been called
 * once and are gone.
 *
 *     sent      on the connection, oldest first
 *     deferred  ended already (not connected, busy); called back from the loop by one shared event
 *     ending    what that event is working on
 */
#include "store/redis.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "store/redis_request.h"
#include "store/redis_dial.h"
#include "store/redis_url.h"
#include "store/scripts.h"

#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   5000
#define STEADY_MS        1000  /* a connection that lived so long starts a new backoff */
#define GRACE_MS         20    /* see on_reply_limit */
#define REPEAT_REASON_MS 60000 /* the same reason is logged once in so long */

struct redis {
    struct event_base *base;
    struct redis_address address;
    struct redis_config config; /* its texts are our copies */
    char *where;                /* the address for the log */
    char *password;             /* from the file, between dial and handshake */

    struct redis_dial *dial;
    redisAsyncContext *context;
    bool is_connected, is_freed;
    unsigned holds; /* calls to the outside under way; freed when they have returned */
    struct event *next_attempt, *connect_limit, *reply_limit, *run_deferred;

    unsigned failures; /* connections in a row that failed or did not last */
    int64_t connected_at_ms;
    char last_reason[128];
    int64_t last_reason_ms;

    struct redis_request_queue sent, deferred, ending;
    size_t in_flight;
    uint64_t replies, replies_at_grace; /* see on_reply_limit */
};

static void arm(struct event *timer, int64_t delay_ms)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    evtimer_add(timer, &delay);
}

/* Between hold and release the struct stays, also when a callback frees the connection. */
static void hold(struct redis *redis)
{
    redis->holds++;
}

static void release(struct redis *redis)
{
    if (--redis->holds > 0 || !redis->is_freed)
        return;
    free(redis->where);
    free((char *)redis->config.name);
    free((char *)redis->config.password_file);
    redis_address_clear(&redis->address);
    free(redis);
}

/* Commands: ending them */

static const char *result_name(enum redis_status status)
{
    static const char *const names[] = {"done", "error", "no_memory", "lost", "timeout", "busy"};

    return names[status];
}

static void end_request(struct redis *redis, struct redis_request *request,
                        enum redis_status status, const redisReply *reply)
{
    if (!request->is_handshake) {
        metric_add(M_REDIS_COMMANDS, 1, result_name(status), NULL, NULL);
        if (reply && !redis->config.has_blocking_reads)
            metric_observe(M_REDIS_DURATION, (double)(clock_tick_us() - request->sent_us) / 1e6,
                           NULL);
    }
    if (request->cb)
        request->cb(status, reply, request->arg);
    free(request);
}

static void end_all(struct redis *redis, struct redis_request_queue *queue,
                    enum redis_status status)
{
    struct redis_request *request;

    while ((request = STAILQ_FIRST(queue))) {
        STAILQ_REMOVE_HEAD(queue, next);
        if (queue == &redis->sent)
            redis->in_flight--;
        else
            status = request->status;
        end_request(redis, request, status, NULL);
    }
}

static void defer(struct redis *redis, struct redis_request *request, enum redis_status status)
{
    request->status = status;
    STAILQ_INSERT_TAIL(&redis->deferred, request, next);
    if (!redis->is_freed)
        event_active(redis->run_deferred, EV_TIMEOUT, 0);
}

/* What the callbacks send now is not ended in this round, else a caller that tries again at once
 * would keep the loop here. */
static void on_run_deferred(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    hold(redis);
    STAILQ_CONCAT(&redis->ending, &redis->deferred);
    end_all(redis, &redis->ending, REDIS_LOST);
    release(redis);
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

static redisAsyncContext *detach(struct redis *redis)
{
    redisAsyncContext *context = redis->context;

    if (context)
        context->data = NULL;
    redis->context = NULL;
    return context;
}

/* The context is gone, or is being freed by hiredis. reason may lie in it. */
static void lose(struct redis *redis, enum redis_status status, const char *reason)
{
    bool was_connected = redis->is_connected;
    int64_t retry_ms;

    detach(redis);
    if (was_connected && clock_tick_ms() - redis->connected_at_ms >= STEADY_MS)
        redis->failures = 0;
    retry_ms = backoff_ms(redis->failures++);
    log_reason(redis, reason[0] ? reason : "unknown", retry_ms);
    evtimer_del(redis->connect_limit);
    evtimer_del(redis->reply_limit);
    arm(redis->next_attempt, retry_ms);
    redis->is_connected = false;

    hold(redis);
    end_all(redis, &redis->sent, status);
    if (was_connected && !redis->is_freed && redis->config.state)
        redis->config.state(false, redis->config.arg);
    release(redis);
}

/* Not from hiredis' connect and disconnect callbacks: it goes on to use the context after those.
 * From a reply's callback it is fine, the context is then freed a moment later. */
static void drop(struct redis *redis, enum redis_status status, const char *reason)
{
    char kept[sizeof(redis->last_reason)];
    redisAsyncContext *context = detach(redis);

    snprintf(kept, sizeof(kept), "%s", reason);
    if (context)
        redisAsyncFree(context);
    lose(redis, status, kept);
}

static void on_connect_limit(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    if (redis->dial)
        redis_dial_cancel(redis->dial);
    redis->dial = NULL;
    drop(redis, REDIS_LOST, "no connection within the connect timeout");
}

/*
 * The oldest command is overdue, or seems so: when this process was stopped or busy for long, its
 * reply may be lying in the socket. So the connection is dropped only when a moment for reading
 * brought no reply at all.
 */
static void on_reply_limit(evutil_socket_t fd, short what, void *arg)
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
        arm(redis->reply_limit, left_ms);
    } else if (redis->replies_at_grace != redis->replies) {
        redis->replies_at_grace = redis->replies;
        arm(redis->reply_limit, GRACE_MS);
    } else {
        drop(redis, REDIS_TIMEOUT, "no reply within the command timeout");
    }
}

/* Replies */

static void send_request(struct redis *redis, struct redis_request *request);

static void on_reply(redisAsyncContext *context, void *reply_arg, void *unused)
{
    struct redis *redis = context->data;
    const redisReply *reply = reply_arg;
    struct redis_request *request;
    enum redis_status status;
    bool must_drop;

    (void)unused;
    if (!redis)
        return;
    if (!reply) {
        lose(redis, REDIS_LOST, context->c.errstr);
        return;
    }
    request = STAILQ_FIRST(&redis->sent);
    if (!request)
        return;
    STAILQ_REMOVE_HEAD(&redis->sent, next);
    redis->in_flight--;
    redis->replies++;
    status = redis_reply_status(reply);
    if (status == REDIS_ERROR && request->script && redis_reply_is_error(reply, "NOSCRIPT")) {
        send_request(redis, redis_request_as_eval(request));
        free(request);
        return;
    }
    hold(redis);
    end_request(redis, request, status, redis_status_has_reply(status) ? reply : NULL);
    must_drop = !redis->is_freed && redis->context == context && status == REDIS_LOST;
    release(redis);
    if (must_drop)
        drop(redis, REDIS_LOST, reply->str);
}

/* Commands: sending them */

static void send_request(struct redis *redis, struct redis_request *request)
{
    if (!redis->context || redisAsyncFormattedCommand(redis->context, on_reply, NULL,
                                                      request->bytes, request->len) != REDIS_OK) {
        defer(redis, request, REDIS_LOST);
        return;
    }
    request->sent_us = clock_tick_us();
    STAILQ_INSERT_TAIL(&redis->sent, request, next);
    redis->in_flight++;
    /* The timer is not stopped when nothing is in flight any more: it sees that by itself, and most
     * commands then cost no change of a timer. */
    if (redis->in_flight == 1 && redis->is_connected && redis->config.command_timeout_ms > 0 &&
        !evtimer_pending(redis->reply_limit, NULL)) {
        redis->replies_at_grace = UINT64_MAX;
        arm(redis->reply_limit, redis->config.command_timeout_ms);
    }
}

/* What cannot be sent is not even formatted. */
static bool refuse(struct redis *redis, redis_cb cb, void *arg)
{
    int64_t limit = redis->config.max_in_flight;

    if (redis->is_connected && (limit == 0 || redis->in_flight < (size_t)limit))
        return false;
    defer(redis, redis_request_new(0, cb, arg), redis->is_connected ? REDIS_BUSY : REDIS_LOST);
    return true;
}

void redis_command(struct redis *redis, size_t argc, const struct str *argv, redis_cb cb, void *arg)
{
    if (!refuse(redis, cb, arg))
        send_request(redis, redis_request_of_words(argc, argv, cb, arg));
}

void redis_script(struct redis *redis, const struct script *script, size_t key_count,
                  const struct str *keys, size_t arg_count, const struct str *args, redis_cb cb,
                  void *arg)
{
    if (!refuse(redis, cb, arg))
        send_request(redis,
                     redis_request_of_script(script, key_count, keys, arg_count, args, cb, arg));
}

/* Connecting */

static void send_handshake_words(struct redis *redis, size_t count, const struct str *words,
                                 redis_cb cb)
{
    struct redis_request *request = redis_request_of_words(count, words, cb, redis);

    request->is_handshake = true;
    send_request(redis, request);
}

/* AUTH and SELECT. The text is like "WRONGPASS invalid ...", never the password itself. */
static void on_necessary(enum redis_status status, const redisReply *reply, void *arg)
{
    if (status == REDIS_ERROR)
        drop(arg, REDIS_LOST, reply->str);
}

/* A name is only a convenience, but without a password this is also the first request, and so gets
 * the answer of a Redis that has too many clients. */
static void on_set_name(enum redis_status status, const redisReply *reply, void *arg)
{
    if (status == REDIS_ERROR && !redis_reply_is_error(reply, "NOPERM"))
        drop(arg, REDIS_LOST, reply->str);
}

/* The answer to the handshake's last word, PING. LOADING and the like have been seen as REDIS_LOST
 * already; a Redis that only refuses writes (MISCONF), or this one request, is connected. */
static void on_ping(enum redis_status status, const redisReply *reply, void *arg)
{
    struct redis *redis = arg;

    (void)reply;
    if (status == REDIS_BUSY) {
        drop(redis, REDIS_LOST, "a script blocks Redis");
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

static void forget_password(struct redis *redis)
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
        lose(redis, REDIS_LOST, context->c.errstr);
}

static void on_disconnect(const redisAsyncContext *context, int status)
{
    struct redis *redis = context->data;

    (void)status;
    if (redis)
        lose(redis, REDIS_LOST, context->c.errstr);
}

static void on_dialed(redisAsyncContext *context, const char *error, void *arg)
{
    struct redis *redis = arg;

    redis->dial = NULL;
    if (!context) {
        lose(redis, REDIS_LOST, error);
        return;
    }
    redis->context = context;
    context->data = redis;
    redisAsyncSetConnectCallback(context, on_connect);
    redisAsyncSetDisconnectCallback(context, on_disconnect);
}

static void on_next_attempt(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    forget_password(redis);
    if (redis->config.password_file) {
        char *error = NULL;

        redis->password = redis_password_read(redis->config.password_file, &error);
        if (!redis->password) {
            lose(redis, REDIS_LOST, error);
            free(error);
            return;
        }
    }
    arm(redis->connect_limit, redis->config.connect_timeout_ms);
    redis->dial = redis_dial_start(redis->base, &redis->address, redis->failures, on_dialed, redis);
}

/* Life */

/* NULL, or what is wrong (free() it). */
static char *check_config(const struct redis_config *config, struct redis_address *address)
{
    const char *problem = redis_url_parse(config->url, address);
    char *error = NULL, *password;

    if (problem)
        return xasprintf("%s", problem);
    if (config->password_file && config->password_file[0]) {
        password = redis_password_read(config->password_file, &error);
        if (password)
            explicit_bzero(password, strlen(password));
        free(password);
    }
    if (error)
        redis_address_clear(address);
    return error;
}

struct redis *redis_new(struct event_base *base, const struct redis_config *config, char **error)
{
    struct redis_address address;
    char *problem = check_config(config, &address);
    struct redis *redis;

    if (problem) {
        *error = problem;
        return NULL;
    }
    redis = xcalloc(1, sizeof(*redis));
    redis->base = base;
    redis->address = address;
    redis->where = redis_address_text(&address);
    redis->config = *config;
    redis->config.url = NULL; /* the address has it, and without copies of its password */
    redis->config.name = xstrdup(config->name);
    redis->config.password_file =
        config->password_file && config->password_file[0] ? xstrdup(config->password_file) : NULL;
    STAILQ_INIT(&redis->sent);
    STAILQ_INIT(&redis->deferred);
    STAILQ_INIT(&redis->ending);
    redis->next_attempt = evtimer_new(base, on_next_attempt, redis);
    redis->connect_limit = evtimer_new(base, on_connect_limit, redis);
    redis->reply_limit = evtimer_new(base, on_reply_limit, redis);
    redis->run_deferred = evtimer_new(base, on_run_deferred, redis);
    arm(redis->next_attempt, 0);
    return redis;
}

void redis_free(struct redis *redis)
{
    redisAsyncContext *context;

    if (!redis || redis->is_freed)
        return;
    redis->is_freed = true;
    redis->is_connected = false;
    event_free(redis->next_attempt);
    event_free(redis->connect_limit);
    event_free(redis->reply_limit);
    event_free(redis->run_deferred);
    if (redis->dial)
        redis_dial_cancel(redis->dial);
    context = detach(redis);
    if (context)
        redisAsyncFree(context);
    hold(redis);
    end_all(redis, &redis->sent, REDIS_LOST);
    end_all(redis, &redis->ending, REDIS_LOST);
    while (!STAILQ_EMPTY(&redis->deferred))
        end_all(redis, &redis->deferred, REDIS_LOST);
    forget_password(redis);
    release(redis);
}

bool redis_is_connected(const struct redis *redis)
{
    return redis->is_connected;
}

size_t redis_in_flight(const struct redis *redis)
{
    return redis->in_flight;
}

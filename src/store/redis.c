/* Commands: sending them, their replies, and their end when the connection is lost. */
#include "store/redis_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"

#include <stdlib.h>

void redis_hold(struct redis *redis)
{
    redis->holds++;
}

void redis_release(struct redis *redis)
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

void redis_end_all(struct redis *redis, struct redis_request_queue *queue, enum redis_status status)
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
    redis_hold(redis);
    STAILQ_CONCAT(&redis->ending, &redis->deferred);
    redis_end_all(redis, &redis->ending, REDIS_LOST);
    redis_release(redis);
}

/* Replies */

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
        redis_lose(redis, REDIS_LOST, context->c.errstr);
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
        redis_send_request(redis, redis_request_as_eval(request));
        free(request);
        return;
    }
    redis_hold(redis);
    end_request(redis, request, status, redis_status_has_reply(status) ? reply : NULL);
    must_drop = !redis->is_freed && redis->context == context && status == REDIS_LOST;
    redis_release(redis);
    if (must_drop)
        redis_drop(redis, REDIS_LOST, reply->str);
}

/* Commands: sending them */

void redis_send_request(struct redis *redis, struct redis_request *request)
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
        redis_arm(redis->reply_limit, redis->config.command_timeout_ms);
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
        redis_send_request(redis, redis_request_of_words(argc, argv, cb, arg));
}

void redis_script(struct redis *redis, const struct script *script, size_t key_count,
                  const struct str *keys, size_t arg_count, const struct str *args, redis_cb cb,
                  void *arg)
{
    if (!refuse(redis, cb, arg))
        redis_send_request(
            redis, redis_request_of_script(script, key_count, keys, arg_count, args, cb, arg));
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
    redis->next_attempt = evtimer_new(base, redis_on_next_attempt, redis);
    redis->connect_limit = evtimer_new(base, redis_on_connect_limit, redis);
    redis->reply_limit = evtimer_new(base, redis_on_reply_limit, redis);
    redis->run_deferred = evtimer_new(base, on_run_deferred, redis);
    redis_arm(redis->next_attempt, 0);
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
    context = redis_detach(redis);
    if (context)
        redisAsyncFree(context);
    redis_hold(redis);
    redis_end_all(redis, &redis->sent, REDIS_LOST);
    redis_end_all(redis, &redis->ending, REDIS_LOST);
    while (!STAILQ_EMPTY(&redis->deferred))
        redis_end_all(redis, &redis->deferred, REDIS_LOST);
    redis_forget_password(redis);
    redis_release(redis);
}

bool redis_is_connected(const struct redis *redis)
{
    return redis->is_connected;
}

size_t redis_in_flight(const struct redis *redis)
{
    return redis->in_flight;
}

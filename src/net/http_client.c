/*
 * evhttp parses and keeps the connection's state; this file decides. Where evhttp 2.1 leaves us
 * alone:
 *
 *  - It reports failures without their cause. While it connects, we stand in front of its event
 *    callback (watch_connecting), and when it resets a connection, its close callback comes while
 *    the socket and the SSL still know why (on_close).
 *  - Its timeouts are per step. We have one timer, which is not moved with each request: it finds
 *    out what to do when it fires (set_deadline).
 *  - It waits for any number of bytes of a first line or a chunk. We watch the input (on_input).
 *  - It skips 100 only, and calls an answer without a length finished when it says keep-alive. We
 *    look at each header ourselves (on_header).
 *  - It must not be freed inside its callbacks. `depth` counts those we are in.
 */
#include "net/http_client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/http_answer.h"
#include "net/http_link.h"
#include "net/tls.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/bufferevent_struct.h>
#include <event2/event_struct.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum state {
    STATE_IDLE,     /* also before the first request */
    STATE_WAITING,  /* for the end of the answer's header */
    STATE_DRAINING, /* the result has been reported, the body is still coming */
    STATE_DEAD,
};

#define NO_TIMER    INT64_MAX
#define INPUT_SLACK 16384 /* what one read may bring beyond the limits */

struct http_client {
    struct evhttp_connection *connection; /* NULL: given up */
    struct bufferevent *bev;              /* the connection's */
    SSL *ssl;                             /* bev's; NULL = plain */
    char *constant_lines; /* of each request's head: "<authority>CRLF User-Agent: ..." */
    int64_t connect_timeout_ms, discard_time_ms;
    size_t max_input_bytes, max_header_bytes;
    void (*idle)(struct http_client *client, void *arg);
    void (*closed)(struct http_client *client, void *arg);
    void *arg;

    enum state state;
    bool is_freed;
    bool is_posting;    /* inside http_client_post */
    bool is_connected;  /* has been */
    bool may_be_reused; /* by the answer's header */
    bool must_close;    /* too much input: on_kick closes the connection */
    bool has_failure;
    unsigned depth;
    bufferevent_event_cb evhttp_connect_cb; /* evhttp's own, while connecting */

    http_result_cb cb;
    void *cb_arg;
    struct http_result failure; /* with has_failure: goes before what evhttp says */
    enum evhttp_request_error evhttp_error;
    size_t answer_bytes;

    struct event timer;
    int64_t timer_at;  /* tick; NO_TIMER */
    int64_t deadline;  /* tick */
    struct event kick; /* work that has to wait for the next turn of the loop */

    int64_t born_at, idle_since;
    uint64_t requests;
};

/* Ends, failures */

static void drop_connection(struct http_client *client)
{
    if (!client->connection)
        return;
    evhttp_connection_set_closecb(client->connection, NULL, NULL);
    evhttp_connection_free(client->connection);
    client->connection = NULL;
    client->bev = NULL;
    client->ssl = NULL;
}

static void destroy(struct http_client *client)
{
    event_del(&client->timer);
    event_del(&client->kick);
    drop_connection(client);
    free(client->constant_lines);
    free(client);
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    client->is_freed = true;
    client->state = STATE_DEAD;
    if (client->depth == 0)
        destroy(client);
    else
        event_active(&client->kick, EV_TIMEOUT, 1);
}

static void note_failure(struct http_client *client, enum http_outcome outcome, const char *reason)
{
    if (client->has_failure)
        return;
    client->has_failure = true;
    client->failure = (struct http_result){
        .outcome = outcome,
        .retry_after_ms = -1,
        .reason = reason,
    };
}

static void become_closed(struct http_client *client)
{
    client->state = STATE_DEAD;
    client->closed(client, client->arg);
}

static void report_failure(struct http_client *client)
{
    client->failure.was_reused = client->requests > 1 && client->answer_bytes == 0;
    client->state = STATE_DEAD;
    client->cb(&client->failure, client->cb_arg);
    if (!client->is_freed)
        become_closed(client);
}

/* For failures that evhttp doesn't know of; not inside its callbacks. */
static void fail(struct http_client *client, enum http_outcome outcome, const char *reason)
{
    note_failure(client, outcome, reason);
    drop_connection(client);
    report_failure(client);
}

static void note_connect_failure(struct http_client *client, int error)
{
    if (http_link_is_own_fault(error))
        note_failure(client, HTTP_OWN_FAULT, strerror(error));
    else if (client->ssl && BIO_number_written(SSL_get_wbio(client->ssl)) > 0)
        note_failure(client, HTTP_TLS_FAILED, tls_failure_reason(client->ssl, client->bev));
    else
        note_failure(client, HTTP_CONNECT_FAILED, error ? strerror(error) : "connecting failed");
}

/* Time */

static void start_timer(struct http_client *client, int64_t now, int64_t delay_ms)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    client->timer_at = now + delay_ms;
    event_add(&client->timer, &delay);
}

/* A timer that is pending for an earlier moment stays: on_timer waits for the rest then. So a busy
 * connection starts a timer once per timeout, not with each request. */
static void set_deadline(struct http_client *client, int64_t delay_ms)
{
    int64_t now = clock_tick_ms();
    int64_t look_after_ms = delay_ms;

    client->deadline = now + delay_ms;
    if (!client->is_connected && client->connect_timeout_ms < delay_ms)
        look_after_ms = client->connect_timeout_ms;
    if (client->timer_at > now + look_after_ms)
        start_timer(client, now, look_after_ms);
}

static void on_deadline(struct http_client *client, int64_t now)
{
    bool is_over = now >= client->deadline;

    if (client->state == STATE_DRAINING && is_over) {
        drop_connection(client);
        become_closed(client);
    } else if (client->state == STATE_WAITING && !client->is_connected &&
               http_link_is_connecting(client->bev)) {
        fail(client, HTTP_CONNECT_FAILED, strerror(ETIMEDOUT));
    } else if (client->state == STATE_WAITING && is_over) {
        fail(client, HTTP_TIMED_OUT,
             client->is_connected ? "no answer in time" : "no TLS handshake in time");
    } else {
        start_timer(client, now, client->deadline - now);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;
    int64_t now = clock_tick_ms();
    int64_t planned = client->timer_at;

    (void)fd;
    (void)what;
    client->timer_at = NO_TIMER;
    if (client->state != STATE_WAITING && client->state != STATE_DRAINING)
        return;
    client->depth++;
    if (now < planned) /* the loop's clock is a little behind ours */
        start_timer(client, now, planned - now);
    else
        on_deadline(client, now);
    client->depth--;
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *client = arg;

    (void)fd;
    (void)what;
    if (client->is_freed) {
        destroy(client);
        return;
    }
    client->depth++;
    if (client->state == STATE_WAITING && client->has_failure) {
        drop_connection(client);
        report_failure(client);
    } else if (client->state == STATE_DRAINING && client->must_close) {
        drop_connection(client);
        become_closed(client);
    }
    client->depth--;
}

/* Connecting */

/* Stands in for evhttp's event callback until the connection is made or has failed. */
static void on_connect_event(struct bufferevent *bev, short what, void *arg)
{
    struct http_client *client = arg;
    int error = EVUTIL_SOCKET_ERROR();

    client->depth++;
    client->is_connected = (what & BEV_EVENT_CONNECTED) != 0;
    if (!client->is_connected)
        note_connect_failure(client, error);
    EVUTIL_SET_SOCKET_ERROR(error); /* evhttp looks at it */
    bufferevent_setcb(bev, NULL, NULL, client->evhttp_connect_cb, client->connection);
    client->evhttp_connect_cb(bev, what, client->connection);
    if (client->is_connected)
        bufferevent_set_timeouts(bev, NULL, NULL);
    client->depth--;
}

/* After evhttp has begun to connect. */
static void watch_connecting(struct http_client *client)
{
    bufferevent_getcb(client->bev, NULL, NULL, &client->evhttp_connect_cb, NULL);
    if (!client->evhttp_connect_cb) /* failed at once: on_kick reports it */
        return;
    bufferevent_setcb(client->bev, NULL, NULL, on_connect_event, client);
    bufferevent_set_timeouts(client->bev, NULL, NULL);
    http_link_tune(client->bev);
}

/* The answer */

static void report_answer(struct http_client *client, const struct http_answer *answer)
{
    struct http_result result = {
        .outcome = HTTP_ANSWERED,
        .status = answer->status,
        .retry_after_ms = answer->retry_after_ms,
        .location = answer->location,
        .reason = "answered",
    };

    client->may_be_reused = answer->may_be_reused;
    client->state = STATE_DRAINING;
    client->cb(&result, client->cb_arg);
}

/* evhttp goes on waiting after a 100, so all interim answers are made one. It would wait for its
 * write callback first: over TLS nothing causes that, as there is nothing to write, and over plain
 * TCP an end of the connection right behind the real answer would come before it. */
static void skip_interim(struct http_client *client, struct evhttp_request *request)
{
    evhttp_clear_headers(request->input_headers);
    request->response_code = 100;
    bufferevent_trigger(client->bev, EV_WRITE, BEV_TRIG_DEFER_CALLBACKS);
}

/* -1 makes evhttp close the connection. */
static int on_header(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;
    struct http_answer answer;
    size_t at_hand;

    if (client->is_freed)
        return -1;
    http_answer_read(request, &answer);
    if (answer.status == 0) {
        note_failure(client, HTTP_MALFORMED, "not an HTTP/1 answer to a POST");
        return -1;
    }
    if (answer.is_interim) {
        skip_interim(client, request);
        return 0;
    }
    client->depth++;
    report_answer(client, &answer);
    client->depth--;
    if (client->is_freed)
        return -1;
    at_hand = evbuffer_get_length(bufferevent_get_input(client->bev));
    if (answer.content_length < 0 || (uint64_t)answer.content_length > at_hand)
        set_deadline(client, client->discard_time_ms);
    return 0;
}

static void on_body(struct evhttp_request *request, void *arg)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(request);

    (void)arg;
    evbuffer_drain(body, evbuffer_get_length(body));
}

static void on_error(enum evhttp_request_error error, void *arg)
{
    struct http_client *client = arg;

    client->evhttp_error = error;
}

static void note_what_evhttp_says(struct http_client *client)
{
    if (!client->is_connected)
        note_connect_failure(client, EVUTIL_SOCKET_ERROR());
    else if (client->evhttp_error != EVREQ_HTTP_INVALID_HEADER)
        note_failure(client, HTTP_RESET, "connection closed before the answer");
    else if (client->answer_bytes > client->max_header_bytes)
        note_failure(client, HTTP_MALFORMED, "answer header too large");
    else
        note_failure(client, HTTP_MALFORMED, "not an HTTP answer");
}

static void on_body_end(struct http_client *client, bool is_whole)
{
    if (!is_whole || !client->may_be_reused || client->must_close ||
        evbuffer_get_length(bufferevent_get_input(client->bev)) > 0) {
        become_closed(client);
        return;
    }
    client->state = STATE_IDLE;
    client->idle_since = clock_tick_ms();
    client->idle(client, client->arg);
}

/* evhttp is done with the request; it failed when request is NULL or has no status. */
static void on_complete(struct evhttp_request *request, void *arg)
{
    struct http_client *client = arg;

    client->depth++;
    if (client->state == STATE_DRAINING) {
        on_body_end(client, request && request->response_code != 0);
    } else if (client->state == STATE_WAITING) {
        note_what_evhttp_says(client);
        if (client->is_posting)
            event_active(&client->kick, EV_TIMEOUT, 1);
        else
            report_failure(client);
    }
    client->depth--;
}

/* evhttp is about to reset the connection; what went wrong can still be asked. */
static void on_close(struct evhttp_connection *connection, void *arg)
{
    struct http_client *client = arg;
    unsigned long error;

    (void)connection;
    client->depth++;
    if (client->state == STATE_WAITING && client->ssl) {
        error = bufferevent_get_openssl_error(client->bev);
        /* TLS 1.3: a server that wants another certificate says so after our handshake. */
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_reason_error_string(error))
            note_failure(client, HTTP_TLS_FAILED, ERR_reason_error_string(error));
    } else if (client->state == STATE_IDLE) {
        become_closed(client);
    }
    client->depth--;
}

static void close_later(struct http_client *client)
{
    client->must_close = true;
    event_active(&client->kick, EV_TIMEOUT, 1);
}

/* Sees all input before evhttp does. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    static const char prefix[] = "HTTP/1.";
    struct http_client *client = arg;
    char begin[sizeof(prefix) - 1];

    if (info->n_added == 0 || client->state == STATE_IDLE || client->state == STATE_DEAD)
        return;
    if (client->answer_bytes < sizeof(begin)) {
        ev_ssize_t len = evbuffer_copyout(input, begin, sizeof(begin));

        if (len > 0 && memcmp(begin, prefix, (size_t)len) != 0) {
            note_failure(client, HTTP_MALFORMED, "not an HTTP/1 answer");
            close_later(client);
        }
    }
    client->answer_bytes += info->n_added;
    if (evbuffer_get_length(input) > client->max_input_bytes) {
        note_failure(client, HTTP_MALFORMED, "answer header too large");
        close_later(client);
    }
}

/* New clients */

static void add_line(struct buf *lines, const char *name, const char *value)
{
    if (strpbrk(value, "\r\n"))
        return; /* would be more than its line */
    buf_add(lines, "\r\n", 2);
    buf_add_text(lines, name);
    buf_add(lines, ": ", 2);
    buf_add_text(lines, value);
}

static char *constant_lines(const struct http_client_config *config)
{
    struct buf lines = {0};

    buf_add_text(&lines, config->authority);
    add_line(&lines, "User-Agent", config->user_agent);
    add_line(&lines, "Content-Type", "application/json");
    add_line(&lines, "Connection", "keep-alive");
    return buf_take(&lines);
}

struct http_client *http_client_new(const struct http_client_config *config)
{
    struct http_client *client;

    if (config->source && !http_link_can_use(config->source)) {
        SSL_free(config->ssl);
        return NULL;
    }
    client = xcalloc(1, sizeof(*client));
    client->ssl = config->ssl;
    client->constant_lines = constant_lines(config);
    client->connect_timeout_ms = config->connect_timeout_ms;
    client->discard_time_ms = config->discard_time_ms;
    client->max_header_bytes = (size_t)config->max_response_header_bytes;
    client->max_input_bytes =
        client->max_header_bytes + (size_t)config->discard_body_bytes + INPUT_SLACK;
    client->idle = config->idle;
    client->closed = config->closed;
    client->arg = config->arg;
    client->timer_at = NO_TIMER;
    client->born_at = client->idle_since = clock_tick_ms();
    evtimer_assign(&client->timer, config->base, on_timer, client);
    event_assign(&client->kick, config->base, -1, 0, on_kick, client);
    client->connection = http_link_new(config->base, config->address, config->source, config->ssl);
    client->bev = evhttp_connection_get_bufferevent(client->connection);
    evhttp_connection_set_max_headers_size(client->connection, config->max_response_header_bytes);
    evhttp_connection_set_max_body_size(client->connection, config->discard_body_bytes);
    evhttp_connection_set_closecb(client->connection, on_close, client);
    evbuffer_add_cb(bufferevent_get_input(client->bev), on_input, client);
    return client;
}

/* Sending */

/* evhttp allocates three times for each line it is given, and prints it; with nine lines that was
 * an eighth of what a push costs. So all our lines go as one, the others in the value of the first:
 * Host, for which evhttp looks. It frees key and value. */
static void add_head(struct evkeyvalq *out, const struct http_client *client,
                     const struct http_header *headers, size_t header_count)
{
    struct evkeyval *line = xcalloc(1, sizeof(*line));
    struct buf lines = {0};

    buf_add_text(&lines, client->constant_lines);
    for (size_t i = 0; i < header_count; i++)
        add_line(&lines, headers[i].name, headers[i].value);
    line->key = xstrdup("Host");
    line->value = buf_take(&lines);
    TAILQ_INSERT_TAIL(out, line, next);
}

static struct evhttp_request *new_request(struct http_client *client,
                                          const struct http_header *headers, size_t header_count,
                                          struct str body)
{
    struct evhttp_request *request = evhttp_request_new(on_complete, client);

    if (!request)
        abort();
    add_head(evhttp_request_get_output_headers(request), client, headers, header_count);
    if (body.len > 0)
        evbuffer_add(evhttp_request_get_output_buffer(request), body.p, body.len);
    evhttp_request_set_header_cb(request, on_header);
    evhttp_request_set_chunked_cb(request, on_body);
    evhttp_request_set_error_cb(request, on_error);
    return request;
}

/* Within a millisecond of the last answer asking the kernel would tell nothing new. */
static bool is_still_good(struct http_client *client)
{
    return client->idle_since == clock_tick_ms() || http_link_is_quiet(client->bev);
}

void http_client_post(struct http_client *client, const char *target,
                      const struct http_header *headers, size_t header_count, struct str body,
                      int64_t timeout_ms, http_result_cb cb, void *arg)
{
    assert(client->state == STATE_IDLE);
    client->state = STATE_WAITING;
    client->cb = cb;
    client->cb_arg = arg;
    client->answer_bytes = 0;
    client->evhttp_error = EVREQ_HTTP_EOF;
    client->requests++;
    if (client->is_connected && !is_still_good(client)) {
        note_failure(client, HTTP_RESET, "idle connection closed by the peer");
        event_active(&client->kick, EV_TIMEOUT, 1);
        return;
    }
    set_deadline(client, timeout_ms);
    client->is_posting = true;
    client->depth++;
    if (evhttp_make_request(client->connection, new_request(client, headers, header_count, body),
                            EVHTTP_REQ_POST, target) != 0)
        abort();
    client->depth--;
    client->is_posting = false;
    if (client->is_connected) /* write now: saves the loop from asking epoll whether we may */
        event_active(&client->bev->ev_write, EV_WRITE, 1);
    else
        watch_connecting(client);
}

bool http_client_is_idle(const struct http_client *client)
{
    return client->state == STATE_IDLE;
}

int64_t http_client_idle_since(const struct http_client *client)
{
    return client->state == STATE_IDLE ? client->idle_since : -1;
}

int64_t http_client_born_at(const struct http_client *client)
{
    return client->born_at;
}

uint64_t http_client_requests(const struct http_client *client)
{
    return client->requests;
}

/*
 * Reports over HTTP: keep-alive connections to the device listener, each with one report at a time.
 */
#include "bench/load_private.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "bench/http_scan.h"
#include "bench/target.h"
#include <event2/event_struct.h>
#include <stdlib.h>

#define READ_BYTES   (16 * 1024)
#define ANSWER_MAX   (SCAN_HEAD_MAX + SCAN_BODY_MAX)
#define RECONNECT_US 100000

enum state { DISCONNECTED, CONNECTING, IDLE, BUSY };

struct reporter {
    struct http_load *http;
    struct load *load;
    size_t number_of_all;
    enum state state;
    struct wire wire;
    struct event readable, writable, reconnect;
    struct buf input, output;
    size_t written;
    /* BUSY */
    size_t device;
    uint64_t number;
    int64_t due_us, sent_us;
};

struct http_load {
    struct load *load;
    struct target target;
    size_t count;
    struct reporter *reporters, **idle;
    size_t idle_count;
};

static void become_idle(struct reporter *reporter)
{
    reporter->state = IDLE;
    reporter->http->idle[reporter->http->idle_count++] = reporter;
}

static void leave_idle(struct reporter *reporter)
{
    struct http_load *http = reporter->http;

    for (size_t i = 0; i < http->idle_count; i++) {
        if (http->idle[i] == reporter) {
            http->idle[i] = http->idle[--http->idle_count];
            return;
        }
    }
}

static void disconnect(struct reporter *reporter)
{
    struct timeval pause = {0, RECONNECT_US};
    enum state state = reporter->state;

    if (state == DISCONNECTED)
        return;
    event_del(&reporter->readable);
    event_del(&reporter->writable);
    wire_close(&reporter->wire, false);
    buf_reset(&reporter->input);
    reporter->written = 0;
    reporter->state = DISCONNECTED;
    if (state == IDLE)
        leave_idle(reporter);
    if (state == CONNECTING)
        reporter->load->figures.not_connected++;
    else /* at once: the server has just closed it */
        pause.tv_usec = 0;
    evtimer_add(&reporter->reconnect, &pause);
    if (state == BUSY)
        load_answered(reporter->load, reporter->device, reporter->number, 0, reporter->due_us);
}

static void take_answer(struct reporter *reporter)
{
    struct str input = buf_str(&reporter->input);
    struct http_message answer;
    enum scan scan = http_scan_answer(input, &answer);

    if (scan == SCAN_MORE && input.len < ANSWER_MAX)
        return;
    if (scan != SCAN_WHOLE || reporter->state != BUSY || answer.size_bytes < input.len) {
        disconnect(reporter);
        return;
    }
    buf_reset(&reporter->input);
    become_idle(reporter);
    if (answer.closes)
        disconnect(reporter);
    load_answered(reporter->load, reporter->device, reporter->number, answer.status,
                  reporter->due_us);
    load_pump(reporter->load);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct reporter *reporter = arg;
    char bytes[READ_BYTES];
    ssize_t n;

    (void)fd;
    (void)what;
    do {
        n = wire_read(&reporter->wire, bytes, sizeof(bytes));
        if (n < 0) {
            disconnect(reporter);
            load_pump(reporter->load);
            return;
        }
        if (reporter->wire.wants_write)
            event_add(&reporter->writable, NULL);
        if (n > 0)
            buf_add(&reporter->input, bytes, (size_t)n);
    } while (n > 0 && wire_has_pending(&reporter->wire));
    if (reporter->input.len)
        take_answer(reporter);
}

static void flush(struct reporter *reporter)
{
    struct buf *output = &reporter->output;
    ssize_t n =
        wire_write(&reporter->wire, output->p + reporter->written, output->len - reporter->written);

    if (n < 0) {
        disconnect(reporter);
        return;
    }
    reporter->written += (size_t)n;
    if (reporter->written < output->len)
        event_add(&reporter->writable, NULL);
    else
        reporter->written = output->len;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct reporter *reporter = arg;

    (void)what;
    if (reporter->state == BUSY) {
        flush(reporter);
        return;
    }
    if (reporter->state != CONNECTING)
        return;
    if (target_error(fd)) {
        disconnect(reporter);
        return;
    }
    event_add(&reporter->readable, NULL);
    become_idle(reporter); /* TLS shakes hands with the first request */
    load_pump(reporter->load);
}

static void connect_now(struct reporter *reporter)
{
    struct load *load = reporter->load;
    struct timeval pause = {0, RECONNECT_US};

    if (!target_dial(&reporter->http->target, reporter->number_of_all, &reporter->wire)) {
        load->figures.not_connected++;
        evtimer_add(&reporter->reconnect, &pause);
        return;
    }
    reporter->state = CONNECTING;
    event_assign(&reporter->readable, load->config.base, reporter->wire.fd, EV_READ | EV_PERSIST,
                 on_readable, reporter);
    event_assign(&reporter->writable, load->config.base, reporter->wire.fd, EV_WRITE, on_writable,
                 reporter);
    event_add(&reporter->writable, NULL);
}

static void on_reconnect(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_now(arg);
}

/* ---- the driver ---- */

static void write_request(struct reporter *reporter, struct str body)
{
    const struct fleet_device *device = &reporter->load->config.fleet->devices[reporter->device];
    struct buf *out = &reporter->output;

    buf_reset(out);
    buf_printf(out,
               "POST /v5/devices/%s/sys/properties/report HTTP/1.1\r\nHost: %s\r\n"
               "access_token: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               device->id, reporter->http->target.authority, device->token, body.len);
    buf_add_str(out, body);
}

static bool http_can_send(const void *state)
{
    return ((const struct http_load *)state)->idle_count > 0;
}

static void http_send(void *state, size_t device, uint64_t number, int64_t due_us)
{
    struct http_load *http = state;
    struct reporter *reporter = http->idle[--http->idle_count];

    reporter->state = BUSY;
    reporter->device = device;
    reporter->number = number;
    reporter->due_us = due_us;
    write_request(reporter, body_write(http->load->body, device, number, due_us));
    reporter->sent_us = clock_tick_us();
    reporter->written = 0;
    flush(reporter);
}

static void http_expire(void *state, int64_t oldest_us)
{
    struct http_load *http = state;

    for (size_t i = 0; i < http->count; i++) {
        if (http->reporters[i].state == BUSY && http->reporters[i].sent_us < oldest_us)
            disconnect(&http->reporters[i]);
    }
}

static void http_summarize(const void *state, struct summary *summary, const char *label)
{
    const struct load_figures *figures = &((const struct http_load *)state)->load->figures;

    summary_statuses(summary, "answers", label, figures->statuses, LOAD_STATUSES,
                     figures->unanswered);
    summary_count(summary, "notConnected", "failed to connect", figures->not_connected);
}

static void http_close(void *state)
{
    struct http_load *http = state;

    for (size_t i = 0; i < http->count; i++) {
        struct reporter *reporter = &http->reporters[i];

        event_del(&reporter->reconnect);
        if (reporter->state != DISCONNECTED) {
            event_del(&reporter->readable);
            event_del(&reporter->writable);
            wire_close(&reporter->wire, false);
        }
        buf_clear(&reporter->input);
        buf_clear(&reporter->output);
    }
    target_close(&http->target);
    free(http->reporters);
    free(http->idle);
    free(http);
}

static void *http_open(struct load *load)
{
    const struct fleet *fleet = load->config.fleet;
    struct http_load *http = xcalloc(1, sizeof(*http));

    http->load = load;
    http->count = (size_t)load->config.options->connections;
    http->reporters = xcalloc(http->count, sizeof(*http->reporters));
    http->idle = xcalloc(http->count, sizeof(struct reporter *));
    for (size_t i = 0; i < http->count; i++) {
        struct reporter *reporter = &http->reporters[i];

        reporter->http = http;
        reporter->load = load;
        reporter->number_of_all = i;
        evtimer_assign(&reporter->reconnect, load->config.base, on_reconnect, reporter);
    }
    for (size_t i = 0; i < fleet->device_count; i++)
        load_set_limit(load, i, 1);
    if (target_open(&http->target, fleet->device_url, fleet->ca_file))
        return http;
    http_close(http);
    return NULL;
}

static void http_start(void *state)
{
    struct http_load *http = state;

    for (size_t i = 0; i < http->count; i++)
        connect_now(&http->reporters[i]);
}

const struct driver http_driver = {
    .open = http_open,
    .start = http_start,
    .can_send = http_can_send,
    .send = http_send,
    .expire = http_expire,
    .summarize = http_summarize,
    .close = http_close,
};

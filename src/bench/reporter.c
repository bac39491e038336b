#include "bench/load_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "bench/http_scan.h"
#include "bench/wire.h"
#include <errno.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES   (16 * 1024)
#define ANSWER_MAX   (SCAN_HEAD_MAX + SCAN_BODY_MAX)
#define RECONNECT_US 100000

enum state { DISCONNECTED, CONNECTING, IDLE, BUSY };

struct reporter {
    struct load *load;
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

static void become_idle(struct reporter *reporter)
{
    reporter->state = IDLE;
    reporter->load->idle[reporter->load->idle_count++] = reporter;
}

static void leave_idle(struct reporter *reporter)
{
    struct load *load = reporter->load;

    for (size_t i = 0; i < load->idle_count; i++) {
        if (load->idle[i] == reporter) {
            load->idle[i] = load->idle[--load->idle_count];
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
    ssize_t n = wire_write(&reporter->wire, output->p + reporter->written,
                           output->len - reporter->written);

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
    int error = 0;
    socklen_t len = sizeof(error);

    (void)what;
    if (reporter->state == BUSY) {
        flush(reporter);
        return;
    }
    if (reporter->state != CONNECTING)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error) {
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
    int family = load->address.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct timeval pause = {0, RECONNECT_US};
    bool is_address = strspn(load->host, "0123456789.") == strlen(load->host) ||
                      strchr(load->host, ':') != NULL;
    struct tls_peer peer = {.name = str_of(load->host),
                            .server_name = is_address ? STR_NONE : str_of(load->host)};
    SSL *ssl = NULL;

    if (fd >= 0 && load->tls)
        ssl = tls_client_connect(load->tls, &peer);
    if (fd < 0 || (load->tls && !ssl) ||
        (connect(fd, (struct sockaddr *)&load->address, load->address_len) < 0 &&
         errno != EINPROGRESS)) {
        load->figures.not_connected++;
        SSL_free(ssl);
        if (fd >= 0)
            close(fd);
        evtimer_add(&reporter->reconnect, &pause);
        return;
    }
    wire_connect(&reporter->wire, fd, ssl);
    reporter->state = CONNECTING;
    event_assign(&reporter->readable, load->config.base, fd, EV_READ | EV_PERSIST, on_readable,
                 reporter);
    event_assign(&reporter->writable, load->config.base, fd, EV_WRITE, on_writable, reporter);
    event_add(&reporter->writable, NULL);
}

static void on_reconnect(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    connect_now(arg);
}

struct reporter *reporter_new(struct load *load)
{
    struct reporter *reporter = xcalloc(1, sizeof(*reporter));

    reporter->load = load;
    evtimer_assign(&reporter->reconnect, load->config.base, on_reconnect, reporter);
    connect_now(reporter);
    return reporter;
}

void reporter_free(struct reporter *reporter)
{
    if (!reporter)
        return;
    event_del(&reporter->reconnect);
    if (reporter->state != DISCONNECTED) {
        event_del(&reporter->readable);
        event_del(&reporter->writable);
        wire_close(&reporter->wire, false);
    }
    buf_clear(&reporter->input);
    buf_clear(&reporter->output);
    free(reporter);
}

struct buf *reporter_output(struct reporter *reporter)
{
    return &reporter->output;
}

void reporter_send(struct reporter *reporter, size_t device, uint64_t number, int64_t due_us)
{
    reporter->state = BUSY;
    reporter->device = device;
    reporter->number = number;
    reporter->due_us = due_us;
    reporter->sent_us = clock_tick_us();
    reporter->written = 0;
    flush(reporter);
}

void reporter_expire(struct reporter *reporter, int64_t oldest_us)
{
    if (reporter && reporter->state == BUSY && reporter->sent_us < oldest_us)
        disconnect(reporter);
}

#include "bench/loop.h"

#include "base/mem.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_SIZE 200

struct loop {
    struct event_base *base;
    struct event *signals[2], *second, *end;
    bool was_interrupted;
    loop_line_cb line;
    void *line_arg;
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct loop *loop = arg;

    (void)number;
    (void)what;
    loop->was_interrupted = true;
    event_base_loopbreak(loop->base);
}

void loop_clear_line(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

void loop_remark(const char *format, ...)
{
    va_list args;

    if (!isatty(STDERR_FILENO))
        return;
    loop_clear_line();
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fflush(stderr);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    event_base_loopbreak(loop->base);
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    char line[LINE_SIZE] = "";

    (void)fd;
    (void)what;
    if (!loop->line)
        return;
    loop->line(line, sizeof(line), loop->line_arg);
    loop_remark("%s", line);
}

struct loop *loop_new(void)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    struct loop *loop = xcalloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    struct timeval second = {1, 0};

    signal(SIGPIPE, SIG_IGN);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    /* epoll's own time-outs are whole milliseconds: as long as what is measured. */
    event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (!loop->base) {
        fputs("iotpush-bench: there is no event loop to be had\n", stderr);
        exit(1);
    }
    for (int i = 0; i < 2; i++) {
        loop->signals[i] = evsignal_new(loop->base, numbers[i], on_signal, loop);
        evsignal_add(loop->signals[i], NULL);
    }
    loop->second = event_new(loop->base, -1, EV_PERSIST, on_second, loop);
    event_add(loop->second, &second);
    loop->end = evtimer_new(loop->base, on_end, loop);
    return loop;
}

void loop_free(struct loop *loop)
{
    for (int i = 0; i < 2; i++)
        event_free(loop->signals[i]);
    event_free(loop->second);
    event_free(loop->end);
    event_base_free(loop->base);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

void loop_run(struct loop *loop, int64_t time_ms)
{
    struct timeval time = {time_ms / 1000, time_ms % 1000 * 1000};

    if (loop->was_interrupted)
        return;
    if (time_ms > 0)
        evtimer_add(loop->end, &time);
    event_base_dispatch(loop->base);
    evtimer_del(loop->end);
}

void loop_stop(struct loop *loop)
{
    event_base_loopbreak(loop->base);
}

bool loop_poll(struct loop *loop)
{
    if (!loop->was_interrupted)
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
    return loop->was_interrupted;
}

void loop_forgive(struct loop *loop)
{
    loop->was_interrupted = false;
}

void loop_show(struct loop *loop, loop_line_cb cb, void *arg)
{
    loop->line = cb;
    loop->line_arg = arg;
    if (!cb)
        loop_clear_line();
}

#include "bench/load_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include <stdlib.h>

#define PACE_US  100 /* shortest sleep: what is due within it goes together */
#define SWEEP_MS 250

/* ---- devices ---- */

static bool may_report(const struct load_device *device)
{
    return device->in_flight < device->limit &&
           (!device->window || device->unsettled < device->window);
}

static void make_ready(struct load *load, size_t index)
{
    struct load_device *device = &load->devices[index];

    if (device->is_ready || !may_report(device))
        return;
    device->is_ready = true;
    load->ready[(load->ready_first + load->ready_count++) % load->config.fleet->device_count] =
        index;
}

static size_t take_ready(struct load *load)
{
    size_t index = load->ready[load->ready_first];

    if (++load->ready_first == load->config.fleet->device_count)
        load->ready_first = 0;
    load->ready_count--;
    load->devices[index].is_ready = false;
    return index;
}

void load_set_limit(struct load *load, size_t index, size_t limit)
{
    load->devices[index].limit = limit;
    if (load->is_running)
        make_ready(load, index);
}

/* ---- pace ---- */

static bool has_more(const struct load *load)
{
    uint64_t events = (uint64_t)load->config.options->events;

    return load->is_running && (!events || load->figures.sent < events);
}

static int64_t due_time(const struct load *load)
{
    return load->start_us + (int64_t)((double)load->figures.sent * 1e6 / (double)load->config.rate);
}

static void wait_until_due(struct load *load, int64_t time_us)
{
    int64_t sleep_us = time_us < PACE_US ? PACE_US : time_us;
    struct timeval sleep = {sleep_us / 1000000, sleep_us % 1000000};

    if (!evtimer_pending(load->pace, NULL))
        evtimer_add(load->pace, &sleep);
}

static void send_report(struct load *load, size_t index, int64_t due_us)
{
    struct load_device *device = &load->devices[index];
    uint64_t number = device->next++;

    device->in_flight++;
    device->unsettled++;
    load->figures.sent++;
    load->figures.in_flight++;
    load->config.sent(index, number, load->config.arg);
    load->driver->send(load->state, index, number, due_us);
}

static bool can_send(const struct load *load)
{
    return load->ready_count > 0 && has_more(load) &&
           (!load->driver->can_send || load->driver->can_send(load->state));
}

void load_pump(struct load *load)
{
    while (can_send(load)) {
        int64_t now_us = clock_tick_us();
        int64_t due_us = load->config.rate ? due_time(load) : now_us;
        size_t index;

        if (due_us > now_us) {
            wait_until_due(load, due_us - now_us);
            return;
        }
        index = take_ready(load);
        if (may_report(&load->devices[index])) /* it was when it came into the queue */
            send_report(load, index, due_us);
        make_ready(load, index); /* behind the others */
    }
}

static void on_pace(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    load_pump(arg);
}

void load_answered(struct load *load, size_t index, uint64_t number, int status, int64_t due_us)
{
    struct load_figures *figures = &load->figures;
    bool is_accepted = status / 100 == 2;

    figures->in_flight--;
    if (status > 0 && status < LOAD_STATUSES)
        figures->statuses[status]++;
    else
        figures->unanswered++;
    if (is_accepted) {
        figures->accepted++;
        histogram_add(&figures->times, clock_tick_us() - due_us);
    } else {
        figures->failed++;
    }
    load->devices[index].in_flight--;
    load->config.answered(index, number, is_accepted, load->config.arg);
    make_ready(load, index);
}

void load_settle(struct load *load, size_t device)
{
    if (load->devices[device].unsettled > 0)
        load->devices[device].unsettled--;
    make_ready(load, device);
    load_pump(load);
}

/* ---- life ---- */

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct load *load = arg;

    (void)fd;
    (void)what;
    load->driver->expire(load->state, clock_tick_us() - load->config.options->timeout_ms * 1000);
    load_pump(load);
}

struct load *load_new(const struct load_config *config)
{
    struct load *load = xcalloc(1, sizeof(*load));
    size_t devices = config->fleet->device_count;

    load->config = *config;
    load->driver = config->fleet->is_mqtt ? &mqtt_driver : &http_driver;
    load->body =
        body_new((enum dialect)config->options->dialect, (size_t)config->options->payload_bytes);
    load->devices = xcalloc(devices, sizeof(*load->devices));
    load->ready = xcalloc(devices, sizeof(*load->ready));
    load->pace = evtimer_new(config->base, on_pace, load);
    load->sweep = event_new(config->base, -1, EV_PERSIST, on_sweep, load);
    load->state = load->driver->open(load);
    if (load->state)
        return load;
    load_free(load);
    return NULL;
}

enum bench_exit load_connect(struct load *load, struct loop *loop)
{
    return load->driver->connect ? load->driver->connect(load->state, loop) : BENCH_DONE;
}

void load_start(struct load *load)
{
    struct timeval sweep = {0, SWEEP_MS * 1000};

    load->is_running = true;
    load->start_us = clock_tick_us();
    for (size_t i = 0; i < load->config.fleet->device_count; i++) {
        load->devices[i].window = load->config.window(i, load->config.arg);
        make_ready(load, i);
    }
    event_add(load->sweep, &sweep);
    load->driver->start(load->state);
    load_pump(load);
}

void load_stop(struct load *load)
{
    load->is_running = false;
    event_del(load->pace);
}

bool load_is_over(const struct load *load)
{
    return !has_more(load) && load->figures.in_flight == 0;
}

const struct load_figures *load_figures(const struct load *load)
{
    return &load->figures;
}

void load_summarize(const struct load *load, struct summary *summary, const char *label)
{
    load->driver->summarize(load->state, summary, label);
}

void load_free(struct load *load)
{
    if (!load)
        return;
    if (load->state)
        load->driver->close(load->state);
    event_free(load->pace);
    event_free(load->sweep);
    body_free(load->body);
    free(load->ready);
    free(load->devices);
    free(load);
}

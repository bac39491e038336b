#include "bench/load.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"
#include "bench/http_scan.h"
#include "bench/load_private.h"
#include <stdlib.h>

#define PACE_US  100 /* shortest sleep: what is due within it goes together */
#define SWEEP_MS 250

/* ---- devices ---- */

static void make_ready(struct load *load, size_t index)
{
    struct load_device *device = &load->devices[index];

    if (device->is_busy || device->is_ready ||
        (device->window && device->unsettled >= device->window))
        return;
    device->is_ready = true;
    load->ready[(load->ready_first + load->ready_count++) % load->config.fleet->device_count] =
        index;
}

static size_t take_ready(struct load *load)
{
    size_t index = load->ready[load->ready_first];

    load->ready_first = (load->ready_first + 1) % load->config.fleet->device_count;
    load->ready_count--;
    load->devices[index].is_ready = false;
    return index;
}

/* ---- bodies ---- */

static struct str write_body(struct load *load, size_t device, uint64_t number, int64_t due_us,
                             size_t filler)
{
    struct json_writer *w = load->json;

    json_writer_reset(w);
    json_object(w);
    json_key(w, "services");
    json_array(w);
    json_object(w);
    json_member_text(w, "service_id", "Bench");
    json_key(w, "properties");
    json_object(w);
    json_member_i64(w, "device", (int64_t)device);
    json_member_i64(w, "seq", (int64_t)number);
    json_member_i64(w, "sentUs", due_us);
    json_member_str(w, "filler", str_n(load->filler, filler));
    json_object_end(w);
    json_object_end(w);
    json_array_end(w);
    json_object_end(w);
    return json_writer_text(w);
}

/* The filler makes up for the numbers' length: all bodies are of one size. */
static struct str body_of(struct load *load, size_t device, uint64_t number, int64_t due_us)
{
    char digits[64];
    size_t bare = load->bare_body_bytes +
                  (size_t)snprintf(digits, sizeof(digits), "%zu%llu%lld", device,
                                   (unsigned long long)number, (long long)due_us) - 3;
    size_t wanted = load->config.payload_bytes;

    return write_body(load, device, number, due_us, wanted > bare ? wanted - bare : 0);
}

static void write_request(struct load *load, struct buf *out, size_t index, int64_t due_us)
{
    const struct fleet_device *device = &load->config.fleet->devices[index];
    struct str body = body_of(load, index, load->devices[index].next, due_us);

    buf_reset(out);
    buf_printf(out,
               "POST /v5/devices/%s/sys/properties/report HTTP/1.1\r\nHost: %s\r\n"
               "access_token: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
               device->id, load->authority, device->token, body.len);
    buf_add_str(out, body);
}

/* ---- pace ---- */

static bool has_more(const struct load *load)
{
    return load->is_running &&
           (!load->config.events || load->figures.sent < load->config.events);
}

static int64_t due_time(const struct load *load)
{
    return load->start_us +
           (int64_t)((double)load->figures.sent * 1e6 / (double)load->config.rate);
}

static void wait_until_due(struct load *load, int64_t time_us)
{
    int64_t sleep_us = time_us < PACE_US ? PACE_US : time_us;
    struct timeval sleep = {sleep_us / 1000000, sleep_us % 1000000};

    if (!evtimer_pending(load->pace, NULL))
        evtimer_add(load->pace, &sleep);
}

void load_pump(struct load *load)
{
    while (load->idle_count > 0 && load->ready_count > 0 && has_more(load)) {
        int64_t now_us = clock_tick_us();
        int64_t due_us = load->config.rate ? due_time(load) : now_us;
        struct reporter *reporter;
        size_t index;

        if (due_us > now_us) {
            wait_until_due(load, due_us - now_us);
            return;
        }
        reporter = load->idle[--load->idle_count];
        index = take_ready(load);
        write_request(load, reporter_output(reporter), index, due_us);
        load->devices[index].is_busy = true;
        load->devices[index].unsettled++;
        load->figures.sent++;
        load->figures.in_flight++;
        load->config.sent(index, load->devices[index].next, load->config.arg);
        reporter_send(reporter, index, load->devices[index].next++, due_us);
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
    load->devices[index].is_busy = false;
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
    int64_t oldest_us = clock_tick_us() - load->config.timeout_ms * 1000;

    (void)fd;
    (void)what;
    for (size_t i = 0; i < load->config.connections; i++)
        reporter_expire(load->reporters[i], oldest_us);
    load_pump(load);
}

static bool resolve(struct load *load)
{
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8], *host;
    struct url url;
    int error;

    if (!url_parse(str_of(load->config.fleet->device_url), &url)) {
        bench_complain("%s: not a URL; write http://127.0.0.1:8943",
                       load->config.fleet->device_url);
        return false;
    }
    load->host = str_dup(url.host);
    load->authority = str_dup(url.authority);
    load->is_https = url.is_https;
    snprintf(port, sizeof(port), "%u", url.port);
    host = load->host;
    error = evutil_getaddrinfo(host, port, &hints, &found);
    if (error) {
        bench_complain("%s: %s", host, evutil_gai_strerror(error));
        return false;
    }
    memcpy(&load->address, found->ai_addr, found->ai_addrlen);
    load->address_len = found->ai_addrlen;
    evutil_freeaddrinfo(found);
    return true;
}

static bool set_up_tls(struct load *load)
{
    char *error = NULL;

    if (!load->is_https)
        return true;
    load->tls = tls_client_context_new(
        &(struct tls_client_config){.ca_file = load->config.fleet->ca_file,
                                    .min_version = TLS1_2_VERSION},
        &error);
    if (!load->tls)
        bench_complain("--ca-file: %s", error);
    free(error);
    return load->tls != NULL;
}

struct load *load_new(const struct load_config *config)
{
    struct load *load = xcalloc(1, sizeof(*load));
    size_t devices = config->fleet->device_count;

    load->config = *config;
    load->json = json_writer_new();
    load->filler = xmalloc(config->payload_bytes + 1);
    memset(load->filler, 'x', config->payload_bytes + 1);
    load->bare_body_bytes = write_body(load, 0, 0, 0, 0).len;
    load->devices = xcalloc(devices, sizeof(*load->devices));
    load->ready = xcalloc(devices, sizeof(*load->ready));
    load->idle = xcalloc(config->connections, sizeof(struct reporter *));
    load->reporters = xcalloc(config->connections, sizeof(struct reporter *));
    load->pace = evtimer_new(config->base, on_pace, load);
    load->sweep = event_new(config->base, -1, EV_PERSIST, on_sweep, load);
    if (resolve(load) && set_up_tls(load))
        return load;
    load_free(load);
    return NULL;
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
    for (size_t i = 0; i < load->config.connections; i++)
        load->reporters[i] = reporter_new(load);
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

void load_free(struct load *load)
{
    if (!load)
        return;
    for (size_t i = 0; i < load->config.connections; i++)
        reporter_free(load->reporters[i]);
    event_free(load->pace);
    event_free(load->sweep);
    SSL_CTX_free(load->tls);
    json_writer_free(load->json);
    free(load->reporters);
    free(load->idle);
    free(load->ready);
    free(load->devices);
    free(load->filler);
    free(load->host);
    free(load->authority);
    free(load);
}

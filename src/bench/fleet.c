#include "bench/fleet_private.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/process.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define FILE_DEVICES_MAX   1000000
#define DESCRIPTOR_RESERVE 64 /* of the bench itself */

static char *take_text(struct json_writer *w)
{
    char *text = str_dup(json_writer_text(w));

    json_writer_free(w);
    return text;
}

/* ---- applications ---- */

static enum bench_exit log_in_app(struct fleet *fleet, struct fleet_app *app, const char *secret)
{
    static const char *const members[] = {"accessToken", NULL};
    struct arena *arena = arena_new();
    const char *token = NULL;
    struct question question = {
        .what = "logging an application in",
        .method = "POST",
        .url = arena_printf(arena, "%s/iocm/app/sec/v1.1.0/login", fleet->api_url),
        .body = arena_printf(arena, "appId=%s&secret=%s",
                             transfer_encode(fleet->transfer, arena, app->id),
                             transfer_encode(fleet->transfer, arena, secret)),
    };
    enum bench_exit result = fleet_ask_for(fleet, &question, members, &token);

    app->token = token;
    arena_free(arena);
    return result;
}

static enum bench_exit make_app(struct fleet *fleet, struct fleet_app *app)
{
    static const char *const members[] = {"appId", "secret", NULL};
    const char *values[2];
    struct json_writer *w = json_writer_new();
    char *name = xasprintf("bench-%s", fleet->run), *body;
    struct question question = {
        .what = "making an application",
        .method = "POST",
        .url = arena_printf(fleet->arena, "%s/admin/v1/apps", fleet->admin_url),
        .is_admin = true,
    };
    enum bench_exit result;

    json_object(w);
    json_member_text(w, "name", name);
    json_object_end(w);
    question.body = body = take_text(w);
    result = fleet_ask_for(fleet, &question, members, values);
    free(body);
    free(name);
    if (result != BENCH_DONE)
        return result;
    app->id = values[0];
    fleet->app_count++;
    return log_in_app(fleet, app, values[1]);
}

static void give_app_headers(struct fleet *fleet, size_t app, struct arena *arena,
                             struct question *question)
{
    question->headers[0] = arena_printf(arena, "app_key: %s", fleet->apps[app].id);
    question->headers[1] = arena_printf(arena, "Authorization: Bearer %s", fleet->apps[app].token);
}

enum bench_exit fleet_subscribe(struct fleet *fleet, size_t app, const char *url)
{
    static const char *const members[] = {"subscriptionId", NULL};
    const char *unused;
    struct arena *arena = arena_new();
    struct json_writer *w = json_writer_new();
    struct question question = {
        .what = "subscribing (is the callback in push.allow_networks?)",
        .method = "POST",
        .url = arena_printf(arena, "%s/iocm/app/sub/v1.2.0/subscriptions", fleet->api_url),
    };
    enum bench_exit result;
    char *body;

    json_object(w);
    json_member_text(w, "notifyType", "deviceDataChanged");
    json_member_text(w, "callbackUrl", url);
    json_object_end(w);
    question.body = body = take_text(w);
    give_app_headers(fleet, app, arena, &question);
    result = fleet_ask_for(fleet, &question, members, &unused);
    free(body);
    arena_free(arena);
    return result;
}

/* ---- devices ---- */

static const char *node_id_of(struct fleet *fleet, size_t number)
{
    return arena_printf(fleet->arena, "bench-%s-%zu", fleet->run, number);
}

static enum bench_exit register_device(struct fleet *fleet, size_t number)
{
    static const char *const members[] = {"deviceId", "secret", NULL};
    struct fleet_device *device = &fleet->devices[number];
    const char *values[2], *node_id = node_id_of(fleet, number);
    struct arena *arena = arena_new();
    struct json_writer *w = json_writer_new();
    struct question question = {
        .what = "registering a device",
        .method = "POST",
        .url = arena_printf(arena, "%s/iocm/app/reg/v2.0.0/deviceCredentials", fleet->api_url),
    };
    enum bench_exit result;
    char *body;

    json_object(w);
    json_key(w, "deviceInfo");
    json_object(w);
    json_member_text(w, "nodeId", node_id);
    json_object_end(w);
    json_object_end(w);
    question.body = body = take_text(w);
    give_app_headers(fleet, device->app, arena, &question);
    result = fleet_ask_for(fleet, &question, members, values);
    if (result == BENCH_DONE) {
        device->id = values[0];
        device->name = fleet->is_named_by_node ? node_id : device->id;
        device->secret = values[1];
    }
    free(body);
    arena_free(arena);
    return result;
}

void fleet_hour(char out[FLEET_HOUR_SIZE])
{
    char now[CLOCK_COMPACT_SIZE];

    clock_format_compact(clock_now_ms(), now); /* 20260131T120000Z: the hour without the T */
    snprintf(out, FLEET_HOUR_SIZE, "%.8s%.2s", now, now + 9);
}

static enum bench_exit log_in_device(struct fleet *fleet, struct fleet_device *device)
{
    static const char *const members[] = {"access_token", NULL};
    char hour[FLEET_HOUR_SIZE], password[CRYPTO_SHA256_HEX_SIZE], *body;
    struct arena *arena = arena_new();
    struct json_writer *w = json_writer_new();
    struct question question = {
        .what = "logging a device in",
        .method = "POST",
        .url = arena_printf(arena, "%s/v5/device-auth", fleet->device_url),
    };
    enum bench_exit result;

    fleet_hour(hour);
    crypto_hmac_sha256_hex(str_of(hour), str_of(device->secret), password);
    json_object(w);
    json_member_text(w, "device_id", device->id);
    json_member_i64(w, "sign_type", 0);
    json_member_text(w, "timestamp", hour);
    json_member_text(w, "password", password);
    json_object_end(w);
    question.body = body = take_text(w);
    result = fleet_ask_for(fleet, &question, members, &device->token);
    free(body);
    arena_free(arena);
    return result;
}

/* Over MQTT each device has a connection. */
static bool has_descriptors(const struct fleet *fleet, size_t wanted)
{
    uint64_t limit = process_raise_descriptor_limit();

    if (!fleet->is_mqtt || wanted + DESCRIPTOR_RESERVE <= limit)
        return true;
    bench_complain("%zu connections: this process may have %" PRIu64
                   " descriptors, enough for %" PRIu64
                   "; raise the limit (ulimit -Hn), or run more than one of it",
                   wanted, limit, limit > DESCRIPTOR_RESERVE ? limit - DESCRIPTOR_RESERVE : 0);
    return false;
}

static void name_devices(struct fleet *fleet, size_t devices)
{
    for (; fleet->device_count < devices; fleet->device_count++) {
        struct fleet_device *device = &fleet->devices[fleet->device_count];

        device->id = device->name = node_id_of(fleet, fleet->device_count);
    }
}

enum bench_exit fleet_make(struct fleet *fleet, size_t apps, size_t devices)
{
    enum bench_exit result = BENCH_DONE;

    if (!has_descriptors(fleet, devices))
        return BENCH_FAILED;
    fleet->apps = xcalloc(apps, sizeof(*fleet->apps));
    fleet->devices = xcalloc(devices, sizeof(*fleet->devices));
    if (fleet->is_broker || apps == 0) {
        name_devices(fleet, devices);
        return result;
    }
    for (size_t i = 0; i < apps && result == BENCH_DONE; i++) {
        if (i % 10 == 0)
            loop_remark("making applications: %zu of %zu", i, apps);
        result = make_app(fleet, &fleet->apps[i]);
    }
    for (size_t i = 0; i < devices && result == BENCH_DONE; i++) {
        if (i % 50 == 0)
            loop_remark("registering devices: %zu of %zu", i, devices);
        fleet->devices[i].app = i % apps;
        result = register_device(fleet, i);
        if (result == BENCH_DONE && !fleet->is_mqtt)
            result = log_in_device(fleet, &fleet->devices[i]);
        fleet->device_count++;
    }
    loop_clear_line();
    return result;
}

/* One line of the file. */
static enum bench_exit add_device(struct fleet *fleet, struct str line)
{
    struct str secret, id = str_split(str_trim(line), ' ', &secret);
    struct fleet_device *device = &fleet->devices[fleet->device_count];

    secret = str_trim(secret);
    if (!str_is_id(id, FLEET_ID_MAX) || !secret.len || secret.len > FLEET_ID_MAX) {
        bench_complain("--devices-file: line %zu is not ID SECRET", fleet->device_count + 1);
        return BENCH_USAGE;
    }
    device->id = device->name = arena_dup0(fleet->arena, id);
    device->secret = arena_dup0(fleet->arena, secret);
    fleet->device_count++;
    return fleet->is_mqtt ? BENCH_DONE : log_in_device(fleet, device);
}

enum bench_exit fleet_read(struct fleet *fleet, const char *file)
{
    enum bench_exit result = BENCH_DONE;
    size_t capacity = 0;
    char line[2 * FLEET_ID_MAX + 16];
    FILE *in = fopen(file, "re");

    if (!in) {
        bench_complain("--devices-file %s: %s", file, strerror(errno));
        return BENCH_USAGE;
    }
    while (result == BENCH_DONE && fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (fleet->device_count == FILE_DEVICES_MAX)
            break;
        if (fleet->device_count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            fleet->devices = xrealloc(fleet->devices, capacity * sizeof(*fleet->devices));
        }
        fleet->devices[fleet->device_count] = (struct fleet_device){0};
        result = add_device(fleet, str_of(line));
    }
    fclose(in);
    if (result == BENCH_DONE && fleet->device_count == 0) {
        bench_complain("--devices-file %s: there is no device in it", file);
        result = BENCH_USAGE;
    }
    if (result == BENCH_DONE && !has_descriptors(fleet, fleet->device_count))
        result = BENCH_FAILED;
    return result;
}

/* ---- the end ---- */

static void delete_app(struct fleet *fleet, const struct fleet_app *app)
{
    struct arena *arena = arena_new();
    const struct json *unused;
    struct question question = {
        .what = "deleting an application",
        .method = "DELETE",
        .url = arena_printf(arena, "%s/admin/v1/apps/%s?cascade=true", fleet->admin_url,
                            transfer_encode(fleet->transfer, arena, app->id)),
        .is_admin = true,
    };

    fleet_ask(fleet, arena, &question, &unused);
    arena_free(arena);
}

void fleet_close(struct fleet *fleet)
{
    loop_forgive(fleet->loop); /* a signal has ended the run; the clean-up is for its sake */
    for (size_t i = 0; i < fleet->app_count; i++) {
        if (i % 10 == 0)
            loop_remark("deleting applications: %zu of %zu", i, fleet->app_count);
        delete_app(fleet, &fleet->apps[i]);
    }
    loop_clear_line();
    free(fleet->apps);
    free(fleet->devices);
    transfer_free(fleet->transfer);
    arena_free(fleet->arena);
}

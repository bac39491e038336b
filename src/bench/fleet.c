#include "bench/fleet.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/mem.h"
#include "client/server.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define THROTTLE_PAUSE_MS 100
#define THROTTLE_TRIES    600
#define FILE_DEVICES_MAX  1000000
#define ID_MAX            256

/* ---- asking ---- */

struct question {
    const char *what; /* for messages: "registering a device" */
    const char *method, *url;
    bool is_admin;
    const char *headers[2];
    const char *body;
};

/* Both interfaces have a word for "too fast". */
static bool is_throttled(const struct transfer_answer *answer, const struct json *json)
{
    struct str code = json_get_str(json, "error_code");

    return answer->status == 429 ||
           (answer->status == 403 &&
            (str_eq(code, STR("1010009")) || str_eq(code, STR("IOTDA.021101"))));
}

static void pause_a_moment(void)
{
    struct timespec time = {0, THROTTLE_PAUSE_MS * 1000000l};

    nanosleep(&time, NULL);
}

static void fill_request(const struct fleet *fleet, const struct question *question,
                         struct transfer_request *request)
{
    size_t count = 0;

    *request = (struct transfer_request){
        .method = question->method,
        .url = question->url,
        .socket = question->is_admin ? fleet->socket : NULL,
        .ca_file = fleet->ca_file,
        .body = question->body,
    };
    if (question->is_admin && fleet->authorization)
        request->headers[count++] = fleet->authorization;
    /* A form is what libcurl takes a body for. */
    if (question->body && question->body[0] == '{')
        request->headers[count++] = "Content-Type: application/json";
    for (size_t i = 0; i < 2 && question->headers[i]; i++)
        request->headers[count++] = question->headers[i];
}

static enum bench_exit refuse(const struct question *question,
                              const struct transfer_answer *answer, const struct json *json)
{
    struct str text = json_get_str(json, "error_msg");

    if (!text.p)
        text = json_get_str(json, "error_desc");
    bench_complain("%s: status %d, %.*s", question->what, answer->status, STR_ARG(text));
    return BENCH_FAILED;
}

/* *json lives in the arena; NULL when the answer has no body. */
static enum bench_exit ask(struct fleet *fleet, struct arena *arena,
                           const struct question *question, const struct json **json)
{
    struct transfer_request request;
    struct transfer_answer answer;
    const char *reason;

    fill_request(fleet, question, &request);
    for (int try = 0;; try++) {
        if (loop_poll(fleet->loop)) {
            bench_complain("%s: stopped by a signal", question->what);
            return BENCH_FAILED;
        }
        reason = transfer_perform(fleet->transfer, arena, &request, &answer);
        if (reason) {
            bench_complain("%s: no server at %s: %s", question->what,
                           request.socket ? request.socket : request.url, reason);
            return BENCH_UNREACHABLE;
        }
        *json = answer.body.len ? json_parse(arena, answer.body, NULL) : NULL;
        if (!is_throttled(&answer, *json) || try == THROTTLE_TRIES)
            break;
        pause_a_moment();
    }
    return answer.status / 100 == 2 ? BENCH_DONE : refuse(question, &answer, *json);
}

/* A question whose answer has texts that are kept: the members' values in the fleet's arena. */
static enum bench_exit ask_for(struct fleet *fleet, const struct question *question,
                               const char *const *members, const char **values)
{
    struct arena *arena = arena_new();
    const struct json *json = NULL;
    enum bench_exit result = ask(fleet, arena, question, &json);

    for (size_t i = 0; result == BENCH_DONE && members[i]; i++) {
        struct str value = json_get_str(json, members[i]);

        if (!value.len || value.len > ID_MAX || !str_is_printable(value)) {
            bench_complain("%s: the answer has no %s", question->what, members[i]);
            result = BENCH_FAILED;
        } else {
            values[i] = arena_dup0(fleet->arena, value);
        }
    }
    arena_free(arena);
    return result;
}

static char *take_text(struct json_writer *w)
{
    char *text = str_dup(json_writer_text(w));

    json_writer_free(w);
    return text;
}

/* ---- the server ---- */

/* What is bound to every address is reached at loopback. */
static const char *reachable(struct fleet *fleet, struct str address, bool is_tls)
{
    const char *scheme = is_tls ? "https" : "http";

    if (str_starts_with(address, STR("0.0.0.0:")))
        return arena_printf(fleet->arena, "%s://127.0.0.1%.*s", scheme, (int)address.len - 7,
                            address.p + 7);
    if (str_starts_with(address, STR("[::]:")))
        return arena_printf(fleet->arena, "%s://[::1]%.*s", scheme, (int)address.len - 4,
                            address.p + 4);
    return arena_printf(fleet->arena, "%s://%.*s", scheme, STR_ARG(address));
}

static const char *find_listener(struct fleet *fleet, const struct json *status, struct str plain,
                                 struct str tls)
{
    const char *found = NULL;

    JSON_FOREACH (listener, json_get(status, "listeners")) {
        struct str name = json_get_str(listener, "name");

        if (str_eq(name, plain))
            return reachable(fleet, json_get_str(listener, "address"), false);
        if (str_eq(name, tls))
            found = reachable(fleet, json_get_str(listener, "address"), true);
    }
    return found;
}

static const char *without_slash(struct fleet *fleet, const char *url)
{
    struct str text = str_of(url);

    while (str_ends_with(text, STR("/")))
        text.len--;
    return text.len ? arena_dup0(fleet->arena, text) : NULL;
}

static enum bench_exit find_listeners(struct fleet *fleet)
{
    struct arena *arena = arena_new();
    const struct json *status = NULL;
    struct question question = {
        .what = "asking for the server's listeners",
        .method = "GET",
        .url = arena_printf(arena, "%s/admin/v1/status", fleet->admin_url),
        .is_admin = true,
    };
    enum bench_exit result = ask(fleet, arena, &question, &status);

    if (result == BENCH_DONE && !fleet->api_url)
        fleet->api_url = find_listener(fleet, status, STR("api"), STR("api-tls"));
    if (result == BENCH_DONE && !fleet->device_url)
        fleet->device_url = find_listener(fleet, status, STR("device"), STR("device-tls"));
    if (result == BENCH_DONE && (!fleet->api_url || !fleet->device_url)) {
        bench_complain("the server has no listener for %s",
                       fleet->api_url ? "devices: set device.listen_http" : "applications");
        result = BENCH_FAILED;
    }
    arena_free(arena);
    return result;
}

enum bench_exit fleet_open(struct fleet *fleet, struct loop *loop, const struct options *options)
{
    const char *token, *error = NULL;

    *fleet = (struct fleet){.loop = loop, .arena = arena_new(), .transfer = transfer_new()};
    crypto_random_hex(fleet->run, sizeof(fleet->run) - 1);
    if (!fleet->transfer) {
        bench_complain("cannot set up HTTP");
        return BENCH_FAILED;
    }
    if (options->token_file && *options->token_file) {
        token = server_read_token(fleet->arena, options->token_file, &error);
        if (!token) {
            bench_complain("--token-file %s", error);
            return BENCH_USAGE;
        }
        fleet->authorization = arena_printf(fleet->arena, "Authorization: Bearer %s", token);
    }
    fleet->ca_file = *options->ca_file ? options->ca_file : NULL;
    fleet->api_url = options->api ? without_slash(fleet, options->api) : NULL;
    fleet->device_url = without_slash(fleet, options->server);
    fleet->admin_url = without_slash(fleet, options->admin);
    if (!fleet->admin_url) {
        fleet->admin_url = "http://localhost";
        fleet->socket =
            *options->socket ? options->socket : server_default_socket(fleet->arena);
    }
    if (options->devices_file && *options->devices_file && fleet->device_url)
        return BENCH_DONE; /* nothing is needed of the admin listener */
    return find_listeners(fleet);
}

enum bench_exit fleet_order(struct fleet *fleet, const char *path)
{
    static const char *const nothing[] = {NULL};
    struct question question = {
        .what = path,
        .method = "POST",
        .url = arena_printf(fleet->arena, "%s%s", fleet->admin_url, path),
        .is_admin = true,
    };

    return ask_for(fleet, &question, nothing, NULL);
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
    enum bench_exit result = ask_for(fleet, &question, members, &token);

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
    result = ask_for(fleet, &question, members, values);
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
    question->headers[1] =
        arena_printf(arena, "Authorization: Bearer %s", fleet->apps[app].token);
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
    result = ask_for(fleet, &question, members, &unused);
    free(body);
    arena_free(arena);
    return result;
}

/* ---- devices ---- */

static enum bench_exit register_device(struct fleet *fleet, size_t number)
{
    static const char *const members[] = {"deviceId", "secret", NULL};
    struct fleet_device *device = &fleet->devices[number];
    const char *values[2];
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
    json_member_text(w, "nodeId", arena_printf(arena, "bench-%s-%zu", fleet->run, number));
    json_object_end(w);
    json_object_end(w);
    question.body = body = take_text(w);
    give_app_headers(fleet, device->app, arena, &question);
    result = ask_for(fleet, &question, members, values);
    if (result == BENCH_DONE) {
        device->id = values[0];
        device->secret = values[1];
    }
    free(body);
    arena_free(arena);
    return result;
}

static enum bench_exit log_in_device(struct fleet *fleet, struct fleet_device *device)
{
    static const char *const members[] = {"access_token", NULL};
    char now[CLOCK_COMPACT_SIZE], hour[11], password[CRYPTO_SHA256_HEX_SIZE], *body;
    struct arena *arena = arena_new();
    struct json_writer *w = json_writer_new();
    struct question question = {
        .what = "logging a device in",
        .method = "POST",
        .url = arena_printf(arena, "%s/v5/device-auth", fleet->device_url),
    };
    enum bench_exit result;

    clock_format_compact(clock_now_ms(), now); /* 20260131T120000Z: the hour without the T */
    snprintf(hour, sizeof(hour), "%.8s%.2s", now, now + 9);
    crypto_hmac_sha256_hex(str_of(hour), str_of(device->secret), password);
    json_object(w);
    json_member_text(w, "device_id", device->id);
    json_member_i64(w, "sign_type", 0);
    json_member_text(w, "timestamp", hour);
    json_member_text(w, "password", password);
    json_object_end(w);
    question.body = body = take_text(w);
    result = ask_for(fleet, &question, members, &device->token);
    free(body);
    arena_free(arena);
    return result;
}

enum bench_exit fleet_make(struct fleet *fleet, size_t apps, size_t devices)
{
    enum bench_exit result = BENCH_DONE;

    fleet->apps = xcalloc(apps, sizeof(*fleet->apps));
    fleet->devices = xcalloc(devices, sizeof(*fleet->devices));
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
        if (result == BENCH_DONE)
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
    if (!str_is_id(id, ID_MAX) || !secret.len || secret.len > ID_MAX) {
        bench_complain("--devices-file: line %zu is not ID SECRET", fleet->device_count + 1);
        return BENCH_USAGE;
    }
    device->id = arena_dup0(fleet->arena, id);
    device->secret = arena_dup0(fleet->arena, secret);
    fleet->device_count++;
    return log_in_device(fleet, device);
}

enum bench_exit fleet_read(struct fleet *fleet, const char *file)
{
    enum bench_exit result = BENCH_DONE;
    size_t capacity = 0;
    char line[2 * ID_MAX + 16];
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

    ask(fleet, arena, &question, &unused);
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

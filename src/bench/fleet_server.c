#include "bench/fleet_private.h"

#include "base/crypto.h"
#include "client/server.h"
#include <stdlib.h>

/* What is bound to every address is reached at loopback. */
static const char *reachable(struct fleet *fleet, const char *scheme, struct str address)
{
    if (str_starts_with(address, STR("0.0.0.0:")))
        return arena_printf(fleet->arena, "%s://127.0.0.1%.*s", scheme, (int)address.len - 7,
                            address.p + 7);
    if (str_starts_with(address, STR("[::]:")))
        return arena_printf(fleet->arena, "%s://[::1]%.*s", scheme, (int)address.len - 4,
                            address.p + 4);
    return arena_printf(fleet->arena, "%s://%.*s", scheme, STR_ARG(address));
}

/* Names of listeners, and what they speak: the plain one first. */
struct listener_kind {
    const char *name, *scheme;
};
static const struct listener_kind api_kinds[2] = {{"api", "http"}, {"api-tls", "https"}};
static const struct listener_kind http_kinds[2] = {{"device", "http"}, {"device-tls", "https"}};
static const struct listener_kind mqtt_kinds[2] = {{"mqtt", "mqtt"}, {"mqtts", "mqtts"}};

/* The first of the kinds that the server has; wants_tls: the last one only. */
static const char *find_listener(struct fleet *fleet, const struct json *status,
                                 const struct listener_kind *kinds, bool wants_tls)
{
    for (size_t i = wants_tls ? 1 : 0; i < 2; i++) {
        JSON_FOREACH (listener, json_get(status, "listeners")) {
            if (str_eq(json_get_str(listener, "name"), str_of(kinds[i].name)))
                return reachable(fleet, kinds[i].scheme, json_get_str(listener, "address"));
        }
    }
    return NULL;
}

static const char *without_slash(struct fleet *fleet, const char *url)
{
    struct str text = str_of(url);

    while (str_ends_with(text, STR("/")))
        text.len--;
    return text.len ? arena_dup0(fleet->arena, text) : NULL;
}

static enum bench_exit find_listeners(struct fleet *fleet, bool wants_tls)
{
    struct arena *arena = arena_new();
    const struct json *status = NULL;
    struct question question = {
        .what = "asking for the server's listeners",
        .method = "GET",
        .url = arena_printf(arena, "%s/admin/v1/status", fleet->admin_url),
        .is_admin = true,
    };
    enum bench_exit result = fleet_ask(fleet, arena, &question, &status);

    fleet->has_admin = result == BENCH_DONE;
    if (result == BENCH_DONE && !fleet->api_url)
        fleet->api_url = find_listener(fleet, status, api_kinds, false);
    if (result == BENCH_DONE && !fleet->device_url)
        fleet->device_url =
            find_listener(fleet, status, fleet->is_mqtt ? mqtt_kinds : http_kinds, wants_tls);
    if (result == BENCH_DONE && (!fleet->api_url || !fleet->device_url)) {
        bench_complain("the server has no listener for %s%s",
                       !fleet->api_url  ? "applications: set api.listen_http"
                       : fleet->is_mqtt ? "devices over MQTT: set device.listen_mqtt"
                                        : "devices: set device.listen_http",
                       fleet->api_url && wants_tls ? "s" : "");
        result = BENCH_FAILED;
    }
    arena_free(arena);
    return result;
}

static enum bench_exit take_token(struct fleet *fleet, const char *file)
{
    const char *error = NULL, *token = server_read_token(fleet->arena, file, &error);

    if (!token) {
        bench_complain("--token-file %s", error);
        return BENCH_USAGE;
    }
    fleet->authorization = arena_printf(fleet->arena, "Authorization: Bearer %s", token);
    return BENCH_DONE;
}

static bool is_given(const char *option) /* NULL: the verb does not have it */
{
    return option && *option;
}

static bool is_mqtt_url(const char *url)
{
    return str_starts_with(str_of(url), STR("mqtt://")) ||
           str_starts_with(str_of(url), STR("mqtts://"));
}

/* Where devices go to, as far as it was said. */
static enum bench_exit take_device_url(struct fleet *fleet, const struct options *options)
{
    fleet->is_broker = is_given(options->broker);
    fleet->device_url = without_slash(fleet, fleet->is_broker ? options->broker : options->server);
    fleet->is_named_by_node = options->dialect == DIALECT_V1;
    fleet->is_mqtt = options->has_mqtt || fleet->is_broker ||
                     (fleet->device_url && is_mqtt_url(fleet->device_url));
    if (!fleet->is_mqtt || !fleet->device_url || is_mqtt_url(fleet->device_url))
        return BENCH_DONE;
    bench_complain("%s: over MQTT write mqtt://127.0.0.1:1883, or mqtts://", fleet->device_url);
    return BENCH_USAGE;
}

enum bench_exit fleet_open(struct fleet *fleet, struct loop *loop, const struct options *options)
{
    enum bench_exit result;

    *fleet = (struct fleet){.loop = loop, .arena = arena_new(), .transfer = transfer_new()};
    crypto_random_hex(fleet->run, sizeof(fleet->run) - 1);
    if (!fleet->transfer) {
        bench_complain("cannot set up HTTP");
        return BENCH_FAILED;
    }
    fleet->ca_file = *options->ca_file ? options->ca_file : NULL;
    fleet->api_url = options->api ? without_slash(fleet, options->api) : NULL;
    fleet->admin_url = without_slash(fleet, options->admin);
    if (!fleet->admin_url) {
        fleet->admin_url = "http://localhost";
        fleet->socket = *options->socket ? options->socket : server_default_socket(fleet->arena);
    }
    result = take_device_url(fleet, options);
    if (result == BENCH_DONE && is_given(options->token_file))
        result = take_token(fleet, options->token_file);
    /* With devices and their address nothing is needed of the admin listener. */
    if (result == BENCH_DONE &&
        !(fleet->is_broker || (is_given(options->devices_file) && fleet->device_url)))
        result = find_listeners(fleet, options->has_tls);
    return result;
}

uint64_t fleet_server_bytes(struct fleet *fleet)
{
    static const char name[] = "\niotpush_process_resident_memory_bytes ";
    struct arena *arena = arena_new();
    struct question question = {
        .what = "asking for the server's memory",
        .method = "GET",
        .url = arena_printf(arena, "%s/metrics", fleet->admin_url),
        .is_admin = true,
    };
    struct str text;
    const char *found = NULL;
    double bytes = 0;

    if (fleet->has_admin && fleet_ask_text(fleet, arena, &question, &text) == BENCH_DONE)
        found = memmem(text.p, text.len, name, sizeof(name) - 1);
    if (found)
        bytes = strtod(found + sizeof(name) - 1, NULL);
    arena_free(arena);
    return bytes > 0 ? (uint64_t)bytes : 0;
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

    return fleet_ask_for(fleet, &question, nothing, NULL);
}

#include "listeners.h"

#include "admin/admin.h"
#include "api/v1/v1.h"
#include "base/log.h"
#include "base/mem.h"
#include "device/https.h"
#include "net/tls.h"
#include <stdlib.h>

#define MAX_LISTENERS   10
#define DEVICE_BODY_MIN (1024 * 1024 + 64 * 1024) /* so that 1 MiB and a little is told properly */
#define PACKAGE_SLACK   (64 * 1024)               /* the same for packages of models */

enum { API_SERVER, DEVICE_SERVER, ADMIN_SERVER, SERVER_COUNT };

struct bound {
    const char *name;
    bool is_tls;
    const char *address;
};

struct listeners {
    const struct settings *settings;
    struct http_limits device_limits, admin_limits;
    struct mqtt_limits mqtt_limits;
    struct http_server *servers[SERVER_COUNT];
    struct mqtt_server *mqtt;
    struct tls_server *api_tls, *device_tls;
    struct bound bound[MAX_LISTENERS];
    size_t count;
    int stops_waited_for;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static const struct http_api *const api[] = {&v1_api, NULL};
static const struct http_api *const device[] = {&device_https_api, NULL};
static const struct http_api *const admin[] = {&admin_socket_api, NULL};
static const struct http_api *const admin_http[] = {&admin_http_api, NULL};
static const struct http_api *const metrics[] = {&admin_metrics_api, NULL};

/* Client certificates are a matter of applications; devices have their own secrets. */
static struct tls_server *load_tls(const struct settings *settings, bool for_applications,
                                   const char *certificate, const char *key, char **error)
{
    struct tls_server_config config = {
        .certificate_file = certificate,
        .key_file = key,
        .client_ca_file = for_applications ? settings->api.tls_client_ca : NULL,
        .requires_client_certificate = for_applications && settings->api.tls_client_required,
        .min_version = settings->api.tls_min_version ? TLS1_3_VERSION : TLS1_2_VERSION,
    };

    return tls_server_new(&config, error);
}

static const char *or_else(const char *text, const char *other)
{
    return *text ? text : other;
}

static bool load_certificates(struct listeners *listeners, char **error)
{
    const struct settings *s = listeners->settings;

    if (*s->api.listen_https) {
        listeners->api_tls = load_tls(s, true, s->api.tls_certificate, s->api.tls_key, error);
        if (!listeners->api_tls)
            return false;
    }
    if (*s->device.listen_https || *s->device.listen_mqtts) {
        listeners->device_tls =
            load_tls(s, false, or_else(s->device.tls_certificate, s->api.tls_certificate),
                     or_else(s->device.tls_key, s->api.tls_key), error);
        if (!listeners->device_tls)
            return false;
    }
    return true;
}

static void take_limits(struct listeners *listeners)
{
    int64_t package_bytes = listeners->settings->core.model_package_bytes + PACKAGE_SLACK;

    listeners->admin_limits = listeners->device_limits = listeners->settings->limits;
    if (listeners->admin_limits.body_bytes < package_bytes)
        listeners->admin_limits.body_bytes = package_bytes;
    if (listeners->device_limits.body_bytes < DEVICE_BODY_MIN)
        listeners->device_limits.body_bytes = DEVICE_BODY_MIN;
    listeners->mqtt_limits = listeners->settings->mqtt;
    listeners->mqtt_limits.connections_per_address =
        listeners->settings->limits.connections_per_address;
    listeners->mqtt_limits.header_bytes = listeners->settings->limits.header_bytes;
    listeners->mqtt_limits.header_timeout_ms = listeners->settings->limits.header_timeout_ms;
    listeners->mqtt_limits.body_timeout_ms = listeners->settings->limits.body_timeout_ms;
}

static void bound(struct listeners *listeners, const char *name, const char *address, bool is_tls,
                  const struct sockaddr *sockaddr, struct netpolicy *policy)
{
    log_info("listener", "name=%s address=%s tls=%s", name, address, is_tls ? "on" : "off");
    if (sockaddr)
        netpolicy_add_listener(policy, sockaddr);
    listeners->bound[listeners->count++] = (struct bound){name, is_tls, address};
}

static bool listen_at(struct listeners *listeners, int server, const char *setting,
                      const struct http_listener_config *config, struct netpolicy *policy,
                      char **error)
{
    struct http_listener *listener;
    char *why = NULL;

    if (!*config->address)
        return true;
    listener = http_server_listen(listeners->servers[server], config, &why);
    if (!listener) {
        *error = xasprintf("%s = %s: %s", setting, config->address, why);
        free(why);
        return false;
    }
    bound(listeners, config->name, http_listener_address(listener), config->tls != NULL,
          http_listener_sockaddr(listener), policy);
    return true;
}

static bool listen_mqtt(struct listeners *listeners, const char *setting,
                        const struct mqtt_listener_config *config, struct netpolicy *policy,
                        char **error)
{
    struct mqtt_listener *listener;
    char *why = NULL;

    if (!*config->address)
        return true;
    listener = mqtt_server_listen(listeners->mqtt, config, &why);
    if (!listener) {
        *error = xasprintf("%s = %s: %s", setting, config->address, why);
        free(why);
        return false;
    }
    bound(listeners, config->name, mqtt_listener_address(listener), config->tls != NULL,
          mqtt_listener_sockaddr(listener), policy);
    return true;
}

static bool listen_everywhere(struct listeners *listeners, const char *admin_address,
                              struct netpolicy *policy, char **error)
{
    const struct settings *s = listeners->settings;
    struct tls_server *api_tls = listeners->api_tls, *device_tls = listeners->device_tls;
    const struct {
        int server;
        const char *setting;
        struct http_listener_config config;
    } wanted[] = {
        {API_SERVER, "api.listen_http", {"api", s->api.listen_http, 0, NULL, api}},
        {API_SERVER, "api.listen_https", {"api-tls", s->api.listen_https, 0, api_tls, api}},
        {DEVICE_SERVER, "device.listen_http", {"device", s->device.listen_http, 0, NULL, device}},
        {DEVICE_SERVER,
         "device.listen_https",
         {"device-tls", s->device.listen_https, 0, device_tls, device}},
        {ADMIN_SERVER, "admin.socket", {"admin", admin_address, 0660, NULL, admin}},
        {ADMIN_SERVER,
         "admin.listen_http",
         {"admin-http", s->admin.listen_http, 0, NULL, admin_http}},
        {ADMIN_SERVER,
         "metrics.listen_http",
         {"metrics", s->metrics.listen_http, 0, NULL, metrics}},
    };

    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        if (!listen_at(listeners, wanted[i].server, wanted[i].setting, &wanted[i].config, policy,
                       error))
            return false;
    }
    return listen_mqtt(listeners, "device.listen_mqtt",
                       &(struct mqtt_listener_config){"mqtt", s->device.listen_mqtt, NULL}, policy,
                       error) &&
           listen_mqtt(listeners, "device.listen_mqtts",
                       &(struct mqtt_listener_config){"mqtts", s->device.listen_mqtts, device_tls},
                       policy, error);
}

struct listeners *listeners_new(struct event_base *base, const struct settings *settings,
                                const char *admin_socket, const struct mqtt_service *mqtt,
                                struct netpolicy *policy, char **error)
{
    struct listeners *listeners = xcalloc(1, sizeof(*listeners));
    char *admin_address = xasprintf("unix:%s", admin_socket);

    listeners->settings = settings;
    take_limits(listeners);
    for (int i = 0; i < SERVER_COUNT; i++)
        listeners->servers[i] =
            http_server_new(base, i == DEVICE_SERVER  ? &listeners->device_limits
                                  : i == ADMIN_SERVER ? &listeners->admin_limits
                                                      : &settings->limits);
    listeners->mqtt = mqtt_server_new(base, &listeners->mqtt_limits, mqtt);
    if (!load_certificates(listeners, error) ||
        !listen_everywhere(listeners, admin_address, policy, error)) {
        listeners_free(listeners);
        listeners = NULL;
    }
    free(admin_address);
    return listeners;
}

static void server_stopped(void *arg)
{
    struct listeners *listeners = arg;

    if (--listeners->stops_waited_for == 0)
        listeners->stopped(listeners->stopped_arg);
}

void listeners_stop(struct listeners *listeners, int64_t timeout_ms, void (*stopped)(void *arg),
                    void *arg)
{
    listeners->stops_waited_for = SERVER_COUNT + 1;
    listeners->stopped = stopped;
    listeners->stopped_arg = arg;
    for (int i = 0; i < SERVER_COUNT; i++)
        http_server_stop(listeners->servers[i], timeout_ms, server_stopped, listeners);
    mqtt_server_stop(listeners->mqtt, timeout_ms, server_stopped, listeners);
}

void listeners_free(struct listeners *listeners)
{
    if (!listeners)
        return;
    for (int i = 0; i < SERVER_COUNT; i++)
        http_server_free(listeners->servers[i]);
    mqtt_server_free(listeners->mqtt);
    tls_server_free(listeners->api_tls);
    tls_server_free(listeners->device_tls);
    free(listeners);
}

static void reload_tls(struct tls_server *tls, const char *name)
{
    char *error = NULL;

    if (tls && tls_server_reload(tls, &error) < 0)
        log_error("reload", "certificate=%s state=unchanged reason=%s", name, error);
    free(error);
}

void listeners_reload(struct listeners *listeners)
{
    take_limits(listeners);
    reload_tls(listeners->api_tls, "api");
    reload_tls(listeners->device_tls, "device");
}

static int64_t expires_ms(const struct tls_server *tls)
{
    return tls ? tls_server_expires_ms(tls) : INT64_MAX;
}

int64_t listeners_api_expires_ms(const struct listeners *listeners)
{
    return expires_ms(listeners->api_tls);
}

int64_t listeners_device_expires_ms(const struct listeners *listeners)
{
    return expires_ms(listeners->device_tls);
}

size_t listeners_connections(const struct listeners *listeners)
{
    return http_server_connections(listeners->servers[API_SERVER]) +
           http_server_connections(listeners->servers[DEVICE_SERVER]) +
           mqtt_server_connections(listeners->mqtt);
}

void listeners_write(const struct listeners *listeners, struct json_writer *w)
{
    json_key(w, "listeners");
    json_array(w);
    for (size_t i = 0; i < listeners->count; i++) {
        json_object(w);
        json_member_text(w, "name", listeners->bound[i].name);
        json_member_text(w, "address", listeners->bound[i].address);
        json_member_bool(w, "tls", listeners->bound[i].is_tls);
        json_object_end(w);
    }
    json_array_end(w);
}

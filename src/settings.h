/*
 * Every setting of iotpushd: the table is in settings.c, the values are in struct settings, one
 * group per section of the file. Modules get their own group and know nothing of the others.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include "base/setting.h"
#include "core/core.h"
#include "device/mqtt.h"
#include "net/http_server.h"
#include "push/push.h"

struct settings {
    struct {
        char *id;
    } instance;
    struct {
        char *url, *password_file;
        char *embedded_dir, *embedded_program;
        int embedded_fsync; /* index into "everysec always" */
        int64_t connect_timeout_ms, command_timeout_ms;
        bool strict;
        int64_t max_in_flight;
    } redis;
    struct {
        char *listen_http, *listen_https;
        char *tls_certificate, *tls_key, *tls_client_ca;
        bool tls_client_required;
        int tls_min_version; /* index into "1.2 1.3" */
    } api;
    struct {
        char *listen_http, *listen_https, *listen_mqtt, *listen_mqtts;
        char *tls_certificate, *tls_key; /* empty: those of [api] */
    } device;
    struct mqtt_limits mqtt; /* those that are not of [limits] */
    struct device_mqtt_settings device_mqtt;
    struct http_limits limits;
    struct core_settings core; /* [auth] [partition] and the domain's limits */
    struct push_settings push;
    struct {
        char *socket, *listen_http, *token_file;
    } admin;
    struct {
        char *listen_http;
    } metrics;
    struct {
        int level;
        int format; /* index into "text json" */
        char *file;
        bool requests;
        char *audit_file;
    } log;
};

extern const struct setting settings_table[];

/* Checks that span several settings, and the files they name. Every mistake is one line for
 * complain; returns their number. */
int settings_check(const struct settings *settings, const struct settings_source *source,
                   void (*complain)(const char *line, void *arg), void *arg);

#endif

/*
 * The admin listener: applications, status, health and metrics, for iotpushctl, operators and
 * monitoring. On the unix socket the file's permissions decide who may; over HTTP a token does.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "core/core.h"
#include "net/http_server.h"

struct admin_context {
    struct core *core;
    struct push *push;
    const char *instance_id;
    const char *token; /* of the HTTP listener */
    bool (*is_ready)(const char **why_not, void *arg);
    /* Members of the status object, written into an open object. */
    void (*write_status)(struct json_writer *w, void *arg);
    void (*refresh_metrics)(void *arg); /* gauges that are only worth computing when asked for */
    void *arg;
};

extern struct http_api admin_socket_api;  /* everything, no token */
extern struct http_api admin_http_api;    /* everything, with the token */
extern struct http_api admin_metrics_api; /* /metrics, /healthz, /readyz */

void admin_set_context(struct admin_context *context);

#endif

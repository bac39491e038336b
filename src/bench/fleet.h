/*
 * Applications and devices that a run needs, made over the server's own interfaces one after the
 * other before the load begins, and removed after it. At a plain MQTT broker (--broker) there is
 * nothing to be made: its devices are names.
 */
#ifndef BENCH_FLEET_H
#define BENCH_FLEET_H

#include "bench/bench.h"
#include "bench/loop.h"
#include "client/transfer.h"

struct fleet_app {
    const char *id, *token;
};

struct fleet_device {
    const char *id;
    const char *name;   /* over MQTT: its id, or with the v1 dialect its node id */
    const char *secret; /* NULL at a broker */
    const char *token;  /* NULL over MQTT, where the login is the CONNECT */
    size_t app;
};

struct fleet {
    struct loop *loop; /* whose signals end the set-up */
    struct arena *arena;
    struct transfer *transfer;
    const char *socket, *admin_url, *authorization; /* of the admin listener */
    const char *api_url, *device_url;               /* without a slash at the end */
    const char *ca_file;
    bool is_mqtt, is_broker, is_named_by_node;
    bool has_admin; /* its admin listener has answered */
    char run[9]; /* names what this run makes */
    size_t app_count, device_count;
    struct fleet_app *apps;
    struct fleet_device *devices;
};

/* Finds the server and its listeners: that for devices over HTTP, or over MQTT. */
enum bench_exit fleet_open(struct fleet *fleet, struct loop *loop, const struct options *options);
/* Deletes the applications that were made, with their devices. */
void fleet_close(struct fleet *fleet);

/* Makes applications and logs them in, registers devices evenly among them, and logs those in that
 * report over HTTP. */
enum bench_exit fleet_make(struct fleet *fleet, size_t apps, size_t devices);
/* Devices out of a file instead: a line is ID SECRET; with the v1 dialect the ID is a node id. */
enum bench_exit fleet_read(struct fleet *fleet, const char *file);

enum bench_exit fleet_subscribe(struct fleet *fleet, size_t app, const char *url);

/* What the daemon takes of memory, by its metrics; 0 when that cannot be known. */
uint64_t fleet_server_bytes(struct fleet *fleet);

#define FLEET_HOUR_SIZE 11 /* with the NUL */

/* The UTC hour that logins are signed with, YYYYMMDDHH. */
void fleet_hour(char out[FLEET_HOUR_SIZE]);

/* A POST without body to the admin listener. */
enum bench_exit fleet_order(struct fleet *fleet, const char *path);

#endif

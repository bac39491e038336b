/*
 * The daemon's listeners: which addresses, with which API and limits, over which certificate.
 */
#ifndef LISTENERS_H
#define LISTENERS_H

#include "base/json.h"
#include "net/netpolicy.h"
#include "settings.h"

struct listeners;

/* Binds all that the settings name, and tells the policy, so that nobody has us call ourselves.
 * NULL, with a text in *error (free() it): which setting, and why. The settings must outlive it. */
struct listeners *listeners_new(struct event_base *base, const struct settings *settings,
                                const char *admin_socket, const struct mqtt_service *mqtt,
                                struct netpolicy *policy, char **error);
/* Stops accepting and lets what is under way end; stopped(arg) is called once. */
void listeners_stop(struct listeners *listeners, int64_t timeout_ms, void (*stopped)(void *arg),
                    void *arg);
void listeners_free(struct listeners *listeners);
void listeners_reload(struct listeners *listeners); /* limits, certificates */
/* When the certificate shown to applications or devices ends (wall); INT64_MAX: there is none. */
int64_t listeners_api_expires_ms(const struct listeners *listeners);
int64_t listeners_device_expires_ms(const struct listeners *listeners);
size_t listeners_connections(const struct listeners *listeners); /* without the admin's */
void listeners_write(const struct listeners *listeners, struct json_writer *w); /* a member */

#endif

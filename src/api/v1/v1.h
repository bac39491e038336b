/*
 * The v1 application API: what its chapters share. Each chapter is a file with a table of routes.
 */
#ifndef API_V1_V1_H
#define API_V1_V1_H

#include "base/fields.h"
#include "core/app/app.h"
#include "net/http_server.h"

enum v1_auth {
    V1_OPEN, /* login and its kin: no token */
    V1_APP,  /* app_key and access token of an application that is not frozen */
};

/* The API, to be served by a listener; context is the struct core. */
extern struct http_api v1_api;

struct core *v1_core(const struct call *call);
/* The application that calls; of V1_APP routes. */
struct str v1_app_id(const struct call *call);

void v1_fail(struct call *call, enum error error);

/* The application whose resources are meant: the caller's, unless app_id (the body's, say) or the
 * query's appId or accessAppId names another one. Calls next(call) when it is the caller's; else
 * answers 100203 or 100217. */
void v1_check_app(struct call *call, struct str app_id, call_handler next);
/* Where the protocol says these two with status 200. */
void v1_check_app_200(struct call *call, struct str app_id, call_handler next);
/* Where it says only 100203 so: commands. */
void v1_check_app_mixed(struct call *call, struct str app_id, call_handler next);

/* The body as an object read by a table; false: v1_fail(call, error) was called. */
bool v1_read_body(struct call *call, const struct field *table, void *out, enum error malformed,
                  enum error missing, enum error invalid, const struct json **json);

extern const struct route v1_security_routes[], v1_registration_routes[], v1_device_routes[],
    v1_device_query_routes[], v1_history_routes[], v1_shadow_routes[],
    v1_subscription_routes[], v1_group_routes[], v1_service_routes[], v1_model_routes[],
    v1_command_routes[], v1_command_query_routes[], v1_command_call_routes[];

#endif

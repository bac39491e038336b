/*
 * What the domain's modules share: the connection to Redis, their settings, the bounded caches.
 * One per process, made by iotpushd.c before anything else of core is used.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/cache.h"
#include "base/rate.h"
#include "core/error.h"
#include "store/redis.h"

struct netpolicy;
struct device_index;
struct shadow_transport;
struct sessions;
struct watches;

struct core_settings {
    /* [auth] */
    int64_t token_life_ms, refresh_life_ms;
    int64_t device_token_life_ms, device_token_grace_ms;
    int64_t login_limit, login_interval_ms; /* logins per application and interval; 0 = no limit */
    int64_t api_limit, api_interval_ms;     /* calls per application and interval; 0 = no limit */
    /* [push] */
    int64_t signature_overlap_ms; /* how long a replaced signing key signs too */
    /* [device] */
    int64_t report_limit, report_interval_ms;         /* per device; 0 = no limit */
    int64_t app_report_limit;                         /* per application, same interval */
    int64_t register_timeout_default_ms;              /* of a registration without a timeout */
    int64_t abnormal_after_ms, offline_after_ms;      /* without a report */
    int64_t devices_per_app;                          /* 0 = no limit */
    int64_t children_per_gateway;
    int64_t devices_per_query;                        /* without paging, or by ids */
    int64_t shadow_properties;                        /* reported properties kept per device */
    int64_t sign_time_tolerance_ms;                   /* sign_type 1 of device-auth */
    bool has_old_status_set;                          /* OFFLINE/NOT_ACTIVE instead of INACTIVE */
    char *location_service;                           /* service whose values are positions */
    int64_t muted_commands;                           /* of one service */
    /* [history] */
    int64_t history_entries, history_bytes, history_age_ms; /* per device */
    int64_t history_gateway_devices;                        /* read together */
    int64_t history_answer_bytes;
    /* [shadow] */
    int64_t shadow_desired_properties, shadow_desired_bytes; /* per device */
    int64_t shadow_history_entries;
    int64_t shadow_resend_after_ms;                   /* what a device has not answered */
    bool shadow_needs_model;
    bool shadow_is_lwm2m_only;
    /* [group] */
    int64_t groups_per_app;
    int64_t groups_per_device;
    int64_t group_ids_per_call;
    /* [command] */
    int64_t commands_pending;                             /* per device */
    int64_t command_keep, command_keep_time_ms;           /* per device */
    int64_t commands_per_app, command_tasks;              /* listed, kept per application */
    int64_t command_max_bytes;                            /* of parameters, of an answer */
    int64_t command_cache_time_ms, command_cache_max_ms;  /* of one that names none; longest */
    int64_t command_take_timeout_ms, command_ack_timeout_ms, command_answer_timeout_ms;
    int64_t command_retransmit_after_ms;                  /* 0: they are not sent again */
    int64_t command_zombie_after_ms;                      /* 0: nobody is one */
    int command_model_check;                              /* enum command_model_check */
    bool command_is_requeued;     /* what is not acknowledged is sent until its expireTime is over */
    bool command_tells_end;       /* EXPIRED and CANCELED go to the command's callback */
    bool command_has_old_status;  /* DEFAULT instead of PENDING */
    /* [subscription] */
    int same_type;                  /* enum subscription_same_type */
    int64_t urls_per_app;           /* fanout */
    bool needs_port_and_path;
    bool needs_one_host;
    /* [certificate] */
    int64_t certificate_max_bytes, certificate_max_count; /* of an uploaded file */
    int64_t certificate_max_entries;                      /* per application */
    int64_t certificate_warn_before_ms;                   /* before one expires */
    int64_t certificate_check_interval_ms;
    /* [model] */
    int64_t model_package_bytes, model_files, model_unpacked_bytes, model_content_bytes;
    int64_t models_per_app;
    int64_t capability_bytes; /* of an answer */
    bool model_enforces_enum, model_is_required;
    /* [watch] */
    int64_t watches; /* open at this instance */
    int64_t watch_life_ms, watch_events, watch_bytes;
    /* [partition] */
    int64_t lease_ms, heartbeat_ms;
    int64_t partition_count; /* wanted at first start; core.partition_count is what counts */
    /* [cache] */
    int64_t cache_life_ms;  /* how long another instance's change may stay unseen */
    int64_t cache_apps, cache_models, cache_model_bytes, cache_devices;
};

struct core {
    struct event_base *base;
    struct redis *redis;
    const struct core_settings *settings;
    const struct netpolicy *policy; /* for callback URLs */
    uint32_t partition_count;       /* 0 until it has been read from Redis */
    struct cache *apps;             /* app.c: appId -> application */
    struct cache *subscriptions;    /* subscription.c: appId -> its subscriptions */
    struct device_index *device_index; /* writes under way */
    struct cache *device_apps;      /* report.c: device id -> application id */
    struct cache *device_facts;     /* device/facts.c: device id -> application, model reference */
    struct cache *catalogues;       /* model/store.c: appId -> which models it has */
    struct cache *models;           /* model/store.c: appId/productId -> parsed model */
    const struct shadow_transport *shadow_transport; /* shadow.c: NULL, or set by iotpushd.c */
    struct sessions *sessions;      /* session.c; NULL: none, as in tests */
    struct watches *watches;        /* watch.c; set by iotpushd.c */
    struct rate *login_rate, *api_rate, *device_rate, *app_report_rate;
};

struct core *core_new(struct event_base *base, struct redis *redis,
                      const struct core_settings *settings, const struct netpolicy *policy);
void core_free(struct core *core);
/* After a reload: limits take their new values. */
void core_settings_changed(struct core *core);

/* Has Redis been reached at all yet? Before that nobody knows where a device lives, and every call is
 * answered ERR_INTERNAL. */
static inline bool core_is_ready(const struct core *core)
{
    return core->partition_count > 0;
}

/* Reads (at the first start of a deployment: writes) the number of partitions. Answers ERR_OK, or
 * why Redis could not say. */
void core_load_partition_count(struct core *core, void (*cb)(enum error error, void *arg),
                               void *arg);

/* What a status of Redis means to whoever asked: REDIS_DONE is ERR_OK. */
enum error core_error_of(enum redis_status status);

#endif

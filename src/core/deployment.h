/*
 * Facts of the deployment as a whole, for the administrator: who is alive, who owns what with which
 * backlog, and the switch that holds all deliveries back.
 */
#ifndef CORE_DEPLOYMENT_H
#define CORE_DEPLOYMENT_H

#include "base/arena.h"
#include "core/core.h"

struct deployment_instance {
    struct str id;
    int64_t silent_ms; /* since its last heartbeat */
};

struct deployment_partition {
    uint32_t number;
    struct str owner;     /* instance id; STR_NONE: nobody */
    int64_t backlog;      /* events in its stream */
    int64_t oldest_ms;    /* age of the oldest; 0: none */
};

typedef void (*deployment_instances_cb)(enum error error,
                                        const struct deployment_instance *instances, size_t count,
                                        void *arg);
typedef void (*deployment_partitions_cb)(enum error error,
                                         const struct deployment_partition *partitions,
                                         size_t count, void *arg);

/* The arena lives until the callback. */
void deployment_instances(struct core *core, struct arena *arena, deployment_instances_cb cb,
                          void *arg);
void deployment_partitions(struct core *core, struct arena *arena, deployment_partitions_cb cb,
                           void *arg);

/* What operators hold back. All instances stop sending (all, or to these callback URLs; events stay in
 * Redis, and get older) until it is taken back; they notice within a second. */
struct deployment_switches {
    bool is_paused; /* everything */
    const struct str *paused_urls;
    size_t paused_url_count;
};
typedef void (*deployment_switches_cb)(enum error error,
                                       const struct deployment_switches *switches, void *arg);
typedef void (*deployment_done_cb)(enum error error, void *arg);

/* The switches are valid during the callback. */
void deployment_read_switches(struct core *core, deployment_switches_cb cb, void *arg);
/* url: STR_NONE = everything. ERR_BAD_REQUEST when DEPLOYMENT_PAUSED_URLS_MAX are paused already. */
#define DEPLOYMENT_PAUSED_URLS_MAX 1000
void deployment_set_paused(struct core *core, struct str url, bool is_paused,
                           deployment_done_cb cb, void *arg);

#endif

#include "core/core.h"

#include "base/mem.h"
#include "core/app/app.h"
#include "core/app/subscription.h"
#include "core/device/facts.h"
#include "core/device/index.h"
#include "core/model/store.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

#define RATE_KEYS 100000

struct core *core_new(struct event_base *base, struct redis *redis,
                      const struct core_settings *settings, const struct netpolicy *policy)
{
    struct core *core = xcalloc(1, sizeof(*core));

    core->base = base;
    core->redis = redis;
    core->settings = settings;
    core->policy = policy;
    core->apps = cache_new((size_t)settings->cache_apps, app_free);
    core->subscriptions = cache_new((size_t)settings->cache_apps, subscriptions_release);
    device_facts_start(core);
    model_store_start(core);
    core->device_index = device_index_new(core);
    core->login_rate = rate_new(0, 1000, RATE_KEYS);
    core->api_rate = rate_new(0, 1000, RATE_KEYS);
    core->device_rate = rate_new(0, 1000, RATE_KEYS);
    core->app_report_rate = rate_new(0, 1000, RATE_KEYS);
    core_settings_changed(core);
    return core;
}

void core_settings_changed(struct core *core)
{
    const struct core_settings *s = core->settings;

    rate_set_limit(core->login_rate, (uint32_t)s->login_limit, s->login_interval_ms);
    rate_set_limit(core->api_rate, (uint32_t)s->api_limit, s->api_interval_ms);
    rate_set_limit(core->device_rate, (uint32_t)s->report_limit, s->report_interval_ms);
    rate_set_limit(core->app_report_rate, (uint32_t)s->app_report_limit, s->report_interval_ms);
}

void core_free(struct core *core)
{
    if (!core)
        return;
    cache_free(core->apps);
    cache_free(core->subscriptions);
    device_facts_stop(core);
    model_store_stop(core);
    device_index_free(core->device_index);
    rate_free(core->login_rate);
    rate_free(core->api_rate);
    rate_free(core->device_rate);
    rate_free(core->app_report_rate);
    free(core);
}

enum error core_error_of(enum redis_status status)
{
    return status == REDIS_DONE ? ERR_OK : ERR_INTERNAL;
}

struct load_count {
    struct core *core;
    void (*cb)(enum error error, void *arg);
    void *arg;
};

static void count_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct load_count *load = arg;
    int64_t count = status == REDIS_DONE ? redis_reply_i64(reply) : 0;

    if (count > 0)
        load->core->partition_count = (uint32_t)count;
    load->cb(count > 0 ? ERR_OK : ERR_INTERNAL, load->arg);
    free(load);
}

static void count_written(enum redis_status status, const redisReply *reply, void *arg)
{
    struct load_count *load = arg;
    struct key key;
    struct str get[] = {STR("HGET"), key_deployment(&key), STR("partitions")};

    (void)reply;
    if (status != REDIS_DONE) {
        load->cb(ERR_INTERNAL, load->arg);
        free(load);
        return;
    }
    redis_command(load->core->redis, 3, get, count_read, load);
}

void core_load_partition_count(struct core *core, void (*cb)(enum error error, void *arg),
                               void *arg)
{
    struct load_count *load = xcalloc(1, sizeof(*load));
    struct key key;
    char wanted[24];
    struct str set[] = {STR("HSETNX"), key_deployment(&key), STR("partitions"), STR_NONE};

    load->core = core;
    load->cb = cb;
    load->arg = arg;
    set[3] = str_n(wanted, (size_t)snprintf(wanted, sizeof(wanted), "%lld",
                                            (long long)core->settings->partition_count));
    redis_command(core->redis, 4, set, count_written, load);
}

/* The core out of its parts. It alone knows them all: they know core.h, and what they need of each other. */
#include "core/core.h"

#include "base/mem.h"
#include "core/app/app.h"
#include "core/app/subscription.h"
#include "core/device/facts.h"
#include "core/device/index.h"
#include "core/model/store.h"
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

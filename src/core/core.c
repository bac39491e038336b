#include "core/core.h"

#include "base/mem.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

void core_settings_changed(struct core *core)
{
    const struct core_settings *s = core->settings;

    rate_set_limit(core->login_rate, (uint32_t)s->login_limit, s->login_interval_ms);
    rate_set_limit(core->api_rate, (uint32_t)s->api_limit, s->api_interval_ms);
    rate_set_limit(core->device_rate, (uint32_t)s->report_limit, s->report_interval_ms);
    rate_set_limit(core->app_report_rate, (uint32_t)s->app_report_limit, s->report_interval_ms);
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

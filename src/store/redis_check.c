#include "store/redis_check.h"

#include "base/log.h"
#include "base/mem.h"
#include <stdlib.h>

static const struct {
    const char *setting, *wanted, *danger;
} settings[] = {
    {"maxmemory-policy", "noeviction", "Redis may throw away events when its memory is full"},
    {"appendonly", "yes", "a restart of Redis loses what came after its last snapshot"},
};
#define SETTING_COUNT (sizeof(settings) / sizeof(*settings))

struct check {
    size_t next, waiting;
    bool is_safe;
    void (*checked)(bool is_safe, void *arg);
    void *arg;
};

static void setting_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct check *check = arg;
    size_t i = check->next++; /* replies come in the order of the commands */
    struct str value = redis_reply_field(reply, settings[i].setting);

    if (status != REDIS_DONE || !value.p) {
        log_warn("redis", "setting=%s state=unknown", settings[i].setting);
    } else if (!str_eq(value, str_of(settings[i].wanted))) {
        log_warn("redis", "setting=%s value=%.*s wanted=%s danger=%s", settings[i].setting,
                 STR_ARG(value), settings[i].wanted, settings[i].danger);
        check->is_safe = false;
    }
    if (--check->waiting == 0) {
        check->checked(check->is_safe, check->arg);
        free(check);
    }
}

void redis_check_settings(struct redis *redis, void (*checked)(bool is_safe, void *arg),
                          void *arg)
{
    struct check *check = xcalloc(1, sizeof(*check));

    check->is_safe = true;
    check->checked = checked;
    check->arg = arg;
    check->waiting = SETTING_COUNT;
    for (size_t i = 0; i < SETTING_COUNT; i++)
        redis_command(redis, 3,
                      (struct str[]){STR("CONFIG"), STR("GET"), str_of(settings[i].setting)},
                      setting_read, check);
}

#include "core/model/events.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/event.h"
#include "core/partition.h"
#include "store/keys.h"
#include <stdlib.h>

struct sending {
    struct core *core;
    char *app_id, *entry;
    void (*cb)(enum error error, void *arg);
    void *arg;
};

static void sending_end(struct sending *sending, enum error error)
{
    if (sending->cb)
        sending->cb(error, sending->arg);
    free(sending->app_id);
    free(sending->entry);
    free(sending);
}

/* Not waited for: an entry that stays is sent again. */
static void take_out(struct core *core, struct str app_id, struct str entry)
{
    struct key key;

    redis_command(core->redis, 3,
                  (struct str[]){STR("ZREM"), key_app_model_events(&key, app_id), entry}, NULL,
                  NULL);
}

static void appended(enum redis_status status, const redisReply *reply, void *arg)
{
    struct sending *sending = arg;

    (void)reply;
    if (status == REDIS_DONE)
        take_out(sending->core, str_of(sending->app_id), str_of(sending->entry));
    sending_end(sending, core_error_of(status));
}

static void unreadable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sending_end(arg, ERR_INTERNAL);
}

void model_event_send(struct core *core, struct str app_id, struct str entry,
                      void (*cb)(enum error error, void *arg), void *arg)
{
    struct sending *sending = xcalloc(1, sizeof(*sending));
    struct event_facts facts;
    struct str event;
    struct key key;

    sending->core = core;
    sending->app_id = str_dup(app_id);
    sending->entry = str_dup(entry);
    sending->cb = cb;
    sending->arg = arg;
    str_split(str_of(sending->entry), ' ', &event);
    if (!event_read(event, &facts)) {
        log_error("model", "app=%.*s event=unreadable", STR_ARG(app_id));
        take_out(core, app_id, entry);
        event_base_once(core->base, -1, EV_TIMEOUT, unreadable, sending, NULL);
        return;
    }
    redis_command(core->redis, 5,
                  (struct str[]){STR("XADD"),
                                 key_events(&key, partition_of(core, facts.device_id)), STR("*"),
                                 STR("e"), event},
                  appended, sending);
}

#include "device/unsaid.h"

#include "base/log.h"

#define AT_ONCE   256
#define TRIES_MAX 100 /* while Redis is connected: it answers, but with an error */

static const struct timeval pause = {0, 200000};

static void say_some(evutil_socket_t fd, short what, void *arg)
{
    struct unsaid_list *list = arg;
    struct unsaid *unsaid;
    size_t count = 0;

    (void)fd;
    (void)what;
    /* What fails again comes back by a callback, which is never called from here. */
    while (redis_is_connected(list->core->redis) && (unsaid = STAILQ_FIRST(&list->list)) &&
           count++ < AT_ONCE) {
        STAILQ_REMOVE_HEAD(&list->list, entry);
        unsaid->say(unsaid);
    }
    if (!STAILQ_EMPTY(&list->list))
        event_add(list->timer, &pause);
}

void unsaid_add(struct unsaid_list *list, struct unsaid *unsaid)
{
    if (redis_is_connected(list->core->redis) && ++unsaid->tries > TRIES_MAX) {
        log_error("mqtt", "state=given_up reason=%s", "redis does not take it");
        unsaid->drop(unsaid);
        return;
    }
    unsaid->is_late = true;
    if (STAILQ_EMPTY(&list->list))
        event_add(list->timer, &pause);
    STAILQ_INSERT_TAIL(&list->list, unsaid, entry);
}

void unsaid_init(struct unsaid_list *list, struct core *core)
{
    list->core = core;
    STAILQ_INIT(&list->list);
    list->timer = evtimer_new(core->base, say_some, list);
}

void unsaid_clear(struct unsaid_list *list)
{
    struct unsaid *unsaid;

    event_free(list->timer);
    while ((unsaid = STAILQ_FIRST(&list->list))) {
        STAILQ_REMOVE_HEAD(&list->list, entry);
        unsaid->drop(unsaid);
    }
}

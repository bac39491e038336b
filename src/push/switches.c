/*
 * What operators have paused, as it stands in Redis: all deliveries, or those to certain callback
 * URLs. Each instance asks once a second.
 */
#include "push/delivery.h"

#include "base/mem.h"
#include "core/deployment.h"
#include <stdlib.h>

struct switched {
    UT_hash_handle hh;
    bool is_seen; /* in the last answer */
    char url[];
};

bool switches_is_paused(const struct push *push, struct str url)
{
    struct switched *switched;

    HASH_FIND(hh, push->paused, url.p, url.len, switched);
    return switched != NULL;
}

static void add(struct push *push, struct str url)
{
    struct switched *switched;

    HASH_FIND(hh, push->paused, url.p, url.len, switched);
    if (!switched) {
        switched = xcalloc(1, sizeof(*switched) + url.len + 1);
        memcpy(switched->url, url.p, url.len);
        HASH_ADD(hh, push->paused, url[0], url.len, switched);
    }
    switched->is_seen = true;
}

static void forget_unseen(struct push *push)
{
    struct switched *switched, *next;

    HASH_ITER (hh, push->paused, switched, next) {
        if (!switched->is_seen) {
            HASH_DEL(push->paused, switched);
            free(switched);
        }
    }
}

void push_take_switches(struct push *push, const struct deployment_switches *switches)
{
    struct switched *switched;
    struct target *target, *next;

    for (switched = push->paused; switched; switched = switched->hh.next)
        switched->is_seen = false;
    for (size_t i = 0; i < switches->paused_url_count; i++)
        add(push, switches->paused_urls[i]);
    forget_unseen(push);
    HASH_ITER (hh, push->targets, target, next)
        target_set_paused(target, switches_is_paused(push, str_of(target->url)));
    push_set_paused(push, switches->is_paused);
}

static void switches_known(enum error error, const struct deployment_switches *switches, void *arg)
{
    if (error)
        return; /* the sweep asks again */
    push_take_switches(arg, switches);
    push_go(arg);
}

void switches_refresh(struct push *push)
{
    deployment_read_switches(push->core, switches_known, push);
}

void switches_free(struct push *push)
{
    struct switched *switched, *next;

    HASH_ITER (hh, push->paused, switched, next) {
        HASH_DEL(push->paused, switched);
        free(switched);
    }
}

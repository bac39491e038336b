/*
 * Devices whose instance has died go OFFLINE by whoever owns their partition. An instance that was silent
 * for longer than a lease may have been taken for dead: it looks whether its own devices are still its.
 */
#include "push/delivery.h"

#include "base/mem.h"
#include "core/session/session.h"
#include <stdlib.h>

static void sweep_owned(struct push *push, const struct str *live, size_t count)
{
    for (uint32_t i = 0; i < push->core->partition_count; i++) {
        if (push->partitions[i].state == PARTITION_OWNED)
            session_sweep(push->core, i, live, count);
    }
}

void sweep_sessions(struct push *push, const redisReply *instances)
{
    struct str *live;

    if (!push->core->sessions)
        return;
    live = xcalloc(instances->elements + 1, sizeof(*live));
    for (size_t i = 0; i < instances->elements; i++)
        live[i] = redis_reply_str(redis_reply_at(instances, i));
    sweep_owned(push, live, instances->elements);
    free(live);
}

void sessions_late(struct push *push)
{
    if (push->core->sessions)
        sessions_recheck(push->core);
}

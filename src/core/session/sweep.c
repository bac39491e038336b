/*
 * Sessions whose node is dead.
 *
 * Each partition knows the nodes that hold devices of it (`{pN}:nodes`), and the devices of each
 * (`{pN}:on:<node>`). A sweep closes them some hundred at a time, each by the same script as ever, so it
 * may run twice, or late, or at two instances: a device that has connected elsewhere meanwhile is left
 * alone.
 */
#include "core/session/private.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/partition.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdlib.h>

#define DEVICES_AT_ONCE "200"

/* ---- one dead node in one partition ---- */

struct sweep {
    LIST_ENTRY(sweep) entry;
    struct core *core;
    uint32_t partition;
    char *node;
    size_t waiting; /* closings of this round */
    size_t total;
};

static void next_round(struct sweep *sweep);

static void sweep_free(struct sweep *sweep)
{
    LIST_REMOVE(sweep, entry);
    free(sweep->node);
    free(sweep);
}

static void forgotten(enum redis_status status, const redisReply *reply, void *arg)
{
    struct sweep *sweep = arg;

    (void)status; /* the next look finds it again */
    (void)reply;
    if (sweep->total)
        log_info("session", "node=%s partition=%u state=dead devices=%zu", sweep->node,
                 (unsigned)sweep->partition, sweep->total);
    sweep_free(sweep);
}

static void forget_node(struct sweep *sweep)
{
    struct str node = str_of(sweep->node);
    struct key nodes, on_node;

    redis_script(sweep->core->redis, &script_node_forget, 2,
                 (struct str[]){key_nodes(&nodes, sweep->partition),
                                key_on_node(&on_node, sweep->partition, node)},
                 1, &node, forgotten, sweep);
}

static void one_closed(void *arg)
{
    struct sweep *sweep = arg;

    if (--sweep->waiting == 0)
        next_round(sweep);
}

static void devices_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct sweep *sweep = arg;

    if (status != REDIS_DONE) {
        sweep_free(sweep);
        return;
    }
    if (reply->elements == 0) {
        forget_node(sweep);
        return;
    }
    sweep->waiting = reply->elements;
    sweep->total += reply->elements;
    for (size_t i = 0; i < reply->elements; i++)
        session_close_at(sweep->core, redis_reply_str(redis_reply_at(reply, i)), STR(""),
                         str_of(sweep->node), one_closed, sweep);
}

static void next_round(struct sweep *sweep)
{
    struct key key;

    redis_command(sweep->core->redis, 3,
                  (struct str[]){STR("SRANDMEMBER"),
                                 key_on_node(&key, sweep->partition, str_of(sweep->node)),
                                 STR(DEVICES_AT_ONCE)},
                  devices_read, sweep);
}

static bool is_being_swept(const struct core *core, uint32_t partition, struct str node)
{
    const struct sweep *sweep;

    LIST_FOREACH (sweep, &core->sessions->sweeps, entry) {
        if (sweep->partition == partition && str_eq(str_of(sweep->node), node))
            return true;
    }
    return false;
}

static void sweep_node(struct core *core, uint32_t partition, struct str node)
{
    struct sweep *sweep;

    if (node.len == 0 || node.len > KEY_ID_MAX || is_being_swept(core, partition, node))
        return;
    sweep = xcalloc(1, sizeof(*sweep));
    sweep->core = core;
    sweep->partition = partition;
    sweep->node = str_dup(node);
    LIST_INSERT_HEAD(&core->sessions->sweeps, sweep, entry);
    next_round(sweep);
}

void session_sweep_free(struct sessions *sessions)
{
    while (!LIST_EMPTY(&sessions->sweeps))
        sweep_free(LIST_FIRST(&sessions->sweeps));
}

/* ---- a look at a partition's nodes ---- */

/* "<instance>.<boot>" */
static bool is_of_instance(struct str node, struct str instance)
{
    return node.len > instance.len && node.p[instance.len] == '.' &&
           memcmp(node.p, instance.p, instance.len) == 0;
}

struct glance {
    struct core *core;
    uint32_t partition;
    size_t live_count;
    char *live[]; /* instances */
};

static void glance_free(struct glance *glance)
{
    for (size_t i = 0; i < glance->live_count; i++)
        free(glance->live[i]);
    free(glance);
}

static bool is_dead(const struct glance *glance, struct str node)
{
    for (size_t i = 0; i < glance->live_count; i++) {
        if (is_of_instance(node, str_of(glance->live[i])))
            return false;
    }
    return true;
}

static void nodes_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct glance *glance = arg;

    for (size_t i = 0; status == REDIS_DONE && i < reply->elements; i++) {
        struct str node = redis_reply_str(redis_reply_at(reply, i));

        if (is_dead(glance, node))
            sweep_node(glance->core, glance->partition, node);
    }
    glance_free(glance);
}

static void read_nodes(struct core *core, uint32_t partition, redis_cb cb, void *arg)
{
    struct key key;

    redis_command(core->redis, 2, (struct str[]){STR("SMEMBERS"), key_nodes(&key, partition)}, cb,
                  arg);
}

void session_sweep(struct core *core, uint32_t partition, const struct str *live, size_t count)
{
    struct glance *glance = xcalloc(1, sizeof(*glance) + count * sizeof(*glance->live));

    glance->core = core;
    glance->partition = partition;
    glance->live_count = count;
    for (size_t i = 0; i < count; i++)
        glance->live[i] = str_dup(live[i]);
    read_nodes(core, partition, nodes_read, glance);
}

/* ---- what we left when we died ---- */

struct own_glance {
    struct core *core;
    uint32_t partition;
};

static void own_nodes_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct own_glance *glance = arg;
    struct str self = str_of(glance->core->sessions->node);
    struct str instance = str_n(self.p, self.len - 9); /* without ".<boot>" */

    for (size_t i = 0; status == REDIS_DONE && i < reply->elements; i++) {
        struct str node = redis_reply_str(redis_reply_at(reply, i));

        if (is_of_instance(node, instance) && !str_eq(node, self))
            sweep_node(glance->core, glance->partition, node);
    }
    free(glance);
}

void session_sweep_own(struct core *core)
{
    for (uint32_t i = 0; i < core->partition_count; i++) {
        struct own_glance *glance = xcalloc(1, sizeof(*glance));

        glance->core = core;
        glance->partition = i;
        read_nodes(core, i, own_nodes_read, glance);
    }
}

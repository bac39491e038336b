/* Several devices at once, some of them at a time; and the one with a node id. */
#include "core/device/device.h"

#include "core/partition.h"
#include "store/keys.h"

#define WINDOW 50 /* devices asked for at once */

struct list {
    struct core *core;
    struct arena *arena;
    struct str app_id;
    const struct str *ids;
    const struct device **devices;
    size_t count, next, under_way;
    bool with_services;
    enum error error;
    device_list_cb cb;
    void *arg;
};

struct item {
    struct list *list;
    size_t index;
};

static void list_end(struct list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count && !list->error; i++) {
        if (list->devices[i])
            list->devices[kept++] = list->devices[i];
    }
    list->cb(list->error, list->devices, kept, list->arg);
}

static void read_more(struct list *list);

static void item_read(enum error error, const struct device *device, void *arg)
{
    struct item *item = arg;
    struct list *list = item->list;

    list->devices[item->index] = device;
    if (error && error != ERR_DEVICE_NOT_FOUND)
        list->error = error;
    list->under_way--;
    read_more(list);
}

static void read_more(struct list *list)
{
    while (!list->error && list->next < list->count && list->under_way < WINDOW) {
        struct item *item = arena_alloc(list->arena, sizeof(*item));

        *item = (struct item){list, list->next++};
        list->under_way++;
        device_read(list->core, list->arena, list->app_id, list->ids[item->index],
                    list->with_services, item_read, item);
    }
    if (list->under_way == 0)
        list_end(list);
}

static void list_is_empty(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    list_end(arg);
}

void device_read_list(struct core *core, struct arena *arena, struct str app_id,
                      const struct str *ids, size_t count, bool with_services, device_list_cb cb,
                      void *arg)
{
    struct list *list = arena_zalloc(arena, sizeof(*list));

    list->core = core;
    list->arena = arena;
    list->app_id = app_id;
    list->ids = ids;
    list->devices = arena_zalloc(arena, (count + 1) * sizeof(const struct device *));
    list->count = count;
    list->with_services = with_services;
    list->cb = cb;
    list->arg = arg;
    if (count == 0)
        event_base_once(core->base, -1, EV_TIMEOUT, list_is_empty, list, NULL);
    else
        read_more(list);
}

/* ---- by node id ---- */

struct node_question {
    struct core *core;
    struct arena *arena;
    struct str app_id, node_id;
    device_id_cb cb;
    void *arg;
};

/* A reservation alone is no device, and one whose node id was just replaced has it no more. */
static void holder_read(enum error error, const struct device *device, void *arg)
{
    struct node_question *question = arg;

    if (!error && !str_eq(device_member(device, "nodeId"), question->node_id))
        error = ERR_DEVICE_NOT_FOUND;
    question->cb(error, error ? STR_NONE : device->id, question->arg);
}

static void node_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct node_question *question = arg;
    struct str unused;
    struct str holder = status == REDIS_DONE ? redis_reply_str(reply) : STR_NONE;

    if (!holder.p)
        question->cb(status == REDIS_DONE ? ERR_DEVICE_NOT_FOUND : ERR_INTERNAL, STR_NONE,
                     question->arg);
    else
        device_read(question->core, question->arena, question->app_id,
                    arena_str(question->arena, str_split(holder, ':', &unused)), false, holder_read,
                    question);
}

void device_find_node(struct core *core, struct arena *arena, struct str app_id,
                      struct str node_id, device_id_cb cb, void *arg)
{
    struct node_question *question = arena_alloc(arena, sizeof(*question));
    struct key key;

    *question = (struct node_question){core, arena, app_id, node_id, cb, arg};
    redis_command(core->redis, 3, (struct str[]){STR("HGET"), key_app_nodes(&key, app_id), node_id},
                  node_read, question);
}

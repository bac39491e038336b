#include "core/device/group.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"
#include <assert.h>
#include <stdlib.h>

#define ID_DIGITS   20
#define SWEEP_COUNT "500"

bool group_name_is_valid(struct str name)
{
    if (name.len < 1 || name.len > GROUP_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    return true;
}

/* An id that cannot be ours names nothing; "-" is one that is never given out. */
static struct str id_or_none(struct str id, size_t max)
{
    return str_is_id(id, max) ? id : STR("-");
}

/* ---- the question under way ---- */

struct question {
    struct core *core;
    struct arena *arena;
    struct str app_id, id;
    struct group group;
    size_t count;
    union {
        group_cb group;
        group_done_cb done;
        group_read_cb read;
        group_list_cb list;
        group_lists_cb lists;
    } cb;
    void *arg;
};

static struct question *question_new(struct core *core, struct arena *arena, struct str app_id,
                                     struct str id, void *arg)
{
    struct question *question = arena_zalloc(arena, sizeof(*question));

    question->core = core;
    question->arena = arena;
    question->app_id = id_or_none(app_id, KEY_ID_MAX);
    question->id = id_or_none(id, GROUP_ID_MAX);
    question->arg = arg;
    return question;
}

/* What the scripts answer, as a text or at the begin of a list. */
static enum error outcome_of(enum redis_status status, const redisReply *reply)
{
    static const struct {
        const char *text;
        enum error error;
    } outcomes[] = {
        {"OK", ERR_OK},
        {"GONE", ERR_APP_NOT_FOUND},
        {"NONE", ERR_GROUP_NOT_FOUND},
        {"NAME", ERR_GROUP_NAME},
        {"QUOTA", ERR_GROUP_QUOTA},
        {"FULL", ERR_GROUP_FULL},
        {"DEVICE", ERR_GROUP_PARAMETER},
    };

    if (status != REDIS_DONE)
        return ERR_INTERNAL;
    if (reply->type == REDIS_REPLY_ARRAY)
        reply = redis_reply_at(reply, 0);
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        if (redis_reply_is(reply, outcomes[i].text))
            return outcomes[i].error;
    }
    return ERR_INTERNAL;
}

/* "<name> <most devices> <created ms> <description as JSON>" */
static bool group_from(struct arena *arena, struct str id, struct str facts, struct group *group)
{
    struct str rest;
    uint64_t most, created;

    facts = arena_str(arena, facts);
    group->id = arena_str(arena, id);
    group->name = str_split(facts, ' ', &rest);
    if (!str_to_u64(str_split(rest, ' ', &rest), INT64_MAX, &most) ||
        !str_to_u64(str_split(rest, ' ', &rest), INT64_MAX, &created) || !rest.len) {
        log_error("group", "id=%.*s state=unreadable", STR_ARG(id));
        return false;
    }
    group->most_devices = (int64_t)most;
    group->created_ms = (int64_t)created;
    group->description = rest;
    return true;
}

/* ---- members of groups that are gone ---- */

struct sweep {
    struct core *core;
    char app_id[KEY_ID_MAX + 1];
};

static void sweep_on(struct sweep *sweep);

static void swept(enum redis_status status, const redisReply *reply, void *arg)
{
    struct sweep *sweep = arg;

    if (status == REDIS_DONE && redis_reply_i64(reply) > 0)
        sweep_on(sweep);
    else
        free(sweep); /* what is left is for the next one */
}

static void sweep_on(struct sweep *sweep)
{
    struct str id = str_of(sweep->app_id);
    struct key dead, members, groups_of;
    struct str keys[] = {key_app_dead_groups(&dead, id), key_app_group_members(&members, id),
                         key_app_device_groups(&groups_of, id)};

    redis_script(sweep->core->redis, &script_group_sweep, 3, keys, 1,
                 (struct str[]){STR(SWEEP_COUNT)}, swept, sweep);
}

static void sweep_start(struct core *core, struct str app_id)
{
    struct sweep *sweep = xcalloc(1, sizeof(*sweep));

    sweep->core = core;
    memcpy(sweep->app_id, app_id.p, app_id.len);
    sweep_on(sweep);
}

/* ---- putting devices in ---- */

/* A group that is new has a name. */
static void put_devices(struct question *question, const struct group *new_group,
                        struct group_ids devices, redis_cb cb)
{
    const struct core_settings *settings = question->core->settings;
    struct str id = question->app_id;
    struct key app, groups, names, order, members, groups_of, all_devices;
    struct decimal per_device, created, most_groups, most_devices;
    size_t count = 7;
    struct str *args = arena_alloc(question->arena, (count + devices.count) * sizeof(*args));
    struct str keys[] = {key_app(&app, id),
                         key_app_groups(&groups, id),
                         key_app_group_names(&names, id),
                         key_app_group_order(&order, id),
                         key_app_group_members(&members, id),
                         key_app_device_groups(&groups_of, id),
                         key_app_devices(&all_devices, id)};

    assert(devices.count <= GROUP_IDS_MAX);
    args[0] = question->id;
    args[1] = decimal_str(&per_device, settings->groups_per_device);
    args[2] = new_group->name.p ? new_group->name : STR("");
    args[3] = new_group->description.p ? new_group->description : STR("null");
    args[4] = decimal_str(&created, new_group->created_ms);
    args[5] = decimal_str(&most_groups, settings->groups_per_app);
    args[6] = decimal_str(&most_devices, new_group->most_devices);
    for (size_t i = 0; i < devices.count; i++)
        args[count++] = id_or_none(devices.list[i], KEY_ID_MAX);
    redis_script(question->core->redis, &script_group_add, 7, keys, count, args, cb, question);
}

static void created(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = outcome_of(status, reply);

    if (!error) {
        question->group.devices = redis_reply_i64(redis_reply_at(reply, 1));
        sweep_start(question->core, question->app_id);
    }
    question->cb.group(error, error ? NULL : &question->group, question->arg);
}

void group_create(struct core *core, struct arena *arena, struct str app_id,
                  const struct group *wanted, struct group_ids members, group_cb cb, void *arg)
{
    char *id = arena_alloc(arena, ID_DIGITS + 1);
    struct question *question;

    crypto_random_hex(id, ID_DIGITS);
    question = question_new(core, arena, app_id, str_of(id), arg);
    question->group = *wanted;
    question->group.id = question->id;
    question->group.created_ms = clock_now_ms();
    question->cb.group = cb;
    put_devices(question, &question->group, members, created);
}

static void answer_done(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;

    question->cb.done(outcome_of(status, reply), question->arg);
}

void group_add(struct core *core, struct arena *arena, struct str app_id, struct str id,
               struct group_ids devices, group_done_cb cb, void *arg)
{
    static const struct group no_new_one;
    struct question *question = question_new(core, arena, app_id, id, arg);

    question->cb.done = cb;
    put_devices(question, &no_new_one, devices, answer_done);
}

/* ---- taking devices out ---- */

void group_remove(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  struct group_ids devices, group_done_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, id, arg);
    struct str app = question->app_id;
    struct key groups, members, groups_of, all_devices;
    struct str keys[] = {key_app_groups(&groups, app), key_app_group_members(&members, app),
                         key_app_device_groups(&groups_of, app),
                         key_app_devices(&all_devices, app)};
    struct str *args = arena_alloc(arena, (1 + devices.count) * sizeof(*args));

    assert(devices.count >= 1 && devices.count <= GROUP_IDS_MAX);
    question->cb.done = cb;
    args[0] = question->id;
    for (size_t i = 0; i < devices.count; i++)
        args[1 + i] = id_or_none(devices.list[i], KEY_ID_MAX);
    redis_script(core->redis, &script_group_remove, 4, keys, 1 + devices.count, args, answer_done,
                 question);
}

/* ---- changing, deleting ---- */

static void modified(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = outcome_of(status, reply);

    if (!error && !group_from(question->arena, question->id,
                              redis_reply_str(redis_reply_at(reply, 1)), &question->group))
        error = ERR_INTERNAL;
    if (!error)
        question->group.devices = redis_reply_i64(redis_reply_at(reply, 2));
    question->cb.group(error, error ? NULL : &question->group, question->arg);
}

void group_modify(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  const struct group_change *change, group_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, id, arg);
    struct str app = question->app_id;
    struct key groups, names, members;
    struct decimal most;
    struct str keys[] = {key_app_groups(&groups, app), key_app_group_names(&names, app),
                         key_app_group_members(&members, app)};
    struct str args[] = {question->id, change->name,
                         change->most_devices >= 0 ? decimal_str(&most, change->most_devices)
                                                   : STR(""),
                         change->description.p ? change->description : STR("")};

    question->cb.group = cb;
    redis_script(core->redis, &script_group_modify, 3, keys, 4, args, modified, question);
}

static void deleted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = outcome_of(status, reply);

    if (!error)
        sweep_start(question->core, question->app_id);
    question->cb.done(error, question->arg);
}

void group_delete(struct core *core, struct arena *arena, struct str app_id, struct str id,
                  group_done_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, id, arg);
    struct str app = question->app_id;
    struct key groups, names, order, dead;
    struct str keys[] = {key_app_groups(&groups, app), key_app_group_names(&names, app),
                         key_app_group_order(&order, app), key_app_dead_groups(&dead, app)};

    question->cb.done = cb;
    redis_script(core->redis, &script_group_delete, 4, keys, 1, (struct str[]){question->id},
                 deleted, question);
}

/* ---- reading ---- */

/* "<group id> <device id>" */
static struct str member_device(struct arena *arena, struct str member)
{
    struct str device;

    str_split(member, ' ', &device);
    return arena_str(arena, device);
}

static void group_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = outcome_of(status, reply);
    struct group_ids members = {NULL, 0};
    struct str *list;

    if (!error && !group_from(question->arena, question->id,
                              redis_reply_str(redis_reply_at(reply, 1)), &question->group))
        error = ERR_INTERNAL;
    if (error) {
        question->cb.read(error, NULL, members, question->arg);
        return;
    }
    question->group.devices = redis_reply_i64(redis_reply_at(reply, 2));
    list = arena_alloc(question->arena, reply->elements * sizeof(*list));
    for (size_t i = 3; i < reply->elements; i++)
        list[members.count++] =
            member_device(question->arena, redis_reply_str(redis_reply_at(reply, i)));
    members.list = list;
    question->cb.read(ERR_OK, &question->group, members, question->arg);
}

void group_read(struct core *core, struct arena *arena, struct str app_id, struct str id,
                uint64_t first, size_t count, group_read_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, id, arg);
    struct key groups, members;
    struct decimal from, most;
    struct str keys[] = {key_app_groups(&groups, question->app_id),
                         key_app_group_members(&members, question->app_id)};
    struct str args[] = {question->id, decimal_str(&from, (int64_t)first),
                         decimal_str(&most, (int64_t)count)};

    question->cb.read = cb;
    redis_script(core->redis, &script_group_read, 2, keys, 3, args, group_replied, question);
}

static void list_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = core_error_of(status);
    size_t most = error ? 0 : reply->elements / 3, count = 0;
    struct group *groups = arena_zalloc(question->arena, (most + 1) * sizeof(*groups));

    for (size_t i = 0; i < most; i++) {
        struct group *group = &groups[count];

        group->devices = redis_reply_i64(redis_reply_at(reply, 3 * i + 3));
        count += group_from(question->arena, redis_reply_str(redis_reply_at(reply, 3 * i + 1)),
                            redis_reply_str(redis_reply_at(reply, 3 * i + 2)), group);
    }
    question->cb.list(error, groups, count, error ? 0 : redis_reply_i64(redis_reply_at(reply, 0)),
                      question->arg);
}

void group_list(struct core *core, struct arena *arena, struct str app_id, struct str name,
                uint64_t first, size_t count, group_list_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, STR("-"), arg);
    struct str app = question->app_id;
    struct key groups, names, order, members;
    struct decimal from, most;
    struct str keys[] = {key_app_groups(&groups, app), key_app_group_names(&names, app),
                         key_app_group_order(&order, app), key_app_group_members(&members, app)};
    struct str args[] = {name.p ? name : STR(""), decimal_str(&from, (int64_t)first),
                         decimal_str(&most, (int64_t)count)};

    question->cb.list = cb;
    redis_script(core->redis, &script_group_list, 4, keys, 3, args, list_replied, question);
}

static void lists_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    enum error error = core_error_of(status);
    struct str *lists = arena_zalloc(question->arena, question->count * sizeof(*lists));

    for (size_t i = 0; !error && i < question->count; i++)
        lists[i] = arena_str(question->arena, redis_reply_str(redis_reply_at(reply, i)));
    question->cb.lists(error, error ? NULL : lists, question->arg);
}

void group_of_devices(struct core *core, struct arena *arena, struct str app_id,
                      struct group_ids devices, group_lists_cb cb, void *arg)
{
    struct question *question = question_new(core, arena, app_id, STR("-"), arg);
    struct key groups, groups_of;
    struct str keys[] = {key_app_groups(&groups, question->app_id),
                         key_app_device_groups(&groups_of, question->app_id)};

    assert(devices.count >= 1 && devices.count <= GROUP_IDS_MAX);
    question->count = devices.count;
    question->cb.lists = cb;
    redis_script(core->redis, &script_group_of_devices, 2, keys, devices.count, devices.list,
                 lists_replied, question);
}

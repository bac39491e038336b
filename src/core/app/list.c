/*
 * Lists of applications for the administrator: ids from the deployment's index, then for each one
 * its record and two counts, pipelined. Ids without a record (a crash during creation or deletion)
 * are skipped.
 */
#include "core/app/app.h"

#include "base/mem.h"
#include "store/keys.h"
#include <stdio.h>
#include <stdlib.h>

struct list {
    struct core *core;
    struct app_row *rows;
    size_t count;
    size_t waiting; /* replies still to come */
    enum error error;
    app_list_cb cb;
    void *arg;
};

struct list_item {
    struct list *list;
    size_t index;
    char id[KEY_ID_MAX + 1];
};

static void list_done(struct list *list)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (list->rows[i].app)
            list->rows[kept++] = list->rows[i];
    }
    list->cb(list->error, list->rows, kept, list->arg);
    for (size_t i = 0; i < kept; i++)
        app_free(list->rows[i].app);
    free(list->rows);
    free(list);
}

static void one_less(struct list *list, enum redis_status status)
{
    if (status != REDIS_DONE)
        list->error = ERR_INTERNAL;
    if (--list->waiting == 0)
        list_done(list);
}

static void row_read(enum error error, const struct app *app, void *arg)
{
    struct list_item *item = arg;
    struct list *list = item->list;

    if (!error) {
        struct app *copy = xcalloc(1, sizeof(*copy));

        copy->id = xstrdup(app->id);
        copy->name = app->name ? xstrdup(app->name) : NULL;
        copy->is_frozen = app->is_frozen;
        copy->created_ms = app->created_ms;
        list->rows[item->index].app = copy;
    }
    free(item);
    one_less(list, error == ERR_INTERNAL ? REDIS_LOST : REDIS_DONE);
}

static void devices_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct list_item *item = arg;
    struct list *list = item->list;

    list->rows[item->index].devices = redis_reply_i64(reply);
    free(item);
    one_less(list, status);
}

static void subscriptions_counted(enum redis_status status, const redisReply *reply, void *arg)
{
    struct list_item *item = arg;
    struct list *list = item->list;

    list->rows[item->index].subscriptions = redis_reply_i64(reply);
    free(item);
    one_less(list, status);
}

static struct list_item *item_new(struct list *list, size_t index, struct str id)
{
    struct list_item *item = xcalloc(1, sizeof(*item));

    item->list = list;
    item->index = index;
    memcpy(item->id, id.p, id.len);
    return item;
}

static void read_row(struct list *list, size_t index, struct str id)
{
    struct redis *redis = list->core->redis;
    struct key key;

    list->waiting += 3;
    redis_command(redis, 2, (struct str[]){STR("ZCARD"), key_app_devices(&key, id)},
                  devices_counted, item_new(list, index, id));
    redis_command(redis, 2, (struct str[]){STR("HLEN"), key_app_subscriptions(&key, id)},
                  subscriptions_counted, item_new(list, index, id));
    app_read(list->core, id, row_read, item_new(list, index, id));
}

static struct list *list_new(struct core *core, app_list_cb cb, void *arg)
{
    struct list *list = xcalloc(1, sizeof(*list));

    list->core = core;
    list->cb = cb;
    list->arg = arg;
    return list;
}

static void ids_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct list *list = arg;

    if (status != REDIS_DONE || reply->elements == 0) {
        list->error = core_error_of(status);
        list_done(list);
        return;
    }
    list->count = reply->elements;
    list->rows = xcalloc(list->count, sizeof(*list->rows));
    for (size_t i = 0; i < list->count; i++) {
        struct str id = redis_reply_str(redis_reply_at(reply, i));

        if (str_is_id(id, KEY_ID_MAX))
            read_row(list, i, id);
    }
    if (list->waiting == 0)
        list_done(list);
}

void app_list(struct core *core, size_t max, app_list_cb cb, void *arg)
{
    struct list *list = list_new(core, cb, arg);
    struct key key;
    char last[24];

    snprintf(last, sizeof(last), "%zu", max - 1);
    redis_command(core->redis, 4,
                  (struct str[]){STR("ZRANGE"), key_apps(&key), STR("0"), str_of(last)}, ids_read,
                  list);
}

void app_show(struct core *core, struct str app_id, app_list_cb cb, void *arg)
{
    struct list *list = list_new(core, cb, arg);

    list->count = 1;
    list->rows = xcalloc(1, sizeof(*list->rows));
    read_row(list, 0, str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-"));
}

struct ids_question {
    app_ids_cb cb;
    void *arg;
};

static void ids_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct ids_question *question = arg;
    size_t count = status == REDIS_DONE ? reply->elements : 0;
    struct str *list = xcalloc(count ? count : 1, sizeof(*list));

    for (size_t i = 0; i < count; i++)
        list[i] = redis_reply_str(redis_reply_at(reply, i));
    question->cb(core_error_of(status), list, count, question->arg);
    free(list);
    free(question);
}

static void ask_for_ids(struct core *core, struct str key, size_t first, size_t max, app_ids_cb cb,
                        void *arg)
{
    struct ids_question *question = xcalloc(1, sizeof(*question));
    char from[24], to[24];

    question->cb = cb;
    question->arg = arg;
    snprintf(from, sizeof(from), "%zu", first);
    snprintf(to, sizeof(to), "%zu", first + max - 1);
    redis_command(core->redis, 4, (struct str[]){STR("ZRANGE"), key, str_of(from), str_of(to)},
                  ids_replied, question);
}

void app_devices(struct core *core, struct str app_id, size_t max, app_ids_cb cb, void *arg)
{
    struct key key;

    ask_for_ids(core,
                key_app_devices(&key, str_is_id(app_id, KEY_ID_MAX) ? app_id : STR("-")), 0, max,
                cb, arg);
}

void app_ids(struct core *core, size_t first, size_t max, app_ids_cb cb, void *arg)
{
    struct key key;

    ask_for_ids(core, key_apps(&key), first, max, cb, arg);
}

#include "core/model/store.h"

#include "base/hash.h"
#include "base/log.h"
#include "core/model/private.h"
#include "store/keys.h"

/* A parsed model's memory beside that of its text, roughly: index, checks, and the text itself. */
#define PARSED_SIZE 3

void model_store_start(struct core *core)
{
    core->catalogues =
        cache_new((size_t)core->settings->cache_apps, model_catalogue_release);
    core->models = cache_new((size_t)core->settings->cache_models, model_release);
    cache_limit_bytes(core->models, (size_t)core->settings->cache_model_bytes);
}

void model_store_stop(struct core *core)
{
    cache_free(core->catalogues);
    cache_free(core->models);
}

/* ---- one model's content ---- */

/* One reading of a model at a time: parsing it takes long, and many may ask for a new one at once. */
struct waiter {
    model_cb cb;
    void *arg;
    struct waiter *next;
};

struct model_reading {
    UT_hash_handle hh;
    struct core *core;
    struct waiter *first, **last;
    char *product_id; /* within the key */
    char key[];       /* "<application>/<product>" */
};

static struct model_reading *readings; /* by key */

static void reading_end(struct model_reading *reading, enum error error, struct model *model)
{
    struct waiter *waiter = reading->first;

    HASH_DELETE(hh, readings, reading);
    while (waiter) {
        struct waiter *next = waiter->next;

        waiter->cb(error, model, waiter->arg);
        free(waiter);
        waiter = next;
    }
    free(reading);
}

/* "<version>\n<content>" */
static struct model *model_from(const struct model_reading *reading, struct str text)
{
    struct arena *arena = arena_new();
    const char *problem = NULL;
    struct str content;
    struct str version = str_split(text, '\n', &content);
    struct model *model = model_parse(arena, content, &problem);

    if (model) {
        model->version = arena_str(model->arena, version);
        model->product_id = arena_str(model->arena, str_of(reading->product_id));
    } else {
        log_error("model", "model=%s state=unreadable reason=%s", reading->key, problem);
    }
    arena_free(arena);
    return model;
}

/* What was read is another version than the catalogue told of: it is to be read again. */
static void look_again(struct model_reading *reading, struct str version)
{
    struct str app_id = str_split(str_of(reading->key), '/', &(struct str){0});
    struct model_catalogue *catalogue = cache_get(reading->core->catalogues, app_id);
    const struct model_facts *facts =
        catalogue ? model_catalogue_find(catalogue, str_of(reading->product_id)) : NULL;

    if (facts && !str_eq(facts->version, version))
        catalogue->checked_ms = INT64_MIN / 2;
}

static void content_replied(enum redis_status status, const redisReply *reply, void *arg)
{
    struct model_reading *reading = arg;
    struct str text = redis_reply_str(reply);
    struct model *model;

    if (status != REDIS_DONE || !text.p) { /* not there: deleted since the catalogue was read */
        look_again(reading, STR_NONE);
        reading_end(reading, core_error_of(status), NULL);
        return;
    }
    model = model_from(reading, text);
    if (model)
        look_again(reading, model->version);
    if (model)
        cache_put_sized(reading->core->models, str_of(reading->key), model_hold(model), INT64_MAX,
                        text.len * PARSED_SIZE);
    reading_end(reading, model ? ERR_OK : ERR_INTERNAL, model);
    model_release(model);
}

static struct str key_of(struct arena *arena, struct str app_id, struct str product_id)
{
    return str_of(
        arena_printf(arena, "%.*s/%.*s", STR_ARG(app_id), STR_ARG(product_id)));
}

static void read_content(struct core *core, struct arena *arena, struct str app_id,
                         struct str product_id, model_cb cb, void *arg)
{
    struct str name = key_of(arena, app_id, product_id);
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));
    struct model_reading *reading = NULL;
    struct key key;

    waiter->cb = cb;
    waiter->arg = arg;
    HASH_FIND(hh, readings, name.p, name.len, reading);
    if (reading) {
        *reading->last = waiter;
        reading->last = &waiter->next;
        return;
    }
    reading = xcalloc(1, sizeof(*reading) + name.len + 1);
    reading->core = core;
    reading->first = waiter;
    reading->last = &waiter->next;
    memcpy(reading->key, name.p, name.len);
    reading->product_id = reading->key + app_id.len + 1;
    HASH_ADD_KEYPTR(hh, readings, reading->key, name.len, reading);
    redis_command(core->redis, 3,
                  (struct str[]){STR("HGET"), key_app_model_data(&key, app_id), product_id},
                  content_replied, reading);
}

/* The parsed model of this version in the cache, or NULL. */
static struct model *parsed(struct core *core, struct str app_id, const struct model_facts *facts)
{
    char key[KEY_ID_MAX + 1 + MODEL_PRODUCT_ID_DIGITS];
    struct model *model;

    if (app_id.len > KEY_ID_MAX)
        return NULL;
    memcpy(key, app_id.p, app_id.len);
    key[app_id.len] = '/';
    memcpy(key + app_id.len + 1, facts->product_id.p, MODEL_PRODUCT_ID_DIGITS);
    model = cache_get(core->models, str_n(key, app_id.len + 1 + MODEL_PRODUCT_ID_DIGITS));
    return model && str_eq(model->version, facts->version) ? model : NULL;
}

/* ---- by what a device says ---- */

static bool is_empty(const struct model_reference *reference)
{
    return !reference->manufacturer_id.len || !reference->name.len;
}

bool model_match_cached(struct core *core, const struct model_reference *reference,
                        struct model **model)
{
    const struct model_catalogue *catalogue;
    const struct model_facts *facts;

    *model = NULL;
    if (is_empty(reference))
        return true;
    catalogue = model_catalogue_cached(core, reference->app_id);
    if (!catalogue)
        return false;
    facts = model_catalogue_match(catalogue, reference);
    if (facts)
        *model = parsed(core, reference->app_id, facts);
    return !facts || *model;
}

struct question {
    struct core *core;
    struct arena *arena;
    struct model_reference reference;
    struct str product_id; /* STR_NONE: by the reference */
    struct model *model;   /* held */
    model_cb cb;
    void *arg;
};

static void answer_now(evutil_socket_t fd, short what, void *arg)
{
    struct question *question = arg;
    struct model *model = question->model;

    (void)fd;
    (void)what;
    question->cb(ERR_OK, model, question->arg); /* the question goes with its arena */
    model_release(model);
}

static void catalogue_read(enum error error, struct model_catalogue *catalogue, void *arg)
{
    struct question *question = arg;
    struct str app_id = question->reference.app_id;
    const struct model_facts *facts;
    struct model *model;

    if (error) {
        question->cb(error, NULL, question->arg);
        return;
    }
    facts = question->product_id.p ? model_catalogue_find(catalogue, question->product_id)
                                   : model_catalogue_match(catalogue, &question->reference);
    model = facts ? parsed(question->core, app_id, facts) : NULL;
    if (!facts || model) {
        model_hold(model); /* whatever the callback does to the cache */
        question->cb(ERR_OK, model, question->arg);
        model_release(model);
        return;
    }
    read_content(question->core, question->arena, app_id, facts->product_id, question->cb,
                 question->arg);
}

static void ask(struct question *question)
{
    struct core *core = question->core;
    struct str app_id = question->reference.app_id;
    struct model_catalogue *catalogue = model_catalogue_cached(core, app_id);

    if (catalogue) {
        const struct model_facts *facts =
            question->product_id.p ? model_catalogue_find(catalogue, question->product_id)
                                   : model_catalogue_match(catalogue, &question->reference);

        if (facts && !parsed(core, app_id, facts)) {
            read_content(core, question->arena, app_id, facts->product_id, question->cb,
                         question->arg);
            return;
        }
        if (facts)
            question->model = model_hold(parsed(core, app_id, facts));
        event_base_once(core->base, -1, EV_TIMEOUT, answer_now, question, NULL);
        return;
    }
    model_catalogue_read(core, app_id, catalogue_read, question);
}

void model_match(struct core *core, struct arena *arena, const struct model_reference *reference,
                 model_cb cb, void *arg)
{
    struct question *question = arena_zalloc(arena, sizeof(*question));

    *question = (struct question){
        .core = core, .arena = arena, .reference = *reference, .cb = cb, .arg = arg};
    if (is_empty(reference))
        event_base_once(core->base, -1, EV_TIMEOUT, answer_now, question, NULL);
    else
        ask(question);
}

void model_of_device(struct core *core, struct arena *arena, const struct device *device,
                     model_cb cb, void *arg)
{
    struct model_reference reference = model_reference_of(device);

    model_match(core, arena, &reference, cb, arg);
}

void model_get(struct core *core, struct arena *arena, struct str app_id, struct str product_id,
               model_cb cb, void *arg)
{
    struct question *question = arena_zalloc(arena, sizeof(*question));

    *question = (struct question){.core = core,
                                  .arena = arena,
                                  .reference = {.app_id = app_id},
                                  .product_id = product_id.p ? product_id : STR(""),
                                  .cb = cb,
                                  .arg = arg};
    ask(question);
}

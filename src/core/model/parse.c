/*
 * From the stored form of a model to its index. What is wrong is said with the name of the file in
 * the package, because it is read there first: what is stored has been through here once.
 *
 * Numbers may be written as strings; absent members and null are the same.
 */
#include "core/model/private.h"

#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define TEXT_MAX 256 /* characters of ids and names */

struct parser {
    struct arena *scratch, *arena;
    const char *file;
    const char *problem; /* the first one */
};

/* ---- what is wrong ---- */

__attribute__((format(printf, 2, 3))) static void complain(struct parser *p, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (p->problem)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->problem = arena_printf(p->scratch, "%s: %s", p->file, text);
}

/* ---- members ---- */

static const struct json *member(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    return value && value->type != JSON_NULL ? value : NULL;
}

/* A name that is needed; where: what it belongs to, for the complaint. */
static struct str name(struct parser *p, const struct json *object, const char *where,
                       const char *key)
{
    const struct json *value = member(object, key);

    if (!value)
        complain(p, "%s%s is missing", where, key);
    else if (value->type != JSON_STRING || !value->text.len ||
             str_characters(value->text) > TEXT_MAX || !str_is_printable(value->text))
        complain(p, "%s%s: 1 to 256 printable characters are needed", where, key);
    return p->problem ? STR("") : arena_str(p->arena, value->text);
}

static struct str ascii_name(struct parser *p, const struct json *object, const char *key)
{
    struct str text = name(p, object, "", key);

    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.p[i] > 0x7e) {
            complain(p, "%s: ASCII characters only", key);
            break;
        }
    }
    return text;
}

static const struct json *array(struct parser *p, const struct json *object, const char *where,
                                const char *key, bool is_needed)
{
    const struct json *value = member(object, key);

    if (!value && is_needed)
        complain(p, "%s%s is missing: an array, which may be empty", where, key);
    else if (value && value->type != JSON_ARRAY)
        complain(p, "%s%s: an array is needed", where, key);
    return p->problem ? NULL : value;
}

static struct model_number number(struct parser *p, const struct json *object, const char *where,
                                  const char *key)
{
    const struct json *value = member(object, key);
    struct model_number number = {0};

    if (!value || (value->type == JSON_STRING && !value->text.len))
        return number;
    if ((value->type != JSON_NUMBER && value->type != JSON_STRING) ||
        !model_number_read(value->text, &number))
        complain(p, "%s%s: a number is needed", where, key);
    return number;
}

static bool boolean(struct parser *p, const struct json *object, const char *where,
                    const char *key)
{
    const struct json *value = member(object, key);

    if (!value)
        return false;
    if (value->type == JSON_BOOL)
        return value->boolean;
    if (value->type != JSON_STRING || (strcasecmp(value->text.p, "true") != 0 &&
                                       strcasecmp(value->text.p, "false") != 0))
        complain(p, "%s%s: true or false is needed", where, key);
    return value->type == JSON_STRING && strcasecmp(value->text.p, "true") == 0;
}

/* ---- values ---- */

static const struct {
    const char *name;
    enum model_type type;
} types[] = {
    {"int", MODEL_INT},
    {"long", MODEL_LONG},
    {"decimal", MODEL_DECIMAL},
    {"string", MODEL_STRING},
    {"DateTime", MODEL_DATE_TIME},
    {"enum", MODEL_ENUM},
    {"boolean", MODEL_BOOLEAN},
    {"string list", MODEL_STRING_LIST},
    {"jsonObject", MODEL_JSON_OBJECT},
};

static enum model_type data_type(struct parser *p, const struct json *object, const char *where)
{
    struct str text = name(p, object, where, "dataType");

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if (str_eq_nocase(text, str_of(types[i].name)))
            return types[i].type;
    }
    complain(p, "%sdataType: none of int, long, decimal, string, DateTime, enum, boolean, string "
                "list, jsonObject", where);
    return MODEL_STRING;
}

/* The designer of such files writes one text with commas between the values. */
static void split_list(struct parser *p, struct str text, struct model_value *value)
{
    struct str *list = arena_alloc(p->arena, (text.len / 2 + 1) * sizeof(*list));
    struct str rest = text;

    while (rest.p) {
        struct str one = str_trim(str_split(rest, ',', &rest));

        if (one.len)
            list[value->enum_count++] = arena_str(p->arena, one);
    }
    value->enum_list = list;
}

static void enum_list(struct parser *p, const struct json *object, const char *where,
                      struct model_value *value)
{
    const struct json *given = member(object, "enumList");
    struct str *list;

    if (!given)
        return;
    if (given->type == JSON_STRING) {
        split_list(p, given->text, value);
        return;
    }
    if (given->type != JSON_ARRAY) {
        complain(p, "%senumList: an array of strings is needed", where);
        return;
    }
    list = arena_alloc(p->arena, (given->count + 1) * sizeof(*list));
    JSON_FOREACH (one, given) {
        if (one->type != JSON_STRING && one->type != JSON_NUMBER)
            complain(p, "%senumList: an array of strings is needed", where);
        else
            list[value->enum_count++] = arena_str(p->arena, one->text);
    }
    value->enum_list = list;
}

static unsigned methods(struct parser *p, const struct json *object, const char *where)
{
    const struct json *given = member(object, "method");
    unsigned found = 0;

    if (!given || (given->type == JSON_STRING && !given->text.len))
        return MODEL_READ | MODEL_EVENT;
    if (given->type != JSON_STRING || strspn(given->text.p, "RWErwe") != given->text.len) {
        complain(p, "%smethod: letters out of R, W, E are needed", where);
        return 0;
    }
    found |= strpbrk(given->text.p, "Rr") ? MODEL_READ : 0;
    found |= strpbrk(given->text.p, "Ww") ? MODEL_WRITE : 0;
    found |= strpbrk(given->text.p, "Ee") ? MODEL_EVENT : 0;
    return found;
}

static bool is_number(enum model_type type)
{
    return type == MODEL_INT || type == MODEL_LONG || type == MODEL_DECIMAL;
}

/* Both 0 is how files say "no bounds". */
static void bounds(struct parser *p, const struct json *object, const char *where,
                   struct model_value *value)
{
    struct model_number min = number(p, object, where, "min");
    struct model_number max = number(p, object, where, "max");
    struct model_number length = number(p, object, where, "maxLength");

    number(p, object, where, "step");
    if (length.is_set && (!length.is_integer || length.integer < 0))
        complain(p, "%smaxLength: a number of characters is needed", where);
    value->max_length = length.integer;
    if (!is_number(value->type) || (min.is_set && max.is_set && min.real == 0 && max.real == 0))
        return;
    if (min.is_set && max.is_set && model_number_compare(&min, &max) > 0)
        complain(p, "%smin is larger than max", where);
    value->min = min;
    value->max = max;
}

static int by_name(const void *a, const void *b)
{
    return model_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Sorts by the name that each element begins with; no name may be there twice. */
static void sort(struct parser *p, void *list, size_t count, size_t size, const char *what)
{
    if (count)
        qsort(list, count, size, by_name);
    for (size_t i = 1; i < count; i++) {
        struct str *one = (struct str *)((char *)list + i * size);

        if (str_eq(*one, *(struct str *)((char *)list + (i - 1) * size)))
            complain(p, "%s %.*s is there twice", what, STR_ARG(*one));
    }
}

/* given: the array, or NULL; where: "commands[0]." */
static struct model_values values(struct parser *p, const struct json *given, const char *where,
                                  const char *key, const char *name_key)
{
    size_t most = given ? given->count : 0, n = 0;
    struct model_value *list = arena_zalloc(p->arena, (most + 1) * sizeof(*list));

    JSON_FOREACH (one, given) {
        struct model_value *value = &list[n];
        const char *here = arena_printf(p->scratch, "%s%s[%zu].", where, key, n++);

        if (p->problem)
            break;
        value->name = name(p, one, here, name_key);
        value->type = data_type(p, one, here);
        value->is_required = boolean(p, one, here, "required");
        value->methods = methods(p, one, here);
        bounds(p, one, here, value);
        enum_list(p, one, here, value);
    }
    sort(p, list, p->problem ? 0 : n, sizeof(*list), name_key);
    return (struct model_values){n, list};
}

/* ---- services ---- */

static void responses(struct parser *p, const struct json *object, const char *where,
                      struct model_command *command)
{
    const struct json *given = array(p, object, where, "responses", false);
    struct model_response *list =
        arena_zalloc(p->arena, ((given ? given->count : 0) + 1) * sizeof(*list));
    size_t n = 0;

    JSON_FOREACH (one, given) {
        const char *here = arena_printf(p->scratch, "%sresponses[%zu].", where, n);

        list[n].name = name(p, one, here, "responseName");
        list[n++].parameters =
            values(p, array(p, one, here, "paras", false), here, "paras", "paraName");
    }
    command->responses = list;
    command->response_count = n;
}

static void commands(struct parser *p, const struct json *object, struct model_service *service)
{
    const struct json *given = array(p, object, "", "commands", false);
    struct model_command *list =
        arena_zalloc(p->arena, ((given ? given->count : 0) + 1) * sizeof(*list));
    size_t n = 0;

    JSON_FOREACH (one, given) {
        struct model_command *command = &list[n];
        const char *here = arena_printf(p->scratch, "commands[%zu].", n++);

        command->name = name(p, one, here, "commandName");
        command->parameters =
            values(p, array(p, one, here, "paras", false), here, "paras", "paraName");
        responses(p, one, here, command);
    }
    sort(p, list, p->problem ? 0 : n, sizeof(*list), "commandName");
    service->commands = list;
    service->command_count = n;
}

/* What the services of one type share. */
static void service_type(struct parser *p, const struct json *file, struct model_service *service)
{
    p->file = arena_printf(p->scratch, "service/%.*s/profile/servicetype-capability.json",
                           STR_ARG(file->key));
    service->type = name(p, file, "", "serviceType");
    if (!str_eq(service->type, file->key))
        complain(p, "serviceType is %.*s: it must be the name of its folder",
                 STR_ARG(service->type));
    if (member(file, "description") && member(file, "description")->type != JSON_STRING)
        complain(p, "description: a string is needed");
    service->properties =
        values(p, array(p, file, "", "properties", true), "", "properties", "propertyName");
    commands(p, file, service);
    if (!p->problem)
        model_texts_of_type(p->arena, file, service);
}

static int by_type(const void *a, const void *b)
{
    return model_compare(((const struct model_service *)a)->type,
                         ((const struct model_service *)b)->type);
}

/* One for each file, sorted by type. */
static struct model_service *service_types(struct parser *p, const struct json *files)
{
    struct model_service *list = arena_zalloc(p->scratch, (files->count + 1) * sizeof(*list));
    size_t n = 0;

    JSON_FOREACH (file, files)
        service_type(p, file, &list[n++]);
    if (n)
        qsort(list, n, sizeof(*list), by_type);
    return list;
}

#define DEVICE_FILE "profile/devicetype-capability.json"

static void services(struct parser *p, const struct json *device, const struct json *files,
                     struct model *model)
{
    struct model_service *shared = service_types(p, files);
    const struct json *given;
    struct model_service *list;
    size_t n = 0;

    p->file = DEVICE_FILE;
    given = array(p, device, "", "serviceTypeCapabilities", true);
    list = arena_zalloc(p->arena, ((given ? given->count : 0) + 1) * sizeof(*list));
    JSON_FOREACH (one, given) {
        const char *here = arena_printf(p->scratch, "serviceTypeCapabilities[%zu].", n);
        struct model_service wanted = {.type = name(p, one, here, "serviceType")};
        const struct model_service *found =
            files->count ? bsearch(&wanted, shared, files->count, sizeof(*shared), by_type) : NULL;

        if (!found) {
            complain(p, "%sserviceType: the package has no service/%.*s", here,
                     STR_ARG(wanted.type));
            break;
        }
        list[n] = *found;
        list[n].id = name(p, one, here, "serviceId");
        if (memchr(list[n].id.p, '/', list[n].id.len))
            complain(p, "%sserviceId: / is not allowed", here);
        if (member(one, "option") && member(one, "option")->type != JSON_STRING)
            complain(p, "%soption: a string is needed", here);
        model_texts_of_service(p->arena, one, &list[n]);
        list[n].place = n;
        n++;
    }
    sort(p, list, p->problem ? 0 : n, sizeof(*list), "serviceId");
    model->in_order = arena_alloc(p->arena, (n + 1) * sizeof(*model->in_order));
    for (size_t i = 0; i < n; i++)
        model->in_order[list[i].place] = &list[i];
    model->services = list;
    model->service_count = n;
}

struct model *model_parse(struct arena *arena, struct str content, const char **problem)
{
    struct arena *own = arena_new();
    struct parser p = {.scratch = arena, .arena = own, .file = DEVICE_FILE};
    struct model *model = arena_zalloc(own, sizeof(*model));
    const struct json *json = json_parse(arena, content, NULL);
    const struct json *device = json_get(json, "device"), *files = json_get(json, "services");

    model->arena = own;
    model->references = 1;
    if (!device || device->type != JSON_OBJECT || !files || files->type != JSON_OBJECT) {
        complain(&p, "a device type is needed");
    } else {
        model->manufacturer_id = ascii_name(&p, device, "manufacturerId");
        model->manufacturer_name = name(&p, device, "", "manufacturerName");
        model->name = ascii_name(&p, device, "model");
        model->device_type = name(&p, device, "", "deviceType");
        model->protocol_type = name(&p, device, "", "protocolType");
        if (!p.problem)
            services(&p, device, files, model);
    }
    if (p.problem) {
        *problem = p.problem;
        model_release(model);
        return NULL;
    }
    return model;
}

#include "core/model/model.h"

#include "base/clock.h"
#include "core/model/private.h"
#include <math.h>
#include <stdlib.h>

/* ---- finding ---- */

int model_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.p, b.p, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The lists' elements begin with the name that they are sorted by. */
static int compare_name(const void *key, const void *element)
{
    return model_compare(*(const struct str *)key, *(const struct str *)element);
}

static const void *find(struct str name, const void *list, size_t count, size_t size)
{
    return count ? bsearch(&name, list, count, size, compare_name) : NULL;
}

const struct model_service *model_find_service(const struct model *model, struct str service_id)
{
    return model ? find(service_id, model->services, model->service_count,
                        sizeof(*model->services))
                 : NULL;
}

static const struct model_value *find_value(const struct model_values *values, struct str name)
{
    return find(name, values->list, values->count, sizeof(*values->list));
}

const struct model_value *model_find_property(const struct model_service *service, struct str name)
{
    return service ? find_value(&service->properties, name) : NULL;
}

const struct model_command *model_find_command(const struct model_service *service,
                                               struct str name)
{
    return service ? find(name, service->commands, service->command_count,
                          sizeof(*service->commands))
                   : NULL;
}

const struct model_value *model_find_parameter(const struct model_command *command,
                                               struct str name)
{
    return command ? find_value(&command->parameters, name) : NULL;
}

bool model_property_is_writable(const struct model_value *property)
{
    return property->methods & MODEL_WRITE;
}

/* ---- numbers ---- */

/* Longer texts are no measurements, and a copy is needed for strtod. */
#define NUMBER_MAX_CHARACTERS 400

bool model_number_read(struct str text, struct model_number *number)
{
    char copy[NUMBER_MAX_CHARACTERS + 1], *end;
    struct json as_json = {.type = JSON_NUMBER, .text = text};

    *number = (struct model_number){0};
    if (!text.len || text.len > NUMBER_MAX_CHARACTERS)
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    if (!strchr("-0123456789", *copy) || copy[strspn(copy, "+-.0123456789Ee")])
        return false;
    number->real = strtod(copy, &end);
    number->is_integer = json_to_i64(&as_json, &number->integer);
    /* 1.0 and 1e2 are integers too */
    if (!number->is_integer && floor(number->real) == number->real &&
        fabs(number->real) < 9007199254740992.0) {
        number->is_integer = true;
        number->integer = (int64_t)number->real;
    }
    number->is_set = *end == '\0' && isfinite(number->real);
    return number->is_set;
}

int model_number_compare(const struct model_number *a, const struct model_number *b)
{
    if (a->is_integer && b->is_integer)
        return (a->integer > b->integer) - (a->integer < b->integer);
    return (a->real > b->real) - (a->real < b->real);
}

static enum model_verdict check_number(const struct model_value *value, const struct json *json)
{
    struct model_number number;

    if (json->type != JSON_NUMBER)
        return MODEL_WRONG_TYPE;
    if (!model_number_read(json->text, &number))
        return MODEL_OUT_OF_RANGE;
    if (value->type != MODEL_DECIMAL && !number.is_integer)
        return floor(number.real) == number.real ? MODEL_OUT_OF_RANGE : MODEL_WRONG_TYPE;
    if ((value->min.is_set && model_number_compare(&number, &value->min) < 0) ||
        (value->max.is_set && model_number_compare(&number, &value->max) > 0))
        return MODEL_OUT_OF_RANGE;
    return MODEL_GOOD;
}

/* ---- texts ---- */

static enum model_verdict check_length(const struct model_value *value, const struct json *json)
{
    if (json->type != JSON_STRING)
        return MODEL_WRONG_TYPE;
    return value->max_length && (int64_t)str_characters(json->text) > value->max_length ? MODEL_TOO_LONG
                                                                                 : MODEL_GOOD;
}

static bool is_listed(const struct model_value *value, struct str text)
{
    for (size_t i = 0; i < value->enum_count; i++) {
        if (str_eq(value->enum_list[i], text))
            return true;
    }
    return value->enum_count == 0;
}

static enum model_verdict check_text(const struct model_value *value, const struct json *json,
                                     bool enforces_enum)
{
    enum model_verdict verdict = check_length(value, json);

    if (!verdict && enforces_enum && !is_listed(value, json->text))
        return MODEL_NOT_LISTED;
    return verdict;
}

static enum model_verdict check_time(const struct model_value *value, const struct json *json)
{
    enum model_verdict verdict = check_length(value, json);
    int64_t ignored;

    if (!verdict && (json->text.len != CLOCK_COMPACT_SIZE - 1 ||
                     !clock_parse(json->text, &ignored)))
        return MODEL_WRONG_TYPE;
    return verdict;
}

static enum model_verdict check_list(const struct model_value *value, const struct json *json)
{
    enum model_verdict verdict = json->type == JSON_ARRAY ? MODEL_GOOD : MODEL_WRONG_TYPE;

    JSON_FOREACH (element, verdict ? NULL : json) {
        verdict = check_length(value, element);
        if (verdict)
            break;
    }
    return verdict;
}

enum model_verdict model_check_value(const struct model_value *value, const struct json *json,
                                     bool enforces_enum)
{
    switch (value->type) {
    case MODEL_INT:
    case MODEL_LONG:
    case MODEL_DECIMAL:
        return check_number(value, json);
    case MODEL_STRING:
    case MODEL_ENUM:
        return check_text(value, json, enforces_enum);
    case MODEL_DATE_TIME:
        return check_time(value, json);
    case MODEL_STRING_LIST:
        return check_list(value, json);
    case MODEL_BOOLEAN:
        return json->type == JSON_BOOL ? MODEL_GOOD : MODEL_WRONG_TYPE;
    case MODEL_JSON_OBJECT:
        return json->type == JSON_OBJECT ? MODEL_GOOD : MODEL_WRONG_TYPE;
    }
    return MODEL_GOOD;
}

/* ---- references ---- */

struct model *model_hold(struct model *model)
{
    if (model)
        model->references++;
    return model;
}

void model_release(void *p)
{
    struct model *model = p;

    if (model && --model->references == 0)
        arena_free(model->arena);
}

#include "base/fields.h"

static bool is_bounded(const struct field *field)
{
    return field->min != 0 || field->max != 0;
}

static bool is_within(const struct field *field, int64_t value)
{
    return !is_bounded(field) || (value >= field->min && value <= field->max);
}

static const struct json *find_value(const struct json *object, const char *name)
{
    const struct json *value = name ? json_get(object, name) : NULL;

    return value && value->type != JSON_NULL ? value : NULL;
}

static enum field_problem read_int(const struct field *field, const struct json *value,
                                   int64_t *out)
{
    int64_t number;

    if (value->type != JSON_NUMBER || memchr(value->text.p, '.', value->text.len) ||
        memchr(value->text.p, 'e', value->text.len) || memchr(value->text.p, 'E', value->text.len))
        return FIELDS_WRONG_TYPE;
    if (!json_to_i64(value, &number) || !is_within(field, number))
        return FIELDS_RANGE;
    *out = number;
    return FIELDS_OK;
}

static enum field_problem read_string(const struct field *field, const struct json *value,
                                      struct str *out)
{
    if (value->type != JSON_STRING)
        return FIELDS_WRONG_TYPE;
    /* counting is for bounded strings only */
    if (is_bounded(field) && !is_within(field, (int64_t)str_characters(value->text)))
        return FIELDS_RANGE;
    *out = value->text;
    return FIELDS_OK;
}

static enum field_problem read_value(const struct field *field, const struct json *value, void *out)
{
    switch (field->type) {
    case FIELD_STRING:
        return read_string(field, value, out);
    case FIELD_INT:
        return read_int(field, value, out);
    case FIELD_BOOL:
        if (value->type != JSON_BOOL)
            return FIELDS_WRONG_TYPE;
        *(struct field_bool *)out = (struct field_bool){true, value->boolean};
        return FIELDS_OK;
    case FIELD_OBJECT:
        if (value->type != JSON_OBJECT)
            return FIELDS_WRONG_TYPE;
        break;
    case FIELD_ARRAY:
        if (value->type != JSON_ARRAY)
            return FIELDS_WRONG_TYPE;
        if (!is_within(field, (int64_t)value->count))
            return FIELDS_RANGE;
        break;
    case FIELD_ANY:
        break;
    }
    *(const struct json **)out = value;
    return FIELDS_OK;
}

static enum field_problem read_field(const struct json *object, const struct field *field,
                                     void *out)
{
    const struct json *value = find_value(object, field->name);

    if (!value)
        value = find_value(object, field->alias);
    if (value && (field->flags & FIELD_EMPTY_IS_ABSENT) && value->type == JSON_STRING &&
        value->text.len == 0)
        value = NULL;
    if (!value)
        return field->flags & FIELD_REQUIRED ? FIELDS_MISSING : FIELDS_OK;
    return read_value(field, value, (char *)out + field->offset);
}

enum field_problem fields_read(const struct json *object, const struct field *table, void *out,
                               const char **which)
{
    if (which)
        *which = NULL;
    if (!object || object->type != JSON_OBJECT)
        return FIELDS_NOT_OBJECT;
    for (const struct field *field = table; field->name; field++) {
        enum field_problem problem = read_field(object, field, out);

        if (problem == FIELDS_OK)
            continue;
        if (which)
            *which = field->name;
        return problem;
    }
    return FIELDS_OK;
}

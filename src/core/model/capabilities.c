/*
 * serviceCapabilities of the v1 query, made once for each service type: services that share one would
 * make it as large as they are many. It says what the files of a model say, in the types of the query: min
 * and max are strings there, step has a fraction, enumList is an array. What is null in a file is null
 * here, and what a file does not have is not here.
 */
#include "core/model/private.h"

#include <stdio.h>

static void as_it_is(struct json_writer *w, const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    if (!value)
        return;
    json_key(w, key);
    json_value(w, value);
}

static void as_text(struct json_writer *w, const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    if (!value)
        return;
    json_key(w, key);
    if (value->type == JSON_NUMBER || value->type == JSON_STRING)
        json_str(w, value->text);
    else
        json_null(w);
}

/* A number that may have been written as a string; it has been read before. */
static void as_number(struct json_writer *w, const struct json *object, const char *key,
                      bool has_fraction)
{
    const struct json *value = json_get(object, key);
    struct model_number number;
    char text[32];

    if (!value)
        return;
    json_key(w, key);
    if ((value->type != JSON_NUMBER && value->type != JSON_STRING) ||
        !model_number_read(value->text, &number)) {
        json_null(w);
        return;
    }
    if (number.is_integer)
        snprintf(text, sizeof(text), "%lld%s", (long long)number.integer,
                 has_fraction ? ".0" : "");
    else
        snprintf(text, sizeof(text), "%.17g", number.real);
    json_raw(w, value->type == JSON_NUMBER && !number.is_integer ? value->text : str_of(text));
}

static void as_boolean(struct json_writer *w, const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    if (!value)
        return;
    if (value->type == JSON_STRING)
        json_member_bool(w, key, str_eq_nocase(value->text, STR("true")));
    else
        as_it_is(w, object, key);
}

static void as_list(struct json_writer *w, const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    struct str rest;

    if (!value)
        return;
    json_key(w, key);
    if (value->type == JSON_NULL) {
        json_null(w);
        return;
    }
    json_array(w);
    JSON_FOREACH (one, value->type == JSON_ARRAY ? value : NULL)
        json_str(w, one->text);
    rest = value->type == JSON_STRING ? value->text : STR_NONE;
    while (rest.p) {
        struct str one = str_trim(str_split(rest, ',', &rest));

        if (one.len)
            json_str(w, one);
    }
    json_array_end(w);
}

static void write_value(struct json_writer *w, const struct json *value, const char *name_key)
{
    json_object(w);
    as_it_is(w, value, name_key);
    as_it_is(w, value, "dataType");
    as_boolean(w, value, "required");
    as_text(w, value, "min");
    as_text(w, value, "max");
    as_number(w, value, "step", true);
    as_number(w, value, "maxLength", false);
    as_it_is(w, value, "method");
    as_it_is(w, value, "unit");
    as_list(w, value, "enumList");
    json_object_end(w);
}

static void write_values(struct json_writer *w, const struct json *list, const char *name_key)
{
    json_array(w);
    JSON_FOREACH (value, list)
        write_value(w, value, name_key);
    json_array_end(w);
}

static void write_parameters(struct json_writer *w, const struct json *object)
{
    json_key(w, "paras");
    write_values(w, json_get(object, "paras"), "paraName");
}

static void write_commands(struct json_writer *w, const struct json *list)
{
    json_array(w);
    JSON_FOREACH (command, list) {
        json_object(w);
        as_it_is(w, command, "commandName");
        write_parameters(w, command);
        json_key(w, "responses");
        json_array(w);
        JSON_FOREACH (response, json_get(command, "responses")) {
            json_object(w);
            as_it_is(w, response, "responseName");
            write_parameters(w, response);
            json_object_end(w);
        }
        json_array_end(w);
        json_object_end(w);
    }
    json_array_end(w);
}

void model_texts_of_type(struct arena *arena, const struct json *file,
                         struct model_service *service)
{
    const struct json *description = json_get(file, "description");
    struct json_writer *w = json_writer_new();

    if (description) {
        json_value(w, description);
        service->texts.description = arena_str(arena, json_writer_text(w));
        json_writer_reset(w);
    }
    write_commands(w, json_get(file, "commands"));
    service->texts.commands = arena_str(arena, json_writer_text(w));
    json_writer_reset(w);
    write_values(w, json_get(file, "properties"), "propertyName");
    service->texts.properties = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
}

void model_texts_of_service(struct arena *arena, const struct json *entry,
                            struct model_service *service)
{
    const struct json *option = json_get(entry, "option");
    struct json_writer *w;

    if (!option)
        return;
    w = json_writer_new();
    json_value(w, option);
    service->texts.option = arena_str(arena, json_writer_text(w));
    json_writer_free(w);
}

static void write_text(struct json_writer *w, const char *key, struct str text)
{
    if (text.p)
        json_member_raw(w, key, text);
}

void model_write_capabilities(const struct model *model, struct json_writer *w)
{
    json_array(w);
    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = model->in_order[i];

        json_object(w);
        json_member_str(w, "serviceId", service->id);
        json_member_str(w, "serviceType", service->type);
        write_text(w, "option", service->texts.option);
        write_text(w, "description", service->texts.description);
        write_text(w, "commands", service->texts.commands);
        write_text(w, "properties", service->texts.properties);
        json_object_end(w);
    }
    json_array_end(w);
}

size_t model_capabilities_bytes(const struct model *model)
{
    size_t bytes = 0;

    for (size_t i = 0; model && i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];

        bytes += 100 + service->id.len + service->type.len + service->texts.option.len +
                 service->texts.description.len + service->texts.commands.len +
                 service->texts.properties.len;
    }
    return bytes;
}

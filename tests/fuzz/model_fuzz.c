/* Packages and contents of product models: what is accepted reads as the same model again, and its
 * capabilities are JSON. The inputs are the ZIP file or, beginning with a brace, a stored content. */
#include "core/model/package.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void check_capabilities(struct arena *arena, const struct model *model)
{
    struct json_writer *w = json_writer_new();
    struct str text;

    model_write_capabilities(model, w);
    text = json_writer_text(w);
    require(text.len <= model_capabilities_bytes(model) * 2 + 2);
    require(json_parse(arena, text, NULL) != NULL);
    json_writer_free(w);
}

static void check_values(struct arena *arena, const struct model *model)
{
    const struct json *json =
        json_parse(arena, STR("[1,-1.5e3,\"a\",true,{},[\"a\"],null]"), NULL);

    for (size_t i = 0; i < model->service_count; i++) {
        const struct model_service *service = &model->services[i];

        require(model_find_service(model, service->id) == service);
        for (size_t n = 0; n < service->properties.count; n++) {
            const struct model_value *property = &service->properties.list[n];

            require(model_find_property(service, property->name) == property);
            JSON_FOREACH (value, json)
                model_check_value(property, value, true);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct model_package_limits limits = {65536, 50, 1 << 20, 1 << 18};
    struct arena *arena = arena_new();
    struct str input = str_n((const char *)data, size), content = input;
    struct model *model = NULL, *again;
    const char *problem = NULL;

    if (size && data[0] == '{')
        model = model_parse(arena, input, &problem);
    else
        content = model_package_read(arena, input, STR(""), &limits, &model, &problem);
    require((model == NULL) == (problem != NULL));
    if (model) {
        again = model_parse(arena, content, &problem);
        require(again && again->service_count == model->service_count &&
                str_eq(again->name, model->name));
        check_capabilities(arena, model);
        check_values(arena, again);
        model_release(again);
    }
    model_release(model);
    arena_free(arena);
    return 0;
}

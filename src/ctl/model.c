/* Product models, and their packages. */
#include "base/buf.h"
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/file.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILE_MAX (64 * 1024 * 1024) /* what the server takes at most, whatever its settings */

/* rest: below the models of the application that --app names; a product or NULL before it. */
static enum ctl_exit find_path(struct ctl *ctl, const char *product, const char *rest,
                               const char **path)
{
    return ctl_path_of_app(
        ctl,
        arena_printf(ctl->arena, "/models%s%s%s", product ? "/" : "",
                     product ? client_encode(ctl->client, ctl->arena, product) : "", rest),
        path);
}

static struct str number(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    return value ? value->text : STR("-");
}

/* ---- listing ---- */

/* Into the table, or on stdout with --json and -q; *count is added to. */
static enum ctl_exit list_of_app(struct ctl *ctl, const struct json *app, struct table *table,
                                 size_t *count)
{
    struct client_answer answer;
    enum ctl_exit result = client_request(
        ctl->client, ctl->arena, "GET", ctl_app_path(ctl, json_get_str(app, "appId"), "/models"),
        NULL, false, &answer);

    JSON_FOREACH (model, result == CTL_DONE ? json_get(answer.json, "models") : NULL) {
        ++*count;
        if (ctl->wants_json) {
            ctl_print_json(model);
        } else if (ctl->is_quiet) {
            print_safely(json_get_str(model, "productId"));
            putchar('\n');
        } else {
            table_add(table, json_get_str(app, "name"));
            table_add(table, json_get_str(model, "productId"));
            table_add(table, json_get_str(model, "manufacturerId"));
            table_add(table, json_get_str(model, "model"));
            table_add(table, json_get_str(model, "deviceType"));
            table_add(table, json_get_str(model, "protocolType"));
            table_add(table, number(model, "services"));
            table_add(table, ctl_show_time(ctl, json_get_str(model, "modifyTime")));
        }
    }
    return result;
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    static const char *const headings[] = {"APPLICATION", "PRODUCT",  "MANUFACTURER", "MODEL",
                                           "TYPE",        "PROTOCOL", "SERVICES",     "CHANGED (UTC)"};
    static const bool is_right[] = {false, false, false, false, false, false, true, false};

    (void)arguments;
    return ctl_list_of_apps(
        ctl, &(struct ctl_list){headings, is_right, 8, list_of_app,
                                "There are no product models: iotpushctl model add stores one."});
}

/* ---- showing ---- */

static void print_facts(struct ctl *ctl, const struct json *model)
{
    static const struct {
        const char *name, *key;
    } lines[] = {{"product", "productId"},         {"manufacturer", "manufacturerId"},
                 {"its name", "manufacturerName"}, {"model", "model"},
                 {"device type", "deviceType"},    {"protocol", "protocolType"},
                 {"version", "version"},           {"stored (UTC)", "createTime"},
                 {"changed (UTC)", "modifyTime"}};
    struct table *table = table_new(2, NULL, NULL);

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        table_add(table, str_of(lines[i].name));
        table_add(table, ctl_show_time(ctl, json_get_str(model, lines[i].key)));
    }
    table_print_take(table, 0);
}

static struct str bounds(struct ctl *ctl, const struct json *property)
{
    struct str min = json_get_str(property, "min"), max = json_get_str(property, "max");

    return min.len || max.len ? str_of(arena_printf(ctl->arena, "%.*s..%.*s", STR_ARG(min),
                                                    STR_ARG(max)))
                              : STR("-");
}

static struct str or_dash(struct str text)
{
    return text.len ? text : STR("-");
}

/* Properties with their types, then the commands by name. */
static void print_services(struct ctl *ctl, const struct json *services)
{
    static const char *const headings[] = {"SERVICE", "TYPE",   "PROPERTY", "DATA TYPE",
                                           "BOUNDS",  "METHOD", "UNIT"};
    struct table *table = table_new(7, headings, NULL);

    JSON_FOREACH (service, services) {
        JSON_FOREACH (property, json_get(service, "properties")) {
            table_add(table, json_get_str(service, "serviceId"));
            table_add(table, json_get_str(service, "serviceType"));
            table_add(table, json_get_str(property, "propertyName"));
            table_add(table, json_get_str(property, "dataType"));
            table_add(table, bounds(ctl, property));
            table_add(table, or_dash(json_get_str(property, "method")));
            table_add(table, or_dash(json_get_str(property, "unit")));
        }
        JSON_FOREACH (command, json_get(service, "commands")) {
            table_add(table, json_get_str(service, "serviceId"));
            table_add(table, json_get_str(service, "serviceType"));
            table_add(table, json_get_str(command, "commandName"));
            table_add(table, STR("command"));
            for (int i = 0; i < 3; i++)
                table_add(table, STR("-"));
        }
    }
    table_print_take(table, 0);
}

static enum ctl_exit get_model(struct ctl *ctl, const char *product, const struct json **model)
{
    struct client_answer answer;
    const char *path = NULL;
    enum ctl_exit result = find_path(ctl, product, "", &path);

    if (result == CTL_DONE)
        result = client_request(ctl->client, ctl->arena, "GET", path, NULL, false, &answer);
    if (result == CTL_DONE)
        *model = answer.json;
    return result;
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    const struct json *model = NULL;
    enum ctl_exit result = get_model(ctl, arguments[0], &model);

    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json) {
        ctl_print_json(model);
    } else {
        print_facts(ctl, model);
        print_services(ctl, json_get(model, "serviceCapabilities"));
    }
    return CTL_DONE;
}

/* ---- packages ---- */

static void say_stored(struct ctl *ctl, const struct json *model)
{
    const struct json *replaced = json_get(model, "replaced");

    if (ctl->wants_json) {
        ctl_print_json(model);
    } else if (ctl->is_quiet) {
        print_safely(json_get_str(model, "productId"));
        putchar('\n');
    } else {
        print_safely(json_get_str(model, "manufacturerId"));
        putchar(' ');
        print_safely(json_get_str(model, "model"));
        printf(", %.*s services, is %s: product %.*s\n", STR_ARG(number(model, "services")),
               replaced && replaced->boolean ? "replaced" : "stored",
               STR_ARG(json_get_str(model, "productId")));
    }
}

static enum ctl_exit add(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    const char *path = NULL;
    struct buf package = {0};
    enum ctl_exit result = find_path(ctl, NULL, "", &path);

    if (result != CTL_DONE)
        return result;
    if (!str_is_utf8(str_of(arguments[0])) ||
        !ctl_read_file("", arguments[0], FILE_MAX, "package", &package)) {
        buf_clear(&package);
        return CTL_USAGE;
    }
    path = arena_printf(ctl->arena, "%s?name=%s%s", path,
                        client_encode(ctl->client, ctl->arena, arguments[0]),
                        ctl->options[CTL_REPLACE] ? "&replace=true" : "");
    result = client_upload(ctl->client, ctl->arena, path, "application/zip", buf_str(&package),
                           &answer);
    buf_clear(&package);
    if (result == CTL_DONE)
        say_stored(ctl, answer.json);
    return result;
}

/* The name by which a package goes, unless it would be a path; NULL: that has been said. */
static const char *own_name(struct ctl *ctl, const struct json *model)
{
    const char *name =
        arena_printf(ctl->arena, "%.*s_%.*s_%.*s.zip", STR_ARG(json_get_str(model, "deviceType")),
                     STR_ARG(json_get_str(model, "manufacturerId")),
                     STR_ARG(json_get_str(model, "model")));

    if (strchr(name, '/') || name[0] == '.') {
        ctl_complain("its own name would be a path: say a file name behind the product");
        return NULL;
    }
    return name;
}

/* mode: fopen's; a file that was not asked for by name is not overwritten. */
static enum ctl_exit write_package(const char *name, const char *mode, struct str bytes)
{
    FILE *file = strcmp(name, "-") == 0 ? stdout : fopen(name, mode);
    bool is_written;

    if (!file) {
        ctl_complain("%s: %s", name, strerror(errno));
        return CTL_REFUSED;
    }
    is_written = fwrite(bytes.p, 1, bytes.len, file) == bytes.len && fflush(file) == 0;
    if (!is_written)
        ctl_complain("%s: %s", name, strerror(errno));
    if (file != stdout && fclose(file) != 0)
        is_written = false;
    return is_written ? CTL_DONE : CTL_REFUSED;
}

static enum ctl_exit export(struct ctl *ctl, char **arguments)
{
    const char *path = NULL, *name = arguments[1];
    const struct json *model = NULL;
    struct str bytes;
    enum ctl_exit result = get_model(ctl, arguments[0], &model);

    if (result == CTL_DONE)
        result = find_path(ctl, arguments[0], "/package", &path);
    if (result != CTL_DONE)
        return result;
    if (!name)
        name = own_name(ctl, model);
    if (!name)
        return CTL_REFUSED;
    result = client_download(ctl->client, ctl->arena, path, &bytes);
    if (result == CTL_DONE)
        result = write_package(name, arguments[1] ? "wbe" : "wbex", bytes);
    if (result == CTL_DONE && !ctl->is_quiet && strcmp(name, "-") != 0) {
        print_safely(str_of(name));
        printf(", %zu bytes\n", bytes.len);
    }
    return result;
}

/* ---- deleting ---- */

static enum ctl_exit delete_model(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    const char *path = NULL;
    enum ctl_exit result =
        find_path(ctl, arguments[0], ctl->options[CTL_FORCE] ? "?force=true" : "", &path);

    if (result != CTL_DONE)
        return result;
    if (!ctl_confirm(ctl, arena_printf(ctl->arena, "Delete the product model %s%s?", arguments[0],
                                       ctl->options[CTL_FORCE] ? ", whatever devices use it" : "")))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE", path, NULL, false, &answer);
    if (result == CTL_DONE && !ctl->is_quiet && !ctl->wants_json)
        puts("It is gone.");
    return result;
}

const struct ctl_command ctl_model_commands[] = {
    {"model", "add", "--app APP FILE.zip", 1, 0, CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_REPLACE), add,
     "stores a product model; --replace: also when there is one of its manufacturer and model"},
    {"model", "list", "[--app APP]", 0, 0, CTL_TAKES(CTL_APP), list, "all product models"},
    {"model", "show", "--app APP PRODUCT", 1, 0, CTL_TAKES(CTL_APP), show,
     "one product model, with its services"},
    {"model", "export", "--app APP PRODUCT [FILE]", 1, 1, CTL_TAKES(CTL_APP), export,
     "writes its package as it was uploaded; FILE -: on stdout"},
    {"model", "delete", "--app APP PRODUCT", 1, 0, CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_FORCE),
     delete_model, "deletes it, if no device uses it; --force: whatever devices use it"},
    {0},
};

/* Devices: found, shown, deleted, imported. */
#include "ctl/device.h"

#include "base/buf.h"
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>

static const char *device_path(struct ctl *ctl, const char *id, const char *rest)
{
    return arena_printf(ctl->arena, "/admin/v1/devices/%s%s",
                        client_encode(ctl->client, ctl->arena, id), rest);
}

/* ---- listing ---- */

/* The application that --app names; without it the only one there is. */
static enum ctl_exit which_app(struct ctl *ctl, const struct json **app)
{
    const struct json *apps;
    enum ctl_exit result;

    if (ctl->options[CTL_APP])
        return ctl_find_app(ctl, ctl->options[CTL_APP], app);
    result = ctl_list_apps(ctl, &apps);
    if (result != CTL_DONE)
        return result;
    if (!apps || apps->count != 1) {
        ctl_complain("--app APP is needed: its id, or its name");
        return CTL_USAGE;
    }
    *app = apps->first;
    return CTL_DONE;
}

static const char *query_of(struct ctl *ctl)
{
    static const struct {
        enum ctl_option option;
        const char *name;
    } parameters[] = {{CTL_STATUS, "status"},   {CTL_TYPE, "type"}, {CTL_NAME, "name"},
                      {CTL_GATEWAY, "gateway"}, {CTL_PAGE, "page"}, {CTL_SIZE, "size"}};
    struct buf query = {0};
    const char *text;

    buf_add_text(&query, "/devices");
    for (size_t i = 0, n = 0; i < sizeof(parameters) / sizeof(*parameters); i++) {
        const char *value = ctl->options[parameters[i].option];

        if (value)
            buf_printf(&query, "%c%s=%s", n++ ? '&' : '?', parameters[i].name,
                       client_encode(ctl->client, ctl->arena, value));
    }
    text = arena_dup0(ctl->arena, buf_str(&query));
    buf_clear(&query);
    return text;
}

static struct str text_of(const struct json *device, const char *key)
{
    struct str text = json_get_str(device, key);

    return text.len ? text : STR("-");
}

static void print_devices(struct ctl *ctl, const struct json *answer)
{
    static const char *const headings[] = {"ID",     "NODE ID", "NAME",         "TYPE",
                                           "STATUS", "GATEWAY", "CREATED (UTC)"};
    static const char *const keys[] = {"id", "nodeId", "name", "type", "status", "gateway"};
    const struct json *devices = json_get(answer, "devices"), *total = json_get(answer, "totalCount");
    struct table *table;

    if (devices && devices->first) {
        table = table_new(7, headings, NULL);
        JSON_FOREACH (device, devices) {
            for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
                table_add(table, text_of(device, keys[i]));
            table_add(table, ctl_show_time(ctl, json_get_str(device, "createTime")));
        }
        table_print_take(table, 0);
    }
    if (total)
        printf("%zu of %.*s devices\n", devices ? devices->count : 0, STR_ARG(total->text));
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    const struct json *app;
    struct client_answer answer;
    enum ctl_exit result = which_app(ctl, &app);

    (void)arguments;
    if (result == CTL_DONE)
        result = client_request(ctl->client, ctl->arena, "GET",
                                ctl_app_path(ctl, json_get_str(app, "appId"), query_of(ctl)), NULL,
                                false, &answer);
    if (result != CTL_DONE)
        return result;
    if (!ctl->wants_json && !ctl->is_quiet) {
        print_devices(ctl, answer.json);
        return CTL_DONE;
    }
    JSON_FOREACH (device, json_get(answer.json, "devices")) {
        if (ctl->wants_json) {
            ctl_print_json(device);
        } else {
            print_safely(json_get_str(device, "id"));
            putchar('\n');
        }
    }
    return CTL_DONE;
}

/* ---- one ---- */

static enum ctl_exit find_device(struct ctl *ctl, const char *id, const struct json **device)
{
    struct client_answer answer;
    enum ctl_exit result = client_request(ctl->client, ctl->arena, "GET", device_path(ctl, id, ""),
                                          NULL, false, &answer);

    *device = answer.json;
    return result;
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    const struct json *device;
    enum ctl_exit result = find_device(ctl, arguments[0], &device);

    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json)
        ctl_print_json(device);
    else
        ctl_show_object(ctl, device, 0);
    return CTL_DONE;
}

static enum ctl_exit delete_device(struct ctl *ctl, char **arguments)
{
    bool cascade = ctl->options[CTL_CASCADE] != NULL;
    const struct json *device;
    struct client_answer answer;
    enum ctl_exit result = find_device(ctl, arguments[0], &device);

    if (result != CTL_DONE)
        return result;
    if (!ctl_confirm(ctl, arena_printf(ctl->arena, "Delete device %.*s (node id %.*s)%s?",
                                       STR_ARG(json_get_str(device, "id")),
                                       STR_ARG(text_of(device, "nodeId")),
                                       cascade ? " and all behind it" : "")))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE",
                            device_path(ctl, arguments[0], cascade ? "?cascade=true" : ""), NULL,
                            false, &answer);
    if (result == CTL_DONE && !ctl->is_quiet && !ctl->wants_json)
        printf("%.*s is deleted.\n", STR_ARG(json_get_str(device, "id")));
    return result;
}

const struct ctl_command ctl_device_commands[] = {
    {"device", "list", "[--app APP] ...", 0, 0,
     CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_STATUS) | CTL_TAKES(CTL_TYPE) | CTL_TAKES(CTL_NAME) |
         CTL_TAKES(CTL_GATEWAY) | CTL_TAKES(CTL_PAGE) | CTL_TAKES(CTL_SIZE),
     list, "newest first; --status, --type, --name, --gateway filter, --page, --size"},
    {"device", "show", "DEVICE", 1, 0, 0, show, "one device, with what it reported last"},
    {"device", "delete", "DEVICE [--cascade]", 1, 0, CTL_TAKES(CTL_CASCADE), delete_device,
     "deletes it; --cascade: devices behind it as well"},
    {"device", "import", "--app APP FILE.csv", 1, 0, CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_OUT),
     ctl_import_devices, "registers what a file lists; --out FILE: for the credentials"},
    {0},
};

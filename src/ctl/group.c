/* Groups of devices. */
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>

static enum ctl_exit get_page(struct ctl *ctl, const char *path, int64_t page,
                              const struct json **answer)
{
    struct client_answer got;
    enum ctl_exit result = client_request(
        ctl->client, ctl->arena, "GET",
        arena_printf(ctl->arena, "%s?page=%lld", path, (long long)page), NULL, false, &got);

    *answer = got.json;
    return result;
}

static struct str number(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);

    return value ? value->text : STR("-");
}

static struct str most_of(const struct json *group)
{
    struct str most = number(group, "maxDevices");

    return str_eq(most, STR("0")) ? STR("no limit") : most;
}

static void print_id(const struct ctl *ctl, const struct json *id)
{
    if (ctl->wants_json) {
        ctl_print_json(id);
    } else {
        print_safely(id->text);
        putchar('\n');
    }
}

/* ---- listing ---- */

static void add_rows(struct ctl *ctl, struct table *table, const struct json *groups)
{
    JSON_FOREACH (group, groups) {
        if (ctl->wants_json) {
            ctl_print_json(group);
        } else if (ctl->is_quiet) {
            print_id(ctl, json_get(group, "id"));
        } else {
            table_add(table, json_get_str(group, "id"));
            table_add(table, json_get_str(group, "name"));
            table_add(table, number(group, "devices"));
            table_add(table, most_of(group));
            table_add(table, ctl_show_time(ctl, json_get_str(group, "createTime")));
            table_add(table, json_get_str(group, "description"));
        }
    }
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    static const char *const headings[] = {"ID",      "NAME",          "DEVICES",
                                           "AT MOST", "CREATED (UTC)", "DESCRIPTION"};
    static const bool is_right[] = {false, false, true, true, false, false};
    bool is_table = !ctl->wants_json && !ctl->is_quiet;
    const struct json *answer, *groups;
    struct table *table;
    const char *path;
    int64_t page = 0, count = 0;
    enum ctl_exit result = ctl_path_of_app(ctl, "/groups", &path);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    table = table_new(6, headings, is_right);
    do {
        result = get_page(ctl, path, page++, &answer);
        groups = json_get(answer, "groups");
        if (result != CTL_DONE)
            break;
        add_rows(ctl, table, groups);
        count += groups ? (int64_t)groups->count : 0;
    } while (groups && groups->count > 0);
    if (result == CTL_DONE && is_table && count > 0) {
        table_print_take(table, 0);
        return result;
    }
    table_free(table);
    if (result == CTL_DONE && is_table)
        puts("The application has no groups.");
    return result;
}

/* ---- showing one ---- */

static void print_group(struct ctl *ctl, const struct json *group)
{
    struct table *table = table_new(2, NULL, NULL);
    const struct {
        const char *name;
        struct str value;
    } lines[] = {{"id", json_get_str(group, "id")},
                 {"name", json_get_str(group, "name")},
                 {"application", json_get_str(group, "app")},
                 {"description", json_get_str(group, "description")},
                 {"devices", number(group, "devices")},
                 {"at most", most_of(group)},
                 {"created (UTC)", ctl_show_time(ctl, json_get_str(group, "createTime"))}};

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        table_add(table, str_of(lines[i].name));
        table_add(table, lines[i].value.len ? lines[i].value : STR("-"));
    }
    table_print_take(table, 0);
}

/* Page by page, however many they are. */
static enum ctl_exit print_members(struct ctl *ctl, const char *path)
{
    const struct json *answer, *members;
    int64_t page = 0;
    enum ctl_exit result;

    do {
        result = get_page(ctl, path, page++, &answer);
        members = result == CTL_DONE ? json_get(answer, "members") : NULL;
        JSON_FOREACH (id, members)
            print_id(ctl, id);
    } while (members && members->count > 0);
    return result;
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    const struct json *group;
    const char *path;
    enum ctl_exit result;

    if (!str_is_utf8(str_of(arguments[0]))) {
        ctl_complain("the name is not UTF-8");
        return CTL_USAGE;
    }
    result = ctl_path_of_app(ctl,
                       arena_printf(ctl->arena, "/groups/%s",
                                    client_encode(ctl->client, ctl->arena, arguments[0])),
                       &path);
    if (result != CTL_DONE)
        return result;
    if (ctl->options[CTL_MEMBERS])
        return print_members(ctl, path);
    result = get_page(ctl, path, 0, &group);
    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(group);
    else if (result == CTL_DONE)
        print_group(ctl, group);
    return result;
}

const struct ctl_command ctl_group_commands[] = {
    {"group", "list", "--app APP", 0, 0, CTL_TAKES(CTL_APP), list,
     "groups of an application's devices"},
    {"group", "show", "GROUP --app APP [--members]", 1, 0,
     CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_MEMBERS), show,
     "one of them, by id or name; or the ids of its devices"},
    {0},
};

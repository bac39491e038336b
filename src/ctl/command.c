/* Commands for devices. */
#include "ctl/app.h"
#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>

/* ---- listing ---- */

static void add_rows(struct ctl *ctl, struct table *table, const struct json *commands)
{
    static const char *const members[] = {"id", "device", "service", "method", "status"};

    JSON_FOREACH (command, commands) {
        if (ctl->wants_json) {
            ctl_print_json(command);
        } else if (ctl->is_quiet) {
            print_safely(json_get_str(command, "id"));
            putchar('\n');
        } else {
            for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                table_add(table, json_get_str(command, members[i]));
            table_add(table, ctl_show_time(ctl, json_get_str(command, "createTime")));
        }
    }
}

static const char *path_of_page(struct ctl *ctl, const char *path, int64_t page)
{
    const char *device = ctl->options[CTL_DEVICE];

    if (!device)
        return arena_printf(ctl->arena, "%s?page=%lld", path, (long long)page);
    return arena_printf(ctl->arena, "%s?page=%lld&device=%s", path, (long long)page,
                        client_encode(ctl->client, ctl->arena, device));
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    static const char *const headings[] = {"ID",     "DEVICE", "SERVICE",
                                           "METHOD", "STATUS", "CREATED (UTC)"};
    bool is_table = !ctl->wants_json && !ctl->is_quiet;
    const struct json *commands;
    struct client_answer answer;
    struct table *table;
    const char *path;
    int64_t page = 0, count = 0;
    enum ctl_exit result = ctl_path_of_app(ctl, "/commands", &path);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    table = table_new(6, headings, NULL);
    do {
        result = client_request(ctl->client, ctl->arena, "GET", path_of_page(ctl, path, page++),
                                NULL, false, &answer);
        commands = result == CTL_DONE ? json_get(answer.json, "commands") : NULL;
        add_rows(ctl, table, commands);
        count += commands ? (int64_t)commands->count : 0;
    } while (commands && commands->count > 0);
    if (result == CTL_DONE && is_table && count > 0) {
        table_print_take(table, 0);
        return result;
    }
    table_free(table);
    if (result == CTL_DONE && is_table)
        puts("There are no commands.");
    return result;
}

/* ---- one ---- */

static enum ctl_exit ask(struct ctl *ctl, const char *method, const char *id, const char *rest,
                         struct client_answer *answer)
{
    return client_request(ctl->client, ctl->arena, method,
                          arena_printf(ctl->arena, "/admin/v1/commands/%s%s",
                                       client_encode(ctl->client, ctl->arena, id), rest),
                          NULL, false, answer);
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result = ask(ctl, "GET", arguments[0], "", &answer);

    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(answer.json);
    else if (result == CTL_DONE)
        ctl_show_object(ctl, answer.json, 0);
    return result;
}

static enum ctl_exit cancel(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result = ask(ctl, "POST", arguments[0], "/cancel", &answer);

    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(answer.json);
    else if (result == CTL_DONE && !ctl->is_quiet)
        puts("It is canceled.");
    return result;
}

const struct ctl_command ctl_command_commands[] = {
    {"command", "list", "--app APP [--device ID]", 0, 0, CTL_TAKES(CTL_APP) | CTL_TAKES(CTL_DEVICE),
     list, "commands for an application's devices, newest first"},
    {"command", "show", "ID", 1, 0, 0, show, "one of them, with what the device answered"},
    {"command", "cancel", "ID", 1, 0, 0, cancel, "cancels one that was not sent yet"},
    {0},
};

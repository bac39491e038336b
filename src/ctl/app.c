/* Applications: those who log in, register devices and are called back. */
#include "ctl/app.h"

#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>

const char *ctl_app_path(struct ctl *ctl, struct str id, const char *rest)
{
    const char *segment = client_encode(ctl->client, ctl->arena, arena_dup0(ctl->arena, id));

    return arena_printf(ctl->arena, "/admin/v1/apps/%s%s", segment, rest);
}

enum ctl_exit ctl_path_of_app(struct ctl *ctl, const char *rest, const char **path)
{
    const struct json *app;
    enum ctl_exit result;

    if (!ctl->options[CTL_APP]) {
        ctl_complain("--app APP is needed: its id, or its name");
        return CTL_USAGE;
    }
    result = ctl_find_app(ctl, ctl->options[CTL_APP], &app);
    if (result == CTL_DONE)
        *path = ctl_app_path(ctl, json_get_str(app, "appId"), rest);
    return result;
}

static struct str show_number(const struct json *object, const char *key)
{
    const struct json *number = json_get(object, key);

    return number && number->type == JSON_NUMBER ? number->text : STR_NONE;
}

enum ctl_exit ctl_list_apps(struct ctl *ctl, const struct json **apps)
{
    struct client_answer answer;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, "GET", "/admin/v1/apps", NULL, false, &answer);

    *apps = json_get(answer.json, "apps");
    return result;
}

enum ctl_exit ctl_find_app(struct ctl *ctl, const char *id_or_name, const struct json **app)
{
    const struct json *apps, *found = NULL;
    struct client_answer answer;
    enum ctl_exit result;

    if (str_is_id(str_of(id_or_name), 128)) {
        result = client_request(ctl->client, ctl->arena, "GET",
                                ctl_app_path(ctl, str_of(id_or_name), ""), NULL, true, &answer);
        *app = answer.json;
        if (answer.status != 404)
            return result;
    }
    result = ctl_list_apps(ctl, &apps);
    if (result != CTL_DONE)
        return result;
    JSON_FOREACH (one, apps) {
        if (!str_eq(json_get_str(one, "name"), str_of(id_or_name)))
            continue;
        if (found) {
            ctl_complain("several applications are named %s: use the id (app list)", id_or_name);
            return CTL_REFUSED;
        }
        found = one;
    }
    if (!found) {
        ctl_complain("no application has the id or the name %s", id_or_name);
        return CTL_REFUSED;
    }
    result = client_request(ctl->client, ctl->arena, "GET",
                            ctl_app_path(ctl, json_get_str(found, "appId"), ""), NULL, false, &answer);
    *app = answer.json;
    return result;
}

static enum ctl_exit add_all(struct ctl *ctl, const struct ctl_list *list, struct table *table,
                             size_t *count)
{
    const struct json *apps;
    enum ctl_exit result;

    if (ctl->options[CTL_APP]) {
        result = ctl_find_app(ctl, ctl->options[CTL_APP], &apps);
        return result == CTL_DONE ? list->add(ctl, apps, table, count) : result;
    }
    result = ctl_list_apps(ctl, &apps);
    JSON_FOREACH (app, result == CTL_DONE ? apps : NULL) {
        result = list->add(ctl, app, table, count);
        if (result != CTL_DONE)
            break;
    }
    return result;
}

enum ctl_exit ctl_list_of_apps(struct ctl *ctl, const struct ctl_list *list)
{
    struct table *table = table_new(list->columns, list->headings, list->is_right);
    size_t count = 0;
    enum ctl_exit result = add_all(ctl, list, table, &count);
    bool prints = result == CTL_DONE && !ctl->wants_json && !ctl->is_quiet;

    if (prints && count) {
        table_print_take(table, 0);
        return result;
    }
    table_free(table);
    if (prints)
        puts(list->none);
    return result;
}

static void print_secret(struct ctl *ctl, const struct json *answer)
{
    struct str id = json_get_str(answer, "appId"), secret = json_get_str(answer, "secret");

    if (ctl->wants_json) {
        ctl_print_json(answer);
    } else if (ctl->is_quiet) {
        printf("%.*s\t%.*s\n", STR_ARG(id), STR_ARG(secret));
    } else {
        printf("id      %.*s\nsecret  %.*s\n", STR_ARG(id), STR_ARG(secret));
        puts("The secret is shown this once: keep it.");
    }
}

static enum ctl_exit create(struct ctl *ctl, char **arguments)
{
    struct json_writer *w = json_writer_new();
    struct client_answer answer;
    enum ctl_exit result = CTL_USAGE;

    if (!str_is_utf8(str_of(arguments[0]))) {
        ctl_complain("app create: the name is not UTF-8");
        goto out;
    }
    json_object(w);
    json_member_text(w, "name", arguments[0]);
    json_object_end(w);
    result = client_request(ctl->client, ctl->arena, "POST", "/admin/v1/apps",
                            json_writer_text(w).p, false, &answer);
    if (result == CTL_DONE)
        print_secret(ctl, answer.json);
out:
    json_writer_free(w);
    return result;
}

static enum ctl_exit list(struct ctl *ctl, char **arguments)
{
    static const char *const headings[] = {"ID", "NAME", "STATE", "DEVICES", "CREATED (UTC)"};
    static const bool is_right[] = {false, false, false, true, false};
    const struct json *apps;
    struct table *table;
    enum ctl_exit result = ctl_list_apps(ctl, &apps);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json) {
        JSON_FOREACH (app, apps)
            ctl_print_json(app);
        return CTL_DONE;
    }
    if (ctl->is_quiet) {
        JSON_FOREACH (app, apps) {
            print_safely(json_get_str(app, "appId"));
            putchar('\n');
        }
        return CTL_DONE;
    }
    if (!apps || apps->count == 0) {
        puts("There are no applications yet: iotpushctl app create NAME makes one.");
        return CTL_DONE;
    }
    table = table_new(5, headings, is_right);
    JSON_FOREACH (app, apps) {
        table_add(table, json_get_str(app, "appId"));
        table_add(table, json_get_str(app, "name"));
        table_add(table, json_get_str(app, "state"));
        table_add(table, show_number(app, "devices"));
        table_add(table, ctl_show_time(ctl, json_get_str(app, "createTime")));
    }
    table_print_take(table, 0);
    return CTL_DONE;
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    const struct json *app;
    struct table *table;
    enum ctl_exit result = ctl_find_app(ctl, arguments[0], &app);

    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json) {
        ctl_print_json(app);
        return CTL_DONE;
    }
    table = table_new(2, NULL, NULL);
    table_add(table, STR("id"));
    table_add(table, json_get_str(app, "appId"));
    table_add(table, STR("name"));
    table_add(table, json_get_str(app, "name"));
    table_add(table, STR("state"));
    table_add(table, json_get_str(app, "state"));
    table_add(table, STR("created"));
    table_add(table, ctl_show_time(ctl, json_get_str(app, "createTime")));
    table_add(table, STR("devices"));
    table_add(table, show_number(app, "devices"));
    table_add(table, STR("subscriptions"));
    table_add(table, show_number(app, "subscriptions"));
    table_print_take(table, 0);
    return CTL_DONE;
}

/* What a verb without an answer of its own says when it is done. */
static void report_change(struct ctl *ctl, const struct json *app, const char *state)
{
    struct json_writer *w;

    if (ctl->wants_json) {
        w = json_writer_new();
        json_object(w);
        json_member_str(w, "appId", json_get_str(app, "appId"));
        json_member_str(w, "name", json_get_str(app, "name"));
        json_member_text(w, "state", state);
        json_object_end(w);
        printf("%.*s\n", STR_ARG(json_writer_text(w)));
        json_writer_free(w);
    } else if (!ctl->is_quiet) {
        print_safely(json_get_str(app, "name"));
        printf(" (%.*s) is %s.\n", STR_ARG(json_get_str(app, "appId")), state);
    }
}

static const char *delete_question(struct ctl *ctl, const struct json *app)
{
    const char *cascade = "";

    if (ctl->options[CTL_CASCADE])
        cascade = arena_printf(ctl->arena, " with its %.*s devices and its subscriptions",
                               STR_ARG(show_number(app, "devices")));
    return arena_printf(ctl->arena, "Delete application %.*s (%.*s)%s?",
                        STR_ARG(json_get_str(app, "name")), STR_ARG(json_get_str(app, "appId")),
                        cascade);
}

static enum ctl_exit delete_app(struct ctl *ctl, char **arguments)
{
    const char *cascade = ctl->options[CTL_CASCADE] ? "?cascade=true" : "";
    const struct json *app;
    struct client_answer answer;
    enum ctl_exit result = ctl_find_app(ctl, arguments[0], &app);

    if (result != CTL_DONE)
        return result;
    if (!ctl_confirm(ctl, delete_question(ctl, app)))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE",
                            ctl_app_path(ctl, json_get_str(app, "appId"), cascade), NULL, false,
                            &answer);
    if (result == CTL_DONE)
        report_change(ctl, app, "deleted");
    return result;
}

static enum ctl_exit change_state(struct ctl *ctl, const char *id_or_name, const char *action,
                                  const char *state)
{
    const struct json *app;
    struct client_answer answer;
    enum ctl_exit result = ctl_find_app(ctl, id_or_name, &app);

    if (result != CTL_DONE)
        return result;
    result =
        client_request(ctl->client, ctl->arena, "POST",
                       ctl_app_path(ctl, json_get_str(app, "appId"), action), NULL, false, &answer);
    if (result == CTL_DONE)
        report_change(ctl, app, state);
    return result;
}

static enum ctl_exit freeze(struct ctl *ctl, char **arguments)
{
    return change_state(ctl, arguments[0], "/freeze", "frozen");
}

static enum ctl_exit unfreeze(struct ctl *ctl, char **arguments)
{
    return change_state(ctl, arguments[0], "/unfreeze", "active");
}

static enum ctl_exit reset_secret(struct ctl *ctl, char **arguments)
{
    const struct json *app;
    struct client_answer answer;
    enum ctl_exit result = ctl_find_app(ctl, arguments[0], &app);

    if (result != CTL_DONE)
        return result;
    result = client_request(ctl->client, ctl->arena, "POST",
                            ctl_app_path(ctl, json_get_str(app, "appId"), "/reset-secret"), NULL, false,
                            &answer);
    if (result == CTL_DONE)
        print_secret(ctl, answer.json);
    return result;
}

/* ---- signing keys ---- */

static enum ctl_exit print_signing_key(struct ctl *ctl, const struct json *app, const char *method)
{
    struct client_answer answer;
    struct str end;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, method,
                       ctl_app_path(ctl, json_get_str(app, "appId"), "/signing-key"), NULL, false,
                       &answer);

    if (result != CTL_DONE)
        return result;
    end = json_get_str(answer.json, "previousKeyEndTime");
    if (ctl->wants_json) {
        ctl_print_json(answer.json);
    } else if (ctl->is_quiet) {
        printf("%.*s\n", STR_ARG(json_get_str(answer.json, "signingKey")));
    } else {
        printf("signing key   %.*s\n", STR_ARG(json_get_str(answer.json, "signingKey")));
        if (end.len)
            printf("previous key  signs too until %.*s\n", STR_ARG(ctl_show_time(ctl, end)));
    }
    return CTL_DONE;
}

/* The first key endangers nobody; a new one has to be carried to the receivers in time. */
static enum ctl_exit renew_signing_key(struct ctl *ctl, const struct json *app)
{
    struct str id = json_get_str(app, "appId");
    struct client_answer answer;
    enum ctl_exit result = client_request(ctl->client, ctl->arena, "GET",
                                          ctl_app_path(ctl, id, "/signing-key"), NULL, true, &answer);

    if (result != CTL_DONE && answer.status != 404)
        return result;
    if (answer.status != 404 &&
        !ctl_confirm(ctl, arena_printf(ctl->arena, "Renew the signing key of application %.*s "
                                                   "(%.*s)?",
                                       STR_ARG(json_get_str(app, "name")), STR_ARG(id))))
        return CTL_REFUSED;
    return print_signing_key(ctl, app, "POST");
}

static enum ctl_exit remove_signing_key(struct ctl *ctl, const struct json *app)
{
    struct str id = json_get_str(app, "appId"), name = json_get_str(app, "name");
    struct client_answer answer;
    enum ctl_exit result;

    if (!ctl_confirm(ctl, arena_printf(ctl->arena, "Send application %.*s (%.*s) notifications "
                                                   "without signature from now on?",
                                       STR_ARG(name), STR_ARG(id))))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE", ctl_app_path(ctl, id, "/signing-key"),
                            NULL, false, &answer);
    if (result == CTL_DONE && !ctl->is_quiet && !ctl->wants_json) {
        print_safely(name);
        printf(" (%.*s) has no signing key.\n", STR_ARG(id));
    }
    return result;
}

static enum ctl_exit signing_key(struct ctl *ctl, char **arguments)
{
    const char *action = arguments[0];
    const struct json *app;
    enum ctl_exit result;

    if (strcmp(action, "show") != 0 && strcmp(action, "renew") != 0 &&
        strcmp(action, "remove") != 0) {
        ctl_complain("app signing-key %s is not known: it is show, renew or remove", action);
        return CTL_USAGE;
    }
    result = ctl_find_app(ctl, arguments[1], &app);
    if (result != CTL_DONE)
        return result;
    if (strcmp(action, "renew") == 0)
        return renew_signing_key(ctl, app);
    if (strcmp(action, "remove") == 0)
        return remove_signing_key(ctl, app);
    return print_signing_key(ctl, app, "GET");
}

const struct ctl_command ctl_app_commands[] = {
    {"app", "create", "NAME", 1, 0, 0, create,
     "makes an application and shows its id and its secret, once"},
    {"app", "list", "", 0, 0, 0, list, "all applications"},
    {"app", "show", "APP", 1, 0, 0, show, "one application"},
    {"app", "delete", "APP [--cascade]", 1, 0, CTL_TAKES(CTL_CASCADE), delete_app,
     "deletes it; --cascade: its devices as well"},
    {"app", "freeze", "APP", 1, 0, 0, freeze, "refuses its logins and its tokens from now on"},
    {"app", "unfreeze", "APP", 1, 0, 0, unfreeze, "takes the freeze back"},
    {"app", "reset-secret", "APP", 1, 0, 0, reset_secret,
     "gives it a new secret; the old one stops working"},
    {"app", "signing-key", "ACTION APP", 2, 0, 0, signing_key,
     "show, renew or remove the key that signs its notifications"},
    {0},
};

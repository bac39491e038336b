/* What is wanted of a device, beside what it has reported: a row per property. */
#include "ctl/ctl.h"

#include "ctl/client.h"
#include "ctl/show.h"
#include "ctl/table.h"
#include <stdio.h>

static struct str text_of(struct ctl *ctl, const struct json *value)
{
    struct json_writer *w;
    struct str text;

    if (!value)
        return STR("-");
    w = json_writer_new();
    json_value(w, value);
    text = arena_str(ctl->arena, json_writer_text(w));
    json_writer_free(w);
    return text;
}

static void add_row(struct ctl *ctl, struct table *table, const struct json *service,
                    struct str property)
{
    const char *name = arena_dup0(ctl->arena, property);
    struct str sent = json_get_str(json_get(service, "sent"), name);

    table_add(table, json_get_str(service, "serviceId"));
    table_add(table, property);
    table_add(table, text_of(ctl, json_get(json_get(service, "reported"), name)));
    table_add(table, text_of(ctl, json_get(json_get(service, "desired"), name)));
    table_add(table, sent.p ? ctl_show_time(ctl, sent) : STR("-"));
}

static void print_services(struct ctl *ctl, const struct json *services)
{
    static const char *const headings[] = {"SERVICE", "PROPERTY", "REPORTED", "DESIRED",
                                           "SENT (UTC)"};
    struct table *table = table_new(5, ctl->is_quiet ? NULL : headings, NULL);

    JSON_FOREACH (service, services) {
        const struct json *reported = json_get(service, "reported");

        JSON_FOREACH (property, reported)
            add_row(ctl, table, service, property->key);
        JSON_FOREACH (property, json_get(service, "desired")) {
            if (!json_get(reported, property->key.p))
                add_row(ctl, table, service, property->key);
        }
    }
    table_print_take(table, 0);
}

static enum ctl_exit show(struct ctl *ctl, char **arguments)
{
    const char *path =
        arena_printf(ctl->arena, "/admin/v1/devices/%s/shadow",
                     client_encode(ctl->client, ctl->arena, arguments[0]));
    const struct json *services;
    struct client_answer answer;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, "GET", path, NULL, false, &answer);

    if (result != CTL_DONE)
        return result;
    services = json_get(answer.json, "services");
    if (ctl->wants_json)
        ctl_print_json(answer.json);
    else if (services && services->count > 0)
        print_services(ctl, services);
    else if (!ctl->is_quiet)
        puts("Nothing was reported, and nothing is desired.");
    return CTL_DONE;
}

const struct ctl_command ctl_shadow_commands[] = {
    {"device", "shadow", "ID", 1, 0, 0, show,
     "what it has reported, what is desired, and what of that was sent to it"},
    {0},
};

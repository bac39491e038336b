/* How the server is, who is alive, and who owns what. */
#include "ctl/ctl.h"

#include "ctl/client.h"
#include "ctl/show.h"
#include <stdio.h>

static enum ctl_exit status(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, "GET", "/admin/v1/status", NULL, false, &answer);

    (void)arguments;
    if (result != CTL_DONE)
        return result;
    if (ctl->wants_json)
        ctl_print_json(answer.json);
    else if (!ctl->is_quiet)
        ctl_show_object(ctl, answer.json, 0);
    return CTL_DONE;
}

static enum ctl_exit list_instances(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return ctl_show_list(ctl, "/admin/v1/instances", "instances");
}

static enum ctl_exit list_partitions(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return ctl_show_list(ctl, "/admin/v1/partitions", "partitions");
}

static enum ctl_exit list_sessions(struct ctl *ctl, char **arguments)
{
    const char *page = ctl->options[CTL_PAGE], *size = ctl->options[CTL_SIZE];

    (void)arguments;
    return ctl_show_list(ctl,
                         arena_printf(ctl->arena, "/admin/v1/sessions?page=%s&size=%s",
                                      page ? client_encode(ctl->client, ctl->arena, page) : "",
                                      size ? client_encode(ctl->client, ctl->arena, size) : ""),
                         "sessions");
}

const struct ctl_command ctl_status_commands[] = {
    {"status", NULL, "", 0, 0, 0, status, "how the server is: Redis, listeners, deliveries"},
    {"instances", NULL, "", 0, 0, 0, list_instances, "who is alive"},
    {"partitions", NULL, "", 0, 0, 0, list_partitions,
     "who owns what, with backlog and age of the oldest event"},
    {"sessions", NULL, "", 0, 0, CTL_TAKES(CTL_PAGE) | CTL_TAKES(CTL_SIZE), list_sessions,
     "devices that are connected to this instance"},
    {0},
};

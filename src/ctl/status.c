/* How the server is, who is alive and owns what, and which callbacks fail. */
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

static enum ctl_exit list_endpoints(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return ctl_show_list(ctl, "/admin/v1/endpoints", "endpoints");
}

static enum ctl_exit switch_delivery(struct ctl *ctl, const char *path, const char *done)
{
    struct client_answer answer;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, "POST", path, NULL, false, &answer);

    if (result == CTL_DONE && !ctl->is_quiet && !ctl->wants_json)
        puts(done);
    return result;
}

static enum ctl_exit pause_delivery(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return switch_delivery(ctl, "/admin/v1/delivery/pause",
                           "Deliveries are held back; what is held gets older meanwhile.");
}

static enum ctl_exit resume_delivery(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return switch_delivery(ctl, "/admin/v1/delivery/resume", "Deliveries go on.");
}

const struct ctl_command ctl_status_commands[] = {
    {"status", NULL, "", 0, false, status, "how the server is: Redis, listeners, deliveries"},
    {"instances", NULL, "", 0, false, list_instances, "who is alive"},
    {"partitions", NULL, "", 0, false, list_partitions,
     "who owns what, with backlog and age of the oldest event"},
    {"endpoints", NULL, "", 0, false, list_endpoints,
     "callback URLs this instance knows: state, failures, what waits"},
    {"delivery", "pause", "", 0, false, pause_delivery, "holds all deliveries back"},
    {"delivery", "resume", "", 0, false, resume_delivery, "lets them go on"},
    {0},
};

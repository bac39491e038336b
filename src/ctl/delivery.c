/* Callback URLs: how they are, holding deliveries back, and what was dropped. */
#include "ctl/ctl.h"

#include "ctl/client.h"
#include "ctl/show.h"
#include <stdio.h>

/* {"url":..., "app":...}: which callback URL a command is about. */
static const char *which_endpoint(struct ctl *ctl, const char *url)
{
    struct json_writer *w = json_writer_new();
    const char *body;

    json_object(w);
    if (url)
        json_member_text(w, "url", url);
    if (ctl->options[CTL_APP])
        json_member_text(w, "app", ctl->options[CTL_APP]);
    json_object_end(w);
    body = arena_dup0(ctl->arena, json_writer_text(w));
    json_writer_free(w);
    return body;
}

static bool url_is_text(const char *url)
{
    if (!url || str_is_utf8(str_of(url)))
        return true;
    ctl_complain("the URL is not UTF-8");
    return false;
}

static enum ctl_exit post(struct ctl *ctl, const char *path, const char *body,
                          struct client_answer *answer)
{
    return client_request(ctl->client, ctl->arena, "POST", path, body, false, answer);
}

static bool talks(const struct ctl *ctl)
{
    return !ctl->is_quiet && !ctl->wants_json;
}

/* ---- callback URLs ---- */

static enum ctl_exit list_endpoints(struct ctl *ctl, char **arguments)
{
    (void)arguments;
    return ctl_show_list(ctl,
                         ctl->options[CTL_FAILING] ? "/admin/v1/endpoints?failing=true"
                                                   : "/admin/v1/endpoints",
                         "endpoints");
}

static enum ctl_exit show_endpoint(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result;

    if (!url_is_text(arguments[0]))
        return CTL_USAGE;
    result = post(ctl, "/admin/v1/endpoints/show", which_endpoint(ctl, arguments[0]), &answer);
    if (result != CTL_DONE)
        return result;
    JSON_FOREACH (endpoint, json_get(answer.json, "endpoints")) {
        if (ctl->wants_json)
            ctl_print_json(endpoint);
        else
            ctl_show_object(ctl, endpoint, 0);
    }
    return CTL_DONE;
}

static enum ctl_exit probe_endpoint(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result;

    if (!url_is_text(arguments[0]))
        return CTL_USAGE;
    result = post(ctl, "/admin/v1/endpoints/probe", which_endpoint(ctl, arguments[0]), &answer);
    if (result == CTL_DONE && talks(ctl))
        puts("It is probed as soon as something is parked for it.");
    return result;
}

static enum ctl_exit reset_endpoint(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result;

    if (!url_is_text(arguments[0]))
        return CTL_USAGE;
    result = post(ctl, "/admin/v1/endpoints/reset", which_endpoint(ctl, arguments[0]), &answer);
    if (result == CTL_DONE && talks(ctl))
        puts("It is valid, and its failures are counted from 0.");
    return result;
}

static enum ctl_exit drop_parked(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result;
    int64_t dropped = 0;

    if (!url_is_text(arguments[0]))
        return CTL_USAGE;
    if (!ctl_confirm(ctl, arena_printf(ctl->arena, "Throw away what is parked for %s?",
                                       arguments[0])))
        return CTL_REFUSED;
    result = post(ctl, "/admin/v1/endpoints/drop-parked", which_endpoint(ctl, arguments[0]),
                  &answer);
    json_get_i64(answer.json, "dropped", &dropped);
    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(answer.json);
    else if (result == CTL_DONE)
        printf(ctl->is_quiet ? "%lld\n" : "%lld parked deliveries are gone.\n",
               (long long)dropped);
    return result;
}

/* ---- holding back ---- */

static enum ctl_exit switch_delivery(struct ctl *ctl, const char *path, const char *url,
                                     const char *done)
{
    struct client_answer answer;
    enum ctl_exit result;

    if (!url_is_text(url))
        return CTL_USAGE;
    result = post(ctl, path, url ? which_endpoint(ctl, url) : NULL, &answer);
    if (result == CTL_DONE && talks(ctl))
        puts(done);
    return result;
}

static enum ctl_exit pause_delivery(struct ctl *ctl, char **arguments)
{
    return switch_delivery(ctl, "/admin/v1/delivery/pause", arguments[0],
                           "Deliveries are held back; what is held gets older meanwhile.");
}

static enum ctl_exit resume_delivery(struct ctl *ctl, char **arguments)
{
    return switch_delivery(ctl, "/admin/v1/delivery/resume", arguments[0], "Deliveries go on.");
}

/* ---- what was dropped ---- */

#define PAGE "1000"

static enum ctl_exit list_deadletters(struct ctl *ctl, char **arguments)
{
    const char *path = "/admin/v1/deadletters";

    if (arguments[0])
        path = arena_printf(ctl->arena, "%s?after=%s", path,
                            client_encode(ctl->client, ctl->arena, arguments[0]));
    return ctl_show_list(ctl, path, "deadletters");
}

/* Page by page, so that no request takes long. */
static enum ctl_exit replay_deadletters(struct ctl *ctl, char **arguments)
{
    struct json_writer *w = json_writer_new();
    int64_t total = 0, replayed = 0;
    struct client_answer answer;
    enum ctl_exit result;
    const char *body;

    if (!arguments[0] == !ctl->options[CTL_ALL]) {
        ctl_complain("usage: iotpushctl deadletter replay ID | --all");
        json_writer_free(w);
        return CTL_USAGE;
    }
    json_object(w);
    if (arguments[0])
        json_member_text(w, "id", arguments[0]);
    json_object_end(w);
    body = arena_dup0(ctl->arena, json_writer_text(w));
    json_writer_free(w);
    do {
        replayed = 0;
        result = post(ctl, "/admin/v1/deadletters/replay", body, &answer);
        json_get_i64(answer.json, "replayed", &replayed);
        total += replayed;
    } while (result == CTL_DONE && replayed > 0 && !arguments[0]);
    if (result == CTL_DONE && !ctl->is_quiet)
        printf(ctl->wants_json ? "{\"replayed\":%lld}\n" : "%lld deliveries are tried again.\n",
               (long long)total);
    return result;
}

static enum ctl_exit purge_deadletters(struct ctl *ctl, char **arguments)
{
    struct client_answer answer;
    enum ctl_exit result;
    int64_t purged = 0;

    (void)arguments;
    if (!ctl_confirm(ctl, "Throw all dead letters away?"))
        return CTL_REFUSED;
    result = client_request(ctl->client, ctl->arena, "DELETE", "/admin/v1/deadletters", NULL, false,
                            &answer);
    json_get_i64(answer.json, "purged", &purged);
    if (result == CTL_DONE && ctl->wants_json)
        ctl_print_json(answer.json);
    else if (result == CTL_DONE && !ctl->is_quiet)
        printf("%lld dead letters are gone.\n", (long long)purged);
    return result;
}

const struct ctl_command ctl_delivery_commands[] = {
    {"endpoints", NULL, "[--failing]", 0, 0, CTL_TAKES(CTL_FAILING), list_endpoints,
     "callback URLs this instance knows: state, failures, what waits"},
    {"endpoint", "show", "URL [--app ID]", 1, 0, CTL_TAKES(CTL_APP), show_endpoint,
     "one callback URL: state, last error, what is parked, latencies"},
    {"endpoint", "probe", "URL [--app ID]", 1, 0, CTL_TAKES(CTL_APP), probe_endpoint,
     "tries an invalid one now"},
    {"endpoint", "reset", "URL [--app ID]", 1, 0, CTL_TAKES(CTL_APP), reset_endpoint,
     "makes it valid without a probe, and forgets its failures"},
    {"endpoint", "drop-parked", "URL [--app ID]", 1, 0, CTL_TAKES(CTL_APP), drop_parked,
     "throws away what is parked for it"},
    {"delivery", "pause", "[URL]", 0, 1, 0, pause_delivery,
     "holds all deliveries back, or those to one callback URL"},
    {"delivery", "resume", "[URL]", 0, 1, 0, resume_delivery, "lets them go on"},
    {"deadletter", "list", "[AFTER-ID]", 0, 1, 0, list_deadletters,
     "deliveries that were dropped, oldest first, " PAGE " at a time"},
    {"deadletter", "replay", "ID | --all", 0, 1, CTL_TAKES(CTL_ALL), replay_deadletters,
     "tries them again, as if they had happened now"},
    {"deadletter", "purge", "", 0, 0, 0, purge_deadletters, "throws them away"},
    {0},
};

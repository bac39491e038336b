#include "ctl/client.h"

#include "base/mem.h"
#include "client/transfer.h"
#include <stdlib.h>

struct client {
    struct transfer *transfer;
    char *socket, *url, *authorization;
};

struct client *client_new(const char *socket, const char *url, const char *token)
{
    struct client *client = xcalloc(1, sizeof(*client));

    client->transfer = transfer_new();
    if (!client->transfer) {
        ctl_complain("cannot set up HTTP");
        exit(CTL_REFUSED);
    }
    if (socket)
        client->socket = xstrdup(socket);
    if (url)
        client->url = xstrdup(url);
    if (token)
        client->authorization = xasprintf("Authorization: Bearer %s", token);
    return client;
}

void client_free(struct client *client)
{
    transfer_free(client->transfer);
    free(client->socket);
    free(client->url);
    free(client->authorization);
    free(client);
}

const char *client_encode(struct client *client, struct arena *arena, const char *segment)
{
    return transfer_encode(client->transfer, arena, segment);
}

static enum ctl_exit say_unreachable(const struct client *client, const char *reason)
{
    if (client->socket)
        ctl_complain("no server at the socket %s: %s\n"
                     "Is iotpushd running? ./scripts/quickstart or systemctl start iotpushd starts "
                     "one; -s SOCKET names another socket.",
                     client->socket, reason);
    else
        ctl_complain("no server at %s: %s\n"
                     "Is iotpushd running, with admin.listen_http set to this address?",
                     client->url, reason);
    return CTL_UNREACHABLE;
}

static enum ctl_exit say_refused(const struct client_answer *answer)
{
    struct str text = json_get_str(answer->json, "error_msg");

    if (answer->status == 401)
        ctl_complain("the server asks for a token, or for another one: see --token-file");
    else if (text.len)
        ctl_complain("%.*s", STR_ARG(text));
    else
        ctl_complain("the server answered with status %d", answer->status);
    return CTL_REFUSED;
}

enum ctl_exit client_request(struct client *client, struct arena *arena, const char *method,
                             const char *path, const char *body, bool not_found_is_fine,
                             struct client_answer *answer)
{
    const char *root = client->socket ? "http://localhost" : client->url;
    struct transfer_request request = {
        .method = method,
        .url = arena_printf(arena, "%s%s", root, path),
        .socket = client->socket,
        .headers = {"Accept: application/json"},
        .body = body,
    };
    struct transfer_answer received;
    const char *problem = NULL, *reason;
    size_t headers = 1;

    *answer = (struct client_answer){0};
    if (body)
        request.headers[headers++] = "Content-Type: application/json";
    if (client->authorization)
        request.headers[headers++] = client->authorization;
    reason = transfer_perform(client->transfer, arena, &request, &received);
    if (reason)
        return say_unreachable(client, reason);
    if (received.body.len)
        answer->json = json_parse(arena, received.body, &problem);
    answer->status = received.status;
    if (received.status == 404 && not_found_is_fine)
        return CTL_REFUSED;
    if (received.status < 200 || received.status > 299)
        return say_refused(answer);
    if (problem) {
        ctl_complain("the server's answer cannot be read: %s", problem);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

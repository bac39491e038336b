#include "ctl/client.h"

#include "base/mem.h"
#include "client/transfer.h"
#include <stdlib.h>

struct client {
    struct transfer *transfer;
    char *socket, *url, *authorization;
    const volatile sig_atomic_t *cancel;
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

void client_set_cancel(struct client *client, const volatile sig_atomic_t *cancel)
{
    client->cancel = cancel;
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

/* request: all but the URL, the socket and our own headers. */
static enum ctl_exit perform(struct client *client, struct arena *arena, const char *path,
                             const char *content_type, struct transfer_request *request,
                             struct transfer_answer *received)
{
    const char *root = client->socket ? "http://localhost" : client->url;
    const char *reason;
    size_t headers = 0;

    request->url = arena_printf(arena, "%s%s", root, path);
    request->socket = client->socket;
    request->cancel = client->cancel;
    request->headers[headers++] = "Accept: application/json";
    if (request->body)
        request->headers[headers++] = arena_printf(arena, "Content-Type: %s", content_type);
    if (client->authorization)
        request->headers[headers++] = client->authorization;
    reason = transfer_perform(client->transfer, arena, request, received);
    if (reason && client->cancel && *client->cancel)
        return CTL_REFUSED;
    return reason ? say_unreachable(client, reason) : CTL_DONE;
}

static bool is_success(int status)
{
    return status >= 200 && status <= 299;
}

static enum ctl_exit read_answer(struct arena *arena, const struct transfer_answer *received,
                                 bool not_found_is_fine, struct client_answer *answer)
{
    const char *problem = NULL;

    if (received->body.len)
        answer->json = json_parse(arena, received->body, &problem);
    answer->status = received->status;
    if (received->status == 404 && not_found_is_fine)
        return CTL_REFUSED;
    if (!is_success(received->status))
        return say_refused(answer);
    if (problem) {
        ctl_complain("the server's answer cannot be read: %s", problem);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

enum ctl_exit client_request(struct client *client, struct arena *arena, const char *method,
                             const char *path, const char *body, bool not_found_is_fine,
                             struct client_answer *answer)
{
    struct transfer_request request = {.method = method, .body = body};
    struct transfer_answer received;
    enum ctl_exit result;

    *answer = (struct client_answer){0};
    result = perform(client, arena, path, "application/json", &request, &received);
    return result == CTL_DONE ? read_answer(arena, &received, not_found_is_fine, answer) : result;
}

enum ctl_exit client_upload(struct client *client, struct arena *arena, const char *path,
                            const char *content_type, struct str body,
                            struct client_answer *answer)
{
    struct transfer_request request = {.method = "POST", .body = body.p, .body_len = body.len};
    struct transfer_answer received;
    enum ctl_exit result;

    *answer = (struct client_answer){0};
    result = perform(client, arena, path, content_type, &request, &received);
    return result == CTL_DONE ? read_answer(arena, &received, false, answer) : result;
}

enum ctl_exit client_download(struct client *client, struct arena *arena, const char *path,
                              struct str *bytes)
{
    struct transfer_request request = {.method = "GET"};
    struct transfer_answer received;
    struct client_answer answer = {0};
    enum ctl_exit result = perform(client, arena, path, NULL, &request, &received);

    if (result == CTL_DONE && !is_success(received.status))
        result = read_answer(arena, &received, false, &answer);
    *bytes = received.body;
    return result;
}

#include "ctl/client.h"

#include "base/buf.h"
#include "base/mem.h"
#include <curl/curl.h>
#include <stdlib.h>

/* More than the largest list a deployment can have; it only keeps a wrong server from filling
 * memory. */
#define ANSWER_MAX_BYTES   (256u * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 5000L
/* Deleting an application with all its devices is the slowest request. */
#define REQUEST_TIMEOUT_MS 600000L

struct client {
    CURL *curl;
    char *socket, *url, *token;
    char error[CURL_ERROR_SIZE];
};

struct client *client_new(const char *socket, const char *url, const char *token)
{
    struct client *client = xcalloc(1, sizeof(*client));

    client->curl = curl_easy_init();
    if (!client->curl) {
        ctl_complain("cannot set up HTTP");
        exit(CTL_REFUSED);
    }
    if (socket)
        client->socket = xstrdup(socket);
    if (url)
        client->url = xstrdup(url);
    if (token)
        client->token = xstrdup(token);
    return client;
}

void client_free(struct client *client)
{
    curl_easy_cleanup(client->curl);
    free(client->socket);
    free(client->url);
    free(client->token);
    free(client);
}

const char *client_encode(struct client *client, struct arena *arena, const char *segment)
{
    char *encoded = curl_easy_escape(client->curl, segment, 0);
    const char *copy = arena_dup0(arena, str_of(encoded));

    curl_free(encoded);
    return copy;
}

static size_t collect(char *bytes, size_t size, size_t count, void *arg)
{
    struct buf *body = arg;

    if (body->len + size * count > ANSWER_MAX_BYTES)
        return 0;
    buf_add(body, bytes, size * count);
    return size * count;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(list, header);

    if (!longer)
        abort();
    return longer;
}

static struct curl_slist *make_headers(const struct client *client, const char *body)
{
    struct curl_slist *headers = add_header(NULL, "Accept: application/json");

    if (body)
        headers = add_header(headers, "Content-Type: application/json");
    if (client->token) {
        char *header = xasprintf("Authorization: Bearer %s", client->token);

        headers = add_header(headers, header);
        free(header);
    }
    return headers;
}

static CURLcode perform(struct client *client, const char *method, const char *url,
                        const char *body, struct buf *answer, long *status)
{
    CURL *curl = client->curl;
    struct curl_slist *headers = make_headers(client, body);
    CURLcode code;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    else if (strcmp(method, "POST") == 0)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    if (client->socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket);
    /* A proxy meant for the outside has no business between an operator and the server. */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->error);
    client->error[0] = '\0';

    code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    return code;
}

static enum ctl_exit say_unreachable(const struct client *client, CURLcode code)
{
    const char *reason = client->error[0] ? client->error : curl_easy_strerror(code);
    long os_error = 0;

    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_error);
    if (os_error)
        reason = strerror((int)os_error);
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
    const char *url = arena_printf(arena, "%s%s", root, path);
    struct buf received = {0};
    const char *problem = NULL;
    long status = 0;
    CURLcode code;

    *answer = (struct client_answer){0};
    code = perform(client, method, url, body, &received, &status);
    if (code == CURLE_OK && received.len)
        answer->json = json_parse(arena, arena_str(arena, buf_str(&received)), &problem);
    buf_clear(&received);

    if (code != CURLE_OK)
        return say_unreachable(client, code);
    answer->status = (int)status;
    if (status == 404 && not_found_is_fine)
        return CTL_REFUSED;
    if (status < 200 || status > 299)
        return say_refused(answer);
    if (problem) {
        ctl_complain("the server's answer cannot be read: %s", problem);
        return CTL_REFUSED;
    }
    return CTL_DONE;
}

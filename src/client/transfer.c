#include "client/transfer.h"

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

struct transfer {
    CURL *curl;
    char error[CURL_ERROR_SIZE];
};

struct transfer *transfer_new(void)
{
    struct transfer *transfer = xcalloc(1, sizeof(*transfer));

    transfer->curl = curl_easy_init();
    if (transfer->curl)
        return transfer;
    free(transfer);
    return NULL;
}

void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    curl_easy_cleanup(transfer->curl);
    free(transfer);
}

const char *transfer_encode(struct transfer *transfer, struct arena *arena, const char *text)
{
    char *encoded = curl_easy_escape(transfer->curl, text, 0);
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

/* A signal ends libcurl's waiting, and then it asks. */
static int is_canceled(void *arg, curl_off_t down, curl_off_t downloaded, curl_off_t up,
                       curl_off_t uploaded)
{
    const volatile sig_atomic_t *cancel = arg;

    (void)down;
    (void)downloaded;
    (void)up;
    (void)uploaded;
    return *cancel;
}

static struct curl_slist *make_headers(const struct transfer_request *request)
{
    struct curl_slist *list = NULL;

    for (size_t i = 0; i < TRANSFER_HEADERS_MAX && request->headers[i]; i++) {
        struct curl_slist *longer = curl_slist_append(list, request->headers[i]);

        if (!longer)
            abort();
        list = longer;
    }
    return list;
}

static const char *reason_of(struct transfer *transfer, CURLcode code)
{
    long os_error = 0;

    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &os_error);
    if (os_error)
        return strerror((int)os_error);
    return transfer->error[0] ? transfer->error : curl_easy_strerror(code);
}

static void prepare(struct transfer *transfer, const struct transfer_request *request,
                    struct curl_slist *headers, struct buf *received)
{
    CURL *curl = transfer->curl;

    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    else if (strcmp(request->method, "POST") == 0)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    if (request->body && request->body_len)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
    if (request->socket)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, request->socket);
    if (request->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->ca_file);
    /* A proxy meant for the outside has no business between an operator and the server. */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
    if (request->cancel) {
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_canceled);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)request->cancel);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    }
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->error);
    transfer->error[0] = '\0';
}

const char *transfer_perform(struct transfer *transfer, struct arena *arena,
                             const struct transfer_request *request,
                             struct transfer_answer *answer)
{
    struct curl_slist *headers = make_headers(request);
    struct buf received = {0};
    const char *reason = NULL;
    long status = 0;
    CURLcode code;

    *answer = (struct transfer_answer){0};
    prepare(transfer, request, headers, &received);
    code = curl_easy_perform(transfer->curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
        answer->status = (int)status;
        answer->body = arena_str(arena, buf_str(&received));
    } else {
        reason = reason_of(transfer, code);
    }
    curl_easy_setopt(transfer->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    buf_clear(&received);
    return reason;
}

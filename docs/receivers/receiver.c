/*
 * A sample receiver of notifications: verifies the signature, handles each notification once.
 *
 *     receiver PORT KEY_FILE      KEY_FILE: its first line is what `iotpushctl app signing-key` shows
 *     cc -o receiver receiver.c $(pkg-config --cflags --libs libevent libcrypto)
 *
 * Listens on 127.0.0.1; put it behind whatever ends your TLS. It answers 200 when the notification
 * has been handled, now or earlier, and 401 when it is not from our server.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TOLERANCE      300   /* seconds that the two clocks may differ */
#define REMEMBERED     10000 /* ids: more than arrive within the sender's cache time */
#define MAX_BODY       (4 * 1024 * 1024)
#define KEY_BYTES      32
#define SIGNATURE_SIZE (3 + 44 + 1) /* "v1=", Base64, NUL */

static unsigned char key[KEY_BYTES + 1]; /* and what stands for the padding while it is decoded */
static unsigned char seen[REMEMBERED][32]; /* digests of ids: the oldest is overwritten */
static size_t seen_count;

static void sign(const char *id, const char *timestamp, const unsigned char *body, size_t len,
                 char signature[SIGNATURE_SIZE])
{
    size_t id_len = strlen(id), time_len = strlen(timestamp);
    unsigned char *text = malloc(id_len + time_len + len + 2), digest[32];

    if (!text)
        abort();
    memcpy(text, id, id_len);
    text[id_len] = '.';
    memcpy(text + id_len + 1, timestamp, time_len);
    text[id_len + 1 + time_len] = '.';
    if (len)
        memcpy(text + id_len + time_len + 2, body, len);
    HMAC(EVP_sha256(), key, KEY_BYTES, text, id_len + time_len + len + 2, digest, NULL);
    free(text);
    memcpy(signature, "v1=", 3);
    EVP_EncodeBlock((unsigned char *)signature + 3, digest, sizeof(digest));
}

static bool is_signed(const char *id, const char *timestamp, const char *given,
                      const unsigned char *body, size_t len)
{
    char wanted[SIGNATURE_SIZE];
    bool is_ours = false;

    if (!id || !timestamp || !given || strlen(timestamp) > 12 || !*timestamp ||
        timestamp[strspn(timestamp, "0123456789")])
        return false;
    if (llabs((long long)time(NULL) - atoll(timestamp)) > TOLERANCE)
        return false;
    sign(id, timestamp, body, len, wanted);
    /* Several while a key is being replaced: one of them must be ours. */
    for (const char *p = given; *p; p += strspn(p, ", ")) {
        size_t one = strcspn(p, ", ");

        if (one == SIGNATURE_SIZE - 1 && CRYPTO_memcmp(p, wanted, one) == 0)
            is_ours = true;
        p += one;
    }
    return is_ours;
}

/* Your work: quick, or put into a queue that survives. False makes the server try again. */
static bool handle(const char *id, const unsigned char *body, size_t len)
{
    (void)body;
    (void)len;
    printf("new %s\n", id);
    return true;
}

static bool handle_once(const char *id, const unsigned char *body, size_t len)
{
    unsigned char digest[32];
    size_t kept = seen_count < REMEMBERED ? seen_count : REMEMBERED;

    EVP_Digest(id, strlen(id), digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < kept; i++) {
        if (memcmp(seen[i], digest, sizeof(digest)) == 0) {
            printf("again %s\n", id);
            return true;
        }
    }
    if (!handle(id, body, len))
        return false;
    memcpy(seen[seen_count++ % REMEMBERED], digest, sizeof(digest)); /* only now */
    return true;
}

static void take(struct evhttp_request *request, void *unused)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    const char *id = evhttp_find_header(headers, "X-Notify-Id");
    size_t len = evbuffer_get_length(input);
    const unsigned char *body = evbuffer_pullup(input, -1);
    int status = 200;

    (void)unused;
    if (!is_signed(id, evhttp_find_header(headers, "X-Notify-Timestamp"),
                   evhttp_find_header(headers, "X-Notify-Signature"), body, len)) {
        puts("refused");
        status = 401;
    } else if (!handle_once(id, body, len)) {
        status = 500;
    }
    evhttp_send_reply(request, status, NULL, NULL);
}

static bool read_key(const char *path)
{
    char line[64] = "";
    FILE *file = fopen(path, "r");

    if (!file)
        return false;
    if (!fgets(line, sizeof(line), file))
        line[0] = '\0';
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    return strlen(line) == 44 && EVP_DecodeBlock(key, (unsigned char *)line, 44) == KEY_BYTES + 1;
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct evhttp *http = base ? evhttp_new(base) : NULL;
    struct evhttp_bound_socket *bound;
    struct sockaddr_in address;
    socklen_t size = sizeof(address);

    if (argc != 3 || !http || !read_key(argv[2])) {
        fputs("usage: receiver PORT KEY_FILE, a file with 32 bytes in Base64\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    evhttp_set_max_headers_size(http, 16 * 1024);
    evhttp_set_max_body_size(http, MAX_BODY);
    evhttp_set_timeout(http, 120); /* longer than the sender keeps an idle connection */
    evhttp_set_allowed_methods(http, EVHTTP_REQ_POST);
    evhttp_set_gencb(http, take, NULL);
    bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", (ev_uint16_t)atoi(argv[1]));
    if (!bound ||
        getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size) < 0) {
        perror("receiver");
        return 1;
    }
    printf("listening on port %u\n", ntohs(address.sin_port));
    return event_base_dispatch(base) < 0;
}

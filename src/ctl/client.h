/*
 * Requests to the admin listener, one after the other, over its unix socket or over HTTP with a
 * token.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "ctl/ctl.h"
#include <signal.h>

struct client;

/* Exactly one of socket and url is given; token may be NULL. All are copied. */
struct client *client_new(const char *socket, const char *url, const char *token);
void client_free(struct client *client);

struct client_answer {
    int status;              /* HTTP's; 0 when there was no answer */
    const struct json *json; /* NULL when the answer has no body */
};

/*
 * Sends one request; path is below the listener's root, body NULL or a JSON text. The answer lives
 * in the arena. CTL_DONE for a 2xx. Otherwise what went wrong has been said on stderr, except for a
 * 404 when not_found_is_fine, which is CTL_REFUSED with answer->status 404 and no word.
 */
enum ctl_exit client_request(struct client *client, struct arena *arena, const char *method,
                             const char *path, const char *body, bool not_found_is_fine,
                             struct client_answer *answer);

/* From now on a request ends early when *cancel becomes true: CTL_REFUSED, without a word. NULL: no more. */
void client_set_cancel(struct client *client, const volatile sig_atomic_t *cancel);

/* The same with a POST of bytes, and with a GET of bytes: then *bytes is the answer's body. */
enum ctl_exit client_upload(struct client *client, struct arena *arena, const char *path,
                            const char *content_type, struct str body,
                            struct client_answer *answer);
enum ctl_exit client_download(struct client *client, struct arena *arena, const char *path,
                              struct str *bytes);

/* A path segment, percent-encoded, in the arena. */
const char *client_encode(struct client *client, struct arena *arena, const char *segment);

#endif

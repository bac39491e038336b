/*
 * What the header of an answer says about what follows: evhttp understands part of it only.
 */
#ifndef NET_HTTP_ANSWER_H
#define NET_HTTP_ANSWER_H

#include <event2/http.h>
#include <stdbool.h>
#include <stdint.h>

struct http_answer {
    int status;             /* 0: not a final HTTP/1 answer that makes sense, 101 included */
    bool is_interim;        /* 1xx: the real answer follows */
    bool may_be_reused;     /* both sides will agree where the body ends and keep the connection */
    int64_t content_length; /* -1: not known beforehand */
    int64_t retry_after_ms; /* -1: absent or unreadable */
    const char *location;   /* as it came; NULL: absent. Belongs to the request */
};

void http_answer_read(struct evhttp_request *request, struct http_answer *answer);

/* Retry-After's value: seconds, or a date in one of HTTP's three forms. */
int64_t http_retry_after_ms(const char *value);

#endif

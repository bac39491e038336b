/* The header lines of one attempt that speak of the delivery. Private to src/push. */
#ifndef PUSH_HEADERS_H
#define PUSH_HEADERS_H

#include "base/decimal.h"
#include "core/signing.h"
#include "net/http_client.h"
#include "push/delivery.h"

#define ATTEMPT_HEADERS_MAX 5

struct attempt_headers {
    struct http_header list[ATTEMPT_HEADERS_MAX]; /* points into what follows */
    size_t count;
    char id[256], subscription[64];
    struct decimal attempt, timestamp;
    char signature[SIGNATURE_TEXT_SIZE];
};

/* Those of an attempt that is made now. */
void attempt_headers_write(struct attempt_headers *headers, const struct delivery *delivery);

#endif

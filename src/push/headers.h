/* The header lines of one attempt that speak of the delivery. Private to src/push. */
#ifndef PUSH_HEADERS_H
#define PUSH_HEADERS_H

#include "base/decimal.h"
#include "core/app/signing.h"
#include "net/http_client.h"
#include "push/delivery.h"

#define ATTEMPT_HEADERS_MAX 5
/* two numbers, the id of an event, the id of a subscription, what stands between them */
#define NOTIFY_ID_SIZE      (10 + 10 + EVENT_ID_SIZE + LANE_KEY_MAX + 4)

struct attempt_headers {
    struct http_header list[ATTEMPT_HEADERS_MAX]; /* points into what follows */
    size_t count;
    char id[NOTIFY_ID_SIZE];
    struct decimal attempt, timestamp;
    char signature[SIGNATURE_TEXT_SIZE];
};

/* "<partition>-<stream id>[.<part>]-<subscription>": the same on every attempt. */
void notify_id_write(const struct delivery *delivery, char out[NOTIFY_ID_SIZE]);
/* Those of an attempt that is made now. */
void attempt_headers_write(struct attempt_headers *headers, const struct delivery *delivery);

#endif

/*
 * What an attempt's outcome means: the classes of results, and the pauses between attempts. Pure
 * functions of the outcome, the settings and the number of attempts.
 */
#ifndef PUSH_RESULT_H
#define PUSH_RESULT_H

#include "net/http_client.h"
#include "push/push.h"

enum result_class {
    RESULT_OK,       /* delivered */
    RESULT_FAIL,     /* retry; counts against the callback URL */
    RESULT_THROTTLE, /* retry not before Retry-After; a 503 counts, a 429 does not */
    RESULT_SOFT,     /* retry; does not count */
    RESULT_REFUSED,  /* somebody answered, and did not want it: few attempts; does not count */
};

enum result_class result_classify(const struct http_result *result,
                                  const struct push_settings *settings);
/* Syntax check of push.fail_statuses: NULL when right, else what is wrong. */
const char *result_check_statuses(const char *list);
const char *result_class_name(enum result_class class);

#define RESULT_TEXT_SIZE 160

/* What came instead of a 2xx, in words. A redirect says where to: its Location without query and
 * user-info, as far as it is printable and there is room. */
void result_write(const struct http_result *result, char text[RESULT_TEXT_SIZE]);

/* Does it count as a failure of the callback URL? */
bool result_counts(enum result_class class, const struct http_result *result);

/* The pause that a THROTTLE asks for, within its bounds. */
int64_t result_throttle_ms(const struct http_result *result, const struct push_settings *settings);

/* Pause after the attempt-th attempt (1, 2, ...): doubling from retry_first to retry_max, with 20 %
 * of jitter either way. random is 0..1. */
int64_t result_retry_pause_ms(const struct push_settings *settings, unsigned attempt,
                              double random);

/* Pause after the n-th refusal (1, 2, ...); -1: it was the last one. */
int64_t result_refused_pause_ms(const struct push_settings *settings, unsigned refusals);

#endif

/*
 * Where a redirect may be followed to: nowhere but the callback's own scheme, host and port, since all
 * that was checked and configured is for these. Private to src/push.
 */
#ifndef PUSH_REDIRECT_H
#define PUSH_REDIRECT_H

#include "base/str.h"
#include "net/http_client.h"

/* The request target that a 307 or 308 of this callback leads to; the caller's. NULL: it is another
 * status, leads elsewhere, or to something that is no URL. */
char *redirect_target(struct str callback_url, const struct http_result *result);

#endif

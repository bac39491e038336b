/*
 * Opening a hiredis connection without blocking. hiredis itself would look a name up with the
 * blocking getaddrinfo, so a name is resolved here first, anew for each attempt: after a failover
 * it may lead elsewhere. For the store's own use.
 */
#ifndef STORE_REDIS_DIAL_H
#define STORE_REDIS_DIAL_H

#include "store/redis_url.h"
#include <event2/event.h>
#include <hiredis/async.h>

struct redis_dial;

/* context is attached to the loop but not connected yet, and the callback's to free; or it is NULL
 * and error says why (valid during the callback). */
typedef void (*redis_dial_cb)(redisAsyncContext *context, const char *error, void *arg);

/* address must outlive the dial. Of several addresses of a name the (attempt % count)th is taken.
 * The dial ends itself before it calls back. */
struct redis_dial *redis_dial_start(struct event_base *base, const struct redis_address *address,
                                    unsigned attempt, redis_dial_cb cb, void *arg);
void redis_dial_cancel(struct redis_dial *dial); /* before its callback; it will not be called */

#endif

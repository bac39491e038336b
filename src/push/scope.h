/*
 * What one breaker guards (push.breaker_scope_v1): a callback URL, or a host with all callback URLs
 * there. Each has a name, which is what it is called in Redis too:
 *
 *     http://callback.test:8080/path?query       a URL
 *     host http://callback.test:8080             scheme, host and port
 *
 * No URL begins like the second form, so instances with different settings don't take the one for
 * the other.
 */
#ifndef PUSH_SCOPE_H
#define PUSH_SCOPE_H

#include "base/url.h"

enum breaker_scope { SCOPE_URL, SCOPE_HOST }; /* as in the setting */

#define SCOPE_NAME_SIZE (URL_MAX + 32)

/* Of what guards that URL; may point into buffer. The port is named, and the host in lower case,
 * however the URL spells them. What is no legal URL (any more) is guarded alone. */
struct str scope_name(enum breaker_scope scope, struct str url, char buffer[SCOPE_NAME_SIZE]);
enum breaker_scope scope_of(struct str name);
bool scope_has(struct str name, struct str url); /* is it the name of what guards that URL? */
/* For logs and operators: a URL without its query, which may hold a password; scheme, host, port. */
struct str scope_shown(struct str name);
/* "<application> <name>": under this the tables of an instance have it. Both were bounded when they were
 * stored; what is longer all the same is cut off. */
#define SCOPE_KEY_MAX 2048
struct str scope_key(char out[SCOPE_KEY_MAX], struct str app_id, struct str name);
const char *scope_text(enum breaker_scope scope); /* "url", "host" */

#endif

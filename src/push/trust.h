/*
 * How the server of an HTTPS callback is checked: by the certificate entry that the application has
 * for its host and port, or without one by push.https_default_trust. Private to src/push.
 *
 * A trust belongs to one endpoint of one application. It learns of changes by asking Redis once per
 * cache.life for its entry's version; contexts made of entries are kept by version, the least
 * recently used go (push.trust_profiles), and are made again from a new reading.
 */
#ifndef PUSH_TRUST_H
#define PUSH_TRUST_H

#include "base/url.h"
#include "push/push.h"
#include <openssl/ssl.h>

struct trusts;
struct trust;
struct certificates;

/* NULL with *error set: the system's CAs, ca_file or the platform's certificate cannot be read. */
struct trusts *trusts_new(struct core *core, const struct push_settings *settings, char **error);
void trusts_free(struct trusts *trusts);   /* after each trust */
void trusts_reload(struct trusts *trusts); /* the platform's certificate and the limits */
/* What the platform shows to callbacks that ask for it; NULL: nothing. */
const struct certificates *trusts_platform_certificate(const struct trusts *trusts);

struct trust_config {
    struct trusts *trusts;
    struct str app_id;
    const struct url *url; /* copied */
    /* Other rules are in force; not for the first ones. */
    void (*changed)(void *arg);
    /* A reading has ended, also without success. */
    void (*answered)(void *arg);
    void *arg;
};

struct trust *trust_new(const struct trust_config *config);
void trust_free(struct trust *trust); /* NULL is allowed; no callback follows */
/* Once in a while: asks Redis when the last answer is older than cache.life. */
void trust_refresh(struct trust *trust);
/* Asks now, unless it is under way. */
void trust_ask(struct trust *trust);
/* Would trust_connect know the answer? */
bool trust_is_known(const struct trust *trust);
/* Which rules are in force: another number after each change. */
unsigned trust_generation(const struct trust *trust);

enum trust_outcome {
    TRUST_READY,   /* *ssl is for a new connection; the caller's */
    TRUST_UNKNOWN, /* Redis has to be asked before: trust_ask, then answered() */
    TRUST_REFUSED, /* *reason says why there can be no connection; static text */
};
enum trust_outcome trust_connect(struct trust *trust, const struct sockaddr *address, SSL **ssl,
                                 const char **reason);

#endif

/*
 * Where a Redis is, read from its URL (the forms are in redis.h). For the store's own use.
 */
#ifndef STORE_REDIS_URL_H
#define STORE_REDIS_URL_H

#include "base/str.h"

struct redis_address {
    char *path; /* of the unix socket; NULL = TCP */
    char *host; /* name or address, IPv6 without brackets */
    uint16_t port;
    unsigned db;
    char *user, *password; /* NULL = none */
};

/* NULL when right, else what is wrong (static text), and out is empty. redis_address_clear it. */
const char *redis_url_parse(const char *url, struct redis_address *out);
void redis_address_clear(struct redis_address *address);
/* "host:6379/2" or "unix:/path", without credentials: for the log. free() it. */
char *redis_address_text(const struct redis_address *address);

/* The first line of a file. NULL when it cannot be read, with a text in *error (free() it). */
char *redis_password_read(const char *file, char **error);

#endif

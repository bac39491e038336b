/*
 * Addresses of listeners: "127.0.0.1:8080", "[::]:8743" (IPv6 alone), "8743" (all addresses, of IPv6
 * and IPv4), "unix:/path".
 */
#ifndef NET_HTTP_ADDRESS_H
#define NET_HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

struct http_address {
    socklen_t len;
    struct sockaddr_storage sockaddr;
    bool is_any; /* a port alone: IPv6 and IPv4 */
};

/* NULL, or what is wrong (static text). */
const char *http_address_parse(const char *text, struct http_address *address);
/* A listening socket; -1 with a text in *error (free() it). */
int http_address_listen(const struct http_address *address, int unix_mode, char **error);
char *http_address_text(const struct sockaddr *sockaddr); /* free() it */

#endif

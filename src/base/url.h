/*
 * http and https URLs of callbacks. Strict on purpose: what is stored here is later written into a
 * request line and connected to.
 */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/str.h"

#define URL_MAX 1024

struct url {
    bool is_https;
    bool has_port;        /* written in the text */
    bool has_path;        /* a '/' follows the authority */
    bool host_is_ipv6;    /* host holds the address without brackets */
    uint16_t port;        /* written, or the scheme's */
    struct str host;      /* points into the text */
    struct str authority; /* host[:port] as written: what goes into Host */
    struct str target;    /* path and query, at least "/" */
};

/*
 * Refused (false): other schemes, user-info, fragments, control characters, blanks, bytes above
 * 0x7e, quotes and backslashes, an empty host, a port of 0 or over 65535, host names with other
 * characters than letters, digits, '-', '_' and '.', labels over 63, over 253 in all, hosts that
 * look numeric (their last label is a number) without being a dotted quad of four decimal numbers
 * 0..255 without leading zeros (2130706433, 0x7f.1, 127.1, 010.0.0.1), empty labels (also a dot at
 * the end), broken IPv6 literals or ones with a zone, a query without a path before it, over
 * URL_MAX. The scheme is matched without regard to case. out points into text.
 */
bool url_parse(struct str text, struct url *out);

/* The text up to its query or fragment: what a log may show. */
struct str url_without_query(struct str text);

/* Percent-decoding of a path segment or query value ('+' is a blank only in queries). The result is
 * NUL-terminated in the arena. false: a broken escape, %00, or not UTF-8. */
struct arena;
bool url_decode(struct arena *arena, struct str encoded, bool plus_is_blank, struct str *out);

/* The value of a form or query parameter, decoded, the first one of that name; names are compared
 * without regard to case when nocase. STR_NONE when absent or broken. */
struct str url_form_value(struct arena *arena, struct str form, const char *name, bool nocase);

#endif

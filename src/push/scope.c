#include "push/scope.h"

#include <ctype.h>
#include <stdio.h>

#define HOST_PREFIX "host "

struct str scope_name(enum breaker_scope scope, struct str text, char buffer[SCOPE_NAME_SIZE])
{
    struct url url;
    int len;

    if (scope == SCOPE_URL || !url_parse(text, &url))
        return text;
    len = snprintf(buffer, SCOPE_NAME_SIZE, HOST_PREFIX "%s://%s%.*s%s:%u",
                   url.is_https ? "https" : "http", url.host_is_ipv6 ? "[" : "",
                   STR_ARG(url.host), url.host_is_ipv6 ? "]" : "", url.port);
    for (int i = 0; i < len; i++)
        buffer[i] = (char)tolower((unsigned char)buffer[i]);
    return str_n(buffer, (size_t)len);
}

enum breaker_scope scope_of(struct str name)
{
    return str_starts_with(name, STR(HOST_PREFIX)) ? SCOPE_HOST : SCOPE_URL;
}

/* For most URLs the comparison of the beginning is enough: thousands may be asked for. */
bool scope_has(struct str name, struct str url)
{
    struct str host = scope_shown(name);
    char buffer[SCOPE_NAME_SIZE];
    const char *port;
    size_t len;

    if (scope_of(name) == SCOPE_URL)
        return str_eq(name, url);
    port = memrchr(host.p, ':', host.len);
    len = port ? (size_t)(port - host.p) : host.len;
    return url.len >= len && str_eq_nocase(str_n(host.p, len), str_n(url.p, len)) &&
           str_eq(scope_name(SCOPE_HOST, url, buffer), name);
}

struct str scope_shown(struct str name)
{
    if (scope_of(name) == SCOPE_URL)
        return url_without_query(name);
    return str_n(name.p + strlen(HOST_PREFIX), name.len - strlen(HOST_PREFIX));
}

const char *scope_text(enum breaker_scope scope)
{
    return scope == SCOPE_HOST ? "host" : "url";
}

struct str scope_key(char out[SCOPE_KEY_MAX], struct str app_id, struct str name)
{
    if (app_id.len + 1 + name.len > SCOPE_KEY_MAX)
        name.len = SCOPE_KEY_MAX - app_id.len - 1;
    memcpy(out, app_id.p, app_id.len);
    out[app_id.len] = ' ';
    memcpy(out + app_id.len + 1, name.p, name.len);
    return str_n(out, app_id.len + 1 + name.len);
}

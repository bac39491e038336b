#include "push/redirect.h"

#include "base/mem.h"
#include "base/url.h"
#include <stdlib.h>

/* "/path" belongs to the callback's own origin; "//host/path" does not need to. */
static bool is_path(struct str location)
{
    return str_starts_with(location, STR("/")) && !str_starts_with(location, STR("//"));
}

static bool is_same_origin(const struct url *a, const struct url *b)
{
    return a->is_https == b->is_https && a->port == b->port && str_eq_nocase(a->host, b->host);
}

char *redirect_target(struct str callback_url, const struct http_result *result)
{
    struct str location = str_of(result->location ? result->location : "");
    struct url from, to;
    char *text, *target = NULL;

    if (result->outcome != HTTP_ANSWERED || (result->status != 307 && result->status != 308) ||
        !url_parse(callback_url, &from))
        return NULL;
    text = is_path(location)
               ? xasprintf("%s://%.*s%.*s", from.is_https ? "https" : "http",
                           STR_ARG(from.authority), STR_ARG(location))
               : str_dup(location);
    if (url_parse(str_of(text), &to) && is_same_origin(&from, &to))
        target = str_dup(to.target);
    free(text);
    return target;
}

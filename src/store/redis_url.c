#include "store/redis_url.h"

#include "base/mem.h"
#include "store/redis.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define DEFAULT_PORT 6379
#define DB_MAX       9999

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL: a broken escape, or a NUL or line end, which no user name or password of Redis' URLs has.
 */
static char *percent_decode(struct str s)
{
    char *text = xmalloc(s.len + 1), *to = text;

    for (size_t i = 0; i < s.len; i++, to++) {
        *to = s.p[i];
        if (*to == '%') {
            int high = i + 2 < s.len ? hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_digit(s.p[i + 2]) : -1;

            if (high < 0 || low < 0)
                goto broken;
            *to = (char)(high << 4 | low);
            i += 2;
        }
        if (*to == '\0' || *to == '\n' || *to == '\r')
            goto broken;
    }
    *to = '\0';
    return text;
broken:
    free(text);
    return NULL;
}

static const char *parse_db(struct str s, struct redis_address *out)
{
    uint64_t db;

    if (!str_to_u64(s, DB_MAX, &db))
        return "the database is not a number";
    out->db = (unsigned)db;
    return NULL;
}

static const char *parse_unix(struct str s, struct redis_address *out)
{
    struct str query, path = str_split(s, '?', &query);

    if (path.len == 0 || path.p[0] != '/')
        return "a unix socket is written unix:/path, with an absolute path";
    if (path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return "the path of a unix socket has at most 107 bytes";
    if (query.p && !str_starts_with(query, STR("db=")))
        return "after the path of a unix socket only ?db=N may follow";
    if (query.p) {
        const char *problem = parse_db(str_n(query.p + 3, query.len - 3), out);

        if (problem)
            return problem;
    }
    out->path = str_dup(path);
    return NULL;
}

static const char *parse_credentials(struct str s, struct redis_address *out)
{
    struct str password, user = str_split(s, ':', &password);

    if (!password.p)
        return "credentials are written user:password@ or :password@";
    out->password = percent_decode(password);
    if (!out->password)
        return "the password has a broken %XX escape";
    if (user.len == 0)
        return NULL;
    out->user = percent_decode(user);
    return out->user ? NULL : "the user name has a broken %XX escape";
}

static const char *parse_host(struct str s, struct redis_address *out)
{
    struct str host, port = STR_NONE;
    uint64_t number = DEFAULT_PORT;

    if (s.len && s.p[0] == '[') {
        const char *end = memchr(s.p, ']', s.len);

        if (!end)
            return "the ] after the IPv6 address is missing";
        host = str_n(s.p + 1, (size_t)(end - s.p) - 1);
        s = str_n(end + 1, s.len - host.len - 2);
        if (s.len && s.p[0] != ':')
            return "only :port may follow the IPv6 address";
        if (s.len)
            port = str_n(s.p + 1, s.len - 1);
    } else {
        host = str_split(s, ':', &port);
    }
    if (host.len == 0 || host.len > 253 || !str_is_printable(host))
        return "the host is missing or wrong";
    if (port.p && (!str_to_u64(port, 65535, &number) || number == 0))
        return "the port is not a number from 1 to 65535";
    out->host = str_dup(host);
    out->port = (uint16_t)number;
    return NULL;
}

static const char *parse_tcp(struct str s, struct redis_address *out)
{
    struct str path, authority = str_split(s, '/', &path);
    const char *at = memrchr(authority.p, '@', authority.len);
    const char *problem = NULL;

    if (at) {
        size_t len = (size_t)(at - authority.p);

        problem = parse_credentials(str_n(authority.p, len), out);
        authority = str_n(at + 1, authority.len - len - 1);
    }
    if (!problem)
        problem = parse_host(authority, out);
    if (!problem && path.len)
        problem = parse_db(path, out);
    return problem;
}

const char *redis_url_parse(const char *url, struct redis_address *out)
{
    struct str s = str_of(url);
    const char *problem;

    *out = (struct redis_address){0};
    if (str_starts_with(s, STR("unix:")))
        problem = parse_unix(str_n(s.p + 5, s.len - 5), out);
    else if (str_starts_with(s, STR("redis://")))
        problem = parse_tcp(str_n(s.p + 8, s.len - 8), out);
    else if (str_starts_with(s, STR("rediss://")))
        problem = "TLS to Redis is not supported; put a TLS tunnel in front of it";
    else
        problem = "write redis://[user:password@]host:port/db or unix:/path[?db=N]";
    if (problem)
        redis_address_clear(out);
    return problem;
}

const char *redis_url_check(const char *url)
{
    struct redis_address address;
    const char *problem;

    if (str_eq(str_of(url), STR("embedded:")))
        return NULL;
    problem = redis_url_parse(url, &address);
    redis_address_clear(&address);
    return problem;
}

void redis_address_clear(struct redis_address *address)
{
    if (address->password)
        explicit_bzero(address->password, strlen(address->password));
    free(address->path);
    free(address->host);
    free(address->user);
    free(address->password);
    *address = (struct redis_address){0};
}

char *redis_address_text(const struct redis_address *address)
{
    bool is_ipv6 = address->host && strchr(address->host, ':');

    if (address->path)
        return address->db ? xasprintf("unix:%s?db=%u", address->path, address->db)
                           : xasprintf("unix:%s", address->path);
    return xasprintf("%s%s%s:%u/%u", is_ipv6 ? "[" : "", address->host, is_ipv6 ? "]" : "",
                     address->port, address->db);
}

char *redis_password_read(const char *file, char **error)
{
    char text[1024];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text));
    char *password = NULL;
    size_t len = 0;

    if (got < 0)
        *error = xasprintf("%s: %s", file, strerror(errno));
    while (got > 0 && len < (size_t)got && !strchr("\r\n", text[len]))
        len++;
    if (got >= 0 && len == 0)
        *error = xasprintf("%s: its first line is empty", file);
    else if (len == sizeof(text))
        *error = xasprintf("%s: its first line is too long", file);
    else if (len > 0)
        password = xmemdup0(text, len);
    explicit_bzero(text, sizeof(text));
    if (fd >= 0)
        close(fd);
    return password;
}

#include "net/http_address.h"

#include "base/mem.h"
#include "base/str.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024 /* the kernel cuts it to net.core.somaxconn */

static const char *const NOT_AN_ADDRESS =
    "not an address; write 127.0.0.1:8080, [::1]:8080, 8080 (all addresses) or unix:/path";

static const char *parse_unix(struct str path, struct http_address *address)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&address->sockaddr;

    if (path.len == 0)
        return "the path is missing; write unix:/path";
    if (path.len >= sizeof(un->sun_path))
        return "the path is too long for a unix socket; at most 107 bytes";
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.len + 1);
    address->len = sizeof(*un);
    return NULL;
}

static bool parse_ipv4(const char *host, uint16_t port, struct http_address *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&address->sockaddr;

    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    address->len = sizeof(*in);
    return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static bool parse_ipv6(const char *host, uint16_t port, struct http_address *address)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->sockaddr;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    address->len = sizeof(*in6);
    return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

static bool parse_host(struct str host, uint16_t port, struct http_address *address)
{
    bool is_ipv6 = str_starts_with(host, STR("[")) && str_ends_with(host, STR("]"));
    char text[INET6_ADDRSTRLEN];

    if (is_ipv6)
        host = str_n(host.p + 1, host.len - 2);
    if (host.len == 0 || host.len >= sizeof(text))
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return is_ipv6 ? parse_ipv6(text, port, address) : parse_ipv4(text, port, address);
}

const char *http_address_parse(const char *text, struct http_address *address)
{
    const char *colon = strrchr(text, ':');
    struct str host = colon ? str_n(text, (size_t)(colon - text)) : STR("[::]");
    uint64_t port;

    memset(address, 0, sizeof(*address));
    if (str_starts_with(str_of(text), STR("unix:")))
        return parse_unix(str_of(text + strlen("unix:")), address);
    if (!str_to_u64(str_of(colon ? colon + 1 : text), 65535, &port) ||
        !parse_host(host, (uint16_t)port, address))
        return NOT_AN_ADDRESS;
    address->is_any = !colon;
    return NULL;
}

const char *http_address_check(const char *text)
{
    struct http_address address;

    return http_address_parse(text, &address);
}

char *http_address_text(const struct sockaddr *sockaddr)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (sockaddr->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sockaddr;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        return xasprintf("%s:%u", host, ntohs(in->sin_port));
    }
    if (sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sockaddr;

        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        return xasprintf("[%s]:%u", host, ntohs(in6->sin6_port));
    }
    return xasprintf("unix:%s", ((const struct sockaddr_un *)sockaddr)->sun_path);
}

/* Whether somebody listens there: a socket file outlives a process that was killed. */
static bool unix_socket_is_stale(const struct sockaddr_un *un)
{
    struct stat status;
    bool is_stale;
    int fd;

    if (lstat(un->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    is_stale = connect(fd, (const struct sockaddr *)un, sizeof(*un)) < 0 && errno == ECONNREFUSED;
    close(fd);
    return is_stale;
}

/* The umask closes the moment between bind and chmod. */
static int bind_unix(int fd, const struct sockaddr_un *un, int mode)
{
    mode_t old_mask = umask(0777 & ~(mode_t)mode);
    int result = bind(fd, (const struct sockaddr *)un, sizeof(*un));

    if (result < 0 && errno == EADDRINUSE) {
        if (unix_socket_is_stale(un) && unlink(un->sun_path) == 0)
            result = bind(fd, (const struct sockaddr *)un, sizeof(*un));
        else
            errno = EADDRINUSE;
    }
    umask(old_mask);
    if (result == 0)
        result = chmod(un->sun_path, (mode_t)mode);
    return result;
}

static int bind_socket(int fd, const struct http_address *address, int unix_mode)
{
    const struct sockaddr *sockaddr = (const struct sockaddr *)&address->sockaddr;
    int yes = 1, only_ipv6 = !address->is_any;

    if (sockaddr->sa_family == AF_UNIX)
        return bind_unix(fd, (const struct sockaddr_un *)sockaddr, unix_mode);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0)
        return -1;
    if (sockaddr->sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof(only_ipv6)) < 0)
        return -1;
    return bind(fd, sockaddr, address->len);
}

/* A listening socket, or -1 with errno. */
static int open_socket(const struct http_address *address, int unix_mode)
{
    int fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int reason;

    if (fd < 0)
        return -1;
    if (bind_socket(fd, address, unix_mode) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Machines without IPv6 refuse its sockets in these ways. */
static bool means_no_ipv6(int reason)
{
    return reason == EAFNOSUPPORT || reason == EADDRNOTAVAIL || reason == ENOPROTOOPT;
}

int http_address_listen(const struct http_address *address, int unix_mode, char **error)
{
    struct http_address ipv4 = {0};
    int fd = open_socket(address, unix_mode);

    if (fd < 0 && address->is_any && means_no_ipv6(errno)) {
        uint16_t port = ntohs(((const struct sockaddr_in6 *)&address->sockaddr)->sin6_port);

        parse_ipv4("0.0.0.0", port, &ipv4);
        fd = open_socket(&ipv4, unix_mode);
    }
    if (fd < 0)
        *error = xasprintf("cannot listen: %s", strerror(errno));
    return fd;
}

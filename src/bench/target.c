#include "bench/target.h"

#include "base/mem.h"
#include "base/url.h"
#include "bench/bench.h"
#include "net/tls.h"
#include <errno.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

static bool resolve(struct target *target, uint16_t port)
{
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char service[8];
    int error;

    snprintf(service, sizeof(service), "%u", port);
    error = evutil_getaddrinfo(target->host, service, &hints, &found);
    if (error) {
        bench_complain("%s: %s", target->host, evutil_gai_strerror(error));
        return false;
    }
    memcpy(&target->address, found->ai_addr, found->ai_addrlen);
    target->address_len = found->ai_addrlen;
    evutil_freeaddrinfo(found);
    return true;
}

static bool set_up_tls(struct target *target, const char *ca_file)
{
    struct tls_client_config config = {.ca_file = ca_file, .min_version = TLS1_2_VERSION};
    char *error = NULL;

    target->tls = tls_client_context_new(&config, &error);
    if (!target->tls)
        bench_complain("--ca-file: %s", error);
    free(error);
    return target->tls != NULL;
}

bool target_open(struct target *target, const char *url, const char *ca_file)
{
    bool is_mqtt = strncmp(url, "mqtt", 4) == 0, is_right;
    /* Only the scheme is another one. */
    char *text = is_mqtt ? xasprintf("http%s", url + 4) : xstrdup(url);
    struct url parts;

    *target = (struct target){0};
    is_right = url_parse(str_of(text), &parts);
    if (!is_right) {
        bench_complain("%s: not a URL; write http://127.0.0.1:8943, or mqtt://127.0.0.1:1883", url);
    } else {
        if (is_mqtt && !parts.has_port)
            parts.port = parts.is_https ? 8883 : 1883;
        target->host = str_dup(parts.host);
        target->authority = str_dup(parts.authority);
        is_right = resolve(target, parts.port) && (!parts.is_https || set_up_tls(target, ca_file));
    }
    free(text);
    return is_right;
}

void target_close(struct target *target)
{
    SSL_CTX_free(target->tls);
    free(target->host);
    free(target->authority);
    *target = (struct target){0};
}

in_addr_t target_source(const struct target *target, size_t number)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)&target->address;

    if (target->address.ss_family != AF_INET || number < TARGET_PER_SOURCE ||
        ntohl(address->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        return 0;
    return htonl(INADDR_LOOPBACK + (in_addr_t)(number / TARGET_PER_SOURCE));
}

static bool bind_source(int fd, in_addr_t source)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = source};
    int on = 1;

    if (source == 0)
        return true;
    /* The port is chosen when the peer is known, so one port may serve many peers. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static SSL *new_ssl(const struct target *target)
{
    struct str host = str_of(target->host);
    bool is_address = strspn(target->host, "0123456789.") == host.len || strchr(target->host, ':');
    struct tls_peer peer = {.name = host, .server_name = is_address ? STR_NONE : host};

    return tls_client_connect(target->tls, &peer);
}

bool target_dial(const struct target *target, size_t number, struct wire *wire)
{
    int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    SSL *ssl = NULL;
    int error;

    if (fd < 0)
        return false;
    if (bind_source(fd, target_source(target, number)) &&
        (connect(fd, (const struct sockaddr *)&target->address, target->address_len) == 0 ||
         errno == EINPROGRESS)) {
        ssl = target->tls ? new_ssl(target) : NULL;
        if (ssl || !target->tls) {
            wire_connect(wire, fd, ssl);
            return true;
        }
        errno = EINVAL; /* a name that TLS has no use for */
    }
    error = errno;
    close(fd);
    errno = error;
    return false;
}

int target_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

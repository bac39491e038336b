#include "net/http_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <unistd.h>

#define UNACKNOWLEDGED_MS 15000 /* TCP gives up a peer that acknowledges nothing for so long */

static struct bufferevent *new_bufferevent(struct event_base *base, SSL *ssl)
{
    struct bufferevent *bev;

    if (!ssl)
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    /* Deferred: evhttp may reset the connection in a callback, which libevent's TLS would not
     * survive in the middle of its reading. */
    bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                         BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (bev)
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

/* evhttp cannot say why it could not bind. */
bool http_link_can_use(const char *source)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    int fd, result, error;

    if (inet_pton(AF_INET, source, &v4->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else if (inet_pton(AF_INET6, source, &v6->sin6_addr) == 1) {
        address.ss_family = AF_INET6;
    } else {
        errno = EINVAL;
        return false;
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    result = bind(fd, (struct sockaddr *)&address,
                  address.ss_family == AF_INET ? sizeof(*v4) : sizeof(*v6));
    error = errno;
    close(fd);
    errno = error;
    return result == 0;
}

struct evhttp_connection *http_link_new(struct event_base *base, const struct sockaddr *address,
                                        const char *source, SSL *ssl)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    bool is_v6 = address->sa_family == AF_INET6;
    socklen_t size = is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct bufferevent *bev = new_bufferevent(base, ssl);
    struct evhttp_connection *connection;

    if (!bev || getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                            NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        abort(); /* no memory, or an address of a family that the resolver never gives */
    connection = evhttp_connection_base_bufferevent_new(base, NULL, bev, host,
                                                        (uint16_t)strtoul(port, NULL, 10));
    if (!connection)
        abort();
    evhttp_connection_set_retries(connection, 0);
    if (source)
        evhttp_connection_set_local_address(connection, source);
    return connection;
}

/* Each of these only improves things, so their results don't matter. */
void http_link_tune(struct bufferevent *bev)
{
    int fd = bufferevent_getfd(bev);
    int on = 1;
    unsigned limit_ms = UNACKNOWLEDGED_MS;

    if (fd < 0)
        return;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof(limit_ms));
}

bool http_link_is_connecting(struct bufferevent *bev)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    return getsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
           info.tcpi_state == TCP_SYN_SENT;
}

bool http_link_is_quiet(struct bufferevent *bev)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    char byte;

    if (ssl) { /* readable bytes may be a session ticket, so OpenSSL has to look */
        int n = SSL_peek(ssl, &byte, 1);
        int error = SSL_get_error(ssl, n);

        ERR_clear_error();
        return n <= 0 && error == SSL_ERROR_WANT_READ;
    }
    return recv(bufferevent_getfd(bev), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EINTR);
}

bool http_link_is_own_fault(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
           error == EADDRNOTAVAIL;
}

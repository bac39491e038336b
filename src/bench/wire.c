#include "bench/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

static void set_up(struct wire *wire, int fd, SSL *ssl)
{
    int on = 1;

    *wire = (struct wire){.fd = fd, .ssl = ssl};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!ssl)
        return;
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_fd(ssl, fd);
}

void wire_accept(struct wire *wire, int fd, SSL *ssl)
{
    set_up(wire, fd, ssl);
    if (ssl)
        SSL_set_accept_state(ssl);
}

void wire_connect(struct wire *wire, int fd, SSL *ssl)
{
    set_up(wire, fd, ssl);
    if (ssl)
        SSL_set_connect_state(ssl);
}

void wire_close(struct wire *wire, bool as_reset)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (wire->ssl && !as_reset)
        SSL_shutdown(wire->ssl);
    SSL_free(wire->ssl);
    ERR_clear_error();
    if (as_reset)
        setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(wire->fd);
    wire->ssl = NULL;
    wire->fd = -1;
}

static ssize_t plain_result(ssize_t n)
{
    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t tls_result(struct wire *wire, int n)
{
    int error;

    if (n > 0)
        return n;
    error = SSL_get_error(wire->ssl, n);
    ERR_clear_error();
    wire->wants_write = error == SSL_ERROR_WANT_WRITE;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static int limited(size_t size)
{
    return size > INT_MAX ? INT_MAX : (int)size;
}

ssize_t wire_read(struct wire *wire, void *bytes, size_t size)
{
    wire->wants_write = false;
    if (wire->ssl)
        return tls_result(wire, SSL_read(wire->ssl, bytes, limited(size)));
    return plain_result(recv(wire->fd, bytes, size, 0));
}

bool wire_has_pending(const struct wire *wire)
{
    return wire->ssl && SSL_pending(wire->ssl) > 0;
}

ssize_t wire_write(struct wire *wire, const void *bytes, size_t len)
{
    if (wire->ssl)
        return tls_result(wire, SSL_write(wire->ssl, bytes, limited(len)));
    return plain_result(send(wire->fd, bytes, len, 0));
}

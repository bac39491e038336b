/*
 * A non-blocking TCP socket, plain or with TLS spoken straight on it: no bufferevent in between, as a
 * bench must cost less than what it measures. The process must ignore SIGPIPE.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct wire {
    int fd;
    SSL *ssl;          /* NULL = plain */
    bool wants_write;  /* after a read: TLS must write before it can go on */
};

/* Both take fd, already non-blocking, and ssl (NULL = plain). */
void wire_accept(struct wire *wire, int fd, SSL *ssl);
void wire_connect(struct wire *wire, int fd, SSL *ssl);
/* as_reset: the peer sees a reset instead of an end. */
void wire_close(struct wire *wire, bool as_reset);

/* Bytes read; 0: nothing there now; -1: ended or failed. */
ssize_t wire_read(struct wire *wire, void *bytes, size_t size);
/* Has TLS decrypted bytes that no event will tell of? */
bool wire_has_pending(const struct wire *wire);
/* Bytes written; 0: no room now; -1: failed. */
ssize_t wire_write(struct wire *wire, const void *bytes, size_t len);

#endif

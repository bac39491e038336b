/*
 * The socket's half of http_client: an evhttp connection to a numeric address, plain or TLS, and
 * what can be asked about it.
 */
#ifndef NET_HTTP_LINK_H
#define NET_HTTP_LINK_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Takes ssl (NULL = plain). Nothing is connected yet: evhttp does that with the first request, and
 * never again by itself. source: the own address to connect from; NULL: the system chooses. */
struct evhttp_connection *http_link_new(struct event_base *base, const struct sockaddr *address,
                                        const char *source, SSL *ssl);

/* Can be connected from this address? If not, errno says why. */
bool http_link_can_use(const char *source);

/* Sets the options of a socket that evhttp has just made. */
void http_link_tune(struct bufferevent *bev);

bool http_link_is_connecting(struct bufferevent *bev); /* TCP, not TLS */

/* An idle connection must have nothing to read: what is there can't belong to the next request. */
bool http_link_is_quiet(struct bufferevent *bev);

/* The errno of a failed connect is no fault of the other side. */
bool http_link_is_own_fault(int error);

#endif

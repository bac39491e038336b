#include "net/http_private.h"

#include <netinet/in.h>

#define KEY_SIZE 9 /* family, and four or eight bytes of the address */

struct http_peer {
    UT_hash_handle hh;
    unsigned char key[KEY_SIZE];
    int64_t connections;
};

static bool key_of(const struct sockaddr *address, unsigned char key[KEY_SIZE])
{
    memset(key, 0, KEY_SIZE);
    if (address->sa_family == AF_INET) {
        memcpy(key + 1, &((const struct sockaddr_in *)address)->sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *ip = &((const struct sockaddr_in6 *)address)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(ip)) {
            memcpy(key + 1, ip->s6_addr + 12, 4);
        } else {
            key[0] = 6;
            memcpy(key + 1, ip->s6_addr, 8);
        }
        return true;
    }
    return false;
}

struct http_peer *http_peer_take(struct http_server *server, const struct sockaddr *address)
{
    struct http_peer *peer = NULL;
    unsigned char key[KEY_SIZE];

    if (!key_of(address, key))
        return NULL;
    HASH_FIND(hh, server->peers, key, KEY_SIZE, peer);
    if (!peer) {
        peer = xcalloc(1, sizeof(*peer));
        memcpy(peer->key, key, KEY_SIZE);
        HASH_ADD(hh, server->peers, key, KEY_SIZE, peer);
    }
    peer->connections++;
    return peer;
}

bool http_peer_is_full(const struct http_server *server, const struct http_peer *peer)
{
    int64_t limit = server->limits->connections_per_address;

    return peer && limit && peer->connections > limit;
}

void http_peer_release(struct http_server *server, struct http_peer *peer)
{
    if (!peer || --peer->connections)
        return;
    HASH_DEL(server->peers, peer);
    free(peer);
}

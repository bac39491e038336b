#include "net/peer.h"

#include "base/hash.h"
#include "base/mem.h"

#include <netinet/in.h>
#include <stdlib.h>

#define KEY_SIZE 9 /* family, and four or eight bytes of the address */

struct peer {
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

struct peer *peer_take(struct peers *peers, const struct sockaddr *address)
{
    struct peer *peer = NULL;
    unsigned char key[KEY_SIZE];

    if (!key_of(address, key))
        return NULL;
    HASH_FIND(hh, peers->table, key, KEY_SIZE, peer);
    if (!peer) {
        peer = xcalloc(1, sizeof(*peer));
        memcpy(peer->key, key, KEY_SIZE);
        HASH_ADD(hh, peers->table, key, KEY_SIZE, peer);
    }
    peer->connections++;
    return peer;
}

int64_t peer_connections(const struct peer *peer)
{
    return peer ? peer->connections : 0;
}

struct str peer_key(const struct peer *peer)
{
    return peer ? str_n((const char *)peer->key, KEY_SIZE) : STR("");
}

void peer_release(struct peers *peers, struct peer *peer)
{
    if (!peer || --peer->connections)
        return;
    HASH_DEL(peers->table, peer);
    free(peer);
}

/*
 * Every address and every network is brought into one form: which family it belongs to, and its
 * bytes. IPv4 written inside IPv6 becomes IPv4 on the way, so each rule stands here once.
 */
#include "net/netpolicy.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>

struct address {
    bool is_v4;
    uint8_t bytes[16];
};

struct network {
    struct address address;
    unsigned bits;
};

struct networks {
    struct network *items;
    size_t count;
};

struct listener {
    struct address address;
    uint16_t port;
    bool covers_machine; /* bound to the unspecified address */
};

/* Of this machine's interfaces. They come and go while we run, so they are read again. */
struct own_addresses {
    struct address *list;
    size_t count;
    int64_t read_at_ms; /* tick */
};

struct netpolicy {
    struct networks allowed, denied;
    struct networks special; /* denied_by_default */
    struct listener *listeners;
    size_t listener_count;
    struct own_addresses *own; /* NULL: no listener needs them */
};

#define OWN_LIFE_MS 5000

static const char SYNTAX[] = "not a network; write 10.0.0.0/8, ::1, any, loopback, private, "
                             "linklocal or multicast";

/* What a word of the settings stands for. */
static const struct {
    const char *name;
    const char *networks[6];
} words[] = {
    {"any", {"0.0.0.0/0", "::/0"}},
    {"loopback", {"127.0.0.0/8", "::1"}},
    {"private", {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}},
    {"linklocal", {"169.254.0.0/16", "fe80::/10"}},
    {"multicast", {"224.0.0.0/4", "ff00::/8"}},
};

/* Global unicast IPv6 is 2000::/3: what lies outside is refused as a whole, so only the special
 * parts inside are named. 6to4 (2002::/16) and Teredo (in 2001::/23) hide an IPv4 address. */
static const char denied_by_default[] =
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12,"
    "192.0.0.0/24, 192.0.2.0/24, 192.88.99.0/24, 192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24,"
    "203.0.113.0/24, 224.0.0.0/4, 240.0.0.0/4,"
    "::/3, 4000::/2, 8000::/1, 2001::/23, 2001:db8::/32, 2002::/16, 3fff::/20";

static struct address address_v4(const void *bytes)
{
    struct address address = {.is_v4 = true};

    memcpy(address.bytes, bytes, 4);
    return address;
}

static struct address address_v6(const void *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    struct address address = {.is_v4 = false};

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0 || memcmp(bytes, nat64, sizeof(nat64)) == 0)
        return address_v4((const uint8_t *)bytes + sizeof(mapped));
    memcpy(address.bytes, bytes, sizeof(address.bytes));
    return address;
}

static bool read_sockaddr(const struct sockaddr *sa, struct address *address, uint16_t *port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof(v4));
        *address = address_v4(&v4.sin_addr);
        *port = ntohs(v4.sin_port);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        memcpy(&v6, sa, sizeof(v6));
        *address = address_v6(&v6.sin6_addr);
        *port = ntohs(v6.sin6_port);
        return true;
    }
    return false;
}

static bool read_text(struct str text, struct address *address)
{
    char zero_terminated[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    if (text.len >= sizeof(zero_terminated) || text.len == 0)
        return false;
    memcpy(zero_terminated, text.p, text.len);
    zero_terminated[text.len] = '\0';
    if (inet_pton(AF_INET, zero_terminated, bytes) == 1)
        *address = address_v4(bytes);
    else if (inet_pton(AF_INET6, zero_terminated, bytes) == 1)
        *address = address_v6(bytes);
    else
        return false;
    return true;
}

static bool read_network(struct str text, struct network *network)
{
    struct str bits_text;
    struct str address_text = str_split(text, '/', &bits_text);
    bool is_written_as_v6 = memchr(address_text.p, ':', address_text.len) != NULL;
    uint64_t bits = is_written_as_v6 ? 128 : 32;

    if (!read_text(address_text, &network->address))
        return false;
    if (bits_text.p && !str_to_u64(bits_text, bits, &bits))
        return false;
    if (is_written_as_v6 && network->address.is_v4) {
        if (bits < 96) /* half of it would be IPv4 and half not */
            return false;
        bits -= 96;
    }
    network->bits = (unsigned)bits;
    return true;
}

static void add_network(struct networks *networks, struct network network)
{
    networks->items = xrealloc(networks->items, (networks->count + 1) * sizeof(*networks->items));
    networks->items[networks->count++] = network;
}

/* One item of a list; networks may be NULL to check only. */
static bool add_item(struct networks *networks, struct str item)
{
    struct network network;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!str_eq_nocase(item, str_of(words[i].name)))
            continue;
        for (const char *const *text = words[i].networks; *text; text++)
            if (networks && read_network(str_of(*text), &network))
                add_network(networks, network);
        return true;
    }
    if (!read_network(item, &network))
        return false;
    if (networks)
        add_network(networks, network);
    return true;
}

/* Returns the item that is wrong, or STR_NONE. Empty items are passed over. */
static struct str add_list(struct networks *networks, const char *list)
{
    struct str rest = str_of(list);

    while (rest.p) {
        struct str item = str_trim(str_split(rest, ',', &rest));

        if (item.len > 0 && !add_item(networks, item))
            return item;
    }
    return STR_NONE;
}

const char *netpolicy_check(const char *list)
{
    return add_list(NULL, list).p ? SYNTAX : NULL;
}

struct netpolicy *netpolicy_new(const char *allow, const char *deny, char **error)
{
    struct netpolicy *policy = xcalloc(1, sizeof(*policy));
    struct str wrong = add_list(&policy->allowed, allow);

    add_list(&policy->special, denied_by_default);
    if (!wrong.p)
        wrong = add_list(&policy->denied, deny);
    if (!wrong.p)
        return policy;
    *error = xasprintf("%.*s: %s", STR_ARG(wrong), SYNTAX);
    netpolicy_free(policy);
    return NULL;
}

void netpolicy_free(struct netpolicy *policy)
{
    if (!policy)
        return;
    free(policy->allowed.items);
    free(policy->denied.items);
    free(policy->special.items);
    free(policy->listeners);
    if (policy->own)
        free(policy->own->list);
    free(policy->own);
    free(policy);
}

static bool is_inside(const struct address *address, const struct network *network)
{
    unsigned whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    uint8_t differing;

    if (address->is_v4 != network->address.is_v4 ||
        memcmp(address->bytes, network->address.bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    differing = address->bytes[whole] ^ network->address.bytes[whole];
    return differing >> (8 - rest) == 0;
}

static bool is_in_any(const struct address *address, const struct networks *networks)
{
    for (size_t i = 0; i < networks->count; i++)
        if (is_inside(address, &networks->items[i]))
            return true;
    return false;
}

static bool is_same(const struct address *a, const struct address *b)
{
    return a->is_v4 == b->is_v4 && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_unspecified(const struct address *address)
{
    static const uint8_t zeros[16];

    return memcmp(address->bytes, zeros, sizeof(zeros)) == 0;
}

static bool is_loopback(const struct address *address)
{
    static const uint8_t one[16] = {[15] = 1};

    return address->is_v4 ? address->bytes[0] == 127
                          : memcmp(address->bytes, one, sizeof(one)) == 0;
}

/* Those that were read before stay when there is no reading. */
static void read_own_addresses(struct own_addresses *own)
{
    struct ifaddrs *interfaces;
    struct address address;
    uint16_t port;

    own->read_at_ms = clock_tick_ms();
    if (getifaddrs(&interfaces) != 0)
        return;
    own->count = 0;
    for (struct ifaddrs *i = interfaces; i; i = i->ifa_next) {
        if (!i->ifa_addr || !read_sockaddr(i->ifa_addr, &address, &port))
            continue;
        own->list = xrealloc(own->list, (own->count + 1) * sizeof(*own->list));
        own->list[own->count++] = address;
    }
    freeifaddrs(interfaces);
}

void netpolicy_add_listener(struct netpolicy *policy, const struct sockaddr *address)
{
    struct listener listener;

    if (!read_sockaddr(address, &listener.address, &listener.port))
        return;
    listener.covers_machine = is_unspecified(&listener.address);
    if (listener.covers_machine && !policy->own) {
        policy->own = xcalloc(1, sizeof(*policy->own));
        read_own_addresses(policy->own);
    }
    policy->listeners =
        xrealloc(policy->listeners, (policy->listener_count + 1) * sizeof(*policy->listeners));
    policy->listeners[policy->listener_count++] = listener;
}

/* Asked for callbacks at the port of a listener only, which are few. */
static bool is_own_address(struct own_addresses *own, const struct address *address)
{
    if (is_loopback(address))
        return true;
    if (clock_tick_ms() - own->read_at_ms >= OWN_LIFE_MS)
        read_own_addresses(own);
    for (size_t i = 0; i < own->count; i++)
        if (is_same(address, &own->list[i]))
            return true;
    return false;
}

/* Linux connects the unspecified address to this machine's loopback. */
static bool is_own_listener(const struct netpolicy *policy, const struct address *address,
                            uint16_t port)
{
    for (size_t i = 0; i < policy->listener_count; i++) {
        const struct listener *listener = &policy->listeners[i];

        if (port != listener->port)
            continue;
        if (is_unspecified(address) || is_same(address, &listener->address))
            return true;
        if (listener->covers_machine && is_own_address(policy->own, address))
            return true;
    }
    return false;
}

static bool allows(const struct netpolicy *policy, const struct address *address, uint16_t port)
{
    if (is_own_listener(policy, address, port) || is_in_any(address, &policy->denied))
        return false;
    return is_in_any(address, &policy->allowed) || !is_in_any(address, &policy->special);
}

bool netpolicy_allows(const struct netpolicy *policy, const struct sockaddr *address)
{
    struct address binary;
    uint16_t port;

    return read_sockaddr(address, &binary, &port) && allows(policy, &binary, port);
}

/* "localhost" and all names below it mean this machine (RFC 6761). */
static bool is_localhost(struct str host)
{
    static const struct str name = {"localhost", sizeof("localhost") - 1};
    struct str tail;

    if (host.len > 0 && host.p[host.len - 1] == '.')
        host.len--;
    if (host.len < name.len)
        return false;
    tail = str_n(host.p + host.len - name.len, name.len);
    return str_eq_nocase(tail, name) && (host.len == name.len || tail.p[-1] == '.');
}

bool netpolicy_allows_host(const struct netpolicy *policy, struct str host, uint16_t port)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    static const uint8_t v6[16] = {[15] = 1};
    struct address address = address_v4(v4);
    struct address other = address_v6(v6);

    if (is_localhost(host))
        return allows(policy, &address, port) || allows(policy, &other, port);
    return !read_text(host, &address) || allows(policy, &address, port);
}

#include "net/hosts.h"

#include "base/hash.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct address {
    int family;
    union {
        struct in_addr v4;
        struct in6_addr v6;
    } is;
};

struct entry {
    UT_hash_handle hh;  /* of a name's first entry */
    struct entry *next; /* of the same name */
    struct address address;
    char name[];
};

struct hosts {
    struct entry *table; /* by name */
};

static bool read_address(const char *text, struct address *address)
{
    memset(address, 0, sizeof(*address));
    address->family = strchr(text, ':') ? AF_INET6 : AF_INET;
    return inet_pton(address->family, text, &address->is) == 1;
}

static void add(struct hosts *hosts, const char *name, const struct address *address)
{
    size_t len = strlen(name);
    struct entry *entry = xcalloc(1, sizeof(*entry) + len + 1);
    struct entry *first;

    entry->address = *address;
    for (size_t i = 0; i < len; i++)
        entry->name[i] = (char)tolower((unsigned char)name[i]);
    HASH_FIND_STR(hosts->table, entry->name, first);
    if (!first) {
        HASH_ADD_STR(hosts->table, name, entry);
        return;
    }
    while (first->next)
        first = first->next;
    first->next = entry;
}

/* "address name name ... # comment" */
static void read_line(struct hosts *hosts, char *line)
{
    struct address address;
    char *rest, *word;

    line[strcspn(line, "#")] = '\0';
    word = strtok_r(line, BLANKS, &rest);
    if (!word || !read_address(word, &address))
        return;
    while ((word = strtok_r(NULL, BLANKS, &rest)))
        add(hosts, word, &address);
}

static void add_localhost(struct hosts *hosts)
{
    struct address address;
    struct entry *known;

    HASH_FIND_STR(hosts->table, "localhost", known);
    if (known)
        return;
    read_address("127.0.0.1", &address);
    add(hosts, "localhost", &address);
    read_address("::1", &address);
    add(hosts, "localhost", &address);
}

struct hosts *hosts_read(const char *file)
{
    struct hosts *hosts = xcalloc(1, sizeof(*hosts));
    FILE *in = fopen(file, "re");
    char *line = NULL;
    size_t size = 0;

    while (in && getline(&line, &size, in) > 0)
        read_line(hosts, line);
    free(line);
    if (in)
        fclose(in);
    add_localhost(hosts);
    return hosts;
}

void hosts_free(struct hosts *hosts)
{
    struct entry *first, *next;

    if (!hosts)
        return;
    HASH_ITER (hh, hosts->table, first, next) {
        HASH_DEL(hosts->table, first);
        while (first) {
            struct entry *entry = first;

            first = entry->next;
            free(entry);
        }
    }
    free(hosts);
}

static void write_address(const struct address *address, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    out->ss_family = (sa_family_t)address->family;
    if (address->family == AF_INET)
        v4->sin_addr = address->is.v4;
    else
        v6->sin6_addr = address->is.v6;
}

size_t hosts_find(const struct hosts *hosts, const char *name, struct sockaddr_storage *addresses,
                  size_t max)
{
    const struct entry *entry;
    size_t count = 0;

    HASH_FIND_STR(hosts->table, name, entry);
    for (; entry && count < max; entry = entry->next)
        write_address(&entry->address, &addresses[count++]);
    return count;
}

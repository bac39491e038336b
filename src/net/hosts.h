/*
 * The names of /etc/hosts, read once and asked from memory. "localhost" has its two addresses also
 * when the file does not name it or cannot be read.
 */
#ifndef NET_HOSTS_H
#define NET_HOSTS_H

#include <stddef.h>
#include <sys/socket.h>

struct hosts;

struct hosts *hosts_read(const char *file);
void hosts_free(struct hosts *hosts); /* NULL is allowed */
/* name: in lower case. The first max of its addresses, with port 0, in the order of the file; returns
 * their number. */
size_t hosts_find(const struct hosts *hosts, const char *name, struct sockaddr_storage *addresses,
                  size_t max);

#endif

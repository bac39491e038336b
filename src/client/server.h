/* Where a server's admin listener is, by what the command line says and what is usual. */
#ifndef CLIENT_SERVER_H
#define CLIENT_SERVER_H

#include "base/arena.h"

/* IOTPUSH_ADMIN_SOCKET, else the first that exists of ./iotpush-data/admin.sock and
 * $XDG_STATE_HOME/iotpush/admin.sock, else RUNSTATEDIR/iotpush/admin.sock. */
const char *server_default_socket(struct arena *arena);

/* The token in a file's first line; NULL with what is wrong in *error, in the arena. */
const char *server_read_token(struct arena *arena, const char *file, const char **error);

#endif

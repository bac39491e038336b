/*
 * The data directory of the embedded Redis: made, locked, and a place for its socket. For the
 * store's own use.
 */
#ifndef STORE_EMBEDDED_DIR_H
#define STORE_EMBEDDED_DIR_H

#include <stdbool.h>

/* Makes the directory and its parents, and answers its absolute path (free() it). All three: NULL
 * or -1 with a text in *error. */
char *embedded_dir_make(const char *dir, char **error);

/* A descriptor that holds the lock, and our pid in DIR/iotpushd.pid. Waits up to wait_ms for an
 * orphaned child, but not for another daemon. */
int embedded_dir_lock(const char *dir, long wait_ms, char **error);

/* Where the socket shall be; *own_dir is a directory made for it alone (the caller removes and
 * frees it) or NULL. */
char *embedded_dir_socket(const char *dir, char **own_dir, char **error);

#endif

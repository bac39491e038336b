/*
 * Redis as our own child: a private redis-server on a unix socket below a data directory, with AOF,
 * started, waited for, restarted with backoff when it dies, and shut down with the daemon.
 *
 * The directory is locked (flock on DIR/lock) by the daemon, and the child inherits the lock: as
 * long as any Redis runs on that data the lock is held, also when the daemon was killed. So a
 * second daemon on one directory is refused, and a daemon that comes back while an orphaned child
 * is still shutting down waits for it (at most 10 s).
 *
 * Files in the directory: lock, iotpushd.pid, redis.sock, redis.log, appendonlydir/. When the
 * directory's path is too long for a unix socket, the socket lies in a directory of its own below
 * $XDG_RUNTIME_DIR or /tmp.
 *
 * The child has its own session, so a terminal's Ctrl-C does not reach it, and gets SIGTERM from
 * the kernel when the daemon dies.
 */
#ifndef STORE_EMBEDDED_H
#define STORE_EMBEDDED_H

#include "base/str.h"
#include <event2/event.h>

struct embedded;

struct embedded_config {
    const char *program;     /* "redis-server", looked up in PATH, or a path */
    const char *dir;         /* made with mode 0700 when missing (parents too) */
    const char *fsync;       /* "everysec" or "always" */
    int64_t stop_timeout_ms; /* SIGTERM, then SIGKILL */
};

/* NULL, with a text in *error (free() it): no program, no directory, locked. Blocking work (waiting
 * for the lock) happens only here, before serving. The child has been started then but may still be
 * loading: redis_new's connection waits for it. Takes SIGCHLD on the loop, and waits for its own
 * child only. Copies the config. */
struct embedded *embedded_new(struct event_base *base, const struct embedded_config *config,
                              char **error);
/* "unix:DIR/redis.sock" for redis_new. */
const char *embedded_url(const struct embedded *embedded);
int embedded_pid(const struct embedded *embedded); /* 0 while it is not running */
/* Ends the child properly (SIGTERM makes it flush its AOF) and calls stopped(arg) once, never
 * before this has returned. Only the first call counts. */
void embedded_stop(struct embedded *embedded, void (*stopped)(void *arg), void *arg);
/* Normally after stopped(); otherwise it waits for the child's end here. NULL is allowed. */
void embedded_free(struct embedded *embedded);

#endif

#include "store/embedded_dir.h"

#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOCK_RETRY_MS 50

char *embedded_dir_make(const char *dir, char **error)
{
    char *path = xstrdup(dir), *full;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* what is wrong shows at the last one */
        *slash = '/';
    }
    mkdir(path, 0700);
    full = realpath(path, NULL);
    if (!full)
        *error = xasprintf("data directory %s: cannot be made: %s", dir, strerror(errno));
    else if (access(full, R_OK | W_OK | X_OK) < 0)
        *error = xasprintf("data directory %s: cannot be written: %s", dir, strerror(errno));
    free(path);
    if (full && *error) {
        free(full);
        return NULL;
    }
    return full;
}

static int read_pid(const char *pid_file)
{
    char text[16] = "";
    int fd = open(pid_file, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    return len > 0 ? atoi(text) : 0;
}

/* Whether that process has the file of `fd` open: so a pid that was given to somebody else since
 * does not count. Our own `fd` doesn't either. */
static bool process_has_open(int pid, int fd)
{
    char *fds = xasprintf("/proc/%d/fd", pid);
    DIR *list = opendir(fds);
    struct dirent *entry;
    struct stat ours, theirs;
    bool has = false;

    while (list && !has && (entry = readdir(list))) {
        char *path = xasprintf("%s/%s", fds, entry->d_name);
        bool is_self = pid == getpid() && atoi(entry->d_name) == fd;

        has = !is_self && fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 &&
              ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
        free(path);
    }
    if (list)
        closedir(list);
    free(fds);
    return has;
}

static void write_pid(const char *pid_file)
{
    FILE *file = fopen(pid_file, "we");

    /* It only makes a message better: the lock is what counts. */
    if (!file || fprintf(file, "%d\n", (int)getpid()) < 0)
        log_warn("embedded", "file=%s error=%s", pid_file, strerror(errno));
    if (file)
        fclose(file);
}

static bool wait_for_lock(int fd, const char *dir, const char *pid_file, long wait_ms, char **error)
{
    bool has_told = false;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int problem = errno, pid = read_pid(pid_file);

        if (problem == EINTR)
            continue;
        if (problem != EWOULDBLOCK)
            *error = xasprintf("data directory %s: cannot be locked: %s", dir, strerror(problem));
        else if (pid > 0 && process_has_open(pid, fd))
            *error = xasprintf("data directory %s: in use by process %d", dir, pid);
        else if (wait_ms <= 0)
            *error = xasprintf("data directory %s: locked by another process (`fuser %s/lock` names"
                               " it): a redis-server of an earlier run that does not end?",
                               dir, dir);
        if (*error)
            return false;
        if (!has_told)
            log_info("embedded", "dir=%s state=waiting reason=%s", dir,
                     "an earlier redis-server is still shutting down");
        has_told = true;
        nanosleep(&(struct timespec){.tv_nsec = LOCK_RETRY_MS * 1000000L}, NULL);
        wait_ms -= LOCK_RETRY_MS;
    }
    return true;
}

int embedded_dir_lock(const char *dir, long wait_ms, char **error)
{
    char *lock_file = xasprintf("%s/lock", dir);
    char *pid_file = xasprintf("%s/iotpushd.pid", dir);
    int fd = open(lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0) {
        *error = xasprintf("%s: %s", lock_file, strerror(errno));
    } else if (wait_for_lock(fd, dir, pid_file, wait_ms, error)) {
        write_pid(pid_file);
    } else {
        close(fd);
        fd = -1;
    }
    free(lock_file);
    free(pid_file);
    return fd;
}

/* A '?' would end the path in the URL that is made of it. */
static bool socket_path_fits(const char *path)
{
    return !strchr(path, '?') && strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

char *embedded_dir_socket(const char *dir, char **own_dir, char **error)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    const char *parents[] = {runtime ? runtime : "/tmp", "/tmp"};
    char *path = xasprintf("%s/redis.sock", dir);

    *own_dir = NULL;
    if (socket_path_fits(path))
        return path;
    for (size_t i = 0; i < sizeof(parents) / sizeof(parents[0]); i++) {
        char *own = xasprintf("%s/iotpush-XXXXXX", parents[i]);

        free(path);
        path = xasprintf("%s/redis.sock", own);
        if (parents[i][0] == '/' && socket_path_fits(path) && mkdtemp(own)) {
            free(path);
            *own_dir = own;
            return xasprintf("%s/redis.sock", own);
        }
        free(own);
    }
    free(path);
    *error =
        xasprintf("data directory %s: its path is too long for a unix socket (107 bytes) or has a"
                  " '?', and there is no other place for the socket: choose a shorter directory",
                  dir);
    return NULL;
}

#include "base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * O_NONBLOCK belongs to the open file, which stderr shares with our parent, its shell and its
 * other children: so a pipe or terminal is opened once more for us alone. Sockets (journald) can't
 * be, but they know a flag per call. Files never block, and keep the offset they share.
 */
static int open_stderr(bool *is_own_fd, bool *is_socket)
{
    struct stat status;
    int fd, flags;

    *is_own_fd = false;
    *is_socket = false;
    if (fstat(STDERR_FILENO, &status) < 0)
        return -1;
    *is_socket = S_ISSOCK(status.st_mode);
    if (*is_socket || S_ISREG(status.st_mode))
        return STDERR_FILENO;
    fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) {
        *is_own_fd = true;
        return fd;
    }
    flags = fcntl(STDERR_FILENO, F_GETFL);
    if (flags < 0 || fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) < 0)
        return -1;
    return STDERR_FILENO;
}

int log_file_open(struct log_file *file, const char *path)
{
    struct log_file fresh = {.is_own_fd = true};

    if (path && *path)
        fresh.fd =
            open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
    else
        fresh.fd = open_stderr(&fresh.is_own_fd, &fresh.is_socket);
    if (fresh.fd < 0)
        return -1;
    log_file_close(file);
    *file = fresh;
    return 0;
}

void log_file_close(struct log_file *file)
{
    if (file->is_own_fd)
        close(file->fd);
    *file = (struct log_file){.fd = -1};
}

static ssize_t write_some(const struct log_file *file, const char *bytes, size_t len)
{
    ssize_t written;

    do {
        written = file->is_socket ? send(file->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : write(file->fd, bytes, len);
    } while (written < 0 && errno == EINTR);
    return written;
}

/* A line of which only a part was accepted is lost too; the next one must not continue it. */
bool log_file_write(struct log_file *file, struct str line)
{
    ssize_t written;

    if (file->has_torn_line) {
        if (write_some(file, "\n", 1) != 1)
            return false;
        file->has_torn_line = false;
    }
    written = write_some(file, line.p, line.len);
    if (written == (ssize_t)line.len)
        return true;
    file->has_torn_line = written > 0;
    return false;
}

#include "instance.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "store/keys.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char *new_id(void)
{
    char host[65] = "", random_part[9];

    gethostname(host, sizeof(host) - 1);
    for (char *p = host; *p; p++) {
        if (!str_is_id(str_n(p, 1), 1))
            *p = '-';
    }
    crypto_random_hex(random_part, 8);
    return xasprintf("%s-%s", *host ? host : "instance", random_part);
}

/* The descriptor stays open: it holds the lock for as long as the process lives. */
static int open_locked(const char *data_dir)
{
    char *path = xasprintf("%s/instance-id", data_dir);
    int fd;

    mkdir(data_dir, 0700);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static char *kept_id(int fd)
{
    char text[KEY_ID_MAX + 1];
    ssize_t len = pread(fd, text, KEY_ID_MAX, 0);
    struct str id = len > 0 ? str_trim(str_split(str_n(text, (size_t)len), '\n', &(struct str){0}))
                            : STR_NONE;

    return str_is_id(id, KEY_ID_MAX) ? str_dup(id) : NULL;
}

char *instance_id(const struct settings *settings, const char *data_dir)
{
    char *id;
    int fd;

    if (*settings->instance.id)
        return xstrdup(settings->instance.id);
    fd = open_locked(data_dir);
    id = fd >= 0 ? kept_id(fd) : NULL;
    if (id)
        return id;
    id = new_id();
    if (fd >= 0 && (ftruncate(fd, 0) < 0 || dprintf(fd, "%s\n", id) < 0))
        close(fd);
    return id;
}

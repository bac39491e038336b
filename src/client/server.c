#include "client/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static bool exists(const char *path)
{
    struct stat unused;

    return stat(path, &unused) == 0;
}

const char *server_default_socket(struct arena *arena)
{
    const char *named = getenv("IOTPUSH_ADMIN_SOCKET"), *state = getenv("XDG_STATE_HOME");
    const char *path;

    if (named && *named)
        return named;
    path = "./iotpush-data/admin.sock";
    if (exists(path))
        return path;
    if (state && *state) {
        path = arena_printf(arena, "%s/iotpush/admin.sock", state);
        if (exists(path))
            return path;
    }
    return RUNSTATEDIR "/iotpush/admin.sock";
}

const char *server_read_token(struct arena *arena, const char *file, const char **error)
{
    char line[4096];
    FILE *in = fopen(file, "re");
    struct str token = STR_NONE;

    if (!in) {
        *error = arena_printf(arena, "%s: %s", file, strerror(errno));
        return NULL;
    }
    if (fgets(line, sizeof(line), in)) {
        line[strcspn(line, "\r\n")] = '\0';
        token = str_trim(str_of(line));
    }
    fclose(in);
    if (!token.len || !str_is_printable(token)) {
        *error = arena_printf(arena, "%s: its first line is no token", file);
        return NULL;
    }
    return arena_dup0(arena, token);
}

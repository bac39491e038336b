/*
 * Where lines of the log go: a file, or stderr. Private to the log.
 *
 * Each line is one write(2) to a non-blocking descriptor, so that nobody waits for a slow reader; a
 * line that is not accepted as a whole is lost.
 */
#ifndef BASE_LOG_FILE_H
#define BASE_LOG_FILE_H

#include "base/str.h"

struct log_file {
    int fd; /* -1: none */
    bool is_own_fd;
    bool is_socket;
    bool has_torn_line; /* only the beginning of a line was accepted */
};

/* Opens, or after a rotation opens again: path is appended to; NULL or "" is stderr. 0, or -1 with
 * errno set, and then all is as it was. */
int log_file_open(struct log_file *file, const char *path);
void log_file_close(struct log_file *file);
/* line ends in a newline. False, with errno set, when it is lost. */
bool log_file_write(struct log_file *file, struct str line);

#endif

#include "base/setting_file.h"

#include "base/mem.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A file being read; the chain of `includer` is how we got there. */
struct file {
    const struct setting_file_reader *reader;
    const struct file *includer;
    const char *path;
    struct stat identity;
    int depth;
    unsigned line;
    char *section; /* NULL before the first */
    bool is_section_known;
};

static void read_file(const char *path, const struct file *includer, const char *origin,
                      const struct setting_file_reader *reader);

static void mistake(const struct file *file, const char *text)
{
    char *place = xasprintf("%s:%u", file->path, file->line);

    file->reader->mistake(place, text, file->reader->arg);
    free(place);
}

/* -- include ---------------------------------------------------------------------------------- */

static char *beside(const struct file *file, const char *pattern)
{
    const char *slash = strrchr(file->path, '/');

    if (pattern[0] == '/' || !slash)
        return xstrdup(pattern);
    return xasprintf("%.*s/%s", (int)(slash - file->path), file->path, pattern);
}

static void mistake_in_include(const struct file *file, const char *pattern, const char *reason)
{
    char *text = xasprintf("include = %s: %s", pattern, reason);

    mistake(file, text);
    free(text);
}

/* A folder that is not there holds no files; one that may not be read is a mistake. */
static int stops_search(const char *folder, int error)
{
    (void)folder;
    return error != ENOENT;
}

static void include(const struct file *file, const char *pattern)
{
    if (!*pattern) {
        mistake_in_include(file, pattern, "names no file");
        return;
    }
    if (file->depth == SETTING_FILE_MAX_DEPTH) {
        mistake_in_include(file, pattern, "more than 8 files deep");
        return;
    }

    char *full = beside(file, pattern);
    char *origin = xasprintf("%s:%u", file->path, file->line);
    glob_t found = {0};
    int result = glob(full, 0, stops_search, &found);

    /* A pattern may match nothing (such as all of conf.d); a plain name must exist. */
    if (result == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            read_file(found.gl_pathv[i], file, origin, file->reader);
    else if (result != GLOB_NOMATCH)
        mistake_in_include(file, pattern, "the folder cannot be read");
    else if (!strpbrk(pattern, "*?["))
        read_file(full, file, origin, file->reader);
    globfree(&found);
    free(origin);
    free(full);
}

/* -- lines ------------------------------------------------------------------------------------ */

/* # and ; begin a comment at the start of a line or after a blank: colour#1 is a value. */
static struct str without_comment(struct str line)
{
    for (size_t i = 0; i < line.len; i++) {
        bool is_mark = line.p[i] == '#' || line.p[i] == ';';

        if (is_mark && (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
            return str_n(line.p, i);
    }
    return line;
}

static void read_section(struct file *file, struct str line)
{
    const char *end = memchr(line.p, ']', line.len);

    if (!end) {
        mistake(file, "a section without its ]; write [name]");
        return;
    }
    if (end != line.p + line.len - 1) {
        mistake(file, "text after a section's name; write it on a line of its own");
        return;
    }
    free(file->section);
    file->section = str_dup(str_trim(str_n(line.p + 1, line.len - 2)));

    char *place = xasprintf("%s:%u", file->path, file->line);

    file->is_section_known = file->reader->section(place, file->section, file->reader->arg);
    free(place);
}

static void read_entry(struct file *file, const char *key, const char *value)
{
    if (strcmp(key, "include") == 0) {
        include(file, value);
    } else if (!file->section) {
        char *text =
            xasprintf("%s: stands before the first section; write [section] above it", key);

        mistake(file, text);
        free(text);
    } else if (file->is_section_known) {
        char *place = xasprintf("%s:%u", file->path, file->line);

        file->reader->entry(place, file->section, key, value, file->reader->arg);
        free(place);
    }
}

static void read_line(struct file *file, struct str line)
{
    struct str value;

    if (memchr(line.p, '\0', line.len)) {
        mistake(file, "contains a NUL byte");
        return;
    }
    if (line.len && line.p[line.len - 1] == '\r')
        line.len--;
    if (file->line == 1 && str_starts_with(line, STR("\xef\xbb\xbf"))) /* an editor's mark */
        line = str_n(line.p + 3, line.len - 3);
    line = str_trim(without_comment(line));
    if (line.len == 0)
        return;
    if (line.p[0] == '[') {
        read_section(file, line);
        return;
    }

    char *key_text = str_dup(str_trim(str_split(line, '=', &value)));

    if (!value.p) {
        char *text = xasprintf("%s: no '='; write key = value", key_text);

        mistake(file, text);
        free(text);
    } else {
        char *value_text = str_dup(str_trim(value));

        read_entry(file, key_text, value_text);
        free(value_text);
    }
    free(key_text);
}

/* fgets and getline cannot be used: one hides NUL bytes, the other takes lines of any length. */
static void read_lines(struct file *file, FILE *stream)
{
    char line[SETTING_FILE_MAX_LINE];
    size_t len = 0, total = 0;
    bool is_too_long = false;
    int c;

    file->line = 1;
    while ((c = getc(stream)) != EOF && ++total <= SETTING_FILE_MAX_BYTES) {
        if (c != '\n' && len < sizeof(line)) {
            line[len++] = (char)c;
        } else if (c != '\n') {
            if (!is_too_long)
                mistake(file, "a line of more than 4096 bytes");
            is_too_long = true;
        } else {
            if (!is_too_long)
                read_line(file, str_n(line, len));
            is_too_long = false;
            len = 0;
            file->line++;
        }
    }
    if (total > SETTING_FILE_MAX_BYTES)
        mistake(file, "the file is larger than 1m; the rest is not read");
    else if (ferror(stream))
        mistake(file, "the file cannot be read on");
    else if (len && !is_too_long)
        read_line(file, str_n(line, len));
}

/* -- files ------------------------------------------------------------------------------------ */

static bool is_being_read(const struct file *file, const struct file *includer)
{
    for (; includer; includer = includer->includer)
        if (includer->identity.st_dev == file->identity.st_dev &&
            includer->identity.st_ino == file->identity.st_ino)
            return true;
    return false;
}

/* `origin` is where the include stands, NULL for the file everything begins with. */
static void complain_about_file(const struct file *file, const char *origin, const char *reason)
{
    char *text = origin ? xasprintf("include: %s: %s", file->path, reason) : xstrdup(reason);

    file->reader->mistake(origin ? origin : file->path, text, file->reader->arg);
    free(text);
}

static void read_file(const char *path, const struct file *includer, const char *origin,
                      const struct setting_file_reader *reader)
{
    struct file file = {.reader = reader, .includer = includer, .path = path};
    FILE *stream = fopen(path, "re");

    file.depth = includer ? includer->depth + 1 : 0;
    if (!stream) {
        char *reason = xasprintf("cannot be read: %s", strerror(errno));

        complain_about_file(&file, origin, reason);
        free(reason);
        return;
    }
    if (fstat(fileno(stream), &file.identity) != 0)
        complain_about_file(&file, origin, strerror(errno));
    else if (S_ISDIR(file.identity.st_mode))
        complain_about_file(&file, origin, "is a directory, not a file");
    else if (is_being_read(&file, includer))
        complain_about_file(&file, origin, "includes itself");
    else
        read_lines(&file, stream);
    free(file.section);
    fclose(stream);
}

void setting_file_read(const char *path, const struct setting_file_reader *reader)
{
    read_file(path, NULL, NULL, reader);
}

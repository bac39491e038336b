/*
 * A file of comma-separated values (RFC 4180), row by row: fields may be quoted, then hold commas, line
 * breaks and doubled quotes; line ends are LF or CRLF; a byte order mark is skipped, and so are empty
 * lines.
 */
#ifndef CTL_CSV_H
#define CTL_CSV_H

#include "base/arena.h"
#include <stdio.h>

#define CSV_FIELDS_MAX 64
#define CSV_ROW_MAX    (64 * 1024) /* bytes */

struct csv {
    FILE *file;
    uint64_t line;  /* at which the row last read began, from 1 */
    uint64_t bytes; /* read so far */
    uint64_t next_line;
};

enum csv_result {
    CSV_ROW,
    CSV_END,
    CSV_BROKEN, /* a quote without its end, text behind one, too long, too many fields: the row is skipped */
};

void csv_init(struct csv *csv, FILE *file);
/* fields: room for CSV_FIELDS_MAX; the texts live in the arena. */
enum csv_result csv_read(struct csv *csv, struct arena *arena, struct str *fields, size_t *count);

#endif

/*
 * Aligned columns on stdout, cut to the terminal's width when there is one. Control characters in
 * cells are shown as '?': names come from outside.
 */
#ifndef CTL_TABLE_H
#define CTL_TABLE_H

#include "base/str.h"

struct table;

/* headings NULL: no heading line. is_right[i]: numbers, aligned at their end; NULL: none is. */
struct table *table_new(size_t columns, const char *const *headings, const bool *is_right);
void table_add(struct table *table, struct str cell); /* row by row, whole rows; copied */
/* indent: blanks before each line. Frees the table. */
void table_print_take(struct table *table, size_t indent);

void table_free(struct table *table); /* without printing it */

/* A line, cut to the terminal's width when there is one. */
void print_line(struct str text);
/* Prints with control characters as '?'. */
void print_safely(struct str text);

#endif

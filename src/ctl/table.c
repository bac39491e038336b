#include "ctl/table.h"

#include "base/mem.h"
#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define GAP       2 /* blanks between columns */
#define LEAST_CUT 6 /* a column is not cut below this */

struct table {
    size_t columns, cell_count, capacity;
    const char *const *headings;
    const bool *is_right;
    char **cells;
};

/* One character: how many bytes and how many columns; a broken byte is one character of width 1. */
static size_t char_len(struct str rest, size_t *width)
{
    size_t len = str_utf8_char_len(rest);
    wchar_t wide = 0;
    int columns;

    *width = 1;
    if (len <= 1)
        return 1;
    wide = (unsigned char)rest.p[0] & (0xff >> (len + 1));
    for (size_t i = 1; i < len; i++)
        wide = wide << 6 | ((unsigned char)rest.p[i] & 0x3f);
    columns = wcwidth(wide);
    if (columns >= 0)
        *width = (size_t)columns;
    return len;
}

static bool is_control(struct str character)
{
    unsigned char first = (unsigned char)character.p[0];

    if (character.len == 1) /* also a byte that is not UTF-8 */
        return first < 0x20 || first >= 0x7f;
    return first == 0xc2 && (unsigned char)character.p[1] < 0xa0; /* C1: U+0080 to U+009F */
}

static size_t text_width(struct str text)
{
    size_t width = 0, one, len;

    for (; text.len; text = str_n(text.p + len, text.len - len)) {
        len = char_len(text, &one);
        width += one;
    }
    return width;
}

/* Prints at most `most` columns of text. */
static size_t print_part(struct str text, size_t most)
{
    size_t width = 0, one, len;

    for (; text.len; text = str_n(text.p + len, text.len - len)) {
        len = char_len(text, &one);
        if (width + one > most)
            break;
        if (is_control(str_n(text.p, len)))
            putchar('?');
        else
            fwrite(text.p, 1, len, stdout);
        width += one;
    }
    return width;
}

void print_safely(struct str text)
{
    print_part(text, SIZE_MAX);
}

struct table *table_new(size_t columns, const char *const *headings, const bool *is_right)
{
    struct table *table = xcalloc(1, sizeof(*table));

    table->columns = columns;
    table->headings = headings;
    table->is_right = is_right;
    return table;
}

void table_add(struct table *table, struct str cell)
{
    if (table->cell_count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = xrealloc(table->cells, table->capacity * sizeof(*table->cells));
    }
    table->cells[table->cell_count++] = cell.p ? str_dup(cell) : xstrdup("-");
}

/* 0: no terminal, lines may be of any length. */
static size_t terminal_width(void)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col;
}

static const char *ellipsis(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "…" : "~";
}

void print_line(struct str text)
{
    size_t limit = terminal_width();

    if (limit && text_width(text) > limit) {
        print_part(text, limit - 1);
        fputs(ellipsis(), stdout);
    } else {
        print_safely(text);
    }
    putchar('\n');
}

static void find_widths(const struct table *table, size_t *widths, size_t indent)
{
    size_t limit = terminal_width(), total = indent + (table->columns - 1) * GAP;

    for (size_t i = 0; i < table->columns; i++)
        widths[i] = table->headings ? text_width(str_of(table->headings[i])) : 0;
    for (size_t cell = 0; cell < table->cell_count;) {
        for (size_t i = 0; i < table->columns; i++, cell++) {
            size_t width = text_width(str_of(table->cells[cell]));

            if (width > widths[i])
                widths[i] = width;
        }
    }
    for (size_t i = 0; i < table->columns; i++)
        total += widths[i];
    for (; limit && total > limit; total--) {
        size_t widest = 0;

        for (size_t i = 1; i < table->columns; i++)
            if (widths[i] > widths[widest])
                widest = i;
        if (widths[widest] <= LEAST_CUT)
            break;
        widths[widest]--;
    }
}

static void print_cell(struct str text, size_t width, bool is_right, bool is_last)
{
    size_t wanted = text_width(text), printed;

    if (wanted > width) {
        printed = print_part(text, width - 1) + 1;
        fputs(ellipsis(), stdout);
    } else {
        printf("%*s", is_right ? (int)(width - wanted) : 0, "");
        printed = print_part(text, width) + (is_right ? width - wanted : 0);
    }
    if (!is_last)
        printf("%*s", (int)(width - printed + GAP), "");
}

void table_free(struct table *table)
{
    for (size_t cell = 0; cell < table->cell_count; cell++)
        free(table->cells[cell]);
    free(table->cells);
    free(table);
}

void table_print_take(struct table *table, size_t indent)
{
    size_t *widths = xcalloc(table->columns, sizeof(*widths));
    const char *no_color = getenv("NO_COLOR");
    bool has_color = isatty(STDOUT_FILENO) && !(no_color && *no_color);

    find_widths(table, widths, indent);
    if (table->headings) {
        printf("%*s%s", (int)indent, "", has_color ? "\033[1m" : "");
        for (size_t i = 0; i < table->columns; i++)
            print_cell(str_of(table->headings[i]), widths[i], table->is_right && table->is_right[i],
                       i + 1 == table->columns);
        puts(has_color ? "\033[0m" : "");
    }
    for (size_t cell = 0; cell < table->cell_count;) {
        printf("%*s", (int)indent, "");
        for (size_t i = 0; i < table->columns; i++, cell++) {
            print_cell(str_of(table->cells[cell]), widths[i], table->is_right && table->is_right[i],
                       i + 1 == table->columns);
        }
        putchar('\n');
    }
    free(widths);
    table_free(table);
}

#include "ctl/csv.h"

#include "base/buf.h"

void csv_init(struct csv *csv, FILE *file)
{
    *csv = (struct csv){.file = file, .next_line = 1};
}

static int next(struct csv *csv)
{
    int c = getc_unlocked(csv->file);

    if (c == EOF)
        return EOF;
    csv->bytes++;
    if (c == '\n')
        csv->next_line++;
    return c;
}

static void put_back(struct csv *csv, int c)
{
    if (c == EOF)
        return;
    ungetc(c, csv->file);
    csv->bytes--;
    if (c == '\n')
        csv->next_line--;
}

static void skip_byte_order_mark(struct csv *csv)
{
    static const int mark[] = {0xef, 0xbb, 0xbf};
    int c = next(csv);

    if (c != mark[0]) {
        put_back(csv, c);
        return;
    }
    next(csv);
    next(csv);
}

/* The character that ends the field: a comma, a line feed or EOF; 0 when text stands behind a quote. */
static int read_quoted(struct csv *csv, struct buf *text, bool *is_broken)
{
    int c;

    while ((c = next(csv)) != EOF) {
        if (c == '"') {
            c = next(csv);
            if (c == '\r') {
                c = next(csv);
                if (c != '\n')
                    return 0;
            }
            if (c == ',' || c == '\n' || c == EOF)
                return c;
            if (c != '"')
                return 0;
        }
        if (text->len < CSV_ROW_MAX)
            buf_add_char(text, (char)c);
    }
    *is_broken = true; /* its end is missing */
    return EOF;
}

static int read_plain(struct csv *csv, struct buf *text, int c)
{
    for (; c != ',' && c != '\n' && c != EOF; c = next(csv)) {
        if (text->len < CSV_ROW_MAX)
            buf_add_char(text, (char)c);
    }
    if (c == '\n' && text->len && text->p[text->len - 1] == '\r')
        text->p[--text->len] = '\0';
    return c;
}

static int read_field(struct csv *csv, struct buf *text, bool *is_broken)
{
    int c = next(csv);

    buf_reset(text);
    if (c != '"')
        return read_plain(csv, text, c);
    c = read_quoted(csv, text, is_broken);
    if (c != 0)
        return c;
    *is_broken = true;
    do
        c = next(csv);
    while (c != '\n' && c != EOF);
    return c;
}

enum csv_result csv_read(struct csv *csv, struct arena *arena, struct str *fields, size_t *count)
{
    bool is_broken = false;
    struct buf text = {0};
    size_t bytes = 0;
    int end;

    if (csv->bytes == 0)
        skip_byte_order_mark(csv);
    do {
        csv->line = csv->next_line;
        *count = 0;
        do {
            end = read_field(csv, &text, &is_broken);
            bytes += text.len;
            if (*count < CSV_FIELDS_MAX)
                fields[(*count)++] = str_of(arena_dup0(arena, buf_str(&text)));
            else
                is_broken = true;
        } while (end == ',');
    } while (end == '\n' && *count == 1 && fields[0].len == 0 && !is_broken);
    buf_clear(&text);
    if (end == EOF && *count == 1 && fields[0].len == 0 && !is_broken)
        return CSV_END;
    return is_broken || bytes >= CSV_ROW_MAX ? CSV_BROKEN : CSV_ROW;
}

/*
 * Loading is four passes over one function: default, files, environment, overrides each call
 * set_value with the place the value comes from, and a later call replaces an earlier one. The
 * places are kept, by row, so that trouble with a value later can point at the line to change.
 */
#include "base/setting.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/setting_file.h"
#include "base/setting_value.h"

#include <ctype.h>
#include <stdlib.h>

/* More of a value than this does not help to find it. */
#define SHOWN_VALUE_BYTES 120
#define HELP_COLUMNS      92

struct settings_source {
    size_t count;
    char *places[]; /* by row; NULL = default */
};

struct load {
    const struct setting *table;
    void *values;
    struct settings_source *source;
    void (*complain)(const char *line, void *arg);
    void *arg;
    int mistakes;
};

static size_t count_rows(const struct setting *table)
{
    size_t count = 0;

    while (table[count].section)
        count++;
    return count;
}

static const struct setting *find_row(const struct setting *table, const char *section,
                                      const char *key)
{
    for (const struct setting *row = table; row->section; row++)
        if (strcmp(row->section, section) == 0 && strcmp(row->key, key) == 0)
            return row;
    return NULL;
}

/* -- messages --------------------------------------------------------------------------------- */

/* The place of the password in scheme://user:password@host; STR_NONE without one. */
static struct str find_password(const char *value)
{
    const char *start = strstr(value, "://");
    const char *at = start ? strchr(start, '@') : NULL;
    const char *colon = at ? memchr(start + 3, ':', (size_t)(at - start) - 3) : NULL;

    return colon ? str_n(colon + 1, (size_t)(at - colon) - 1) : STR_NONE;
}

/* Messages get into logs and tickets: no passwords, and not pages of text. */
static void add_value(struct buf *out, const char *value)
{
    struct str password = find_password(value);
    struct buf shown = {0};

    if (password.p) {
        buf_add(&shown, value, (size_t)(password.p - value));
        buf_add_text(&shown, "***");
        value = password.p + password.len;
    }
    buf_add_text(&shown, value);
    if (shown.len > SHOWN_VALUE_BYTES)
        buf_printf(out, "%.*s...", SHOWN_VALUE_BYTES, shown.p);
    else
        buf_add_str(out, buf_str(&shown));
    buf_clear(&shown);
}

/* Empties the buffer. A message is one line, whatever it quotes. */
static void complain(struct load *load, struct buf *line)
{
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->p[i] < 0x20 || line->p[i] == 0x7f)
            line->p[i] = '?';
    load->mistakes++;
    load->complain(line->p, load->arg);
    buf_clear(line);
}

static void complain_about(const char *place, const char *text, void *arg)
{
    struct buf line = {0};

    buf_printf(&line, "%s: %s", place, text);
    complain(arg, &line);
}

/* -- "did you mean" --------------------------------------------------------------------------- */

struct guess {
    const char *wanted;
    const char *best;
    size_t distance; /* what must be beaten; 0 = nothing can */
};

static struct guess guess_start(const char *wanted)
{
    size_t len = strlen(wanted);

    /* two letters may be wrong, or three of a long name */
    return (struct guess){wanted, NULL, len > 60 ? 0 : len < 9 ? 3 : 4};
}

static void guess_try(struct guess *guess, const char *name)
{
    if (guess->distance == 0)
        return;

    size_t distance = str_distance(guess->wanted, name);

    if (distance >= guess->distance || distance >= strlen(name))
        return;
    guess->best = name;
    guess->distance = distance;
}

static void complain_unknown_key(struct load *load, const char *place, const char *section,
                                 const char *key)
{
    struct guess guess = guess_start(key);
    const struct setting *elsewhere = NULL;
    struct buf line = {0};

    for (const struct setting *row = load->table; row->section; row++) {
        if (strcmp(row->section, section) == 0)
            guess_try(&guess, row->key);
        else if (strcmp(row->key, key) == 0)
            elsewhere = row;
    }
    buf_printf(&line, "%s: %s.", place, section);
    add_value(&line, key);
    buf_add_text(&line, ": no such setting; ");
    if (guess.best)
        buf_printf(&line, "did you mean %s?", guess.best);
    else if (elsewhere)
        buf_printf(&line, "did you mean the one of section [%s]?", elsewhere->section);
    else
        buf_add_text(&line, "--help-config lists all");
    complain(load, &line);
}

static bool is_section_known(const char *place, const char *section, void *arg)
{
    struct load *load = arg;
    struct guess guess = guess_start(section);
    struct buf line = {0};

    for (const struct setting *row = load->table; row->section; row++) {
        if (strcmp(row->section, section) == 0)
            return true;
        guess_try(&guess, row->section);
    }
    buf_printf(&line, "%s: [", place);
    add_value(&line, section);
    buf_add_text(&line, "]: no such section; ");
    if (guess.best)
        buf_printf(&line, "did you mean [%s]?", guess.best);
    else
        buf_add_text(&line, "--help-config lists all");
    complain(load, &line);
    return false;
}

/* -- loading ---------------------------------------------------------------------------------- */

static void set_value(struct load *load, const struct setting *row, const char *place,
                      const char *text)
{
    char *wrong = setting_value_parse(row, text, load->values);

    if (wrong) {
        struct buf line = {0};

        buf_printf(&line, "%s: %s.%s = ", place, row->section, row->key);
        add_value(&line, text);
        buf_printf(&line, ": %s", wrong);
        complain(load, &line);
        free(wrong);
        return;
    }

    char **kept = &load->source->places[row - load->table];

    free(*kept);
    *kept = xstrdup(place);
}

static void set_named(const char *place, const char *section, const char *key, const char *value,
                      void *arg)
{
    struct load *load = arg;
    const struct setting *row = find_row(load->table, section, key);

    if (row)
        set_value(load, row, place, value);
    else
        complain_unknown_key(load, place, section, key);
}

static void load_defaults(struct load *load)
{
    for (const struct setting *row = load->table; row->section; row++) {
        /* a row whose default is wrong must not leave a NULL behind */
        if (row->type == SETTING_TEXT || row->type == SETTING_LIST)
            *(char **)((char *)load->values + row->offset) = xstrdup("");
        set_value(load, row, "default", row->fallback ? row->fallback : "");
    }
}

static void load_file(struct load *load, const char *path)
{
    struct setting_file_reader reader = {
        .section = is_section_known, .entry = set_named, .mistake = complain_about, .arg = load};

    setting_file_read(path, &reader);
}

/* IOTPUSH_PUSH_TIMEOUT; free() it. row NULL: IOTPUSH_ */
static char *environment_name(const char *program, const struct setting *row)
{
    char *name =
        row ? xasprintf("%s_%s_%s", program, row->section, row->key) : xasprintf("%s_", program);

    for (char *p = name; *p; p++)
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return name;
}

static void complain_unknown_variable(struct load *load, const char *name, char *const *names)
{
    struct guess guess = guess_start(name);
    struct buf line = {0};

    for (size_t i = 0; i < load->source->count; i++)
        guess_try(&guess, names[i]);
    add_value(&line, name);
    buf_add_text(&line, ": no such setting; ");
    if (guess.best)
        buf_printf(&line, "did you mean %s?", guess.best);
    else
        buf_add_text(&line, "--help-config lists all");
    complain(load, &line);
}

static void load_variable(struct load *load, const char *variable, size_t prefix_len,
                          char *const *names)
{
    const char *equals = strchr(variable, '=');

    if (!equals)
        return;

    char *name = str_dup(str_n(variable, (size_t)(equals - variable)));
    size_t i = 0;

    while (i < load->source->count && strcmp(names[i], name) != 0)
        i++;
    if (i < load->source->count)
        set_value(load, &load->table[i], name, equals + 1);
    else if (strlen(name) > prefix_len && strchr(name + prefix_len, '_'))
        complain_unknown_variable(load, name, names);
    free(name);
}

static void load_environment(struct load *load, const char *program, char **environment)
{
    size_t count = load->source->count;
    char *prefix = environment_name(program, NULL);
    char **names = xcalloc(count + 1, sizeof(*names));

    for (size_t i = 0; i < count; i++)
        names[i] = environment_name(program, &load->table[i]);
    for (; *environment; environment++)
        if (strncmp(*environment, prefix, strlen(prefix)) == 0)
            load_variable(load, *environment, strlen(prefix), names);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(prefix);
}

static void load_override(struct load *load, const char *text)
{
    struct str value, key;
    struct str name = str_trim(str_split(str_of(text), '=', &value));
    struct str section = str_split(name, '.', &key);

    if (!value.p || !key.p) {
        struct buf line = {0};

        buf_add_text(&line, "--set: ");
        add_value(&line, text);
        buf_add_text(&line, ": write section.key=value");
        complain(load, &line);
        return;
    }

    char *section_text = str_dup(section);
    char *key_text = str_dup(key);
    char *value_text = str_dup(str_trim(value));

    if (is_section_known("--set", section_text, load))
        set_named("--set", section_text, key_text, value_text, load);
    free(section_text);
    free(key_text);
    free(value_text);
}

int settings_load(const struct setting *table, const struct settings_input *input, void *out,
                  struct settings_source **source, void (*complain_line)(const char *, void *),
                  void *arg)
{
    size_t count = count_rows(table);
    struct settings_source *places = xcalloc(1, sizeof(*places) + count * sizeof(char *));
    struct load load = {table, out, places, complain_line, arg, 0};

    places->count = count;
    load_defaults(&load);
    if (input->file)
        load_file(&load, input->file);
    if (input->environment && input->program)
        load_environment(&load, input->program, input->environment);
    for (const char *const *set = input->overrides; set && *set; set++)
        load_override(&load, *set);
    if (source)
        *source = places;
    else
        settings_source_free(places);
    return load.mistakes;
}

void settings_clear(const struct setting *table, void *values)
{
    for (const struct setting *row = table; row->section; row++)
        setting_value_clear(row, values);
}

void settings_source_free(struct settings_source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->count; i++)
        free(source->places[i]);
    free(source);
}

/* -- afterwards ------------------------------------------------------------------------------- */

const char *settings_where(const struct settings_source *source, const struct setting *table,
                           const void *values, const char *section, const char *key)
{
    static struct buf text;
    const struct setting *row = find_row(table, section, key);

    buf_reset(&text);
    if (!row) {
        buf_printf(&text, "%s.%s", section, key);
        return text.p;
    }

    struct buf value = {0};
    const char *place = source ? source->places[row - table] : NULL;

    setting_value_format(row, values, &value);
    buf_printf(&text, "%s: %s.%s = ", place ? place : "default", section, key);
    add_value(&text, buf_str(&value).p);
    buf_clear(&value);
    return text.p;
}

void settings_apply_reloadable(const struct setting *table, const void *from, void *to,
                               void (*complain_key)(const char *, void *), void *arg)
{
    for (const struct setting *row = table; row->section; row++) {
        if (setting_value_is_same(row, from, to))
            continue;
        if (row->is_reloadable) {
            setting_value_copy(row, from, to);
            continue;
        }

        char *name = xasprintf("%s.%s", row->section, row->key);

        complain_key(name, arg);
        free(name);
    }
}

/* -- --help-config ---------------------------------------------------------------------------- */

/* The cursor stands at column `indent`, and so do further lines. */
static void print_wrapped(FILE *out, size_t indent, const char *text)
{
    size_t column = indent;

    for (struct str rest = str_of(text); rest.p;) {
        struct str word = str_split(rest, ' ', &rest);

        if (column > indent && column + 1 + word.len > HELP_COLUMNS) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", STR_ARG(word));
        column += word.len;
    }
    fputc('\n', out);
}

static void print_row(FILE *out, const struct setting *row, size_t indent)
{
    struct buf line = {0};
    const char *fallback = row->fallback ? row->fallback : "";

    fprintf(out, "  %-*s", (int)indent - 2, row->key);
    setting_value_describe(row, &line);
    buf_printf(&line, "; default %s", *fallback ? fallback : "empty");
    if (row->is_reloadable)
        buf_add_text(&line, "; reloadable");
    print_wrapped(out, indent, line.p);
    buf_clear(&line);
    if (row->help) {
        fprintf(out, "%*s", (int)indent, "");
        print_wrapped(out, indent, row->help);
    }
}

void settings_print_help(const struct setting *table, FILE *out)
{
    const char *section = "";
    size_t widest = 0;

    for (const struct setting *row = table; row->section; row++)
        if (strlen(row->key) > widest)
            widest = strlen(row->key);
    fputs("Sizes are written 64k 10m 1g, times 500ms 15s 10m 2h 1d, lists with commas.\n"
          "Reloadable settings take effect on SIGHUP, others at the next start.\n",
          out);
    for (const struct setting *row = table; row->section; row++) {
        if (strcmp(section, row->section) != 0)
            fprintf(out, "\n[%s]\n", row->section);
        section = row->section;
        print_row(out, row, widest + 4);
    }
}

#include "base/setting_value.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* the largest first: what values are written in is the first that divides them */
static const struct unit size_units[] = {
    {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1},
    {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {NULL, 0},
};

static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum setting_type type)
{
    return type == SETTING_SIZE ? size_units : type == SETTING_TIME ? time_units : plain_units;
}

static void *at(const struct setting *row, void *values)
{
    return (char *)values + row->offset;
}

static const void *at_const(const struct setting *row, const void *values)
{
    return (const char *)values + row->offset;
}

/* -- numbers ---------------------------------------------------------------------------------- */

static void format_number(const struct setting *row, int64_t value, struct buf *out)
{
    const struct unit *unit = units_of(row->type);

    while (unit[1].name && value % unit->factor != 0)
        unit++;
    buf_printf(out, "%" PRId64 "%s", value / unit->factor, value == 0 ? "" : unit->name);
}

static void format_range(const struct setting *row, struct buf *out)
{
    if (row->max == INT64_MAX) {
        buf_add_text(out, "at least ");
        format_number(row, row->min, out);
        return;
    }
    format_number(row, row->min, out);
    buf_add_text(out, " to ");
    format_number(row, row->max, out);
}

static const char *describe_not_a_number(enum setting_type type)
{
    switch (type) {
    case SETTING_SIZE:
        return "not a size; write 64k, 10m, 1g";
    case SETTING_TIME:
        return "not a time; write 15s, 500ms, 10m";
    default:
        return "not a whole number; write it in digits";
    }
}

/* Magnitude and unit, without the sign. NULL, or what is wrong. */
static char *parse_magnitude(const struct setting *row, const char *text, int64_t *value)
{
    const struct unit *unit = units_of(row->type);
    size_t digits = strspn(text, "0123456789");
    const char *name = text + digits;
    uint64_t magnitude;

    if (digits == 0)
        return xstrdup(describe_not_a_number(row->type));
    while (unit->name && strcmp(unit->name, name) != 0)
        unit++;
    if (!str_to_u64(str_n(text, digits), INT64_MAX, &magnitude))
        return xstrdup("too large");
    if (!*name && magnitude == 0) {
        *value = 0; /* of any unit */
        return NULL;
    }
    if (!*name && !unit->name)
        return xasprintf("has no unit; write %ss, %sms, %sm", text, text, text);
    if (!unit->name)
        return xstrdup(describe_not_a_number(row->type));
    if (__builtin_mul_overflow((int64_t)magnitude, unit->factor, value))
        return xstrdup("too large");
    return NULL;
}

static char *parse_number(const struct setting *row, const char *text, int64_t *value)
{
    bool is_negative = row->type == SETTING_INT && text[0] == '-';
    int64_t number = 0;
    char *wrong = parse_magnitude(row, text + is_negative, &number);

    if (wrong)
        return wrong;
    if (is_negative)
        number = -number;
    if ((row->min != 0 || row->max != 0) && (number < row->min || number > row->max)) {
        struct buf reason = {0};

        buf_add_text(&reason, "out of range; write ");
        format_range(row, &reason);
        return buf_take(&reason);
    }
    *value = number;
    return NULL;
}

/* -- words ------------------------------------------------------------------------------------ */

static char *parse_bool(const char *text, bool *value)
{
    static const char *const words[][2] = {
        {"on", "off"}, {"yes", "no"}, {"true", "false"}, {"1", "0"}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        for (int is_off = 0; is_off < 2; is_off++) {
            if (str_eq_nocase(str_of(words[i][is_off]), str_of(text))) {
                *value = !is_off;
                return NULL;
            }
        }
    }
    return xstrdup("neither on nor off; write on or off");
}

static void format_choices(const struct setting *row, struct buf *out)
{
    struct str rest = str_of(row->choices);
    bool is_first = true;

    while (rest.p) {
        struct str word = str_split(rest, ' ', &rest);

        if (!is_first)
            buf_add_text(out, rest.p ? ", " : " or ");
        buf_add_str(out, word);
        is_first = false;
    }
}

static char *parse_choice(const struct setting *row, const char *text, int *value)
{
    struct str rest = str_of(row->choices);
    struct buf reason = {0};

    for (int index = 0; rest.p; index++) {
        if (str_eq(str_split(rest, ' ', &rest), str_of(text))) {
            *value = index;
            return NULL;
        }
    }
    buf_add_text(&reason, "no such choice; write ");
    format_choices(row, &reason);
    return buf_take(&reason);
}

static void format_choice(const struct setting *row, int value, struct buf *out)
{
    struct str rest = str_of(row->choices);

    for (int index = 0; rest.p; index++) {
        struct str word = str_split(rest, ' ', &rest);

        if (index == value)
            buf_add_str(out, word);
    }
}

/* -- all types -------------------------------------------------------------------------------- */

static char *parse_by_type(const struct setting *row, const char *text, void *place)
{
    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_LIST:
        free(*(char **)place);
        *(char **)place = xstrdup(text);
        return NULL;
    case SETTING_BOOL:
        return parse_bool(text, place);
    case SETTING_CHOICE:
        return parse_choice(row, text, place);
    case SETTING_INT:
    case SETTING_SIZE:
    case SETTING_TIME:
        break;
    }
    return parse_number(row, text, place);
}

char *setting_value_parse(const struct setting *row, const char *text, void *values)
{
    if (!str_is_printable(str_of(text)))
        return xstrdup("contains a control character");
    if (!str_is_utf8(str_of(text)))
        return xstrdup("is not valid UTF-8");

    const char *right = row->check ? row->check(text) : NULL;

    if (right)
        return xstrdup(right);
    return parse_by_type(row, text, at(row, values));
}

void setting_value_format(const struct setting *row, const void *values, struct buf *out)
{
    const void *place = at_const(row, values);

    switch (row->type) {
    case SETTING_TEXT:
    case SETTING_LIST:
        if (*(char *const *)place)
            buf_add_text(out, *(char *const *)place);
        break;
    case SETTING_BOOL:
        buf_add_text(out, *(const bool *)place ? "on" : "off");
        break;
    case SETTING_CHOICE:
        format_choice(row, *(const int *)place, out);
        break;
    case SETTING_INT:
    case SETTING_SIZE:
    case SETTING_TIME:
        format_number(row, *(const int64_t *)place, out);
        break;
    }
}

void setting_value_describe(const struct setting *row, struct buf *out)
{
    static const char *const names[] = {
        [SETTING_TEXT] = "text",  [SETTING_LIST] = "list", [SETTING_BOOL] = "on or off",
        [SETTING_INT] = "number", [SETTING_SIZE] = "size", [SETTING_TIME] = "time",
    };

    if (row->type == SETTING_CHOICE) {
        format_choices(row, out);
        return;
    }
    buf_add_text(out, names[row->type]);
    if (row->min != 0 || row->max != 0) {
        buf_add_text(out, ", ");
        format_range(row, out);
    }
}

bool setting_value_is_same(const struct setting *row, const void *a, const void *b)
{
    struct buf left = {0}, right = {0};

    setting_value_format(row, a, &left);
    setting_value_format(row, b, &right);

    bool is_same = str_eq(buf_str(&left), buf_str(&right));

    buf_clear(&left);
    buf_clear(&right);
    return is_same;
}

void setting_value_copy(const struct setting *row, const void *from, void *to)
{
    static const size_t sizes[] = {
        [SETTING_BOOL] = sizeof(bool),    [SETTING_INT] = sizeof(int64_t),
        [SETTING_SIZE] = sizeof(int64_t), [SETTING_TIME] = sizeof(int64_t),
        [SETTING_CHOICE] = sizeof(int),
    };

    if (row->type == SETTING_TEXT || row->type == SETTING_LIST) {
        char *copy = xstrdup(*(char *const *)at_const(row, from));

        setting_value_clear(row, to);
        *(char **)at(row, to) = copy;
    } else {
        memcpy(at(row, to), at_const(row, from), sizes[row->type]);
    }
}

void setting_value_clear(const struct setting *row, void *values)
{
    if (row->type != SETTING_TEXT && row->type != SETTING_LIST)
        return;

    char **place = at(row, values);

    free(*place);
    *place = NULL;
}

int setting_parse_times(const char *list, int64_t *times_ms, size_t max)
{
    static const struct setting row = {.type = SETTING_TIME};
    struct str rest = str_of(list);
    int count = 0;

    while (rest.p && str_trim(rest).len) {
        char *text = str_dup(str_trim(str_split(rest, ',', &rest)));
        char *problem = (size_t)count < max ? setting_value_parse(&row, text, &times_ms[count])
                                            : xstrdup("too many");

        free(text);
        if (problem) {
            free(problem);
            return -1;
        }
        count++;
    }
    return count;
}

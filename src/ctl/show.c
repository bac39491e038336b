/*
 * Answers are shown as they come: scalars as lines, objects as blocks, lists of objects as tables; so a
 * figure that the server adds needs no change here.
 */
#include "ctl/show.h"

#include "base/buf.h"
#include "base/clock.h"
#include "ctl/client.h"
#include "ctl/table.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#define COLUMNS_MAX 12

/* uptimeSeconds -> "uptime seconds" */
static const char *words_of(struct ctl *ctl, struct str key)
{
    struct buf words = {0};
    const char *text;

    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.p[i];

        if (isupper(c))
            buf_add_char(&words, ' ');
        buf_add_char(&words, (char)tolower(c));
    }
    text = arena_dup0(ctl->arena, buf_str(&words));
    buf_clear(&words);
    return text;
}

static struct str show_seconds(struct ctl *ctl, int64_t seconds)
{
    int64_t minutes = seconds / 60, hours = minutes / 60;

    if (seconds < 60)
        return str_of(arena_printf(ctl->arena, "%" PRId64 " s", seconds));
    if (minutes < 60)
        return str_of(
            arena_printf(ctl->arena, "%" PRId64 " min %" PRId64 " s", minutes, seconds % 60));
    if (hours < 24)
        return str_of(
            arena_printf(ctl->arena, "%" PRId64 " h %" PRId64 " min", hours, minutes % 60));
    return str_of(arena_printf(ctl->arena, "%" PRId64 " d %" PRId64 " h", hours / 24, hours % 24));
}

static struct str show_value(struct ctl *ctl, const struct json *value)
{
    int64_t number;

    switch (value->type) {
    case JSON_NULL:
        return STR("-");
    case JSON_BOOL:
        return value->boolean ? STR("yes") : STR("no");
    case JSON_NUMBER:
        if (str_ends_with(value->key, STR("Seconds")) && json_to_i64(value, &number))
            return show_seconds(ctl, number);
        return value->text;
    case JSON_STRING:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return value->text;
}

static const char *label_of(struct ctl *ctl, const struct json *value)
{
    struct str key = value->key;

    if (value->type == JSON_NUMBER && str_ends_with(key, STR("Seconds")) && key.len > 7)
        key.len -= 7;
    return words_of(ctl, key);
}

static const char *heading_of(struct ctl *ctl, const struct json *value)
{
    char *heading = (char *)label_of(ctl, value);

    for (char *c = heading; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    return heading;
}

/* Lists of objects with the same members. */
static void show_rows(struct ctl *ctl, const struct json *list, size_t indent)
{
    const char *headings[COLUMNS_MAX];
    const char *keys[COLUMNS_MAX];
    bool is_right[COLUMNS_MAX];
    size_t columns = 0;
    struct table *table;

    JSON_FOREACH (member, list->first) {
        if (columns == COLUMNS_MAX)
            break;
        keys[columns] = member->key.p;
        headings[columns] = heading_of(ctl, member);
        is_right[columns++] = member->type == JSON_NUMBER;
    }
    if (columns == 0)
        return;
    table = table_new(columns, headings, is_right);
    JSON_FOREACH (row, list) {
        for (size_t i = 0; i < columns; i++) {
            const struct json *value = json_get(row, keys[i]);

            table_add(table, value ? show_value(ctl, value) : STR_NONE);
        }
    }
    table_print_take(table, indent);
}

static bool is_block(const struct json *value)
{
    return value->type == JSON_OBJECT ||
           (value->type == JSON_ARRAY && value->first && value->first->type == JSON_OBJECT);
}

void ctl_show_object(struct ctl *ctl, const struct json *object, size_t indent)
{
    struct table *table = table_new(2, NULL, NULL);

    JSON_FOREACH (member, object) {
        if (is_block(member))
            continue;
        table_add(table, str_of(label_of(ctl, member)));
        table_add(table, show_value(ctl, member));
    }
    table_print_take(table, indent);
    JSON_FOREACH (member, object) {
        if (!is_block(member))
            continue;
        printf("%*s", (int)indent, "");
        print_safely(str_of(words_of(ctl, member->key)));
        putchar('\n');
        if (member->type == JSON_OBJECT)
            ctl_show_object(ctl, member, indent + 2);
        else
            show_rows(ctl, member, indent + 2);
    }
}

struct str ctl_show_time(struct ctl *ctl, struct str text)
{
    char millis[CLOCK_MILLIS_SIZE];
    int64_t time_ms;

    if (!text.p || !clock_parse(text, &time_ms))
        return text;
    clock_format_millis(time_ms, millis); /* 2026-01-31T12:00:00.000Z */
    return str_of(arena_printf(ctl->arena, "%.10s %.8s", millis, millis + 11));
}

enum ctl_exit ctl_show_list(struct ctl *ctl, const char *path, const char *member)
{
    struct client_answer answer;
    enum ctl_exit result =
        client_request(ctl->client, ctl->arena, "GET", path, NULL, false, &answer);
    const struct json *list;

    if (result != CTL_DONE)
        return result;
    list = json_get(answer.json, member);
    if (ctl->wants_json) {
        JSON_FOREACH (row, list)
            ctl_print_json(row);
    } else if (!ctl->is_quiet) {
        if (list && list->first)
            show_rows(ctl, list, 0);
        else
            printf("no %s\n", member);
    }
    return CTL_DONE;
}

#include "ctl/facts.h"

static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" =\"", text.p[i]))
            return false;
    return text.len > 0;
}

static void add_value(struct buf *out, const struct json *value)
{
    struct json_writer *w;

    if (value->type == JSON_STRING && is_plain(value->text)) {
        buf_add_str(out, value->text);
        return;
    }
    w = json_writer_new();
    json_value(w, value);
    buf_add_str(out, json_writer_text(w));
    json_writer_free(w);
}

/* " name=value" each; what is in an object stands beside the others. */
static void add_members(struct buf *out, const struct json *object)
{
    JSON_FOREACH (member, object) {
        if (member->type == JSON_OBJECT) {
            add_members(out, member);
            continue;
        }
        buf_add_char(out, ' ');
        buf_add_str(out, member->key);
        buf_add_char(out, '=');
        add_value(out, member);
    }
}

static void add_word(struct buf *out, struct str word)
{
    if (!word.len)
        return;
    buf_add_char(out, ' ');
    buf_add_str(out, word);
}

static void add_report(struct buf *out, const struct json *facts)
{
    JSON_FOREACH (service, json_get(facts, "services")) {
        add_word(out, json_get_str(service, "id"));
        add_members(out, json_get(service, "data"));
    }
}

static void add_desired(struct buf *out, const struct json *facts)
{
    add_word(out, json_get_str(facts, "service"));
    add_members(out, json_get(facts, "properties"));
    add_word(out, json_get_str(facts, "status"));
}

static void add_command(struct buf *out, const struct json *facts)
{
    const struct json *detail = json_get(facts, "detail");

    add_word(out, json_get_str(facts, "id"));
    add_word(out, json_get_str(facts, "service"));
    add_word(out, json_get_str(facts, "method"));
    add_word(out, json_get_str(facts, "status"));
    if (detail && detail->type != JSON_NULL) {
        buf_add_char(out, ' ');
        add_value(out, detail);
    }
}

void facts_write(struct buf *out, struct str kind, const struct json *facts)
{
    static const struct {
        const char *kind;
        void (*add)(struct buf *out, const struct json *facts);
    } forms[] = {{"property.reported", add_report},
                 {"desired.sent", add_desired},
                 {"desired.status", add_desired},
                 {"command.status", add_command}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        if (str_eq(kind, str_of(forms[i].kind))) {
            forms[i].add(out, facts);
            return;
        }
    }
    add_members(out, facts);
}

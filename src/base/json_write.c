/*
 * The writer, over yajl_gen. yajl_gen has a state for each level but steps outside of that array
 * when it is asked for a level too many or one too few, so after the first refusal nothing more
 * reaches it until the next reset, and the text is then `null`: still a document, and a line in the
 * log instead of half an answer.
 */
#include "base/json.h"

#include "base/decimal.h"
#include "base/json_memory.h"
#include "base/log.h"

#include <yajl/yajl_gen.h>

struct json_writer {
    yajl_gen gen;
    bool is_broken;
};

struct json_writer *json_writer_new(void)
{
    yajl_alloc_funcs memory = JSON_MEMORY;
    struct json_writer *w = xcalloc(1, sizeof(*w));

    w->gen = yajl_gen_alloc(&memory);
    return w;
}

void json_writer_free(struct json_writer *w)
{
    if (!w)
        return;
    yajl_gen_free(w->gen);
    free(w);
}

void json_writer_reset(struct json_writer *w)
{
    yajl_gen_reset(w->gen, NULL); /* the state */
    yajl_gen_clear(w->gen);       /* the text */
    w->is_broken = false;
}

struct str json_writer_text(struct json_writer *w)
{
    const unsigned char *text;
    size_t len;

    /* Only a complete document refuses another value in this way. */
    if (!w->is_broken && yajl_gen_null(w->gen) != yajl_gen_generation_complete) {
        log_error("json", "problem=incomplete_document");
        w->is_broken = true;
    }
    if (w->is_broken)
        return STR("null");
    yajl_gen_get_buf(w->gen, &text, &len);
    return str_n((const char *)text, len);
}

static void note(struct json_writer *w, yajl_gen_status status)
{
    if (status == yajl_gen_status_ok)
        return;
    log_error("json", "problem=written_out_of_order status=%d", (int)status);
    w->is_broken = true;
}

/* For what yajl_gen_number calls a number, which it copies without looking at it. */
static void write_verbatim(struct json_writer *w, struct str text)
{
    if (!w->is_broken)
        note(w, yajl_gen_number(w->gen, text.p, text.len));
}

static void write_string(struct json_writer *w, struct str value)
{
    if (!w->is_broken)
        note(w, yajl_gen_string(w->gen, (const unsigned char *)value.p, value.len));
}

void json_object(struct json_writer *w)
{
    if (!w->is_broken)
        note(w, yajl_gen_map_open(w->gen));
}

void json_object_end(struct json_writer *w)
{
    if (!w->is_broken)
        note(w, yajl_gen_map_close(w->gen));
}

void json_array(struct json_writer *w)
{
    if (!w->is_broken)
        note(w, yajl_gen_array_open(w->gen));
}

void json_array_end(struct json_writer *w)
{
    if (!w->is_broken)
        note(w, yajl_gen_array_close(w->gen));
}

void json_key(struct json_writer *w, const char *key)
{
    json_key_str(w, str_of(key));
}

void json_key_str(struct json_writer *w, struct str key)
{
    if (!key.p || !str_is_utf8(key)) {
        log_warn("json", "problem=key_is_not_utf8 length=%zu", key.len);
        key = STR("\xef\xbf\xbd"); /* U+FFFD: a member needs some name */
    }
    write_string(w, key);
}

void json_str(struct json_writer *w, struct str value)
{
    if (!value.p) {
        json_null(w);
    } else if (!str_is_utf8(value)) {
        log_warn("json", "problem=string_is_not_utf8 length=%zu", value.len);
        json_null(w);
    } else {
        write_string(w, value);
    }
}

void json_text(struct json_writer *w, const char *value)
{
    json_str(w, str_of(value));
}

void json_i64(struct json_writer *w, int64_t value)
{
    struct decimal decimal;

    write_verbatim(w, decimal_str(&decimal, value));
}

void json_bool(struct json_writer *w, bool value)
{
    if (!w->is_broken)
        note(w, yajl_gen_bool(w->gen, value));
}

void json_null(struct json_writer *w)
{
    if (!w->is_broken)
        note(w, yajl_gen_null(w->gen));
}

void json_raw(struct json_writer *w, struct str document)
{
    if (document.len == 0)
        json_null(w);
    else
        write_verbatim(w, document);
}

void json_value(struct json_writer *w, const struct json *value)
{
    switch (value ? value->type : JSON_NULL) {
    case JSON_NULL:
        json_null(w);
        break;
    case JSON_BOOL:
        json_bool(w, value->boolean);
        break;
    case JSON_NUMBER:
        write_verbatim(w, value->text);
        break;
    case JSON_STRING:
        json_str(w, value->text);
        break;
    case JSON_ARRAY:
        json_array(w);
        JSON_FOREACH (element, value)
            json_value(w, element);
        json_array_end(w);
        break;
    case JSON_OBJECT:
        json_object(w);
        JSON_FOREACH (member, value) {
            json_key_str(w, member->key);
            json_value(w, member);
        }
        json_object_end(w);
        break;
    }
}

void json_member_str(struct json_writer *w, const char *key, struct str value)
{
    json_key(w, key);
    json_str(w, value);
}

void json_member_text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_text(w, value);
}

void json_member_i64(struct json_writer *w, const char *key, int64_t value)
{
    json_key(w, key);
    json_i64(w, value);
}

void json_member_bool(struct json_writer *w, const char *key, bool value)
{
    json_key(w, key);
    json_bool(w, value);
}

void json_member_null(struct json_writer *w, const char *key)
{
    json_key(w, key);
    json_null(w);
}

void json_member_raw(struct json_writer *w, const char *key, struct str document)
{
    json_key(w, key);
    json_raw(w, document);
}

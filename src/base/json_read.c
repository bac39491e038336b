/*
 * The reader. yajl's streaming parser finds the tokens; its callbacks hang nodes into a tree.
 *
 * Its own reading of text is too generous for us, in three ways that are put right here: it accepts
 * overlong UTF-8 and encoded surrogates (so the document is checked as a whole first, and yajl's
 * check is off), it decodes \u0000, and it turns half a surrogate pair into other text.
 *
 * The whole document is one chunk, so tokens are slices of it, except strings with escapes and a
 * number that is the whole document: those are in yajl's buffers.
 */
#include "base/json.h"

#include "base/json_memory.h"

#include <yajl/yajl_parse.h>

/* Up to this many members, comparing all with all beats sorting. */
#define FEW_MEMBERS 16

struct open_container {
    struct json *node;
    struct json **link; /* where the next child goes */
};

struct reader {
    struct arena *arena;
    struct str document;
    yajl_handle yajl;
    struct json *root;
    struct open_container stack[JSON_MAX_DEPTH];
    int depth;
    struct str key;    /* of the member whose value comes next */
    const char *error; /* ours; NULL when yajl stopped by itself */
};

/* Callbacks return 0 to stop the parser. */
static int stop(struct reader *reader, const char *error)
{
    reader->error = error;
    return 0;
}

static bool is_in_document(const struct reader *reader, const char *p)
{
    uintptr_t start = (uintptr_t)reader->document.p;

    return (uintptr_t)p >= start && (uintptr_t)p - start < reader->document.len;
}

/* The first byte behind the token that yajl is telling us of. */
static const char *token_end(const struct reader *reader)
{
    return reader->document.p + yajl_get_bytes_consumed(reader->yajl);
}

static struct json *add_node(struct reader *reader, enum json_type type)
{
    struct json *node = arena_zalloc(reader->arena, sizeof(*node));

    node->type = type;
    node->key = reader->key;
    reader->key = STR_NONE;
    if (reader->depth > 0) {
        struct open_container *parent = &reader->stack[reader->depth - 1];

        *parent->link = node;
        parent->link = &node->next;
        parent->node->count++;
    } else {
        reader->root = node;
    }
    return node;
}

/* -- strings ---------------------------------------------------------------------------------- */

/* The source text between the quotes of a string whose closing quote ends at `end`. Within it each
 * quote has an odd number of backslashes before it; the opening quote has none. */
static struct str string_source(const struct reader *reader, const char *end)
{
    const char *last = end - 1;
    const char *p = last;

    for (;;) {
        const char *q = p = memrchr(reader->document.p, '"', (size_t)(p - reader->document.p));

        while (q > reader->document.p && q[-1] == '\\')
            q--;
        if ((p - q) % 2 == 0)
            return str_n(p + 1, (size_t)(last - p - 1));
    }
}

static unsigned hex4(const char *p)
{
    unsigned value = 0;

    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];

        value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static bool is_low_surrogate(unsigned code)
{
    return code >= 0xdc00 && code <= 0xdfff;
}

/* NULL when the escapes of this string (well formed, says the lexer) mean proper text. */
static const char *check_escapes(struct str source)
{
    const char *p = source.p, *end = p + source.len;

    while ((p = memchr(p, '\\', (size_t)(end - p)))) {
        if (p[1] != 'u') {
            p += 2;
            continue;
        }
        unsigned code = hex4(p + 2);

        p += 6;
        if (code == 0)
            return "\\u0000 is not allowed";
        if (is_low_surrogate(code))
            return "half a surrogate pair in a string";
        if (code >= 0xd800 && code <= 0xdbff) {
            if (end - p < 6 || p[0] != '\\' || p[1] != 'u' || !is_low_surrogate(hex4(p + 2)))
                return "half a surrogate pair in a string";
            p += 6;
        }
    }
    return NULL;
}

/* Stores a NUL-terminated copy; false when the string is refused. */
static bool take_string(struct reader *reader, const unsigned char *text, size_t len,
                        struct str *copy)
{
    struct str decoded = {(const char *)text, len};

    if (!is_in_document(reader, decoded.p)) {
        reader->error = check_escapes(string_source(reader, token_end(reader)));
        if (reader->error)
            return false;
    }
    *copy = str_n(arena_dup0(reader->arena, decoded), len);
    return true;
}

/* -- members with one name -------------------------------------------------------------------- */

/* The place in the order stays the first one's, as in most languages' maps. */
static void take_value(struct json *node, const struct json *later)
{
    node->type = later->type;
    node->boolean = later->boolean;
    node->text = later->text;
    node->count = later->count;
    node->first = later->first;
}

static void merge_few(struct json *object)
{
    struct json *last_kept = NULL;
    struct json *node = object->first;

    while (node) {
        struct json *same = object->first;

        while (same != node && !str_eq(same->key, node->key))
            same = same->next;
        if (same == node) {
            last_kept = node;
        } else {
            take_value(same, node);
            last_kept->next = node->next;
            object->count--;
        }
        node = node->next;
    }
}

struct member {
    struct json *node;
    size_t place;
};

static int compare_keys(struct str a, struct str b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return a.len ? memcmp(a.p, b.p, a.len) : 0;
}

static int compare_members(const void *a, const void *b)
{
    const struct member *left = a, *right = b;
    int order = compare_keys(left->node->key, right->node->key);

    return order ? order : (left->place > right->place) - (left->place < right->place);
}

/* By sorting, so that an object made of thousands of members costs its sender more than us, and no
 * choice of keys makes it slow. */
static void merge_many(struct json *object)
{
    size_t count = object->count;
    struct member *members = xmalloc(count * sizeof(*members));
    struct json **link = &object->first;
    size_t place = 0;

    for (struct json *node = object->first; node; node = node->next, place++)
        members[place] = (struct member){node, place};
    qsort(members, count, sizeof(*members), compare_members);
    for (size_t first = 0, i = 1; i < count; i++) {
        struct json *node = members[i].node;

        if (compare_keys(members[first].node->key, node->key) != 0) {
            first = i;
            continue;
        }
        take_value(members[first].node, node);
        node->key = STR_NONE; /* marks what is dropped below; keys are never STR_NONE */
        object->count--;
    }
    for (struct json *node = object->first; node; node = node->next) {
        if (!node->key.p)
            continue;
        *link = node;
        link = &node->next;
    }
    *link = NULL;
    free(members);
}

/* -- yajl's callbacks ------------------------------------------------------------------------- */

static int on_null(void *arg)
{
    add_node(arg, JSON_NULL);
    return 1;
}

static int on_boolean(void *arg, int value)
{
    add_node(arg, JSON_BOOL)->boolean = value != 0;
    return 1;
}

static int on_number(void *arg, const char *text, size_t len)
{
    struct reader *reader = arg;
    struct str number = {text, len};

    if (!is_in_document(reader, text))
        number = arena_str(reader->arena, number);
    add_node(reader, JSON_NUMBER)->text = number;
    return 1;
}

static int on_string(void *arg, const unsigned char *text, size_t len)
{
    struct reader *reader = arg;
    struct str copy;

    if (!take_string(reader, text, len, &copy))
        return 0;
    add_node(reader, JSON_STRING)->text = copy;
    return 1;
}

static int on_key(void *arg, const unsigned char *text, size_t len)
{
    struct reader *reader = arg;

    return take_string(reader, text, len, &reader->key);
}

static int open_container(struct reader *reader, enum json_type type)
{
    if (reader->depth == JSON_MAX_DEPTH)
        return stop(reader, "nested too deeply");

    struct json *node = add_node(reader, type);

    node->text.p = token_end(reader) - 1; /* the bracket itself */
    reader->stack[reader->depth++] = (struct open_container){node, &node->first};
    return 1;
}

static struct json *close_container(struct reader *reader)
{
    struct json *node = reader->stack[--reader->depth].node;

    node->text.len = (size_t)(token_end(reader) - node->text.p);
    return node;
}

static int on_object(void *arg)
{
    return open_container(arg, JSON_OBJECT);
}

static int on_object_end(void *arg)
{
    struct json *object = close_container(arg);

    if (object->count > FEW_MEMBERS)
        merge_many(object);
    else
        merge_few(object);
    return 1;
}

static int on_array(void *arg)
{
    return open_container(arg, JSON_ARRAY);
}

static int on_array_end(void *arg)
{
    close_container(arg);
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object,
    .yajl_map_key = on_key,
    .yajl_end_map = on_object_end,
    .yajl_start_array = on_array,
    .yajl_end_array = on_array_end,
};

/* -- parsing ---------------------------------------------------------------------------------- */

static bool is_blank(struct str document)
{
    for (size_t i = 0; i < document.len; i++) {
        char c = document.p[i];

        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            return false;
    }
    return true;
}

/* yajl's text is "parse error: trailing garbage\n"; its two commonest ones say little to a
 * developer who looks at an answer, so they get our words. */
static const char *describe_error(struct reader *reader, size_t offset)
{
    const char *known = reader->error;

    if (known)
        return arena_printf(reader->arena, "%s (byte %zu)", known, offset);

    unsigned char *text = yajl_get_error(reader->yajl, 0, NULL, 0);

    if (strstr((char *)text, "premature EOF"))
        known = "the document ends too early";
    else if (strstr((char *)text, "trailing garbage"))
        known = "something follows the document's end";
    else
        text[strcspn((char *)text, "\n")] = '\0';

    const char *message =
        arena_printf(reader->arena, "%s (byte %zu)", known ? known : (char *)text, offset);

    yajl_free_error(reader->yajl, text);
    return message;
}

static bool run_parser(struct reader *reader, const char **error)
{
    const unsigned char *bytes = (const unsigned char *)reader->document.p;
    size_t len = reader->document.len;
    size_t offset = len;
    yajl_status status = yajl_parse(reader->yajl, bytes, len);

    if (status == yajl_status_ok)
        status = yajl_complete_parse(reader->yajl);
    else
        offset = yajl_get_bytes_consumed(reader->yajl);
    if (status == yajl_status_ok)
        return true;
    if (error)
        *error = describe_error(reader, offset);
    return false;
}

static const struct json *refuse(const char **error, const char *text)
{
    if (error)
        *error = text;
    return NULL;
}

const struct json *json_parse(struct arena *arena, struct str document, const char **error)
{
    if (is_blank(document))
        return refuse(error, "the document is empty");
    if (!str_is_utf8(document))
        return refuse(error, memchr(document.p, '\0', document.len)
                                 ? "the document contains a NUL byte"
                                 : "the document is not valid UTF-8");

    yajl_alloc_funcs memory = JSON_MEMORY;
    struct reader reader = {.arena = arena, .document = document};

    reader.yajl = yajl_alloc(&callbacks, &memory, &reader);
    yajl_config(reader.yajl, yajl_dont_validate_strings, 1);

    bool is_parsed = run_parser(&reader, error);

    yajl_free(reader.yajl);
    return is_parsed ? reader.root : NULL;
}

/* -- looking at a tree ------------------------------------------------------------------------ */

const struct json *json_get(const struct json *object, const char *key)
{
    if (!object || object->type != JSON_OBJECT)
        return NULL;

    struct str wanted = str_of(key);

    JSON_FOREACH (member, object)
        if (str_eq(member->key, wanted))
            return member;
    return NULL;
}

struct str json_get_str(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);

    return member && member->type == JSON_STRING ? member->text : STR_NONE;
}

bool json_to_i64(const struct json *number, int64_t *value)
{
    if (!number || number->type != JSON_NUMBER)
        return false;

    struct str digits = number->text;
    bool is_negative = digits.p[0] == '-';
    uint64_t magnitude;

    if (is_negative)
        digits = str_n(digits.p + 1, digits.len - 1);
    if (!str_to_u64(digits, (uint64_t)INT64_MAX + is_negative, &magnitude))
        return false;
    /* in two steps, because -INT64_MIN does not exist */
    *value = is_negative && magnitude ? -(int64_t)(magnitude - 1) - 1 : (int64_t)magnitude;
    return true;
}

bool json_get_i64(const struct json *object, const char *key, int64_t *value)
{
    return json_to_i64(json_get(object, key), value);
}

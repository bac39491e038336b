/*
 * JSON over yajl: a reader that builds a bounded tree in an arena, and a writer.
 *
 * Reader: UTF-8 is checked; depth is limited to JSON_MAX_DEPTH; nothing but white space may follow
 * the document; of two members with one name the last wins (at the first one's place); \u0000 and
 * halves of surrogate pairs in a string or key are errors; numbers keep their text (never a
 * double), so 2^53+1 and 0.10 come out as they went in. Objects and arrays remember their source
 * text, to be passed on without being written again.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"

#define JSON_MAX_DEPTH 32

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    bool boolean;
    struct str key;     /* when member of an object; NUL-terminated */
    struct str text;    /* string: decoded, NUL-terminated; number: its text; array, object: source
                           text, pointing into the parsed document */
    size_t count;       /* elements or members */
    struct json *first; /* array, object: first child in order */
    struct json *next;  /* next sibling */
};

#define JSON_FOREACH(child, parent)                                                               \
    for (const struct json *child = (parent) ? (parent)->first : NULL; child; child = child->next)

/* NULL on error, and *error (if given) is set to a short English text that lives as long as the
 * arena and never quotes the document. The tree and the source texts live as long as both arena
 * and document. */
const struct json *json_parse(struct arena *arena, struct str document, const char **error);

/* All of these accept NULL and the wrong type, and answer "not there". */
const struct json *json_get(const struct json *object, const char *key);
struct str json_get_str(const struct json *object, const char *key); /* STR_NONE unless a string */
bool json_to_i64(const struct json *number, int64_t *value); /* integers only (1, not 1.0 or 1e2) */
bool json_get_i64(const struct json *object, const char *key, int64_t *value);

/*
 * Writer: compact, members in the order written. Strings must be UTF-8 (what the reader gave, or
 * our own); others are written as null (a key as U+FFFD) and logged. A wrong order of calls that is
 * noticed (a value without a key, an end too many or too few) makes the whole text `null`, with a
 * line in the log. A writer is a value on the heap, to be used for many documents with a reset
 * before each; its text is valid until the next call on it.
 */
struct json_writer;

struct json_writer *json_writer_new(void);
void json_writer_free(struct json_writer *w);
void json_writer_reset(struct json_writer *w);
struct str json_writer_text(struct json_writer *w); /* must be a complete document */

void json_object(struct json_writer *w); /* opens */
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_key_str(struct json_writer *w, struct str key);
void json_str(struct json_writer *w, struct str value); /* STR_NONE is written as null */
void json_text(struct json_writer *w, const char *value); /* NULL is written as null */
void json_i64(struct json_writer *w, int64_t value);
void json_bool(struct json_writer *w, bool value);
void json_null(struct json_writer *w);
void json_raw(struct json_writer *w, struct str document); /* a JSON text, verbatim; empty = null */
void json_value(struct json_writer *w, const struct json *value); /* a tree, compactly */

/* key and value in one */
void json_member_str(struct json_writer *w, const char *key, struct str value);
void json_member_text(struct json_writer *w, const char *key, const char *value);
void json_member_i64(struct json_writer *w, const char *key, int64_t value);
void json_member_bool(struct json_writer *w, const char *key, bool value);
void json_member_null(struct json_writer *w, const char *key);
void json_member_raw(struct json_writer *w, const char *key, struct str document);

#endif

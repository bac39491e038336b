/*
 * A piece of somebody else's bytes: pointer and length, not NUL-terminated, not owned. Text that
 * comes from outside travels as a struct str until it has been checked. { NULL, 0 } means "not
 * there", which is different from "" (p != NULL, len 0).
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t len;
};

#define STR_NONE     ((struct str){NULL, 0})
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* for printf's "%.*s" */
#define STR_ARG(s) (int)(s).len, (s).p

static inline struct str str_of(const char *text) /* NULL gives STR_NONE */
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline struct str str_n(const char *bytes, size_t len)
{
    return (struct str){bytes, len};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
struct str str_trim(struct str s); /* blanks and tabs at both ends */
char *str_dup(struct str s);       /* NUL-terminated copy; free() it */

/* The part before the first `separator`, and *rest set to what follows it; without a separator
 * the whole of s, and *rest = STR_NONE. */
struct str str_split(struct str s, char separator, struct str *rest);

/* Decimal digits only, no sign, no blanks. false: not a number or larger than max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *value);

/* Only characters out of [A-Za-z0-9_-], 1..max_len of them: what may stand in a key or a path. */
bool str_is_id(struct str s, size_t max_len);

/* Has no control characters (below 0x20, 0x7f). */
bool str_is_printable(struct str s);

/* Well-formed UTF-8 without NUL. */
bool str_is_utf8(struct str s);

/* Length in bytes of the well-formed UTF-8 character s begins with (a NUL is one); 0 when there is
 * none. */
size_t str_utf8_char_len(struct str s);

/* Code points of well-formed UTF-8: the protocols' limits count characters. */
size_t str_characters(struct str s);

/* Edit distance for "did you mean"; both short. */
size_t str_distance(const char *a, const char *b);

#endif

/*
 * Reading an object of a request's body by a table: one row per member.
 *
 *     static const struct field subscribe_fields[] = {
 *         { "notifyType",  FIELD_STRING, offsetof(struct body, type), 1, 256, FIELD_REQUIRED },
 *         { "callbackUrl", FIELD_STRING, offsetof(struct body, url),  1, 1024, 0, "callbackurl" },
 *         { 0 },
 *     };
 *
 * Members not in the table are ignored, as the protocols ask. null counts as absent. Absent members
 * leave the struct as it was, so the caller fills in defaults first.
 */
#ifndef BASE_FIELDS_H
#define BASE_FIELDS_H

#include "base/json.h"

enum field_type {
    FIELD_STRING, /* struct str; min and max are characters (code points) */
    FIELD_INT,    /* int64_t; min and max are values; texts of digits are not accepted */
    FIELD_BOOL,   /* struct field_bool */
    FIELD_OBJECT, /* const struct json * */
    FIELD_ARRAY,  /* const struct json *; min and max are numbers of elements */
    FIELD_ANY,    /* const struct json * */
};

enum { FIELD_REQUIRED = 1, FIELD_EMPTY_IS_ABSENT = 2 };

struct field_bool {
    bool is_set;
    bool value;
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    int64_t min, max; /* both 0 = no bounds */
    int flags;
    const char *alias;
};

enum field_problem {
    FIELDS_OK,
    FIELDS_NOT_OBJECT,
    FIELDS_MISSING,
    FIELDS_WRONG_TYPE,
    FIELDS_RANGE,
};

/* Stops at the first problem; *which (if given) is then the row's name, or NULL when the object
 * itself is the problem. An integer beyond int64_t is FIELDS_RANGE. A required string that is
 * empty is FIELDS_MISSING when the row says FIELD_EMPTY_IS_ABSENT, else subject to its bounds. */
enum field_problem fields_read(const struct json *object, const struct field *table, void *out,
                               const char **which);

#endif

/* One setting's value: from text and back, by its row. `values` is the struct the rows describe. */
#ifndef BASE_SETTING_VALUE_H
#define BASE_SETTING_VALUE_H

#include "base/buf.h"
#include "base/setting.h"

/* NULL when stored; else what is wrong and what would be right, free() it; the old value stays. */
char *setting_value_parse(const struct setting *row, const char *text, void *values);

/* As one would write it, in the largest unit that loses nothing. */
void setting_value_format(const struct setting *row, const void *values, struct buf *out);

/* "time, 100ms to 1m", "text or json" */
void setting_value_describe(const struct setting *row, struct buf *out);

bool setting_value_is_same(const struct setting *row, const void *a, const void *b);
void setting_value_copy(const struct setting *row, const void *from, void *to);
void setting_value_clear(const struct setting *row, void *values);

#endif

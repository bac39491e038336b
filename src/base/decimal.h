/* An integer as text, for commands and headers, without allocating. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/str.h"

struct decimal {
    char text[24];
};

/* By hand, since it stands in each push: printf takes ten times as long. */
static inline struct str decimal_str(struct decimal *decimal, int64_t value)
{
    char digits[sizeof(decimal->text)];
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    size_t begin = sizeof(digits);

    digits[--begin] = '\0';
    do {
        digits[--begin] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--begin] = '-';
    memcpy(decimal->text, digits + begin, sizeof(digits) - begin);
    return str_n(decimal->text, sizeof(digits) - begin - 1);
}

#endif

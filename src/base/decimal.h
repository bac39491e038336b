/* An integer as text, for commands and headers, without allocating. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include "base/str.h"
#include <stdio.h>

struct decimal {
    char text[24];
};

static inline struct str decimal_str(struct decimal *decimal, int64_t value)
{
    int len = snprintf(decimal->text, sizeof(decimal->text), "%lld", (long long)value);

    return str_n(decimal->text, (size_t)len);
}

#endif

#include "base/str.h"

#include "base/mem.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_n(s.p, prefix.len), prefix);
}

bool str_ends_with(struct str s, struct str suffix)
{
    if (suffix.len == 0)
        return true;
    return s.len >= suffix.len && str_eq(str_n(s.p + s.len - suffix.len, suffix.len), suffix);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

char *str_dup(struct str s)
{
    return xmemdup0(s.p, s.len);
}

struct str str_split(struct str s, char separator, struct str *rest)
{
    const char *at = s.len ? memchr(s.p, separator, s.len) : NULL;
    size_t len;

    if (!at) {
        *rest = STR_NONE;
        return s;
    }
    len = (size_t)(at - s.p);
    *rest = str_n(at + 1, s.len - len - 1);
    return str_n(s.p, len);
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit;

        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        digit = (uint64_t)(s.p[i] - '0');
        if (digit > max || sum > (max - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

static bool is_id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool str_is_id(struct str s, size_t max_len)
{
    if (s.len == 0 || s.len > max_len)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!is_id_char(s.p[i]))
            return false;
    return true;
}

bool str_is_printable(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

/*
 * Only the second byte has bounds that depend on the first: they keep out overlong forms (e0, f0),
 * surrogates (ed) and what lies above U+10FFFF (f4).
 */
size_t str_utf8_char_len(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (s.len < len)
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return len;
}

/* Eight characters between 0x01 and 0x7f. */
static bool are_plain(const char *p)
{
    uint64_t eight;

    memcpy(&eight, p, sizeof(eight));
    return ((eight | (eight - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

bool str_is_utf8(struct str s)
{
    size_t len;

    while (s.len) {
        if (s.len >= sizeof(uint64_t) && are_plain(s.p)) {
            s.p += sizeof(uint64_t);
            s.len -= sizeof(uint64_t);
            continue;
        }
        len = str_utf8_char_len(s);
        if (len == 0 || s.p[0] == '\0')
            return false;
        s.p += len;
        s.len -= len;
    }
    return true;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's, one row at a time. What is longer than a row counts as entirely different. */
size_t str_characters(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++)
        count += ((unsigned char)s.p[i] & 0xc0) != 0x80; /* not a continuation byte */
    return count;
}

size_t str_distance(const char *a, const char *b)
{
    size_t row[64];
    size_t a_len = strlen(a), b_len = strlen(b);

    if (b_len >= sizeof(row) / sizeof(row[0]))
        return a_len > b_len ? a_len : b_len;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);

            diagonal = row[j];
            row[j] = smaller(changed, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

#include "base/url.h"

#include "base/arena.h"

#include <arpa/inet.h>

#define LABEL_MAX 63
#define HOST_MAX  253

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static struct str skip(struct str s, size_t n)
{
    return str_n(s.p + n, s.len - n);
}

/* What would change the meaning of a request line, of a header or of a log line. */
static bool has_only_url_chars(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= ' ' || text.p[i] > 0x7e || strchr("\"'\\#", text.p[i]))
            return false;
    return true;
}

static bool take_scheme(struct str *text, struct url *out)
{
    const struct str http = STR("http://"), https = STR("https://");

    out->is_https = text->len >= https.len && str_eq_nocase(str_n(text->p, https.len), https);
    if (out->is_https) {
        *text = skip(*text, https.len);
        return true;
    }
    if (text->len < http.len || !str_eq_nocase(str_n(text->p, http.len), http))
        return false;
    *text = skip(*text, http.len);
    return true;
}

static bool is_address(int family, struct str host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (host.len == 0 || host.len >= sizeof(text))
        return false;
    memcpy(text, host.p, host.len);
    text[host.len] = '\0';
    return inet_pton(family, text, address) == 1;
}

static bool is_label(struct str label)
{
    return str_is_id(label, LABEL_MAX);
}

/* Resolvers read 0x7f.1, 2130706433 and 127.1 as addresses: their last label is a number. */
static bool is_number(struct str label)
{
    bool is_hex = label.len >= 2 && label.p[0] == '0' && (label.p[1] == 'x' || label.p[1] == 'X');

    for (size_t i = is_hex ? 2 : 0; i < label.len; i++)
        if (is_hex ? hex_value(label.p[i]) < 0 : !is_digit(label.p[i]))
            return false;
    return true;
}

static bool host_is_good(struct str host)
{
    struct str rest = host, label = STR_NONE;

    if (host.len == 0 || host.len > HOST_MAX)
        return false;
    while (rest.p) {
        label = str_split(rest, '.', &rest);
        if (!is_label(label))
            return false;
    }
    return !is_number(label) || is_address(AF_INET, host);
}

static bool parse_port(struct str text, struct url *out)
{
    uint64_t port;

    if (text.len == 0 || text.p[0] == '0' || !str_to_u64(text, 65535, &port))
        return false;
    out->has_port = true;
    out->port = (uint16_t)port;
    return true;
}

static bool parse_authority(struct url *out)
{
    struct str rest, port = STR_NONE;

    if (str_starts_with(out->authority, STR("["))) {
        out->host = str_split(skip(out->authority, 1), ']', &rest);
        if (!rest.p || !is_address(AF_INET6, out->host))
            return false;
        out->host_is_ipv6 = true;
        if (rest.len && rest.p[0] != ':')
            return false;
        if (rest.len)
            port = skip(rest, 1);
    } else {
        out->host = str_split(out->authority, ':', &port);
        if (!host_is_good(out->host))
            return false;
    }
    return !port.p || parse_port(port, out);
}

bool url_parse(struct str text, struct url *out)
{
    size_t authority_len = 0;

    memset(out, 0, sizeof(*out));
    if (text.len > URL_MAX || !has_only_url_chars(text) || !take_scheme(&text, out))
        return false;
    out->port = out->is_https ? 443 : 80;
    while (authority_len < text.len && !strchr("/?", text.p[authority_len]))
        authority_len++;
    out->authority = str_n(text.p, authority_len);
    out->target = skip(text, authority_len);
    if (str_starts_with(out->target, STR("?")))
        return false;
    out->has_path = out->target.len > 0;
    if (!out->has_path)
        out->target = STR("/");
    return parse_authority(out);
}

struct str url_without_query(struct str text)
{
    size_t len = 0;

    while (len < text.len && text.p[len] != '?' && text.p[len] != '#')
        len++;
    return str_n(text.p, len);
}

/* The byte of the escape s begins with; -1 when it is broken, 0 also when it is %00. */
static int unescape(struct str s)
{
    if (s.len < 3 || hex_value(s.p[1]) < 0 || hex_value(s.p[2]) < 0)
        return -1;
    return hex_value(s.p[1]) * 16 + hex_value(s.p[2]);
}

bool url_decode(struct arena *arena, struct str encoded, bool plus_is_blank, struct str *out)
{
    char *text = arena_alloc(arena, encoded.len + 1);
    size_t len = 0;

    while (encoded.len) {
        int c = (unsigned char)encoded.p[0];
        size_t used = 1;

        if (c == '%') {
            c = unescape(encoded);
            used = 3;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (c <= 0)
            return false;
        text[len++] = (char)c;
        encoded = skip(encoded, used);
    }
    text[len] = '\0';
    *out = str_n(text, len);
    return str_is_utf8(*out);
}

static bool names_are_equal(struct str a, struct str b, bool nocase)
{
    return nocase ? str_eq_nocase(a, b) : str_eq(a, b);
}

struct str url_form_value(struct arena *arena, struct str form, const char *name, bool nocase)
{
    while (form.p) {
        struct str pair = str_split(form, '&', &form);
        struct str value, decoded;
        struct str key = str_split(pair, '=', &value);

        if (!url_decode(arena, key, true, &decoded) ||
            !names_are_equal(decoded, str_of(name), nocase))
            continue;
        return url_decode(arena, value, true, &decoded) ? decoded : STR_NONE;
    }
    return STR_NONE;
}

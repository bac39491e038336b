#include "bench/faults.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/setting_value.h"
#include <stdlib.h>

#define PATTERNS_MAX  8
#define PER_MILLION   1000000u
#define DEFAULT_FAULT 503

enum pattern_kind { EVERY, RATE, HANG, RESET, FLAP };

struct pattern {
    enum pattern_kind kind;
    uint64_t every, seen;
    uint32_t per_million;
    int64_t good_us, bad_us;
    int status;
};

struct faults {
    size_t count;
    struct pattern patterns[PATTERNS_MAX];
    int64_t start_us;
    uint64_t random; /* never 0 */
};

/* ---- reading ---- */

static const char *read_status(struct str text, int *status)
{
    uint64_t number;

    if (!str_to_u64(text, 599, &number) || number < 200)
        return "its status is none; write every=10:503";
    *status = (int)number;
    return NULL;
}

/* "5%" or "0.1%", up to 100% */
static const char *read_share(struct str text, uint32_t *per_million)
{
    static const char wrong[] = "not a share; write rate=5%:503, hang=10%, reset=0.5%";
    struct str fraction, whole;
    uint64_t percent, part = 0;

    if (!str_ends_with(text, STR("%")))
        return wrong;
    text.len--;
    whole = str_split(text, '.', &fraction);
    if (!str_to_u64(whole, 100, &percent))
        return wrong;
    if (fraction.p && (fraction.len > 4 || !str_to_u64(fraction, 9999, &part)))
        return wrong;
    for (size_t i = fraction.p ? fraction.len : 4; i < 4; i++)
        part *= 10;
    *per_million = (uint32_t)(percent * (PER_MILLION / 100) + part);
    return *per_million > PER_MILLION ? wrong : NULL;
}

static bool read_time(struct str text, int64_t *time_us)
{
    static const struct setting row = {
        .type = SETTING_TIME, .min = 1, .max = 24 * 3600 * 1000ll};
    int64_t time_ms = 0;
    char *copy = str_dup(text), *wrong = setting_value_parse(&row, copy, &time_ms);
    bool is_right = !wrong;

    free(wrong);
    free(copy);
    *time_us = time_ms * 1000;
    return is_right;
}

static const char *read_flap(struct str text, struct pattern *pattern)
{
    struct str bad, good = str_split(text, '/', &bad);

    if (!bad.p || !read_time(good, &pattern->good_us) || !read_time(bad, &pattern->bad_us))
        return "not two times; write flap=10s/5s";
    return NULL;
}

static const char *read_every(struct str text, struct pattern *pattern)
{
    if (!str_to_u64(text, UINT32_MAX, &pattern->every) || pattern->every == 0)
        return "not a number of requests; write every=10:503";
    return NULL;
}

static const char *read_pattern(struct str text, struct pattern *pattern)
{
    struct str value, name = str_split(text, '=', &value), status;
    struct str amount = str_split(value, ':', &status);
    const char *wrong;

    *pattern = (struct pattern){.status = DEFAULT_FAULT};
    if (str_eq(name, STR("every"))) {
        pattern->kind = EVERY;
        wrong = read_every(amount, pattern);
    } else if (str_eq(name, STR("flap"))) {
        pattern->kind = FLAP;
        wrong = read_flap(amount, pattern);
    } else if (str_eq(name, STR("rate"))) {
        pattern->kind = RATE;
        wrong = read_share(amount, &pattern->per_million);
    } else if (str_eq(name, STR("hang")) || str_eq(name, STR("reset"))) {
        pattern->kind = str_eq(name, STR("hang")) ? HANG : RESET;
        wrong = status.p ? "hang and reset have no status"
                         : read_share(amount, &pattern->per_million);
    } else {
        return "not a failure; write every=10:503, rate=5%:503, hang=10%, reset=5% or flap=10s/5s";
    }
    if (!wrong && status.p)
        wrong = read_status(status, &pattern->status);
    return wrong;
}

static const char *read_list(const char *list, struct faults *faults)
{
    struct str rest = str_of(list);
    const char *wrong = NULL;

    faults->count = 0;
    while (rest.p && !wrong) {
        struct str one = str_trim(str_split(rest, ',', &rest));

        if (!one.len)
            continue;
        if (faults->count == PATTERNS_MAX)
            return "at most 8 failures";
        wrong = read_pattern(one, &faults->patterns[faults->count++]);
    }
    return wrong;
}

const char *faults_check(const char *list)
{
    struct faults unused;

    return read_list(list, &unused);
}

struct faults *faults_new(const char *list, int64_t now_us)
{
    struct faults *faults = xcalloc(1, sizeof(*faults));

    read_list(list, faults);
    faults->start_us = now_us;
    crypto_random_bytes(&faults->random, sizeof(faults->random));
    faults->random |= 1;
    return faults;
}

void faults_free(struct faults *faults)
{
    free(faults);
}

/* ---- deciding ---- */

/* xorshift64*: good enough for shares, and next to nothing beside a request. */
static bool falls_in(struct faults *faults, uint32_t per_million)
{
    uint64_t x = faults->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    faults->random = x;
    return ((x * 0x2545f4914f6cdd1dull) >> 32) % PER_MILLION < per_million;
}

static bool applies(struct faults *faults, struct pattern *pattern, int64_t now_us)
{
    switch (pattern->kind) {
    case EVERY:
        return ++pattern->seen % pattern->every == 0;
    case FLAP:
        return (now_us - faults->start_us) % (pattern->good_us + pattern->bad_us) >=
               pattern->good_us;
    case RATE:
    case HANG:
    case RESET:
        return falls_in(faults, pattern->per_million);
    }
    return false;
}

struct fault faults_next(struct faults *faults, int64_t now_us)
{
    for (size_t i = 0; i < faults->count; i++) {
        struct pattern *pattern = &faults->patterns[i];

        if (!applies(faults, pattern, now_us))
            continue;
        if (pattern->kind == HANG)
            return (struct fault){FAULT_HANG, 0};
        if (pattern->kind == RESET)
            return (struct fault){FAULT_RESET, 0};
        return (struct fault){FAULT_STATUS, pattern->status};
    }
    return (struct fault){FAULT_NONE, 0};
}

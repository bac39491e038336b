/*
 * The conversions between days and dates are done here and not by gmtime_r and timegm: those take
 * the time zone's lock on each call, and every report is stamped. Years count from 1 March, which
 * puts the leap day at a year's end.
 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

#define MS_PER_DAY   86400000
#define LAST_TIME_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

struct date {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
};

static bool is_frozen;
static int64_t frozen_now_ms, frozen_tick_ms;

int64_t clock_now_ms(void)
{
    struct timespec now;

    if (is_frozen)
        return frozen_now_ms;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_tick_ms(void)
{
    return clock_tick_us() / 1000;
}

int64_t clock_tick_us(void)
{
    struct timespec now;

    if (is_frozen)
        return frozen_tick_ms * 1000;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_freeze(int64_t now_ms, int64_t tick_ms)
{
    is_frozen = true;
    frozen_now_ms = now_ms;
    frozen_tick_ms = tick_ms;
}

void clock_advance(int64_t by_ms)
{
    assert(is_frozen);
    frozen_now_ms += by_ms;
    frozen_tick_ms += by_ms;
}

void clock_use_system(void)
{
    is_frozen = false;
}

/* Days since 1970-01-01; 719468 of them lie between 0000-03-01 and then. */
static int64_t days_of(struct date date)
{
    int64_t year = date.month > 2 ? date.year : date.year - 1;
    int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;

    return year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static struct date date_of(int64_t days)
{
    int64_t since_0000 = days + 719468;
    int64_t era = since_0000 / 146097; /* 400 years */
    int64_t day_of_era = since_0000 % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    struct date date;

    date.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    date.month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    date.year = (int)(year_of_era + era * 400 + (date.month <= 2));
    return date;
}

static char *put_digits(char *out, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return out + digits;
}

static int64_t into_range(int64_t time_ms)
{
    return time_ms < 0 ? 0 : time_ms > LAST_TIME_MS ? LAST_TIME_MS : time_ms;
}

void clock_format_compact(int64_t time_ms, char out[CLOCK_COMPACT_SIZE])
{
    int64_t time = into_range(time_ms);
    struct date date = date_of(time / MS_PER_DAY);
    int64_t seconds = time % MS_PER_DAY / 1000;

    out = put_digits(out, date.year, 4);
    out = put_digits(out, date.month, 2);
    out = put_digits(out, date.day, 2);
    *out++ = 'T';
    out = put_digits(out, seconds / 3600, 2);
    out = put_digits(out, seconds / 60 % 60, 2);
    out = put_digits(out, seconds % 60, 2);
    *out++ = 'Z';
    *out = '\0';
}

void clock_format_millis(int64_t time_ms, char out[CLOCK_MILLIS_SIZE])
{
    int64_t time = into_range(time_ms);
    struct date date = date_of(time / MS_PER_DAY);
    int64_t seconds = time % MS_PER_DAY / 1000;

    out = put_digits(out, date.year, 4);
    *out++ = '-';
    out = put_digits(out, date.month, 2);
    *out++ = '-';
    out = put_digits(out, date.day, 2);
    *out++ = 'T';
    out = put_digits(out, seconds / 3600, 2);
    *out++ = ':';
    out = put_digits(out, seconds / 60 % 60, 2);
    *out++ = ':';
    out = put_digits(out, seconds % 60, 2);
    *out++ = '.';
    out = put_digits(out, time % 1000, 3);
    *out++ = 'Z';
    *out = '\0';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether text has the shape of the pattern, where 0 stands for any digit. */
static bool has_shape(struct str text, const char *pattern)
{
    if (text.len != strlen(pattern))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (pattern[i] == '0' ? !is_digit(text.p[i]) : text.p[i] != pattern[i])
            return false;
    return true;
}

/* The next number of that many digits; *p is moved behind it and over what separates numbers. */
static int take_number(const char **p, int digits)
{
    int number = 0;

    while (!is_digit(**p))
        (*p)++;
    while (digits-- > 0)
        number = number * 10 + *(*p)++ - '0';
    return number;
}

static bool date_exists(struct date date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);

    if (date.month < 1 || date.month > 12 || date.day < 1)
        return false;
    return date.day <= days[date.month - 1] + (date.month == 2 && is_leap);
}

/* Milliseconds of ".123", of which 1..9 digits are allowed and what follows the third is cut. */
static bool parse_fraction(struct str text, int *ms)
{
    int weight = 100;

    *ms = 0;
    if (text.len < 2 || text.len > 10 || text.p[0] != '.')
        return false;
    for (size_t i = 1; i < text.len; i++, weight /= 10) {
        if (!is_digit(text.p[i]))
            return false;
        *ms += weight * (text.p[i] - '0');
    }
    return true;
}

bool clock_parse(struct str text, int64_t *time_ms)
{
    static const size_t seconds_end = sizeof("0000-00-00T00:00:00") - 1;
    struct date date;
    int hour, minute, second, ms = 0;
    const char *p = text.p;

    if (!has_shape(text, "00000000T000000Z")) {
        if (text.len <= seconds_end || text.p[text.len - 1] != 'Z' ||
            !has_shape(str_n(text.p, seconds_end), "0000-00-00T00:00:00"))
            return false;
        if (text.len > seconds_end + 1 &&
            !parse_fraction(str_n(p + seconds_end, text.len - seconds_end - 1), &ms))
            return false;
    }
    date.year = take_number(&p, 4);
    date.month = take_number(&p, 2);
    date.day = take_number(&p, 2);
    hour = take_number(&p, 2);
    minute = take_number(&p, 2);
    second = take_number(&p, 2);
    if (date.year < 1970 || !date_exists(date) || hour > 23 || minute > 59 || second > 59)
        return false;
    *time_ms = days_of(date) * MS_PER_DAY + (int64_t)hour * 3600000 + (int64_t)minute * 60000 +
               (int64_t)second * 1000 + ms;
    return true;
}

/*
 * Time. The wall clock is what the protocols speak of; the tick is monotonic and is what intervals
 * are measured with. Tests replace both.
 *
 * Texts: the compact UTC form yyyyMMdd'T'HHmmss'Z' of the application API (20190821T093015Z), and
 * the millisecond form yyyy-MM-dd'T'HH:mm:ss.SSS'Z' of devices and logs.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/str.h"

#define CLOCK_COMPACT_SIZE 17 /* with the NUL */
#define CLOCK_MILLIS_SIZE  25

int64_t clock_now_ms(void);  /* wall, since 1970 */
int64_t clock_tick_ms(void); /* monotonic */
int64_t clock_tick_us(void);

/* For tests: from now on the clocks stand still at these values until moved; clock_use_system
 * goes back. */
void clock_freeze(int64_t now_ms, int64_t tick_ms);
void clock_advance(int64_t by_ms); /* both clocks; only while frozen */
void clock_use_system(void);

void clock_format_compact(int64_t time_ms, char out[CLOCK_COMPACT_SIZE]);
void clock_format_millis(int64_t time_ms, char out[CLOCK_MILLIS_SIZE]);

/* Either form; the fraction may have 1..9 digits or be missing. Dates that do not exist (31 April)
 * and years before 1970 are refused. */
bool clock_parse(struct str text, int64_t *time_ms);

#endif

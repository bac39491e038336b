/* The event loop of a run: ends by time, by a signal (TERM, INT), or when somebody says so. */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* SIGPIPE is ignored from now on. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);

/* Runs until loop_stop, a signal, or the end of time_ms (0 = no end). At once when there was a signal
 * before. */
void loop_run(struct loop *loop, int64_t time_ms);
void loop_stop(struct loop *loop);
/* Looks for signals without waiting: was there one? For what does not run in the loop. */
bool loop_poll(struct loop *loop);
void loop_forgive(struct loop *loop); /* forgets the signal */

/* Calls every second while the loop runs, to fill one line; shown on stderr when that is a terminal,
 * over the line before. NULL: no more. */
typedef void (*loop_line_cb)(char *line, size_t size, void *arg);
void loop_show(struct loop *loop, loop_line_cb cb, void *arg);

/* A remark of the set-up, shown in the same place. */
void loop_remark(const char *format, ...) __attribute__((format(printf, 1, 2)));
void loop_clear_line(void);

#endif

/*
 * Deadlines of very many things of which few come due: a ring of lists, one for each step of time. A
 * thing whose deadline moves on again and again (a connection that is heard of) is not moved with it:
 * it is looked at when its list's time comes, and put further on then. So an idle thing costs nothing
 * but a look now and then, and a busy one nothing at all.
 */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H

#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_STEP_MS 100
#define WHEEL_SLOTS   2048 /* so the furthest list is some three minutes away */

struct wheel_entry { /* {0}: on no wheel */
    LIST_ENTRY(wheel_entry) link;
    int64_t step; /* when it is looked at, in steps; 0: on no wheel */
};

LIST_HEAD(wheel_list, wheel_entry);

struct wheel {
    int64_t step; /* the last one that was turned to */
    struct wheel_list slots[WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, int64_t tick_ms);
/* Look at it at that time at the latest, or earlier. What is to be looked at earlier anyway stays. */
void wheel_set(struct wheel *wheel, struct wheel_entry *entry, int64_t tick_ms);
void wheel_remove(struct wheel_entry *entry); /* also when it is on none */
/* Hands over whatever is to be looked at by now; it is on no wheel any more then, and look may set it
 * again or free it, and no other. */
void wheel_turn(struct wheel *wheel, int64_t tick_ms,
                void (*look)(struct wheel_entry *entry, void *arg), void *arg);

#endif

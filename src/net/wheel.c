#include "net/wheel.h"

#include <stddef.h>

void wheel_init(struct wheel *wheel, int64_t tick_ms)
{
    wheel->step = tick_ms / WHEEL_STEP_MS + 1; /* never 0 */
    for (int i = 0; i < WHEEL_SLOTS; i++)
        LIST_INIT(&wheel->slots[i]);
}

static int64_t step_of(int64_t tick_ms)
{
    return (tick_ms + WHEEL_STEP_MS - 1) / WHEEL_STEP_MS + 1; /* not before its time */
}

void wheel_set(struct wheel *wheel, struct wheel_entry *entry, int64_t tick_ms)
{
    int64_t step = step_of(tick_ms);

    if (step <= wheel->step)
        step = wheel->step + 1;
    if (step >= wheel->step + WHEEL_SLOTS)
        step = wheel->step + WHEEL_SLOTS - 1;
    if (entry->step && entry->step <= step)
        return;
    wheel_remove(entry);
    entry->step = step;
    LIST_INSERT_HEAD(&wheel->slots[step % WHEEL_SLOTS], entry, link);
}

void wheel_remove(struct wheel_entry *entry)
{
    if (!entry->step)
        return;
    LIST_REMOVE(entry, link);
    entry->step = 0;
}

void wheel_turn(struct wheel *wheel, int64_t tick_ms,
                void (*look)(struct wheel_entry *entry, void *arg), void *arg)
{
    int64_t last = tick_ms / WHEEL_STEP_MS + 1, behind = last - wheel->step;

    /* After a long sleep each list is looked through once. */
    if (behind > WHEEL_SLOTS)
        wheel->step = last - WHEEL_SLOTS;
    while (wheel->step < last) {
        struct wheel_entry *entry;

        /* What is set from here on goes to a later list. */
        wheel->step++;
        while ((entry = LIST_FIRST(&wheel->slots[wheel->step % WHEEL_SLOTS]))) {
            wheel_remove(entry);
            look(entry, arg);
        }
    }
}

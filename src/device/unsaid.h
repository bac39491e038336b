/*
 * What has to be told to Redis, and was not confirmed by it: it is said again until it is, for as long as
 * Redis cannot be reached, and some times more. So what a device has acknowledged or answered is not lost
 * because Redis was away at that moment. What is said must be safe to repeat.
 */
#ifndef DEVICE_UNSAID_H
#define DEVICE_UNSAID_H

#include "core/core.h"

#include <sys/queue.h>

struct unsaid { /* first member of what is to be said */
    STAILQ_ENTRY(unsaid) entry;
    unsigned tries; /* while Redis was connected */
    bool is_late;   /* it was not confirmed at once */
    void (*say)(struct unsaid *unsaid); /* ends in unsaid_add when that failed again */
    void (*drop)(struct unsaid *unsaid); /* the server ends, or Redis cannot take it: frees it */
};

struct unsaid_list {
    struct core *core;
    STAILQ_HEAD(, unsaid) list;
    struct event *timer;
};

void unsaid_init(struct unsaid_list *list, struct core *core);
void unsaid_clear(struct unsaid_list *list);
void unsaid_add(struct unsaid_list *list, struct unsaid *unsaid);

#endif

/*
 * What is parked: deliveries of a partition, set aside in Redis for one target that cannot take them
 * now. Private to src/push; written by park.c, read by unpark.c.
 *
 * In Redis a park is a zset without scores, so ordered by name. The name of a delivery,
 *
 *     <ms, 15 digits>-<number, 12 digits>.<part, 5 digits> <subscription>
 *
 * begins with the id of its event in the partition's event stream: whenever something is parked, it
 * takes its place in the order of storing, and parking it twice leaves one. Behind the name stand
 * attempts, refusals, and the event as it was in the stream.
 */
#ifndef PUSH_PARK_H
#define PUSH_PARK_H

#include "push/delivery.h"

#define PARK_NAME_SIZE 128

struct parking { /* a delivery on its way into a park */
    struct push_event *event;
    char name[PARK_NAME_SIZE];
    struct delivery_facts which; /* its id points into name */
    TAILQ_ENTRY(parking) link;
};
TAILQ_HEAD(parking_list, parking);

struct park {
    struct stream stream; /* what of it is in memory */
    struct target *target;
    struct parking_list writes;   /* to be sent */
    size_t write_count;
    struct parking_list unsettled; /* sent, not answered, in the order of the commands */
    size_t batches;                /* of them */
    bool is_due;                   /* stands in the parker's list */
    int64_t bytes, entries;        /* in Redis, at the last answer */
    int64_t oldest_ms; /* no entry that is not in memory is older (wall); INT64_MAX: there is none */
    bool has_unread;   /* or may have: entries that are not in memory */
    bool is_looked_through; /* by a target that no subscription leads to: nothing of any is left */
    bool is_reading;
    unsigned writes_seen, writes_sent, resets; /* what makes a read incomplete, or stale */
    char position[PARK_NAME_SIZE];    /* name of the last entry read; "" = before the first */
    char lowest[PARK_NAME_SIZE]; /* name of a write that a read sent before it cannot have; "" = none */
    TAILQ_ENTRY(park) in_due;
    TAILQ_ENTRY(park) in_partition;
};

/* false: the id is none of a stream's. */
bool park_write_name(char out[PARK_NAME_SIZE], struct str origin_id, unsigned part,
                     struct str subscription_id);
/* An entry of a park in its parts; origin_id is written into the buffer. */
bool park_read_entry(struct str entry, struct entry_facts *facts,
                     char origin_id[EVENT_ID_SIZE]);
void park_set_unread(struct park *park, bool has_unread);
/* Something was parked whose place is before what has been read. */
bool park_is_behind(const struct park *park);
void park_write_now(struct park *park); /* while Redis is connected */
/* All that is in Redis is in memory: what was not written yet need not be, if there is room for it. */
bool park_may_cancel_writes(const struct park *park);
void park_cancel_writes(struct park *park);
/* Nothing of it is in memory, on its way, or in Redis. */
bool park_is_over(const struct park *park);

#endif

/*
 * Watches: an administrator sees the events of one device as they are stored.
 *
 * An event leaves its stream as soon as it is delivered, so who reads that stream beside its owner
 * misses some. Therefore a watch has a stream of its own in the device's partition, to which the
 * owner copies what it reads (push/watcher.c), with the ids of the event stream: a copy made twice
 * is refused, and so is one of an event from before the watch. Beginning a watch appends
 * watch.started to the event stream; so the owner hears of it in the right place, and each event
 * stored behind it is either seen or counted as dropped, whoever owns the partition. A new owner
 * learns of watches with its claim.
 *
 * A watch belongs to the instance that was asked, and lives as long as somebody waits for its
 * events: what is not asked for within core_settings.watch_life_ms is gone, here and in Redis.
 */
#ifndef CORE_DEVICE_WATCH_H
#define CORE_DEVICE_WATCH_H

#include "base/arena.h"
#include "core/core.h"
#include "core/event.h"

#define WATCH_ID_DIGITS 16

void watches_new(struct core *core); /* set as core->watches until watches_free */
/* All end, and no more are opened; again before the connection goes. */
void watches_stop(struct core *core);
void watches_free(struct core *core); /* after the connection */

typedef void (*watch_opened_cb)(enum error error, struct str watch_id, void *arg);

/* ERR_DEVICE_NOT_FOUND; ERR_OVERLOADED: there are as many as there may be; ERR_INTERNAL. What is
 * returned is not called back. */
enum error watch_open(struct core *core, struct str device_id, watch_opened_cb cb, void *arg);
/* false: there is none. Whoever waits for it is answered ERR_NOT_FOUND. */
bool watch_close(struct core *core, struct str watch_id);

enum watch_state {
    WATCH_GOES,
    WATCH_UNOWNED,  /* nobody owns the partition: events are copied when somebody does */
    WATCH_NO_REDIS, /* Redis does not answer; it goes on when it does */
};

struct watch_event {
    struct str id; /* "<partition>-<id in its stream>", as in X-Notify-Id */
    struct event_facts facts;
};

/* What has happened since the last time, valid during the callback. */
struct watch_news {
    enum watch_state state;
    bool was_interrupted; /* Redis had lost the watch: some events before these are missing */
    uint64_t dropped;     /* before these, which came too fast or could not be copied */
    const struct watch_event *events;
    size_t count;
};
typedef void (*watch_news_cb)(enum error error, const struct watch_news *news, void *arg);

/* Answers when there are events, when the state is another than at the last answer, or after
 * wait_ms without. ERR_NOT_FOUND: no such watch; ERR_BAD_REQUEST: somebody waits for it already;
 * ERR_DEVICE_NOT_FOUND: the device has gone, and the watch with it; ERR_INTERNAL: we are stopping.
 * What is returned is not called back. */
enum error watch_wait(struct core *core, struct str watch_id, int64_t wait_ms, watch_news_cb cb,
                      void *arg);

#endif

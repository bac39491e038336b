/*
 * Sessions: which instance holds a device's connection. For transports that keep one open, as MQTT does.
 *
 * A device has one session at most, in the whole deployment. It stands in the device's record, as
 * `session` = "<node>:<number>"; a node is one life of an instance: "<instance>.<boot>". Opening a session
 * takes the place of the one before it, whoever holds that, and makes the device ONLINE; closing makes it
 * OFFLINE, but only while the session is still the device's: so the end of a connection that was taken
 * over says nothing. Reports name the session they came by (report.h), and are refused when it is not
 * the device's any more.
 *
 * What Redis did not confirm is repeated until it does; what an instance could not close because it
 * died is closed by whoever owns the partition (session_sweep), found in `{pN}:on:<node>`.
 *
 * Instances tell each other what they have to know by mailboxes in Redis, lists that live for a moment:
 * that a session was taken over, or that something waits for a device. What is lost on the way is found
 * out by the device's next report or connection, or by a timer.
 */
#ifndef CORE_SESSION_SESSION_H
#define CORE_SESSION_SESSION_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"
#include "core/core.h"

struct session { /* of a device that is connected here */
    UT_hash_handle hh;
    struct core *core;
    char *device_id;
    char *id;         /* as it stands in the record */
    void *connection; /* the transport's */
    int64_t since_ms; /* wall */
    bool is_current;  /* false: taken over, or gone from the record */
    unsigned recheck; /* the round of looking at all that it has been in */
};

/* What the transport is told and asked; from the loop. */
struct session_transport {
    /* The session is not the device's any more: end its connection. session_close follows, as ever. */
    void (*lost)(struct session *session);
    /* Members of an object, for the administrator. */
    void (*describe)(const struct session *session, struct json_writer *w);
    /* Something may wait for this device: the session's own, or one that is behind it. */
    void (*told)(struct session *session, struct str device_id);
};

struct sessions;

/* mailbox: a connection for blocking reads; NULL: this instance holds no devices, and only tells others.
 * Set as core->sessions until sessions_free. */
void sessions_new(struct core *core, const char *instance_id, struct redis *mailbox,
                  const struct session_transport *transport);
/* Redis can be used (again). */
void sessions_start(struct core *core);
/* No session is opened any more; stopped(arg) is called once, when all that were closed are so in Redis,
 * or after timeout_ms. */
void sessions_stop(struct core *core, int64_t timeout_ms, void (*stopped)(void *arg), void *arg);
void sessions_free(struct core *core); /* after both connections; all sessions are closed by then */

const char *sessions_node(const struct core *core);

typedef void (*session_cb)(enum error error, struct session *session, void *arg);

/* secret: as the login saw it. ERR_DEVICE_AUTH: the device is gone, or its secret is another now;
 * ERR_DEVICE_MUTED; ERR_INTERNAL. The arena lives until the callback. */
void session_open(struct core *core, struct arena *arena, struct str device_id, struct str secret,
                  session_cb cb, void *arg);
/* The connection has ended. Frees the session. */
void session_close(struct session *session);

struct session *session_find(const struct core *core, struct str device_id); /* NULL: not here */
size_t session_count(const struct core *core);
/* Those here, in no order: all whose place is from `skip` on, until each() returns false. */
void session_each(const struct core *core, size_t skip,
                  bool (*each)(const struct session *session, void *arg), void *arg);

void session_describe(const struct session *session, struct json_writer *w);

/* Something waits for the device. Whoever holds the connection it is to go by (its gateway's, or its own)
 * is told: this instance at once, another one by its mailbox, nobody when there is none. */
void session_tell(struct core *core, struct str holder_id, struct str device_id);
/* The device may not be connected any more (muted, a new secret): whoever holds the session that stands
 * in its record closes it. */
void session_end(struct core *core, struct str device_id);
/* The same for a record that is gone; session_id as it stood there, "" and STR_NONE: none. */
void session_end_at(struct core *core, struct str device_id, struct str session_id);
/* All of this instance's are looked at: it was silent for so long that others may have closed them. */
void sessions_recheck(struct core *core);

/* Closes what nodes hold in this partition whose instance is none of the live ones. */
void session_sweep(struct core *core, uint32_t partition, const struct str *live, size_t count);

#endif

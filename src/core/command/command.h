/*
 * Commands to devices.
 *
 * A cached command waits until its device can be reached, at most until the end of its cache time; they
 * go out one after the other, each when the one before was acknowledged. An immediate one goes before
 * them, or not at all. A call (sendCommand) is an immediate command of which nothing is kept.
 *
 * What was ordered is stored first; then whoever holds the device's connection is told, and takes the
 * next command with command_take_next. Taking marks it SENT, in the same step. What the device's
 * connection learns is written with command_delivered, _answered and _failed. Each change is an event
 * command.status, which the push engine brings to the command's own callback, and to subscribers.
 *
 *     PENDING ──> SENT ──> DELIVERED ──> SUCCESSFUL, FAILED, TIMEOUT
 *        │          └────────────────────^
 *        └──> EXPIRED, CANCELED
 *
 * All steps are in command.lua; a status that is final stays. What nobody took in time, and is not
 * immediate, is PENDING again, and its holder is told again from time to time. A durable timer per device
 * (push/timers.c) looks at deadlines.
 *
 * Kept per device: command.keep of them and for command.keep_time, but never less than are under way.
 * An application's list of all of its commands ({aAPP}:cmds) is written before the command: it may name
 * what is not there, which whoever reads it takes out.
 */
#ifndef CORE_COMMAND_COMMAND_H
#define CORE_COMMAND_COMMAND_H

#include "base/arena.h"
#include "base/json.h"
#include "core/core.h"

#define COMMAND_ID_DIGITS      32
#define COMMAND_RETRANSMIT_MAX 3

enum command_model_check { COMMAND_MODEL_LENIENT, COMMAND_MODEL_STRICT, COMMAND_MODEL_NONE };

struct command {
    struct str id, app_id, device_id;
    struct str service_id, method, paras; /* paras: a JSON object */
    struct str callback_url;              /* STR_NONE: none */
    int64_t expire_s;
    int64_t max_retransmit; /* -1: was not said */
    struct str status;
    bool has_result;   /* the status changed since the creation */
    struct str detail; /* JSON; STR_NONE: none */
    int64_t created_ms, issued_ms, delivered_ms, executed_ms; /* 0: not yet */
    int64_t times_sent;
};

typedef void (*command_cb)(enum error error, const struct command *command, void *arg);
typedef void (*command_done_cb)(enum error error, void *arg);

/* ---- ordering ---- */

struct command_order {
    struct str app_id, device_id;
    struct str service_id, method;
    const struct json *paras;  /* NULL: {} */
    struct str callback_url;   /* STR_NONE: none */
    int64_t expire_s;          /* 0: immediate */
    int64_t max_retransmit;    /* -1: was not said */
    bool is_call;              /* then immediate, and these count: */
    bool wants_no_confirmation;
    struct str request_id;     /* what confirmation and answer are called; STR_NONE: the command's id */
    struct str from;           /* whom they are to; STR_NONE: the application */
};

/* ERR_COMMAND_DEVICE, ERR_DEVICE_FROZEN, ERR_ZOMBIE, ERR_SERVICE_NOT_FOUND (of a call ERR_CALL_SERVICE),
 * ERR_DEVICE_PARAMETER (what the model forbids, or too long), ERR_COMMAND_NAME, ERR_COMMAND_MUTED,
 * ERR_CALLBACK_URL, ERR_CALLBACK_HOST, ERR_COMMAND_QUOTA, ERR_DEVICE_NOT_ONLINE,
 * ERR_GATEWAY_NOT_ONLINE. Everything lives in the arena, which lives until the callback. */
void command_create(struct core *core, struct arena *arena, const struct command_order *order,
                    command_cb cb, void *arg);

/* ---- looking, canceling ---- */

bool command_id_is_valid(const struct core *core, struct str id);

/* ERR_COMMAND_NOT_FOUND: none of the application's (app_id STR_NONE: of anybody's). */
void command_read(struct core *core, struct arena *arena, struct str app_id, struct str command_id,
                  command_cb cb, void *arg);

struct command_query {
    struct str app_id;
    struct str device_id;   /* STR_NONE: of all devices */
    int64_t from_ms, to_ms; /* of creation, both inclusive */
    uint64_t skip, count;
};
struct command_page {
    uint64_t total; /* of all that match */
    size_t count;
    const struct command *list; /* newest first */
};
typedef void (*command_page_cb)(enum error error, const struct command_page *page, void *arg);

/* ERR_COMMAND_DEVICE. */
void command_query(struct core *core, struct arena *arena, const struct command_query *query,
                   command_page_cb cb, void *arg);

/* Only while it is PENDING: ERR_COMMAND_NOT_FOUND, ERR_COMMAND_OVER. STR_NONE: any application, any
 * device. */
void command_cancel(struct core *core, struct arena *arena, struct str app_id, struct str device_id,
                    struct str command_id, command_cb cb, void *arg);

/* ---- for whoever holds a device's connection, or its gateway's: told by session_tell ---- */

struct command_taken {
    struct str id;
    uint16_t mid; /* its number among those of the device that are not over; never 0 */
    struct str service_id, method, paras;
    bool is_immediate;
    bool wants_no_confirmation;
    int64_t times_sent; /* 1: for the first time */
};
/* taken is NULL: there is none, or it has to wait for an acknowledgement. ERR_INTERNAL: Redis did not answer,
 * and there may be one that was taken. */
typedef void (*command_taken_cb)(enum error error, const struct command_taken *taken, void *arg);

struct command_question {
    struct str holder_id, session; /* of the holder's connection; another one has nothing to take */
    struct str device_id;
    struct str name; /* unique, without blanks: who got no answer asks once more by the same name */
};

/* After a command was taken there may be another. Nothing of the question is needed after it has returned;
 * taken lives until cb returns. */
void command_take_next(struct core *core, const struct command_question *question,
                       command_taken_cb cb, void *arg);

/* cb may be NULL. ERR_COMMAND_NOT_FOUND: it is not known; ERR_COMMAND_OVER: it is over already. */
void command_delivered(struct core *core, struct str device_id, struct str command_id,
                       command_done_cb cb, void *arg);

struct command_answer {
    struct str device_id;  /* STR_NONE: whom the command was for */
    struct str command_id; /* STR_NONE: mid, and the device */
    uint16_t mid;
    int64_t code;          /* 0: success */
    struct str response_name; /* STR_NONE: the device did not say; left out when it is very long */
    const struct json *body;  /* NULL: none */
};
/* holder_id: who brings it, the device or its gateway. A body larger than command.max_bytes is left
 * out. */
void command_answered(struct core *core, struct str holder_id, const struct command_answer *answer,
                      command_done_cb cb, void *arg);

/* It was taken, but the connection broke before it could be written. */
void command_failed(struct core *core, struct str device_id, struct str command_id,
                    command_done_cb cb, void *arg);

/* Durable timer (push/timers.c): nothing happens when the fence is not that of the partition's owner any
 * more. Also after a device was deleted, whose commands go then, and when one is not frozen any more: by
 * whomever, with fence "". cb may be NULL. */
void command_due(struct core *core, struct str device_id, struct str fence, command_done_cb cb,
                 void *arg);

#endif

/*
 * One asynchronous connection to Redis (hiredis on libevent): reconnects with backoff, runs scripts
 * by their SHA with recovery from NOSCRIPT, and times out.
 *
 * Every command's callback is called exactly once, never before the call has returned. After
 * REDIS_LOST and REDIS_TIMEOUT the outcome is unknown: the command may have been carried out, so
 * what is sent must be safe to repeat.
 *
 * Commands are carried out in the order they were sent, with one exception: a script that Redis has
 * forgotten (SCRIPT FLUSH) is sent again behind the commands that followed it.
 *
 * SUBSCRIBE, MONITOR and MULTI have no place here: one command has one reply.
 */
#ifndef STORE_REDIS_H
#define STORE_REDIS_H

#include "base/str.h"
#include <event2/event.h>
#include <hiredis/hiredis.h>

enum redis_status {
    REDIS_DONE,      /* reply is set */
    REDIS_ERROR,     /* Redis answered an error; reply is set, its text in reply->str */
    REDIS_NO_MEMORY, /* Redis refuses writes (OOM, MISCONF, NOREPLICAS); reply is set */
    REDIS_LOST,      /* not connected, the connection broke, or it led to a Redis that cannot serve
                        (LOADING, READONLY, MASTERDOWN, NOAUTH) and was dropped therefore */
    REDIS_TIMEOUT,   /* the oldest command got no reply within command_timeout_ms: the connection is
                        dropped, and all commands in flight end with this */
    REDIS_BUSY,      /* not carried out: too many commands in flight, or a script blocks Redis */
};

/* reply is NULL unless said otherwise, and freed after the callback. */
typedef void (*redis_cb)(enum redis_status status, const redisReply *reply, void *arg);

struct script {
    const char *name;
    const char *body;
    size_t body_len;
    char sha[41]; /* filled at start by redis_scripts_init */
};

struct redis;

struct redis_config {
    const char *url; /* "redis://[user:password@]host[:port][/db]" (user, password with %XX escapes,
                        host may be [IPv6]), "unix:/path[?db=N]" */
    const char *password_file; /* "" = none; its first line wins over the url's password; read again
                                  for each connection */
    const char *name;          /* CLIENT SETNAME, and in the log; no blanks */
    int64_t connect_timeout_ms; /* from the name's lookup to the first command */
    int64_t command_timeout_ms; /* 0 = none */
    bool has_blocking_reads;    /* replies come when something happens: their time is no duration */
    int64_t max_in_flight;      /* 0 = no limit */
    /* The state changed; on `true` the connection is authenticated, on its database, and Redis has
     * loaded its data. `false` comes after the callbacks of the commands that were in flight. May
     * be NULL. */
    void (*state)(bool is_connected, void *arg);
    void *arg;
};

/* NULL when the url is wrong or the password cannot be read, with a text in *error (free() it).
 * Copies the config. Starts connecting from the loop, and keeps trying (100 ms to 5 s apart). */
struct redis *redis_new(struct event_base *base, const struct redis_config *config, char **error);
/* Pending callbacks run with REDIS_LOST before it returns; state() is not called any more. Allowed
 * in callbacks, also in its own. A callback that sends again from here gets REDIS_LOST again, so it
 * must not do that for ever. NULL is allowed. */
void redis_free(struct redis *redis);
bool redis_is_connected(const struct redis *redis);
size_t redis_in_flight(const struct redis *redis); /* sent and not answered */

/* A url's syntax, for the settings: NULL when right, else what is wrong (static text). Accepts
 * "embedded:" too. */
const char *redis_url_check(const char *url);

/* A command from its words, at least one. cb may be NULL (errors are then only counted). The words
 * are copied. */
void redis_command(struct redis *redis, size_t argc, const struct str *argv, redis_cb cb,
                   void *arg);

/* A script. Keys and arguments are words; all keys carry one hash tag. The script must outlive the
 * connection. */
void redis_script(struct redis *redis, const struct script *script, size_t key_count,
                  const struct str *keys, size_t arg_count, const struct str *args, redis_cb cb,
                  void *arg);

/* Computes the scripts' SHAs. Once, before the first use. */
void redis_scripts_init(void);

/* Helpers for replies: STR_NONE / NULL when it is not that. */
struct str redis_reply_str(const redisReply *reply);
const redisReply *redis_reply_at(const redisReply *reply, size_t index); /* of an array */
int64_t redis_reply_i64(const redisReply *reply); /* integer, or digits; 0 otherwise */
bool redis_reply_is(const redisReply *reply, const char *text); /* a status or string */
/* In the flat field, value, ... array of HGETALL. */
struct str redis_reply_field(const redisReply *reply, const char *name);

#endif

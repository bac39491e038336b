/*
 * One command on its way: its bytes, and who waits for the reply. For the store's own use.
 */
#ifndef STORE_REDIS_REQUEST_H
#define STORE_REDIS_REQUEST_H

#include "store/redis.h"
#include <sys/queue.h>

struct redis_request {
    STAILQ_ENTRY(redis_request) next;
    redis_cb cb;
    void *arg;
    int64_t sent_us;
    enum redis_status status;    /* in deferred: how it ended */
    bool is_handshake;           /* ours: not counted, and sent before is_connected */
    const struct script *script; /* sent as EVALSHA: NOSCRIPT makes it an EVAL */
    size_t word_count, common;   /* of a script: its words; where EVAL and EVALSHA are alike from */
    size_t len;
    char bytes[];
};

STAILQ_HEAD(redis_request_queue, redis_request);

/* All are one allocation: free() it. */
struct redis_request *redis_request_new(size_t size_bytes, redis_cb cb,
                                        void *arg); /* bytes are not filled */
struct redis_request *redis_request_of_words(size_t count, const struct str *words, redis_cb cb,
                                             void *arg);
/* EVALSHA, or EVAL while the script has no hash. */
struct redis_request *redis_request_of_script(const struct script *script, size_t key_count,
                                              const struct str *keys, size_t arg_count,
                                              const struct str *args, redis_cb cb, void *arg);
/* A copy of a script's EVALSHA with the body in place of the hash. */
struct redis_request *redis_request_as_eval(const struct redis_request *request);

/* What an answer means to the caller; whether the caller gets to see it. */
enum redis_status redis_reply_status(const redisReply *reply);
bool redis_status_has_reply(enum redis_status status);
/* The first word of an error reply. */
bool redis_reply_is_error(const redisReply *reply, const char *code);

#endif

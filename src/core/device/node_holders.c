/*
 * Which devices have a node id, over all applications: a set by its digest, for logins. A member that
 * has it no more does no harm, since a login looks at its record.
 */
#include "core/device/node.h"

#include "base/crypto.h"
#include "base/log.h"
#include "store/keys.h"

#define HOLDERS_MAX  16
#define HOLDERS_READ "17" /* one more tells that there are too many */

static struct str key_of(struct key *key, struct str node_id)
{
    char digest[CRYPTO_SHA256_HEX_SIZE];

    crypto_sha256_hex(node_id, digest);
    return key_node_holders(key, str_of(digest));
}

static void change(struct core *core, const char *command, struct str node_id,
                   struct str device_id)
{
    struct key key;

    redis_command(core->redis, 3,
                  (struct str[]){str_of(command), key_of(&key, node_id), device_id}, NULL, NULL);
}

void node_hold(struct core *core, struct str node_id, struct str device_id)
{
    change(core, "SADD", node_id, device_id);
}

void node_unhold(struct core *core, struct str node_id, struct str device_id)
{
    change(core, "SREM", node_id, device_id);
}

struct question {
    struct arena *arena;
    node_holders_cb cb;
    void *arg;
};

static void holders_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct question *question = arg;
    struct str ids[HOLDERS_MAX];
    size_t count = 0;

    if (status == REDIS_DONE && reply->elements > HOLDERS_MAX)
        log_warn("device", "what=node_id state=ambiguous devices=%zu", reply->elements);
    else if (status == REDIS_DONE)
        for (; count < reply->elements; count++)
            ids[count] = arena_str(question->arena, redis_reply_str(redis_reply_at(reply, count)));
    question->cb(core_error_of(status), ids, count, question->arg);
}

void node_holders(struct core *core, struct arena *arena, struct str node_id, node_holders_cb cb,
                  void *arg)
{
    struct question *question = arena_alloc(arena, sizeof(*question));
    struct key key;

    *question = (struct question){arena, cb, arg};
    redis_command(core->redis, 3,
                  (struct str[]){STR("SRANDMEMBER"), key_of(&key, node_id), STR(HOLDERS_READ)},
                  holders_read, question);
}

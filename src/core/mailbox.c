#include "core/mailbox.h"

#include "base/mem.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdio.h>
#include <stdlib.h>

#define WAIT_S      "1"     /* for a word; shorter than the time a reply may take */
#define AT_ONCE     "100"
#define MOST        "10000" /* words that wait for one node */
#define LIFE_MS     "30000"
#define WORD_MAX    (3 * KEY_ID_MAX + 64)

struct mailbox {
    struct core *core;
    struct redis *redis;
    struct key key;
    struct str name;
    struct event *again;
    bool is_reading;
    void (*heard)(struct core *core, struct str word);
};

static void read_words(struct mailbox *mailbox);

/* A pause after a failure, else at once. */
static void read_again(struct mailbox *mailbox, int pause_ms)
{
    struct timeval pause = {0, pause_ms * 1000};

    event_add(mailbox->again, &pause);
}

static void words_read(enum redis_status status, const redisReply *reply, void *arg)
{
    struct mailbox *mailbox = arg;
    const redisReply *words = redis_reply_at(reply, 1);

    mailbox->is_reading = false;
    for (size_t i = 0; words && i < words->elements; i++)
        mailbox->heard(mailbox->core, redis_reply_str(redis_reply_at(words, i)));
    if (status == REDIS_DONE)
        read_words(mailbox);
    else
        read_again(mailbox, 200);
}

static void read_words(struct mailbox *mailbox)
{
    if (mailbox->is_reading)
        return;
    mailbox->is_reading = true;
    redis_command(mailbox->redis, 7,
                  (struct str[]){STR("BLMPOP"), STR(WAIT_S), STR("1"), mailbox->name, STR("LEFT"),
                                 STR("COUNT"), STR(AT_ONCE)},
                  words_read, mailbox);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    read_words(arg);
}

struct mailbox *mailbox_new(struct core *core, struct redis *redis, struct str node,
                            void (*heard)(struct core *core, struct str word))
{
    struct mailbox *mailbox = xcalloc(1, sizeof(*mailbox));

    mailbox->core = core;
    mailbox->redis = redis;
    mailbox->name = key_mailbox(&mailbox->key, node);
    mailbox->heard = heard;
    mailbox->again = evtimer_new(core->base, on_again, mailbox);
    return mailbox;
}

void mailbox_start(struct mailbox *mailbox)
{
    read_again(mailbox, 0);
}

void mailbox_free(struct mailbox *mailbox)
{
    if (!mailbox)
        return;
    event_free(mailbox->again);
    free(mailbox);
}

void mailbox_tell(struct core *core, struct str node, const char *what, struct str device_id,
                  struct str about)
{
    char word[WORD_MAX];
    struct key key;
    int len = snprintf(word, sizeof(word), "%s %.*s %.*s", what, STR_ARG(device_id),
                       STR_ARG(about));

    if (len < 0 || (size_t)len >= sizeof(word))
        return;
    redis_script(core->redis, &script_node_tell, 1, (struct str[]){key_mailbox(&key, node)}, 3,
                 (struct str[]){str_n(word, (size_t)len), STR(MOST), STR(LIFE_MS)}, NULL, NULL);
}

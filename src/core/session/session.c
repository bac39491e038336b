#include "core/session/session.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/device/device.h"
#include "core/mailbox.h"
#include "core/partition.h"
#include "core/session/private.h"
#include "store/keys.h"
#include "store/scripts_gen.h"

#include <stdio.h>
#include <stdlib.h>

#define RECHECKS_AT_ONCE 200
#define RECHECK_PAUSE_MS 20

/* ---- the table ---- */

struct session *session_find(const struct core *core, struct str device_id)
{
    struct session *session = NULL;

    if (core->sessions && device_id.len)
        HASH_FIND(hh, core->sessions->table, device_id.p, device_id.len, session);
    return session;
}

size_t session_count(const struct core *core)
{
    return core->sessions ? HASH_COUNT(core->sessions->table) : 0;
}

void session_each(const struct core *core, size_t skip,
                  bool (*each)(const struct session *session, void *arg), void *arg)
{
    const struct session *session = core->sessions ? core->sessions->table : NULL;

    for (; session && skip; skip--)
        session = session->hh.next;
    while (session && each(session, arg))
        session = session->hh.next;
}

void session_describe(const struct session *session, struct json_writer *w)
{
    session->core->sessions->transport->describe(session, w);
}

const char *sessions_node(const struct core *core)
{
    return core->sessions->node;
}

static void leave_table(struct session *session)
{
    struct sessions *sessions = session->core->sessions;

    if (!session->is_current)
        return;
    HASH_DEL(sessions->table, session);
    session->is_current = false;
    metric_set(M_MQTT_CONNECTIONS, (double)HASH_COUNT(sessions->table), NULL);
}

/* It is another's now, or nobody's. */
static void lose(struct session *session)
{
    leave_table(session);
    session->core->sessions->transport->lost(session);
}

static void enter_table(struct session *session)
{
    struct sessions *sessions = session->core->sessions;
    struct session *before = session_find(session->core, str_of(session->device_id));

    if (before)
        lose(before);
    session->is_current = true;
    HASH_ADD_KEYPTR(hh, sessions->table, session->device_id, strlen(session->device_id), session);
    metric_set(M_MQTT_CONNECTIONS, (double)HASH_COUNT(sessions->table), NULL);
}

static void session_free(struct session *session)
{
    leave_table(session);
    free(session->device_id);
    free(session->id);
    free(session);
}

/* ---- opening ---- */

struct opening {
    struct session *session;
    session_cb cb;
    void *arg;
};

static struct session *session_new(struct core *core, struct str device_id)
{
    struct sessions *sessions = core->sessions;
    struct session *session = xcalloc(1, sizeof(*session));

    session->core = core;
    session->device_id = str_dup(device_id);
    session->id = xasprintf("%s:%llu", sessions->node, (unsigned long long)++sessions->last_number);
    session->since_ms = clock_now_ms();
    session->recheck = sessions->recheck_round;
    return session;
}

/* "<node>:<number>" */
static struct str node_of(struct str session_id)
{
    struct str rest, node = str_split(session_id, ':', &rest);

    return rest.p ? node : STR_NONE;
}

static bool is_own(const struct core *core, struct str node)
{
    return core->sessions && str_eq(node, str_of(core->sessions->node));
}

/* about: the session to be closed, or the device to be told of. */
static void tell_holder(struct core *core, const char *what, struct str device_id,
                        struct str session_id, struct str about);

static void opened(enum redis_status status, const redisReply *reply, void *arg)
{
    struct opening *opening = arg;
    struct session *session = opening->session;
    struct core *core = session->core;
    struct str before = redis_reply_str(redis_reply_at(reply, 1));
    enum error error = core_error_of(status);

    if (error) {
        session_close(session); /* Redis may have carried it out */
    } else if (redis_reply_is(redis_reply_at(reply, 0), "OK")) {
        tell_holder(core, "close", str_of(session->device_id), before, before);
        enter_table(session);
    } else {
        error = redis_reply_is(redis_reply_at(reply, 0), "MUTED") ? ERR_DEVICE_MUTED
                                                                  : ERR_DEVICE_AUTH;
        session_free(session);
    }
    opening->cb(error, error ? NULL : session, opening->arg);
}

void session_open(struct core *core, struct arena *arena, struct str device_id, struct str secret,
                  session_cb cb, void *arg)
{
    struct opening *opening = arena_alloc(arena, sizeof(*opening));
    struct str node = str_of(core->sessions->node);
    uint32_t partition = partition_of(core, device_id);
    struct key device, events, timers, on_node, nodes, marks;
    struct decimal now;
    struct str keys[] = {key_device(&device, partition, device_id), key_events(&events, partition),
                         key_timers(&timers, partition), key_on_node(&on_node, partition, node),
                         key_nodes(&nodes, partition), key_index_marks(&marks, partition)};
    struct str args[5 + DEVICE_INFO_COUNT];

    *opening = (struct opening){session_new(core, device_id), cb, arg};
    args[0] = device_id;
    args[1] = secret;
    args[2] = str_of(opening->session->id);
    args[3] = decimal_str(&now, clock_now_ms());
    args[4] = node;
    for (size_t i = 0; i < DEVICE_INFO_COUNT; i++)
        args[5 + i] = str_of(device_info_names[i]);
    redis_script(core->redis, &script_session_open, 6, keys, 5 + DEVICE_INFO_COUNT, args, opened,
                 opening);
}

/* ---- closing ---- */

void session_close(struct session *session)
{
    struct core *core = session->core;

    session_close_at(core, str_of(session->device_id), str_of(session->id),
                     str_of(core->sessions->node), NULL, NULL);
    session_free(session);
}

/* ---- may it go on? ---- */

struct look {
    struct core *core;
    char *device_id, *session_id;
    char *target; /* to be told of; NULL: nothing to be told */
    unsigned recheck;
};

static void look_free(struct look *look)
{
    free(look->device_id);
    free(look->session_id);
    free(look->target);
    free(look);
}

static void looked(enum redis_status status, const redisReply *reply, void *arg)
{
    struct look *look = arg;
    struct session *session = session_find(look->core, str_of(look->device_id));
    struct str current = redis_reply_str(redis_reply_at(reply, 0));
    bool is_muted = redis_reply_is(redis_reply_at(reply, 1), "TRUE");

    if (session && strcmp(session->id, look->session_id) == 0) {
        if (status != REDIS_DONE)
            session->recheck = look->recheck;
        else if (is_muted || !str_eq(current, str_of(session->id)))
            lose(session);
        else if (look->target)
            look->core->sessions->transport->told(session, str_of(look->target));
    }
    look_free(look);
}

/* target STR_NONE: nothing is told. */
static void look_at(struct session *session, struct str target)
{
    struct core *core = session->core;
    struct str device_id = str_of(session->device_id);
    struct look *look = xcalloc(1, sizeof(*look));
    struct key key;

    look->core = core;
    look->device_id = xstrdup(session->device_id);
    look->session_id = xstrdup(session->id);
    look->target = target.p ? str_dup(target) : NULL;
    look->recheck = session->recheck;
    redis_command(core->redis, 4,
                  (struct str[]){STR("HMGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("session"), STR("mute")},
                  looked, look);
}

/* Some at a time. Those that Redis did not answer for have their old round again. */
static void recheck_some(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval pause = {0, RECHECK_PAUSE_MS * 1000};
    struct sessions *sessions = arg;
    struct session *session, *next;
    size_t looks = 0;

    (void)fd;
    (void)what;
    HASH_ITER (hh, sessions->table, session, next) {
        if (session->recheck == sessions->recheck_round)
            continue;
        if (looks++ == RECHECKS_AT_ONCE)
            break;
        look_at(session, STR_NONE);
        session->recheck = sessions->recheck_round;
    }
    if (looks)
        event_add(sessions->recheck, &pause);
}

void sessions_recheck(struct core *core)
{
    struct sessions *sessions = core->sessions;

    sessions->recheck_round++;
    event_active(sessions->recheck, EV_TIMEOUT, 0);
}

/* ---- telling ---- */

struct asking {
    struct core *core;
    const char *what;
    char *device_id;
    char *target; /* of "down" */
};

static void holder_known(enum redis_status status, const redisReply *reply, void *arg)
{
    struct asking *asking = arg;
    struct str session_id = redis_reply_str(reply);

    if (status == REDIS_DONE && session_id.len)
        tell_holder(asking->core, asking->what, str_of(asking->device_id), session_id,
                    asking->target ? str_of(asking->target) : session_id);
    free(asking->device_id);
    free(asking->target);
    free(asking);
}

static void ask_holder(struct core *core, const char *what, struct str device_id,
                       struct str target)
{
    struct asking *asking = xcalloc(1, sizeof(*asking));
    struct key key;

    asking->core = core;
    asking->what = what;
    asking->device_id = str_dup(device_id);
    asking->target = target.p ? str_dup(target) : NULL;
    redis_command(core->redis, 3,
                  (struct str[]){STR("HGET"),
                                 key_device(&key, partition_of(core, device_id), device_id),
                                 STR("session")},
                  holder_known, asking);
}

void session_tell(struct core *core, struct str holder_id, struct str device_id)
{
    struct session *session = session_find(core, holder_id);

    if (session)
        look_at(session, device_id);
    else if (core->sessions)
        ask_holder(core, "down", holder_id, device_id);
}

void session_end(struct core *core, struct str device_id)
{
    if (core->sessions)
        ask_holder(core, "close", device_id, STR_NONE);
}

void session_end_at(struct core *core, struct str device_id, struct str session_id)
{
    if (core->sessions && session_id.len)
        tell_holder(core, "close", device_id, session_id, session_id);
}

static void heard(struct core *core, struct str word)
{
    struct str rest, what = str_split(word, ' ', &rest), about;
    struct str device_id = str_split(rest, ' ', &about);
    struct session *session = session_find(core, device_id);

    if (!session)
        return;
    if (str_eq(what, STR("close"))) {
        if (str_eq(about, str_of(session->id)))
            lose(session);
    } else if (str_eq(what, STR("down")) && about.len) {
        look_at(session, about);
    }
}

/* about: the session to be closed, or the device to be told of. */
static void tell_holder(struct core *core, const char *what, struct str device_id,
                        struct str session_id, struct str about)
{
    struct str node = node_of(session_id);
    char word[3 * KEY_ID_MAX];

    if (!is_own(core, node)) {
        if (node.len && node.len <= KEY_ID_MAX)
            mailbox_tell(core, node, what, device_id, about);
        return;
    }
    snprintf(word, sizeof(word), "%s %.*s %.*s", what, STR_ARG(device_id), STR_ARG(about));
    heard(core, str_of(word));
}

/* ---- begin and end ---- */

void sessions_new(struct core *core, const char *instance_id, struct redis *mailbox,
                  const struct session_transport *transport)
{
    struct sessions *sessions = xcalloc(1, sizeof(*sessions));
    char boot[9];

    crypto_random_hex(boot, 8);
    sessions->core = core;
    sessions->node = xasprintf("%s.%s", instance_id, boot);
    sessions->transport = transport;
    session_closing_init(sessions);
    sessions->recheck = evtimer_new(core->base, recheck_some, sessions);
    core->sessions = sessions;
    sessions->mailbox = mailbox ? mailbox_new(core, mailbox, str_of(sessions->node), heard) : NULL;
}

void sessions_start(struct core *core)
{
    struct sessions *sessions = core->sessions;

    if (sessions->mailbox)
        mailbox_start(sessions->mailbox);
    session_sweep_own(core);
    session_closing_resume(sessions);
}

void sessions_free(struct core *core)
{
    struct sessions *sessions = core->sessions;

    if (!sessions)
        return;
    session_closing_free(sessions);
    session_sweep_free(sessions);
    mailbox_free(sessions->mailbox);
    event_free(sessions->recheck);
    free(sessions->node);
    free(sessions);
    core->sessions = NULL;
}

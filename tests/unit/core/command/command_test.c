/*
 * Commands against a real Redis, with a test in the place of a device's connection. The clock stands
 * still until it is moved, and a device's timer is run by hand, when it is due.
 */
#include "core/command/command.h"

#include "base/clock.h"
#include "base/mem.h"
#include "core/command/task.h"
#include "core/device/device.h"
#include "core/session/session.h"
#include "net/netpolicy.h"
#include "store/embedded.h"
#include "store/scripts.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW    1700000000000ll
#define SECOND 1000ll

static char dir[] = "/tmp/command_test-XXXXXX";
static struct event_base *base;
static struct embedded *embedded;
static struct redis *redis;
static redisContext *admin;
static struct netpolicy *policy;
static struct core_settings settings;
static struct core *core;
static struct arena *arena;

/* -- Redis ------------------------------------------------------------------------------------ */

static redisContext *dial(void)
{
    for (int i = 0; i < 1000; i++) {
        redisContext *context = redisConnectUnix(embedded_url(embedded) + strlen("unix:"));
        redisReply *reply = context->err ? NULL : redisCommand(context, "PING");
        bool is_up = reply && reply->type == REDIS_REPLY_STATUS;

        freeReplyObject(reply);
        if (is_up)
            return context;
        redisFree(context);
        usleep(10000);
    }
    fail_msg("redis-server does not answer");
    return NULL;
}

/* A command of plain words; its answer as text, which the next one overwrites. */
static const char *ask(const char *command)
{
    static char text[200];
    redisReply *reply = redisCommand(admin, command);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(text, sizeof(text), "%lld", reply->integer);
    else
        snprintf(text, sizeof(text), "%s", reply->str ? reply->str : "nil");
    freeReplyObject(reply);
    return text;
}

static const struct str D1 = {"d1", 2};

/* -- waiting ---------------------------------------------------------------------------------- */

static struct {
    bool is_there;
    enum error error;
    struct command command;
    size_t count;
    uint64_t total;
    struct str ids[8];
    struct command_taken taken;
} got;

static void wait_for_it(void)
{
    while (!got.is_there || (redis && redis_in_flight(redis) > 0))
        event_base_loop(base, EVLOOP_ONCE);
}

static void begin(void)
{
    memset(&got, 0, sizeof(got));
}

static void on_command(enum error error, const struct command *command, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
    if (!command)
        return;
    got.command = *command;
    got.command.status = str_of(arena_dup0(arena, command->status));
}

static void on_done(enum error error, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
}

static void on_page(enum error error, const struct command_page *page, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
    for (size_t i = 0; page && i < page->count && i < 8; i++)
        got.ids[i] = page->list[i].id;
    got.count = page ? page->count : 0;
    got.total = page ? page->total : 0;
}

static void on_taken(enum error error, const struct command_taken *taken, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
    if (!taken)
        return;
    got.taken = *taken;
    got.taken.id = arena_str(arena, taken->id);
    got.taken.service_id = arena_str(arena, taken->service_id);
    got.taken.method = arena_str(arena, taken->method);
    got.taken.paras = arena_str(arena, taken->paras);
}

/* -- what tests say --------------------------------------------------------------------------- */

static struct command_order an_order(int64_t expire_s)
{
    return (struct command_order){
        .app_id = STR("a"),
        .device_id = D1,
        .service_id = STR("Valve"),
        .method = STR("SET"),
        .expire_s = expire_s,
        .max_retransmit = -1,
    };
}

static enum error order(const struct command_order *wanted)
{
    begin();
    command_create(core, arena, wanted, on_command, NULL);
    wait_for_it();
    return got.error;
}

/* A cached one, or an immediate one; its id. */
static struct str ordered(int64_t expire_s, const char *status)
{
    struct command_order wanted = an_order(expire_s);

    assert_int_equal(order(&wanted), ERR_OK);
    assert_string_equal(got.command.status.p, status);
    return got.command.id;
}

static const char *status_of(struct str id)
{
    begin();
    command_read(core, arena, STR("a"), id, on_command, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_OK);
    return got.command.status.p;
}

static void assert_status(struct str id, const char *status)
{
    assert_string_equal(status_of(id), status);
}

static struct str taken_by(const char *name, const char *device_id, const char *holder,
                           const char *session)
{
    begin();
    command_take_next(core,
                      &(struct command_question){str_of(holder), str_of(session),
                                                 str_of(device_id), str_of(name)},
                      on_taken, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_OK);
    return got.taken.id;
}

static struct str taken_of(const char *device_id, const char *holder, const char *session)
{
    static int questions;

    return taken_by(arena_printf(arena, "q%d", ++questions), device_id, holder, session);
}

static struct str taken(const char *session)
{
    return taken_of("d1", "d1", session);
}

static void assert_taken(struct str id)
{
    assert_true(str_eq(taken("i:1"), id));
}

static void assert_none_is_taken(const char *session)
{
    assert_null(taken(session).p);
}

static enum error delivered(struct str id)
{
    begin();
    command_delivered(core, D1, id, on_done, NULL);
    wait_for_it();
    return got.error;
}

static enum error failed(struct str id)
{
    begin();
    command_failed(core, D1, id, on_done, NULL);
    wait_for_it();
    return got.error;
}

static enum error answered_as(const struct command_answer *answer)
{
    begin();
    command_answered(core, D1, answer, on_done, NULL);
    wait_for_it();
    return got.error;
}

static enum error answered(struct str id, int64_t code, const char *body)
{
    const struct json *json = body ? json_parse(arena, str_of(body), NULL) : NULL;

    return answered_as(
        &(struct command_answer){.command_id = id, .code = code, .body = json});
}

static enum error canceled(struct str id)
{
    begin();
    command_cancel(core, arena, STR("a"), STR_NONE, id, on_command, NULL);
    wait_for_it();
    return got.error;
}

/* Moves the clock, and runs the timer if its time has come. */
static void pass(int64_t ms)
{
    const char *due;

    clock_advance(ms);
    due = ask("ZSCORE {p0}:t command:d1");
    if (strcmp(due, "nil") == 0 || strtoll(due, NULL, 10) > clock_now_ms())
        return;
    begin();
    command_due(core, D1, STR("me:1"), on_done, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_OK);
}

/* What the stream's events say of the status, one after the other, since the last look. */
static void assert_events(const char *expected)
{
    redisReply *reply = redisCommand(admin, "XRANGE {p0}:q - +");
    char statuses[1000] = "";

    for (size_t i = 0; i < reply->elements; i++) {
        const char *entry = reply->element[i]->element[1]->element[1]->str;
        const char *status = strstr(entry, "\"status\":\"");

        assert_true(strncmp(entry, "1 command.status a d1 d1 ", 25) == 0);
        assert_non_null(status);
        snprintf(statuses + strlen(statuses), sizeof(statuses) - strlen(statuses), "%s%.*s",
                 i ? " " : "", (int)strcspn(status + 10, "\""), status + 10);
    }
    freeReplyObject(reply);
    ask("DEL {p0}:q");
    assert_string_equal(statuses, expected);
}

/* The payload of the newest event. */
static void assert_last_event(const char *expected)
{
    redisReply *reply = redisCommand(admin, "XREVRANGE {p0}:q + - COUNT 1");
    const char *entry = reply->element[0]->element[1]->element[1]->str;

    assert_string_equal(strchr(entry, '{'), expected);
    freeReplyObject(reply);
    ask("DEL {p0}:q");
}

/* -- start and end ---------------------------------------------------------------------------- */

static void on_state(bool is_connected, void *arg)
{
    (void)arg;
    got.is_there |= is_connected; /* before redis is set */
}

static int start_all(void **state)
{
    char *error = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    base = event_base_new();
    embedded = embedded_new(base,
                            &(struct embedded_config){.program = "redis-server",
                                                      .dir = dir,
                                                      .fsync = "everysec",
                                                      .stop_timeout_ms = 10000},
                            &error);
    if (!embedded)
        fail_msg("%s", error);
    redis_scripts_init();
    admin = dial();
    redis = redis_new(base,
                      &(struct redis_config){.url = embedded_url(embedded),
                                             .password_file = "",
                                             .name = "test",
                                             .connect_timeout_ms = 5000,
                                             .state = on_state},
                      &error);
    wait_for_it();
    policy = netpolicy_new("loopback", "", &error);
    return 0;
}

static void stopped(void *arg)
{
    (void)arg;
    event_base_loopbreak(base);
}

static int end_all(void **state)
{
    char *command = xasprintf("rm -rf %s", dir);
    int removed;

    (void)state;
    redis_free(redis);
    redisFree(admin);
    embedded_stop(embedded, stopped, NULL);
    event_base_dispatch(base);
    embedded_free(embedded);
    netpolicy_free(policy);
    event_base_free(base);
    removed = system(command);
    free(command);
    return removed;
}

static const struct session_transport transport; /* nobody connects here */

static int start(void **state)
{
    (void)state;
    clock_freeze(NOW, 1000);
    ask("FLUSHALL");
    settings = (struct core_settings){
        .commands_pending = 3,
        .command_keep = 100,
        .command_keep_time_ms = 3600 * SECOND,
        .commands_per_app = 1000,
        .command_tasks = 3,
        .command_max_bytes = 100,
        .command_cache_time_ms = 600 * SECOND,
        .command_cache_max_ms = 600 * SECOND,
        .command_take_timeout_ms = 10 * SECOND,
        .command_ack_timeout_ms = 60 * SECOND,
        .command_answer_timeout_ms = 30 * SECOND,
        .command_model_check = COMMAND_MODEL_NONE,
        .cache_apps = 10,
        .cache_models = 10,
    };
    core = core_new(base, redis, &settings, policy);
    core->partition_count = 1;
    sessions_new(core, "me", NULL, &transport);
    arena = arena_new();
    ask("HSET {p0}:d:d1 app a gateway d1 created 1699999999000");
    ask("SET {p0}:own me:1");
    return 0;
}

static int end(void **state)
{
    (void)state;
    sessions_free(core);
    core_free(core);
    arena_free(arena);
    clock_use_system();
    return 0;
}

static void connected(const char *session)
{
    redisReply *reply = redisCommand(admin, "HSET {p0}:d:d1 session %s", session);

    freeReplyObject(reply);
}

static struct str called(void)
{
    struct command_order wanted = an_order(0);

    wanted.is_call = true;
    wanted.request_id = STR("r 1");
    wanted.from = STR("/users/me");
    assert_int_equal(order(&wanted), ERR_OK);
    return got.command.id;
}

/* -- cached commands -------------------------------------------------------------------------- */

static void a_command_waits_for_its_device(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    assert_int_equal(got.command.times_sent, 0);
    assert_false(got.command.has_result);
    assert_none_is_taken("i:1"); /* this session is not the device's */
    connected("i:1");
    clock_advance(5 * SECOND);
    assert_taken(id);
    assert_string_equal(got.taken.service_id.p, "Valve");
    assert_string_equal(got.taken.method.p, "SET");
    assert_string_equal(got.taken.paras.p, "{}");
    assert_int_equal(got.taken.mid, 1);
    assert_false(got.taken.is_immediate);
    assert_status(id, "SENT");
    assert_true(got.command.has_result);
    assert_int_equal(got.command.issued_ms, NOW + 5 * SECOND);
    assert_int_equal(got.command.times_sent, 1);
    assert_int_equal(delivered(id), ERR_OK);
    assert_status(id, "DELIVERED");
    assert_int_equal(answered(id, 0, "{\"position\":75}"), ERR_OK);
    assert_status(id, "SUCCESSFUL");
    assert_string_equal(got.command.detail.p, "{\"position\":75}");
    assert_int_equal(got.command.executed_ms, NOW + 5 * SECOND);
    assert_events("SENT DELIVERED SUCCESSFUL");
}

static void the_creation_says_sent_when_the_device_is_there(void **state)
{
    struct str id;

    (void)state;
    connected("i:1");
    id = ordered(600, "SENT");
    assert_int_equal(got.command.issued_ms, NOW);
    assert_int_equal(got.command.times_sent, 0);
    assert_taken(id);
    assert_status(id, "SENT");
    assert_false(got.command.has_result);
    assert_events(""); /* that is no news */
    assert_int_equal(delivered(id), ERR_OK);
    assert_events("DELIVERED");
}

static void commands_go_one_after_the_other(void **state)
{
    struct str first = ordered(600, "PENDING"), second = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(first);
    assert_none_is_taken("i:1");
    assert_int_equal(delivered(first), ERR_OK);
    assert_taken(second);
}

static void commands_made_in_one_millisecond_keep_their_order(void **state)
{
    struct str ids[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        ids[i] = ordered(600, "PENDING");
    connected("i:1");
    for (int i = 0; i < 3; i++) {
        assert_taken(ids[i]);
        delivered(ids[i]);
    }
}

static void a_new_connection_does_not_wait_for_what_the_old_one_had(void **state)
{
    struct str first = ordered(600, "PENDING"), second = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(first);
    connected("j:2");
    assert_none_is_taken("i:1");
    assert_true(str_eq(taken("j:2"), second));
    assert_status(first, "SENT");
    assert_int_equal(answered(first, 0, NULL), ERR_OK); /* it had been carried out after all */
    assert_status(first, "SUCCESSFUL");
}

static void no_more_may_wait_than_the_limit(void **state)
{
    struct command_order wanted = an_order(600);

    (void)state;
    for (int i = 0; i < 3; i++)
        ordered(600, "PENDING");
    assert_int_equal(order(&wanted), ERR_COMMAND_QUOTA);
    assert_string_equal(ask("HLEN {p0}:cmds"), "3");
    assert_string_equal(ask("ZCARD {aa}:cmds"), "3");
    connected("i:1");
    wanted.expire_s = 0;
    assert_int_equal(order(&wanted), ERR_OK); /* an immediate one does not wait */
}

static void a_command_expires_at_the_end_of_its_cache_time(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    pass(599 * SECOND);
    assert_status(id, "PENDING");
    pass(1 * SECOND);
    assert_status(id, "EXPIRED");
    assert_events("EXPIRED");
    connected("i:1");
    assert_none_is_taken("i:1");
}

static void an_expired_command_is_not_sent_though_its_timer_did_not_run(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    clock_advance(601 * SECOND);
    connected("i:1");
    assert_none_is_taken("i:1");
    assert_status(id, "EXPIRED");
}

static void what_nobody_took_is_pending_again(void **state)
{
    struct str id;

    (void)state;
    connected("i:1");
    id = ordered(600, "SENT");
    pass(10 * SECOND);
    assert_status(id, "PENDING");
    assert_int_equal(got.command.issued_ms, 0);
    assert_events("");
    connected("j:2");
    assert_true(str_eq(taken("j:2"), id));
    assert_events("SENT");
}

/* What stands behind a command was told of, and the word was lost. */
static void whoever_did_not_take_it_is_told_again(void **state)
{
    struct str id;

    (void)state;
    connected("i:1");
    id = ordered(600, "SENT");
    for (int i = 0; i < 3; i++) {
        ask("DEL {g}:node:i");
        pass(i == 0 ? 10 * SECOND : 60 * SECOND);
        assert_status(id, "PENDING");
        assert_string_equal(ask("LPOP {g}:node:i"), "down d1 d1");
    }
    ask("HDEL {p0}:d:d1 session");
    pass(60 * SECOND); /* nobody is there to be told; it is offered when he comes */
    assert_string_equal(ask("ZSCORE {p0}:t command:d1"), "1700000600000");
    pass(410 * SECOND);
    assert_status(id, "EXPIRED");
    assert_events("EXPIRED");
}

static void the_same_question_gets_the_same_command(void **state)
{
    struct str first, second, id;

    (void)state;
    connected("i:1");
    first = ordered(0, "SENT");
    second = ordered(0, "SENT");
    for (int i = 0; i < 2; i++) { /* its answer was lost on the way */
        id = taken_by("x", "d1", "d1", "i:1");
        assert_true(str_eq(id, first));
        assert_int_equal(got.taken.mid, 1);
        assert_int_equal(got.taken.times_sent, 1);
    }
    assert_null(taken_by("x", "d1", "d1", "j:2").p); /* another session's is none of it */
    assert_int_equal(delivered(first), ERR_OK);
    assert_true(str_eq(taken_by("x", "d1", "d1", "i:1"), second));
    assert_events("DELIVERED");
}

static void a_frozen_device_is_sent_nothing(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    ask("HSET {p0}:d:d1 mute TRUE");
    assert_none_is_taken("i:1");
    assert_status(id, "PENDING");
    ask("HSET {p0}:d:d1 mute FALSE");
    assert_taken(id);
}

/* -- immediate ones --------------------------------------------------------------------------- */

static void an_immediate_command_needs_a_connection(void **state)
{
    struct command_order wanted = an_order(0);

    (void)state;
    assert_int_equal(order(&wanted), ERR_DEVICE_NOT_ONLINE);
    assert_string_equal(ask("EXISTS {p0}:cmd:d1 {aa}:cmds {p0}:cmds {p0}:t"), "0");
}

static void an_immediate_command_overtakes_those_that_wait(void **state)
{
    struct str first, second, at_once;

    (void)state;
    first = ordered(600, "PENDING");
    second = ordered(600, "PENDING");
    connected("i:1");
    assert_taken(first);
    at_once = ordered(0, "SENT");
    assert_taken(at_once);
    assert_true(got.taken.is_immediate);
    assert_none_is_taken("i:1");
    assert_int_equal(delivered(first), ERR_OK);
    assert_taken(second);
}

static void an_immediate_command_that_nobody_took_has_failed(void **state)
{
    struct str id;

    (void)state;
    connected("i:1");
    id = ordered(0, "SENT");
    pass(10 * SECOND);
    assert_status(id, "FAILED");
    assert_string_equal(got.command.detail.p, "{\"reason\":\"send command failed\"}");
    assert_none_is_taken("i:1");
    assert_events("FAILED");
}

static void a_device_that_sleeps_misses_it(void **state)
{
    struct str id;

    (void)state;
    ask("HSET {p0}:d:d1 protocolType CoAP");
    id = ordered(0, "SENT");
    assert_none_is_taken("");
    pass(59 * SECOND);
    assert_status(id, "SENT");
    pass(1 * SECOND);
    assert_status(id, "TIMEOUT");
    assert_events("TIMEOUT");
}

static void there_is_no_way_down_to_http_devices(void **state)
{
    struct command_order wanted = an_order(600);

    (void)state;
    ask("HSET {p0}:d:d1 protocolType HTTP");
    assert_int_equal(order(&wanted), ERR_DEVICE_NOT_ONLINE);
}

/* -- ends ------------------------------------------------------------------------------------- */

static void a_command_without_acknowledgement_times_out(void **state)
{
    struct str id, next;

    (void)state;
    id = ordered(600, "PENDING");
    next = ordered(600, "PENDING");
    connected("i:1");
    assert_taken(id);
    pass(60 * SECOND);
    assert_status(id, "TIMEOUT");
    assert_events("SENT TIMEOUT");
    assert_int_equal(delivered(id), ERR_COMMAND_OVER);
    assert_int_equal(answered(id, 0, "{}"), ERR_COMMAND_OVER);
    assert_status(id, "TIMEOUT");
    assert_taken(next);
}

static void an_answer_before_the_acknowledgement_is_both(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(id);
    assert_int_equal(answered(id, 1, "{\"why\":\"stuck\"}"), ERR_OK);
    assert_events("SENT DELIVERED FAILED");
    assert_status(id, "FAILED");
    assert_int_equal(delivered(id), ERR_COMMAND_OVER);
}

static void an_answer_is_found_by_its_number(void **state)
{
    struct str first = ordered(600, "PENDING"), second = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(first);
    delivered(first);
    assert_taken(second);
    assert_int_equal(got.taken.mid, 2);
    assert_int_equal(answered_as(&(struct command_answer){.mid = 2}), ERR_OK);
    assert_status(second, "SUCCESSFUL");
    assert_status(first, "DELIVERED");
    assert_int_equal(answered_as(&(struct command_answer){.mid = 2}), ERR_COMMAND_NOT_FOUND);
    assert_int_equal(answered_as(&(struct command_answer){.mid = 7}), ERR_COMMAND_NOT_FOUND);
}

static void numbers_of_open_commands_are_not_given_out_again(void **state)
{
    struct str first = ordered(600, "PENDING"), second = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(first);
    delivered(first);
    ask("HSET {p0}:cmd:d1 @mid 65535");
    assert_taken(second);
    assert_int_equal(got.taken.mid, 2); /* behind 65535 comes 1, which is taken */
}

static void a_delivered_command_stays_so_when_no_answer_is_expected(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(id);
    delivered(id);
    pass(1000 * SECOND);
    assert_status(id, "DELIVERED");
    assert_int_equal(answered(id, 0, NULL), ERR_OK); /* it comes all the same */
    assert_status(id, "SUCCESSFUL");
}

static void a_command_that_could_not_be_written_has_failed(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    connected("i:1");
    assert_taken(id);
    assert_int_equal(failed(id), ERR_OK);
    assert_status(id, "FAILED");
    assert_int_equal(failed(id), ERR_COMMAND_OVER);
    assert_events("SENT FAILED");
}

static void a_large_answer_is_left_out(void **state)
{
    struct str id = ordered(600, "PENDING");
    char body[200];

    (void)state;
    snprintf(body, sizeof(body), "{\"a\":\"%0150d\"}", 1);
    connected("i:1");
    assert_taken(id);
    assert_int_equal(answered(id, 0, body), ERR_OK);
    assert_status(id, "SUCCESSFUL");
    assert_null(got.command.detail.p);
}

static void commands_are_sent_again_only_when_that_is_wished(void **state)
{
    struct command_order wanted = an_order(600);
    struct str id;

    (void)state;
    settings.command_retransmit_after_ms = 5 * SECOND;
    wanted.max_retransmit = 1;
    connected("i:1");
    assert_int_equal(order(&wanted), ERR_OK);
    id = got.command.id;
    assert_taken(id);
    assert_int_equal(got.taken.times_sent, 1);
    pass(5 * SECOND);
    assert_taken(id);
    assert_int_equal(got.taken.times_sent, 2);
    assert_int_equal(got.taken.mid, 1);
    pass(10 * SECOND);
    assert_status(id, "SENT");
    assert_none_is_taken("i:1");
    pass(50 * SECOND);
    assert_status(id, "TIMEOUT");
    assert_int_equal(got.command.times_sent, 2);
    assert_events("TIMEOUT");
}

/* As a Redis has it that lost the last second before it was restarted. */
static void forget_that_it_was_taken(struct str id, const char *line)
{
    freeReplyObject(redisCommand(admin, "HSET {p0}:cmd:d1 %s/s %s",
                                 arena_dup0(arena, id), line));
    freeReplyObject(redisCommand(admin, "ZADD {p0}:cmdq:d1 2700000000000000 %s",
                                 arena_dup0(arena, id)));
    ask("HDEL {p0}:cmd:d1 @flight @taken");
    ask("DEL {p0}:q");
}

static void what_redis_forgot_to_have_sent_is_not_sent_again(void **state)
{
    struct str id;
    const char *line;

    (void)state;
    for (int i = 0; i < 2; i++) {
        id = ordered(600, "PENDING");
        line = arena_printf(arena, "%s", ask(arena_printf(arena, "HGET {p0}:cmd:d1 %.*s/s",
                                                          STR_ARG(id))));
        connected("i:1");
        assert_taken(id);
        forget_that_it_was_taken(id, line);
        assert_status(id, "PENDING");
        assert_int_equal(i ? answered(id, 0, NULL) : delivered(id), ERR_OK);
        assert_status(id, i ? "SUCCESSFUL" : "DELIVERED");
        assert_int_equal(got.command.times_sent, 1);
        assert_events(i ? "SENT DELIVERED SUCCESSFUL" : "SENT DELIVERED");
        assert_none_is_taken("i:1");
        ask("HDEL {p0}:d:d1 session");
    }
}

static void requeued_commands_are_sent_until_they_are_acknowledged(void **state)
{
    struct str id, at_once;

    (void)state;
    settings.command_is_requeued = true;
    connected("i:1");
    id = ordered(600, "SENT");
    assert_taken(id);
    at_once = ordered(0, "SENT");
    assert_taken(at_once);
    pass(60 * SECOND);
    assert_status(at_once, "TIMEOUT"); /* there is no later for it */
    assert_status(id, "SENT");
    assert_taken(id);
    assert_int_equal(got.taken.times_sent, 2);
    pass(60 * SECOND);
    assert_taken(id);
    assert_int_equal(delivered(id), ERR_OK);
    assert_status(id, "DELIVERED");
    assert_int_equal(got.command.times_sent, 3);
    assert_events("TIMEOUT DELIVERED");
}

static void requeued_commands_end_with_their_cache_time(void **state)
{
    struct str id, other;

    (void)state;
    settings.command_is_requeued = true;
    connected("i:1");
    id = ordered(100, "SENT");
    other = ordered(600, "PENDING");
    assert_taken(id);
    pass(60 * SECOND); /* it waits to be sent again, and nobody comes */
    assert_status(id, "SENT");
    clock_advance(40 * SECOND);
    assert_taken(other); /* though the timer did not run */
    assert_status(id, "TIMEOUT");
    id = ordered(100, "PENDING");
    assert_int_equal(delivered(other), ERR_OK);
    assert_taken(id);
    pass(60 * SECOND);
    pass(40 * SECOND);
    assert_status(id, "TIMEOUT");
    assert_none_is_taken("i:1");
}

static void a_late_acknowledgement_of_a_requeued_command_counts(void **state)
{
    struct str id;

    (void)state;
    settings.command_is_requeued = true;
    connected("i:1");
    id = ordered(600, "SENT");
    assert_taken(id);
    pass(60 * SECOND);
    assert_int_equal(delivered(id), ERR_OK);
    assert_none_is_taken("i:1");
}

/* -- canceling -------------------------------------------------------------------------------- */

static void only_a_pending_command_is_canceled(void **state)
{
    struct str id = ordered(600, "PENDING"), other = ordered(600, "PENDING");

    (void)state;
    assert_int_equal(canceled(id), ERR_OK);
    assert_string_equal(got.command.status.p, "CANCELED");
    assert_true(got.command.has_result);
    assert_int_equal(canceled(id), ERR_COMMAND_OVER);
    assert_events("CANCELED");
    connected("i:1");
    assert_taken(other);
    assert_int_equal(canceled(other), ERR_COMMAND_OVER);
    assert_int_equal(canceled(STR("00000123456789abcdef0123456789ab")), ERR_COMMAND_NOT_FOUND);
    assert_int_equal(canceled(STR("ffff0123456789abcdef0123456789ab")), ERR_COMMAND_NOT_FOUND);
    assert_int_equal(canceled(STR("x")), ERR_COMMAND_NOT_FOUND);
}

static void others_applications_commands_are_not_there(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    begin();
    command_cancel(core, arena, STR("b"), STR_NONE, id, on_command, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_COMMAND_NOT_FOUND);
    begin();
    command_cancel(core, arena, STR("a"), STR("d2"), id, on_command, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_COMMAND_NOT_FOUND);
    assert_status(id, "PENDING");
}

static void on_task(enum error error, const struct command_task *task, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
    got.total = task ? task->total : 0;
    got.count = task ? task->command_count : 0;
}

static void cancel_all(const char *device_id)
{
    begin();
    command_task_create(core, arena, STR("a"), str_of(device_id), on_task, NULL);
    wait_for_it();
}

static void on_tasks(enum error error, const struct command_task_page *page, void *arg)
{
    (void)arg;
    got.is_there = true;
    got.error = error;
    got.total = page->total;
    got.count = page->count;
}

static void a_task_cancels_all_that_are_pending(void **state)
{
    struct command_task_query query = {.app_id = STR("a"), .to_ms = INT64_MAX, .count = 10};
    struct str sent, id;

    (void)state;
    connected("i:1");
    sent = ordered(600, "SENT");
    assert_taken(sent);
    id = ordered(600, "PENDING");
    ordered(600, "PENDING");
    cancel_all("d1");
    assert_int_equal(got.error, ERR_OK);
    assert_int_equal(got.total, 2);
    assert_int_equal(got.count, 2);
    assert_status(sent, "SENT");
    assert_status(id, "CANCELED");
    cancel_all("d1");
    assert_int_equal(got.total, 0);
    cancel_all("d2");
    assert_int_equal(got.error, ERR_COMMAND_DEVICE);
    begin();
    command_task_query(core, arena, &query, on_tasks, NULL);
    wait_for_it();
    assert_int_equal(got.total, 2);
    assert_int_equal(got.count, 2);
}

static void tasks_are_kept_up_to_a_number(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        cancel_all("d1");
        clock_advance(1);
    }
    assert_string_equal(ask("HLEN {aa}:canc"), "3");
    assert_string_equal(ask("ZCARD {aa}:canco"), "3");
}

/* -- pages ------------------------------------------------------------------------------------ */

static void query(const char *device_id, int64_t from_ms, int64_t to_ms, uint64_t skip,
                  uint64_t count)
{
    struct command_query wanted = {STR("a"), str_of(device_id), from_ms, to_ms, skip, count};

    begin();
    command_query(core, arena, &wanted, on_page, NULL);
    wait_for_it();
}

static void pages_go_by_creation_newest_first(void **state)
{
    struct str ids[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        ids[i] = ordered(600, "PENDING");
        clock_advance(SECOND);
    }
    for (int i = 0; i < 2; i++) {
        const char *device_id = i ? "d1" : NULL;

        query(device_id, 0, INT64_MAX, 0, 2);
        assert_int_equal(got.total, 3);
        assert_int_equal(got.count, 2);
        assert_true(str_eq(got.ids[0], ids[2]) && str_eq(got.ids[1], ids[1]));
        query(device_id, 0, INT64_MAX, 2, 2);
        assert_int_equal(got.count, 1);
        assert_true(str_eq(got.ids[0], ids[0]));
        query(device_id, 0, INT64_MAX, 4, 2);
        assert_int_equal(got.count, 0);
        query(device_id, NOW + 1, NOW + SECOND, 0, 2);
        assert_int_equal(got.total, 1);
        assert_true(str_eq(got.ids[0], ids[1]));
    }
    query("d2", 0, INT64_MAX, 0, 2);
    assert_int_equal(got.error, ERR_COMMAND_DEVICE);
}

static void what_is_listed_but_not_there_leaves_the_list(void **state)
{
    (void)state;
    ordered(600, "PENDING");
    ask("ZADD {aa}:cmds 1699999999999 d1?x");
    freeReplyObject(redisCommand(admin, "ZADD {aa}:cmds 1699999000000 %s",
                                 "d9 00000123456789abcdef0123456789ab"));
    freeReplyObject(redisCommand(admin, "ZADD {aa}:cmds 1699999999000 %s",
                                 "d9 00001123456789abcdef0123456789ab"));
    query(NULL, 0, INT64_MAX, 0, 10);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.total, 2); /* one is no member at all */
    assert_string_equal(ask("ZCARD {aa}:cmds"), "3"); /* a new one may be under way */
}

static void pages_are_whole_whatever_is_missing(void **state)
{
    struct str ids[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        ids[i] = ordered(600, "PENDING");
        clock_advance(SECOND);
        freeReplyObject(redisCommand(admin, "ZADD {aa}:cmds %lld %s", (long long)clock_now_ms() - 1,
                                     arena_printf(arena, "d9 %032d", i)));
    }
    assert_string_equal(ask("ZCARD {aa}:cmds"), "6");
    clock_advance(70 * SECOND);
    query(NULL, 0, INT64_MAX, 0, 2);
    assert_int_equal(got.count, 2);
    assert_true(str_eq(got.ids[0], ids[2]) && str_eq(got.ids[1], ids[1]));
    query(NULL, 0, INT64_MAX, 2, 2);
    assert_int_equal(got.count, 1);
    assert_true(str_eq(got.ids[0], ids[0]));
    assert_int_equal(got.total, 3);
}

static void the_oldest_of_those_that_are_over_are_forgotten(void **state)
{
    struct str ids[4], waiting;

    (void)state;
    settings.command_keep = 2;
    settings.commands_pending = 10;
    waiting = ordered(600, "PENDING");
    for (int i = 0; i < 3; i++) {
        clock_advance(1);
        ids[i] = ordered(600, "PENDING");
        canceled(ids[i]);
    }
    clock_advance(1);
    ids[3] = ordered(600, "PENDING");
    assert_status(waiting, "PENDING");
    assert_string_equal(ask("ZCARD {p0}:cmdo:d1"), "2");
    assert_string_equal(ask("ZCARD {aa}:cmds"), "2");
    assert_string_equal(ask("HLEN {p0}:cmds"), "2");
    assert_int_equal(canceled(ids[2]), ERR_COMMAND_NOT_FOUND);
}

static void commands_are_forgotten_after_their_time_by_the_timer(void **state)
{
    struct str id = ordered(600, "PENDING");

    (void)state;
    canceled(id);
    pass(3599 * SECOND);
    assert_status(id, "CANCELED");
    pass(2 * SECOND);
    assert_int_equal(canceled(id), ERR_COMMAND_NOT_FOUND);
    assert_string_equal(ask("ZCARD {p0}:t"), "0");
    assert_string_equal(ask("EXISTS {p0}:cmdo:d1 {p0}:cmds"), "0");
}

/* A timer that is always due would run for ever. */
static void what_is_open_is_not_looked_at_before_its_deadline(void **state)
{
    struct str id;

    (void)state;
    settings.command_keep_time_ms = 10 * SECOND;
    id = ordered(600, "PENDING");
    assert_string_equal(ask("ZSCORE {p0}:t command:d1"), "1700000600000");
    pass(600 * SECOND);
    assert_int_equal(canceled(id), ERR_COMMAND_NOT_FOUND); /* expired, and its keeping is over */
    assert_string_equal(ask("EXISTS {p0}:cmdo:d1 {p0}:cmds {p0}:t"), "0");
}

static void the_record_says_whether_commands_may_wait(void **state)
{
    struct str first = ordered(600, "PENDING"), second = ordered(600, "PENDING");

    (void)state;
    assert_string_equal(ask("HGET {p0}:d:d1 orders"), "1");
    connected("i:1");
    assert_taken(first);
    assert_none_is_taken("i:1"); /* for the moment */
    assert_string_equal(ask("HGET {p0}:d:d1 orders"), "1");
    delivered(first);
    assert_taken(second);
    delivered(second);
    assert_none_is_taken("i:1");
    assert_string_equal(ask("HEXISTS {p0}:d:d1 orders"), "0");
    ordered(0, "SENT");
    assert_string_equal(ask("HGET {p0}:d:d1 orders"), "1");
}

static void the_commands_of_a_deleted_device_go(void **state)
{
    (void)state;
    connected("i:1");
    ordered(600, "SENT");
    called();
    ask("DEL {p0}:d:d1");
    pass(600 * SECOND);
    assert_string_equal(
        ask("EXISTS {p0}:cmd:d1 {p0}:cmdo:d1 {p0}:cmdq:d1 {p0}:cmdt:d1 {p0}:cmds {p0}:t"), "0");
}

/* -- who may be commanded --------------------------------------------------------------------- */

static void devices_are_refused_in_their_order(void **state)
{
    struct command_order wanted = an_order(600);

    (void)state;
    settings.command_zombie_after_ms = 100 * SECOND;
    wanted.callback_url = STR("ftp://x/");
    ask("HSET {p0}:d:d1 mute TRUE seen 1699999000000");
    wanted.device_id = STR("d2");
    assert_int_equal(order(&wanted), ERR_COMMAND_DEVICE);
    wanted.device_id = D1;
    wanted.app_id = STR("b");
    assert_int_equal(order(&wanted), ERR_COMMAND_DEVICE);
    wanted.app_id = STR("a");
    assert_int_equal(order(&wanted), ERR_DEVICE_FROZEN);
    ask("HSET {p0}:d:d1 mute FALSE");
    assert_int_equal(order(&wanted), ERR_ZOMBIE);
    ask("HSET {p0}:d:d1 seen 1699999950000");
    assert_int_equal(order(&wanted), ERR_CALLBACK_URL);
    wanted.callback_url = STR("http://127.0.0.1:9000/x");
    assert_int_equal(order(&wanted), ERR_OK);
}

static void a_device_that_was_never_seen_is_as_old_as_its_registration(void **state)
{
    struct command_order wanted = an_order(600);

    (void)state;
    settings.command_zombie_after_ms = 100 * SECOND;
    assert_int_equal(order(&wanted), ERR_OK);
    clock_advance(100 * SECOND + device_seen_lag_ms(core));
    assert_int_equal(order(&wanted), ERR_ZOMBIE);
    connected("i:1");
    assert_int_equal(order(&wanted), ERR_OK);
}

/* -- a gateway's devices ---------------------------------------------------------------------- */

/* The node of a session "i:9" is told of the device by its holder. */
static void assert_told(const char *word)
{
    assert_string_equal(ask("LPOP {g}:node:i"), word);
}

static void a_child_is_reached_by_its_gateway(void **state)
{
    struct str id;

    (void)state;
    ask("HSET {p0}:d:d1 gateway g1");
    ask("HSET {p0}:d:g1 app a gateway g1 session i:9");
    id = ordered(0, "SENT");
    assert_told("down g1 d1");
    assert_null(taken_of("d1", "d1", "i:9").p);
    assert_null(taken_of("d1", "g2", "i:9").p); /* no gateway of it any more */
    assert_true(str_eq(taken_of("d1", "g1", "i:9"), id));
}

static void a_childs_gateway_must_be_online_for_what_is_immediate(void **state)
{
    struct command_order wanted = an_order(0);

    (void)state;
    ask("HSET {p0}:d:d1 gateway g1");
    ask("HSET {p0}:d:g1 app a gateway g1");
    assert_int_equal(order(&wanted), ERR_DEVICE_NOT_ONLINE);
    wanted.is_call = true;
    assert_int_equal(order(&wanted), ERR_GATEWAY_NOT_ONLINE);
}

static void a_child_that_connects_by_itself_is_its_own_holder(void **state)
{
    struct str id;

    (void)state;
    ask("HSET {p0}:d:d1 gateway g1");
    ask("HSET {p0}:d:g1 app a gateway g1 session i:9");
    connected("i:1");
    id = ordered(0, "SENT");
    assert_told("down d1 d1");
    assert_taken(id);
}

static void a_gateway_answers_for_its_children(void **state)
{
    struct str first, second;

    (void)state;
    ask("HSET {p0}:d:d1 gateway g1");
    ask("HSET {p0}:d:g1 app a gateway g1 session i:9");
    first = ordered(0, "SENT");
    second = ordered(0, "SENT");
    assert_true(str_eq(taken_of("d1", "g1", "i:9"), first));
    assert_true(str_eq(taken_of("d1", "g1", "i:9"), second));
    begin();
    command_answered(core, STR("g2"), &(struct command_answer){.command_id = first}, on_done, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_COMMAND_NOT_FOUND);
    begin();
    command_answered(core, STR("g1"), &(struct command_answer){.command_id = first}, on_done, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_OK);
    assert_status(first, "SUCCESSFUL");
    begin();
    command_answered(core, STR("g1"), &(struct command_answer){.device_id = D1, .mid = 2, .code = 1},
                     on_done, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_OK);
    assert_status(second, "FAILED");
    begin();
    command_answered(core, STR("g1"), &(struct command_answer){.command_id = STR("nonsense")},
                     on_done, NULL);
    wait_for_it();
    assert_int_equal(got.error, ERR_COMMAND_NOT_FOUND);
}

static void after_a_timeout_the_next_one_is_told_of(void **state)
{
    (void)state;
    connected("i:1");
    assert_taken(ordered(600, "SENT"));
    ordered(600, "PENDING");
    ask("DEL {g}:node:i");
    pass(60 * SECOND);
    assert_told("down d1 d1");
}

/* -- calls ------------------------------------------------------------------------------------ */

static void nothing_is_kept_of_a_call(void **state)
{
    struct str id;

    (void)state;
    connected("i:1");
    id = called();
    assert_string_equal(ask("EXISTS {aa}:cmds {p0}:cmdo:d1"), "0");
    assert_taken(id);
    assert_int_equal(delivered(id), ERR_OK);
    assert_string_equal(ask("HEXISTS {p0}:cmd:d1 @m1"), "0");
    assert_string_equal(ask("ZCARD {p0}:cmdt:d1"), "0");
    assert_string_equal(ask("HLEN {p0}:cmd:d1"), "3"); /* @mid, @order, @taken */
    assert_string_equal(ask("EXISTS {p0}:cmds"), "0");
}

static void events_say_what_notifications_need(void **state)
{
    struct str id;
    char expected[500];

    (void)state;
    connected("i:1");
    id = called();
    assert_taken(id);
    assert_int_equal(delivered(id), ERR_OK);
    snprintf(expected, sizeof(expected),
             "{\"id\":\"%.*s\",\"service\":\"Valve\",\"serviceType\":\"Valve\",\"method\":\"SET\","
             "\"to\":\"/users/me\",\"request\":\"r 1\",\"call\":true,\"status\":\"DELIVERED\"}",
             STR_ARG(id));
    assert_last_event(expected);
    id = ordered(600, "SENT");
    assert_taken(id);
    answered_as(&(struct command_answer){
        .command_id = id, .code = 4, .response_name = STR("R"), .body = json_parse(arena, STR("{\"a\": 1}"), NULL)});
    snprintf(expected, sizeof(expected),
             "{\"id\":\"%.*s\",\"service\":\"Valve\",\"serviceType\":\"Valve\",\"method\":\"SET\","
             "\"to\":\"/users/a\",\"status\":\"FAILED\",\"detail\":{\"a\":1},\"answered\":true,"
             "\"code\":4,\"response\":\"R\"}",
             STR_ARG(id));
    assert_last_event(expected);
}

static void a_call_that_is_not_answered_leaves_nothing(void **state)
{
    (void)state;
    connected("i:1");
    called();
    pass(10 * SECOND);
    assert_events("FAILED");
    assert_taken(called());
    pass(60 * SECOND);
    assert_events("TIMEOUT");
    assert_string_equal(ask("HLEN {p0}:cmd:d1"), "3"); /* @mid, @order, @taken */
    assert_string_equal(ask("EXISTS {p0}:cmdq:d1 {p0}:cmdt:d1 {p0}:t"), "0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_waits_for_its_device),
        TEST(the_creation_says_sent_when_the_device_is_there),
        TEST(commands_go_one_after_the_other),
        TEST(commands_made_in_one_millisecond_keep_their_order),
        TEST(a_new_connection_does_not_wait_for_what_the_old_one_had),
        TEST(no_more_may_wait_than_the_limit),
        TEST(a_command_expires_at_the_end_of_its_cache_time),
        TEST(an_expired_command_is_not_sent_though_its_timer_did_not_run),
        TEST(what_nobody_took_is_pending_again),
        TEST(whoever_did_not_take_it_is_told_again),
        TEST(the_same_question_gets_the_same_command),
        TEST(a_frozen_device_is_sent_nothing),
        TEST(an_immediate_command_needs_a_connection),
        TEST(an_immediate_command_overtakes_those_that_wait),
        TEST(an_immediate_command_that_nobody_took_has_failed),
        TEST(a_device_that_sleeps_misses_it),
        TEST(there_is_no_way_down_to_http_devices),
        TEST(a_command_without_acknowledgement_times_out),
        TEST(an_answer_before_the_acknowledgement_is_both),
        TEST(an_answer_is_found_by_its_number),
        TEST(numbers_of_open_commands_are_not_given_out_again),
        TEST(a_delivered_command_stays_so_when_no_answer_is_expected),
        TEST(a_command_that_could_not_be_written_has_failed),
        TEST(a_large_answer_is_left_out),
        TEST(commands_are_sent_again_only_when_that_is_wished),
        TEST(what_redis_forgot_to_have_sent_is_not_sent_again),
        TEST(requeued_commands_are_sent_until_they_are_acknowledged),
        TEST(requeued_commands_end_with_their_cache_time),
        TEST(a_late_acknowledgement_of_a_requeued_command_counts),
        TEST(only_a_pending_command_is_canceled),
        TEST(others_applications_commands_are_not_there),
        TEST(a_task_cancels_all_that_are_pending),
        TEST(tasks_are_kept_up_to_a_number),
        TEST(pages_go_by_creation_newest_first),
        TEST(what_is_listed_but_not_there_leaves_the_list),
        TEST(pages_are_whole_whatever_is_missing),
        TEST(the_oldest_of_those_that_are_over_are_forgotten),
        TEST(commands_are_forgotten_after_their_time_by_the_timer),
        TEST(what_is_open_is_not_looked_at_before_its_deadline),
        TEST(the_record_says_whether_commands_may_wait),
        TEST(the_commands_of_a_deleted_device_go),
        TEST(devices_are_refused_in_their_order),
        TEST(a_device_that_was_never_seen_is_as_old_as_its_registration),
        TEST(a_child_is_reached_by_its_gateway),
        TEST(a_childs_gateway_must_be_online_for_what_is_immediate),
        TEST(a_child_that_connects_by_itself_is_its_own_holder),
        TEST(a_gateway_answers_for_its_children),
        TEST(after_a_timeout_the_next_one_is_told_of),
        TEST(nothing_is_kept_of_a_call),
        TEST(events_say_what_notifications_need),
        TEST(a_call_that_is_not_answered_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, start_all, end_all);
}

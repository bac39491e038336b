/*
 * The scripts against a real Redis. Each run is made by a Redis user who may touch the keys that
 * the run was given and no others, so a script that reaches beyond them fails its test. State is
 * compared as text, all of it: see state_script.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/embedded.h"
#include "store/scripts_gen.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DEVICE    "{p7}:d:dev1"
#define SHADOW    "{p7}:sh:dev1"
#define CHILDREN  "{p7}:ch:dev1"
#define HISTORY   "{p7}:h:dev1"
#define DESIRED   "{p7}:ds:dev1"
#define DESIRED_HISTORY "{p7}:dh:dev1"
#define EVENTS    "{p7}:q"
#define TIMERS    "{p7}:t"
#define APP       "{aapp1}:app"
#define NODES     "{aapp1}:nodes"
#define DEVICES   "{aapp1}:devs"
#define ORDINALS  "{aapp1}:ord"
#define BLOCKS    "{aapp1}:blocks"
#define LIVE      "{aapp1}:x:0:live"
#define MARKS     "{p7}:dirty"
#define WORKING   "{p7}:working"
#define MARKED    MARKS " app1:dev1\n"
#define SUBS      "{aapp1}:sub"
#define INDEX     "{aapp1}:subkey"
#define GROUPS    "{aapp1}:grp"
#define NAMES     "{aapp1}:grpname"
#define ORDER     "{aapp1}:grporder"
#define MEMBERS   "{aapp1}:grpmember"
#define GROUPS_OF "{aapp1}:grpof"
#define DEAD      "{aapp1}:grpdead"
#define MODELS    "{aapp1}:models"
#define MODEL_KEYS "{aapp1}:modelkeys"
#define MODEL_DATA "{aapp1}:modeldata"
#define PACKAGES  "{aapp1}:packages"
#define MODEL_EVENTS "{aapp1}:modelevents"
#define CODE      "vc:{digest}"
#define LEASE     "{p7}:own"
#define EPOCH     "{p7}:epoch"
#define PARKED    "{p7}:park:d"
#define TABLE     "{p7}:parked"
#define WATCH     "{p7}:w:w1"
#define WATCHED   "{p7}:watched"
#define DEPLOYMENT "{g}:conf"
#define BREAKERS  "{a1}:breakers"
#define APP_BREAKERS "{aapp1}:breakers"
#define INSTANCES "{g}:inst"

static char dir[] = "/tmp/lua_test-XXXXXX";
static struct event_base *base;
static struct embedded *embedded;
static redisContext *admin, *fenced; /* who may do all; who runs the scripts */

/* -- talking to Redis ------------------------------------------------------------------------- */

/* Blocking; the child may still be starting. */
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

static redisReply *call(redisContext *context, size_t count, const char **words)
{
    redisReply *reply = redisCommandArgv(context, (int)count, words, NULL);

    if (!reply)
        fail_msg("%s", context->errstr);
    return reply;
}

/* A command of plain words: what a test begins with. */
static void given(const char *command)
{
    redisReply *reply = redisCommand(admin, command);

    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", command, reply->str);
    freeReplyObject(reply);
}

/* What is not one plain word. */
static void given_field(const char *key, const char *field, const char *value)
{
    freeReplyObject(call(admin, 4, (const char *[]){"HSET", key, field, value}));
}

static void given_member(const char *member)
{
    freeReplyObject(call(admin, 4, (const char *[]){"ZADD", MEMBERS, "0", member}));
}

/* One key a line, sorted: its name and what it holds; of a stream the events without their ids. */
static const char state_script[] =
    "local keys, lines = redis.call('KEYS', '*'), {}\n"
    "table.sort(keys)\n"
    "for _, key in ipairs(keys) do\n"
    "  local kind, words = redis.call('TYPE', key).ok, {}\n"
    "  if kind == 'string' then words[1] = redis.call('GET', key)\n"
    "  elseif kind == 'set' then words = redis.call('SMEMBERS', key)\n"
    "  elseif kind == 'stream' then\n"
    "    for _, e in ipairs(redis.call('XRANGE', key, '-', '+')) do\n"
    "      words[#words + 1] = '\\n  ' .. table.concat(e[2], ' ')\n"
    "    end\n"
    "  else\n"
    "    local flat = kind == 'hash' and redis.call('HGETALL', key)\n"
    "                 or redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')\n"
    "    for i = 1, #flat, 2 do words[#words + 1] = flat[i] .. '=' .. flat[i + 1] end\n"
    "  end\n"
    "  if kind ~= 'stream' then table.sort(words) end\n"
    "  local gap = kind == 'stream' and '' or ' '\n"
    "  lines[#lines + 1] = key .. gap .. table.concat(words, gap) .. '\\n'\n"
    "end\n"
    "return table.concat(lines)\n";

static char *state_text(void)
{
    redisReply *reply = call(admin, 3, (const char *[]){"EVAL", state_script, "0"});
    char *text;

    if (reply->type != REDIS_REPLY_STRING)
        fail_msg("%s", reply->str);
    text = xstrdup(reply->str);
    freeReplyObject(reply);
    return text;
}

static void assert_state(const char *expected)
{
    char *text = state_text(), copy[4000];

    snprintf(copy, sizeof(copy), "%s", text); /* a failed comparison does not come back */
    free(text);
    assert_string_equal(copy, expected);
}

/* The words of a reply with blanks between them; a status has a plus before it. */
static void add_reply(const redisReply *reply, char *text, size_t size)
{
    size_t len = strlen(text);

    switch (reply->type) {
    case REDIS_REPLY_STRING:
        snprintf(text + len, size - len, "%s", reply->str);
        break;
    case REDIS_REPLY_STATUS:
        snprintf(text + len, size - len, "+%s", reply->str);
        break;
    case REDIS_REPLY_INTEGER:
        snprintf(text + len, size - len, "%lld", reply->integer);
        break;
    case REDIS_REPLY_ARRAY:
        for (size_t i = 0; i < reply->elements; i++) {
            if (i)
                snprintf(text + strlen(text), size - strlen(text), " ");
            add_reply(reply->element[i], text, size);
        }
        break;
    default:
        snprintf(text + len, size - len, "nil");
    }
}

static size_t count_words(const char *const *words)
{
    size_t count = 0;

    while (words[count])
        count++;
    return count;
}

/* From now on the scripts' user may touch these keys and no others. */
static void fence(const char *const *keys)
{
    const char *words[20] = {"ACL", "SETUSER", "script", "reset", "on", "nopass", "+@all"};
    char patterns[10][100];
    size_t count = 7;

    for (size_t i = 0; keys[i]; i++) {
        assert_true(i < 10);
        snprintf(patterns[i], sizeof(patterns[i]), "~%s", keys[i]);
        words[count++] = patterns[i];
    }
    freeReplyObject(call(admin, count, words));
}

static redisReply *eval(const char *body, const char *const *keys, const char *const *args)
{
    size_t key_count = count_words(keys), arg_count = count_words(args), n = 3;
    const char **words = xcalloc(3 + key_count + arg_count, sizeof(*words));
    char number[20];
    redisReply *reply;

    fence(keys);
    snprintf(number, sizeof(number), "%zu", key_count);
    words[0] = "EVAL";
    words[1] = body;
    words[2] = number;
    for (size_t i = 0; i < key_count; i++)
        words[n++] = keys[i];
    for (size_t i = 0; i < arg_count; i++)
        words[n++] = args[i];
    reply = call(fenced, n, words);
    free(words);
    return reply;
}

static void assert_answer(const char *expected, const struct script *script,
                          const char *const *keys, const char *const *args)
{
    redisReply *reply = eval(script->body, keys, args);
    char text[1000] = "";

    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", script->name, reply->str);
    add_reply(reply, text, sizeof(text));
    freeReplyObject(reply);
    assert_string_equal(text, expected);
}

/* A second run answers this, and leaves everything as the first one did. */
static void assert_second_answer(const char *expected, const struct script *script,
                                 const char *const *keys, const char *const *args)
{
    char *before = state_text();

    assert_answer(expected, script, keys, args);
    assert_state(before);
    free(before);
}

#define KEYS(...)                            ((const char *const[]){__VA_ARGS__, NULL})
#define ARGS(...)                            ((const char *const[]){__VA_ARGS__, NULL})

#define ANSWER(expected, script, keys, args) assert_answer(expected, &script_##script, keys, args)
#define SECOND_ANSWER(expected, script, keys, args)                                                \
    assert_second_answer(expected, &script_##script, keys, args)
#define TWICE(expected, script, keys, args)                                                        \
    do {                                                                                           \
        ANSWER(expected, script, keys, args);                                                      \
        SECOND_ANSWER(expected, script, keys, args);                                               \
    } while (0)

/* It answers this and leaves everything as it is. */
#define REFUSED(expected, script, keys, args) SECOND_ANSWER(expected, script, keys, args)

/* -- the fence -------------------------------------------------------------------------------- */

static void a_script_cannot_touch_a_key_it_was_not_given(void **state)
{
    static const char body[] = "return redis.call('GET', ARGV[1])";
    redisReply *reply;

    (void)state;
    given("SET " DEVICE " x");
    given("SET " DEVICE "2 x");
    reply = eval(body, KEYS(DEVICE), ARGS(DEVICE));
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    freeReplyObject(reply);
    reply = eval(body, KEYS(DEVICE), ARGS(DEVICE "2"));
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
}

/* -- applications ----------------------------------------------------------------------------- */

static void an_application_is_changed_with_or_without_its_tokens(void **state)
{
    (void)state;
    given("HSET " APP " name old token t tokenEnd 1 refresh r refreshEnd 2");
    TWICE("1", app_change, KEYS(APP), ARGS("", "name", "new", "state", "active"));
    assert_state(APP " name=new refresh=r refreshEnd=2 state=active token=t tokenEnd=1\n");
    TWICE("1", app_change, KEYS(APP), ARGS("1", "secret", "s"));
    assert_state(APP " name=new secret=s state=active\n");
    TWICE("1", app_change, KEYS(APP), ARGS(""));
}

static void an_application_that_is_not_there_is_not_made_by_a_change(void **state)
{
    (void)state;
    REFUSED("0", app_change, KEYS(APP), ARGS("1", "name", "new"));
    assert_state("");
}

static void a_signing_key_is_renewed_with_an_overlap_and_removed(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    TWICE("1 0", app_signing_key, KEYS(APP), ARGS("k1", "1000", "2000"));
    assert_state(APP " name=n signKey=k1\n");
    TWICE("1 3000", app_signing_key, KEYS(APP), ARGS("k2", "1000", "3000"));
    assert_state(APP " name=n signKey=k2 signKeyOld=k1 signKeyOldEnd=3000\n");
    TWICE("1 3500", app_signing_key, KEYS(APP), ARGS("k3", "1500", "3500"));
    assert_state(APP " name=n signKey=k3 signKeyOld=k2 signKeyOldEnd=3500\n");
    TWICE("1 0", app_signing_key, KEYS(APP), ARGS("k4", "2000", "2000")); /* no overlap */
    assert_state(APP " name=n signKey=k4\n");
    ANSWER("1 3000", app_signing_key, KEYS(APP), ARGS("k5", "2000", "3000"));
    TWICE("1 0", app_signing_key, KEYS(APP), ARGS("", "2000", "3000"));
    assert_state(APP " name=n\n");
}

static void a_signing_key_needs_an_application(void **state)
{
    (void)state;
    REFUSED("0", app_signing_key, KEYS(APP), ARGS("k1", "1000", "2000"));
    REFUSED("0", app_signing_key, KEYS(APP), ARGS("", "1000", "2000"));
}

#define APP_KEYS KEYS(APP, DEVICES, NODES, SUBS, INDEX, BREAKERS, ORDINALS, BLOCKS)

static void an_application_without_devices_is_deleted_with_its_subscriptions(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("HSET " NODES " n x:1");
    given("HSET " SUBS " s {}");
    given("HSET " INDEX " k s");
    given("HSET " BREAKERS " u x");
    given("HSET " ORDINALS " next 1");
    given("SADD " BLOCKS " 0");
    given("SET other x");
    ANSWER("1", app_delete, APP_KEYS, ARGS(NULL));
    assert_state("other x\n");
    SECOND_ANSWER("0", app_delete, APP_KEYS, ARGS(NULL));
}

static void an_application_with_devices_is_not_deleted(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("ZADD " DEVICES " 1 dev1");
    REFUSED("-1", app_delete, APP_KEYS, ARGS(NULL));
}

/* -- tokens of applications ------------------------------------------------------------------- */

static void tokens_are_issued_to_who_has_the_secret(void **state)
{
    (void)state;
    given("HSET " APP " secret s token old tokenEnd 1 refresh oldr refreshEnd 2");
    TWICE("OK", token_issue, KEYS(APP), ARGS("s", "t", "10", "r", "20", ""));
    assert_state(APP " refresh=r refreshEnd=20 secret=s token=t tokenEnd=10\n");
    REFUSED("GONE", token_issue, KEYS(APP), ARGS("other", "t2", "10", "r2", "20", ""));
}

static void tokens_are_not_issued_to_nobody(void **state)
{
    (void)state;
    REFUSED("GONE", token_issue, KEYS(APP), ARGS("s", "t", "10", "r", "20", ""));
    REFUSED("GONE", token_issue, KEYS(APP), ARGS("", "t", "10", "r", "20", ""));
    assert_state("");
}

static void tokens_are_not_issued_to_a_frozen_application(void **state)
{
    (void)state;
    given("HSET " APP " secret s state frozen refresh r");
    REFUSED("FROZEN", token_issue, KEYS(APP), ARGS("s", "t", "10", "r", "20", ""));
    REFUSED("FROZEN", token_issue, KEYS(APP), ARGS("s", "t", "10", "r", "20", "r"));
}

static void a_refresh_token_is_used_once(void **state)
{
    (void)state;
    given("HSET " APP " secret s token t1 tokenEnd 1 refresh r1 refreshEnd 2");
    ANSWER("OK", token_issue, KEYS(APP), ARGS("s", "t2", "10", "r2", "20", "r1"));
    assert_state(APP " refresh=r2 refreshEnd=20 secret=s token=t2 tokenEnd=10\n");
    SECOND_ANSWER("STALE", token_issue, KEYS(APP), ARGS("s", "t2", "10", "r2", "20", "r1"));
    REFUSED("STALE", token_issue, KEYS(APP), ARGS("s", "t3", "10", "r3", "20", "r1"));
}

static void the_current_token_is_revoked_with_its_refresh_token(void **state)
{
    (void)state;
    given("HSET " APP " secret s token t tokenEnd 1000 refresh r refreshEnd 2000");
    REFUSED("0", token_revoke, KEYS(APP), ARGS("other", "500"));
    REFUSED("0", token_revoke, KEYS(APP), ARGS("t", "1000"));
    ANSWER("1", token_revoke, KEYS(APP), ARGS("t", "999"));
    assert_state(APP " secret=s\n");
    SECOND_ANSWER("0", token_revoke, KEYS(APP), ARGS("t", "999"));
    given("FLUSHALL");
    REFUSED("0", token_revoke, KEYS(APP), ARGS("t", "999"));
}

/* -- service info ----------------------------------------------------------------------------- */

#define INFO_KEYS KEYS(DEVICE, SHADOW, EVENTS)

static void service_info_is_stored_and_queued(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1");
    TWICE("OK", service_info, INFO_KEYS,
          ARGS("app1", "dev1", "100", "si/Valve", "{i}", "{payload}", "1"));
    assert_state(DEVICE " app=app1 gateway=gw1 modified=100\n" EVENTS
                        "\n  e 1 service.info app1 dev1 gw1 100 {payload}\n" SHADOW
                        " si/Valve={i}\n");
    REFUSED("OK", service_info, INFO_KEYS,
            ARGS("app1", "dev1", "200", "si/Valve", "{i}", "{payload}", "1"));
}

static void service_info_has_its_limits(void **state)
{
    (void)state;
    REFUSED("GONE", service_info, INFO_KEYS, ARGS("app1", "dev1", "1", "si/a", "x", "{}", "9"));
    given("HSET " DEVICE " app app1 gateway dev1");
    REFUSED("GONE", service_info, INFO_KEYS, ARGS("app2", "dev1", "1", "si/a", "x", "{}", "9"));
    given("HSET " SHADOW " si/a x r/a/b 1");
    REFUSED("FULL", service_info, INFO_KEYS, ARGS("app1", "dev1", "1", "si/b", "x", "{}", "2"));
    ANSWER("OK", service_info, INFO_KEYS, ARGS("app1", "dev1", "1", "si/a", "y", "{}", "2"));
}

/* -- node ids --------------------------------------------------------------------------------- */

#define RESERVE_KEYS KEYS(APP, NODES, DEVICES, ORDINALS, BLOCKS)
#define FORGET_KEYS  KEYS(DEVICES, LIVE, MEMBERS, GROUPS_OF)

static void a_free_node_id_is_reserved(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    TWICE("OK 1000", node_reserve, RESERVE_KEYS, ARGS("node", "dev1", "1000", "0", "", "2"));
    /* also when it is repeated later */
    SECOND_ANSWER("OK 1000", node_reserve, RESERVE_KEYS,
                  ARGS("node", "dev1", "2000", "1", "", "2"));
    assert_state(APP " name=n\n" BLOCKS " 0\n" DEVICES " dev1=0\n" NODES
                     " node=dev1:1000\n" ORDINALS " next=1 time=1000\n");
}

static void ordinals_and_times_of_registration_grow_together(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK 1000", node_reserve, RESERVE_KEYS, ARGS("a", "dev1", "1000", "0", "", "2"));
    ANSWER("OK 1000", node_reserve, RESERVE_KEYS, ARGS("b", "dev2", "999", "0", "", "2"));
    ANSWER("OK 1001", node_reserve, RESERVE_KEYS, ARGS("c", "dev3", "1001", "0", "", "2"));
    assert_state(APP " name=n\n" BLOCKS " 0 1\n" DEVICES " dev1=0 dev2=1 dev3=2\n" NODES
                     " a=dev1:1000 b=dev2:1000 c=dev3:1001\n" ORDINALS " next=3 time=1001\n");
}

static void a_node_id_is_not_reserved_without_an_application(void **state)
{
    (void)state;
    REFUSED("GONE", node_reserve, RESERVE_KEYS, ARGS("node", "dev1", "1000", "0", "", "2"));
    assert_state("");
}

static void a_taken_node_id_says_who_has_it(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("HSET " NODES " node dev2:500");
    given("ZADD " DEVICES " 5 dev2");
    REFUSED("TAKEN dev2:500", node_reserve, RESERVE_KEYS,
            ARGS("node", "dev1", "1000", "0", "", "2"));
    REFUSED("TAKEN dev2:500", node_reserve, RESERVE_KEYS,
            ARGS("node", "dev1", "1000", "0", "dev2:499", "2"));
    /* one id is the beginning of the other */
    REFUSED("TAKEN dev2:500", node_reserve, RESERVE_KEYS,
            ARGS("node", "dev", "1000", "0", "", "2"));
}

/* The dead one does not count, and is taken out of the index by the caller. */
static void a_dead_reservation_is_replaced(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("HSET " NODES " node dev2:500");
    given("ZADD " DEVICES " 5 dev2");
    given("HSET " ORDINALS " next 6 time 500");
    TWICE("OK 1000", node_reserve, RESERVE_KEYS,
          ARGS("node", "dev1", "1000", "1", "dev2:500", "2"));
    assert_state(APP " name=n\n" BLOCKS " 3\n" DEVICES " dev1=6 dev2=5\n" NODES
                     " node=dev1:1000\n" ORDINALS " next=7 time=1000\n");
}

static void a_full_application_reserves_no_more(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("ZADD " DEVICES " 1 a 2 b");
    REFUSED("FULL", node_reserve, RESERVE_KEYS, ARGS("node", "dev1", "1000", "2", "", "2"));
    /* a device that is there already may take a further node id */
    TWICE("OK 1000", node_reserve, RESERVE_KEYS, ARGS("node", "a", "1000", "2", "", "2"));
    assert_state(APP " name=n\n" DEVICES " a=1 b=2\n" NODES " node=a:1000\n");
    ANSWER("OK 1000", node_reserve, RESERVE_KEYS, ARGS("other", "dev1", "1000", "3", "", "2"));
}

static void a_node_id_is_given_back_by_its_holder_only(void **state)
{
    (void)state;
    given("HSET " NODES " node dev1:5 other dev2:6");
    REFUSED("1", node_release, KEYS(NODES), ARGS("other", "dev1"));
    REFUSED("1", node_release, KEYS(NODES), ARGS("node", "dev"));
    REFUSED("1", node_release, KEYS(NODES), ARGS("none", "dev1"));
    TWICE("1", node_release, KEYS(NODES), ARGS("node", "dev1"));
    assert_state(NODES " other=dev2:6\n");
}

/* -- the index of devices --------------------------------------------------------------------- */

static void a_device_that_is_gone_leaves_the_index(void **state)
{
    (void)state;
    given("ZADD " DEVICES " 5 dev1 6 dev2 9 dev3");
    given("SETBIT " LIVE " 5 1");
    given("SETBIT " LIVE " 6 1");
    TWICE("1", index_forget, FORGET_KEYS, ARGS("dev1", "5", "0", "7"));
    REFUSED("1", index_forget, FORGET_KEYS, ARGS("dev2", "5", "0", "7"));
    assert_state(DEVICES " dev2=6 dev3=9\n" LIVE " \x02\n");
    TWICE("0", index_forget, FORGET_KEYS, ARGS("dev2", "6", "0", "7"));
}

static void a_block_without_devices_is_dropped(void **state)
{
    (void)state;
    given("ZADD " DEVICES " 7 dev1 16 dev2");
    given("SADD " BLOCKS " 0 1 2");
    given("SET " LIVE " x");
    REFUSED("0", index_drop, KEYS(DEVICES, BLOCKS, LIVE), ARGS("0", "0", "7"));
    REFUSED("0", index_drop, KEYS(DEVICES, BLOCKS, LIVE), ARGS("2", "16", "23"));
    TWICE("1", index_drop, KEYS(DEVICES, BLOCKS, LIVE), ARGS("1", "8", "15"));
    assert_state(BLOCKS " 0 2\n" DEVICES " dev1=7 dev2=16\n");
}

static void marks_are_taken_by_the_owner_and_stay_until_they_are_done(void **state)
{
    (void)state;
    given("SET " LEASE " me:1");
    REFUSED("OK", index_take, KEYS(LEASE, MARKS, WORKING), ARGS("me:1", "10"));
    given("SADD " MARKS " app1:dev1");
    REFUSED("LOST", index_take, KEYS(LEASE, MARKS, WORKING), ARGS("other:1", "10"));
    TWICE("OK app1:dev1", index_take, KEYS(LEASE, MARKS, WORKING), ARGS("me:1", "10"));
    given("SADD " MARKS " app1:dev1 app1:dev2");
    REFUSED("OK app1:dev1", index_take, KEYS(LEASE, MARKS, WORKING), ARGS("me:1", "10"));
    REFUSED("0", index_done, KEYS(LEASE, WORKING), ARGS("other:1", "app1:dev1"));
    TWICE("1", index_done, KEYS(LEASE, WORKING), ARGS("me:1", "app1:dev1"));
    assert_state(MARKS " app1:dev1 app1:dev2\n" LEASE " me:1\n");
}

static void a_mark_is_taken_back_when_its_change_is_in_the_index(void **state)
{
    (void)state;
    given("SADD " MARKS " app1:dev1 app1:dev2");
    REFUSED("0", index_unmark, KEYS(DEVICE, MARKS), ARGS("1", "app1:dev1")); /* it is gone */
    given("HSET " DEVICE " version 2");
    REFUSED("0", index_unmark, KEYS(DEVICE, MARKS), ARGS("1", "app1:dev1"));
    TWICE("1", index_unmark, KEYS(DEVICE, MARKS), ARGS("2", "app1:dev1"));
    assert_state(DEVICE " version=2\n" MARKS " app1:dev2\n");
}

static void a_device_that_is_gone_leaves_its_groups(void **state)
{
    (void)state;
    given("ZADD " DEVICES " 5 dev1 6 dev2");
    given_field(GROUPS_OF, "dev1", "g1 g2");
    given_field(GROUPS_OF, "dev2", "g1");
    given_member("g1 dev1");
    given_member("g1 dev2");
    given_member("g2 dev1");
    REFUSED("2", index_forget, FORGET_KEYS, ARGS("dev1", "4", "0", "7"));
    TWICE("1", index_forget, FORGET_KEYS, ARGS("dev1", "5", "0", "7"));
    assert_state(DEVICES " dev2=6\n" MEMBERS " g1 dev2=0\n" GROUPS_OF " dev2=g1\n");
}

/* -- groups ----------------------------------------------------------------------------------- */

#define ADD_KEYS    KEYS(APP, GROUPS, NAMES, ORDER, MEMBERS, GROUPS_OF, DEVICES)
#define REMOVE_KEYS KEYS(GROUPS, MEMBERS, GROUPS_OF, DEVICES)
#define MODIFY_KEYS KEYS(GROUPS, NAMES, MEMBERS)
#define UNMAKE_KEYS KEYS(GROUPS, NAMES, ORDER, DEAD)
#define SWEEP_KEYS  KEYS(DEAD, MEMBERS, GROUPS_OF)
#define LIST_KEYS   KEYS(GROUPS, NAMES, ORDER, MEMBERS)
/* of an application that may have two groups */
#define NEW(id, name, most_devices, ...)                                                           \
    ARGS(id, "1", name, "\"a  b\"", "500", "2", most_devices, __VA_ARGS__)
#define INTO(id, per_device, ...) ARGS(id, per_device, "", "null", "0", "2", "0", __VA_ARGS__)

#define THREE_DEVICES DEVICES " a=1 b=2 c=3\n"

static void given_three_devices(void)
{
    given("HSET " APP " name n");
    given("ZADD " DEVICES " 1 a 2 b 3 c");
}

static void given_group(const char *id, const char *name, const char *most)
{
    char *facts = xasprintf("%s %s 500 null", name, most);

    given_field(GROUPS, id, facts);
    given_field(NAMES, name, id);
    freeReplyObject(call(admin, 4, (const char *[]){"ZADD", ORDER, "500", id}));
    free(facts);
}

static void a_group_is_made_with_its_members(void **state)
{
    (void)state;
    given_three_devices();
    TWICE("OK 2", group_add, ADD_KEYS, NEW("g1", "Hall", "2", "a", "b", "a"));
    assert_state(APP " name=n\n" THREE_DEVICES GROUPS " g1=Hall 2 500 \"a  b\"\n" MEMBERS
                 " g1 a=0 g1 b=0\n" NAMES " Hall=g1\n" GROUPS_OF " a=g1 b=g1\n" ORDER
                 " g1=500\n");
    TWICE("OK 0", group_add, ADD_KEYS, NEW("g2", "Empty", "0", NULL));
}

static void a_group_is_not_made_when_something_is_wrong(void **state)
{
    (void)state;
    REFUSED("GONE", group_add, ADD_KEYS, NEW("g1", "Hall", "0", NULL));
    given_three_devices();
    given_group("g1", "Hall", "0");
    given_field(GROUPS_OF, "c", "g1");
    REFUSED("NAME", group_add, ADD_KEYS, NEW("g2", "Hall", "0", NULL));
    REFUSED("DEVICE", group_add, ADD_KEYS, NEW("g2", "New", "0", "a", "d"));
    REFUSED("DEVICE", group_add, ADD_KEYS, NEW("g2", "New", "0", "a", "c"));
    REFUSED("FULL", group_add, ADD_KEYS, NEW("g2", "New", "1", "a", "b"));
    given_group("g3", "Third", "0");
    REFUSED("QUOTA", group_add, ADD_KEYS, NEW("g2", "New", "0", "a"));
}

static void devices_are_put_into_a_group_all_or_none(void **state)
{
    (void)state;
    given_three_devices();
    given_group("g1", "Hall", "2");
    REFUSED("NONE", group_add, ADD_KEYS, INTO("g2", "1", "a"));
    REFUSED("DEVICE", group_add, ADD_KEYS, INTO("g1", "1", "a", "d"));
    REFUSED("FULL", group_add, ADD_KEYS, INTO("g1", "1", "a", "b", "c"));
    TWICE("OK 2", group_add, ADD_KEYS, INTO("g1", "1", "a", "b"));
    REFUSED("FULL", group_add, ADD_KEYS, INTO("g1", "1", "a", "c"));
    assert_state(APP " name=n\n" THREE_DEVICES GROUPS " g1=Hall 2 500 null\n" MEMBERS
                 " g1 a=0 g1 b=0\n" NAMES " Hall=g1\n" GROUPS_OF " a=g1 b=g1\n" ORDER
                 " g1=500\n");
}

static void a_device_is_in_as_many_groups_as_it_may_be(void **state)
{
    (void)state;
    given_three_devices();
    given_group("g1", "Hall", "0");
    given_group("g2", "Roof", "0");
    given_group("g3", "Yard", "0");
    TWICE("OK 1", group_add, ADD_KEYS, INTO("g1", "2", "a"));
    TWICE("OK 1", group_add, ADD_KEYS, INTO("g2", "2", "a"));
    REFUSED("DEVICE", group_add, ADD_KEYS, INTO("g3", "2", "b", "a"));
    ANSWER("g1 g2  ", group_of_devices, KEYS(GROUPS, GROUPS_OF), ARGS("a", "b", "x"));
    /* fewer may be set later: it stays where it is */
    REFUSED("OK 1", group_add, ADD_KEYS, INTO("g2", "1", "a"));
}

static void devices_are_taken_out_of_a_group(void **state)
{
    (void)state;
    given_three_devices();
    given_group("g1", "Hall", "0");
    given_group("g2", "Roof", "0");
    ANSWER("OK 2", group_add, ADD_KEYS, INTO("g1", "2", "a", "b"));
    ANSWER("OK 1", group_add, ADD_KEYS, INTO("g2", "2", "a"));
    REFUSED("NONE", group_remove, REMOVE_KEYS, ARGS("g3", "a"));
    REFUSED("DEVICE", group_remove, REMOVE_KEYS, ARGS("g1", "a", "d"));
    REFUSED("OK", group_remove, REMOVE_KEYS, ARGS("g1", "c"));
    TWICE("OK", group_remove, REMOVE_KEYS, ARGS("g1", "a", "b", "c"));
    assert_state(APP " name=n\n" THREE_DEVICES GROUPS
                     " g1=Hall 0 500 null g2=Roof 0 500 null\n" MEMBERS " g2 a=0\n" NAMES
                     " Hall=g1 Roof=g2\n" GROUPS_OF " a=g2\n" ORDER " g1=500 g2=500\n");
}

static void a_group_is_changed(void **state)
{
    (void)state;
    given_group("g1", "Hall", "5");
    given_group("g2", "Roof", "0");
    given_member("g1 a");
    given_member("g1 b");
    REFUSED("NONE", group_modify, MODIFY_KEYS, ARGS("g3", "Hall", "", ""));
    REFUSED("NAME", group_modify, MODIFY_KEYS, ARGS("g1", "Roof", "", ""));
    REFUSED("FULL", group_modify, MODIFY_KEYS, ARGS("g1", "New", "1", ""));
    REFUSED("OK Hall 5 500 null 2", group_modify, MODIFY_KEYS, ARGS("g1", "Hall", "", ""));
    TWICE("OK New 2 500 \"x\ny\" 2", group_modify, MODIFY_KEYS,
          ARGS("g1", "New", "2", "\"x\ny\""));
    TWICE("OK New 0 500 \"x\ny\" 2", group_modify, MODIFY_KEYS, ARGS("g1", "New", "0", ""));
    assert_state(GROUPS " g1=New 0 500 \"x\ny\" g2=Roof 0 500 null\n" MEMBERS
                        " g1 a=0 g1 b=0\n" NAMES " New=g1 Roof=g2\n" ORDER
                        " g1=500 g2=500\n");
}

static void a_deleted_group_loses_its_members_in_slices(void **state)
{
    (void)state;
    given_group("g1", "Hall", "0");
    given_group("g2", "Roof", "0");
    given_field(GROUPS_OF, "a", "g1 g2");
    given_field(GROUPS_OF, "b", "g1");
    given_field(GROUPS_OF, "c", "g1");
    given_member("g1 a");
    given_member("g1 b");
    given_member("g1 c");
    given_member("g2 a");
    REFUSED("NONE", group_delete, UNMAKE_KEYS, ARGS("g"));
    REFUSED("0", group_sweep, SWEEP_KEYS, ARGS("2"));
    ANSWER("OK", group_delete, UNMAKE_KEYS, ARGS("g1"));
    SECOND_ANSWER("NONE", group_delete, UNMAKE_KEYS, ARGS("g1"));
    ANSWER("g2  ", group_of_devices, KEYS(GROUPS, GROUPS_OF), ARGS("a", "b", "c"));
    ANSWER("1", group_sweep, SWEEP_KEYS, ARGS("2"));
    assert_state(GROUPS " g2=Roof 0 500 null\n" DEAD " g1\n" MEMBERS " g1 c=0 g2 a=0\n" NAMES
                        " Roof=g2\n" GROUPS_OF " a=g2 c=g1\n" ORDER " g2=500\n");
    ANSWER("1", group_sweep, SWEEP_KEYS, ARGS("2"));
    ANSWER("0", group_sweep, SWEEP_KEYS, ARGS("2"));
    assert_state(GROUPS " g2=Roof 0 500 null\n" MEMBERS " g2 a=0\n" NAMES " Roof=g2\n" GROUPS_OF
                        " a=g2\n" ORDER " g2=500\n");
}

static void what_is_left_of_a_deleted_group_binds_no_device(void **state)
{
    (void)state;
    given_three_devices();
    given_group("g2", "Roof", "0");
    given("SADD " DEAD " g1");
    given_field(GROUPS_OF, "a", "g1");
    given_member("g1 a");
    TWICE("OK 1", group_add, ADD_KEYS, INTO("g2", "1", "a"));
    ANSWER("g2", group_of_devices, KEYS(GROUPS, GROUPS_OF), ARGS("a"));
    ANSWER("1", group_sweep, SWEEP_KEYS, ARGS("2"));
    ANSWER("0", group_sweep, SWEEP_KEYS, ARGS("2"));
    assert_state(APP " name=n\n" THREE_DEVICES GROUPS " g2=Roof 0 500 null\n" MEMBERS
                     " g2 a=0\n" NAMES " Roof=g2\n" GROUPS_OF " a=g2\n" ORDER " g2=500\n");
}

static void members_are_read_by_pages(void **state)
{
    (void)state;
    given_group("g", "Before", "0");
    given_group("g1", "Hall", "0");
    given_member("g z");
    given_member("g1 a");
    given_member("g1 b");
    given_member("g1 c");
    given_member("g10 a");
    REFUSED("NONE", group_read, KEYS(GROUPS, MEMBERS), ARGS("g2", "0", "2"));
    REFUSED("OK Hall 0 500 null 3", group_read, KEYS(GROUPS, MEMBERS), ARGS("g1", "0", "0"));
    REFUSED("OK Hall 0 500 null 3 g1 a g1 b", group_read, KEYS(GROUPS, MEMBERS),
            ARGS("g1", "0", "2"));
    REFUSED("OK Hall 0 500 null 3 g1 c", group_read, KEYS(GROUPS, MEMBERS), ARGS("g1", "2", "2"));
    REFUSED("OK Hall 0 500 null 3", group_read, KEYS(GROUPS, MEMBERS),
            ARGS("g1", "2147483647000", "1000"));
    REFUSED("OK Before 0 500 null 1 g z", group_read, KEYS(GROUPS, MEMBERS),
            ARGS("g", "0", "1000"));
}

static void groups_are_listed_by_pages(void **state)
{
    (void)state;
    REFUSED("0", group_list, LIST_KEYS, ARGS("", "0", "5"));
    given_group("g1", "Hall", "0");
    given_group("g2", "Roof", "7");
    given_member("g2 a");
    REFUSED("2 g1 Hall 0 500 null 0", group_list, LIST_KEYS, ARGS("", "0", "1"));
    REFUSED("2 g2 Roof 7 500 null 1", group_list, LIST_KEYS, ARGS("", "1", "5"));
    REFUSED("2", group_list, LIST_KEYS, ARGS("", "2147483647000", "500"));
    REFUSED("1 g2 Roof 7 500 null 1", group_list, LIST_KEYS, ARGS("Roof", "0", "1"));
    REFUSED("1", group_list, LIST_KEYS, ARGS("Roof", "1", "1"));
    REFUSED("0", group_list, LIST_KEYS, ARGS("roof", "0", "1"));
}

/* -- verify codes ----------------------------------------------------------------------------- */

static void a_free_code_is_claimed(void **state)
{
    (void)state;
    TWICE("", claim, KEYS(CODE), ARGS("dev1", "1000", ""));
    SECOND_ANSWER("", claim, KEYS(CODE), ARGS("dev1", "2000", ""));
    assert_state(CODE " dev1:1000\n");
}

static void a_claimed_code_says_who_has_it(void **state)
{
    (void)state;
    given("SET " CODE " dev2:500");
    REFUSED("dev2:500", claim, KEYS(CODE), ARGS("dev1", "1000", ""));
    REFUSED("dev2:500", claim, KEYS(CODE), ARGS("dev1", "1000", "dev2:499"));
    REFUSED("dev2:500", claim, KEYS(CODE), ARGS("dev", "1000", ""));
}

static void a_dead_claim_is_replaced(void **state)
{
    (void)state;
    given("SET " CODE " dev2:500");
    TWICE("", claim, KEYS(CODE), ARGS("dev1", "1000", "dev2:500"));
    assert_state(CODE " dev1:1000\n");
    given("DEL " CODE);
    ANSWER("", claim, KEYS(CODE), ARGS("dev1", "1000", "dev2:500"));
    assert_state(CODE " dev1:1000\n");
}

static void a_code_is_given_back_by_its_holder_only(void **state)
{
    (void)state;
    given("SET " CODE " dev1:500");
    REFUSED("1", unclaim, KEYS(CODE), ARGS("dev2"));
    REFUSED("1", unclaim, KEYS(CODE), ARGS("dev"));
    TWICE("1", unclaim, KEYS(CODE), ARGS("dev1"));
    assert_state("");
}

/* -- subscriptions ---------------------------------------------------------------------------- */

#define SUBSCRIBE_KEYS KEYS(APP, SUBS, INDEX)
#define SUBSCRIPTION   "{\"id\":\"@ID@\",\"order\":@ORDER@,\"url\":\"http://h:1/"
#define STORED(id, order, url)                                                                     \
    id "={\"id\":\"" id "\",\"order\":" order ",\"url\":\"http://h:1/" url "\"}"

static void subscriptions_are_numbered_in_the_order_of_their_creation(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "replace", "9"));
    ANSWER("OK s2", subscribe, SUBSCRIBE_KEYS,
           ARGS("k2", "s2", SUBSCRIPTION "b\"}", "http://h:1/b", "conflict", "9"));
    assert_state(APP " name=n subscribed=2\n" SUBS " " STORED("s1", "1", "a") " " STORED(
        "s2", "2", "b") "\n" INDEX " k1=s1 k2=s2\n");
}

static void a_subscription_needs_its_application(void **state)
{
    (void)state;
    REFUSED("GONE", subscribe, SUBSCRIBE_KEYS,
            ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "replace", "9"));
    assert_state("");
}

static void a_second_subscription_replaces_the_callback_of_the_first(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "replace", "1"));
    TWICE("OK s1", subscribe, SUBSCRIBE_KEYS,
          ARGS("k1", "s2", SUBSCRIPTION "b\"}", "http://h:1/b", "replace", "1"));
    assert_state(APP " name=n subscribed=1\n" SUBS " " STORED("s1", "1", "b") "\n" INDEX
                                                                              " k1=s1\n");
}

static void a_second_subscription_is_a_conflict_when_that_is_wanted(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "conflict", "9"));
    SECOND_ANSWER("CONFLICT", subscribe, SUBSCRIBE_KEYS,
                  ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "conflict", "9"));
}

static void more_subscriptions_than_the_limit_are_refused(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "replace", "1"));
    REFUSED("FULL", subscribe, SUBSCRIBE_KEYS,
            ARGS("k2", "s2", SUBSCRIPTION "b\"}", "http://h:1/b", "replace", "1"));
}

static void an_index_that_leads_nowhere_is_no_subscription(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    given("HSET " INDEX " k1 gone");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "a\"}", "http://h:1/a", "conflict", "9"));
    assert_state(APP " name=n subscribed=1\n" SUBS " " STORED("s1", "1", "a") "\n" INDEX
                                                                              " k1=s1\n");
}

static void a_callback_may_hold_what_the_script_replaces(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("OK s1", subscribe, SUBSCRIBE_KEYS,
           ARGS("k1", "s1", SUBSCRIPTION "%1@ID@@ORDER@%\"}", "-", "replace", "9"));
    assert_state(APP " name=n subscribed=1\n" SUBS
                     " " STORED("s1", "1", "%1@ID@@ORDER@%") "\n" INDEX " k1=s1\n");
}

static void subscriptions_are_deleted_with_their_index(void **state)
{
    (void)state;
    given("HSET " SUBS " s1 x s2 y s3 z");
    given("HSET " INDEX " k1 s1 k2 s2 k3 s3");
    ANSWER("2", unsubscribe, KEYS(SUBS, INDEX), ARGS("s1", "k1", "none", "k3", "s2", "k2"));
    assert_state(SUBS " s3=z\n" INDEX " k3=s3\n");
    SECOND_ANSWER("0", unsubscribe, KEYS(SUBS, INDEX), ARGS("s1", "k1", "none", "k3", "s2", "k2"));
}

static void an_index_entry_of_another_subscription_stays(void **state)
{
    (void)state;
    given("HSET " SUBS " s1 x s2 y");
    given("HSET " INDEX " k1 s2");
    ANSWER("1", unsubscribe, KEYS(SUBS, INDEX), ARGS("s1", "k1"));
    assert_state(SUBS " s2=y\n" INDEX " k1=s2\n");
}

/* -- making devices --------------------------------------------------------------------------- */

static void a_device_is_created_with_its_events_and_its_timer(void **state)
{
    (void)state;
    TWICE("1", device_create, KEYS(DEVICE, EVENTS, TIMERS, MARKS),
          ARGS("dev1", "9000", "app1:dev1", "2", "event one", "event two", "app", "app1", "name", ""));
    assert_state(DEVICE " app=app1 name=\n" MARKED EVENTS "\n  e event one\n  e event two\n" TIMERS
                        " registration:dev1=9000\n");
}

static void a_registration_without_an_end_has_no_timer(void **state)
{
    (void)state;
    TWICE("1", device_create, KEYS(DEVICE, EVENTS, TIMERS, MARKS),
          ARGS("dev1", "", "app1:dev1", "0", "app", "app1"));
    assert_state(DEVICE " app=app1\n" MARKED);
}

static void a_device_that_is_there_is_left_alone(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1");
    REFUSED("1", device_create, KEYS(DEVICE, EVENTS, TIMERS, MARKS),
            ARGS("dev1", "9000", "app1:dev1", "1", "event", "app", "app2"));
}

static void a_child_is_noted_at_its_gateway(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway dev1 deviceId dev1");
    TWICE("OK", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c1", "2"));
    TWICE("OK", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c2", "2"));
    assert_state(CHILDREN " c1 c2\n" DEVICE " app=app1 deviceId=dev1 gateway=dev1\n");
    REFUSED("FULL", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c3", "2"));
    REFUSED("OK", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c1", "1"));
}

static void a_child_needs_a_gateway_of_its_application(void **state)
{
    (void)state;
    REFUSED("GONE", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c1", "2"));
    given("HSET " DEVICE " app app2 gateway dev1 deviceId dev1");
    REFUSED("GONE", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c1", "2"));
    given("HSET " DEVICE " app app1 gateway other");
    REFUSED("GONE", child_add, KEYS(DEVICE, CHILDREN), ARGS("app1", "c1", "2"));
}

/* -- changing devices ------------------------------------------------------------------------- */

static void what_device_info_shows_of_a_change_is_one_event(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 name old model m");
    ANSWER("OK", device_modify, KEYS(DEVICE, EVENTS, MARKS),
           ARGS("app1", "dev1", "1000", "name", "a \"b\"", "1", "model", "m", "1", "hidden", "x",
                "0", "location", "", "1"));
    assert_state(DEVICE " app=app1 gateway=gw1 hidden=x location= model=m modified=1000 "
                        "name=a \"b\" nodeId=n1 version=1\n" MARKED EVENTS
                        "\n  e 1 device.updated app1 dev1 gw1 1000 {\"info\":{\"name\":"
                        "\"a \\\"b\\\"\",\"location\":\"\"},\"nodeId\":\"n1\"}\n");
    SECOND_ANSWER("OK", device_modify, KEYS(DEVICE, EVENTS, MARKS),
                  ARGS("app1", "dev1", "1000", "name", "a \"b\"", "1", "model", "m", "1", "hidden",
                       "x", "0", "location", "", "1"));
}

static void a_change_that_device_info_does_not_show_is_no_event(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1");
    TWICE("OK", device_modify, KEYS(DEVICE, EVENTS, MARKS),
          ARGS("app1", "dev1", "1000", "hidden", "x", "0"));
    assert_state(DEVICE " app=app1 gateway=gw1 hidden=x modified=1000 nodeId=n1 version=1\n" MARKED);
}

static void an_event_tells_the_node_id_as_it_is_now(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1");
    ANSWER("OK", device_modify, KEYS(DEVICE, EVENTS, MARKS),
           ARGS("app1", "dev1", "1000", "nodeId", "n2", "1"));
    assert_state(DEVICE " app=app1 gateway=gw1 modified=1000 nodeId=n2 version=1\n" MARKED EVENTS
                        "\n  e 1 device.updated app1 dev1 gw1 1000 {\"info\":{\"nodeId\":\"n2\"},"
                        "\"nodeId\":\"n2\"}\n");
}

static void another_applications_device_is_not_changed(void **state)
{
    (void)state;
    REFUSED("GONE", device_modify, KEYS(DEVICE, EVENTS, MARKS),
            ARGS("app1", "dev1", "1000", "name", "x", "1"));
    given("HSET " DEVICE " app app2 gateway gw1 nodeId n1");
    REFUSED("GONE", device_modify, KEYS(DEVICE, EVENTS, MARKS),
            ARGS("app1", "dev1", "1000", "name", "x", "1"));
}

#define CREDENTIAL_KEYS KEYS(DEVICE, TIMERS, EVENTS)

static void new_credentials_end_what_the_old_ones_gave(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 status OFFLINE activated 1 secret old token t tokenEnd 1 "
          "oldToken o oldTokenEnd 2");
    given("ZADD " TIMERS " 5 registration:dev1 6 presence:dev1");
    TWICE("OK", device_credential, CREDENTIAL_KEYS,
          ARGS("app1", "dev1", "1", "9000", "100", "secret", "new"));
    assert_state(DEVICE " activated=0 app=app1 modified=100 secret=new status=OFFLINE\n" TIMERS
                        " presence:dev1=6 registration:dev1=9000\n");
    TWICE("OK", device_credential, CREDENTIAL_KEYS, ARGS("app1", "dev1", "1", "", "100"));
    assert_state(DEVICE " activated=0 app=app1 modified=100 secret=new status=OFFLINE\n" TIMERS
                        " presence:dev1=6\n");
}

static void a_device_that_is_online_keeps_its_credentials_when_that_is_wanted(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 status ONLINE activated 1");
    REFUSED("ONLINE", device_credential, CREDENTIAL_KEYS,
            ARGS("app1", "dev1", "1", "", "100", "secret", "new"));
    TWICE("OK", device_credential, CREDENTIAL_KEYS,
          ARGS("app1", "dev1", "0", "", "100", "secret", "new"));
    assert_state(DEVICE " activated=0 app=app1 modified=100 secret=new status=ONLINE\n");
}

static void a_new_node_id_is_an_event(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 status OFFLINE activated 1 nodeId old");
    TWICE("OK", device_credential, CREDENTIAL_KEYS,
          ARGS("app1", "dev1", "1", "", "100", "nodeId", "n\"1", "secret", "s"));
    assert_state(DEVICE " activated=0 app=app1 gateway=gw1 modified=100 nodeId=n\"1 secret=s "
                        "status=OFFLINE\n" EVENTS "\n  e 1 device.updated app1 dev1 gw1 100 "
                        "{\"info\":{\"nodeId\":\"n\\\"1\"},\"nodeId\":\"n\\\"1\"}\n");
}

static void another_applications_device_keeps_its_credentials(void **state)
{
    (void)state;
    REFUSED("GONE", device_credential, CREDENTIAL_KEYS,
            ARGS("app1", "dev1", "1", "9000", "100", "secret", "new"));
    given("HSET " DEVICE " app app2 status OFFLINE");
    REFUSED("GONE", device_credential, CREDENTIAL_KEYS,
            ARGS("app1", "dev1", "1", "9000", "100", "secret", "new"));
}

/* -- deleting devices ------------------------------------------------------------------------- */

#define DELETE_KEYS                                                                                \
    KEYS(DEVICE, SHADOW, CHILDREN, EVENTS, TIMERS, MARKS, LEASE, HISTORY, DESIRED, DESIRED_HISTORY)

static void a_device_is_deleted_with_all_that_is_its(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 verifyCode v1 gateway gw1 activated 1");
    given("HSET " SHADOW " r/a/b 1");
    given("SADD " CHILDREN " c1");
    given("XADD " HISTORY " * e 1");
    given("HSET " DESIRED " d/a/b 1");
    given("XADD " DESIRED_HISTORY " * e 1");
    given("ZADD " TIMERS " 1 registration:dev1 2 presence:dev1 3 presence:dev2 4 desired:dev1");
    ANSWER("OK n1 v1 gw1 ", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "deleted"));
    assert_state(MARKED EVENTS "\n  e 1 device.deleted app1 dev1 gw1 1000 {}\n" TIMERS
                        " presence:dev2=3\n");
    SECOND_ANSWER("GONE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "deleted"));
}

static void a_device_without_a_code_is_deleted_too(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 gateway dev1 activated 0");
    ANSWER("OK n1  dev1 ", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "deleted"));
}

static void another_applications_device_is_not_deleted(void **state)
{
    (void)state;
    REFUSED("GONE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "deleted"));
    given("HSET " DEVICE " app app2 nodeId n1 gateway dev1 activated 0 expires 1");
    REFUSED("GONE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "deleted"));
    REFUSED("GONE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "expired", ""));
}

static void a_registration_whose_time_is_over_expires(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 verifyCode v1 gateway gw1 activated 0 expires 1000");
    given("ZADD " TIMERS " 1000 registration:dev1");
    ANSWER("OK n1 v1 gw1 ", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "expired", ""));
    assert_state(MARKED EVENTS "\n  e 1 device.bound app1 dev1 gw1 1000 {\"result\":\"expired\"}\n");
    SECOND_ANSWER("GONE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "1000", "expired", ""));
}

static void a_device_that_was_activated_does_not_expire(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 gateway dev1 activated 1 expires 1000");
    given("ZADD " TIMERS " 1000 registration:dev1 3 presence:dev1");
    TWICE("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "2000", "expired", ""));
    assert_state(DEVICE " activated=1 app=app1 expires=1000 gateway=dev1 nodeId=n1\n" TIMERS
                        " presence:dev1=3\n");
}

static void a_registration_without_an_end_does_not_expire(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 gateway dev1 activated 0");
    given_field(DEVICE, "expires", "");
    given("ZADD " TIMERS " 1000 registration:dev1");
    TWICE("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "2000", "expired", ""));
    assert_state(DEVICE " activated=0 app=app1 expires= gateway=dev1 nodeId=n1\n");
    given("HDEL " DEVICE " expires");
    ANSWER("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "2000", "expired", ""));
}

/* Its timer came due, and new credentials moved the end before this ran. */
static void a_registration_that_was_prolonged_meanwhile_still_has_its_timer(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 nodeId n1 gateway dev1 activated 0 expires 9000");
    given("ZADD " TIMERS " 9000 registration:dev1");
    ANSWER("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "2000", "expired", ""));
    assert_state(DEVICE " activated=0 app=app1 expires=9000 gateway=dev1 nodeId=n1\n" TIMERS
                        " registration:dev1=9000\n");
}

/* -- presence --------------------------------------------------------------------------------- */

#define PRESENCE_KEYS KEYS(DEVICE, EVENTS, TIMERS, MARKS, LEASE)
#define BOUND_EVENT                                                                                \
    "\n  e 1 device.bound app1 dev1 gw1 1000 {\"result\":\"succeeded\",\"info\":{\"nodeId\":"      \
    "\"n1\",\"status\":\"ONLINE\",\"statusDetail\":\"NONE\"}}"
#define ONLINE_EVENT                                                                               \
    "\n  e 1 device.status app1 dev1 gw1 1000 {\"info\":{\"status\":\"ONLINE\","                   \
    "\"statusDetail\":\"NONE\"},\"nodeId\":\"n1\"}"
#define ONLINE_DEVICE                                                                              \
    DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 seen=1000 status=ONLINE "                  \
           "statusDetail=NONE"
#define CHANGED ONLINE_DEVICE " version=1\n" MARKED

static void a_first_access_binds_and_brings_online(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status INACTIVE activated 0");
    given("ZADD " TIMERS " 5 registration:dev1");
    TWICE("OK", device_seen, PRESENCE_KEYS,
          ARGS("dev1", "1000", "6000", "nodeId", "name", "status", "statusDetail"));
    assert_state(CHANGED EVENTS BOUND_EVENT ONLINE_EVENT "\n" TIMERS " presence:dev1=6000\n");
}

static void a_further_access_brings_online_only(void **state)
{
    static const char *const statuses[] = {"OFFLINE", "ABNORMAL"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        given("FLUSHALL");
        given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 activated 1");
        given_field(DEVICE, "status", statuses[i]);
        TWICE("OK", device_seen, PRESENCE_KEYS, ARGS("dev1", "1000", "", "nodeId"));
        assert_state(CHANGED EVENTS ONLINE_EVENT "\n");
    }
}

static void a_device_that_is_online_and_has_to_bind_again_binds_only(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status ONLINE activated 0");
    TWICE("OK", device_seen, PRESENCE_KEYS,
          ARGS("dev1", "1000", "", "nodeId", "status", "statusDetail"));
    assert_state(CHANGED EVENTS BOUND_EVENT "\n");
}

static void a_device_that_is_online_is_only_noted_as_seen(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status ONLINE statusDetail NONE "
          "activated 1 seen 500");
    given("ZADD " TIMERS " 5500 presence:dev1");
    TWICE("OK", device_seen, PRESENCE_KEYS, ARGS("dev1", "1000", "6000", "nodeId"));
    assert_state(ONLINE_DEVICE "\n" TIMERS " presence:dev1=5500\n");
}

static void a_muted_or_missing_device_is_not_seen(void **state)
{
    (void)state;
    REFUSED("GONE", device_seen, PRESENCE_KEYS, ARGS("dev1", "1000", "6000", "nodeId"));
    given("HSET " DEVICE " app app1 gateway gw1 status INACTIVE activated 0 mute TRUE");
    REFUSED("MUTED", device_seen, PRESENCE_KEYS, ARGS("dev1", "1000", "6000", "nodeId"));
}

static void given_a_device_seen_at_1000(const char *device_status)
{
    given("FLUSHALL");
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 seen 1000 activated 1");
    given_field(DEVICE, "status", device_status);
    given("ZADD " TIMERS " 1 presence:dev1 2 presence:dev2");
}

#define SILENT_DEVICE(status)                                                                      \
    DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 seen=1000 status=" status
#define SILENCE_EVENT(status, now)                                                                 \
    EVENTS "\n  e 1 device.status app1 dev1 gw1 " now " {\"info\":{\"status\":\"" status           \
           "\",\"statusDetail\":\"TIME_OUT\"},\"nodeId\":\"n1\"}\n"

static void a_silent_device_becomes_abnormal_and_then_offline(void **state)
{
    (void)state;
    given_a_device_seen_at_1000("ONLINE");
    ANSWER("ABNORMAL", device_presence, PRESENCE_KEYS, ARGS("dev1", "1100", "100", "500", ""));
    assert_state(SILENT_DEVICE("ABNORMAL") " statusDetail=TIME_OUT version=1\n" MARKED SILENCE_EVENT(
        "ABNORMAL", "1100") TIMERS " presence:dev1=1500 presence:dev2=2\n");
    SECOND_ANSWER("", device_presence, PRESENCE_KEYS, ARGS("dev1", "1100", "100", "500", ""));
    given("DEL " EVENTS);
    ANSWER("OFFLINE", device_presence, PRESENCE_KEYS, ARGS("dev1", "1500", "100", "500", ""));
    assert_state(SILENT_DEVICE("OFFLINE") " statusDetail=TIME_OUT version=2\n" MARKED SILENCE_EVENT(
        "OFFLINE", "1500") TIMERS " presence:dev2=2\n");
    SECOND_ANSWER("", device_presence, PRESENCE_KEYS, ARGS("dev1", "1500", "100", "500", ""));
}

static void a_device_that_was_seen_meanwhile_is_looked_at_later(void **state)
{
    (void)state;
    given_a_device_seen_at_1000("ONLINE");
    TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "1099", "100", "500", ""));
    assert_state(SILENT_DEVICE("ONLINE") "\n" TIMERS " presence:dev1=1100 presence:dev2=2\n");
    TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "1499", "0", "500", ""));
    assert_state(SILENT_DEVICE("ONLINE") "\n" TIMERS " presence:dev1=1500 presence:dev2=2\n");
}

static void a_silence_of_zero_is_never_reached(void **state)
{
    (void)state;
    given_a_device_seen_at_1000("ONLINE");
    TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "0", "0", ""));
    assert_state(SILENT_DEVICE("ONLINE") "\n" TIMERS " presence:dev2=2\n");

    given_a_device_seen_at_1000("ONLINE");
    ANSWER("ABNORMAL", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "100", "0", ""));
    assert_state(SILENT_DEVICE("ABNORMAL") " statusDetail=TIME_OUT version=1\n" MARKED SILENCE_EVENT(
        "ABNORMAL", "999999") TIMERS " presence:dev2=2\n");

    given_a_device_seen_at_1000("ONLINE");
    ANSWER("OFFLINE", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "0", "500", ""));
    assert_state(SILENT_DEVICE("OFFLINE") " statusDetail=TIME_OUT version=1\n" MARKED SILENCE_EVENT(
        "OFFLINE", "999999") TIMERS " presence:dev2=2\n");
}

static void a_time_of_today_stays_whole_in_the_timer(void **state)
{
    (void)state;
    given_a_device_seen_at_1000("ONLINE");
    given("HSET " DEVICE " seen 1790000000123");
    ANSWER("", device_presence, PRESENCE_KEYS, ARGS("dev1", "1790000000200", "90000000", "0", ""));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 seen=1790000000123 "
                        "status=ONLINE\n" TIMERS " presence:dev1=1790090000123 presence:dev2=2\n");
}

static void a_device_that_is_not_online_needs_no_presence_timer(void **state)
{
    static const char *const statuses[] = {"OFFLINE", "INACTIVE"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        char expected[200];

        given_a_device_seen_at_1000(statuses[i]);
        TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "100", "500", ""));
        snprintf(expected, sizeof(expected), SILENT_DEVICE("%s") "\n" TIMERS " presence:dev2=2\n",
                 statuses[i]);
        assert_state(expected);
    }
    given_a_device_seen_at_1000("ONLINE");
    given("DEL " DEVICE);
    TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "100", "500", ""));
    assert_state(TIMERS " presence:dev2=2\n");
}

static int64_t number_of(const char *command);

/* -- sessions --------------------------------------------------------------------------------- */

#define ON_NODE   "{p7}:on:host.0a"
#define HOLDERS   "{p7}:nodes"
#define MAILBOX   "{g}:node:host.0a"
#define OPEN_KEYS KEYS(DEVICE, EVENTS, TIMERS, ON_NODE, HOLDERS, MARKS)
#define OPEN_ARGS ARGS("dev1", "secret", "host.0a:1", "1000", "host.0a", "nodeId", "status", "statusDetail")
#define CLOSE_KEYS KEYS(DEVICE, EVENTS, ON_NODE, MARKS)
#define HELD      HOLDERS " host.0a\n" ON_NODE " dev1\n"
#define SESSION_DEVICE(members)                                                                    \
    DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 secret=secret" members
#define OFFLINE_EVENT                                                                              \
    EVENTS "\n  e 1 device.status app1 dev1 gw1 2000 {\"info\":{\"status\":\"OFFLINE\","             \
           "\"statusDetail\":\"NONE\"},\"nodeId\":\"n1\"}\n"

static void a_first_session_binds_and_brings_online(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status INACTIVE activated 0 secret secret");
    given("ZADD " TIMERS " 5 registration:dev1 6 presence:dev1");
    ANSWER("OK ", session_open, OPEN_KEYS, OPEN_ARGS);
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 secret=secret seen=1000 "
                        "session=host.0a:1 status=ONLINE statusDetail=NONE version=1\n" MARKED
                        HOLDERS " host.0a\n" ON_NODE " dev1\n" EVENTS BOUND_EVENT ONLINE_EVENT "\n");
    SECOND_ANSWER("OK host.0a:1", session_open, OPEN_KEYS, OPEN_ARGS);
}

static void a_session_takes_the_place_of_another(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status ONLINE activated 1 secret secret "
          "session other.0b:7");
    ANSWER("OK other.0b:7", session_open, OPEN_KEYS, OPEN_ARGS);
    assert_state(SESSION_DEVICE(" seen=1000 session=host.0a:1 status=ONLINE\n") HELD);
}

static void who_may_not_log_in_any_more_opens_no_session(void **state)
{
    (void)state;
    REFUSED("DENIED", session_open, OPEN_KEYS, OPEN_ARGS);
    given("HSET " DEVICE " app app1 secret other");
    REFUSED("DENIED", session_open, OPEN_KEYS, OPEN_ARGS);
    given("HSET " DEVICE " secret secret mute TRUE");
    REFUSED("MUTED", session_open, OPEN_KEYS, OPEN_ARGS);
}

static void given_a_session(const char *session)
{
    given("FLUSHALL");
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status ONLINE activated 1 secret secret");
    given_field(DEVICE, "session", session);
    given("SADD " ON_NODE " dev1");
}

static void the_end_of_a_session_takes_the_device_offline(void **state)
{
    static const char *const named[] = {"host.0a:1", ""}; /* by name, or whichever the node has */

    (void)state;
    for (int i = 0; i < 2; i++) {
        given_a_session("host.0a:1");
        ANSWER("1", session_close, CLOSE_KEYS, ARGS("dev1", named[i], "2000", "host.0a"));
        assert_state(SESSION_DEVICE(" status=OFFLINE statusDetail=NONE version=1\n") MARKED
                         OFFLINE_EVENT);
        SECOND_ANSWER("0", session_close, CLOSE_KEYS, ARGS("dev1", named[i], "2000", "host.0a"));
    }
}

static void the_end_of_a_session_that_was_taken_over_says_nothing(void **state)
{
    (void)state;
    given_a_session("host.0a:2"); /* by the same node, which holds it still */
    REFUSED("0", session_close, CLOSE_KEYS, ARGS("dev1", "host.0a:1", "2000", "host.0a"));
    given_a_session("other.0b:2");
    ANSWER("0", session_close, CLOSE_KEYS, ARGS("dev1", "host.0a:1", "2000", "host.0a"));
    assert_state(SESSION_DEVICE(" session=other.0b:2 status=ONLINE\n"));
    given_a_session("host.0a1:2"); /* another node, whose name begins alike */
    ANSWER("0", session_close, CLOSE_KEYS, ARGS("dev1", "", "2000", "host.0a"));
    given("DEL " DEVICE);
    REFUSED("0", session_close, CLOSE_KEYS, ARGS("dev1", "host.0a:1", "2000", "host.0a"));
}

static void a_device_that_was_offline_already_only_loses_its_session(void **state)
{
    (void)state;
    given_a_session("host.0a:1");
    given("HSET " DEVICE " status OFFLINE");
    ANSWER("0", session_close, CLOSE_KEYS, ARGS("dev1", "host.0a:1", "2000", "host.0a"));
    assert_state(SESSION_DEVICE(" status=OFFLINE\n"));
}

static void whose_connection_is_open_is_not_silent(void **state)
{
    (void)state;
    given_a_device_seen_at_1000("ONLINE");
    given("HSET " DEVICE " session host.0a:1");
    TWICE("", device_presence, PRESENCE_KEYS, ARGS("dev1", "999999", "100", "500", ""));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 nodeId=n1 seen=1000 session=host.0a:1 "
                        "status=ONLINE\n" TIMERS " presence:dev2=2\n");
}

static void a_node_is_forgotten_when_it_holds_nothing(void **state)
{
    (void)state;
    given("SADD " HOLDERS " host.0a other.0b");
    given("SADD " ON_NODE " dev1");
    REFUSED("0", node_forget, KEYS(HOLDERS, ON_NODE), ARGS("host.0a"));
    given("DEL " ON_NODE);
    TWICE("1", node_forget, KEYS(HOLDERS, ON_NODE), ARGS("host.0a"));
    assert_state(HOLDERS " other.0b\n");
}

static void a_mailbox_keeps_its_last_words(void **state)
{
    (void)state;
    ANSWER("1", node_tell, KEYS(MAILBOX), ARGS("one", "2", "10000"));
    ANSWER("1", node_tell, KEYS(MAILBOX), ARGS("two", "2", "10000"));
    ANSWER("1", node_tell, KEYS(MAILBOX), ARGS("three", "2", "10000"));
    assert_int_equal(number_of("LLEN " MAILBOX), 2);
    assert_true(number_of("PTTL " MAILBOX) > 0);
}

static void a_gateway_says_that_a_child_is_gone(void **state)
{
    (void)state;
    REFUSED("GONE", child_offline, KEYS(DEVICE, EVENTS, MARKS), ARGS("dev1", "gw1", "2000"));
    given("HSET " DEVICE " app app1 gateway gw1 nodeId n1 status ONLINE activated 1 secret secret");
    REFUSED("GONE", child_offline, KEYS(DEVICE, EVENTS, MARKS), ARGS("dev1", "gw2", "2000"));
    ANSWER("OK", child_offline, KEYS(DEVICE, EVENTS, MARKS), ARGS("dev1", "gw1", "2000"));
    REFUSED("SAME", child_offline, KEYS(DEVICE, EVENTS, MARKS), ARGS("dev1", "gw1", "2000"));
    assert_state(SESSION_DEVICE(" status=OFFLINE statusDetail=NONE version=1\n") MARKED
                     OFFLINE_EVENT);
}

/* -- tokens of devices ------------------------------------------------------------------------ */

static void a_device_gets_its_first_token(void **state)
{
    (void)state;
    given("HSET " DEVICE " secret s");
    TWICE("OK", device_token, KEYS(DEVICE), ARGS("s", "1000", "t1", "9000", "1030"));
    assert_state(DEVICE " secret=s token=t1 tokenEnd=9000\n");
}

static void the_previous_token_works_a_little_longer(void **state)
{
    (void)state;
    given("HSET " DEVICE " secret s token t1 tokenEnd 1790000000123 oldToken t0 oldTokenEnd 7");
    TWICE("OK", device_token, KEYS(DEVICE), ARGS("s", "1", "t2", "1790000009000", "1780000000456"));
    assert_state(DEVICE " oldToken=t1 oldTokenEnd=1780000000456 secret=s token=t2 "
                        "tokenEnd=1790000009000\n");
}

static void the_previous_token_does_not_work_beyond_its_own_end(void **state)
{
    (void)state;
    given("HSET " DEVICE " secret s token t1 tokenEnd 1010");
    TWICE("OK", device_token, KEYS(DEVICE), ARGS("s", "1000", "t2", "9000", "1030"));
    assert_state(DEVICE " oldToken=t1 oldTokenEnd=1010 secret=s token=t2 tokenEnd=9000\n");
}

static void no_token_without_the_secret_or_for_a_muted_device(void **state)
{
    (void)state;
    REFUSED("DENIED", device_token, KEYS(DEVICE), ARGS("s", "1000", "t", "9000", "1030"));
    given("HSET " DEVICE " secret other");
    REFUSED("DENIED", device_token, KEYS(DEVICE), ARGS("s", "1000", "t", "9000", "1030"));
    given("HSET " DEVICE " secret s mute TRUE");
    REFUSED("DENIED", device_token, KEYS(DEVICE), ARGS("s", "1000", "t", "9000", "1030"));
    given("HSET " DEVICE " mute FALSE");
    ANSWER("OK", device_token, KEYS(DEVICE), ARGS("s", "1000", "t", "9000", "1030"));
}

/* -- product models --------------------------------------------------------------------------- */

#define MODEL_PUT_KEYS                                                                                   \
    KEYS(APP, MODELS, MODEL_KEYS, MODEL_DATA, PACKAGES, MODEL_EVENTS)
#define MODEL_PUT_ARGS(id, content, replace, most, revision, now)                                        \
    ARGS("app1", "m/n", id, "{facts}", content, "zip", replace, most, revision, now, "{}", "60000")
#define MODEL_DELETE_KEYS       KEYS(MODELS, MODEL_KEYS, MODEL_DATA, PACKAGES, MODEL_EVENTS)
#define MODEL_DELETE_ARGS(id)   ARGS("app1", "m/n", id, "r3", "300", "{}", "60000")
#define CATALOGUE(answer, known)                                                                   \
    ANSWER(answer, model_catalogue, KEYS(MODELS, MODEL_EVENTS), ARGS(known, "60000"))
#define FIRST_MODEL                                                                                \
    APP " name=a\n" MODEL_DATA " p1=c1\n" MODEL_KEYS " m/n=p1\n" MODELS                            \
        " p1=100 100 {facts} revision=r1\n" PACKAGES " p1=zip\n"

static void a_model_is_stored_with_its_event(void **state)
{
    (void)state;
    given("HSET " APP " name a");
    ANSWER("ADDED p1 r1 1 model.added app1 p1 p1 100 {}", model_put, MODEL_PUT_KEYS,
           MODEL_PUT_ARGS("p1", "c1", "", "1", "r1", "100"));
    REFUSED("EXISTS p1", model_put, MODEL_PUT_KEYS, MODEL_PUT_ARGS("p2", "c2", "", "1", "r2", "200"));
    assert_int_equal(number_of("ZCARD " MODEL_EVENTS), 1);
    given("DEL " MODEL_EVENTS);
    assert_state(FIRST_MODEL);
}

static void a_replaced_model_keeps_its_id_and_the_time_of_its_creation(void **state)
{
    (void)state;
    given("HSET " APP " name a");
    ANSWER("ADDED p1 r1 1 model.added app1 p1 p1 100 {}", model_put, MODEL_PUT_KEYS,
           MODEL_PUT_ARGS("p1", "c1", "replace", "1", "r1", "100"));
    ANSWER("UPDATED p1 r2 1 model.updated app1 p1 p1 200 {}", model_put, MODEL_PUT_KEYS,
           MODEL_PUT_ARGS("p2", "c2", "replace", "1", "r2", "200"));
    given("DEL " MODEL_EVENTS);
    assert_state(APP " name=a\n" MODEL_DATA " p1=c2\n" MODEL_KEYS " m/n=p1\n" MODELS
                     " p1=100 200 {facts} revision=r2\n" PACKAGES " p1=zip\n");
}

static void a_model_needs_an_application_and_room(void **state)
{
    (void)state;
    REFUSED("GONE", model_put, MODEL_PUT_KEYS, MODEL_PUT_ARGS("p1", "c1", "", "9", "r1", "100"));
    given("HSET " APP " name a");
    given("HSET " MODEL_KEYS " other p0");
    REFUSED("FULL", model_put, MODEL_PUT_KEYS, MODEL_PUT_ARGS("p1", "c1", "replace", "1", "r1", "100"));
}

static void a_model_is_deleted_with_its_event(void **state)
{
    (void)state;
    given("HSET " APP " name a");
    ANSWER("ADDED p1 r1 1 model.added app1 p1 p1 100 {}", model_put, MODEL_PUT_KEYS,
           MODEL_PUT_ARGS("p1", "c1", "", "1", "r1", "100"));
    given("DEL " MODEL_EVENTS);
    REFUSED("NONE", model_delete, MODEL_DELETE_KEYS, MODEL_DELETE_ARGS("p2"));
    ANSWER("OK r3 1 model.deleted app1 p1 p1 300 {}", model_delete, MODEL_DELETE_KEYS, MODEL_DELETE_ARGS("p1"));
    SECOND_ANSWER("NONE", model_delete, MODEL_DELETE_KEYS, MODEL_DELETE_ARGS("p1"));
    given("DEL " MODEL_EVENTS);
    assert_state(APP " name=a\n" MODELS " revision=r3\n");
}

static void a_catalogue_is_read_when_it_is_another_one(void **state)
{
    (void)state;
    CATALOGUE("READ none ", "");
    CATALOGUE("SAME none ", "none");
    given("HSET " MODELS " p1 one revision r1");
    CATALOGUE("READ r1  p1 one", "");
    CATALOGUE("SAME r1 ", "r1");
    CATALOGUE("READ r1  p1 one", "r0");
}

/* The clock is Redis' own. */
static void a_catalogues_reader_gets_the_events_that_were_left(void **state)
{
    (void)state;
    given("HSET " MODELS " revision r1");
    given("ZADD " MODEL_EVENTS " 1 left 99999999999999 fresh");
    CATALOGUE("SAME r1 left", "r1");
    CATALOGUE("SAME r1 ", "r1"); /* not to the next one too */
    assert_int_equal(number_of("ZCARD " MODEL_EVENTS), 2);
    given("ZADD " MODEL_EVENTS " 1 left"); /* it was not appended: a minute has passed */
    CATALOGUE("SAME r1 left", "r1");
}

/* -- reports ---------------------------------------------------------------------------------- */

#define CLAIM_KEYS KEYS(LEASE, EPOCH, TABLE, WATCHED)

static void assert_expires_within(const char *key, int64_t from_ms, int64_t to_ms);

#define REPORT_KEYS KEYS(DEVICE, SHADOW, EVENTS, HISTORY, DESIRED)
#define REPORT_ARGS(digest, gateway, now, most, ...)                                               \
    ARGS(digest, gateway, now, most, "property.reported", "dev1", "{\"services\":[]}", "0", "0",     \
         "1000", "", __VA_ARGS__)
/* entries and age of the history */
#define KEPT_REPORT_ARGS(now, payload, entries, age)                                               \
    ARGS("t1", "", now, "10", "property.reported", "dev1", payload, entries, "0", age, "*",        \
         "r/a/x", "1")

static void given_a_device_that_reports(void)
{
    given("HSET " DEVICE " app app1 gateway gw1 status ONLINE activated 1 token t1 tokenEnd 2000 "
          "oldToken t0 oldTokenEnd 1500");
}

static void a_report_is_stored_and_queued(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " SHADOW " r/a/x 0 r/a/z 3");
    ANSWER("app1", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "1", "r/a/y", "\"b\"", "rt/a", "1000"));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 oldToken=t0 oldTokenEnd=1500 seen=1000 "
                        "status=ONLINE token=t1 tokenEnd=2000\n" EVENTS
                        "\n  e 1 property.reported app1 dev1 gw1 1000 {\"services\":[]}\n" SHADOW
                        " r/a/x=1 r/a/y=\"b\" r/a/z=3 rt/a=1000\n");
}

static void a_report_leaves_the_time_of_the_one_before_while_that_is_good_enough(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " DEVICE " seen 900");
    for (int now_ms = 950; now_ms <= 1000; now_ms += 49) {
        char now[12];

        snprintf(now, sizeof(now), "%d", now_ms);
        ANSWER("app1", report, REPORT_KEYS,
               ARGS("t1", "", now, "0", "message.reported", "dev1", "", "0", "100", "0", "*"));
    }
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 oldToken=t0 oldTokenEnd=1500 seen=900 "
                        "status=ONLINE token=t1 tokenEnd=2000\n");
    ANSWER("app1", report, REPORT_KEYS,
           ARGS("t1", "", "1000", "0", "message.reported", "dev1", "", "0", "100", "0", "*"));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 oldToken=t0 oldTokenEnd=1500 seen=1000 "
                        "status=ONLINE token=t1 tokenEnd=2000\n");
}

static void a_report_may_have_no_shadow_fields(void **state)
{
    (void)state;
    given_a_device_that_reports();
    ANSWER("app1", report, REPORT_KEYS,
           ARGS("t1", "", "1000", "0", "message.reported", "dev1", "{\"content\":\"a b\"}", "0",
                "1000", "1000", "*"));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 oldToken=t0 oldTokenEnd=1500 seen=1000 "
                        "status=ONLINE token=t1 tokenEnd=2000\n" EVENTS
                        "\n  e 1 message.reported app1 dev1 gw1 1000 {\"content\":\"a b\"}\n");
}

static void the_current_and_the_previous_token_report_until_their_ends(void **state)
{
    (void)state;
    given_a_device_that_reports();
    ANSWER("app1", report, REPORT_KEYS, REPORT_ARGS("t0", "", "1499", "10", "f", "1"));
    ANSWER("app1", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1999", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("t0", "", "1500", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("t1", "", "2000", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("other", "", "1000", "10", "f", "1"));
}

static void a_device_without_tokens_cannot_report_by_one(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 status ONLINE activated 1");
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "f", "1"));
}

static void the_own_gateway_reports_without_a_token_of_the_device(void **state)
{
    (void)state;
    given_a_device_that_reports();
    ANSWER("app1", report, REPORT_KEYS, REPORT_ARGS("", "gw1", "9999", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("", "gw2", "1000", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("", "", "1000", "10", "f", "1"));
}

static void a_muted_or_missing_device_cannot_report(void **state)
{
    (void)state;
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "f", "1"));
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("", "gw1", "1000", "10", "f", "1"));
    given_a_device_that_reports();
    given("HSET " DEVICE " mute TRUE");
    REFUSED("+DENIED", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "f", "1"));
}

static void a_report_of_a_device_that_is_not_online_and_bound_is_not_stored(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " DEVICE " status ABNORMAL");
    REFUSED("+ASLEEP", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "f", "1"));
    given("HSET " DEVICE " status ONLINE activated 0");
    REFUSED("+ASLEEP", report, REPORT_KEYS, REPORT_ARGS("", "gw1", "1000", "10", "f", "1"));
}

static void a_shadow_takes_no_more_fields_than_the_limit(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " SHADOW " a 0 b 0");
    REFUSED("+FULL", report, REPORT_KEYS,
            REPORT_ARGS("t1", "", "1000", "3", "b", "1", "c", "1", "d", "1"));
    REFUSED("+FULL", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "2", "c", "1"));
    ANSWER("app1", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "3", "a", "1", "b", "1", "c", "1"));
}

static int64_t number_of(const char *command)
{
    redisReply *reply = redisCommand(admin, command);
    int64_t number = reply->integer;

    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    return number;
}

static void a_report_is_kept_in_the_history(void **state)
{
    (void)state;
    given_a_device_that_reports();
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1000", "{\"a\":1}", "5", "60000"));
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1001", "{\"a\":2}", "5", "60000"));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 historyAged=0/60000 oldToken=t0 "
                        "oldTokenEnd=1500 seen=1001 status=ONLINE token=t1 tokenEnd=2000\n" HISTORY
                        "\n  e {\"a\":1}\n  e {\"a\":2}\n" EVENTS
                        "\n  e 1 property.reported app1 dev1 gw1 1000 {\"a\":1}"
                        "\n  e 1 property.reported app1 dev1 gw1 1001 {\"a\":2}\n" SHADOW
                        " r/a/x=1\n");
    assert_expires_within(HISTORY, 60000 + 86400000 - 9000, 60000 + 86400000);
}

/* About: a stream forgets whole nodes, of 100 entries or 4 KB. */
static void a_history_is_cut_by_number(void **state)
{
    (void)state;
    given_a_device_that_reports();
    for (int i = 0; i < 500; i++)
        ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1000", "{}", "50", "60000"));
    assert_in_range(number_of("XLEN " HISTORY), 50, 149);
}

static void a_history_is_cut_by_age_once_a_day(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " DEVICE " tokenEnd 999999999999");
    for (int i = 1; i <= 300; i++) {
        char *command = xasprintf("XADD " HISTORY " %d-1 e {}", i);

        given(command);
        free(command);
    }
    ANSWER("app1", report, REPORT_KEYS,
           KEPT_REPORT_ARGS("86460250", "{}", "1000", "86460000"));
    assert_in_range(number_of("XLEN " HISTORY), 50, 101 + 50);
    given("DEL " HISTORY);
    given("XADD " HISTORY " 1-1 e {}");
    ANSWER("app1", report, REPORT_KEYS,
           KEPT_REPORT_ARGS("86460251", "{}", "1000", "86460000"));
    assert_int_equal(number_of("XLEN " HISTORY), 2);
    assert_int_equal(number_of("PTTL " HISTORY), -1);
}

static void a_device_says_how_many_days_its_history_is_kept(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " DEVICE " dataAging 2");
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1000", "{}", "5", "60000"));
    assert_expires_within(HISTORY, 3 * 86400000 - 9000, 3 * 86400000);
    given("HSET " DEVICE " dataAging 3");
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1001", "{}", "5", "60000"));
    assert_expires_within(HISTORY, 4 * 86400000ll - 9000, 4 * 86400000ll);
    given("HSET " DEVICE " dataAging 0");
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1002", "{}", "5", "60000"));
    assert_int_equal(number_of("XLEN " HISTORY), 2);
    given_field(DEVICE, "dataAging", "");
    ANSWER("app1", report, REPORT_KEYS, KEPT_REPORT_ARGS("1003", "{}", "5", "60000"));
    assert_int_equal(number_of("XLEN " HISTORY), 3);
}

#define MODEL_REPORT_ARGS(payload, reference)                                                      \
    ARGS("t1", "", "1000", "10", "property.reported", "dev1", payload, "0", "1000", "1000",        \
         reference)

static void a_report_is_checked_against_the_model_that_the_record_names(void **state)
{
    (void)state;
    given_a_device_that_reports();
    REFUSED("+MODEL app1    ", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", "m\x1fn\x1f\x1f"));
    ANSWER("app1", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", ""));
    given("HSET " DEVICE " manufacturerId m");
    ANSWER("app1", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", "")); /* half is none */
    given("HSET " DEVICE " model n deviceType t");
    REFUSED("+MODEL app1 m n t ", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", ""));
    REFUSED("+MODEL app1 m n t ", report, REPORT_KEYS,
            MODEL_REPORT_ARGS("{}", "m\x1fn\x1f\x1f"));
    ANSWER("app1", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", "m\x1fn\x1ft\x1f"));
    ANSWER("app1", report, REPORT_KEYS, MODEL_REPORT_ARGS("{}", "*"));
}

static void a_report_of_which_nothing_is_left_was_there_all_the_same(void **state)
{
    (void)state;
    given_a_device_that_reports();
    ANSWER("app1", report, REPORT_KEYS,
           ARGS("t1", "", "1000", "10", "property.reported", "dev1", "", "5", "1000", "60000", ""));
    assert_state(DEVICE " activated=1 app=app1 gateway=gw1 oldToken=t0 oldTokenEnd=1500 seen=1000 "
                        "status=ONLINE token=t1 tokenEnd=2000\n");
}

/* The record says whether values wait; when they did not, the report's own are looked at. */
static void a_report_says_whether_desired_values_may_wait(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given_field(DESIRED, "d/a/x", "0 - 75");
    ANSWER("app1", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "1"));
    given("HSET " DEVICE " desired 1");
    ANSWER("+PENDING gw1 1 ", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "75"));
    given("HSET " DEVICE " desired 0");
    ANSWER("app1", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "75", "r/a/y", "1", "rt/a", "1"));
    ANSWER("+PENDING gw1 1 ", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "76"));
}

static void a_report_says_who_connects_when_commands_may_wait(void **state)
{
    (void)state;
    given_a_device_that_reports();
    given("HSET " DEVICE " orders 1");
    ANSWER("+PENDING gw1  gw1", report, REPORT_KEYS,
           REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "1"));
    given("HSET " DEVICE " session i:1");
    ANSWER("+PENDING gw1  dev1", report, REPORT_KEYS,
           REPORT_ARGS("@i:1", "", "1000", "10", "r/a/x", "1"));
    given("HDEL " DEVICE " session");
    given("HSET " DEVICE " gateway dev1");
    ANSWER("app1", report, REPORT_KEYS, REPORT_ARGS("t1", "", "1000", "10", "r/a/x", "1"));
}

/* More than one HSET takes at a time. */
static void a_report_of_thousands_of_fields_is_stored_whole(void **state)
{
    const char *args[11 + 2 * 2500 + 1] = {"t1",   "",   "1000", "5000", "property.reported",
                                           "dev1", "{}", "0",    "1000", "1000", ""};
    char fields[2500][12];
    redisReply *reply;

    (void)state;
    given_a_device_that_reports();
    for (int i = 0; i < 2500; i++) {
        snprintf(fields[i], sizeof(fields[i]), "f%d", i);
        args[11 + 2 * i] = fields[i];
        args[12 + 2 * i] = fields[i] + 1;
    }
    ANSWER("app1", report, REPORT_KEYS, args);
    reply = redisCommand(admin, "HLEN " SHADOW);
    assert_int_equal(reply->integer, 2500);
    freeReplyObject(reply);
    reply = redisCommand(admin, "HMGET " SHADOW " f0 f999 f1000 f2499");
    assert_string_equal(reply->element[0]->str, "0");
    assert_string_equal(reply->element[1]->str, "999");
    assert_string_equal(reply->element[2]->str, "1000");
    assert_string_equal(reply->element[3]->str, "2499");
    freeReplyObject(reply);
}

/* -- partitions and their owners -------------------------------------------------------------- */

static void assert_expires_within(const char *key, int64_t from_ms, int64_t to_ms)
{
    redisReply *reply = call(admin, 2, (const char *[]){"PTTL", key});

    assert_in_range(reply->integer, from_ms, to_ms);
    freeReplyObject(reply);
}

static void a_free_partition_is_claimed_with_the_next_epoch(void **state)
{
    (void)state;
    given("SET " EPOCH " 41");
    freeReplyObject(call(admin, 4, (const char *[]){"HSET", TABLE, "d", "7 a u"}));
    freeReplyObject(call(admin, 4, (const char *[]){"ZADD", WATCHED, "9", "w1 dev1"}));
    ANSWER("i1:42 d 7 a u w1 dev1", lease_claim, CLAIM_KEYS, ARGS("i1", "60000"));
    assert_state(EPOCH " 42\n" LEASE " i1:42\n" TABLE " d=7 a u\n" WATCHED " w1 dev1=9\n");
    assert_expires_within(LEASE, 30000, 60000);
}

static void an_instance_claims_its_own_partition_with_a_newer_epoch(void **state)
{
    (void)state;
    ANSWER("i1:1  ", lease_claim, CLAIM_KEYS, ARGS("i1", "60000"));
    ANSWER("i1:2  ", lease_claim, CLAIM_KEYS, ARGS("i1", "90000"));
    assert_state(EPOCH " 2\n" LEASE " i1:2\n");
    assert_expires_within(LEASE, 61000, 90000);
}

static void a_partition_that_is_held_is_not_claimed(void **state)
{
    (void)state;
    given("SET " EPOCH " 41");
    given("SET " LEASE " i1:41");
    REFUSED(" -1", lease_claim, CLAIM_KEYS, ARGS("i2", "60000"));
    /* one id is the beginning of the other */
    REFUSED(" -1", lease_claim, CLAIM_KEYS, ARGS("i", "60000"));
    REFUSED(" -1", lease_claim, CLAIM_KEYS, ARGS("i11", "60000"));
}

static void who_may_not_claim_a_partition_is_told_when_its_lease_ends(void **state)
{
    redisReply *reply;

    (void)state;
    given("SET " LEASE " i1:41 PX 60000");
    reply = eval(script_lease_claim.body, CLAIM_KEYS, ARGS("i2", "90000"));
    assert_int_equal(reply->elements, 2);
    assert_string_equal(reply->element[0]->str, "");
    assert_in_range(reply->element[1]->integer, 30000, 60000);
    freeReplyObject(reply);
}

/* -- watches ---------------------------------------------------------------------------------- */

#define WATCH_OPEN_KEYS  KEYS(DEVICE, EVENTS, WATCH, WATCHED)
#define WATCH_READ_KEYS  KEYS(WATCH, WATCHED, LEASE)

static void a_watch_begins_with_an_event_for_the_owner(void **state)
{
    redisReply *reply;

    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1");
    given("ZADD " WATCHED " 1 w0");
    reply = eval(script_watch_open.body, WATCH_OPEN_KEYS, ARGS("dev1", "w1", "1000", "60000", "1"));
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    freeReplyObject(reply);
    assert_expires_within(WATCH, 30000, 60000);
    ANSWER("+FULL", watch_open, WATCH_OPEN_KEYS, ARGS("dev1", "w2", "1000", "60000", "1"));
    given("DEL " WATCHED); /* holds a time */
    assert_state(DEVICE " app=app1 gateway=gw1\n" EVENTS
                        "\n  e 1 watch.started app1 dev1 gw1 1000 {\"watch\":\"w1\"}\n" WATCH "\n  e \n");
}

static void a_device_that_does_not_exist_is_not_watched(void **state)
{
    (void)state;
    REFUSED("+GONE", watch_open, WATCH_OPEN_KEYS, ARGS("dev1", "w1", "1000", "60000", "1"));
    REFUSED("+GONE", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "5-0", "60000", "10"));
    assert_state("");
}

static void a_watch_is_read_on_and_what_was_read_goes(void **state)
{
    (void)state;
    given("SET " LEASE " i1:7");
    given("XADD " WATCH " 5-0 e x");
    given("XADD " WATCH " 5-1 e a");
    given("XADD " WATCH " 6-0 e b lost 3");
    given("XADD " WATCH " 7-0 e c");
    ANSWER("4 3 i1:7 5-1 a 0 6-0 b 3", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "5-0", "60000", "2"));
    ANSWER("4 3 i1:7 5-1 a 0 6-0 b 3", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "5-0", "60000", "2"));
    ANSWER("4 1 i1:7 7-0 c 0", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "6-0", "60000", "2"));
    given("DEL " LEASE);
    ANSWER("4 0 ", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "7-0", "60000", "2"));
    assert_expires_within(WATCH, 30000, 60000);
    given("XADD " WATCH " MAXLEN 1 8-0 e d");
    given("XADD " WATCH " MAXLEN 1 9-0 e e");
    ANSWER("6 1  9-0 e 0", watch_read, WATCH_READ_KEYS, ARGS("w1 dev1", "7-0", "60000", "2"));
}

static void a_lease_is_renewed_by_its_fence_only(void **state)
{
    (void)state;
    given("SET " EPOCH " 5");
    given("SET " LEASE " i1:5 PX 20000");
    REFUSED("0", lease_renew, KEYS(LEASE, EPOCH), ARGS("i1:4", "60000"));
    REFUSED("0", lease_renew, KEYS(LEASE, EPOCH), ARGS("i2:5", "60000"));
    assert_expires_within(LEASE, 1, 20000);
    TWICE("1", lease_renew, KEYS(LEASE, EPOCH), ARGS("i1:5", "60000"));
    assert_expires_within(LEASE, 30000, 60000);
}

static void a_lease_that_ran_out_is_renewed_if_nobody_has_claimed_since(void **state)
{
    (void)state;
    REFUSED("0", lease_renew, KEYS(LEASE, EPOCH), ARGS("i1:5", "60000"));
    given("SET " EPOCH " 6");
    REFUSED("0", lease_renew, KEYS(LEASE, EPOCH), ARGS("i1:5", "60000"));
    given("SET " EPOCH " 5");
    TWICE("1", lease_renew, KEYS(LEASE, EPOCH), ARGS("i1:5", "60000"));
    assert_state(EPOCH " 5\n" LEASE " i1:5\n");
    assert_expires_within(LEASE, 30000, 60000);
}

static void a_lease_is_released_by_its_fence_only(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    REFUSED("0", lease_release, KEYS(LEASE), ARGS("i1:4"));
    ANSWER("1", lease_release, KEYS(LEASE), ARGS("i1:5"));
    assert_state("");
    SECOND_ANSWER("0", lease_release, KEYS(LEASE), ARGS("i1:5"));
}

static void given_three_events(void)
{
    given("XADD " EVENTS " 1-1 e a");
    given("XADD " EVENTS " 1-2 e b");
    given("XADD " EVENTS " 2-1 e c");
}

static void the_owner_deletes_events_that_are_done(void **state)
{
    (void)state;
    given_three_events();
    given("SET " LEASE " i1:5");
    TWICE("1", acknowledge, KEYS(LEASE, EVENTS), ARGS("i1:5", "1-1", "2-1", "9-9"));
    assert_state(LEASE " i1:5\n" EVENTS "\n  e b\n");
}

static void digest_of_app(char digest[64])
{
    redisReply *reply =
        eval(script_app_digest.body, KEYS(APP, SUBS, APP_BREAKERS), ARGS("signKey", "signKeyOld"));

    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    snprintf(digest, 64, "%s", reply->str);
    freeReplyObject(reply);
}

static void every_change_of_what_is_pushed_changes_the_digest(void **state)
{
    static const char *const changes[] = {
        "HSET " APP " signKey k", "HSET " APP " signKeyOld k", "HDEL " APP " signKey",
        "HSET " SUBS " s1 x",     "HSET " SUBS " s1 y",        "HSET " APP_BREAKERS " u x",
        "HDEL " SUBS " s1",       "HSET " APP_BREAKERS " u y",     "DEL " APP_BREAKERS,
        "HSET " SUBS " u y",
    };
    char before[64], after[64], again[64];

    (void)state;
    given("HSET " APP " name n");
    digest_of_app(before);
    given("HSET " APP " name other token t");
    digest_of_app(after);
    assert_string_equal(before, after);
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        given(changes[i]);
        digest_of_app(after);
        digest_of_app(again);
        assert_string_not_equal(before, after);
        assert_string_equal(after, again);
        memcpy(before, after, sizeof(before));
    }
}

static void who_lost_the_lease_runs_no_timers(void **state)
{
    (void)state;
    given("SET " LEASE " i2:6");
    given("HSET " DEVICE " app app1 gateway dev1 nodeId n1 status ONLINE seen 1000 expires 1000");
    given("ZADD " TIMERS " 1 presence:dev1 1 registration:dev1");
    REFUSED("", device_presence, PRESENCE_KEYS, ARGS("dev1", "9000", "100", "500", "i1:5"));
    REFUSED("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "9000", "expired", "i1:5"));
    given("DEL " LEASE);
    REFUSED("", device_presence, PRESENCE_KEYS, ARGS("dev1", "9000", "100", "500", "i1:5"));
    REFUSED("ALIVE", device_delete, DELETE_KEYS, ARGS("app1", "dev1", "9000", "expired", "i1:5"));
    given("SET " LEASE " i1:5");
    ANSWER("OFFLINE", device_presence, PRESENCE_KEYS,
           ARGS("dev1", "9000", "100", "500", "i1:5"));
    ANSWER("OK n1  dev1 ", device_delete, DELETE_KEYS,
           ARGS("app1", "dev1", "9000", "expired", "i1:5"));
}

static void who_lost_the_lease_deletes_nothing(void **state)
{
    (void)state;
    given_three_events();
    REFUSED("0", acknowledge, KEYS(LEASE, EVENTS), ARGS("i1:5", "1-1"));
    given("SET " LEASE " i1:6");
    REFUSED("0", acknowledge, KEYS(LEASE, EVENTS), ARGS("i1:5", "1-1"));
    assert_state(LEASE " i1:6\n" EVENTS "\n  e a\n  e b\n  e c\n");
}

/* Who lives, and when the next of them may be dead. */
static void assert_beat(const char *alive, int64_t from_ms, int64_t to_ms, const char *const *args)
{
    redisReply *reply = eval(script_instance_beat.body, KEYS(INSTANCES), args);
    char text[1000] = "";

    assert_int_equal(reply->elements, 2);
    assert_in_range(reply->element[0]->integer, from_ms, to_ms);
    add_reply(reply->element[1], text, sizeof(text));
    freeReplyObject(reply);
    assert_string_equal(text, alive);
}

static void an_instance_that_lives_learns_who_else_does(void **state)
{
    char *quiet = xasprintf("ZADD " INSTANCES " %lld quiet", (long long)clock_now_ms() - 60000);

    (void)state;
    given("ZADD " INSTANCES " 1 dead");
    given(quiet);
    assert_beat("quiet i1", 30000, 60001, ARGS("i1", "120000"));
    assert_beat("quiet i1", 30000, 60001, ARGS("i1", "120000"));
    assert_beat("i1", 30001, 30001, ARGS("i1", "30000")); /* alone */
    assert_beat("i1 i2", 10000, 30001, ARGS("i2", "30000"));
    free(quiet);
}

static void an_instance_that_was_dead_lives_with_its_next_beat(void **state)
{
    (void)state;
    given("ZADD " INSTANCES " 1 i1");
    assert_beat("i1", 1001, 1001, ARGS("i1", "1000"));
}

/* -- what is parked ---------------------------------------------------------------------------- */

#define PARK_KEYS KEYS(LEASE, PARKED, TABLE)

static void deliveries_are_parked_in_the_order_of_their_names(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    ANSWER("8 2", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n2", "x", "n1", "y"));
    assert_state(LEASE " i1:5\n" PARKED " n1 y=0 n2 x=0\n" TABLE " d=8 a u\n");
    SECOND_ANSWER("8 2", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n2", "x", "n1", "y"));
    ANSWER("12 3", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n0", "z"));
    assert_state(LEASE " i1:5\n" PARKED " n0 z=0 n1 y=0 n2 x=0\n" TABLE " d=12 a u\n");
}

static void a_delivery_that_is_parked_again_is_replaced(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    ANSWER("4 1", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "y"));
    ANSWER("6 1", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "zzz"));
    /* one name is the beginning of the other */
    ANSWER("11 2", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n11", "a"));
    assert_state(LEASE " i1:5\n" PARKED " n1 zzz=0 n11 a=0\n" TABLE " d=11 a u\n");
}

static void what_is_done_leaves_the_park(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    ANSWER("13 3", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "y", "n11", "a", "n2", "b"));
    TWICE("5 1", unpark, PARK_KEYS, ARGS("i1:5", "d", "n1", "n2", "none"));
    assert_state(LEASE " i1:5\n" PARKED " n11 a=0\n" TABLE " d=5 a u\n");
    TWICE("0 0", unpark, PARK_KEYS, ARGS("i1:5", "d", "n11"));
    assert_state(LEASE " i1:5\n");
}

static void who_lost_the_lease_parks_and_unparks_nothing(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    ANSWER("4 1", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "y"));
    given("SET " LEASE " i2:6");
    REFUSED("0", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n2", "y"));
    REFUSED("0", unpark, PARK_KEYS, ARGS("i1:5", "d", "n1"));
    given("DEL " LEASE);
    REFUSED("0", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n2", "y"));
}

static void what_cannot_be_read_leaves_the_park_as_a_whole(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    given("ZADD " PARKED " 0 junk");
    ANSWER("4 2", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "y"));
    REFUSED("0", unpark, PARK_KEYS, ARGS("i1:4", "d", "junk"));
    ANSWER("0 1", unpark, PARK_KEYS, ARGS("i1:5", "d", "junk"));
    assert_state(LEASE " i1:5\n" PARKED " n1 y=0\n" TABLE " d=0 a u\n");
}

static void an_operator_throws_a_park_away(void **state)
{
    (void)state;
    given("SET " LEASE " i1:5");
    ANSWER("8 2", park, PARK_KEYS, ARGS("i1:5", "d", "a u", "n1", "y", "n2", "y"));
    ANSWER("2", park_drop, KEYS(PARKED, TABLE), ARGS("d"));
    SECOND_ANSWER("0", park_drop, KEYS(PARKED, TABLE), ARGS("d"));
    assert_state(LEASE " i1:5\n");
}

/* -- invalid callback URLs ---------------------------------------------------------------------- */

static void assert_breakers(const char *pattern_begin, int64_t most_since, int64_t most_wait)
{
    redisReply *reply = eval(script_breakers_read.body, KEYS(BREAKERS), ARGS(NULL));

    assert_int_equal(reply->elements, 5);
    assert_string_equal(reply->element[0]->str, "u");
    assert_in_range(atoll(reply->element[1]->str), 0, most_since);
    assert_in_range(atoll(reply->element[2]->str), most_wait - 20000, most_wait);
    assert_string_equal(reply->element[3]->str, "10");
    assert_string_equal(reply->element[4]->str, pattern_begin);
    freeReplyObject(reply);
}

static void an_invalid_url_is_known_with_its_reason(void **state)
{
    (void)state;
    given("HSET " APP " name n");
    ANSWER("1", breaker_down, KEYS(APP, BREAKERS), ARGS("u", "10", "60000", "no such host"));
    assert_breakers("no such host", 20000, 60000);
}

static void nothing_is_kept_for_an_application_that_is_gone(void **state)
{
    (void)state;
    REFUSED("0", breaker_down, KEYS(APP, BREAKERS), ARGS("u", "10", "60000", "x"));
    ANSWER("", breakers_read, KEYS(BREAKERS), ARGS(NULL));
}

static void one_instance_is_let_to_probe_and_the_next_waits(void **state)
{
    redisReply *reply;

    (void)state;
    given("HSET " APP " name n");
    ANSWER("1", breaker_down, KEYS(APP, BREAKERS), ARGS("u", "10", "0", "x y"));
    ANSWER("0", breaker_probe, KEYS(BREAKERS), ARGS("u", "60000"));
    reply = eval(script_breaker_probe.body, KEYS(BREAKERS), ARGS("u", "60000"));
    assert_in_range(reply->integer, 40000, 60000);
    freeReplyObject(reply);
    assert_breakers("x y", 20000, 60000);
    ANSWER("1", breaker_due, KEYS(BREAKERS), ARGS("u"));
    ANSWER("0", breaker_probe, KEYS(BREAKERS), ARGS("u", "60000"));
}

static void a_valid_url_needs_no_probe(void **state)
{
    (void)state;
    REFUSED("-1", breaker_probe, KEYS(BREAKERS), ARGS("u", "60000"));
    REFUSED("0", breaker_due, KEYS(BREAKERS), ARGS("u"));
}

/* -- what is held back -------------------------------------------------------------------------- */

static void urls_are_paused_up_to_a_limit(void **state)
{
    (void)state;
    given("HSET " DEPLOYMENT " partitions 64");
    TWICE("1", pause_url, KEYS(DEPLOYMENT), ARGS("paused u", "1", "2"));
    REFUSED("0", pause_url, KEYS(DEPLOYMENT), ARGS("paused v", "1", "2"));
    TWICE("1", pause_url, KEYS(DEPLOYMENT), ARGS("paused u", "0", "2"));
    assert_state(DEPLOYMENT " partitions=64\n");
}

/* -- desired values --------------------------------------------------------------------------- */

#define SET_KEYS KEYS(DEVICE, DESIRED, DESIRED_HISTORY)
#define SET_ARGS(now, most, ...) ARGS("app1", now, most, "1000", "5", "1000", "60000", "{}", __VA_ARGS__)
#define DUE_KEYS KEYS(DEVICE, SHADOW, DESIRED, TIMERS, EVENTS, WATCHED)

static void desired_values_are_written_with_their_version_and_their_history(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1");
    ANSWER("OK gw1", shadow_set, SET_KEYS,
           SET_ARGS("1000", "9", "d/a/x", "1", "d/a/y", "\"b c\"", "d/b/x", "2"));
    ANSWER("OK gw1", shadow_set, SET_KEYS, SET_ARGS("1001", "9", "d/a/x", "", "d/b/x", ""));
    assert_state(DEVICE " app=app1 desired=1 gateway=gw1\n" DESIRED_HISTORY "\n  e {}\n  e {}\n" DESIRED
                        " d/a/y=0 - \"b c\" t/a=1001 2\n");
    assert_expires_within(DESIRED_HISTORY, 51000, 60000);
}

static void another_applications_device_has_no_desired_values(void **state)
{
    (void)state;
    REFUSED("GONE", shadow_set, SET_KEYS, SET_ARGS("1000", "9", "d/a/x", "1"));
    given("HSET " DEVICE " app app2 gateway gw1");
    REFUSED("GONE", shadow_set, SET_KEYS, SET_ARGS("1000", "9", "d/a/x", "1"));
}

static void more_desired_values_than_the_limit_are_not_written(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1");
    REFUSED("FULL", shadow_set, SET_KEYS, SET_ARGS("1000", "1", "d/a/x", "1", "d/a/y", "1"));
    ANSWER("OK gw1", shadow_set, SET_KEYS, SET_ARGS("1000", "1", "d/a/x", "1"));
    REFUSED("FULL", shadow_set, SET_KEYS, SET_ARGS("1000", "1", "d/a/y", "1"));
    ANSWER("OK gw1", shadow_set, SET_KEYS, SET_ARGS("1000", "1", "d/a/x", "", "d/a/y", "1"));
}

static void a_look_says_what_is_due_and_takes_nothing_as_sent(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 status ONLINE desired 1");
    given("HSET " SHADOW " r/a/x 1 r/a/y 2");
    given_field(DESIRED, "d/a/x", "0 - 1");
    given_field(DESIRED, "d/a/y", "0 - 1");
    given_field(DESIRED, "d/a/z", "950 old 3");
    given_field(DESIRED, "d/b/x", "900 old \"1 2\"");
    ANSWER("app1 gw1 -1 a y 1 -2 b x \"1 2\"", shadow_due, DUE_KEYS, ARGS("dev1", "1000", "100", ""));
    assert_state(DEVICE " app=app1 desired=1 gateway=gw1 status=ONLINE\n" DESIRED
                        " d/a/x=0 - 1 d/a/y=0 - 1 d/a/z=950 old 3 d/b/x=900 old \"1 2\"\n" SHADOW
                        " r/a/x=1 r/a/y=2\n" TIMERS " desired:dev1=1050\n");
}

static void what_was_sent_is_due_after_the_window(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 status ONLINE desired 1");
    given_field(DESIRED, "d/a/y", "0 - 1");
    given_field(DESIRED, "d/a/z", "950 old 3");
    ANSWER("app1 gw1 id-1 a y 1", shadow_due, DUE_KEYS, ARGS("dev1", "1000", "100", "id"));
    SECOND_ANSWER("", shadow_due, DUE_KEYS, ARGS("dev1", "1000", "100", "id"));
    assert_state(DEVICE " app=app1 desired=1 gateway=gw1 status=ONLINE\n" DESIRED
                        " d/a/y=1000 id-1 1 d/a/z=950 old 3\n" TIMERS " desired:dev1=1050\n");
    ANSWER("app1 gw1 ie-1 a y 1 z 3", shadow_due, DUE_KEYS, ARGS("dev1", "1100", "100", "ie"));
}

static void what_is_sent_is_an_event_while_somebody_watches(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1 status ONLINE desired 1");
    given("ZADD " WATCHED " 1 w1");
    given_field(DESIRED, "d/a/x", "0 - {\"n\":1}");
    given_field(DESIRED, "d/a/y\"", "0 - 1");
    given_field(DESIRED, "d/b/x", "0 - \"t\"");
    ANSWER("app1 gw1 -1 a x {\"n\":1} y\" 1 -2 b x \"t\"", shadow_due, DUE_KEYS,
           ARGS("dev1", "1000", "100", ""));
    given("ZREM " TIMERS " desired:dev1");
    ANSWER("app1 gw1 id-1 a x {\"n\":1} y\" 1 id-2 b x \"t\"", shadow_due, DUE_KEYS,
           ARGS("dev1", "1000", "100", "id"));
    given("DEL " TIMERS " " WATCHED " " DESIRED " " DEVICE);
    assert_state(EVENTS "\n  e 1 desired.sent app1 dev1 gw1 1000 "
                        "{\"service\":\"a\",\"properties\":{\"x\":{\"n\":1},\"y\\\"\":1}}"
                        "\n  e 1 desired.sent app1 dev1 gw1 1000 "
                        "{\"service\":\"b\",\"properties\":{\"x\":\"t\"}}\n");
}

static void a_device_without_desired_values_has_nothing_due(void **state)
{
    (void)state;
    given("ZADD " TIMERS " 1 desired:dev1 2 desired:dev2");
    ANSWER("", shadow_due, DUE_KEYS, ARGS("dev1", "1000", "100", "id"));
    assert_state(TIMERS " desired:dev2=2\n");
}

static void an_answer_is_an_event_and_may_make_values_due_again(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway gw1");
    given_field(DESIRED, "d/a/x", "1000 id-1 {\"a\": 1}");
    given_field(DESIRED, "d/a/y", "1000 id-2 1");
    ANSWER("1", shadow_answer, KEYS(DEVICE, DESIRED, EVENTS),
           ARGS("dev1", "1001", "id-1", "0", "{\"a\":1}", "d/a/x", "d/a/y"));
    ANSWER("1", shadow_answer, KEYS(DEVICE, DESIRED, EVENTS),
           ARGS("dev1", "1001", "id-1", "1", "", "d/a/x", "d/a/y", "d/a/z"));
    REFUSED("1", shadow_answer, KEYS(DEVICE, DESIRED, EVENTS),
            ARGS("dev1", "1002", "id-1", "0", "{\"a\":1}", "d/a/x", "d/a/y"));
    assert_state(DEVICE " app=app1 gateway=gw1\n" DESIRED " a/a=id-1 d/a/x=0 - {\"a\": 1} d/a/y=1000 id-2 1\n" EVENTS
                        "\n  e 1 desired.status app1 dev1 gw1 1001 {\"a\":1}\n");
    given("DEL " DEVICE);
    REFUSED("0", shadow_answer, KEYS(DEVICE, DESIRED, EVENTS),
            ARGS("dev1", "1001", "id-2", "1", "{}", "d/a/y"));
}

/* -- commands: what they do is tested by core/command_test.c, here that they keep to their keys ------- */

#define COMMAND_KEYS                                                                               \
    KEYS(DEVICE, "{p7}:cmd:dev1", "{p7}:cmdo:dev1", "{p7}:cmdq:dev1", "{p7}:cmdt:dev1",            \
         "{p7}:cmds", EVENTS, TIMERS, LEASE)
#define CREATE(id)                                                                                 \
    ARGS("create", "dev1", "1000", id, "app1", "-r", "61000", "3", "{}", "\"id\":\"" id "\"", "20",  \
         "100", "3600000", "", "10000", "60000")

static void a_command_is_made_once(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway dev1");
    TWICE("OK PENDING", command, COMMAND_KEYS, CREATE("c1"));
    assert_state("{p7}:cmd:dev1 @order=1000 c1/e=\"id\":\"c1\" c1/s=PENDING 1000 0 0 0 0 -r 61000 3 0 c1={}\n"
                 "{p7}:cmdo:dev1 c1=1000\n"
                 "{p7}:cmdq:dev1 c1=1000000000001000\n"
                 "{p7}:cmds c1=dev1\n"
                 "{p7}:cmdt:dev1 c1=61000\n" DEVICE " app=app1 gateway=dev1 orders=1\n" TIMERS " command:dev1=61000\n");
}

static void each_step_of_a_command_is_made_once(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway dev1 session s");
    ANSWER("OK SENT", command, COMMAND_KEYS, CREATE("c1"));
    TWICE("c1 1 -rs 1 {}", command, COMMAND_KEYS,
          ARGS("take", "dev1", "1500", "s", "60000", "0", "dev1", "q1"));
    TWICE("", command, COMMAND_KEYS,
          ARGS("take", "dev1", "1500", "s", "60000", "0", "dev1", "q2"));
    ANSWER("OK", command, COMMAND_KEYS, ARGS("delivered", "dev1", "2000", "c1", "30000"));
    SECOND_ANSWER("LATE", command, COMMAND_KEYS, ARGS("delivered", "dev1", "2000", "c1", "30000"));
    ANSWER("OK", command, COMMAND_KEYS,
           ARGS("answered", "dev1", "3000", "", "1", "SUCCESSFUL", "{}", "", "dev1"));
    SECOND_ANSWER("NONE", command, COMMAND_KEYS,
                  ARGS("answered", "dev1", "3000", "", "1", "SUCCESSFUL", "{}", "", "dev1"));
    SECOND_ANSWER("LATE", command, COMMAND_KEYS, ARGS("failed", "dev1", "3000", "c1"));
    SECOND_ANSWER("LATE", command, COMMAND_KEYS, ARGS("cancel", "dev1", "3000", "c1", "app1"));
    assert_state("{p7}:cmd:dev1 @mid=1 @order=1000 @taken=q1 c1 c1/e=\"id\":\"c1\" c1/r={} "
                 "c1/s=SUCCESSFUL 1000 1000 2000 3000 1 -rs 61000 3 0 c1={}\n"
                 "{p7}:cmdo:dev1 c1=1000\n"
                 "{p7}:cmds c1=dev1\n" DEVICE " app=app1 gateway=dev1 session=s\n" EVENTS
                 "\n  e 1 command.status app1 dev1 dev1 2000 {\"id\":\"c1\",\"status\":\"DELIVERED\"}"
                 "\n  e 1 command.status app1 dev1 dev1 3000 "
                 "{\"id\":\"c1\",\"status\":\"SUCCESSFUL\",\"detail\":{}}\n" TIMERS
                 " command:dev1=11000\n");
}

static void a_devices_commands_are_canceled_once(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway dev1");
    ANSWER("OK PENDING", command, COMMAND_KEYS, CREATE("c1"));
    ANSWER("OK PENDING", command, COMMAND_KEYS, CREATE("c2"));
    REFUSED("GONE", command, COMMAND_KEYS, ARGS("cancel_all", "dev1", "2000", "app2"));
    ANSWER("OK c1 c2", command, COMMAND_KEYS, ARGS("cancel_all", "dev1", "2000", "app1"));
    SECOND_ANSWER("OK", command, COMMAND_KEYS, ARGS("cancel_all", "dev1", "2000", "app1"));
}

static void deadlines_of_commands_are_looked_at_twice_without_harm(void **state)
{
    (void)state;
    given("HSET " DEVICE " app app1 gateway dev1");
    given("SET " LEASE " me:2");
    ANSWER("OK PENDING", command, COMMAND_KEYS, CREATE("c1"));
    REFUSED("GONE", command, COMMAND_KEYS,
            ARGS("due", "dev1", "61000", "60000", "0", "100", "3600000", "10000", "me:1"));
    given("SET " LEASE " me:1");
    ANSWER("OK 0 dev1 EXPIRED", command, COMMAND_KEYS,
           ARGS("due", "dev1", "61000", "60000", "0", "100", "3600000", "10000", "me:1"));
    SECOND_ANSWER("OK 0 dev1", command, COMMAND_KEYS,
                  ARGS("due", "dev1", "61000", "60000", "0", "100", "3600000", "10000", "me:1"));
    given("DEL " DEVICE);
    ANSWER("GONE", command, COMMAND_KEYS,
           ARGS("due", "dev1", "61000", "60000", "0", "100", "3600000", "10000", "me:1"));
    given("DEL " EVENTS " " LEASE);
    assert_state("");
}

#define LISTED "{aapp1}:cmds"

static void commands_are_listed_in_their_order_and_the_oldest_leave(void **state)
{
    (void)state;
    TWICE("0", command_list, KEYS(LISTED), ARGS("d c1", "1000", "0", "2"));
    TWICE("0", command_list, KEYS(LISTED), ARGS("d b2", "1000", "0", "2"));
    assert_state(LISTED " d b2=1000.001 d c1=1000\n");
    ANSWER("1", command_list, KEYS(LISTED), ARGS("d a3", "2000", "0", "2"));
    SECOND_ANSWER("0", command_list, KEYS(LISTED), ARGS("d a3", "2000", "0", "2"));
    ANSWER("2 d a3 d b2", command_page, KEYS(LISTED), ARGS("0", "+inf", "0", "9"));
}

static void commands_leave_the_list_when_they_are_not_there(void **state)
{
    (void)state;
    given("ZADD " LISTED " 1000 a 2000 b");
    ANSWER("1", command_unlist, KEYS(LISTED), ARGS("1500", "a", "b", "c"));
    SECOND_ANSWER("0", command_unlist, KEYS(LISTED), ARGS("1500", "a", "b", "c"));
    assert_state(LISTED " b=2000\n");
}

static void pages_are_cut_out_of_a_list(void **state)
{
    (void)state;
    given("ZADD " LISTED " 1 a 2 b 3 c 4 d");
    REFUSED("4 c b", command_page, KEYS(LISTED), ARGS("0", "+inf", "1", "2"));
    REFUSED("2 c b", command_page, KEYS(LISTED), ARGS("2", "4", "0", "9"));
    REFUSED("2", command_page, KEYS(LISTED), ARGS("2", "4", "2", "9"));
}

static void the_oldest_cancel_tasks_leave(void **state)
{
    (void)state;
    TWICE("0", command_task, KEYS("{aapp1}:canco", "{aapp1}:canc"), ARGS("t1", "1", "{}", "0", "2"));
    ANSWER("0", command_task, KEYS("{aapp1}:canco", "{aapp1}:canc"), ARGS("t2", "2", "{}", "0", "2"));
    ANSWER("1", command_task, KEYS("{aapp1}:canco", "{aapp1}:canc"), ARGS("t3", "3", "{}", "0", "2"));
    ANSWER("1", command_task, KEYS("{aapp1}:canco", "{aapp1}:canc"), ARGS("t4", "4", "{}", "2", "2"));
    assert_state("{aapp1}:canc t3={} t4={}\n{aapp1}:canco t3=3 t4=4\n");
}

/* -- all of them ------------------------------------------------------------------------------ */

static void every_script_says_what_it_needs_and_answers(void **state)
{
    (void)state;
    for (size_t i = 0; all_scripts[i]; i++) {
        const struct script *script = all_scripts[i];
        char *begin = xasprintf("-- %s.lua: ", script->name);
        const char *header = strstr(script->body, "-- "); /* flags may stand before it */

        assert_true(str_starts_with(str_of(header), str_of(begin)));
        assert_non_null(strstr(script->body, "\n-- KEYS  1 "));
        assert_non_null(strstr(script->body, "\n-- -> "));
        assert_true(strstr(script->body, "\n-- Safe to repeat") ||
                    strstr(script->body, "\n-- Not repeated"));
        free(begin);
    }
}

static int start_redis(void **state)
{
    struct embedded_config config = {"redis-server", dir, "everysec", 3000};
    char *error = NULL;

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    base = event_base_new();
    embedded = embedded_new(base, &config, &error);
    if (!embedded) {
        fprintf(stderr, "%s\n", error);
        return -1;
    }
    admin = dial();
    given("ACL SETUSER script reset on nopass +@all");
    fenced = dial();
    freeReplyObject(call(fenced, 3, (const char *[]){"AUTH", "script", "x"}));
    return 0;
}

static int stop_redis(void **state)
{
    char *command = xasprintf("rm -rf %s", dir);
    int result;

    (void)state;
    redisFree(fenced);
    redisFree(admin);
    if (embedded_pid(embedded))
        kill(embedded_pid(embedded), SIGKILL);
    embedded_free(embedded);
    event_base_free(base);
    result = system(command);
    free(command);
    return result;
}

static int empty(void **state)
{
    (void)state;
    given("FLUSHALL");
    return 0;
}

#define EMPTY(test) cmocka_unit_test_setup(test, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EMPTY(a_signing_key_is_renewed_with_an_overlap_and_removed),
        EMPTY(a_signing_key_needs_an_application),
        EMPTY(a_script_cannot_touch_a_key_it_was_not_given),
        EMPTY(an_application_is_changed_with_or_without_its_tokens),
        EMPTY(an_application_that_is_not_there_is_not_made_by_a_change),
        EMPTY(an_application_without_devices_is_deleted_with_its_subscriptions),
        EMPTY(an_application_with_devices_is_not_deleted),
        EMPTY(tokens_are_issued_to_who_has_the_secret),
        EMPTY(tokens_are_not_issued_to_nobody),
        EMPTY(tokens_are_not_issued_to_a_frozen_application),
        EMPTY(a_refresh_token_is_used_once),
        EMPTY(the_current_token_is_revoked_with_its_refresh_token),
        EMPTY(a_free_node_id_is_reserved),
        EMPTY(ordinals_and_times_of_registration_grow_together),
        EMPTY(a_node_id_is_not_reserved_without_an_application),
        EMPTY(a_taken_node_id_says_who_has_it),
        EMPTY(a_dead_reservation_is_replaced),
        EMPTY(a_full_application_reserves_no_more),
        EMPTY(a_node_id_is_given_back_by_its_holder_only),
        EMPTY(a_device_that_is_gone_leaves_the_index),
        EMPTY(a_block_without_devices_is_dropped),
        EMPTY(marks_are_taken_by_the_owner_and_stay_until_they_are_done),
        EMPTY(a_mark_is_taken_back_when_its_change_is_in_the_index),
        EMPTY(a_device_that_is_gone_leaves_its_groups),
        EMPTY(a_group_is_made_with_its_members),
        EMPTY(a_group_is_not_made_when_something_is_wrong),
        EMPTY(devices_are_put_into_a_group_all_or_none),
        EMPTY(a_device_is_in_as_many_groups_as_it_may_be),
        EMPTY(devices_are_taken_out_of_a_group),
        EMPTY(a_group_is_changed),
        EMPTY(a_deleted_group_loses_its_members_in_slices),
        EMPTY(what_is_left_of_a_deleted_group_binds_no_device),
        EMPTY(members_are_read_by_pages),
        EMPTY(groups_are_listed_by_pages),
        EMPTY(a_free_code_is_claimed),
        EMPTY(a_claimed_code_says_who_has_it),
        EMPTY(a_dead_claim_is_replaced),
        EMPTY(a_code_is_given_back_by_its_holder_only),
        EMPTY(subscriptions_are_numbered_in_the_order_of_their_creation),
        EMPTY(a_subscription_needs_its_application),
        EMPTY(a_second_subscription_replaces_the_callback_of_the_first),
        EMPTY(a_second_subscription_is_a_conflict_when_that_is_wanted),
        EMPTY(more_subscriptions_than_the_limit_are_refused),
        EMPTY(an_index_that_leads_nowhere_is_no_subscription),
        EMPTY(a_callback_may_hold_what_the_script_replaces),
        EMPTY(subscriptions_are_deleted_with_their_index),
        EMPTY(an_index_entry_of_another_subscription_stays),
        EMPTY(a_device_is_created_with_its_events_and_its_timer),
        EMPTY(a_registration_without_an_end_has_no_timer),
        EMPTY(a_device_that_is_there_is_left_alone),
        EMPTY(a_child_is_noted_at_its_gateway),
        EMPTY(a_child_needs_a_gateway_of_its_application),
        EMPTY(what_device_info_shows_of_a_change_is_one_event),
        EMPTY(a_change_that_device_info_does_not_show_is_no_event),
        EMPTY(an_event_tells_the_node_id_as_it_is_now),
        EMPTY(another_applications_device_is_not_changed),
        EMPTY(new_credentials_end_what_the_old_ones_gave),
        EMPTY(a_device_that_is_online_keeps_its_credentials_when_that_is_wanted),
        EMPTY(a_new_node_id_is_an_event),
        EMPTY(another_applications_device_keeps_its_credentials),
        EMPTY(service_info_is_stored_and_queued),
        EMPTY(service_info_has_its_limits),
        EMPTY(a_device_is_deleted_with_all_that_is_its),
        EMPTY(a_device_without_a_code_is_deleted_too),
        EMPTY(another_applications_device_is_not_deleted),
        EMPTY(a_registration_whose_time_is_over_expires),
        EMPTY(a_device_that_was_activated_does_not_expire),
        EMPTY(a_registration_without_an_end_does_not_expire),
        EMPTY(a_registration_that_was_prolonged_meanwhile_still_has_its_timer),
        EMPTY(a_first_access_binds_and_brings_online),
        EMPTY(a_further_access_brings_online_only),
        EMPTY(a_device_that_is_online_and_has_to_bind_again_binds_only),
        EMPTY(a_device_that_is_online_is_only_noted_as_seen),
        EMPTY(a_muted_or_missing_device_is_not_seen),
        EMPTY(a_silent_device_becomes_abnormal_and_then_offline),
        EMPTY(a_device_that_was_seen_meanwhile_is_looked_at_later),
        EMPTY(a_silence_of_zero_is_never_reached),
        EMPTY(a_time_of_today_stays_whole_in_the_timer),
        EMPTY(a_device_that_is_not_online_needs_no_presence_timer),
        EMPTY(a_device_gets_its_first_token),
        EMPTY(the_previous_token_works_a_little_longer),
        EMPTY(the_previous_token_does_not_work_beyond_its_own_end),
        EMPTY(no_token_without_the_secret_or_for_a_muted_device),
        EMPTY(a_model_is_stored_with_its_event),
        EMPTY(a_replaced_model_keeps_its_id_and_the_time_of_its_creation),
        EMPTY(a_model_needs_an_application_and_room),
        EMPTY(a_model_is_deleted_with_its_event),
        EMPTY(a_catalogue_is_read_when_it_is_another_one),
        EMPTY(a_catalogues_reader_gets_the_events_that_were_left),
        EMPTY(a_report_is_stored_and_queued),
        EMPTY(a_report_leaves_the_time_of_the_one_before_while_that_is_good_enough),
        EMPTY(a_report_may_have_no_shadow_fields),
        EMPTY(the_current_and_the_previous_token_report_until_their_ends),
        EMPTY(a_device_without_tokens_cannot_report_by_one),
        EMPTY(the_own_gateway_reports_without_a_token_of_the_device),
        EMPTY(a_muted_or_missing_device_cannot_report),
        EMPTY(a_report_of_a_device_that_is_not_online_and_bound_is_not_stored),
        EMPTY(a_shadow_takes_no_more_fields_than_the_limit),
        EMPTY(a_report_of_thousands_of_fields_is_stored_whole),
        EMPTY(a_report_is_checked_against_the_model_that_the_record_names),
        EMPTY(a_report_of_which_nothing_is_left_was_there_all_the_same),
        EMPTY(a_report_is_kept_in_the_history),
        EMPTY(desired_values_are_written_with_their_version_and_their_history),
        EMPTY(another_applications_device_has_no_desired_values),
        EMPTY(more_desired_values_than_the_limit_are_not_written),
        EMPTY(a_look_says_what_is_due_and_takes_nothing_as_sent),
        EMPTY(what_is_sent_is_an_event_while_somebody_watches),
        EMPTY(what_was_sent_is_due_after_the_window),
        EMPTY(a_device_without_desired_values_has_nothing_due),
        EMPTY(an_answer_is_an_event_and_may_make_values_due_again),
        EMPTY(a_history_is_cut_by_number),
        EMPTY(a_history_is_cut_by_age_once_a_day),
        EMPTY(a_report_says_whether_desired_values_may_wait),
        EMPTY(a_report_says_who_connects_when_commands_may_wait),
        EMPTY(a_device_says_how_many_days_its_history_is_kept),
        EMPTY(a_first_session_binds_and_brings_online),
        EMPTY(a_session_takes_the_place_of_another),
        EMPTY(who_may_not_log_in_any_more_opens_no_session),
        EMPTY(the_end_of_a_session_takes_the_device_offline),
        EMPTY(the_end_of_a_session_that_was_taken_over_says_nothing),
        EMPTY(a_device_that_was_offline_already_only_loses_its_session),
        EMPTY(whose_connection_is_open_is_not_silent),
        EMPTY(a_node_is_forgotten_when_it_holds_nothing),
        EMPTY(a_mailbox_keeps_its_last_words),
        EMPTY(a_gateway_says_that_a_child_is_gone),
        EMPTY(a_free_partition_is_claimed_with_the_next_epoch),
        EMPTY(an_instance_claims_its_own_partition_with_a_newer_epoch),
        EMPTY(a_partition_that_is_held_is_not_claimed),
        EMPTY(who_may_not_claim_a_partition_is_told_when_its_lease_ends),
        EMPTY(a_watch_begins_with_an_event_for_the_owner),
        EMPTY(a_device_that_does_not_exist_is_not_watched),
        EMPTY(a_watch_is_read_on_and_what_was_read_goes),
        EMPTY(a_lease_is_renewed_by_its_fence_only),
        EMPTY(a_lease_that_ran_out_is_renewed_if_nobody_has_claimed_since),
        EMPTY(a_lease_is_released_by_its_fence_only),
        EMPTY(the_owner_deletes_events_that_are_done),
        EMPTY(every_change_of_what_is_pushed_changes_the_digest),
        EMPTY(who_lost_the_lease_runs_no_timers),
        EMPTY(who_lost_the_lease_deletes_nothing),
        EMPTY(an_instance_that_lives_learns_who_else_does),
        EMPTY(an_instance_that_was_dead_lives_with_its_next_beat),
        EMPTY(deliveries_are_parked_in_the_order_of_their_names),
        EMPTY(a_delivery_that_is_parked_again_is_replaced),
        EMPTY(what_is_done_leaves_the_park),
        EMPTY(who_lost_the_lease_parks_and_unparks_nothing),
        EMPTY(what_cannot_be_read_leaves_the_park_as_a_whole),
        EMPTY(an_operator_throws_a_park_away),
        EMPTY(an_invalid_url_is_known_with_its_reason),
        EMPTY(nothing_is_kept_for_an_application_that_is_gone),
        EMPTY(one_instance_is_let_to_probe_and_the_next_waits),
        EMPTY(a_valid_url_needs_no_probe),
        EMPTY(urls_are_paused_up_to_a_limit),
        cmocka_unit_test(every_script_says_what_it_needs_and_answers),
        EMPTY(a_command_is_made_once),
        EMPTY(each_step_of_a_command_is_made_once),
        EMPTY(a_devices_commands_are_canceled_once),
        EMPTY(deadlines_of_commands_are_looked_at_twice_without_harm),
        EMPTY(commands_are_listed_in_their_order_and_the_oldest_leave),
        EMPTY(commands_leave_the_list_when_they_are_not_there),
        EMPTY(pages_are_cut_out_of_a_list),
        EMPTY(the_oldest_cancel_tasks_leave),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, start_redis, stop_redis);
}

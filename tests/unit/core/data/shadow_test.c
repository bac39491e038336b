/*
 * The shadow's states on a real Redis, with the test's own clock and a transport that writes down what
 * it is given. After each step the test waits until Redis has answered all that the step has asked.
 */
#include "core/data/shadow.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/data/report.h"
#include "core/partition.h"
#include "store/embedded.h"
#include "store/keys.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define START_MS  1700000000000ll
#define WINDOW_MS 300000ll
#define DEVICE    "dev1"

struct instance { /* one of several on one Redis */
    struct redis *redis;
    struct core *core;
    struct shadow_transport transport;
    bool is_connected; /* to the device */
    struct shadow_delivery *delivered[10]; /* not answered yet */
    size_t count;
    int announced;
};

static char dir[] = "/tmp/shadow_test-XXXXXX";
static struct event_base *base;
static struct embedded *embedded;
static struct core_settings settings;
static struct instance here, there;
static struct arena *arena;
static int answers;
static enum error last_error;

/* -- the loop --------------------------------------------------------------------------------- */

static void nothing(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void run_until(const int *counter, int value)
{
    struct timeval tick = {0, 2000};
    struct event *ticker = event_new(base, -1, EV_PERSIST, nothing, NULL);

    event_add(ticker, &tick);
    for (int i = 0; *counter < value && i < 10000; i++)
        event_base_loop(base, EVLOOP_ONCE);
    event_free(ticker);
    assert_true(*counter >= value);
}

static void on_pong(enum redis_status status, const redisReply *reply, void *arg)
{
    (void)reply;
    assert_int_equal(status, REDIS_DONE);
    ++*(int *)arg;
}

/* Commands are answered in order, but a script that Redis has not seen yet is sent once more. */
static void settle(void)
{
    for (int i = 1; i <= 4; i++) {
        int pongs = 0;

        redis_command(here.redis, 1, (struct str[]){STR("PING")}, on_pong, &pongs);
        redis_command(there.redis, 1, (struct str[]){STR("PING")}, on_pong, &pongs);
        run_until(&pongs, 2);
    }
}

static void on_asked(enum redis_status status, const redisReply *reply, void *arg)
{
    char *text = arg;

    assert_int_equal(status, REDIS_DONE);
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(text, 1000, "%lld", reply->integer);
    else if (reply->type == REDIS_REPLY_STRING)
        snprintf(text, 1000, "%s", reply->str);
    else
        snprintf(text, 1000, "nil");
    answers++;
}

/* A command of plain words about a key. */
static const char *ask(const char *command, struct str key, const char *more, const char *last)
{
    static char text[1000];
    struct str words[4] = {str_of(command), key, str_of(more), str_of(last)};
    int before = answers;

    redis_command(here.redis, last ? 4 : more ? 3 : 2, words, on_asked, text);
    run_until(&answers, before + 1);
    return text;
}

static struct str device_key(struct key *key)
{
    return key_device(key, partition_of(here.core, STR(DEVICE)), STR(DEVICE));
}

static void given_device(const char *field, const char *value)
{
    struct key key;
    struct str name = device_key(&key);
    int before = answers;
    static char text[1000];

    redis_command(here.redis, 4, (struct str[]){STR("HSET"), name, str_of(field), str_of(value)},
                  on_asked, text);
    run_until(&answers, before + 1);
}

/* -- the transport ---------------------------------------------------------------------------- */

static bool reaches(struct str device_id, struct str gateway_id, void *arg)
{
    const struct instance *instance = arg;

    assert_true(str_eq(device_id, STR(DEVICE)));
    assert_true(str_eq(gateway_id, STR("gw1")));
    return instance->is_connected;
}

static void deliver_take(struct shadow_delivery *delivery, void *arg)
{
    struct instance *instance = arg;

    assert_true(str_eq(delivery->device_id, STR(DEVICE)));
    assert_true(str_eq(delivery->gateway_id, STR("gw1")));
    assert_true(str_eq(delivery->app_id, STR("app1")));
    assert_true(instance->count < 10);
    instance->delivered[instance->count++] = delivery;
}

static void announce(struct str device_id, struct str gateway_id, void *arg)
{
    struct instance *instance = arg;

    assert_true(str_eq(device_id, STR(DEVICE)) && str_eq(gateway_id, STR("gw1")));
    instance->announced++;
}

/* -- steps ------------------------------------------------------------------------------------ */

static void on_done(enum error error, void *arg)
{
    (void)arg;
    last_error = error;
    answers++;
}

/* '{"service":{"property":value}}' */
static enum error try_set(const char *text)
{
    const struct json *services = json_parse(arena, str_of(text), NULL);
    struct shadow_change *changes = arena_zalloc(arena, 10 * sizeof(*changes));
    size_t count = 0;
    int before = answers;

    assert_non_null(services);
    JSON_FOREACH (service, services)
        changes[count++] = (struct shadow_change){service->key, service};
    shadow_set(here.core, arena, STR("app1"), STR(DEVICE), changes, count, on_done, NULL);
    run_until(&answers, before + 1);
    settle();
    return last_error;
}

static void set(const char *text)
{
    assert_int_equal(try_set(text), ERR_OK);
}

static void report(const char *service, const char *properties)
{
    struct report_source source = {.gateway_id = STR("gw1")};
    const char *text = arena_printf(arena, "[{\"service_id\":\"%s\",\"properties\":%s}]", service,
                                    properties);
    int before = answers;

    report_properties(here.core, arena, STR(DEVICE), &source,
                      json_parse(arena, str_of(text), NULL), on_done, NULL);
    run_until(&answers, before + 1);
    assert_int_equal(last_error, ERR_OK);
    settle();
}

static void come_online(struct instance *instance)
{
    instance->is_connected = true;
    shadow_offer(instance->core, STR(DEVICE), STR("gw1"));
    settle();
}

static void fire_timer(struct instance *instance)
{
    int before = answers;

    shadow_timer_due(instance->core, STR(DEVICE), on_done, NULL);
    run_until(&answers, before + 1);
    assert_int_equal(last_error, ERR_OK);
    settle();
}

static struct shadow_delivery *take(struct instance *instance)
{
    struct shadow_delivery *first = instance->delivered[0];

    assert_true(instance->count > 0);
    memmove(instance->delivered, instance->delivered + 1,
            --instance->count * sizeof(*instance->delivered));
    return first;
}

static void answer(struct shadow_delivery *delivery, enum shadow_answer how)
{
    shadow_answer_take(here.core, delivery, how, NULL, NULL);
    settle();
}

/* What was delivered since the last look: "service properties" each, one after the other. */
static void assert_delivered(const char *expected)
{
    char text[1000] = "";

    while (here.count > 0) {
        struct shadow_delivery *delivery = take(&here);

        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s %.*s",
                 *text ? ", " : "", STR_ARG(delivery->service_id), STR_ARG(delivery->properties));
        shadow_answer_take(here.core, delivery, SHADOW_SILENT, NULL, NULL);
    }
    assert_string_equal(text, expected);
}

static int64_t timer_ms(void)
{
    struct key key;
    const char *text =
        ask("ZSCORE", key_timers(&key, partition_of(here.core, STR(DEVICE))), "desired:" DEVICE,
            NULL);

    return strcmp(text, "nil") == 0 ? -1 : atoll(text);
}

static void on_events(enum redis_status status, const redisReply *reply, void *arg)
{
    struct buf *text = arg;

    assert_int_equal(status, REDIS_DONE);
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *fields = redis_reply_at(redis_reply_at(reply, i), 1);
        struct str event = redis_reply_str(redis_reply_at(fields, 1));

        if (str_starts_with(event, STR("1 desired.status"))) {
            buf_add_str(text, event);
            buf_add_char(text, '\n');
        }
    }
    answers++;
}

/* Those of desired values, without what all have: kind, application, device, gateway, time. */
static void assert_events(const char *expected)
{
    struct buf text = {0};
    struct key key;
    char head[100], all[1000] = "";
    const char *line;
    int before = answers;

    redis_command(here.redis, 4,
                  (struct str[]){STR("XRANGE"),
                                 key_events(&key, partition_of(here.core, STR(DEVICE))), STR("-"),
                                 STR("+")},
                  on_events, &text);
    run_until(&answers, before + 1);
    snprintf(head, sizeof(head), "1 desired.status app1 " DEVICE " gw1 %lld ",
             (long long)clock_now_ms());
    line = text.p ? text.p : "";
    while (*line) {
        const char *end = strchr(line, '\n');

        assert_memory_equal(line, head, strlen(head));
        line += strlen(head);
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%.*s\n", (int)(end - line), line);
        line = end + 1;
    }
    buf_clear(&text);
    assert_string_equal(all, expected);
}

/* -- when values are delivered ---------------------------------------------------------------- */

static void a_value_is_delivered_at_once_to_a_device_that_is_there(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75,\"label\":\"a\"},\"Flow\":{\"rate\":[1,{}]}}");
    assert_delivered("Flow {\"rate\":[1,{}]}, Valve {\"label\":\"a\",\"position\":75}");
}

static void a_value_waits_for_a_device_that_is_away(void **state)
{
    (void)state;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("");
    assert_int_equal(here.announced, 1);
    come_online(&here);
    assert_delivered("Valve {\"position\":75}");
}

static void a_report_fetches_what_waits(void **state)
{
    (void)state;
    set("{\"Valve\":{\"position\":75}}");
    here.is_connected = true;
    report("Flow", "{\"rate\":1}");
    assert_delivered("Valve {\"position\":75}");
}

static void what_was_sent_is_not_sent_again_in_the_window(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("Valve {\"position\":75}");
    clock_advance(WINDOW_MS - 1);
    report("Valve", "{\"position\":40}");
    come_online(&here);
    assert_delivered("");
    clock_advance(1);
    report("Valve", "{\"position\":40}");
    assert_delivered("Valve {\"position\":75}");
}

static void a_value_is_sent_alone_while_another_is_under_way(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    set("{\"Valve\":{\"label\":\"x\"}}");
    assert_delivered("Valve {\"position\":75}, Valve {\"label\":\"x\"}");
    clock_advance(WINDOW_MS);
    come_online(&here);
    assert_delivered("Valve {\"label\":\"x\",\"position\":75}");
}

static void deliveries_have_ids_of_their_own(void **state)
{
    struct shadow_delivery *first, *second;

    (void)state;
    here.is_connected = true;
    set("{\"A\":{\"x\":1},\"B\":{\"x\":1}}");
    first = take(&here);
    second = take(&here);
    assert_false(str_eq(first->id, second->id));
    answer(first, SHADOW_SILENT);
    answer(second, SHADOW_SILENT);
}

static void nothing_is_sent_to_a_muted_device(void **state)
{
    (void)state;
    here.is_connected = true;
    given_device("mute", "TRUE");
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("");
    given_device("mute", "FALSE");
    come_online(&here);
    assert_delivered("Valve {\"position\":75}");
}

/* -- when values are equal -------------------------------------------------------------------- */

static void a_value_that_is_reported_already_is_not_sent(void **state)
{
    static const char *const equal[][2] = {
        {"75", "75"},           {"75", "75.0"},       {"75.50", "75.5"},
        {"1e2", "100.0"},       {"0", "-0"},          {"\"a\"", "\"a\""},
        {"true", "true"},       {"[1,2]", "[1.0,2]"}, {"{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}"},
        {"9007199254740993", "9007199254740993"},
    };

    (void)state;
    here.is_connected = true;
    for (size_t i = 0; i < sizeof(equal) / sizeof(*equal); i++) {
        report("S", arena_printf(arena, "{\"p\":%s}", equal[i][1]));
        assert_delivered("");
        set(arena_printf(arena, "{\"S\":{\"p\":%s}}", equal[i][0]));
        assert_delivered("");
        set("{\"S\":{\"p\":null}}");
    }
}

static void a_value_of_another_type_or_content_is_sent(void **state)
{
    static const char *const different[][2] = {
        {"75", "75.1"},       {"75", "\"75\""},   {"true", "\"true\""}, {"1", "true"},
        {"[1,2]", "[2,1]"},   {"[1]", "[1,2]"},   {"{\"a\":1}", "{}"},  {"{\"a\":1}", "{\"b\":1}"},
        {"[]", "{}"},         {"{}", "null"},
        {"9007199254740993", "9007199254740992"},
    };

    (void)state;
    here.is_connected = true;
    for (size_t i = 0; i < sizeof(different) / sizeof(*different); i++) {
        report("S", arena_printf(arena, "{\"p\":%s}", different[i][1]));
        set(arena_printf(arena, "{\"S\":{\"p\":%s}}", different[i][0]));
        assert_delivered(arena_printf(arena, "S {\"p\":%s}", different[i][0]));
        set("{\"S\":{\"p\":null}}");
    }
}

static void a_device_that_leaves_the_wanted_value_gets_it_again_at_once(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("Valve {\"position\":75}");
    report("Valve", "{\"position\":75.0}");
    assert_delivered("");
    report("Valve", "{\"position\":40}");
    assert_delivered("Valve {\"position\":75}");
}

static void a_removed_value_is_not_sent(void **state)
{
    struct key key;

    (void)state;
    set("{\"Valve\":{\"position\":75,\"label\":\"x\"}}");
    set("{\"Valve\":{\"position\":null}}");
    come_online(&here);
    assert_delivered("Valve {\"label\":\"x\"}");
    set("{\"Valve\":{\"label\":null,\"never\":null}}");
    assert_string_equal(ask("HGET", device_key(&key), "desired", NULL), "nil");
    assert_string_equal(ask("EXISTS",
                            key_desired(&key, partition_of(here.core, STR(DEVICE)), STR(DEVICE)),
                            NULL, NULL),
                        "0");
}

/* -- answers ---------------------------------------------------------------------------------- */

static void an_answer_is_notified_and_the_window_runs_on(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    answer(take(&here), SHADOW_OK);
    assert_events("{\"service\":\"Valve\",\"properties\":{\"position\":75},"
                  "\"status\":\"DELIVERED\"}\n");
    report("Valve", "{\"position\":40}");
    assert_delivered("");
    clock_advance(WINDOW_MS);
    report("Valve", "{\"position\":40}");
    assert_delivered("Valve {\"position\":75}");
}

static void a_refused_value_is_notified_and_sent_with_the_next_report(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    answer(take(&here), SHADOW_REFUSED);
    assert_events("{\"service\":\"Valve\",\"properties\":{\"position\":75},"
                  "\"status\":\"FAILED\"}\n");
    assert_delivered("");
    report("Valve", "{\"position\":40}");
    assert_delivered("Valve {\"position\":75}");
}

static void a_value_that_could_not_be_sent_is_due_at_the_next_occasion(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    answer(take(&here), SHADOW_UNSENT);
    assert_events("");
    come_online(&here);
    assert_delivered("Valve {\"position\":75}");
}

static void silence_is_not_notified(void **state)
{
    (void)state;
    metric_reset_all();
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    answer(take(&here), SHADOW_SILENT);
    assert_events("");
    assert_int_equal(metric_value(M_DESIRED_DELIVERIES, "silent", NULL, NULL), 1);
    come_online(&here);
    assert_delivered("");
}

static void a_late_refusal_does_not_concern_a_newer_value(void **state)
{
    struct shadow_delivery *old;

    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    old = take(&here);
    set("{\"Valve\":{\"position\":80}}");
    assert_delivered("Valve {\"position\":80}");
    answer(old, SHADOW_REFUSED);
    report("Valve", "{\"position\":40}");
    assert_delivered("");
}

static void an_answer_of_a_deleted_device_is_not_notified(void **state)
{
    struct key key;

    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    ask("DEL", device_key(&key), NULL, NULL);
    answer(take(&here), SHADOW_OK);
    assert_events("");
}

/* -- several instances ------------------------------------------------------------------------ */

static void two_instances_deliver_once_in_the_window(void **state)
{
    (void)state;
    set("{\"Valve\":{\"position\":75}}");
    here.is_connected = there.is_connected = true;
    shadow_offer(here.core, STR(DEVICE), STR("gw1"));
    shadow_offer(there.core, STR(DEVICE), STR("gw1"));
    shadow_offer(here.core, STR(DEVICE), STR("gw1"));
    settle();
    assert_int_equal(here.count + there.count, 1);
    answer(here.count ? take(&here) : take(&there), SHADOW_OK);
}

/* -- timers ----------------------------------------------------------------------------------- */

static void a_silent_device_gets_it_again_after_the_window(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("Valve {\"position\":75}");
    assert_int_equal(timer_ms(), START_MS + WINDOW_MS);
    clock_advance(1000);
    set("{\"Valve\":{\"label\":\"x\"}}");
    assert_delivered("Valve {\"label\":\"x\"}");
    assert_int_equal(timer_ms(), START_MS + WINDOW_MS);
    clock_advance(WINDOW_MS - 1000);
    fire_timer(&here);
    assert_delivered("Valve {\"position\":75}");
    assert_int_equal(timer_ms(), START_MS + WINDOW_MS + 1000);
}

/* Only the device gives an occasion then, or this would go on for ever. */
static void no_timer_repeats_what_was_answered(void **state)
{
    static const enum shadow_answer kinds[] = {SHADOW_OK, SHADOW_REFUSED};

    (void)state;
    here.is_connected = true;
    for (size_t i = 0; i < 2; i++) {
        set(i ? "{\"Valve\":{\"position\":76}}" : "{\"Valve\":{\"position\":75}}");
        answer(take(&here), kinds[i]);
        clock_advance(WINDOW_MS);
        fire_timer(&here);
        assert_delivered("");
        assert_int_equal(timer_ms(), -1);
        report("Flow", "{\"rate\":1}");
        assert_delivered(i ? "Valve {\"position\":76}" : "Valve {\"position\":75}");
        assert_int_equal(timer_ms(), clock_now_ms() + WINDOW_MS);
    }
}

static void what_could_not_be_sent_is_offered_by_a_timer(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    answer(take(&here), SHADOW_UNSENT);
    clock_advance(WINDOW_MS);
    fire_timer(&here);
    assert_delivered("Valve {\"position\":75}");
}

static void a_timer_at_another_instance_announces(void **state)
{
    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("Valve {\"position\":75}");
    fire_timer(&there);
    assert_int_equal(there.announced, 0);
    clock_advance(WINDOW_MS);
    fire_timer(&there);
    assert_int_equal(there.announced, 1);
    assert_int_equal(there.count, 0);
    assert_int_equal(timer_ms(), START_MS + 2 * WINDOW_MS);
    come_online(&here);
    assert_delivered("Valve {\"position\":75}");
}

static void a_timer_ends_when_the_value_is_reported_or_the_device_is_gone(void **state)
{
    struct key key;

    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    assert_delivered("Valve {\"position\":75}");
    report("Valve", "{\"position\":75}");
    assert_int_equal(timer_ms(), -1);
    set("{\"Valve\":{\"position\":80}}");
    assert_delivered("Valve {\"position\":80}");
    assert_int_equal(timer_ms(), START_MS + WINDOW_MS);
    given_device("status", "OFFLINE");
    fire_timer(&here);
    assert_int_equal(timer_ms(), -1);
    given_device("status", "ONLINE");
    fire_timer(&here);
    assert_int_equal(timer_ms(), START_MS + WINDOW_MS);
    ask("DEL", device_key(&key), NULL, NULL);
    fire_timer(&here);
    assert_int_equal(timer_ms(), -1);
}

/* -- what it costs ---------------------------------------------------------------------------- */

static uint64_t commands_of_a_report(const char *properties)
{
    uint64_t before = metric_value(M_REDIS_COMMANDS, "done", NULL, NULL);

    report("Valve", properties);
    return metric_value(M_REDIS_COMMANDS, "done", NULL, NULL) - before - 8; /* PINGs of settle() */
}

static void a_report_is_one_command_when_nothing_is_pending(void **state)
{
    (void)state;
    here.is_connected = true;
    report("Valve", "{\"position\":1}");
    assert_int_equal(commands_of_a_report("{\"position\":75}"), 1);
    set("{\"Valve\":{\"position\":75}}");
    assert_int_equal(commands_of_a_report("{\"position\":75}"), 1);
    assert_int_equal(commands_of_a_report("{\"position\":40}"), 2);
    assert_delivered("Valve {\"position\":75}");
}

static void without_a_transport_values_wait_at_no_cost(void **state)
{
    (void)state;
    here.core->shadow_transport = NULL;
    report("Valve", "{\"position\":1}");
    set("{\"Valve\":{\"position\":75}}");
    assert_int_equal(commands_of_a_report("{\"position\":40}"), 1);
    assert_int_equal(timer_ms(), -1);
    fire_timer(&here);
    here.core->shadow_transport = &here.transport;
    come_online(&here);
    assert_delivered("Valve {\"position\":75}");
}

/* -- limits ----------------------------------------------------------------------------------- */

static void a_device_has_no_more_desired_values_than_the_limit(void **state)
{
    (void)state;
    settings.shadow_desired_properties = 3;
    set("{\"S\":{\"a\":1,\"b\":2}}");
    assert_int_equal(try_set("{\"S\":{\"c\":3},\"T\":{\"d\":4}}"), ERR_BAD_REQUEST);
    set("{\"S\":{\"a\":5,\"c\":3}}");
    assert_int_equal(try_set("{\"S\":{\"a\":6},\"T\":{\"d\":4}}"), ERR_BAD_REQUEST);
    set("{\"S\":{\"b\":null},\"T\":{\"d\":4}}");
    come_online(&here);
    assert_delivered("S {\"a\":5,\"c\":3}, T {\"d\":4}");
}

static void desired_values_have_no_more_bytes_than_the_limit(void **state)
{
    (void)state;
    settings.shadow_desired_bytes = 200;
    assert_int_equal(try_set(arena_printf(arena, "{\"S\":{\"a\":\"%0200d\"}}", 1)),
                     ERR_BAD_REQUEST);
    set(arena_printf(arena, "{\"S\":{\"a\":\"%0100d\"}}", 1));
    assert_int_equal(try_set(arena_printf(arena, "{\"S\":{\"b\":\"%0100d\"}}", 1)),
                     ERR_BAD_REQUEST);
    set(arena_printf(arena, "{\"S\":{\"a\":\"%0101d\"}}", 1));
}

/* -- fixtures --------------------------------------------------------------------------------- */

static void on_state(bool is_connected, void *arg)
{
    if (is_connected)
        ++*(int *)arg;
}

static int connections;

static int start_instance(struct instance *instance, const char *name)
{
    struct redis_config config = {.url = embedded_url(embedded),
                                  .password_file = "",
                                  .name = name,
                                  .connect_timeout_ms = 10000,
                                  .command_timeout_ms = 10000,
                                  .state = on_state,
                                  .arg = &connections};
    char *error = NULL;

    instance->redis = redis_new(base, &config, &error);
    if (!instance->redis)
        return -1;
    instance->core = core_new(base, instance->redis, &settings, NULL);
    instance->core->partition_count = 8;
    instance->transport = (struct shadow_transport){reaches, deliver_take, announce, instance};
    instance->core->shadow_transport = &instance->transport;
    return 0;
}

static int start(void **state)
{
    struct embedded_config config = {"redis-server", dir, "everysec", 3000};
    char *error = NULL;

    (void)state;
    redis_scripts_init();
    if (!mkdtemp(dir))
        return -1;
    base = event_base_new();
    embedded = embedded_new(base, &config, &error);
    settings.cache_apps = 10;
    settings.cache_models = 10;
    settings.cache_devices = 10;
    settings.cache_life_ms = 86400000;
    if (!embedded || start_instance(&here, "here") < 0 || start_instance(&there, "there") < 0)
        return -1;
    run_until(&connections, 2);
    return 0;
}

static int stop(void **state)
{
    char *command = xasprintf("rm -rf %s", dir);
    int result;

    (void)state;
    clock_use_system();
    redis_free(here.redis);
    redis_free(there.redis);
    core_free(here.core);
    core_free(there.core);
    if (embedded_pid(embedded))
        kill(embedded_pid(embedded), SIGKILL);
    embedded_free(embedded);
    event_base_free(base);
    result = system(command);
    free(command);
    return result;
}

static int set_up(void **state)
{
    char text[1000];
    int before = answers;

    (void)state;
    arena = arena_new();
    clock_freeze(START_MS, 5000);
    settings.shadow_properties = 1000;
    settings.history_bytes = 100000;
    settings.history_age_ms = 60000;
    settings.shadow_desired_properties = 100;
    settings.shadow_desired_bytes = 65536;
    settings.shadow_history_entries = 10;
    settings.shadow_resend_after_ms = WINDOW_MS;
    here.is_connected = there.is_connected = false;
    here.announced = there.announced = 0;
    redis_command(here.redis, 1, (struct str[]){STR("FLUSHALL")}, on_asked, text);
    run_until(&answers, before + 1);
    given_device("app", "app1");
    given_device("gateway", "gw1");
    given_device("status", "ONLINE");
    given_device("activated", "1");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    settle();
    while (here.count > 0)
        shadow_delivery_free(take(&here));
    while (there.count > 0)
        shadow_delivery_free(take(&there));
    here.core->shadow_transport = &here.transport;
    arena_free(arena);
    return 0;
}

#define CLEAN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Whoever got no answer of Redis stores it again. */
static void what_a_device_has_answered_is_told_once(void **state)
{
    struct shadow_delivery *delivery, twin;

    (void)state;
    here.is_connected = true;
    set("{\"Valve\":{\"position\":75}}");
    delivery = take(&here);
    twin = *delivery;
    twin.arena = arena_new();
    twin.id = arena_str(twin.arena, delivery->id);
    twin.device_id = arena_str(twin.arena, delivery->device_id);
    twin.service_id = arena_str(twin.arena, delivery->service_id);
    twin.properties = arena_str(twin.arena, delivery->properties);
    twin.values = (struct device_fields){0};
    device_fields_add(twin.arena, &twin.values, "position", STR("75"));
    answer(delivery, SHADOW_OK);
    answer(&twin, SHADOW_OK);
    assert_events("{\"service\":\"Valve\",\"properties\":{\"position\":75},"
                  "\"status\":\"DELIVERED\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLEAN(what_a_device_has_answered_is_told_once),
        CLEAN(a_value_is_delivered_at_once_to_a_device_that_is_there),
        CLEAN(a_value_waits_for_a_device_that_is_away),
        CLEAN(a_report_fetches_what_waits),
        CLEAN(what_was_sent_is_not_sent_again_in_the_window),
        CLEAN(a_value_is_sent_alone_while_another_is_under_way),
        CLEAN(deliveries_have_ids_of_their_own),
        CLEAN(nothing_is_sent_to_a_muted_device),
        CLEAN(a_value_that_is_reported_already_is_not_sent),
        CLEAN(a_value_of_another_type_or_content_is_sent),
        CLEAN(a_device_that_leaves_the_wanted_value_gets_it_again_at_once),
        CLEAN(a_removed_value_is_not_sent),
        CLEAN(an_answer_is_notified_and_the_window_runs_on),
        CLEAN(a_refused_value_is_notified_and_sent_with_the_next_report),
        CLEAN(a_value_that_could_not_be_sent_is_due_at_the_next_occasion),
        CLEAN(silence_is_not_notified),
        CLEAN(a_late_refusal_does_not_concern_a_newer_value),
        CLEAN(an_answer_of_a_deleted_device_is_not_notified),
        CLEAN(two_instances_deliver_once_in_the_window),
        CLEAN(a_silent_device_gets_it_again_after_the_window),
        CLEAN(no_timer_repeats_what_was_answered),
        CLEAN(what_could_not_be_sent_is_offered_by_a_timer),
        CLEAN(a_timer_at_another_instance_announces),
        CLEAN(a_timer_ends_when_the_value_is_reported_or_the_device_is_gone),
        CLEAN(a_report_is_one_command_when_nothing_is_pending),
        CLEAN(without_a_transport_values_wait_at_no_cost),
        CLEAN(a_device_has_no_more_desired_values_than_the_limit),
        CLEAN(desired_values_have_no_more_bytes_than_the_limit),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

#include "store/redis.h"

#include "base/mem.h"
#include "base/metric.h"
#include "store/embedded.h"
#include "store/redis_url.h"
#include "store/scripts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static const char append_body[] = "redis.call('APPEND', KEYS[1], ARGV[1])\n"
                                  "return {KEYS[1], ARGV[1], #ARGV}\n";
static struct script script_append = {"append", append_body, sizeof(append_body) - 1, ""};

/* Only when the program's own scripts are not linked in. */
extern struct script *const all_scripts[] __attribute__((weak));
struct script *const all_scripts[] = {&script_append, NULL};

struct result {
    int calls;
    enum redis_status status;
    int type;
    int64_t integer;
    char text[200];
    size_t len;
};

struct fixture {
    char dir[64];
    struct event_base *base;
    struct embedded *embedded;
    struct redis *redis;
    int ups, downs; /* state changes */
    int64_t command_timeout_ms;
    bool has_blocking_reads;
    bool free_when_up;
    int calls_at_down;
    struct result *watched;
};

static bool is_sending; /* a callback now would be one too early */

static void on_result(enum redis_status status, const redisReply *reply, void *arg)
{
    struct result *result = arg;

    assert_false(is_sending);
    result->calls++;
    result->status = status;
    result->type = reply ? reply->type : 0;
    result->integer = redis_reply_i64(reply);
    if (reply && reply->str) {
        result->len = reply->len;
        memcpy(result->text, reply->str, reply->len < 199 ? reply->len : 199);
    }
}

static void on_state(bool is_connected, void *arg)
{
    struct fixture *f = arg;

    if (is_connected)
        f->ups++;
    else
        f->downs++;
    if (!is_connected && f->watched)
        f->calls_at_down = f->watched->calls;
    if (is_connected && f->free_when_up) {
        redis_free(f->redis);
        f->redis = NULL;
    }
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void run_for(struct fixture *f, int64_t ms)
{
    struct timeval tick = {0, 2000};
    struct event *ticker = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
    int64_t end = now_ms() + ms;

    event_add(ticker, &tick);
    while (now_ms() < end)
        event_base_loop(f->base, EVLOOP_ONCE);
    event_free(ticker);
}

/* Runs the loop until *counter has reached the value; fails the test after ten seconds. */
static void run_until(struct fixture *f, const int *counter, int value)
{
    struct timeval tick = {0, 2000};
    struct event *ticker = event_new(f->base, -1, EV_PERSIST, on_tick, NULL);
    int64_t end = now_ms() + 10000;

    event_add(ticker, &tick);
    while (*counter < value && now_ms() < end)
        event_base_loop(f->base, EVLOOP_ONCE);
    event_free(ticker);
    assert_true(*counter >= value);
}

static void connect_redis(struct fixture *f, const char *url, const char *password_file)
{
    struct redis_config config = {.url = url,
                                  .password_file = password_file,
                                  .name = "test",
                                  .connect_timeout_ms = 200,
                                  .command_timeout_ms = f->command_timeout_ms,
                                  .has_blocking_reads = f->has_blocking_reads,
                                  .max_in_flight = 100,
                                  .state = on_state,
                                  .arg = f};
    char *error = NULL;

    f->redis = redis_new(f->base, &config, &error);
    if (!f->redis)
        fail_msg("%s", error);
}

static int start(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct embedded_config config = {"redis-server", f->dir, "everysec", 3000};
    char *error = NULL;

    strcpy(f->dir, "/tmp/redis_test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->base = event_base_new();
    f->command_timeout_ms = 5000;
    f->embedded = embedded_new(f->base, &config, &error);
    if (!f->embedded)
        fail_msg("%s", error);
    connect_redis(f, embedded_url(f->embedded), NULL);
    run_until(f, &f->ups, 1);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    char *command = xasprintf("rm -rf %s", f->dir);

    redis_free(f->redis);
    if (embedded_pid(f->embedded))
        kill(embedded_pid(f->embedded), SIGKILL);
    embedded_free(f->embedded);
    event_base_free(f->base);
    assert_int_equal(system(command), 0);
    free(command);
    free(f);
    return 0;
}

static void send_words(struct fixture *f, struct result *result, size_t count,
                       const struct str *words)
{
    is_sending = true;
    redis_command(f->redis, count, words, on_result, result);
    is_sending = false;
}

#define SEND(f, result, ...)                                                                       \
    send_words(f, result, sizeof((struct str[]){__VA_ARGS__}) / sizeof(struct str),                \
               (struct str[]){__VA_ARGS__})

/* A command on a blocking connection of its own, for what the tests arrange behind redis.c's back.
 */
static void arrange(struct fixture *f, const char *command)
{
    redisContext *context = redisConnectUnix(embedded_url(f->embedded) + 5);
    redisReply *reply;

    assert_int_equal(context->err, 0);
    reply = redisCommand(context, command);
    assert_non_null(reply);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    redisFree(context);
}

static void run_script(struct fixture *f, struct result *result, const char *value)
{
    const struct str key = STR("{k}"), args[] = {str_of(value), STR("more")};

    is_sending = true;
    redis_script(f->redis, &script_append, 1, &key, 2, args, on_result, result);
    is_sending = false;
}

static void a_command_is_answered_once_and_not_before_the_call_returns(void **state)
{
    struct fixture *f = *state;
    struct result set = {0}, get = {0}, wrong = {0};

    SEND(f, &set, STR("SET"), STR("k"), STR("17"));
    SEND(f, &get, STR("GET"), STR("k"));
    SEND(f, &wrong, STR("HGET"), STR("k"), STR("x"));
    assert_int_equal(redis_in_flight(f->redis), 3);
    run_until(f, &wrong.calls, 1);
    assert_int_equal(set.status, REDIS_DONE);
    assert_string_equal(set.text, "OK");
    assert_int_equal(get.integer, 17);
    assert_int_equal(wrong.status, REDIS_ERROR);
    assert_memory_equal(wrong.text, "WRONGTYPE", 9);
    run_for(f, 10);
    assert_int_equal(set.calls + get.calls + wrong.calls, 3);
    assert_int_equal(redis_in_flight(f->redis), 0);
}

static void words_may_be_empty_or_hold_any_bytes(void **state)
{
    struct fixture *f = *state;
    struct result get = {0}, empty = {0};

    redis_command(f->redis, 3, (struct str[]){STR("SET"), STR("a\0b"), STR("\r\n\0\xff")}, NULL,
                  NULL);
    SEND(f, &get, STR("GET"), STR("a\0b"));
    redis_command(f->redis, 3, (struct str[]){STR("SET"), STR("e"), STR_NONE}, NULL, NULL);
    SEND(f, &empty, STR("STRLEN"), STR("e"));
    run_until(f, &empty.calls, 1);
    assert_int_equal(get.len, 4);
    assert_memory_equal(get.text, "\r\n\0\xff", 4);
    assert_int_equal(empty.type, REDIS_REPLY_INTEGER);
}

static void long_words_arrive_whole(void **state)
{
    struct fixture *f = *state;
    struct result result = {0};
    struct str big = {xcalloc(1, 3000000), 3000000};

    SEND(f, &result, STR("SET"), STR("k"), big);
    free((char *)big.p);
    SEND(f, &result, STR("STRLEN"), STR("k"));
    run_until(f, &result.calls, 2);
    assert_int_equal(result.integer, 3000000);
}

static void hashes_of_scripts_are_the_ones_redis_computes(void **state)
{
    struct fixture *f = *state;

    redis_scripts_init();
    for (size_t i = 0; all_scripts[i]; i++) {
        struct result result = {0};

        SEND(f, &result, STR("SCRIPT"), STR("LOAD"),
             str_n(all_scripts[i]->body, all_scripts[i]->body_len));
        run_until(f, &result.calls, 1);
        assert_string_equal(result.text, all_scripts[i]->sha);
    }
}

static void load_append(struct fixture *f)
{
    struct result result = {0};

    SEND(f, &result, STR("SCRIPT"), STR("LOAD"), str_of(append_body));
    run_until(f, &result.calls, 1);
    memcpy(script_append.sha, result.text, 41);
}

static void on_append(enum redis_status status, const redisReply *reply, void *arg)
{
    assert_int_equal(status, REDIS_DONE);
    assert_true(redis_reply_is(redis_reply_at(reply, 0), "{k}"));
    assert_true(redis_reply_is(redis_reply_at(reply, 1), "x"));
    assert_int_equal(redis_reply_i64(redis_reply_at(reply, 2)), 2);
    assert_null(redis_reply_at(reply, 3));
    ++*(int *)arg;
}

static void a_script_gets_its_keys_and_arguments_with_and_without_a_hash(void **state)
{
    struct fixture *f = *state;
    const struct str key = STR("{k}"), args[] = {STR("x"), STR("y")};
    int calls = 0;

    script_append.sha[0] = '\0';
    redis_script(f->redis, &script_append, 1, &key, 2, args, on_append, &calls);
    run_until(f, &calls, 1);
    load_append(f);
    redis_script(f->redis, &script_append, 1, &key, 2, args, on_append, &calls);
    run_until(f, &calls, 2);
}

static void scripts_that_redis_forgot_are_sent_again(void **state)
{
    struct fixture *f = *state;
    struct result results[20] = {{0}}, length = {0};

    load_append(f);
    arrange(f, "SCRIPT FLUSH");
    for (int i = 0; i < 20; i++)
        run_script(f, &results[i], "xx");
    for (int i = 0; i < 20; i++) {
        run_until(f, &results[i].calls, 1);
        assert_int_equal(results[i].status, REDIS_DONE);
    }
    SEND(f, &length, STR("STRLEN"), STR("{k}"));
    run_until(f, &length.calls, 1);
    assert_int_equal(length.integer, 40);
    assert_int_equal(redis_in_flight(f->redis), 0);
}

static void a_broken_script_is_an_error(void **state)
{
    static struct script script_broken = {"broken", "return nonsense(", 16, ""};
    struct fixture *f = *state;
    struct result result = {0};

    redis_script(f->redis, &script_broken, 0, NULL, 0, NULL, on_result, &result);
    run_until(f, &result.calls, 1);
    assert_int_equal(result.status, REDIS_ERROR);
}

static void commands_without_a_connection_are_lost(void **state)
{
    struct fixture *f = *state;
    struct result result = {0};

    redis_free(f->redis);
    connect_redis(f, "unix:/nonexistent/redis.sock", NULL);
    SEND(f, &result, STR("PING"));
    run_script(f, &result, "x");
    assert_int_equal(result.calls, 0);
    run_until(f, &result.calls, 2);
    assert_int_equal(result.status, REDIS_LOST);
    assert_false(redis_is_connected(f->redis));
}

static void a_killed_redis_loses_commands_and_comes_back(void **state)
{
    struct fixture *f = *state;
    struct result blocked = {0}, result = {0};

    f->watched = &blocked;
    SEND(f, &blocked, STR("BLPOP"), STR("none"), STR("0"));
    run_for(f, 10);
    assert_int_equal(kill(embedded_pid(f->embedded), SIGKILL), 0);
    run_until(f, &f->downs, 1);
    assert_int_equal(blocked.status, REDIS_LOST);
    assert_int_equal(f->calls_at_down, 1);
    assert_false(redis_is_connected(f->redis));
    run_until(f, &f->ups, 2);
    SEND(f, &result, STR("PING"));
    run_until(f, &result.calls, 1);
    assert_string_equal(result.text, "PONG");
    assert_int_equal(blocked.calls, 1);
}

static void connections_that_break_under_load_call_back_once_per_command(void **state)
{
    struct fixture *f = *state;
    struct result result = {0};
    int sent = 0;

    load_append(f);
    for (int round = 1; round <= 4; round++) {
        for (int i = 0; i < 80; i++, sent++) {
            run_script(f, &result, "x");
            if (i % 20 == 0)
                event_base_loop(f->base, EVLOOP_NONBLOCK);
        }
        arrange(f, "CLIENT KILL TYPE normal");
        run_until(f, &f->ups, round + 1);
    }
    run_for(f, 20);
    assert_int_equal(result.calls, sent);
    assert_int_equal(redis_in_flight(f->redis), 0);
}

static int observed_durations(void)
{
    static const char name[] = "iotpush_redis_duration_seconds_count ";
    struct buf text = {0};
    const char *line;
    int count;

    metric_write_all(&text);
    line = strstr(text.p, name);
    count = line ? atoi(line + strlen(name)) : 0;
    buf_clear(&text);
    return count;
}

static void blocking_reads_are_not_taken_for_slow_commands(void **state)
{
    struct fixture *f = *state;
    struct result ordinary = {0}, blocking = {0};
    int before = observed_durations();

    SEND(f, &ordinary, STR("PING"));
    run_until(f, &ordinary.calls, 1);
    assert_int_equal(observed_durations(), before + 1);
    redis_free(f->redis);
    f->has_blocking_reads = true;
    f->ups = 0;
    connect_redis(f, embedded_url(f->embedded), NULL);
    run_until(f, &f->ups, 1);
    SEND(f, &blocking, STR("BLPOP"), STR("nothing"), STR("0.05"));
    run_until(f, &blocking.calls, 1);
    assert_int_equal(blocking.status, REDIS_DONE);
    assert_int_equal(observed_durations(), before + 1);
}

static void connect_with_a_short_timeout(struct fixture *f)
{
    f->command_timeout_ms = 150;
    redis_free(f->redis);
    f->ups = 0;
    connect_redis(f, embedded_url(f->embedded), NULL);
    run_until(f, &f->ups, 1);
}

static void a_silent_redis_is_a_timeout_for_all_commands_in_flight(void **state)
{
    struct fixture *f = *state;
    struct result first = {0}, second = {0}, later = {0};
    int64_t sent_at;

    connect_with_a_short_timeout(f);
    kill(embedded_pid(f->embedded), SIGSTOP);
    sent_at = now_ms();
    SEND(f, &first, STR("PING"));
    run_for(f, 50);
    SEND(f, &second, STR("PING"));
    run_until(f, &second.calls, 1);
    assert_in_range(now_ms() - sent_at, 145, 1000);
    assert_int_equal(first.status, REDIS_TIMEOUT);
    assert_int_equal(second.status, REDIS_TIMEOUT);
    assert_int_equal(f->downs, 1);
    SEND(f, &later, STR("PING"));
    run_until(f, &later.calls, 1);
    assert_int_equal(later.status, REDIS_LOST);
    kill(embedded_pid(f->embedded), SIGCONT);
    run_until(f, &f->ups, 2);
    assert_int_equal(first.calls + second.calls, 2);
}

static void a_process_that_was_busy_itself_still_gets_its_replies(void **state)
{
    struct fixture *f = *state;
    struct result results[50] = {{0}};

    connect_with_a_short_timeout(f);
    for (int i = 0; i < 50; i++)
        SEND(f, &results[i], STR("PING"));
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    usleep(300000);
    run_until(f, &results[49].calls, 1);
    assert_int_equal(results[49].status, REDIS_DONE);
    assert_int_equal(f->downs, 0);
}

static void writes_at_the_memory_limit_are_refused_as_no_memory(void **state)
{
    struct fixture *f = *state;
    struct result set = {0}, script = {0}, get = {0};

    arrange(f, "CONFIG SET maxmemory 1");
    load_append(f);
    SEND(f, &set, STR("SET"), STR("k"), STR("v"));
    run_script(f, &script, "x");
    SEND(f, &get, STR("GET"), STR("k"));
    run_until(f, &get.calls, 1);
    assert_int_equal(set.status, REDIS_NO_MEMORY);
    assert_int_equal(script.status, REDIS_NO_MEMORY);
    assert_int_equal(get.status, REDIS_DONE);
}

static void a_replica_that_cannot_write_is_left(void **state)
{
    struct fixture *f = *state;
    struct result result = {0};

    arrange(f, "REPLICAOF 127.0.0.1 1");
    SEND(f, &result, STR("SET"), STR("k"), STR("v"));
    run_until(f, &f->downs, 1);
    assert_int_equal(result.status, REDIS_LOST);
    arrange(f, "CONFIG SET replica-serve-stale-data no"); /* now even PING is refused */
    run_for(f, 300);
    assert_false(redis_is_connected(f->redis));
    arrange(f, "REPLICAOF NO ONE");
    run_until(f, &f->ups, redis_is_connected(f->redis) ? f->ups : f->ups + 1);
}

static void more_than_the_limit_in_flight_is_busy(void **state)
{
    struct fixture *f = *state;
    struct result in_flight = {0}, busy = {0}, later = {0};

    for (int i = 0; i < 100; i++)
        SEND(f, &in_flight, STR("PING"));
    SEND(f, &busy, STR("PING"));
    run_until(f, &in_flight.calls, 100);
    run_until(f, &busy.calls, 1);
    assert_int_equal(in_flight.status, REDIS_DONE);
    assert_int_equal(busy.status, REDIS_BUSY);
    SEND(f, &later, STR("PING"));
    run_until(f, &later.calls, 1);
    assert_int_equal(later.status, REDIS_DONE);
}

static void write_file(const char *file, const char *text)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void a_wrong_password_is_tried_again_until_the_file_has_the_right_one(void **state)
{
    struct fixture *f = *state;
    char *file = xasprintf("%s/password", f->dir);
    struct result result = {0};

    arrange(f, "CONFIG SET requirepass right");
    write_file(file, "wrong\n");
    redis_free(f->redis);
    f->ups = 0;
    connect_redis(f, embedded_url(f->embedded), file);
    run_for(f, 250);
    assert_int_equal(f->ups, 0);
    assert_false(redis_is_connected(f->redis));
    write_file(file, "right\nignored\n");
    run_until(f, &f->ups, 1);
    SEND(f, &result, STR("PING"));
    run_until(f, &result.calls, 1);
    assert_int_equal(result.status, REDIS_DONE);
    free(file);
}

static void a_missing_password_is_noticed_before_the_connection_counts(void **state)
{
    struct fixture *f = *state;

    arrange(f, "CONFIG SET requirepass right");
    redis_free(f->redis);
    f->ups = 0;
    connect_redis(f, embedded_url(f->embedded), NULL);
    run_for(f, 100);
    assert_int_equal(f->ups, 0);
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void user_password_database_and_a_name_work_over_tcp(void **state)
{
    struct fixture *f = *state;
    int port = free_port();
    char *listen_there = xasprintf("CONFIG SET bind 127.0.0.1 port %d", port);
    const char *const hosts[] = {"127.0.0.1", "localhost"};

    arrange(f, listen_there);
    arrange(f, "ACL SETUSER ann on >p%%40ss ~* +@all");
    for (int i = 0; i < 2; i++) {
        struct result info = {0};
        char *url = xasprintf("redis://ann:p%%2540ss@%s:%d/3", hosts[i], port);

        redis_free(f->redis);
        f->ups = 0;
        connect_redis(f, url, "");
        run_until(f, &f->ups, 1);
        SEND(f, &info, STR("CLIENT"), STR("INFO"));
        run_until(f, &info.calls, 1);
        assert_non_null(strstr(info.text, "name=test "));
        assert_non_null(strstr(info.text, "db=3 "));
        free(url);
    }
    free(listen_there);
}

static void a_name_that_does_not_exist_is_no_connection(void **state)
{
    struct fixture *f = *state;

    redis_free(f->redis);
    f->ups = 0;
    connect_redis(f, "redis://does-not-exist.invalid", NULL);
    run_for(f, 300);
    assert_int_equal(f->ups, 0);
    redis_free(f->redis);
    f->redis = NULL;
    run_for(f, 10);
}

static void a_redis_that_accepts_but_says_nothing_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), accepted = 0;
    char *url;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent", f->dir);
    url = xasprintf("unix:%s", address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 10), 0);
    redis_free(f->redis);
    f->ups = 0;
    connect_redis(f, url, NULL);
    run_for(f, 500);
    assert_int_equal(f->ups, 0);
    for (int client; (client = accept(fd, NULL, NULL)) >= 0; accepted++)
        close(client);
    assert_in_range(accepted, 2, 3);
    close(fd);
    free(url);
}

static void freeing_ends_what_is_in_flight_before_it_returns(void **state)
{
    struct fixture *f = *state;
    struct result sent = {0}, refused = {0};

    for (int i = 0; i < 100; i++)
        SEND(f, &sent, STR("PING"));
    SEND(f, &refused, STR("PING"));
    redis_free(f->redis);
    f->redis = NULL;
    assert_int_equal(sent.calls, 100);
    assert_int_equal(sent.status, REDIS_LOST);
    assert_int_equal(refused.calls, 1);
    run_for(f, 10);
    assert_int_equal(sent.calls, 100);
    assert_int_equal(f->downs, 0);
}

static void free_in_callback(enum redis_status status, const redisReply *reply, void *arg)
{
    struct fixture *f = arg;

    (void)status;
    redis_free(f->redis);
    f->redis = NULL;
    if (reply) /* still readable */
        assert_true(redis_reply_is(reply, "PONG"));
}

static void freeing_inside_a_reply_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct result behind = {0};

    redis_command(f->redis, 1, (struct str[]){STR("PING")}, free_in_callback, f);
    SEND(f, &behind, STR("PING"));
    run_until(f, &behind.calls, 1);
    run_for(f, 10);
    assert_int_equal(behind.status, REDIS_LOST);
    assert_int_equal(behind.calls, 1);
    assert_null(f->redis);
}

static void freeing_inside_a_loss_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct result before = {0}, behind = {0};

    kill(embedded_pid(f->embedded), SIGSTOP);
    SEND(f, &before, STR("PING"));
    redis_command(f->redis, 1, (struct str[]){STR("PING")}, free_in_callback, f);
    SEND(f, &behind, STR("PING"));
    run_for(f, 5);
    kill(embedded_pid(f->embedded), SIGKILL);
    run_until(f, &behind.calls, 1);
    assert_int_equal(before.calls, 1);
    run_for(f, 10);
    assert_null(f->redis);
}

static void freeing_inside_a_refused_command_is_allowed(void **state)
{
    struct fixture *f = *state;
    struct result behind = {0};

    redis_free(f->redis);
    connect_redis(f, "unix:/nonexistent/redis.sock", NULL);
    redis_command(f->redis, 1, (struct str[]){STR("PING")}, free_in_callback, f);
    SEND(f, &behind, STR("PING"));
    run_until(f, &behind.calls, 1);
    run_for(f, 10);
    assert_int_equal(behind.calls, 1);
}

static void freeing_inside_the_state_change_is_allowed(void **state)
{
    struct fixture *f = *state;

    f->free_when_up = true;
    kill(embedded_pid(f->embedded), SIGKILL);
    run_until(f, &f->ups, 2);
    run_for(f, 10);
    assert_null(f->redis);
}

static void an_urls_mistake_is_named(void **state)
{
    static const char *const right[] = {
        "embedded:",         "unix:/run/redis.sock", "unix:/r.sock?db=2",
        "redis://h",         "redis://h/",           "redis://h:1/15",
        "redis://[::1]:7/1", "redis://u:p@h",        "redis://:p%2Fa:b%40@h:6379"};
    static const char *const wrong[] = {"",
                                        "h:6379",
                                        "http://h",
                                        "rediss://h",
                                        "redis://",
                                        "redis://:1",
                                        "redis://h:0",
                                        "redis://h:65536",
                                        "redis://h:x",
                                        "redis://h/x",
                                        "redis://h/-1",
                                        "redis://[::1",
                                        "redis://[::1]x",
                                        "redis://u@h",
                                        "redis://u:%4@h",
                                        "redis://u:%zz@h",
                                        "redis://u:%00@h",
                                        "unix:",
                                        "unix:r.sock",
                                        "unix:/r.sock?x=1",
                                        "unix:/r?db=",
                                        "embedded:/x"};
    char too_long[200] = "unix:/";

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_null(redis_url_check(right[i]));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (!redis_url_check(wrong[i]))
            fail_msg("%s was accepted", wrong[i]);
    }
    memset(too_long + 6, 'x', 107);
    assert_non_null(redis_url_check(too_long));
    too_long[5 + 107] = '\0';
    assert_null(redis_url_check(too_long));
}

static void an_urls_parts_are_decoded_and_its_text_has_no_password(void **state)
{
    struct redis_address address;
    char *text;

    (void)state;
    assert_null(redis_url_parse("redis://us%20er:a%40b:c@[::1]:7000/2", &address));
    assert_string_equal(address.user, "us er");
    assert_string_equal(address.password, "a@b:c");
    assert_string_equal(address.host, "::1");
    text = redis_address_text(&address);
    assert_string_equal(text, "[::1]:7000/2");
    free(text);
    redis_address_clear(&address);
}

static void a_wrong_config_is_told(void **state)
{
    struct redis_config config = {.url = "http://x", .name = "n", .password_file = ""};
    char *error = NULL;

    (void)state;
    assert_null(redis_new(NULL, &config, &error));
    assert_non_null(error);
    free(error);
    config.url = "redis://u:p@h";
    config.password_file = "/nonexistent/password";
    error = NULL;
    assert_null(redis_new(NULL, &config, &error));
    assert_non_null(strstr(error, "/nonexistent/password"));
    free(error);
}

static void replies_are_read_safely(void **state)
{
    redisReply name = {.type = REDIS_REPLY_STRING, .str = (char *)"name", .len = 4};
    redisReply ann = {.type = REDIS_REPLY_STRING, .str = (char *)"ann", .len = 3};
    redisReply number = {.type = REDIS_REPLY_STRING, .str = (char *)"-12", .len = 3};
    redisReply odd = {.type = REDIS_REPLY_STRING, .str = (char *)"1x", .len = 2};
    redisReply nil = {.type = REDIS_REPLY_NIL};
    redisReply *elements[] = {&number, &nil, &name, &ann, &name};
    redisReply hash = {.type = REDIS_REPLY_ARRAY, .elements = 5, .element = elements};

    (void)state;
    assert_true(str_eq(redis_reply_field(&hash, "name"), STR("ann")));
    assert_null(redis_reply_field(&hash, "none").p);
    assert_null(redis_reply_field(&ann, "name").p);
    assert_null(redis_reply_field(NULL, "name").p);
    assert_int_equal(redis_reply_i64(&number), -12);
    assert_int_equal(redis_reply_i64(&odd), 0);
    assert_int_equal(redis_reply_i64(&nil), 0);
    assert_int_equal(redis_reply_i64(NULL), 0);
    assert_null(redis_reply_at(&hash, 5));
    assert_null(redis_reply_at(NULL, 0));
    assert_false(redis_reply_is(&nil, ""));
    assert_false(redis_reply_is(NULL, ""));
    assert_null(redis_reply_str(&hash).p);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(a_command_is_answered_once_and_not_before_the_call_returns),
        SERVED(words_may_be_empty_or_hold_any_bytes),
        SERVED(long_words_arrive_whole),
        SERVED(hashes_of_scripts_are_the_ones_redis_computes),
        SERVED(a_script_gets_its_keys_and_arguments_with_and_without_a_hash),
        SERVED(scripts_that_redis_forgot_are_sent_again),
        SERVED(a_broken_script_is_an_error),
        SERVED(commands_without_a_connection_are_lost),
        SERVED(a_killed_redis_loses_commands_and_comes_back),
        SERVED(connections_that_break_under_load_call_back_once_per_command),
        SERVED(blocking_reads_are_not_taken_for_slow_commands),
        SERVED(a_silent_redis_is_a_timeout_for_all_commands_in_flight),
        SERVED(a_process_that_was_busy_itself_still_gets_its_replies),
        SERVED(writes_at_the_memory_limit_are_refused_as_no_memory),
        SERVED(a_replica_that_cannot_write_is_left),
        SERVED(more_than_the_limit_in_flight_is_busy),
        SERVED(a_wrong_password_is_tried_again_until_the_file_has_the_right_one),
        SERVED(a_missing_password_is_noticed_before_the_connection_counts),
        SERVED(user_password_database_and_a_name_work_over_tcp),
        SERVED(a_name_that_does_not_exist_is_no_connection),
        SERVED(a_redis_that_accepts_but_says_nothing_is_given_up),
        SERVED(freeing_ends_what_is_in_flight_before_it_returns),
        SERVED(freeing_inside_a_reply_is_allowed),
        SERVED(freeing_inside_a_loss_is_allowed),
        SERVED(freeing_inside_a_refused_command_is_allowed),
        SERVED(freeing_inside_the_state_change_is_allowed),
        cmocka_unit_test(an_urls_mistake_is_named),
        cmocka_unit_test(an_urls_parts_are_decoded_and_its_text_has_no_password),
        cmocka_unit_test(a_wrong_config_is_told),
        cmocka_unit_test(replies_are_read_safely),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

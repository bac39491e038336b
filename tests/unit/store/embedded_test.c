#include "store/embedded.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    char dir[400]; /* below parent, made by embedded_new */
    char parent[64];
    struct event_base *base;
    struct embedded *embedded;
    int stopped;
    int64_t stop_timeout_ms;
};

static void on_stopped(void *arg)
{
    ++*(int *)arg;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static void run_once(struct fixture *f)
{
    struct timeval tick = {0, 5000};

    event_base_once(f->base, -1, EV_TIMEOUT, on_tick, NULL, &tick);
    event_base_loop(f->base, EVLOOP_ONCE);
}

static char *start(struct fixture *f, const char *program)
{
    struct embedded_config config = {program, f->dir, "always", f->stop_timeout_ms};
    char *error = NULL;

    f->embedded = embedded_new(f->base, &config, &error);
    return error;
}

static void start_well(struct fixture *f)
{
    char *error = start(f, "redis-server");

    if (error)
        fail_msg("%s", error);
}

static void stop_well(struct fixture *f)
{
    f->stopped = 0;
    embedded_stop(f->embedded, on_stopped, &f->stopped);
    assert_int_equal(f->stopped, 0);
    for (int i = 0; i < 1000 && !f->stopped; i++)
        run_once(f);
    assert_int_equal(f->stopped, 1);
    assert_int_equal(embedded_pid(f->embedded), 0);
    embedded_free(f->embedded);
    f->embedded = NULL;
}

/* The text of a reply ("" when none came), free() it. Waits until Redis answers. */
static char *ask(struct fixture *f, const char *command)
{
    char *text = xstrdup("");

    for (int i = 0; i < 1000 && !text[0]; i++) {
        redisContext *context = redisConnectUnix(embedded_url(f->embedded) + 5);
        redisReply *reply = context->err ? NULL : redisCommand(context, command);

        if (reply && reply->type != REDIS_REPLY_ERROR && reply->str) {
            free(text);
            text = xstrdup(reply->str);
        }
        if (reply)
            freeReplyObject(reply);
        redisFree(context);
        if (!text[0])
            run_once(f);
    }
    return text;
}

static void assert_answer(struct fixture *f, const char *command, const char *expected)
{
    char *text = ask(f, command);

    assert_string_equal(text, expected);
    free(text);
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    strcpy(f->parent, "/tmp/embedded_test-XXXXXX");
    assert_non_null(mkdtemp(f->parent));
    snprintf(f->dir, sizeof(f->dir), "%s/a/data", f->parent);
    f->base = event_base_new();
    f->stop_timeout_ms = 5000;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char *command = xasprintf("rm -rf %s", f->parent);

    embedded_free(f->embedded);
    event_base_free(f->base);
    assert_int_equal(system(command), 0);
    free(command);
    free(f);
    return 0;
}

static void it_starts_in_a_directory_that_it_makes_for_itself(void **state)
{
    struct fixture *f = *state;
    struct stat status;

    start_well(f);
    assert_answer(f, "PING", "PONG");
    assert_int_equal(stat(f->dir, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    stop_well(f);
}

static void it_has_a_session_of_its_own_and_no_descriptors_but_the_lock(void **state)
{
    struct fixture *f = *state;
    int leaked = open("/dev/null", O_RDONLY); /* without CLOEXEC */
    char *fds, *command;

    start_well(f);
    assert_answer(f, "PING", "PONG");
    assert_int_equal(getsid(embedded_pid(f->embedded)), embedded_pid(f->embedded));
    fds = xasprintf("/proc/%d/fd", embedded_pid(f->embedded));
    command = xasprintf("test $(ls -l %s | grep -c /dev/null) = 1 &&"
                        " ls -l %s | grep -q '3 -> .*/lock$'",
                        fds, fds);
    assert_int_equal(system(command), 0);
    free(command);
    free(fds);
    close(leaked);
    stop_well(f);
}

static void its_data_survives_a_stop(void **state)
{
    struct fixture *f = *state;

    start_well(f);
    assert_answer(f, "SET k v1", "OK");
    stop_well(f);
    start_well(f);
    assert_answer(f, "GET k", "v1");
    stop_well(f);
}

static void it_is_started_again_after_a_kill_and_the_data_survives(void **state)
{
    struct fixture *f = *state;
    int pid;

    start_well(f);
    assert_answer(f, "SET k v2", "OK");
    pid = embedded_pid(f->embedded);
    kill(pid, SIGKILL);
    for (int i = 0; i < 1000 && embedded_pid(f->embedded) == pid; i++)
        run_once(f);
    assert_int_equal(embedded_pid(f->embedded), 0);
    assert_answer(f, "GET k", "v2");
    assert_int_not_equal(embedded_pid(f->embedded), pid);
    stop_well(f);
}

static void it_can_be_stopped_while_it_waits_for_a_restart(void **state)
{
    struct fixture *f = *state;

    start_well(f);
    assert_answer(f, "PING", "PONG");
    kill(embedded_pid(f->embedded), SIGKILL);
    for (int i = 0; i < 1000 && embedded_pid(f->embedded); i++)
        run_once(f);
    stop_well(f);
}

static void a_child_that_does_not_stop_is_killed(void **state)
{
    struct fixture *f = *state;

    f->stop_timeout_ms = 200;
    start_well(f);
    assert_answer(f, "PING", "PONG");
    kill(embedded_pid(f->embedded), SIGSTOP); /* SIGTERM waits, SIGKILL does not */
    stop_well(f);
}

static void a_second_daemon_on_the_directory_is_refused_at_once(void **state)
{
    struct fixture *f = *state, second = *f;
    time_t began = time(NULL);
    char *error, *pid = xasprintf("process %d", (int)getpid());

    start_well(f);
    error = start(&second, "redis-server");
    assert_null(second.embedded);
    assert_non_null(strstr(error, "in use by"));
    assert_non_null(strstr(error, pid));
    assert_in_range(time(NULL) - began, 0, 3);
    free(error);
    free(pid);
    assert_answer(f, "PING", "PONG");
    stop_well(f);
}

static void a_daemon_waits_for_the_orphan_of_a_killed_one(void **state)
{
    struct fixture *f = *state;
    int status, ready[2];
    pid_t daemon_pid;
    char byte;

    prctl(PR_SET_CHILD_SUBREAPER, 1); /* the orphan becomes ours to wait for */
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    daemon_pid = fork();
    if (daemon_pid == 0) {
        start_well(f);
        free(ask(f, "SET k orphan"));
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(daemon_pid, SIGKILL);
    waitpid(daemon_pid, &status, 0);
    event_reinit(f->base);
    start_well(f);
    assert_answer(f, "GET k", "orphan");
    stop_well(f);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    close(ready[0]);
    close(ready[1]);
}

static void the_lock_is_the_childs_too(void **state)
{
    struct fixture *f = *state;
    char *lock = xasprintf("%s/lock", f->dir);
    int fd;

    start_well(f);
    assert_answer(f, "PING", "PONG");
    fd = open(lock, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), -1);
    stop_well(f);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    free(lock);
}

static void a_directory_too_long_for_a_socket_gets_one_elsewhere(void **state)
{
    struct fixture *f = *state;
    size_t len = strlen(f->dir);
    char *socket;

    memset(f->dir + len, 'x', 110);
    start_well(f);
    assert_answer(f, "PING", "PONG");
    socket = xstrdup(embedded_url(f->embedded) + 5);
    assert_null(strstr(socket, f->dir));
    stop_well(f);
    *strrchr(socket, '/') = '\0';
    assert_int_equal(access(socket, F_OK), -1);
    free(socket);
}

static void a_missing_program_is_told_with_its_package(void **state)
{
    struct fixture *f = *state;
    char *error = start(f, "redis-server-that-is-not-there");

    assert_null(f->embedded);
    assert_non_null(strstr(error, "redis-server-that-is-not-there"));
    assert_non_null(strstr(error, "apt install redis-server"));
    free(error);
}

static void a_directory_that_cannot_be_made_is_told(void **state)
{
    struct fixture *f = *state;
    char *error;

    strcpy(f->dir, "/dev/null/data");
    error = start(f, "redis-server");
    assert_null(f->embedded);
    assert_non_null(strstr(error, "/dev/null/data"));
    free(error);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_starts_in_a_directory_that_it_makes_for_itself),
        TEST(it_has_a_session_of_its_own_and_no_descriptors_but_the_lock),
        TEST(its_data_survives_a_stop),
        TEST(it_is_started_again_after_a_kill_and_the_data_survives),
        TEST(it_can_be_stopped_while_it_waits_for_a_restart),
        TEST(a_child_that_does_not_stop_is_killed),
        TEST(a_second_daemon_on_the_directory_is_refused_at_once),
        TEST(a_daemon_waits_for_the_orphan_of_a_killed_one),
        TEST(the_lock_is_the_childs_too),
        TEST(a_directory_too_long_for_a_socket_gets_one_elsewhere),
        TEST(a_missing_program_is_told_with_its_package),
        TEST(a_directory_that_cannot_be_made_is_told),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

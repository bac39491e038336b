/*
 * A child process in the hands of the loop. States: running (pid > 0), waiting to be started again
 * (the restart timer is pending), stopping, stopped.
 */
#include "store/embedded.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/embedded_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS   10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define STEADY_MS      10000 /* a child that lived so long starts a new backoff */

struct embedded {
    struct event_base *base;
    char *program, *dir, *fsync;
    int64_t stop_timeout_ms;
    char *socket, *socket_dir; /* socket_dir: made for the socket alone, or NULL */
    char *log_file, *url;
    int lock_fd;

    pid_t pid; /* 0 = not running */
    int64_t started_at_ms;
    unsigned failures; /* deaths in a row soon after a start */
    struct event *child_signal, *restart, *kill_limit, *run_stopped;

    bool is_stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static void arm(struct event *timer, int64_t delay_ms)
{
    struct timeval delay = {delay_ms / 1000, delay_ms % 1000 * 1000};

    evtimer_add(timer, &delay);
}

/* The child, between fork and exec */

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* 0 is /dev/null, 1 and 2 the log file, 3 the lock. */
static void set_descriptors(const struct embedded *embedded)
{
    int null, log, lock;

    /* Copies above the numbers that are overwritten now, whatever was open before. */
    lock = fcntl(embedded->lock_fd, F_DUPFD, 10);
    null = fcntl(open("/dev/null", O_RDWR), F_DUPFD, 10);
    log = fcntl(open(embedded->log_file, O_WRONLY | O_CREAT | O_APPEND, 0600), F_DUPFD, 10);
    if (log < 0)
        log = null;
    if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || dup2(lock, 3) < 0)
        _exit(126);
    if (close_range(4, ~0U, 0) < 0) {
        for (int fd = (int)sysconf(_SC_OPEN_MAX) - 1; fd > 3; fd--)
            close(fd);
    }
}

static _Noreturn void run_child(const struct embedded *embedded, char *const argv[], pid_t parent)
{
    setsid();
    /* Asked for first and checked then: a parent that died in between sends no signal any more. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(126);
    umask(0077);
    reset_signals();
    set_descriptors(embedded);
    execv(argv[0], argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* 0, or -1 with errno set. */
static int start_child(struct embedded *embedded)
{
    const char *argv[] = {embedded->program,  "--port",           "0",      "--unixsocket",
                          embedded->socket,   "--unixsocketperm", "700",    "--dir",
                          embedded->dir,      "--appendonly",     "yes",    "--appendfsync",
                          embedded->fsync,    "--save",           "",       "--maxmemory-policy",
                          "noeviction",       "--daemonize",      "no",     "--logfile",
                          embedded->log_file, "--loglevel",       "notice", NULL};
    pid_t parent = getpid(), pid;
    sigset_t all, before;
    int problem;

    /* A signal that reached the child while it still has the loop's handlers would be told to the
     * parent's loop, through the descriptors they share. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        run_child(embedded, (char *const *)argv, parent);
    problem = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    errno = problem;
    if (pid < 0)
        return -1;
    embedded->pid = pid;
    embedded->started_at_ms = clock_tick_ms();
    log_info("embedded", "server=redis pid=%d dir=%s state=started", (int)pid, embedded->dir);
    return 0;
}

/* Its end */

static void restart_later(struct embedded *embedded, const char *how)
{
    int64_t delay_ms = BACKOFF_MAX_MS;

    if (clock_tick_ms() - embedded->started_at_ms >= STEADY_MS)
        embedded->failures = 0;
    if (embedded->failures < 6)
        delay_ms = (int64_t)BACKOFF_MIN_MS << embedded->failures;
    embedded->failures++;
    log_error("embedded", "server=redis state=ended how=%s log=%s restart_ms=%lld", how,
              embedded->log_file, (long long)delay_ms);
    arm(embedded->restart, delay_ms);
}

static void child_ended(struct embedded *embedded, int status)
{
    char how[80];

    embedded->pid = 0;
    evtimer_del(embedded->kill_limit);
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
    if (embedded->is_stopping) {
        log_info("embedded", "server=redis state=stopped how=%s", how);
        event_active(embedded->run_stopped, EV_TIMEOUT, 0);
    } else {
        restart_later(embedded, how);
    }
}

static void on_child_signal(evutil_socket_t number, short what, void *arg)
{
    struct embedded *embedded = arg;
    int status;

    (void)number;
    (void)what;
    if (embedded->pid > 0 && waitpid(embedded->pid, &status, WNOHANG) == embedded->pid)
        child_ended(embedded, status);
}

static void on_restart(evutil_socket_t fd, short what, void *arg)
{
    struct embedded *embedded = arg;

    (void)fd;
    (void)what;
    if (start_child(embedded) < 0)
        restart_later(embedded, strerror(errno));
}

static void on_kill_limit(evutil_socket_t fd, short what, void *arg)
{
    struct embedded *embedded = arg;

    (void)fd;
    (void)what;
    if (embedded->pid <= 0)
        return;
    log_error("embedded", "server=redis pid=%d state=killed reason=%s timeout_ms=%lld",
              (int)embedded->pid, "it did not stop in time", (long long)embedded->stop_timeout_ms);
    kill(embedded->pid, SIGKILL);
}

static void on_run_stopped(evutil_socket_t fd, short what, void *arg)
{
    struct embedded *embedded = arg;
    void (*stopped)(void *) = embedded->stopped;

    (void)fd;
    (void)what;
    embedded->stopped = NULL;
    if (stopped)
        stopped(embedded->stopped_arg);
}

void embedded_stop(struct embedded *embedded, void (*stopped)(void *arg), void *arg)
{
    if (embedded->is_stopping)
        return;
    embedded->is_stopping = true;
    embedded->stopped = stopped;
    embedded->stopped_arg = arg;
    evtimer_del(embedded->restart);
    if (embedded->pid > 0) {
        kill(embedded->pid, SIGTERM);
        arm(embedded->kill_limit, embedded->stop_timeout_ms);
    } else {
        event_active(embedded->run_stopped, EV_TIMEOUT, 0);
    }
}

/* Making and freeing */

static bool is_program(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static char *find_program(const char *name, char **error)
{
    const char *rest = getenv("PATH");

    if (strchr(name, '/') && is_program(name))
        return xstrdup(name);
    if (!rest)
        rest = "/usr/local/bin:/usr/bin:/bin";
    while (!strchr(name, '/') && *rest) {
        size_t len = strcspn(rest, ":");
        char *path = xasprintf("%.*s/%s", (int)len, rest, name);

        if (len > 0 && is_program(path))
            return path;
        free(path);
        rest += len + (rest[len] == ':');
    }
    *error = xasprintf("%s: there is no such program; install Redis (on Debian and Ubuntu:"
                       " apt install redis-server), or use a Redis that runs already",
                       name);
    return NULL;
}

static int prepare(struct embedded *embedded, const struct embedded_config *config, char **error)
{
    embedded->program = find_program(config->program, error);
    if (!embedded->program)
        return -1;
    embedded->dir = embedded_dir_make(config->dir, error);
    if (!embedded->dir)
        return -1;
    embedded->lock_fd = embedded_dir_lock(embedded->dir, LOCK_WAIT_MS, error);
    if (embedded->lock_fd < 0)
        return -1;
    embedded->socket = embedded_dir_socket(embedded->dir, &embedded->socket_dir, error);
    if (!embedded->socket)
        return -1;
    embedded->fsync = xstrdup(config->fsync);
    embedded->stop_timeout_ms = config->stop_timeout_ms;
    embedded->url = xasprintf("unix:%s", embedded->socket);
    embedded->log_file = xasprintf("%s/redis.log", embedded->dir);
    return 0;
}

struct embedded *embedded_new(struct event_base *base, const struct embedded_config *config,
                              char **error)
{
    struct embedded *embedded = xcalloc(1, sizeof(*embedded));

    *error = NULL;
    embedded->base = base;
    embedded->lock_fd = -1;
    if (prepare(embedded, config, error) < 0)
        goto failed;
    embedded->restart = evtimer_new(base, on_restart, embedded);
    embedded->kill_limit = evtimer_new(base, on_kill_limit, embedded);
    embedded->run_stopped = evtimer_new(base, on_run_stopped, embedded);
    embedded->child_signal = evsignal_new(base, SIGCHLD, on_child_signal, embedded);
    evsignal_add(embedded->child_signal, NULL);
    if (start_child(embedded) < 0) {
        *error = xasprintf("%s: cannot be started: %s", embedded->program, strerror(errno));
        goto failed;
    }
    return embedded;
failed:
    embedded_free(embedded);
    return NULL;
}

const char *embedded_url(const struct embedded *embedded)
{
    return embedded->url;
}

int embedded_pid(const struct embedded *embedded)
{
    return (int)embedded->pid;
}

static void end_child_now(struct embedded *embedded)
{
    int64_t left_ms = embedded->stop_timeout_ms;

    if (embedded->pid <= 0)
        return;
    kill(embedded->pid, SIGTERM);
    while (left_ms > 0 && waitpid(embedded->pid, NULL, WNOHANG) == 0) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        left_ms -= 10;
    }
    if (left_ms <= 0) {
        kill(embedded->pid, SIGKILL);
        waitpid(embedded->pid, NULL, 0);
    }
}

static void remove_files(const struct embedded *embedded)
{
    char *pid_file;

    if (embedded->socket_dir) {
        unlink(embedded->socket);
        rmdir(embedded->socket_dir);
    }
    if (embedded->lock_fd >= 0) {
        pid_file = xasprintf("%s/iotpushd.pid", embedded->dir);
        unlink(pid_file);
        free(pid_file);
    }
}

void embedded_free(struct embedded *embedded)
{
    struct event *events[4];

    if (!embedded)
        return;
    end_child_now(embedded);
    events[0] = embedded->child_signal;
    events[1] = embedded->restart;
    events[2] = embedded->kill_limit;
    events[3] = embedded->run_stopped;
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        if (events[i])
            event_free(events[i]);
    }
    remove_files(embedded);
    if (embedded->lock_fd >= 0)
        close(embedded->lock_fd);
    free(embedded->program);
    free(embedded->dir);
    free(embedded->fsync);
    free(embedded->socket);
    free(embedded->socket_dir);
    free(embedded->log_file);
    free(embedded->url);
    free(embedded);
}

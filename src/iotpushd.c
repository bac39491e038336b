/*
 * The daemon: what is started and stopped in which order, and what connects the parts. Everything
 * else is in the folders below.
 */
#include "expiry.h"
#include "instance.h"
#include "listeners.h"
#include "options.h"

#include "admin/admin.h"
#include "api/v1/v1.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/process.h"
#include "core/device/watch.h"
#include "core/session/session.h"
#include "device/https.h"
#include "device/mqtt.h"
#include "net/netpolicy.h"
#include "net/resolver.h"
#include "store/embedded.h"
#include "store/redis_check.h"
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_CONFIGURATION 1
#define EXIT_CANNOT_START  3
#define EXIT_INTERNAL      70

#define LISTENERS_STOP_MS 20000 /* requests under way may end */

struct daemon {
    struct options options;
    struct settings settings;
    struct settings_source *source;
    struct event_base *base;
    struct embedded *embedded;
    struct redis *redis, *reader, *mailbox; /* mailbox: NULL when no device can connect here */
    struct redis_check *check;
    struct netpolicy *policy;
    struct core *core;
    struct resolver *resolver;
    struct push *push;
    struct device_mqtt *mqtt;
    struct listeners *listeners;
    struct expiry *expiry;
    struct admin_context admin;
    char *instance_id, *data_dir, *admin_socket, *admin_token;
    bool is_redis_ready; /* connected, settings checked, partitions known */
    bool is_stopping;
    int stops_waited_for;
    int exit_status;
    int64_t started_ms;
    struct event *signals[4];
};

static void die(struct daemon *daemon, const char *what, char *why)
{
    log_error("start", "what=%s reason=%s", what, why);
    free(why);
    embedded_free(daemon->embedded);
    exit(EXIT_CANNOT_START);
}

/* ---- places ---- */

static char *data_directory(const struct settings *settings)
{
    const char *state_home = getenv("XDG_STATE_HOME");

    if (*settings->redis.embedded_dir)
        return xstrdup(settings->redis.embedded_dir);
    if (geteuid() == 0)
        return xstrdup(LOCALSTATEDIR "/lib/iotpush");
    return state_home && *state_home ? xasprintf("%s/iotpush", state_home)
                                     : xstrdup("./iotpush-data");
}

static char *admin_socket_path(const struct settings *settings, const char *data_dir)
{
    if (*settings->admin.socket)
        return xstrdup(settings->admin.socket);
    if (geteuid() == 0 && !*settings->redis.embedded_dir) {
        mkdir(RUNSTATEDIR "/iotpush", 0755);
        return xstrdup(RUNSTATEDIR "/iotpush/admin.sock");
    }
    mkdir(data_dir, 0700);
    return xasprintf("%s/admin.sock", data_dir);
}

static char *first_line(const char *file)
{
    char line[512] = "";
    FILE *in = fopen(file, "re");

    if (in && fgets(line, sizeof(line), in))
        line[strcspn(line, "\r\n")] = '\0';
    if (in)
        fclose(in);
    return xstrdup(line);
}

/* ---- Redis ---- */

static void partitions_known(enum error error, void *arg)
{
    struct daemon *daemon = arg;

    if (error || daemon->is_stopping)
        return; /* the connection broke; the next one asks again */
    daemon->is_redis_ready = true;
    metric_set(M_REDIS_CONNECTED, 1, NULL);
    log_info("redis", "state=ready partitions=%u", daemon->core->partition_count);
    sessions_start(daemon->core);
    push_start(daemon->push);
    expiry_start(daemon->expiry, daemon->listeners, daemon->push);
}

static void redis_checked(bool is_safe, void *arg)
{
    struct daemon *daemon = arg;

    if (!is_safe && daemon->settings.redis.strict) {
        log_error("redis", "state=refused reason=%s",
                  "its settings could lose data, and redis.strict is on");
        daemon->exit_status = EXIT_CANNOT_START;
        event_base_loopbreak(daemon->base);
        return;
    }
    core_load_partition_count(daemon->core, partitions_known, daemon);
}

static void redis_state(bool is_connected, void *arg)
{
    struct daemon *daemon = arg;

    if (is_connected) {
        redis_check_settings(daemon->redis, redis_checked, daemon);
        return;
    }
    daemon->is_redis_ready = false;
    metric_set(M_REDIS_CONNECTED, 0, NULL);
    push_redis_lost(daemon->push);
}

static struct redis *connect_redis(struct daemon *daemon, const char *name, bool is_reader)
{
    const struct settings *settings = &daemon->settings;
    struct redis_config config = {
        .url = daemon->embedded ? embedded_url(daemon->embedded) : settings->redis.url,
        .password_file = settings->redis.password_file,
        .name = name,
        .connect_timeout_ms = settings->redis.connect_timeout_ms,
        /* a blocking read may take its time to block, and a reply's time on top */
        .command_timeout_ms = settings->redis.command_timeout_ms + (is_reader ? 2000 : 0),
        .has_blocking_reads = is_reader,
        .max_in_flight = settings->redis.max_in_flight,
        .state = is_reader ? NULL : redis_state,
        .arg = daemon,
    };
    char *error = NULL;
    struct redis *redis = redis_new(daemon->base, &config, &error);

    if (!redis)
        die(daemon, "redis", error);
    return redis;
}

static void start_redis(struct daemon *daemon)
{
    const struct settings *settings = &daemon->settings;
    char *error = NULL;

    if (strncmp(settings->redis.url, "embedded:", 9) == 0) {
        daemon->embedded = embedded_new(
            daemon->base,
            &(struct embedded_config){.program = settings->redis.embedded_program,
                                      .dir = daemon->data_dir,
                                      .fsync = settings->redis.embedded_fsync ? "always"
                                                                              : "everysec",
                                      .stop_timeout_ms = 10000},
            &error);
        if (!daemon->embedded)
            die(daemon, "redis", error);
    }
    redis_scripts_init();
    daemon->redis = connect_redis(daemon, "iotpush", false);
    daemon->reader = connect_redis(daemon, "iotpush-reader", true);
    if (*settings->device.listen_mqtt || *settings->device.listen_mqtts)
        daemon->mailbox = connect_redis(daemon, "iotpush-mailbox", true);
}

/* ---- the engine ---- */

static void start_core(struct daemon *daemon)
{
    struct settings *settings = &daemon->settings;
    struct push_config config;
    char *error = NULL;

    daemon->policy = netpolicy_new(settings->push.allow_networks, settings->push.deny_networks,
                                   &error);
    if (!daemon->policy)
        die(daemon, "push.allow_networks", error);
    daemon->core = core_new(daemon->base, daemon->redis, &settings->core, daemon->policy);
    sessions_new(daemon->core, daemon->instance_id, daemon->mailbox, &device_mqtt_transport);
    watches_new(daemon->core);
    daemon->mqtt = device_mqtt_new(daemon->core, &settings->device_mqtt);
    daemon->core->shadow_transport = device_mqtt_shadow_transport(daemon->mqtt);
    daemon->expiry = expiry_new(daemon->core);
    daemon->resolver = resolver_new(daemon->base);
    config = (struct push_config){daemon->core, &settings->push, daemon->reader,
                                  daemon->instance_id, daemon->resolver};
    daemon->push = push_new(&config, &error);
    if (!daemon->push)
        die(daemon, "push", error);
    v1_api.context = daemon->core;
    device_https_api.context = daemon->core;
}

/* ---- what the admin listener asks ---- */

static bool is_ready(const char **why_not, void *arg)
{
    const struct daemon *daemon = arg;

    *why_not = daemon->is_stopping      ? "stopping"
               : !daemon->is_redis_ready ? "waiting for Redis"
                                         : "";
    return !**why_not;
}

static void write_status(struct json_writer *w, void *arg)
{
    const struct daemon *daemon = arg;

    json_member_text(w, "instance", daemon->instance_id);
    json_member_text(w, "version", PACKAGE_VERSION);
    json_member_i64(w, "uptimeSeconds", (clock_tick_ms() - daemon->started_ms) / 1000);
    json_key(w, "redis");
    json_object(w);
    json_member_bool(w, "connected", daemon->is_redis_ready);
    json_member_bool(w, "embedded", daemon->embedded != NULL);
    json_member_i64(w, "pid", daemon->embedded ? embedded_pid(daemon->embedded) : 0);
    json_member_i64(w, "inFlight", (int64_t)redis_in_flight(daemon->redis));
    json_member_i64(w, "partitions", daemon->core->partition_count);
    json_object_end(w);
    listeners_write(daemon->listeners, w);
    json_member_i64(w, "connections",
                    (int64_t)listeners_connections(daemon->listeners));
    json_key(w, "push");
    push_write_status(daemon->push, w);
}

static void refresh_metrics(void *arg)
{
    const struct daemon *daemon = arg;

    expiry_refresh_metrics(daemon->expiry);
    metric_set(M_PROCESS_CPU, process_cpu_seconds(), NULL);
    metric_set(M_PROCESS_RSS, (double)process_resident_bytes(), NULL);
    metric_set(M_PROCESS_FDS, (double)process_open_descriptors(), NULL);
    metric_set(M_LOG_LOST, (double)log_lost_lines(), NULL);
    metric_set(M_AUDIT_LOST, (double)log_lost_audit_lines(), NULL);
}

static void prepare_admin(struct daemon *daemon)
{
    daemon->admin = (struct admin_context){
        .core = daemon->core,
        .push = daemon->push,
        .instance_id = daemon->instance_id,
        .token = daemon->admin_token,
        .is_ready = is_ready,
        .write_status = write_status,
        .refresh_metrics = refresh_metrics,
        .arg = daemon,
    };
    admin_set_context(&daemon->admin);
    metric_set(M_BUILD_INFO, 1, PACKAGE_VERSION);
    metric_set(M_PROCESS_START, (double)clock_now_ms() / 1000.0, NULL);
    metric_set(M_REDIS_CONNECTED, 0, NULL);
}

/* ---- stopping ---- */

/* Everything that uses Redis, so that it can be stopped without anybody missing it. */
static void free_parts(struct daemon *daemon)
{
    if (!daemon->redis)
        return;
    for (size_t i = 2; i < sizeof(daemon->signals) / sizeof(*daemon->signals); i++)
        event_del(daemon->signals[i]); /* reload and status would look at them */
    watches_stop(daemon->core);
    listeners_free(daemon->listeners);
    redis_free(daemon->reader);
    redis_free(daemon->mailbox);
    redis_free(daemon->redis);
    sessions_free(daemon->core);
    watches_free(daemon->core);
    device_mqtt_free(daemon->mqtt);
    expiry_free(daemon->expiry);
    push_free(daemon->push);
    core_free(daemon->core);
    daemon->redis = NULL;
}

static void redis_stopped(void *arg)
{
    struct daemon *daemon = arg;

    event_base_loopbreak(daemon->base);
}

static void stop_redis(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *daemon = arg;

    (void)fd;
    (void)what;
    free_parts(daemon);
    if (daemon->embedded)
        embedded_stop(daemon->embedded, redis_stopped, daemon);
    else
        redis_stopped(daemon);
}

static void part_stopped(void *arg);

/* Now all connections of devices are closed: that is to be written still. */
static void listeners_stopped(void *arg)
{
    struct daemon *daemon = arg;

    sessions_stop(daemon->core, LISTENERS_STOP_MS, part_stopped, daemon);
}

static void part_stopped(void *arg)
{
    struct daemon *daemon = arg;

    if (--daemon->stops_waited_for == 0)
        event_base_once(daemon->base, -1, EV_TIMEOUT, stop_redis, daemon, NULL);
}

static void stop(struct daemon *daemon)
{
    log_info("stop", "state=stopping");
    daemon->is_stopping = true;
    daemon->stops_waited_for = 2;
    watches_stop(daemon->core);
    listeners_stop(daemon->listeners, LISTENERS_STOP_MS, listeners_stopped, daemon);
    push_stop(daemon->push, part_stopped, daemon);
}

static void on_stop_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *daemon = arg;

    (void)number;
    (void)what;
    if (daemon->is_stopping)
        event_base_loopbreak(daemon->base);
    else
        stop(daemon);
}

/* ---- reloading ---- */

static void say_needs_restart(const char *key, void *arg)
{
    (void)arg;
    log_warn("reload", "key=%s state=unchanged reason=%s", key, "takes a restart");
}

/* NULL, or the key of the setting whose file cannot be opened. */
static const char *open_log(const struct settings *settings)
{
    http_log_requests(settings->log.requests);
    if (log_open((enum log_level)settings->log.level, settings->log.format == 1,
                 settings->log.file) < 0)
        return "file";
    return log_open_audit(settings->log.audit_file) < 0 ? "audit_file" : NULL;
}

static void on_reload_signal(evutil_socket_t number, short what, void *arg)
{
    struct daemon *daemon = arg;
    struct settings fresh = {0};
    struct settings_source *source = NULL;
    const char *unopened;

    (void)number;
    (void)what;
    if (options_load_settings(&daemon->options, &fresh, &source) == 0) {
        settings_apply_reloadable(settings_table, &fresh, &daemon->settings, say_needs_restart,
                                  daemon);
        core_settings_changed(daemon->core);
        device_mqtt_settings_changed(daemon->mqtt);
        push_settings_changed(daemon->push);
        listeners_reload(daemon->listeners);
        expiry_look(daemon->expiry);
        resolver_reload(daemon->resolver);
        unopened = open_log(&daemon->settings);
        if (unopened)
            log_error("reload", "key=log.%s state=unchanged reason=%s", unopened, strerror(errno));
        log_info("reload", "state=done");
    } else {
        log_error("reload", "state=unchanged reason=%s", "the configuration has mistakes");
    }
    settings_clear(settings_table, &fresh);
    settings_source_free(source);
}

static void on_status_signal(evutil_socket_t number, short what, void *arg)
{
    const struct daemon *daemon = arg;
    struct push_figures figures;

    (void)number;
    (void)what;
    push_count(daemon->push, &figures);
    log_info("status",
             "ready=%s connections=%zu redis_in_flight=%zu partitions=%zu events=%zu queued=%zu "
             "in_flight=%zu invalid_urls=%zu",
             daemon->is_redis_ready ? "yes" : "no",
             listeners_connections(daemon->listeners),
             daemon->redis ? redis_in_flight(daemon->redis) : 0, figures.partitions,
             figures.events, figures.queued, figures.in_flight, figures.invalid_urls);
}

static void take_signals(struct daemon *daemon)
{
    static const struct {
        int number;
        event_callback_fn callback;
    } wanted[] = {{SIGTERM, on_stop_signal},
                  {SIGINT, on_stop_signal},
                  {SIGHUP, on_reload_signal},
                  {SIGUSR1, on_status_signal}};

    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        daemon->signals[i] =
            evsignal_new(daemon->base, wanted[i].number, wanted[i].callback, daemon);
        event_add(daemon->signals[i], NULL);
    }
}

/* ---- main ---- */

static void log_libevent(int severity, const char *message)
{
    if (severity >= EVENT_LOG_WARN)
        log_warn("libevent", "message=%s", message);
}

static struct event_base *new_event_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base;

    /* Half as many system calls for short requests. */
    event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
    base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static void load_settings(struct daemon *daemon, int argc, char **argv)
{
    const char *unopened;

    options_parse(&daemon->options, argc, argv);
    if (options_load_settings(&daemon->options, &daemon->settings, &daemon->source) > 0)
        exit(EXIT_CONFIGURATION);
    if (daemon->options.tests_only) {
        fprintf(stderr, "configuration %s is right\n",
                daemon->options.file ? daemon->options.file : "(built-in defaults)");
        exit(0);
    }
    unopened = open_log(&daemon->settings);
    if (unopened) {
        fprintf(stderr, "%s: %s\n",
                settings_where(daemon->source, settings_table, &daemon->settings, "log", unopened),
                strerror(errno));
        exit(EXIT_CONFIGURATION);
    }
    daemon->data_dir = data_directory(&daemon->settings);
    daemon->instance_id = instance_id(&daemon->settings, daemon->data_dir);
    log_info("start", "version=%s instance=%s configuration=%s", PACKAGE_VERSION,
             daemon->instance_id,
             daemon->options.file ? daemon->options.file : "built-in defaults");
}

static void start(struct daemon *daemon)
{
    char *error = NULL;

    log_info("start", "descriptors=%llu",
             (unsigned long long)process_raise_descriptor_limit());
    daemon->started_ms = clock_tick_ms();
    daemon->base = new_event_base();
    daemon->admin_token = first_line(daemon->settings.admin.token_file);
    take_signals(daemon);
    start_redis(daemon);
    daemon->admin_socket = admin_socket_path(&daemon->settings, daemon->data_dir);
    start_core(daemon);
    prepare_admin(daemon);
    daemon->listeners = listeners_new(daemon->base, &daemon->settings, daemon->admin_socket,
                                      device_mqtt_service(daemon->mqtt), daemon->policy, &error);
    if (!daemon->listeners)
        die(daemon, "listen", error);
}

static void end(struct daemon *daemon)
{
    free_parts(daemon);
    resolver_free(daemon->resolver);
    netpolicy_free(daemon->policy);
    embedded_free(daemon->embedded);
    unlink(daemon->admin_socket);
    for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(*daemon->signals); i++)
        event_free(daemon->signals[i]);
    event_base_free(daemon->base);
    libevent_global_shutdown();
    settings_clear(settings_table, &daemon->settings);
    settings_source_free(daemon->source);
    free(daemon->instance_id);
    free(daemon->data_dir);
    free(daemon->admin_socket);
    free(daemon->admin_token);
}

int main(int argc, char **argv)
{
    struct daemon daemon = {0};

    srandom((unsigned)clock_tick_us());
    event_set_log_callback(log_libevent);
    load_settings(&daemon, argc, argv);
    start(&daemon);
    if (event_base_dispatch(daemon.base) < 0)
        daemon.exit_status = EXIT_INTERNAL;
    end(&daemon);
    log_info("stop", "state=stopped");
    return daemon.exit_status;
}

/* The events of one device, as they are stored, until somebody has seen enough. */
#include "ctl/ctl.h"

#include "base/clock.h"
#include "ctl/client.h"
#include "ctl/facts.h"
#include "ctl/table.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#define WAIT_MAX_S 10 /* of a request: should we be killed, the watch ends so much later */
#define KIND_WIDTH 18 /* "property.reported" and a blank */

struct watching {
    struct ctl *ctl;
    struct arena *arena; /* of one request */
    const char *path;
    uint64_t count, most; /* events shown; 0: no limit */
    int64_t end_ms;       /* tick; INT64_MAX: none */
    int64_t wait_s;       /* of a request */
    char remark[160];     /* the last one that was told */
};

static volatile sig_atomic_t is_interrupted;

/* The first one ends the watch; another one the program, should the server not answer. */
static void on_interrupt(int number)
{
    is_interrupted = 1;
    signal(number, SIG_DFL);
}

/* ---- showing ---- */

static void show_event(struct watching *watching, const struct json *event)
{
    struct str time = json_get_str(event, "time"), kind = json_get_str(event, "kind");
    struct buf line = {0};

    watching->count++;
    if (watching->ctl->wants_json) {
        ctl_print_json(event);
        return;
    }
    if (time.len == CLOCK_MILLIS_SIZE - 1) /* 2026-01-31T12:00:00.000Z */
        buf_printf(&line, "%.10s %.12s  ", time.p, time.p + 11);
    buf_printf(&line, "%-*.*s", KIND_WIDTH, STR_ARG(kind));
    facts_write(&line, kind, json_get(event, "facts"));
    print_line(str_trim(buf_str(&line)));
    buf_clear(&line);
}

static void show_gap(struct watching *watching, const struct json *answer)
{
    const struct json *interrupted = json_get(answer, "interrupted");
    int64_t dropped = 0;

    json_get_i64(answer, "dropped", &dropped);
    if (interrupted && interrupted->boolean)
        ctl_complain("Redis had lost the watch: events are missing here");
    if (!dropped)
        return;
    if (watching->ctl->wants_json)
        printf("{\"kind\":\"dropped\",\"count\":%" PRId64 "}\n", dropped);
    else
        printf("... %" PRId64 " events are not shown ...\n", dropped);
}

/* Why nothing comes: told when it is something new. */
static void show_remark(struct watching *watching, struct str remark)
{
    if (str_eq(remark, str_of(watching->remark)) || remark.len >= sizeof(watching->remark))
        return;
    memcpy(watching->remark, remark.len ? remark.p : "", remark.len);
    watching->remark[remark.len] = '\0';
    if (!watching->ctl->is_quiet)
        ctl_complain("%s", remark.len ? watching->remark : "it goes on");
}

static bool has_enough(const struct watching *watching)
{
    return watching->most && watching->count >= watching->most;
}

static void show_answer(struct watching *watching, const struct json *answer)
{
    show_remark(watching, json_get_str(answer, "remark"));
    show_gap(watching, answer);
    JSON_FOREACH (event, json_get(answer, "events")) {
        show_event(watching, event);
        if (has_enough(watching))
            break;
    }
    fflush(stdout);
}

/* ---- asking ---- */

static bool is_over(const struct watching *watching)
{
    return is_interrupted || ferror(stdout) || has_enough(watching) ||
           clock_tick_ms() >= watching->end_ms;
}

/* Whole seconds: the last wait may take a little longer than it should. */
static int64_t next_wait_s(const struct watching *watching)
{
    int64_t left_ms = watching->end_ms - clock_tick_ms();

    return left_ms >= watching->wait_s * 1000 ? watching->wait_s : (left_ms + 999) / 1000;
}

/* A part of the watch's life. */
static int64_t longest_wait_s(const struct json *answer)
{
    int64_t life_s = 0;

    json_get_i64(answer, "lifeSeconds", &life_s);
    return life_s / 3 < 1 ? 1 : life_s / 3 < WAIT_MAX_S ? life_s / 3 : WAIT_MAX_S;
}

static enum ctl_exit follow(struct watching *watching)
{
    struct client *client = watching->ctl->client;
    struct client_answer answer;
    int64_t wait_s = 0; /* at first: is there anything to remark? */

    while (!is_over(watching)) {
        enum ctl_exit result;

        arena_reset(watching->arena);
        result = client_request(
            client, watching->arena, "GET",
            arena_printf(watching->arena, "%s?wait=%" PRId64, watching->path, wait_s), NULL, false,
            &answer);
        if (is_interrupted)
            break;
        if (result != CTL_DONE)
            return result;
        show_answer(watching, answer.json);
        wait_s = next_wait_s(watching);
    }
    return CTL_DONE;
}

static enum ctl_exit finish(struct watching *watching, enum ctl_exit result)
{
    struct ctl *ctl = watching->ctl;
    struct client_answer answer;

    client_set_cancel(ctl->client, NULL);
    if (result == CTL_DONE)
        client_request(ctl->client, ctl->arena, "DELETE", watching->path, NULL, true, &answer);
    if (result == CTL_DONE && watching->most && !has_enough(watching) && !is_interrupted) {
        ctl_complain("%" PRIu64 " of %" PRIu64 " events came in time", watching->count,
                     watching->most);
        return CTL_REFUSED;
    }
    return result;
}

static bool read_limits(struct watching *watching)
{
    const char *count = watching->ctl->options[CTL_COUNT];
    const char *timeout = watching->ctl->options[CTL_TIMEOUT];
    uint64_t seconds;

    if (count && !(str_to_u64(str_of(count), INT64_MAX, &watching->most) && watching->most)) {
        ctl_complain("--count: a number from 1");
        return false;
    }
    if (timeout) {
        if (!str_to_u64(str_of(timeout), INT32_MAX, &seconds) || !seconds) {
            ctl_complain("--timeout: seconds, from 1");
            return false;
        }
        watching->end_ms = clock_tick_ms() + (int64_t)seconds * 1000;
    }
    return true;
}

static enum ctl_exit watch(struct ctl *ctl, char **arguments)
{
    struct watching watching = {.ctl = ctl, .end_ms = INT64_MAX};
    struct sigaction action = {.sa_handler = on_interrupt};
    struct client_answer answer;
    enum ctl_exit result;

    if (!read_limits(&watching))
        return CTL_USAGE;
    result = client_request(ctl->client, ctl->arena, "POST",
                            arena_printf(ctl->arena, "/admin/v1/devices/%s/watches",
                                         client_encode(ctl->client, ctl->arena, arguments[0])),
                            NULL, false, &answer);
    if (result != CTL_DONE)
        return result;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    client_set_cancel(ctl->client, &is_interrupted);
    watching.path = arena_printf(ctl->arena, "/admin/v1/watches/%.*s",
                                 STR_ARG(json_get_str(answer.json, "watch")));
    watching.wait_s = longest_wait_s(answer.json);
    watching.arena = arena_new();
    if (!ctl->is_quiet)
        ctl_complain("watching %s; Ctrl-C ends it", arguments[0]);
    result = finish(&watching, follow(&watching));
    arena_free(watching.arena);
    return result;
}

const struct ctl_command ctl_watch_commands[] = {
    {"device", "watch", "DEVICE [--count N]", 1, 0, CTL_TAKES(CTL_COUNT) | CTL_TAKES(CTL_TIMEOUT),
     watch, "its events as they are stored, until Ctrl-C; --count N, --timeout S: not longer"},
    {0},
};

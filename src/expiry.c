#include "expiry.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/app/app.h"
#include "core/app/certificate.h"
#include "net/pem.h"
#include "net/x509_facts.h"
#include "push/push.h"
#include <math.h>
#include <stdlib.h>

#define APPS_AT_ONCE 100
#define NEVER        INT64_MAX
#define RETRY_MS     10000 /* when Redis did not answer */
#define DAY_MS       (24LL * 3600 * 1000)

enum use { USE_API, USE_DEVICE, USE_PLATFORM, USE_CALLBACK, USE_COUNT };
static const char *const use_names[] = {"api", "device", "platform", "callback"};

struct expiry {
    struct core *core;
    const struct listeners *listeners;
    const struct push *push;
    struct event *timer;
    int64_t soonest_ms[USE_COUNT]; /* wall; NEVER: there is none */

    bool is_looking;
    int64_t callback_soonest_ms; /* of the look under way */
    size_t apps_seen;            /* by all pages before this one */
    struct str *apps;            /* this page; each is to be freed */
    size_t app_count, next_app;
};

/* ---- what is said ---- */

/* NULL: it has time. */
static const char *state_of(const struct expiry *expiry, int64_t left_ms)
{
    if (left_ms < 0)
        return "expired";
    return left_ms < expiry->core->settings->certificate_warn_before_ms ? "expires" : NULL;
}

static void judge_own(struct expiry *expiry, enum use use, int64_t expires_ms)
{
    int64_t left_ms = expires_ms - clock_now_ms();
    const char *state = expires_ms == NEVER ? NULL : state_of(expiry, left_ms);

    expiry->soonest_ms[use] = expires_ms;
    if (state)
        log_warn("certificate", "use=%s state=%s days_left=%lld", use_names[use], state,
                 (long long)(left_ms / DAY_MS));
}

static void judge_entry(struct expiry *expiry, struct str app_id,
                        const struct certificate_entry *entry)
{
    int64_t left_ms = entry->expires_ms - clock_now_ms();
    const char *state = state_of(expiry, left_ms);

    if (entry->expires_ms < expiry->callback_soonest_ms)
        expiry->callback_soonest_ms = entry->expires_ms;
    if (state)
        log_warn("certificate", "use=callback app=%.*s endpoint=%.*s state=%s days_left=%lld",
                 STR_ARG(app_id), STR_ARG(entry->endpoint), state, (long long)(left_ms / DAY_MS));
}

/* ---- our own ---- */

static void look_at_own(struct expiry *expiry)
{
    const struct certificates *platform = push_platform_certificate(expiry->push);

    judge_own(expiry, USE_API, listeners_api_expires_ms(expiry->listeners));
    judge_own(expiry, USE_DEVICE, listeners_device_expires_ms(expiry->listeners));
    judge_own(expiry, USE_PLATFORM, platform ? x509_not_after_ms(platform->list[0]) : NEVER);
}

/* ---- uploaded ones: a page of applications, and then one by one ---- */

static void next_page(struct expiry *expiry);

static void free_page(struct expiry *expiry)
{
    for (size_t i = 0; i < expiry->app_count; i++)
        free((char *)expiry->apps[i].p);
    free(expiry->apps);
    expiry->apps = NULL;
    expiry->app_count = expiry->next_app = 0;
}

static void end_look(struct expiry *expiry, bool is_complete)
{
    int64_t pause_ms = expiry->core->settings->certificate_check_interval_ms;
    struct timeval pause;

    if (!is_complete && pause_ms > RETRY_MS)
        pause_ms = RETRY_MS;
    pause = (struct timeval){pause_ms / 1000, pause_ms % 1000 * 1000};
    free_page(expiry);
    expiry->is_looking = false;
    if (is_complete)
        expiry->soonest_ms[USE_CALLBACK] = expiry->callback_soonest_ms;
    event_add(expiry->timer, &pause);
}

static void look_at_next_app(struct expiry *expiry);

static void entries_listed(enum error error, const struct certificate_entry *entries, size_t count,
                           void *arg)
{
    struct expiry *expiry = arg;

    if (error) {
        end_look(expiry, false);
        return;
    }
    for (size_t i = 0; i < count; i++)
        judge_entry(expiry, expiry->apps[expiry->next_app], &entries[i]);
    expiry->next_app++;
    look_at_next_app(expiry);
}

static void look_at_next_app(struct expiry *expiry)
{
    if (expiry->next_app < expiry->app_count) {
        certificate_list(expiry->core, expiry->apps[expiry->next_app], entries_listed, expiry);
    } else if (expiry->app_count == APPS_AT_ONCE) {
        next_page(expiry);
    } else {
        end_look(expiry, true);
    }
}

static void apps_listed(enum error error, const struct str *ids, size_t count, void *arg)
{
    struct expiry *expiry = arg;

    if (error) {
        end_look(expiry, false);
        return;
    }
    expiry->apps = xcalloc(count + 1, sizeof(*expiry->apps));
    expiry->app_count = count;
    for (size_t i = 0; i < count; i++)
        expiry->apps[i] = str_of(str_dup(ids[i]));
    look_at_next_app(expiry);
}

static void next_page(struct expiry *expiry)
{
    expiry->apps_seen += expiry->app_count;
    free_page(expiry);
    app_ids(expiry->core, expiry->apps_seen, APPS_AT_ONCE, apps_listed, expiry);
}

void expiry_look(struct expiry *expiry)
{
    if (!expiry->push || expiry->is_looking)
        return;
    look_at_own(expiry);
    expiry->is_looking = true;
    expiry->callback_soonest_ms = NEVER;
    expiry->apps_seen = 0;
    next_page(expiry);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    expiry_look(arg);
}

/* ---- from outside ---- */

struct expiry *expiry_new(struct core *core)
{
    struct expiry *expiry = xcalloc(1, sizeof(*expiry));

    expiry->core = core;
    expiry->timer = evtimer_new(core->base, on_time, expiry);
    for (int i = 0; i < USE_COUNT; i++)
        expiry->soonest_ms[i] = NEVER;
    return expiry;
}

void expiry_start(struct expiry *expiry, const struct listeners *listeners, const struct push *push)
{
    bool is_first = !expiry->push;

    expiry->listeners = listeners;
    expiry->push = push;
    if (is_first)
        expiry_look(expiry);
}

void expiry_refresh_metrics(const struct expiry *expiry)
{
    int64_t now_ms = clock_now_ms();

    for (int i = 0; i < USE_COUNT; i++) {
        bool is_there = expiry->soonest_ms[i] != NEVER;

        metric_set(M_CERTIFICATE_EXPIRY,
                   is_there ? (double)(expiry->soonest_ms[i] - now_ms) / 1000.0 : (double)NAN,
                   use_names[i]);
    }
}

void expiry_free(struct expiry *expiry)
{
    if (!expiry)
        return;
    free_page(expiry);
    event_free(expiry->timer);
    free(expiry);
}

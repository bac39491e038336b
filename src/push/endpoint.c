/*
 * An endpoint is a scheme, host and port, shared by all targets that lie there; over HTTPS by those of
 * one application, since each says for itself whom it trusts. Targets that may have something to send
 * stand in its queue and take turns; each turn takes one lane's head, as long as its pool has a
 * connection for it. A target takes at most SHARE times what it leaves free: so one that hangs never
 * has all, however many devices report to it, and each further one that hangs has less.
 *
 * An attempt: resolve the name (cached), check each address against the policy, connect to the first
 * that is allowed, or take an idle connection; post; hand the result to the target. When connecting
 * fails, the next address is tried within the same attempt's time; with push.follow_same_origin a
 * redirect is part of the attempt, too.
 *
 * When the rules of trust change, idle connections made by the old ones are closed, busy ones when
 * their request has ended, and invalid callback URLs are probed: most often that is why the rules were
 * changed.
 */
#include "push/delivery.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/url.h"
#include "net/http_client.h"
#include "net/netpolicy.h"
#include "net/resolver.h"
#include "push/headers.h"
#include "push/pace.h"
#include "push/pool.h"
#include "push/redirect.h"
#include <stdlib.h>

#define OWN_FAULT_PAUSE_MS 500
#define SHARE              4

struct attempt {
    struct endpoint *endpoint;
    struct target *target;
    struct lane *lane;
    struct connection *connection; /* NULL: one is reserved */
    struct resolver_query *query;
    struct resolver_answer answer;
    size_t next_address;
    bool waits_for_trust;
    char *redirect; /* the request target that the callback led to; NULL: the callback's own */
    int64_t started_ms, deadline_ms; /* tick */
    TAILQ_ENTRY(attempt) link;
};
TAILQ_HEAD(attempt_list, attempt);

struct endpoint {
    struct endpoints *all;
    unsigned targets;
    bool is_legal;
    uint16_t port;
    struct trust *trust;  /* NULL: plain */
    bool is_to_be_probed; /* its invalid targets, under new rules of trust */
    struct pool *pool;
    struct attempt_list attempts;
    int64_t attempt_count;
    struct target_list queue;
    struct pace pace;   /* push.rate */
    struct event *pump; /* one deferred look at the queue, however many asked for it */
    UT_hash_handle hh;
    char *host;
    char key[];
};

struct endpoints {
    struct push *push;
    struct endpoint *table;
    struct pools *pools;
};

/* ---- endpoints ---- */

static void pump(evutil_socket_t fd, short what, void *arg);
static void trust_changed(void *arg);
static void trust_answered(void *arg);
static void has_room(void *arg);

static struct pool *make_pool(struct endpoint *endpoint, const struct url *url)
{
    char *authority = str_dup(url ? url->authority : STR(""));
    struct pool *pool = pool_new(&(struct pool_config){.pools = endpoint->all->pools,
                                                       .authority = authority,
                                                       .trust = endpoint->trust,
                                                       .has_room = has_room,
                                                       .arg = endpoint});

    free(authority);
    return pool;
}

static struct endpoint *endpoint_new(struct endpoints *endpoints, const char *key,
                                     struct str app_id, const struct url *url)
{
    struct endpoint *endpoint = xcalloc(1, sizeof(*endpoint) + strlen(key) + 1);

    memcpy(endpoint->key, key, strlen(key));
    endpoint->all = endpoints;
    endpoint->is_legal = url != NULL;
    endpoint->port = url ? url->port : 0;
    endpoint->host = str_dup(url ? url->host : STR(""));
    if (url && url->is_https)
        endpoint->trust = trust_new(&(struct trust_config){.trusts = endpoints->push->trusts,
                                                           .app_id = app_id,
                                                           .url = url,
                                                           .changed = trust_changed,
                                                           .answered = trust_answered,
                                                           .arg = endpoint});
    endpoint->pool = make_pool(endpoint, url);
    endpoint->pump = event_new(endpoints->push->core->base, -1, 0, pump, endpoint);
    TAILQ_INIT(&endpoint->attempts);
    TAILQ_INIT(&endpoint->queue);
    HASH_ADD_STR(endpoints->table, key, endpoint);
    return endpoint;
}

/* A URL that is not legal any more gets an endpoint of its own that never connects. */
struct endpoint *endpoint_get(struct endpoints *endpoints, struct str app_id, struct str text)
{
    struct url url;
    bool is_legal = url_parse(text, &url);
    char *key = !is_legal      ? str_dup(text)
                : url.is_https ? xasprintf("https://%.*s %.*s", STR_ARG(url.authority),
                                           STR_ARG(app_id))
                               : xasprintf("http://%.*s", STR_ARG(url.authority));
    struct endpoint *endpoint;

    HASH_FIND_STR(endpoints->table, key, endpoint);
    if (!endpoint)
        endpoint = endpoint_new(endpoints, key, app_id, is_legal ? &url : NULL);
    endpoint->targets++;
    free(key);
    return endpoint;
}

/* NULL: it will need one. */
static void set_connection(struct attempt *attempt, struct connection *connection)
{
    if (attempt->connection && !connection)
        pool_reserve(attempt->endpoint->pool);
    else if (!attempt->connection && connection)
        pool_unreserve(attempt->endpoint->pool);
    attempt->connection = connection;
}

static void attempt_free(struct attempt *attempt)
{
    struct endpoint *endpoint = attempt->endpoint;

    if (!attempt->connection)
        pool_unreserve(endpoint->pool);
    TAILQ_REMOVE(&endpoint->attempts, attempt, link);
    endpoint->attempt_count--;
    has_room(endpoint);
    if (attempt->query)
        resolver_cancel(attempt->query);
    free(attempt->redirect);
    free(attempt);
}

static void endpoint_free(struct endpoint *endpoint)
{
    struct attempt *attempt;

    while ((attempt = TAILQ_FIRST(&endpoint->attempts)))
        attempt_free(attempt);
    pool_free(endpoint->pool);
    HASH_DEL(endpoint->all->table, endpoint);
    event_free(endpoint->pump);
    trust_free(endpoint->trust);
    free(endpoint->host);
    free(endpoint);
}

void endpoint_release(struct endpoint *endpoint)
{
    if (--endpoint->targets == 0)
        endpoint_free(endpoint);
}

void endpoint_enqueue(struct target *target)
{
    if (!target->is_in_queue) {
        target->is_in_queue = true;
        TAILQ_INSERT_TAIL(&target->endpoint->queue, target, in_queue);
    }
    event_active(target->endpoint->pump, EV_TIMEOUT, 0);
}

void endpoint_dequeue(struct target *target)
{
    if (target->is_in_queue)
        TAILQ_REMOVE(&target->endpoint->queue, target, in_queue);
    target->is_in_queue = false;
}

/* ---- the end of an attempt ---- */

static void finish(struct attempt *attempt, const struct http_result *result)
{
    struct target *target = attempt->target;
    struct lane *lane = attempt->lane;

    attempt_free(attempt);
    target_attempt_done(target, lane, result);
}

static void try_address(struct attempt *attempt);
static void find_connection(struct attempt *attempt);

static bool may_try_next(const struct attempt *attempt)
{
    return attempt->next_address < attempt->answer.count &&
           clock_tick_ms() < attempt->deadline_ms;
}

/* Out of descriptors, say: our own fault, so nothing is counted, and the attempt was none. */
static void postpone(struct attempt *attempt, int64_t pause_ms)
{
    struct target *target = attempt->target;
    struct lane *lane = attempt->lane;

    TAILQ_FIRST(&lane->deliveries)->attempts--;
    attempt_free(attempt);
    target_attempt_postponed(target, lane, pause_ms);
}

/* Once, within the attempt's time. */
static bool follow(struct attempt *attempt, const struct http_result *result)
{
    if (!attempt->target->push->settings->follows_same_origin || attempt->redirect ||
        clock_tick_ms() >= attempt->deadline_ms)
        return false;
    attempt->redirect = redirect_target(str_of(attempt->target->url), result);
    if (attempt->redirect)
        find_connection(attempt);
    return attempt->redirect != NULL;
}

static void posted(const struct http_result *result, void *arg)
{
    struct attempt *attempt = arg;
    struct delivery *head = TAILQ_FIRST(&attempt->lane->deliveries);

    set_connection(attempt, NULL); /* it reports idle or closed by itself */
    if (result->outcome == HTTP_OWN_FAULT) {
        postpone(attempt, OWN_FAULT_PAUSE_MS);
        return;
    }
    if (result->outcome == HTTP_RESET && result->was_reused && !head->needs_fresh_connection) {
        /* The connection was idle for too long and the server had closed it, which nobody can know
         * before writing: at once again on a fresh one, and nothing is counted. */
        head->needs_fresh_connection = true;
        postpone(attempt, 0);
        return;
    }
    if (result->outcome == HTTP_CONNECT_FAILED && may_try_next(attempt)) {
        try_address(attempt);
        return;
    }
    if (follow(attempt, result))
        return;
    if (result->outcome == HTTP_ANSWERED)
        metric_observe(M_PUSH_DURATION,
                       (double)(clock_tick_ms() - attempt->started_ms) / 1000.0, NULL);
    finish(attempt, result);
}

static void failed(struct attempt *attempt, enum http_outcome outcome, const char *reason)
{
    finish(attempt, &(struct http_result){
                        .outcome = outcome, .retry_after_ms = -1, .reason = reason});
}

/* ---- posting ---- */

static void post(struct attempt *attempt)
{
    struct delivery *head = TAILQ_FIRST(&attempt->lane->deliveries);
    struct attempt_headers headers;

    attempt_headers_write(&headers, head);
    http_client_post(connection_client(attempt->connection),
                     attempt->redirect ? attempt->redirect : attempt->target->path, headers.list,
                     headers.count, str_n(head->body->text, head->body->len),
                     attempt->deadline_ms - clock_tick_ms(), posted, attempt);
}

/* ---- connections ---- */

static void connect_to(struct attempt *attempt, const struct sockaddr *address)
{
    struct endpoint *endpoint = attempt->endpoint;
    enum trust_outcome outcome = TRUST_READY;
    const char *reason = NULL;
    SSL *ssl = NULL;

    if (endpoint->trust)
        outcome = trust_connect(endpoint->trust, address, &ssl, &reason);
    if (outcome == TRUST_REFUSED) {
        failed(attempt, HTTP_TLS_FAILED, reason);
        return;
    }
    if (outcome == TRUST_UNKNOWN) {
        attempt->next_address--; /* the same again, when it is known */
        attempt->waits_for_trust = true;
        trust_ask(endpoint->trust);
        return;
    }
    set_connection(attempt, pool_connect(endpoint->pool, address, ssl));
    if (attempt->connection)
        post(attempt);
    else
        postpone(attempt, OWN_FAULT_PAUSE_MS);
}

static void try_address(struct attempt *attempt)
{
    struct endpoint *endpoint = attempt->endpoint;

    while (attempt->next_address < attempt->answer.count) {
        const struct sockaddr *address =
            (const struct sockaddr *)&attempt->answer.addresses[attempt->next_address++];

        if (!netpolicy_allows(endpoint->all->push->policy, address))
            continue; /* one bad address does not condemn the name */
        connect_to(attempt, address);
        return;
    }
    failed(attempt, HTTP_CONNECT_FAILED,
           attempt->answer.error ? attempt->answer.error : "address not allowed");
}

static void resolved(const struct resolver_answer *answer, void *arg)
{
    struct attempt *attempt = arg;

    attempt->query = NULL;
    attempt->answer = *answer;
    try_address(attempt);
}

/* ---- trust ---- */

static void trust_changed(void *arg)
{
    struct endpoint *endpoint = arg;

    endpoint->is_to_be_probed = true;
    pool_close_idle(endpoint->pool);
}

static struct attempt *next_waiting(struct endpoint *endpoint)
{
    struct attempt *attempt;

    TAILQ_FOREACH (attempt, &endpoint->attempts, link) {
        if (attempt->waits_for_trust)
            return attempt;
    }
    return NULL;
}

/* What waited goes on, or, if Redis does not answer, tries again in a while. */
static void trust_answered(void *arg)
{
    struct endpoint *endpoint = arg;
    struct attempt *attempt;

    while ((attempt = next_waiting(endpoint))) {
        attempt->waits_for_trust = false;
        if (trust_is_known(endpoint->trust))
            try_address(attempt);
        else
            postpone(attempt, OWN_FAULT_PAUSE_MS);
    }
}

/* An attempt that was made by the old rules ends first. */
static void probe_targets(struct endpoint *endpoint)
{
    const struct circuit *asked = NULL;
    const struct target *target;

    for (target = endpoint->all->push->targets; target; target = target->hh.next) {
        if (target->endpoint == endpoint &&
            circuit_state(target->member.circuit) == BREAKER_PROBE)
            return;
    }
    endpoint->is_to_be_probed = false;
    for (target = endpoint->all->push->targets; target; target = target->hh.next) {
        struct circuit *circuit = target->member.circuit;

        if (target->endpoint != endpoint || circuit == asked ||
            circuit_state(circuit) != BREAKER_DOWN)
            continue;
        share_probe_now(circuit);
        asked = circuit;
    }
}

/* An idle one, or where to connect to. */
static void find_connection(struct attempt *attempt)
{
    struct endpoint *endpoint = attempt->endpoint;

    attempt->next_address = 0;
    if (!TAILQ_FIRST(&attempt->lane->deliveries)->needs_fresh_connection)
        set_connection(attempt, pool_take_idle(endpoint->pool));
    if (attempt->connection)
        post(attempt);
    else
        attempt->query = resolver_lookup(endpoint->all->push->resolver, str_of(endpoint->host),
                                         endpoint->port, resolved, attempt);
}

static void attempt_start(struct endpoint *endpoint, struct target *target, struct lane *lane)
{
    struct attempt *attempt = xcalloc(1, sizeof(*attempt));
    struct delivery *head = TAILQ_FIRST(&lane->deliveries);

    attempt->endpoint = endpoint;
    attempt->target = target;
    attempt->lane = lane;
    attempt->started_ms = clock_tick_ms();
    attempt->deadline_ms = attempt->started_ms + target->push->settings->timeout_ms;
    TAILQ_INSERT_TAIL(&endpoint->attempts, attempt, link);
    endpoint->attempt_count++;
    pool_reserve(endpoint->pool);
    head->attempts++;
    find_connection(attempt);
}

/* ---- the queue ---- */

static void has_room(void *arg)
{
    struct endpoint *endpoint = arg;

    if (!TAILQ_EMPTY(&endpoint->queue))
        event_active(endpoint->pump, EV_TIMEOUT, 0);
}

/* The first that has not used up its share; the others wait for attempts to end. Only those with
 * SHARE attempts or more are passed over, so they are few. */
static struct target *next_in_queue(const struct endpoint *endpoint)
{
    const struct push *push = endpoint->all->push;
    int64_t free_count = push->settings->max_connections - endpoint->attempt_count;
    struct target *target;

    if (push->is_stopping || push->is_paused || free_count <= 0)
        return NULL;
    TAILQ_FOREACH (target, &endpoint->queue, in_queue) {
        if (target->in_flight < SHARE * free_count)
            break;
    }
    return target;
}

/* If no more may go now, the pump comes back. */
static bool rate_lets_through(struct endpoint *endpoint)
{
    int64_t now_ms, wait_ms;
    struct timeval wait;

    if (endpoint->all->push->settings->rate == 0)
        return true;
    now_ms = clock_tick_ms();
    if (pace_allows(&endpoint->pace, now_ms))
        return true;
    wait_ms = pace_wait_ms(&endpoint->pace, now_ms);
    wait = (struct timeval){wait_ms / 1000, wait_ms % 1000 * 1000};
    event_add(endpoint->pump, &wait);
    return false;
}

/* The instances share the rate. */
static void count_for_rate(struct endpoint *endpoint)
{
    const struct push *push = endpoint->all->push;
    int64_t share;

    if (push->settings->rate == 0)
        return;
    share = push->settings->rate / (int64_t)owner_instance_count(push);
    pace_count(&endpoint->pace, share ? share : 1, clock_tick_ms());
}

static void pump(evutil_socket_t fd, short what, void *arg)
{
    struct endpoint *endpoint = arg;
    struct target *target;

    (void)fd;
    (void)what;
    while ((target = next_in_queue(endpoint)) && pool_has_room(endpoint->pool) &&
           rate_lets_through(endpoint)) {
        struct lane *lane;

        endpoint_dequeue(target);
        lane = target_take_lane(target);
        if (!lane)
            continue; /* its timer or its next result brings it back */
        target_wake(target); /* to the end of the queue, if it has more */
        count_for_rate(endpoint);
        attempt_start(endpoint, target, lane);
    }
}

/* ---- once in a while ---- */

void endpoints_sweep(struct endpoints *endpoints)
{
    struct endpoint *endpoint, *next;

    pools_sweep(endpoints->pools);
    HASH_ITER (hh, endpoints->table, endpoint, next) {
        if (endpoint->trust)
            trust_refresh(endpoint->trust);
        if (endpoint->is_to_be_probed)
            probe_targets(endpoint);
    }
}

size_t endpoints_connection_count(const struct endpoints *endpoints)
{
    return pools_connection_count(endpoints->pools);
}

struct endpoints *endpoints_new(struct push *push)
{
    struct endpoints *endpoints = xcalloc(1, sizeof(*endpoints));

    endpoints->push = push;
    endpoints->pools = pools_new(push->core->base, push->settings, push->user_agent);
    return endpoints;
}

void endpoints_free(struct endpoints *endpoints)
{
    pools_free(endpoints->pools);
    free(endpoints); /* each endpoint went with its last target */
}

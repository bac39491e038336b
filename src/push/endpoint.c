/*
 * An endpoint is a scheme, host and port: a pool of keep-alive connections, shared by all targets
 * that lie there; over HTTPS by those of one application, since each says for itself whom it trusts.
 * Targets that may have something to send stand in its queue and take turns; each turn takes one
 * lane's head, as long as there is a connection for it.
 *
 * An attempt: resolve the name (cached), check each address against the policy, connect to the first
 * that is allowed, or take an idle connection; post; hand the result to the target. When connecting
 * fails, the next address is tried within the same attempt's time.
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
#include "push/trust.h"
#include <stdlib.h>

#define OWN_FAULT_PAUSE_MS 500
#define LAST_IDLE_MS       1000 /* an endpoint's last connection is not given away before that */

struct connection {
    struct endpoint *endpoint;
    struct http_client *client;
    TAILQ_ENTRY(connection) link; /* in idle or busy */
    bool is_idle;
    unsigned generation; /* of the endpoint's trust when it was made */
};
TAILQ_HEAD(connection_list, connection);

struct attempt {
    struct endpoint *endpoint;
    struct target *target;
    struct lane *lane;
    struct connection *connection; /* NULL while resolving */
    struct resolver_query *query;
    struct resolver_answer answer;
    size_t next_address;
    bool waits_for_trust;
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
    struct connection_list idle, busy;
    struct attempt_list attempts;
    size_t connection_count, attempt_count;
    size_t unconnected_count; /* attempts that will need a connection */
    struct target_list queue;
    bool is_starved; /* has no connection, and waits for one of all */
    TAILQ_ENTRY(endpoint) in_starved;
    struct event *pump; /* one deferred look at the queue, however many asked for it */
    UT_hash_handle hh;
    char *host, *authority;
    char key[];
};
TAILQ_HEAD(endpoint_list, endpoint);

struct endpoints {
    struct push *push;
    struct endpoint *table;
    struct endpoint_list starved;
    size_t connection_count, unconnected_count;
};

/* ---- endpoints ---- */

static void pump(evutil_socket_t fd, short what, void *arg);
static void trust_changed(void *arg);
static void trust_answered(void *arg);

static struct endpoint *endpoint_new(struct endpoints *endpoints, const char *key,
                                     struct str app_id, const struct url *url)
{
    struct endpoint *endpoint = xcalloc(1, sizeof(*endpoint) + strlen(key) + 1);

    memcpy(endpoint->key, key, strlen(key));
    endpoint->all = endpoints;
    endpoint->is_legal = url != NULL;
    endpoint->port = url ? url->port : 0;
    endpoint->host = str_dup(url ? url->host : STR(""));
    endpoint->authority = str_dup(url ? url->authority : STR(""));
    if (url && url->is_https)
        endpoint->trust = trust_new(&(struct trust_config){.trusts = endpoints->push->trusts,
                                                           .app_id = app_id,
                                                           .url = url,
                                                           .changed = trust_changed,
                                                           .answered = trust_answered,
                                                           .arg = endpoint});
    endpoint->pump = event_new(endpoints->push->core->base, -1, 0, pump, endpoint);
    TAILQ_INIT(&endpoint->idle);
    TAILQ_INIT(&endpoint->busy);
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

static void leave_starved(struct endpoint *endpoint)
{
    if (endpoint->is_starved)
        TAILQ_REMOVE(&endpoint->all->starved, endpoint, in_starved);
    endpoint->is_starved = false;
}

static void connection_free(struct connection *connection)
{
    struct endpoint *endpoint = connection->endpoint;
    struct endpoints *all = endpoint->all;
    struct endpoint *starved;

    TAILQ_REMOVE(connection->is_idle ? &endpoint->idle : &endpoint->busy, connection, link);
    endpoint->connection_count--;
    all->connection_count--;
    http_client_free(connection->client);
    free(connection);
    starved = TAILQ_FIRST(&all->starved);
    if (starved) {
        leave_starved(starved);
        event_active(starved->pump, EV_TIMEOUT, 0);
    }
}

static void count_unconnected(struct endpoint *endpoint, bool is_one_more)
{
    size_t change = is_one_more ? 1 : (size_t)-1;

    endpoint->unconnected_count += change;
    endpoint->all->unconnected_count += change;
}

static void set_connection(struct attempt *attempt, struct connection *connection)
{
    if (!attempt->connection != !connection)
        count_unconnected(attempt->endpoint, !connection);
    attempt->connection = connection;
}

static void attempt_free(struct attempt *attempt)
{
    if (!attempt->connection)
        count_unconnected(attempt->endpoint, false);
    TAILQ_REMOVE(&attempt->endpoint->attempts, attempt, link);
    attempt->endpoint->attempt_count--;
    if (attempt->query)
        resolver_cancel(attempt->query);
    free(attempt);
}

static void endpoint_free(struct endpoint *endpoint)
{
    struct connection *connection;
    struct attempt *attempt;

    while ((attempt = TAILQ_FIRST(&endpoint->attempts)))
        attempt_free(attempt);
    while ((connection = TAILQ_FIRST(&endpoint->idle)) ||
           (connection = TAILQ_FIRST(&endpoint->busy)))
        connection_free(connection);
    leave_starved(endpoint);
    HASH_DEL(endpoint->all->table, endpoint);
    event_free(endpoint->pump);
    trust_free(endpoint->trust);
    free(endpoint->host);
    free(endpoint->authority);
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
    http_client_post(attempt->connection->client, attempt->target->path, headers.list,
                     headers.count, str_n(head->body->text, head->body->len),
                     attempt->deadline_ms - clock_tick_ms(), posted, attempt);
}

/* ---- connections ---- */

static void connection_idle(struct http_client *client, void *arg)
{
    struct connection *connection = arg;
    struct endpoint *endpoint = connection->endpoint;

    (void)client;
    if (endpoint->trust && connection->generation != trust_generation(endpoint->trust)) {
        connection_free(connection);
    } else {
        TAILQ_REMOVE(&endpoint->busy, connection, link);
        TAILQ_INSERT_HEAD(&endpoint->idle, connection, link);
        connection->is_idle = true;
    }
    if (!TAILQ_EMPTY(&endpoint->queue))
        event_active(endpoint->pump, EV_TIMEOUT, 0);
}

static void connection_closed(struct http_client *client, void *arg)
{
    struct connection *connection = arg;
    struct endpoint *endpoint = connection->endpoint;

    (void)client;
    connection_free(connection);
    if (!TAILQ_EMPTY(&endpoint->queue))
        event_active(endpoint->pump, EV_TIMEOUT, 0);
}

/* Takes the SSL; NULL: plain. */
static struct connection *connection_new(struct endpoint *endpoint,
                                         const struct sockaddr *address, SSL *ssl)
{
    const struct push *push = endpoint->all->push;
    const struct push_settings *settings = push->settings;
    struct connection *connection = xcalloc(1, sizeof(*connection));

    connection->endpoint = endpoint;
    connection->generation = endpoint->trust ? trust_generation(endpoint->trust) : 0;
    connection->client = http_client_new(&(struct http_client_config){
        .base = push->core->base,
        .address = address,
        .ssl = ssl,
        .authority = endpoint->authority,
        .user_agent = push->user_agent,
        .connect_timeout_ms = settings->connect_timeout_ms,
        .max_response_header_bytes = settings->max_response_header_bytes,
        .discard_body_bytes = settings->discard_body_bytes,
        .discard_time_ms = settings->discard_time_ms,
        .idle = connection_idle,
        .closed = connection_closed,
        .arg = connection,
    });
    if (!connection->client) {
        free(connection);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&endpoint->busy, connection, link);
    endpoint->connection_count++;
    endpoint->all->connection_count++;
    return connection;
}

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
    set_connection(attempt, connection_new(endpoint, address, ssl));
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
    while (!TAILQ_EMPTY(&endpoint->idle))
        connection_free(TAILQ_FIRST(&endpoint->idle));
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
    struct target *target, *next;

    for (target = endpoint->all->push->targets; target; target = target->hh.next) {
        if (target->endpoint == endpoint && target->breaker.state == BREAKER_PROBE)
            return;
    }
    endpoint->is_to_be_probed = false;
    HASH_ITER (hh, endpoint->all->push->targets, target, next) {
        if (target->endpoint == endpoint && target->breaker.state == BREAKER_DOWN)
            share_probe_now(target);
    }
}

/* An idle connection that is young enough; too old ones are closed on the way. */
static struct connection *take_idle(struct endpoint *endpoint)
{
    const struct push_settings *settings = endpoint->all->push->settings;
    int64_t now_ms = clock_tick_ms();
    struct connection *connection;

    while ((connection = TAILQ_FIRST(&endpoint->idle))) {
        if (now_ms - http_client_born_at(connection->client) < settings->max_age_ms &&
            http_client_is_idle(connection->client)) {
            TAILQ_REMOVE(&endpoint->idle, connection, link);
            TAILQ_INSERT_TAIL(&endpoint->busy, connection, link);
            connection->is_idle = false;
            return connection;
        }
        connection_free(connection);
    }
    return NULL;
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
    count_unconnected(endpoint, true);
    head->attempts++;
    if (!head->needs_fresh_connection)
        set_connection(attempt, take_idle(endpoint));
    if (attempt->connection)
        post(attempt);
    else
        attempt->query = resolver_lookup(target->push->resolver, str_of(endpoint->host),
                                         endpoint->port, resolved, attempt);
}

/* ---- the queue ---- */

/* While half of all are free, as many as the settings say. The other half is for those that have none
 * yet: endpoints that hang must leave some to the others. */
static size_t connection_limit(const struct endpoint *endpoint)
{
    const struct endpoints *all = endpoint->all;
    const struct push_settings *settings = all->push->settings;
    size_t used = all->connection_count + all->unconnected_count;

    return (int64_t)used * 2 < settings->connections ? (size_t)settings->max_connections : 1;
}

static bool has_room(struct endpoint *endpoint)
{
    struct endpoints *all = endpoint->all;
    size_t used = endpoint->connection_count + endpoint->unconnected_count;

    if (!TAILQ_EMPTY(&endpoint->idle))
        return true;
    if (used >= connection_limit(endpoint))
        return false; /* one of its own comes back */
    if ((int64_t)(all->connection_count + all->unconnected_count) <
        all->push->settings->connections)
        return true;
    if (used == 0 && !endpoint->is_starved) {
        endpoint->is_starved = true;
        TAILQ_INSERT_TAIL(&all->starved, endpoint, in_starved);
    }
    return false;
}

static void pump(evutil_socket_t fd, short what, void *arg)
{
    struct endpoint *endpoint = arg;
    struct target *target;

    (void)fd;
    (void)what;
    while (!endpoint->all->push->is_stopping && !endpoint->all->push->is_paused &&
           (target = TAILQ_FIRST(&endpoint->queue)) &&
           has_room(endpoint)) {
        struct lane *lane;

        endpoint_dequeue(target);
        lane = target_take_lane(target);
        if (!lane)
            continue; /* its timer or its next result brings it back */
        target_wake(target); /* to the end of the queue, if it has more */
        attempt_start(endpoint, target, lane);
    }
}

/* ---- once in a while ---- */

static void close_idle(struct endpoint *endpoint, int64_t now_ms)
{
    const struct push_settings *settings = endpoint->all->push->settings;
    struct connection *connection, *next;

    for (connection = TAILQ_FIRST(&endpoint->idle); connection; connection = next) {
        next = TAILQ_NEXT(connection, link);
        if (now_ms - http_client_idle_since(connection->client) >= settings->idle_close_ms ||
            now_ms - http_client_born_at(connection->client) >= settings->max_age_ms)
            connection_free(connection);
    }
}

static bool can_spare_one(const struct endpoint *endpoint, int64_t now_ms)
{
    const struct connection *idle = TAILQ_FIRST(&endpoint->idle);

    return idle && TAILQ_EMPTY(&endpoint->queue) &&
           (endpoint->connection_count > 1 ||
            now_ms - http_client_idle_since(idle->client) >= LAST_IDLE_MS);
}

/* Endpoints that wait for a connection get those that others leave idle. */
static void close_idle_for_starved(struct endpoints *endpoints, int64_t now_ms)
{
    struct endpoint *endpoint, *next;

    HASH_ITER (hh, endpoints->table, endpoint, next) {
        if (TAILQ_EMPTY(&endpoints->starved))
            return;
        if (can_spare_one(endpoint, now_ms))
            connection_free(TAILQ_FIRST(&endpoint->idle));
    }
}

void endpoints_sweep(struct endpoints *endpoints)
{
    struct endpoint *endpoint, *next;
    int64_t now_ms = clock_tick_ms();

    HASH_ITER (hh, endpoints->table, endpoint, next) {
        close_idle(endpoint, now_ms);
        if (endpoint->trust)
            trust_refresh(endpoint->trust);
        if (endpoint->is_to_be_probed)
            probe_targets(endpoint);
    }
    close_idle_for_starved(endpoints, now_ms);
}

size_t endpoints_connection_count(const struct endpoints *endpoints)
{
    return endpoints->connection_count;
}

struct endpoints *endpoints_new(struct push *push)
{
    struct endpoints *endpoints = xcalloc(1, sizeof(*endpoints));

    endpoints->push = push;
    TAILQ_INIT(&endpoints->starved);
    return endpoints;
}

void endpoints_free(struct endpoints *endpoints)
{
    free(endpoints); /* each endpoint went with its last target */
}

#include "push/trust.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/app/certificate.h"
#include "net/tls.h"
#include "net/tls_sessions.h"
#include <arpa/inet.h>
#include <stdlib.h>

struct trusts {
    struct core *core;
    const struct push_settings *settings;
    SSL_CTX *default_context;
    struct tls_identity *identity; /* NULL: none */
    unsigned identity_changes;
    struct cache *contexts; /* version of an entry -> SSL_CTX */
    struct tls_session_store *sessions;
};

enum state {
    STATE_UNREAD,
    STATE_ENTRY,
    STATE_DEFAULT,  /* there is no entry */
    STATE_UNUSABLE, /* there is one, of which no context can be made */
};

struct reading {
    struct trust *trust; /* NULL: it is gone */
};

struct trust {
    struct trusts *trusts;
    void (*changed)(void *arg);
    void (*answered)(void *arg);
    void *arg;
    char *app_id, *host;
    bool is_address;
    char endpoint[CERTIFICATE_ENDPOINT_SIZE];

    enum state state;
    unsigned generation;
    char version[CERTIFICATE_VERSION_SIZE]; /* of the entry */
    char *cn;
    bool checks_cn, checks_name, sends_sni;
    unsigned identity_changes; /* that its sessions know of */
    struct tls_session_group *sessions;

    struct reading *reading; /* under way */
    int64_t read_at_ms;      /* tick */
};

/* ---- all of them ---- */

static int min_version(const struct push_settings *settings)
{
    return settings->tls_min_version ? TLS1_3_VERSION : TLS1_2_VERSION;
}

/* NULL and no error: the settings name none. */
static struct tls_identity *read_identity(const struct push_settings *settings, char **error)
{
    *error = NULL;
    if (!*settings->platform_certificate)
        return NULL;
    return tls_identity_read(settings->platform_certificate, settings->platform_key, error);
}

static void free_context(void *context)
{
    SSL_CTX_free(context);
}

struct trusts *trusts_new(struct core *core, const struct push_settings *settings, char **error)
{
    struct trusts *trusts = xcalloc(1, sizeof(*trusts));
    struct tls_client_config config = {.ca_file = settings->ca_file,
                                       .min_version = min_version(settings)};

    trusts->core = core;
    trusts->settings = settings;
    trusts->contexts = cache_new((size_t)settings->trust_profiles, free_context);
    trusts->sessions =
        tls_session_store_new((size_t)settings->tls_sessions, settings->tls_session_life_ms);
    trusts->identity = read_identity(settings, error);
    if (!*error)
        trusts->default_context = tls_client_context_new(&config, error);
    if (trusts->default_context)
        return trusts;
    trusts_free(trusts);
    return NULL;
}

void trusts_free(struct trusts *trusts)
{
    if (!trusts)
        return;
    cache_free(trusts->contexts);
    tls_session_store_free(trusts->sessions);
    tls_identity_free(trusts->identity);
    SSL_CTX_free(trusts->default_context);
    free(trusts);
}

void trusts_reload(struct trusts *trusts)
{
    const struct push_settings *settings = trusts->settings;
    char *error;
    struct tls_identity *identity = read_identity(settings, &error);

    tls_session_store_set_limits(trusts->sessions, (size_t)settings->tls_sessions,
                                 settings->tls_session_life_ms);
    if (error) {
        log_error("reload", "certificate=push state=unchanged reason=%s", error);
        free(error);
        return;
    }
    if (!identity && !trusts->identity)
        return;
    tls_identity_free(trusts->identity);
    trusts->identity = identity;
    trusts->identity_changes++;
    cache_empty(trusts->contexts);
}

const struct certificates *trusts_platform_certificate(const struct trusts *trusts)
{
    return trusts->identity ? tls_identity_chain(trusts->identity) : NULL;
}

/* ---- one ---- */

struct trust *trust_new(const struct trust_config *config)
{
    struct trust *trust = xcalloc(1, sizeof(*trust));
    struct in_addr unused;

    trust->trusts = config->trusts;
    trust->changed = config->changed;
    trust->answered = config->answered;
    trust->arg = config->arg;
    trust->app_id = str_dup(config->app_id);
    trust->host = str_dup(config->url->host);
    trust->is_address = config->url->host_is_ipv6 || inet_pton(AF_INET, trust->host, &unused) == 1;
    certificate_endpoint_of_url(config->url, trust->endpoint);
    trust->sessions = tls_session_group_new(trust->trusts->sessions);
    return trust;
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    if (trust->reading)
        trust->reading->trust = NULL;
    tls_session_group_close(trust->sessions);
    free(trust->app_id);
    free(trust->host);
    free(trust->cn);
    free(trust);
}

unsigned trust_generation(const struct trust *trust)
{
    return trust->generation;
}

static void forget_sessions(struct trust *trust)
{
    tls_session_group_close(trust->sessions);
    trust->sessions = tls_session_group_new(trust->trusts->sessions);
    trust->identity_changes = trust->trusts->identity_changes;
}

/* ---- reading ---- */

static SSL_CTX *context_of(const struct trusts *trusts, const struct certificate_entry *entry,
                           char **error)
{
    static const struct pem_limits no_limits = {INT64_MAX, INT64_MAX};
    struct certificates *anchors = pem_read(entry->pem, &no_limits, error);
    struct tls_client_config config = {
        .anchors = anchors,
        .identity = entry->shows_platform_certificate ? trusts->identity : NULL,
        .min_version = min_version(trusts->settings),
        .ignores_anchor_expiry = entry->ignores_anchor_expiry,
    };
    SSL_CTX *context = anchors ? tls_client_context_new(&config, error) : NULL;

    certificates_free(anchors);
    return context;
}

static void take_rules(struct trust *trust, const struct certificate_entry *entry)
{
    free(trust->cn);
    trust->cn = entry->cn.p ? str_dup(entry->cn) : NULL;
    trust->checks_cn = entry->checks_cn && trust->cn;
    trust->checks_name = entry->checks_name;
    trust->sends_sni = entry->sends_sni && trust->cn;
    snprintf(trust->version, sizeof(trust->version), "%.*s", STR_ARG(entry->version));
    if (!trust->checks_cn && !trust->checks_name)
        log_warn("push", "app=%s endpoint=%s name_check=none", trust->app_id, trust->endpoint);
}

/* The state that follows from an entry just read. */
static enum state take_entry(struct trust *trust, const struct certificate_entry *entry)
{
    char *error = NULL;
    SSL_CTX *context = context_of(trust->trusts, entry, &error);

    take_rules(trust, entry);
    if (!context) {
        log_error("push", "app=%s endpoint=%s certificate=unusable reason=%s", trust->app_id,
                  trust->endpoint, error);
        free(error);
        return STATE_UNUSABLE;
    }
    cache_put(trust->trusts->contexts, str_of(trust->version), context, INT64_MAX);
    return STATE_ENTRY;
}

static void enter(struct trust *trust, enum state state, bool is_other)
{
    enum state before = trust->state;

    trust->state = state;
    if (!is_other && state == before)
        return;
    trust->generation++;
    forget_sessions(trust);
    if (before == STATE_UNREAD)
        return;
    log_info("push", "app=%s endpoint=%s certificate=%s", trust->app_id, trust->endpoint,
             state == STATE_DEFAULT ? "none" : trust->version);
    trust->changed(trust->arg);
}

static void entry_came(enum error error, enum certificate_state state,
                       const struct certificate_entry *entry, void *arg)
{
    struct reading *reading = arg;
    struct trust *trust = reading->trust;

    free(reading);
    if (!trust)
        return;
    trust->reading = NULL;
    trust->read_at_ms = clock_tick_ms();
    if (!error && state == CERTIFICATE_NONE) {
        trust->version[0] = '\0';
        enter(trust, STATE_DEFAULT, false);
    } else if (!error && state == CERTIFICATE_READ) {
        bool is_other = !str_eq(entry->version, str_of(trust->version));

        enter(trust, take_entry(trust, entry), is_other);
    }
    trust->answered(trust->arg);
}

static bool has_context(const struct trust *trust)
{
    return cache_get(trust->trusts->contexts, str_of(trust->version)) != NULL;
}

bool trust_is_known(const struct trust *trust)
{
    return trust->state == STATE_DEFAULT || trust->state == STATE_UNUSABLE ||
           (trust->state == STATE_ENTRY && has_context(trust));
}

static void ask(struct trust *trust, struct str known_version)
{
    if (trust->reading)
        return;
    trust->reading = xmalloc(sizeof(*trust->reading));
    trust->reading->trust = trust;
    certificate_read(trust->trusts->core, str_of(trust->app_id), str_of(trust->endpoint),
                     known_version, entry_came, trust->reading);
}

void trust_ask(struct trust *trust)
{
    ask(trust, has_context(trust) ? str_of(trust->version) : STR(""));
}

void trust_refresh(struct trust *trust)
{
    const struct core *core = trust->trusts->core;

    if (trust->reading || !redis_is_connected(core->redis))
        return;
    if (!trust->read_at_ms || clock_tick_ms() - trust->read_at_ms >= core->settings->cache_life_ms)
        ask(trust, str_of(trust->version));
}

/* ---- connecting ---- */

static struct tls_peer peer_of(const struct trust *trust)
{
    struct str host = str_of(trust->host);

    if (trust->state == STATE_DEFAULT)
        return (struct tls_peer){.name = host, .server_name = trust->is_address ? STR_NONE : host};
    return (struct tls_peer){
        .name = trust->checks_cn     ? str_of(trust->cn)
                : trust->checks_name ? host
                                     : STR_NONE,
        .server_name = trust->sends_sni ? str_of(trust->cn) : STR_NONE,
        .takes_common_name = true,
    };
}

static enum trust_outcome refuse(const char **reason, const char *text)
{
    *reason = text;
    return TRUST_REFUSED;
}

enum trust_outcome trust_connect(struct trust *trust, const struct sockaddr *address, SSL **ssl,
                                 const char **reason)
{
    struct trusts *trusts = trust->trusts;
    struct tls_peer peer = peer_of(trust);
    SSL_CTX *context = trusts->default_context;

    if (trust->state == STATE_UNREAD)
        return TRUST_UNKNOWN;
    if (trust->state == STATE_UNUSABLE)
        return refuse(reason, "the certificate entry cannot be used");
    if (trust->state == STATE_DEFAULT && trusts->settings->https_default_trust)
        return refuse(reason, "no certificate entry");
    if (trust->state == STATE_ENTRY)
        context = cache_get(trusts->contexts, str_of(trust->version));
    if (!context)
        return TRUST_UNKNOWN;
    if (trust->identity_changes != trusts->identity_changes)
        forget_sessions(trust);
    *ssl = tls_client_connect(context, &peer);
    if (!*ssl)
        return refuse(reason, "no name that a certificate could be for");
    tls_session_use(trust->sessions, *ssl, address);
    return TRUST_READY;
}

/*
 * Certificate entries: by which certificates, and by which rules, an HTTPS callback of an
 * application is checked. An application has at most one entry per host and port; its owner uploads
 * it. What stands in the certificates is of no interest here: whoever stores them has read them.
 *
 * In Redis an entry is three parts, each ending with a line end but the last:
 *
 *     version      digest of all that decides about a handshake: equal content, equal version
 *     facts        JSON: switches, times, format
 *     PEM
 *
 * so that readers who know the version get nothing, and lists no PEM.
 */
#ifndef CORE_APP_CERTIFICATE_H
#define CORE_APP_CERTIFICATE_H

#include "base/url.h"
#include "core/core.h"

#define CERTIFICATE_VERSION_SIZE  33
#define CERTIFICATE_ENDPOINT_SIZE 264 /* host, brackets, port, NUL */
#define CERTIFICATE_CN_MAX        253

struct certificate_entry {
    struct str endpoint; /* "host:port", normal form */
    struct str version;  /* made by certificate_put */
    struct str pem;      /* STR_NONE in lists */
    struct str cn;       /* STR_NONE: none was given */
    bool checks_cn;      /* the server's certificate must be for cn */
    bool sends_sni;      /* cn is sent as server name */
    bool checks_name;    /* without checks_cn: it must be for the URL's host */
    bool shows_platform_certificate;
    bool ignores_anchor_expiry;
    int64_t count, expires_ms; /* of the certificates: how many, and when the first one ends */
    int64_t created_ms;
};

/* "App.Example.Test:8443" -> "app.example.test:8443". The port must be written. false: not a host
 * and port that a callback URL could have. */
bool certificate_endpoint(struct str text, char out[CERTIFICATE_ENDPOINT_SIZE]);
/* The one that a callback URL belongs to. */
void certificate_endpoint_of_url(const struct url *url, char out[CERTIFICATE_ENDPOINT_SIZE]);

typedef void (*certificate_cb)(enum error error, void *arg);

/* Stores or replaces; fills in endpoint's entry->version and created_ms, which live in the arena.
 * ERR_APP_NOT_FOUND; ERR_BAD_REQUEST: the application has as many entries as it may have. */
void certificate_put(struct core *core, struct arena *arena, struct str app_id,
                     struct certificate_entry *entry, certificate_cb cb, void *arg);
/* ERR_NOT_FOUND: there was none. */
void certificate_delete(struct core *core, struct str app_id, struct str endpoint,
                        certificate_cb cb, void *arg);

enum certificate_state { CERTIFICATE_NONE, CERTIFICATE_SAME, CERTIFICATE_READ };

/* entry is set with CERTIFICATE_READ, and valid during the callback. */
typedef void (*certificate_read_cb)(enum error error, enum certificate_state state,
                                    const struct certificate_entry *entry, void *arg);
/* known_version: STR("") gets the entry in any case. */
void certificate_read(struct core *core, struct str app_id, struct str endpoint,
                      struct str known_version, certificate_read_cb cb, void *arg);

/* Without PEM, sorted by endpoint; valid during the callback. */
typedef void (*certificate_list_cb)(enum error error, const struct certificate_entry *entries,
                                    size_t count, void *arg);
void certificate_list(struct core *core, struct str app_id, certificate_list_cb cb, void *arg);

#endif

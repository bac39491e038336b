/*
 * Options as a table: a row says which verbs take it, its type, bounds, default and one sentence.
 * The values have the syntax of the configuration: 15s, 64k. Parsing and --help come from the rows.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum verb {
    VERB_SINK = 1,
    VERB_REPORT = 2,
    VERB_PUSH = 4,
    VERB_DRAIN = 8,
    VERB_CONNECT = 16,
    VERB_STORE = 32
};

enum dialect { DIALECT_V5, DIALECT_V1 }; /* as --dialect lists them */

struct options {
    /* the callback receiver */
    char *listen;
    bool has_tls; /* also: the server's listener with TLS */
    char *certificate, *key;
    int64_t delay_ms, status, max_connections;
    char *fail;

    /* the server */
    char *socket, *admin, *token_file, *api, *server, *ca_file;

    /* the load */
    char *devices_file, *rate;
    int64_t devices, connections, payload_bytes, timeout_ms;
    int64_t endpoints, hang_endpoints, window, events, settle_ms;
    char *callback_host;
    bool has_callback_tls;

    /* MQTT */
    bool has_mqtt;
    int dialect; /* enum dialect */
    char *broker, *filter, *redis;
    int64_t outstanding, opening, keep_alive_ms, pid;

    /* what is expected; -1 (times and sizes: 0) = nothing */
    int64_t expect_rate, expect_p99_ms, expect_loss, expect_duplicates, expect_order_violations;
    int64_t expect_refused, expect_dropped, expect_memory;

    /* all */
    int64_t duration_ms;
    bool wants_json;
};

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* argv[0] is the verb. OPTIONS_WRONG: what is wrong has been said. */
enum options_result options_parse(struct options *options, enum verb verb, int argc, char **argv);
uint64_t options_rate(const struct options *options); /* 0 = as many as go */
void options_clear(struct options *options);
void options_print(enum verb verb, FILE *out);

#endif

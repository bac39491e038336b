/*
 * Options as a table: a row says which verbs take it, its type, bounds, default and one sentence. The
 * values have the syntax of the configuration: 15s, 64k. Parsing and --help come from the rows.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum verb { VERB_SINK = 1 };

struct options {
    /* the callback receiver */
    char *listen;
    bool has_tls;
    char *certificate, *key;
    int64_t delay_ms, status, max_connections;
    char *fail;

    /* all */
    int64_t duration_ms;
    bool wants_json;
};

enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG };

/* argv[0] is the verb. OPTIONS_WRONG: what is wrong has been said. */
enum options_result options_parse(struct options *options, enum verb verb, int argc, char **argv);
void options_clear(struct options *options);
void options_print(enum verb verb, FILE *out);

#endif

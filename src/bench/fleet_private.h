/* What the files of the fleet share: asking the server, one question after the other. */
#ifndef BENCH_FLEET_PRIVATE_H
#define BENCH_FLEET_PRIVATE_H

#include "base/json.h"
#include "bench/fleet.h"

#define FLEET_ID_MAX 256

struct question {
    const char *what; /* for messages: "registering a device" */
    const char *method, *url;
    bool is_admin;
    const char *headers[2];
    const char *body;
};

/* Waits while the server says "too fast". *json lives in the arena; NULL when the answer has no
 * body, or no JSON. What went wrong has been said. */
enum bench_exit fleet_ask(struct fleet *fleet, struct arena *arena, const struct question *question,
                          const struct json **json);
enum bench_exit fleet_ask_text(struct fleet *fleet, struct arena *arena,
                               const struct question *question, struct str *text);
/* For answers with texts that are kept: the values of the members, NULL behind the last, in the
 * fleet's arena. */
enum bench_exit fleet_ask_for(struct fleet *fleet, const struct question *question,
                              const char *const *members, const char **values);

#endif

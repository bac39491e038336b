#include "bench/fleet_private.h"

#include <time.h>

#define THROTTLE_PAUSE_MS 100
#define THROTTLE_TRIES    600

/* Both interfaces have a word for "too fast". */
static bool is_throttled(const struct transfer_answer *answer, const struct json *json)
{
    struct str code = json_get_str(json, "error_code");

    return answer->status == 429 || (answer->status == 403 && (str_eq(code, STR("1010009")) ||
                                                               str_eq(code, STR("IOTDA.021101"))));
}

static void pause_a_moment(void)
{
    struct timespec time = {0, THROTTLE_PAUSE_MS * 1000000l};

    nanosleep(&time, NULL);
}

static void fill_request(const struct fleet *fleet, const struct question *question,
                         struct transfer_request *request)
{
    size_t count = 0;

    *request = (struct transfer_request){
        .method = question->method,
        .url = question->url,
        .socket = question->is_admin ? fleet->socket : NULL,
        .ca_file = fleet->ca_file,
        .body = question->body,
    };
    if (question->is_admin && fleet->authorization)
        request->headers[count++] = fleet->authorization;
    /* A form is what libcurl takes a body for. */
    if (question->body && question->body[0] == '{')
        request->headers[count++] = "Content-Type: application/json";
    for (size_t i = 0; i < 2 && question->headers[i]; i++)
        request->headers[count++] = question->headers[i];
}

static enum bench_exit refuse(const struct question *question, const struct transfer_answer *answer,
                              const struct json *json)
{
    struct str text = json_get_str(json, "error_msg");

    if (!text.p)
        text = json_get_str(json, "error_desc");
    bench_complain("%s: status %d, %.*s", question->what, answer->status, STR_ARG(text));
    return BENCH_FAILED;
}

static enum bench_exit perform(struct fleet *fleet, struct arena *arena,
                               const struct question *question, struct transfer_answer *answer,
                               const struct json **json)
{
    struct transfer_request request;
    const char *reason;

    fill_request(fleet, question, &request);
    for (int try = 0;; try++) {
        if (loop_poll(fleet->loop)) {
            bench_complain("%s: stopped by a signal", question->what);
            return BENCH_FAILED;
        }
        reason = transfer_perform(fleet->transfer, arena, &request, answer);
        if (reason) {
            bench_complain("%s: no server at %s: %s", question->what,
                           request.socket ? request.socket : request.url, reason);
            return BENCH_UNREACHABLE;
        }
        *json = answer->body.len ? json_parse(arena, answer->body, NULL) : NULL;
        if (!is_throttled(answer, *json) || try == THROTTLE_TRIES)
            break;
        pause_a_moment();
    }
    return answer->status / 100 == 2 ? BENCH_DONE : refuse(question, answer, *json);
}

enum bench_exit fleet_ask(struct fleet *fleet, struct arena *arena, const struct question *question,
                          const struct json **json)
{
    struct transfer_answer answer;

    return perform(fleet, arena, question, &answer, json);
}

enum bench_exit fleet_ask_text(struct fleet *fleet, struct arena *arena,
                               const struct question *question, struct str *text)
{
    struct transfer_answer answer = {0};
    const struct json *unused;
    enum bench_exit result = perform(fleet, arena, question, &answer, &unused);

    *text = answer.body;
    return result;
}

enum bench_exit fleet_ask_for(struct fleet *fleet, const struct question *question,
                              const char *const *members, const char **values)
{
    struct arena *arena = arena_new();
    const struct json *json = NULL;
    enum bench_exit result = fleet_ask(fleet, arena, question, &json);

    for (size_t i = 0; result == BENCH_DONE && members[i]; i++) {
        struct str value = json_get_str(json, members[i]);

        if (!value.len || value.len > FLEET_ID_MAX || !str_is_printable(value)) {
            bench_complain("%s: the answer has no %s", question->what, members[i]);
            result = BENCH_FAILED;
        } else {
            values[i] = arena_dup0(fleet->arena, value);
        }
    }
    arena_free(arena);
    return result;
}

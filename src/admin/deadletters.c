#include "admin/answer.h"
#include "admin/delivery.h"
#include "base/clock.h"
#include "core/deadletter.h"

#define REPLAY_MAX 100 /* per request */

/* "<ms>-<number>", as the stream has it */
static bool is_letter_id(struct str id)
{
    struct str rest;
    uint64_t unused;

    return str_to_u64(str_split(id, '-', &rest), INT64_MAX, &unused) &&
           str_to_u64(rest, INT64_MAX, &unused);
}

static void write_letter(struct json_writer *w, const struct deadletter *letter)
{
    char dropped[CLOCK_MILLIS_SIZE];

    clock_format_millis(letter->dropped_ms, dropped);
    json_object(w);
    json_member_str(w, "id", letter->id);
    json_member_text(w, "dropped", dropped);
    json_member_str(w, "reason", letter->reason);
    json_member_str(w, "application", letter->event.app_id);
    json_member_str(w, "device", letter->event.device_id);
    json_member_text(w, "event", event_kind_name(letter->event.kind));
    json_member_i64(w, "attempts", letter->attempts);
    json_member_str(w, "url", letter->url);
    json_member_str(w, "subscription", letter->subscription_id);
    json_member_str(w, "lastError", letter->last_error);
    json_object_end(w);
}

static void answer_list(enum error error, const struct deadletter *letters, size_t count, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_key(w, "deadletters");
    json_array(w);
    for (size_t i = 0; i < count; i++)
        write_letter(w, &letters[i]);
    json_array_end(w);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void list_letters(struct call *call)
{
    struct str after = call_query(call, "after");

    if (after.len && !is_letter_id(after))
        admin_fail(call, 400, "after: not the id of a dead letter");
    else
        deadletter_list(admin_core_of(call), call_arena(call), after, DEADLETTER_PAGE_MAX,
                        answer_list, call);
}

static void answer_count(struct call *call, enum error error, const char *name, size_t count)
{
    struct json_writer *w = call_json(call);

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    json_object(w);
    json_member_i64(w, name, (int64_t)count);
    json_object_end(w);
    call_reply_json(call, 200);
}

static void answer_replay(enum error error, size_t count, void *arg)
{
    answer_count(arg, error, "replayed", count);
}

static void answer_replay_one(enum error error, size_t count, void *arg)
{
    if (!error && count == 0)
        admin_fail(arg, 404, "there is no such dead letter");
    else
        answer_count(arg, error, "replayed", count);
}

/* {"id":...}, or {} for the oldest ones: then to be repeated until none is left. */
static void replay_letters(struct call *call)
{
    const struct json *body = json_parse(call_arena(call), call_body(call), NULL);
    struct str id = json_get_str(body, "id");

    if (!core_is_ready(admin_core_of(call)))
        admin_fail_error(call, ERR_INTERNAL);
    else if (!body || body->type != JSON_OBJECT || (json_get(body, "id") && !is_letter_id(id)))
        admin_fail(call, 400, "id: not the id of a dead letter");
    else if (id.p)
        deadletter_replay(admin_core_of(call), call_arena(call), &id, 1, answer_replay_one, call);
    else
        deadletter_replay(admin_core_of(call), call_arena(call), NULL, REPLAY_MAX, answer_replay,
                          call);
}

static void answer_purge(enum error error, size_t count, void *arg)
{
    answer_count(arg, error, "purged", count);
}

static void purge_letters(struct call *call)
{
    deadletter_purge(admin_core_of(call), answer_purge, call);
}

const struct route admin_deadletter_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/deadletters", 0, list_letters},
    {EVHTTP_REQ_POST, "/admin/v1/deadletters/replay", 0, replay_letters},
    {EVHTTP_REQ_DELETE, "/admin/v1/deadletters", 0, purge_letters},
    {0},
};

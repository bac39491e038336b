#include "admin/signing.h"

#include "admin/answer.h"
#include "base/clock.h"
#include "core/app/signing.h"

static void answer_key(enum error error, const struct signing_key *key, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);
    char end[CLOCK_COMPACT_SIZE];

    if (error) {
        admin_fail_error(call, error);
        return;
    }
    if (!key->key.len) {
        admin_fail(call, 404, "the application has no signing key; signing-key renew makes one");
        return;
    }
    json_object(w);
    json_member_text(w, "appId", key->app_id);
    json_member_str(w, "signingKey", key->key);
    if (key->previous_end_ms) {
        clock_format_compact(key->previous_end_ms, end);
        json_member_text(w, "previousKeyEndTime", end);
    }
    json_object_end(w);
    call_add_header(call, "Cache-Control", "no-store");
    call_reply_json(call, 200);
}

static void answer_removed(enum error error, const struct signing_key *key, void *arg)
{
    (void)key;
    if (error)
        admin_fail_error(arg, error);
    else
        call_reply_empty(arg, 204);
}

static void show(struct call *call)
{
    signing_key_show(admin_core_of(call), call_path_param(call, "appId"), answer_key, call);
}

static void renew(struct call *call)
{
    signing_key_renew(admin_core_of(call), call_path_param(call, "appId"), answer_key, call);
}

static void remove_key(struct call *call)
{
    signing_key_remove(admin_core_of(call), call_path_param(call, "appId"), answer_removed, call);
}

const struct route admin_signing_routes[] = {
    {EVHTTP_REQ_GET, "/admin/v1/apps/{appId}/signing-key", 0, show},
    {EVHTTP_REQ_POST, "/admin/v1/apps/{appId}/signing-key", 0, renew},
    {EVHTTP_REQ_DELETE, "/admin/v1/apps/{appId}/signing-key", 0, remove_key},
    {0},
};

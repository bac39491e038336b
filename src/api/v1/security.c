/* Application access security: login, refreshToken, logout. */
#include "api/v1/v1.h"

#include "base/url.h"
#include "core/app/token.h"

static void answer_tokens(enum error error, const struct token_pair *pair, void *arg)
{
    struct call *call = arg;
    struct json_writer *w = call_json(call);

    if (error) {
        call_audit(call, "login", STR_NONE);
        v1_fail(call, error);
        return;
    }
    json_object(w);
    json_member_text(w, "accessToken", pair->access);
    json_member_text(w, "tokenType", "bearer");
    json_member_text(w, "refreshToken", pair->refresh);
    json_member_i64(w, "expiresIn", pair->life_s);
    json_member_text(w, "scope", "default");
    json_object_end(w);
    call_add_header(call, "Cache-Control", "no-store");
    call_reply_json(call, 200);
}

/* Field names in any case: one public client posts "Secret". */
static void login(struct call *call)
{
    struct str app_id = url_form_value(call_arena(call), call_body(call), "appId", true);
    struct str secret = url_form_value(call_arena(call), call_body(call), "secret", true);

    call_set_app(call, app_id);
    if (!app_id.len || !secret.len)
        v1_fail(call, ERR_LOGIN_PARAMETER);
    else
        token_login(v1_core(call), app_id, secret, answer_tokens, call);
}

struct refresh_body {
    struct str app_id, secret, refresh_token;
};

static const struct field refresh_fields[] = {
    {"appId", FIELD_STRING, offsetof(struct refresh_body, app_id), 0, 0,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    {"secret", FIELD_STRING, offsetof(struct refresh_body, secret), 0, 0,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    {"refreshToken", FIELD_STRING, offsetof(struct refresh_body, refresh_token), 0, 0,
     FIELD_REQUIRED | FIELD_EMPTY_IS_ABSENT, NULL},
    {0},
};

static void refresh_token(struct call *call)
{
    struct refresh_body body = {0};

    if (!v1_read_body(call, refresh_fields, &body, ERR_BAD_REQUEST, ERR_LOGIN_PARAMETER,
                      ERR_BAD_REQUEST, NULL))
        return;
    call_set_app(call, body.app_id);
    token_refresh(v1_core(call), body.app_id, body.secret, body.refresh_token, answer_tokens,
                  call);
}

static void answer_logout(enum error error, void *arg)
{
    if (error)
        v1_fail(arg, error);
    else
        call_reply_empty(arg, 204);
}

/* JSON; or, as one client sends it, a form under the JSON content type. */
static void logout(struct call *call)
{
    const struct json *json = json_parse(call_arena(call), call_body(call), NULL);
    struct str token =
        json ? json_get_str(json, "accessToken")
             : url_form_value(call_arena(call), call_body(call), "accessToken", false);

    if (!token.len)
        v1_fail(call, ERR_LOGIN_PARAMETER);
    else
        token_logout(v1_core(call), token, answer_logout, call);
}

const struct route v1_security_routes[] = {
    {EVHTTP_REQ_POST, "/iocm/app/sec/v1.1.0/login", V1_OPEN, login},
    {EVHTTP_REQ_POST, "/iocm/app/sec/v1.1.0/refreshToken", V1_OPEN, refresh_token},
    {EVHTTP_REQ_POST, "/iocm/app/sec/v1.1.0/logout", V1_OPEN, logout},
    {0},
};

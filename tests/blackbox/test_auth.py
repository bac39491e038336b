"""Access of applications: login, refresh, logout, the headers of every call, throttles."""

import json
import re
import time

import pytest

from helpers.errors import (APP_FROZEN, INPUT_INVALID,
                            LOGIN_INCOMPLETE, LOGIN_WRONG, NO_APP_KEY, NOT_FOUND, THROTTLED,
                            TOKEN_INVALID, expect_empty, expect_refusal)
from helpers.nouns import (CREDENTIALS_BY_CODE, DEVICES, LOGIN, LOGOUT, REFRESH, SUBSCRIPTIONS,
                           new_name)
from helpers.waiting import wait_until, wait_until_clock

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TOKEN_MEMBERS = {"scope", "tokenType", "expiresIn", "accessToken", "refreshToken"}


def expect_tokens(response, life=3600):
    assert response.status == 200, response
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json
    assert set(answer) == TOKEN_MEMBERS
    assert (answer["scope"], answer["tokenType"], answer["expiresIn"]) == ("default", "bearer", life)
    for token in (answer["accessToken"], answer["refreshToken"]):
        assert re.fullmatch("[0-9a-f]{29,32}", token)
    assert answer["accessToken"] != answer["refreshToken"]
    return answer


# --- login


def test_login_answers_with_a_pair_of_tokens(application):
    expect_tokens(application.try_login())


@pytest.mark.parametrize("app_field, secret_field", [
    ("appId", "secret"), ("appId", "Secret"), ("appid", "SECRET"), ("APPID", "secret")])
def test_login_takes_its_field_names_in_any_case(platform, application, app_field, secret_field):
    form = f"{app_field}={application.id}&{secret_field}={application.secret}"
    expect_tokens(platform.api("POST", LOGIN, form, FORM))


def test_login_decodes_its_form(platform, application):
    encoded = "".join(f"%{ord(c):02x}" for c in application.secret)
    form = f"unknown=1&appId={application.id}&secret={encoded}&"
    expect_tokens(platform.api("POST", LOGIN, form, {
        "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}))


@pytest.mark.parametrize("form", ["", "appId={id}", "secret={secret}", "appId=&secret={secret}",
                                  "appId={id}&secret="])
def test_login_needs_id_and_secret(platform, application, form):
    form = form.format(id=application.id, secret=application.secret)
    expect_refusal(platform.api("POST", LOGIN, form, FORM), LOGIN_INCOMPLETE)


def test_login_with_a_wrong_secret_or_an_unknown_id_is_refused_alike(platform, application):
    expect_refusal(application.try_login(secret="wrong"), LOGIN_WRONG)
    expect_refusal(application.try_login(secret=application.secret + "0"), LOGIN_WRONG)
    expect_refusal(platform.api("POST", LOGIN, "appId=nobody&secret=wrong", FORM), LOGIN_WRONG)
    expect_refusal(platform.api("POST", LOGIN, "appId=a%20b%7B%7D&secret=wrong", FORM), LOGIN_WRONG)


def test_a_failed_login_leaves_the_token_alone(application):
    token = application.login()
    application.try_login(secret="wrong")
    assert application.try_probe(token).status == 200


def test_only_the_newest_login_is_valid(application):
    first = application.login()
    first_refresh = application.refresh_token
    second = application.login()
    expect_refusal(application.try_probe(first), TOKEN_INVALID)
    assert application.try_probe(second).status == 200
    expect_refusal(application.try_refresh(first_refresh), LOGIN_WRONG)


def test_an_access_token_ends_and_its_refresh_token_works_on(start_platform):
    platform = start_platform(auth__token_life="1s")
    application = platform.application()
    token = expect_tokens(application.try_login(), life=1)
    response = wait_until(
        lambda: (r := application.try_probe(token["accessToken"])).status != 200 and r, "the end")
    expect_refusal(response, TOKEN_INVALID)
    renewed = expect_tokens(application.try_refresh(token["refreshToken"]), life=1)
    assert application.try_probe(renewed["accessToken"]).status == 200


def test_a_frozen_application_can_do_nothing_until_it_is_unfrozen(application):
    token = application.login()
    application.freeze()
    expect_refusal(application.try_login(), APP_FROZEN)
    expect_refusal(application.try_refresh(), APP_FROZEN)
    expect_refusal(application.try_probe(token), TOKEN_INVALID)
    application.unfreeze()
    expect_tokens(application.try_login())


def test_a_frozen_application_with_a_wrong_secret_learns_nothing(application):
    application.freeze()
    expect_refusal(application.try_login(secret="wrong"), LOGIN_WRONG)


def test_a_reset_secret_replaces_the_old_one(platform, application):
    token = application.login()
    reset = platform.admin("POST", f"/admin/v1/apps/{application.id}/reset-secret")
    assert reset.status == 200 and reset.json["appId"] == application.id
    expect_refusal(application.try_login(), LOGIN_WRONG)
    expect_tokens(application.try_login(secret=reset.json["secret"]))
    expect_refusal(application.try_probe(token), TOKEN_INVALID)


# --- refresh


def test_refresh_gives_a_new_pair_and_ends_the_old_one(application):
    token = application.login()
    used = application.refresh_token
    renewed = expect_tokens(application.try_refresh())
    assert renewed["accessToken"] != token and renewed["refreshToken"] != used
    expect_refusal(application.try_probe(token), TOKEN_INVALID)
    assert application.try_probe(renewed["accessToken"]).status == 200
    expect_refusal(application.try_refresh(used), LOGIN_WRONG)
    assert application.try_probe(renewed["accessToken"]).status == 200
    expect_tokens(application.try_refresh(renewed["refreshToken"]))


def test_refresh_tolerates_the_headers_of_other_calls(platform, application):
    application.login()
    response = application.post(REFRESH, {"appId": application.id, "secret": application.secret,
                                          "refreshToken": application.refresh_token, "extra": 1})
    expect_tokens(response)


def test_refresh_refuses_what_is_not_this_applications_token(platform, application):
    other = platform.application()
    application.login()
    other.login()
    expect_refusal(application.try_refresh(other.refresh_token), LOGIN_WRONG)
    expect_refusal(application.try_refresh("0" * 32), LOGIN_WRONG)
    expect_refusal(application.try_refresh(application.token), LOGIN_WRONG)
    expect_refusal(application.try_refresh(secret="wrong"), LOGIN_WRONG)
    expect_refusal(application.try_refresh(appId="nobody"), LOGIN_WRONG)


def test_a_refresh_token_ends(start_platform):
    application = start_platform(auth__refresh_life="1s").application()
    application.login()
    wait_until_clock(time.time() + 1.1)  # asking before would use the token up
    expect_refusal(application.try_refresh(), LOGIN_WRONG)


@pytest.mark.parametrize("missing", ["appId", "secret", "refreshToken"])
@pytest.mark.parametrize("value", [None, ""])
def test_refresh_needs_all_members(platform, application, missing, value):
    application.login()
    body = {"appId": application.id, "secret": application.secret,
            "refreshToken": application.refresh_token, missing: value}
    expect_refusal(platform.api("POST", REFRESH, body), LOGIN_INCOMPLETE)
    del body[missing]
    expect_refusal(platform.api("POST", REFRESH, body), LOGIN_INCOMPLETE)


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "appId=1&secret=2",
                                  '{"appId":1,"secret":"x","refreshToken":"y"}'])
def test_refresh_needs_a_json_object_of_texts(platform, body):
    expect_refusal(platform.api("POST", REFRESH, body, {"Content-Type": "application/json"}),
                   INPUT_INVALID)


# --- logout


@pytest.mark.parametrize("write_body", [
    lambda token: json.dumps({"accessToken": token}),
    lambda token: f"accessToken={token}",
], ids=["json", "urlencoded under a JSON content type"])
def test_logout_ends_the_token_and_its_refresh_token(platform, application, write_body):
    token = application.login()
    response = platform.api("POST", LOGOUT, write_body(token), {"Content-Type": "application/json"})
    expect_empty(response, 204)
    expect_refusal(application.try_probe(token), TOKEN_INVALID)
    expect_refusal(application.try_refresh(), LOGIN_WRONG)
    expect_refusal(platform.api("POST", LOGOUT, {"accessToken": token}), TOKEN_INVALID)


@pytest.mark.parametrize("body", ["{}", '{"accessToken":""}', '{"accessToken":null}',
                                  "accessToken="])
def test_logout_needs_a_token(platform, body):
    expect_refusal(platform.api("POST", LOGOUT, body, {"Content-Type": "application/json"}),
                   LOGIN_INCOMPLETE)


def test_logout_of_an_unknown_token_is_refused_by_the_gateway(platform, application):
    application.login()
    expect_refusal(platform.api("POST", LOGOUT, {"accessToken": "0" * 32}), TOKEN_INVALID)
    assert application.try_probe().status == 200


# --- the headers of every call


@pytest.mark.parametrize("write_headers", [
    lambda app: {"app_key": app.id, "Authorization": f"Bearer {app.token}"},
    lambda app: {"APP_KEY": app.id, "AUTHORIZATION": f"bearer {app.token}"},
    lambda app: {"x-app-key": app.id, "Authorization": f"BEARER {app.token}"},
    lambda app: {"X-App-Key": app.id, "authorization": f"Bearer    {app.token}"},
    lambda app: {"app_key": app.id, "access_token": app.token},
    lambda app: {"app_key": app.id, "Authorization": f"Bearer {app.token}",
                 "Content-Type": "application/json"},
])
def test_the_headers_are_understood_in_every_known_form(platform, application, write_headers):
    assert platform.api("GET", SUBSCRIPTIONS, None, write_headers(application)).status == 200


def test_without_app_key_the_gateway_finds_no_application(platform, application):
    headers = {"Authorization": f"Bearer {application.token}"}
    expect_refusal(platform.api("GET", SUBSCRIPTIONS, None, headers), NO_APP_KEY)
    expect_refusal(platform.api("GET", SUBSCRIPTIONS, None, {**headers, "app_key": ""}), NO_APP_KEY)


def test_a_token_is_good_for_its_own_application_only(platform, application):
    other = platform.application()
    for headers in [
        {"app_key": application.id},
        {"app_key": application.id, "Authorization": "Bearer"},
        {"app_key": application.id, "Authorization": "Bearer " + "0" * 32},
        {"app_key": application.id, "Authorization": f"Basic {application.token}"},
        {"app_key": application.id, "Authorization": f"Bearer {application.token}0"},
        {"app_key": application.id, "Authorization": f"Bearer {other.token}"},
        {"app_key": other.id, "Authorization": f"Bearer {application.token}"},
        {"app_key": "nobody", "Authorization": f"Bearer {application.token}"},
    ]:
        expect_refusal(platform.api("GET", SUBSCRIPTIONS, None, headers), TOKEN_INVALID)


def test_the_path_is_checked_first_and_the_body_after_the_token(platform, application):
    expect_refusal(platform.api("GET", "/iocm/app/no/v1.1.0/such"), NOT_FOUND)
    expect_refusal(platform.api("GET", "/nothing"), NOT_FOUND)
    expect_refusal(platform.api("POST", SUBSCRIPTIONS, "{"), NO_APP_KEY)
    expect_refusal(platform.api("POST", SUBSCRIPTIONS, "{", {"app_key": application.id}),
                   TOKEN_INVALID)
    expect_refusal(application.post(f"{SUBSCRIPTIONS}?appId=nobody", "{"), INPUT_INVALID)


# --- acting for another application


def test_the_own_app_id_and_unknown_parameters_change_nothing(application):
    path = f"{SUBSCRIPTIONS}?appId={application.id}&app_Id=x&whatever=1"
    assert application.get(path).status == 200
    node_id = new_name()
    response = application.post(f"{CREDENTIALS_BY_CODE}?appId={application.id}",
                                {"nodeId": node_id, "unknownMember": {"a": [1]}})
    assert response.status == 200


# --- throttles


def test_calls_over_the_limit_are_throttled_per_application(start_platform):
    platform = start_platform(auth__api_limit="3", auth__api_interval="1h")
    busy, quiet = platform.application(), platform.application()
    for _ in range(3):
        assert busy.try_probe().status == 200
    expect_refusal(busy.try_probe(), THROTTLED)
    expect_refusal(busy.get(f"{DEVICES}/any"), THROTTLED)
    assert quiet.try_probe().status == 200
    # An invalid token is told before the throttle, and costs its application nothing.
    expect_refusal(quiet.try_probe("0" * 32), TOKEN_INVALID)


def test_throttled_calls_are_accepted_again_later(start_platform):
    application = start_platform(auth__api_limit="2", auth__api_interval="300ms").application()
    wait_until(lambda: application.try_probe().status == 403, "the throttle")
    wait_until(lambda: application.try_probe().status == 200, "the end of the interval")


def test_logins_and_refreshes_over_the_limit_are_throttled(start_platform):
    platform = start_platform(auth__login_limit="2", auth__login_interval="1h")
    busy, quiet = platform.application(), platform.application()
    busy.login()
    assert busy.try_refresh().status == 200
    expect_refusal(busy.try_login(), THROTTLED)
    expect_refusal(busy.try_refresh("0" * 32), THROTTLED)
    expect_tokens(quiet.try_login())

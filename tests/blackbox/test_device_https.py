"""Devices over HTTPS: their login, properties, messages, gateways, and every limit of those."""

import time

import pytest

from helpers.errors import (CHILD_UNKNOWN, DEVICE_AUTH_FAILED, DEVICE_INPUT_INVALID, DEVICE_METHOD,
                            DEVICE_PATH_UNKNOWN, DEVICE_RATE, DEVICE_TOKEN_INVALID, REPORT_TOO_LARGE,
                            TENANT_RATE, TOO_MANY_CHILDREN, expect_empty, expect_refusal)
from helpers.nouns import device_password, new_name
from helpers.waiting import wait_until

MIB = 1024 * 1024


# --- login


@pytest.mark.parametrize("secret, timestamp, password", [
    ("12345678", "2025041401", "c75150e6cb841417396819e4d2ee4358a416344a03a083e3a8567074ddec820a"),
    ("secret", "2024010100", "b163b6267249de6be6106220189b9ef7c1676143460367bb542cdbd29b4b77ba")])
def test_the_passwords_of_these_tests_are_the_published_ones(secret, timestamp, password):
    assert device_password(secret, timestamp) == password


def test_a_device_logs_in_with_a_password_that_anyone_can_check(platform, application):
    device = application.register_device(secret="41f0a96be7d2035cc818")
    # printf 41f0a96be7d2035cc818 | openssl dgst -sha256 -hmac 2019120219
    response = platform.device_api("POST", "/v5/device-auth", {
        "device_id": device.id, "sign_type": 0, "timestamp": "2019120219",
        "password": "507fd0953807fdc38a051876a048938793887422f551188350870a10c3f334bf"})
    assert response.status == 200, response


def test_a_login_answers_with_a_token(device):
    response = device.try_login()
    assert response.status == 200, response
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json) == {"access_token", "expires_in"}
    assert 32 <= len(response.json["access_token"]) <= 256
    assert response.json["expires_in"] in (86399, 86400)
    assert device.try_login().json["access_token"] != response.json["access_token"]


def test_wrong_passwords_and_unknown_devices_are_refused_alike(platform, application, device):
    by_code = application.register_device(by_code=True)
    by_code.secret = by_code.verify_code
    right = device_password(device.secret, "2025041401")
    for response in [
        device.try_login(password="0" * 64),
        device.try_login(password=right.upper()),
        device.try_login(password=device_password(device.secret, "2025041402")),
        device.try_login(device_id="nobody"),
        device.try_login(device_id=application.register_device().id),
        by_code.try_login(),
    ]:
        expect_refusal(response, DEVICE_AUTH_FAILED)


@pytest.mark.parametrize("members", [
    {"device_id": ""}, {"device_id": "d" * 129}, {"device_id": "a b"}, {"device_id": "ä"},
    {"device_id": "{p1}"}, {"device_id": 5}, {"device_id": None}, {"sign_type": 2},
    {"sign_type": -1}, {"sign_type": "0"}, {"sign_type": None}, {"sign_type": True},
    {"timestamp": "202504140"}, {"timestamp": "20250414011"}, {"timestamp": "202504140x"},
    {"timestamp": 2025041401}, {"timestamp": None}, {"password": "0" * 63},
    {"password": "0" * 65}, {"password": ""}, {"password": 5}, {"password": None},
], ids=str)
def test_a_login_has_a_shape(platform, device, members):
    body = {"device_id": device.id, "sign_type": 0, "timestamp": "2025041401",
            "password": device_password(device.secret, "2025041401"), **members}
    expect_refusal(platform.device_api("POST", "/v5/device-auth", body), DEVICE_INPUT_INVALID)
    for member, value in members.items():
        if value is None:
            del body[member]
            expect_refusal(platform.device_api("POST", "/v5/device-auth", body), DEVICE_INPUT_INVALID)


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "device_id=x"])
def test_a_login_is_a_json_object(platform, body):
    expect_refusal(platform.device_api("POST", "/v5/device-auth", body), DEVICE_INPUT_INVALID)


def hour(offset):
    return time.strftime("%Y%m%d%H", time.gmtime(time.time() + offset * 3600))


def login_at(device, offset):
    """A login with the timestamp of an hour from now; once more when an hour ends meanwhile."""
    while True:
        timestamp = hour(offset)
        response = device.try_login(timestamp, sign_type=1)
        if hour(offset) == timestamp:
            return response


def test_a_signed_time_may_be_off_by_an_hour(device):
    for offset in (0, -1, 1):
        assert login_at(device, offset).status == 200
    for offset in (-2, 2, 24 * 365):
        expect_refusal(login_at(device, offset), DEVICE_AUTH_FAILED)
    expect_refusal(device.try_login("2025999999", sign_type=1), DEVICE_AUTH_FAILED,
                   DEVICE_INPUT_INVALID)


def test_an_unsigned_time_may_be_any(device):
    for timestamp in ("2019120219", "0000000000", "9999999999"):
        assert device.try_login(timestamp).status == 200


def test_the_tolerance_for_a_signed_time_is_a_setting(start_platform):
    device = start_platform(auth__device_token_life="1d",
                            device__sign_time_tolerance="3h").application().register_device()
    for offset in (-3, 3):
        assert login_at(device, offset).status == 200
    expect_refusal(login_at(device, -4), DEVICE_AUTH_FAILED)


# --- tokens


def test_the_previous_token_works_a_little_longer(start_platform):
    device = start_platform(auth__device_token_grace="1s").application().register_device()
    old = device.login()
    new = device.login()
    assert device.try_report({"n": 1}, token=old).status == 200
    response = wait_until(
        lambda: (r := device.try_report({"n": 2}, token=old)).status != 200 and r, "the end")
    expect_refusal(response, DEVICE_TOKEN_INVALID)
    assert device.try_report({"n": 3}, token=new).status == 200


def test_of_three_logins_the_first_token_is_over(device):
    first, second, third = device.login(), device.login(), device.login()
    expect_refusal(device.try_report({"n": 1}, token=first), DEVICE_TOKEN_INVALID)
    assert device.try_report({"n": 1}, token=second).status == 200
    assert device.try_report({"n": 1}, token=third).status == 200


def test_a_token_ends(start_platform):
    device = start_platform(auth__device_token_life="1s").application().register_device()
    assert device.try_login().json["expires_in"] == 1
    token = device.login()
    response = wait_until(
        lambda: (r := device.try_report({"n": 1}, token=token)).status != 200 and r, "the end")
    expect_refusal(response, DEVICE_TOKEN_INVALID)


def test_tokens_survive_a_restart_of_the_server(start_platform):
    platform = start_platform()
    device = platform.application().register_device()
    token = device.login()
    platform.restart()
    assert device.try_report({"n": 1}, token=token).status == 200


@pytest.mark.parametrize("path, body", [
    ("properties/report", '{"services":[{"service_id":"Flow","properties":{"a":1}}]}'),
    ("messages/up", "anything"),
    ("gateway/sub-devices/properties/report", '{"devices":[]}'),
    ("properties/report", "not JSON"),
    ("gateway/sub-devices/properties/report", "not JSON"),
])
def test_without_its_own_token_a_device_learns_nothing(platform, application, device, path, body):
    other = application.register_device()
    target = f"/v5/devices/{device.id}/sys/{path}"
    for headers in ({}, {"access_token": ""}, {"access_token": "0" * 64},
                    {"access_token": "0" * 257}, {"access_token": other.token},
                    {"Authorization": f"Bearer {device.token}"}, {"X-Auth-Token": device.token}):
        expect_refusal(platform.device_api("POST", target, body, headers), DEVICE_TOKEN_INVALID)
    unknown = f"/v5/devices/nobody/sys/{path}"
    expect_refusal(platform.device_api("POST", unknown, body, {"access_token": device.token}),
                   DEVICE_TOKEN_INVALID)


def test_paths_and_methods_are_the_documented_ones(platform, device):
    expect_refusal(platform.device_api("POST", f"/v5/devices/{device.id}/sys/other", "{}"),
                   DEVICE_PATH_UNKNOWN)
    expect_refusal(platform.device_api("POST", f"/v5/devices/{device.id}/sys/gateway/sub_devices/"
                                       "properties/report", "{}"), DEVICE_PATH_UNKNOWN)
    response = platform.device_api("GET", "/v5/device-auth")
    expect_refusal(response, DEVICE_METHOD)
    assert response.headers["Allow"] == "POST"


# --- properties


def test_a_report_is_answered_with_an_empty_200(device):
    expect_empty(device.try_report({"litres": 1}), 200)
    expect_empty(device.try_report({}), 200)


@pytest.mark.parametrize("body", [
    "", "{", "[]", "{}", '{"services":[]}', '{"services":{}}', '{"services":"x"}',
    '{"services":[5]}', '{"services":[{}]}', '{"services":[{"properties":{}}]}',
    '{"services":[{"service_id":"","properties":{}}]}',
    '{"services":[{"service_id":5,"properties":{}}]}', '{"services":[{"service_id":"a"}]}',
    '{"services":[{"service_id":"a","properties":[]}]}',
    '{"services":[{"service_id":"a","properties":"x"}]}',
    '{"services":[{"service_id":"a","properties":null}]}',
    '{"services":[{"service_id":"a","properties":{"x":1}},{"service_id":"b"}]}',
    '{"services":[{"service_id":"a","properties":{"x":1}}]} more',
    '{"services":[{"service_id":"a","properties":{"x":%s1%s}}]}' % ("[" * 100, "]" * 100),
    b'{"services":[{"service_id":"a","properties":{"x":"\xff"}}]}',
], ids=str)
def test_a_report_has_a_shape(device, body):
    expect_refusal(device.call("properties/report", body), DEVICE_INPUT_INVALID)
    assert device.query()["services"] == []


def test_a_report_may_have_just_under_a_mebibyte(device):
    value = "x" * (MIB - 200)
    device.report({"text": value})
    assert device.query()["services"][0]["data"] == {"text": value}


@pytest.mark.parametrize("path", ["properties/report", "gateway/sub-devices/properties/report"])
def test_a_report_must_not_have_more_than_a_mebibyte(device, path):
    body = '{"services":[{"service_id":"a","properties":{"x":"%s"}}]}' % ("x" * MIB)
    expect_refusal(device.call(path, body), REPORT_TOO_LARGE)
    expect_refusal(device.call(path, body, token="0" * 64), DEVICE_TOKEN_INVALID)
    assert device.query()["services"] == []


def test_a_device_has_a_limited_number_of_properties(start_platform):
    device = start_platform(device__shadow_properties="5").application().register_device()
    device.report({"a": 1, "b": 2})
    expect_refusal(device.try_report({c: 1 for c in "abcdef"}), DEVICE_INPUT_INVALID)
    assert device.query()["services"][0]["data"] == {"a": 1, "b": 2}
    device.report({"a": 3, "b": 4})


def test_a_device_may_report_so_often_per_interval(start_platform):
    application = start_platform(device__report_limit="5",
                                 device__report_interval="1h").application()
    busy, quiet = application.register_device(), application.register_device()
    busy.login()
    answers = [busy.try_report({"n": n}) for n in range(6)]
    accepted = [a for a in answers if a.status == 200]
    assert 4 <= len(accepted) <= 5  # the login may be one of the five
    expect_refusal(answers[-1], DEVICE_RATE)
    expect_refusal(busy.try_message("x"), DEVICE_RATE)
    quiet.report({"n": 1})


def test_all_devices_of_an_application_may_report_so_often_per_interval(start_platform):
    platform = start_platform(device__app_report_limit="3", device__report_interval="1h")
    application = platform.application()
    devices = [application.register_device() for _ in range(4)]
    for device in devices:
        device.login()
    answers = [device.try_report({"n": 1}) for device in devices]
    assert [a.status for a in answers[:3]] == [200, 200, 200]
    expect_refusal(answers[3], TENANT_RATE)
    platform.application().register_device().report({"n": 1})


# --- messages


@pytest.mark.parametrize("body", ["", "{", '{"name":"a","content":"b"}', "plain",
                                  b"\x00\xff binary \r\n", "x" * (MIB - 1)],
                         ids=["empty", "half JSON", "JSON", "text", "binary", "large"])
def test_a_message_may_be_anything(device, body):
    expect_empty(device.try_message(body), 200)


# --- gateways


def services(**properties):
    return [{"service_id": "Flow", "properties": properties}]


def test_a_gateway_reports_for_its_children(application):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway, by_code=n % 2 == 0) for n in range(50)]
    expect_empty(gateway.try_report_children(
        [{"device_id": c.id, "services": services(n=n)} for n, c in enumerate(children)]), 200)
    for n in (0, 1, 49):
        shown = children[n].query()
        assert shown["services"][0]["data"] == {"n": n}
        assert shown["deviceInfo"]["status"] == "ONLINE"
    assert gateway.query()["services"] == []


def test_a_gateway_reports_for_at_most_fifty_children(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    entry = {"device_id": child.id, "services": services(n=1)}
    expect_refusal(gateway.try_report_children([entry] * 51), TOO_MANY_CHILDREN)
    assert child.query()["services"] == []


def test_a_gateway_reports_for_nobody_elses_children(platform, application):
    gateway, other = application.register_device(), application.register_device()
    own = application.register_device(gateway=gateway)
    foreign = platform.application()
    strangers = [
        "nothing", "a b", "{p1}:q", new_name(), other.id,
        application.register_device(gateway=other).id,
        foreign.register_device(gateway=foreign.register_device()).id,
    ]
    for stranger in strangers:
        expect_refusal(gateway.try_report_children([
            {"device_id": own.id, "services": services(n=1)},
            {"device_id": stranger, "services": services(n=2)}]), CHILD_UNKNOWN)
    assert own.query()["services"] == []  # all or nothing


def test_a_frozen_child_is_not_reported_for(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    child.modify(mute="TRUE")
    expect_refusal(gateway.try_report_children([{"device_id": child.id, "services": services(n=1)}]),
                   CHILD_UNKNOWN)


def test_a_child_may_speak_for_itself_but_not_as_a_gateway(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    child.report({"n": 1})
    entry = {"device_id": child.id, "services": services(n=2)}
    expect_refusal(gateway.try_report_children([entry], token=child.token), DEVICE_TOKEN_INVALID)


@pytest.mark.parametrize("body", [
    "", "{", "{}", '{"devices":[]}', '{"devices":{}}', '{"devices":[5]}',
    '{"devices":[{"services":[{"service_id":"a","properties":{}}]}]}',
    '{"devices":[{"device_id":5,"services":[{"service_id":"a","properties":{}}]}]}',
    '{"devices":[{"device_id":"CHILD"}]}', '{"devices":[{"device_id":"CHILD","services":[]}]}',
    '{"devices":[{"device_id":"CHILD","services":[{"service_id":"a","properties":{}}]},'
    '{"device_id":"CHILD","services":[{"service_id":"a"}]}]}'])
def test_a_gateways_report_has_a_shape(application, body):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    expect_refusal(gateway.call("gateway/sub-devices/properties/report",
                                body.replace("CHILD", child.id)), DEVICE_INPUT_INVALID)
    assert child.query()["services"] == []

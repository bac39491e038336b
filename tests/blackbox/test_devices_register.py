"""Registration of devices in both modes, what makes it fail, and registrations that end unused."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers.errors import (BAD_MESSAGE, DEVICE_BOUND, DEVICE_QUOTA, DEVICE_UNKNOWN, INPUT_INVALID,
                            NODE_ID_DUPLICATE, VERIFY_CODE, expect_json, expect_refusal)
from helpers.nouns import CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET, DEVICES, new_name
from helpers.waiting import wait_until, wait_until_clock

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

CODE_PATHS = [
    "/iocm/app/reg/v1.1.0/deviceCredentials",
    "/iocm/app/reg/v1.2.0/deviceCredentials",
    "/iocm/app/reg/v1.2.0/devices",
    "/iocm/app/reg/v1.1.0/devices",
]


def try_code(application, **body):
    return application.post(CREDENTIALS_BY_CODE, {"nodeId": new_name(), **body})


def try_secret(application, info=None, **body):
    return application.post(CREDENTIALS_BY_SECRET,
                            {"deviceInfo": {"nodeId": new_name(), **(info or {})}, **body})


# --- verification-code mode


@pytest.mark.parametrize("path", CODE_PATHS)
def test_code_mode_echoes_what_was_given(application, path):
    node_id = new_name()
    response = application.post(path, {
        "nodeId": node_id, "verifyCode": node_id, "timeout": 600, "psk": "0123456789aBcDeF",
        "deviceInfo": {"manufacturerId": "ACME01", "name": "meter-17"}})
    device_id = response.json["deviceId"]
    expect_json(response, 200, {"deviceId": device_id, "verifyCode": node_id, "timeout": 600,
                                "psk": "0123456789aBcDeF"})
    assert re.fullmatch(UUID, device_id)


def test_code_mode_makes_what_was_not_given(application):
    first, second = try_code(application).json, try_code(application).json
    assert set(first) == {"deviceId", "verifyCode", "timeout", "psk"}
    assert first["timeout"] == 0
    assert re.fullmatch("[0-9a-fA-F]{8,32}", first["psk"])
    assert 1 <= len(first["verifyCode"]) <= 256
    for member in ("deviceId", "verifyCode", "psk"):
        assert first[member] != second[member]


def test_code_mode_takes_all_members_and_ignores_unknown_ones(application):
    response = try_code(
        application, endUserId="460011234567890", imsi="460011234567890", isSecure=True,
        customFields=[{"fieldName": "a", "fieldType": "b", "fieldValue": "c"}],
        location="hall", tags=[{"tagName": "zone", "tagValue": "north"}], deviceName="meter",
        groupId="g", account="a", unknown={"deep": [1, None]},
        deviceInfo={"manufacturerId": "ACME01", "manufacturerName": "Acme",
                    "deviceType": "WaterMeter", "model": "WM200", "protocolType": "CoAP",
                    "name": "meter-17", "description": "text", "swVersion": "1"})
    assert response.status == 200, response
    info = application.query(response.json["deviceId"])["deviceInfo"]
    assert (info["name"], info["model"], info["isSecurity"]) == ("meter-17", "WM200", "TRUE")
    assert (info["description"], info["swVersion"], info["location"]) == ("text", "1", "hall")


def test_members_given_as_null_count_as_absent(application):
    response = try_code(application, verifyCode=None, timeout=None, psk=None, imsi=None,
                        isSecure=None, deviceInfo=None)
    assert response.status == 200, response


def test_the_default_of_the_timeout_is_a_setting(start_platform):
    platform = start_platform(device__register_timeout="180s")
    assert try_code(platform.application()).json["timeout"] == 180


@pytest.mark.parametrize("body", ["", "{", "[]", '"nodeId"', "{}", '{"nodeId":""}',
                                  '{"nodeId":null}', '{"verifyCode":"x"}'])
def test_code_mode_needs_a_body_with_a_node_id(application, body):
    expect_refusal(application.post(CREDENTIALS_BY_CODE, body), BAD_MESSAGE)


@pytest.mark.parametrize("members", [
    {"nodeId": 17}, {"nodeId": "n" * 257}, {"verifyCode": 17}, {"verifyCode": "v" * 257},
    {"timeout": -1}, {"timeout": 2147483648}, {"timeout": "soon"}, {"timeout": 1.5},
    {"psk": "1234567"}, {"psk": "0" * 33}, {"psk": "01234567g"}, {"psk": 12345678},
    {"isSecure": "true"}, {"imsi": "1" * 65}, {"endUserId": "u" * 257}, {"deviceInfo": "text"},
    {"deviceInfo": {"name": "n" * 257}}, {"deviceInfo": {"model": 5}}, {"gatewayId": 5},
], ids=str)
def test_code_mode_refuses_wrong_types_and_ranges(application, members):
    expect_refusal(try_code(application, **members), INPUT_INVALID)


def test_the_bounds_themselves_are_inside(application):
    node_id = "n" * 220 + new_name()[:36].ljust(36, "x")
    response = try_code(application, nodeId=node_id, timeout=2147483647, psk="a" * 32,
                        imsi="1" * 64, deviceInfo={"name": "ü" * 256})
    assert response.status == 200, response
    assert application.query(response.json["deviceId"])["deviceInfo"]["nodeId"] == node_id


# --- secret mode


def test_secret_mode_makes_a_secret_or_echoes_the_given_one(application):
    made = try_secret(application, mqttConnect=True, timezone="Europe/Oslo")
    assert made.status == 200 and set(made.json) == {"deviceId", "secret"}, made
    assert re.fullmatch(UUID, made.json["deviceId"])
    assert re.fullmatch("[0-9a-f]{20}", made.json["secret"])
    given = try_secret(application, secret="41f0a96be7d2035cc818")
    expect_json(given, 200, {"deviceId": given.json["deviceId"], "secret": "41f0a96be7d2035cc818"})


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"deviceInfo":null}', '{"deviceInfo":{}}',
                                  '{"deviceInfo":{"nodeId":""}}', '{"nodeId":"outside"}'])
def test_secret_mode_needs_a_node_id_in_device_info(application, body):
    expect_refusal(application.post(CREDENTIALS_BY_SECRET, body), BAD_MESSAGE)


@pytest.mark.parametrize("members", [
    {"secret": 5}, {"secret": "41f0"}, {"secret": "z" * 20}, {"mqttConnect": "yes"},
    {"deviceInfo": "text"}, {"deviceInfo": {"nodeId": 5}}, {"deviceInfo": {"nodeId": "n" * 257}},
    {"timezone": "t" * 257}, {"deviceInfo": {"nodeId": "n", "name": "n" * 257}},
], ids=str)
def test_secret_mode_refuses_wrong_types_and_ranges(application, members):
    expect_refusal(try_secret(application, **members), INPUT_INVALID)


# --- what is unique


def test_a_node_id_is_unique_in_its_application_over_both_modes(application):
    node_id = new_name()
    assert try_code(application, nodeId=node_id).status == 200
    expect_refusal(try_code(application, nodeId=node_id), NODE_ID_DUPLICATE)
    expect_refusal(try_secret(application, {"nodeId": node_id}), NODE_ID_DUPLICATE)


def test_two_applications_may_have_the_same_node_id(platform, application):
    node_id, other = new_name(), platform.application()
    assert try_code(application, nodeId=node_id).status == 200
    assert try_code(other, nodeId=node_id).status == 200


def test_a_verify_code_is_unique_on_the_whole_platform(platform, application):
    code, other = new_name(), platform.application()
    assert try_code(application, verifyCode=code).status == 200
    expect_refusal(try_code(application, verifyCode=code), VERIFY_CODE)
    expect_refusal(try_code(other, verifyCode=code), VERIFY_CODE)


def test_a_refused_registration_leaves_nothing_behind(application):
    code, node_id = new_name(), new_name()
    try_code(application, verifyCode=code)
    expect_refusal(try_code(application, nodeId=node_id, verifyCode=code), VERIFY_CODE)
    assert try_code(application, nodeId=node_id).status == 200


def test_what_belongs_to_an_active_device_is_already_bound(platform, application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, by_code=True)
    gateway.report_for(child, litres=1)
    expect_refusal(try_code(application, nodeId=gateway.node_id), DEVICE_BOUND)
    expect_refusal(try_code(application, nodeId=child.node_id), DEVICE_BOUND)
    expect_refusal(try_code(platform.application(), verifyCode=child.verify_code), DEVICE_BOUND)


def test_of_many_registrations_at_once_one_wins(application):
    node_id, _ = new_name(), application.token
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: try_code(application, nodeId=node_id), range(8)))
    made = [a for a in answers if a.status == 200]
    assert len(made) == 1
    for answer in answers:
        if answer is not made[0]:
            expect_refusal(answer, NODE_ID_DUPLICATE)
    assert application.query(made[0].json["deviceId"])["deviceInfo"]["nodeId"] == node_id


def test_an_application_has_a_limited_number_of_devices(start_platform):
    platform = start_platform(device__per_application="2")
    application, other = platform.application(), platform.application()
    first = application.register_device()
    application.register_device(by_code=True)
    expect_refusal(try_code(application), DEVICE_QUOTA)
    expect_refusal(try_secret(application), DEVICE_QUOTA)
    assert try_code(other).status == 200
    first.delete()
    assert try_code(application).status == 200


# --- devices behind a gateway


@pytest.mark.parametrize("by_code", [True, False])
def test_a_child_names_its_gateway(application, by_code):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, by_code=by_code).query()
    assert (child["gatewayId"], child["nodeType"]) == (gateway.id, "ENDPOINT")
    assert child["deviceId"] != gateway.id
    direct = gateway.query()
    assert (direct["gatewayId"], direct["nodeType"]) == (gateway.id, "GATEWAY")


def test_a_gateway_must_be_a_direct_device_of_the_same_application(platform, application):
    child = application.register_device(gateway=application.register_device())
    foreign = platform.application().register_device()
    node_id = new_name()
    for gateway_id in ("nothing", child.id, foreign.id):
        expect_refusal(try_code(application, nodeId=node_id, gatewayId=gateway_id), DEVICE_UNKNOWN)
        expect_refusal(try_secret(application, {"nodeId": node_id}, gatewayId=gateway_id),
                       DEVICE_UNKNOWN)
    assert try_code(application, nodeId=node_id).status == 200


def test_a_gateway_has_a_limited_number_of_children(start_platform):
    application = start_platform(device__children_per_gateway="2").application()
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(2)]
    node_id = new_name()
    expect_refusal(try_code(application, nodeId=node_id, gatewayId=gateway.id), DEVICE_QUOTA)
    children[0].delete()
    assert try_code(application, nodeId=node_id, gatewayId=gateway.id).status == 200


# --- registrations that are not used in time


def test_a_registration_ends_when_it_is_not_activated_in_time(application):
    code, node_id = new_name(), new_name()
    device = application.register_device(node_id, by_code=True, verifyCode=code, timeout=1)
    assert device.query()["deviceId"] == device.id
    wait_until(device.is_gone, "the end of the registration")
    expect_refusal(application.get(f"{DEVICES}/{device.id}"), DEVICE_UNKNOWN)
    expect_refusal(application.get(f"{CREDENTIALS_BY_CODE}/{device.id}"), DEVICE_UNKNOWN)
    # Its names are free again, which may take a moment longer than the record.
    wait_until(lambda: try_code(application, nodeId=node_id, verifyCode=code).status == 200,
               "node id and verify code to be free")


def test_an_activated_registration_does_not_end(application):
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, by_code=True, timeout=1)
    gateway.report_for(child, litres=1)
    later = application.register_device(by_code=True, timeout=1)
    wait_until(later.is_gone, "the end of a registration made later")
    assert child.query()["deviceInfo"]["status"] == "ONLINE"


def test_a_registration_ends_also_while_the_server_is_down(start_platform, receiver):
    platform = start_platform()
    application = platform.application()
    application.subscribe("bindDevice", receiver.url("/bind"))
    device = application.register_device(by_code=True, timeout=1)
    lasting = application.register_device(by_code=True, timeout=3600)
    assert platform.stop() == 0
    wait_until_clock(time.time() + 1.1)
    platform.start()
    wait_until(device.is_gone, "the end of the registration")
    assert receiver.wait_for_one("/bind").json == {
        "notifyType": "bindDevice", "deviceId": device.id, "resultCode": "expired",
        "deviceInfo": None}
    assert lasting.query()["deviceId"] == lasting.id

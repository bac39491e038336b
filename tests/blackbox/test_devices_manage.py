"""Devices after their registration: credentials, activation, query, modification, deletion."""

import re
import time
from datetime import datetime, timezone

import pytest

from helpers.errors import (BAD_MESSAGE, DEVICE_AUTH_FAILED, DEVICE_BOUND, DEVICE_ONLINE,
                            DEVICE_PARAMETER, DEVICE_TOKEN_INVALID, DEVICE_UNKNOWN, INPUT_INVALID,
                            IS_SECURE_INVALID, NODE_ID_DUPLICATE, QUERY_PARAMETER, VERIFY_CODE,
                            expect_empty, expect_json, expect_refusal)
from helpers.nouns import CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET, DEVICES, new_name
from helpers.waiting import wait_until, wait_until_clock

INFO_MEMBERS = ["nodeId", "name", "description", "manufacturerId", "manufacturerName", "mac",
                "location", "deviceType", "model", "swVersion", "fwVersion", "hwVersion", "imsi",
                "protocolType", "radiusIp", "bridgeId", "status", "statusDetail", "mute",
                "supportedSecurity", "isSecurity", "signalStrength", "sigVersion", "serialNumber",
                "batteryLevel", "isHD"]


def device_info(**known):
    assert set(known) <= set(INFO_MEMBERS)
    return {**dict.fromkeys(INFO_MEMBERS), **known}


def parse_time(text):
    assert re.fullmatch(r"\d{8}T\d{6}Z", text)
    return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


# --- query


def test_a_new_device_is_shown_with_every_member(application):
    before = int(time.time())
    device = application.register_device(by_code=True, imsi="460011234567890", info={
        "name": "meter-17", "manufacturerId": "ACME01", "manufacturerName": "Acme",
        "deviceType": "WaterMeter", "model": "WM200", "protocolType": "CoAP"})
    shown = device.query()
    created = shown["createTime"]
    assert before <= parse_time(created) <= time.time()
    assert shown == {
        "deviceId": device.id, "gatewayId": device.id, "nodeType": "GATEWAY",
        "createTime": created, "lastModifiedTime": created,
        "deviceInfo": device_info(
            nodeId=device.node_id, name="meter-17", manufacturerId="ACME01",
            manufacturerName="Acme", deviceType="WaterMeter", model="WM200", protocolType="CoAP",
            status="OFFLINE", statusDetail="NOT_ACTIVE"),
        "services": [], "connectionInfo": {"protocolType": None}, "devGroupIds": [],
        "alarmInfo": None}


def test_a_reporting_device_is_online_and_shows_its_services(application, device):
    device.report_services([
        {"service_id": "Flow", "properties": {"litres": 1, "battery": 88},
         "event_time": "20190822T014400Z"},
        {"service_id": "Valve", "properties": {"position": 40, "text": "a\"ü\\"},
         "event_time": "2019-08-22T01:45:00.999Z"}])
    device.report({"litres": 2, "more": {"deep": [1, {}]}}, event_time="20190822T014600Z")
    shown = device.query()
    info = shown["deviceInfo"]
    assert (info["status"], info["statusDetail"]) == ("ONLINE", "NONE")
    services = {s["serviceId"]: s for s in shown["services"]}
    assert len(shown["services"]) == 2
    assert services["Valve"] == {
        "serviceId": "Valve", "serviceType": "Valve", "serviceInfo": None,
        "data": {"position": 40, "text": "a\"ü\\"}, "eventTime": "20190822T014500Z"}
    flow = services["Flow"]
    assert flow["eventTime"] == "20190822T014600Z"
    assert (flow["data"]["litres"], flow["data"]["more"]) == (2, {"deep": [1, {}]})


def test_the_imsi_is_shown_when_it_is_selected(application):
    device = application.register_device(by_code=True, imsi="460011234567890")
    assert device.query("?select=imsi")["deviceInfo"]["imsi"] == "460011234567890"
    assert device.query()["deviceInfo"]["imsi"] is None
    expect_refusal(application.get(f"{DEVICES}/{device.id}?select=secret"), QUERY_PARAMETER)


def test_the_new_set_of_status_values_is_a_setting(start_platform):
    application = start_platform(device__old_status_set="off").application()
    info = application.register_device().query()["deviceInfo"]
    assert (info["status"], info["statusDetail"]) == ("INACTIVE", "NOT_ACTIVE")


def test_a_silent_device_becomes_abnormal_and_then_offline(start_platform):
    application = start_platform(device__abnormal_after="1s", device__offline_after="2s").application()
    device = application.register_device()
    seen = []

    def look_until(status):
        info = device.query()["deviceInfo"]["status"]
        if info not in seen:
            seen.append(info)
        return info == status
    device.report({"litres": 1})
    wait_until(lambda: look_until("OFFLINE"), "OFFLINE")
    assert seen == ["ONLINE", "ABNORMAL", "OFFLINE"]
    device.report({"litres": 2})
    assert look_until("ONLINE")


@pytest.mark.parametrize("version", ["v1.4.0", "v1.1.0"])
def test_a_device_is_found_by_its_own_application_only(platform, application, device, version):
    path = f"/iocm/app/dm/{version}/devices"
    assert application.get(f"{path}/{device.id}").json == device.query()
    expect_refusal(platform.application().get(f"{path}/{device.id}"), DEVICE_UNKNOWN)
    for unknown in ("nothing", "0" * 300, "%7B%7D", "a%20b"):
        expect_refusal(application.get(f"{path}/{unknown}"), DEVICE_UNKNOWN)


# --- activation


@pytest.mark.parametrize("kind", ["deviceCredentials", "devices"])
def test_the_activation_status_becomes_true_with_the_first_access(application, kind):
    device = application.register_device(info={"name": "meter-17"})
    path = f"/iocm/app/reg/v1.1.0/{kind}/{device.id}"
    expect_json(application.get(path), 200,
                {"deviceId": device.id, "activated": False, "name": "meter-17"})
    device.login()
    expect_json(application.get(path), 200,
                {"deviceId": device.id, "activated": True, "name": "meter-17"})


def test_the_activation_status_of_a_device_without_name_or_without_record(application, device):
    expect_json(application.get(f"{CREDENTIALS_BY_CODE}/{device.id}"), 200,
                {"deviceId": device.id, "activated": False, "name": None})
    expect_refusal(application.get(f"{CREDENTIALS_BY_CODE}/nothing"), DEVICE_UNKNOWN)


# --- new credentials


def renew(device, path=CREDENTIALS_BY_CODE, **members):
    return device.app.put(f"{path}/{device.id}", members)


@pytest.mark.parametrize("path", [CREDENTIALS_BY_CODE, "/iocm/app/reg/v1.1.0/devices"])
def test_new_credentials_replace_node_id_and_verify_code(application, path):
    device = application.register_device(by_code=True)
    node_id, code = new_name(), new_name()
    expect_json(renew(device, path, nodeId=node_id, verifyCode=code, timeout=600), 200,
                {"verifyCode": code, "timeout": 600})
    assert device.query()["deviceInfo"]["nodeId"] == node_id
    # The old ones are free; the new ones are taken.
    application.register_device(device.node_id, by_code=True, verifyCode=device.verify_code)
    expect_refusal(application.try_register(CREDENTIALS_BY_CODE, nodeId=node_id), NODE_ID_DUPLICATE)
    expect_refusal(application.try_register(CREDENTIALS_BY_CODE, nodeId=new_name(), verifyCode=code),
                   VERIFY_CODE)


def test_new_credentials_may_be_left_to_the_platform(application):
    device = application.register_device(by_code=True)
    response = renew(device)
    assert response.status == 200, response
    assert response.json["timeout"] == 180
    assert response.json["verifyCode"] not in ("", device.verify_code)
    assert renew(device, nodeId="", timeout=0).json["timeout"] == 0
    assert device.query()["deviceInfo"]["nodeId"] == device.node_id


def test_new_credentials_have_to_be_used_in_time_too(application):
    device = application.register_device(by_code=True)
    assert renew(device, timeout=1).status == 200
    wait_until(device.is_gone, "the end of the registration")


def test_new_credentials_must_not_be_anothers(application):
    device = application.register_device(by_code=True)
    other = application.register_device(by_code=True)
    expect_refusal(renew(device, nodeId=other.node_id), NODE_ID_DUPLICATE)
    expect_refusal(renew(device, verifyCode=other.verify_code), VERIFY_CODE)
    active = application.register_device()
    active.login()
    expect_refusal(renew(device, nodeId=active.node_id), DEVICE_BOUND, NODE_ID_DUPLICATE)
    assert renew(device, nodeId=device.node_id, verifyCode=device.verify_code).status == 200


def test_an_online_device_keeps_its_credentials(start_platform):
    application = start_platform(device__abnormal_after="0", device__offline_after="1s").application()
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, by_code=True)
    gateway.report_for(child, litres=1)
    expect_refusal(renew(child), DEVICE_ONLINE)
    wait_until(lambda: child.query()["deviceInfo"]["status"] == "OFFLINE", "OFFLINE")
    assert renew(child, timeout=0).status == 200
    status = application.get(f"{CREDENTIALS_BY_CODE}/{child.id}").json
    assert status["activated"] is False
    shown = child.query()
    assert shown["services"][0]["data"] == {"litres": 1}  # history and settings stay


@pytest.mark.parametrize("body, refusal", [
    ("", BAD_MESSAGE), ("{", BAD_MESSAGE), ("[]", BAD_MESSAGE),
    ('{"nodeId":5}', INPUT_INVALID), ('{"verifyCode":[]}', INPUT_INVALID),
    ('{"timeout":-1}', INPUT_INVALID), ('{"timeout":"x"}', INPUT_INVALID),
    ('{"timeout":2147483648}', INPUT_INVALID), ('{"nodeId":"%s"}' % ("n" * 257), INPUT_INVALID)])
def test_new_credentials_need_a_proper_body(application, body, refusal):
    device = application.register_device(by_code=True)
    expect_refusal(application.put(f"{CREDENTIALS_BY_CODE}/{device.id}", body), refusal)


def test_new_credentials_of_a_foreign_or_unknown_device_are_refused(platform, application, device):
    other = platform.application()
    for path in (CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET):
        expect_refusal(other.put(f"{path}/{device.id}", {"nodeId": "x"}), DEVICE_UNKNOWN)
        expect_refusal(application.put(f"{path}/nothing", {"nodeId": "x"}), DEVICE_UNKNOWN)


def test_a_new_secret_ends_the_old_one_with_its_tokens(application, device):
    token = device.login()
    response = renew(device, CREDENTIALS_BY_SECRET, secret="41f0a96be7d2035cc818")
    expect_json(response, 200, {"deviceId": device.id, "secret": "41f0a96be7d2035cc818"})
    expect_refusal(device.try_report({"litres": 1}, token=token), DEVICE_TOKEN_INVALID)
    expect_refusal(device.try_login(), DEVICE_AUTH_FAILED)
    status = application.get(f"{CREDENTIALS_BY_CODE}/{device.id}").json
    assert status["activated"] is False
    device.secret = response.json["secret"]
    device.login()
    made = renew(device, CREDENTIALS_BY_SECRET)
    assert re.fullmatch("[0-9a-f]{20}", made.json["secret"])
    for secret in ("short", "z" * 20, 5):
        expect_refusal(renew(device, CREDENTIALS_BY_SECRET, secret=secret), INPUT_INVALID)


# --- modification


def test_a_modification_changes_only_what_it_names(application):
    device = application.register_device(by_code=True, imsi="1", info={"name": "old", "model": "M1"})
    before = device.query()
    wait_until_clock(parse_time(before["createTime"]) + 1)
    response = device.try_modify(
        name="meter-17b", location="Pump house 2", timezone="Europe/Oslo", mute="FALSE",
        endUser="user", organization="org", region="north", imsi="2", ip="192.0.2.1",
        isSecure=True, psk="0123456789abcdef",
        deviceConfig={"dataConfig": {"dataAgingTime": 90}},
        customFields=[{"fieldName": "a", "fieldType": "b", "fieldValue": "c"}],
        tags=[{"tagName": "zone", "tagValue": "north", "tagType": 2}], unknown=1)
    expect_empty(response, 204)
    after = device.query("?select=imsi")
    assert parse_time(after["lastModifiedTime"]) > parse_time(before["lastModifiedTime"])
    expected = {**before, "lastModifiedTime": after["lastModifiedTime"], "deviceInfo": {
        **before["deviceInfo"], "name": "meter-17b", "location": "Pump house 2", "mute": "FALSE",
        "imsi": "2", "isSecurity": "TRUE"}}
    assert after == expected


@pytest.mark.parametrize("version", ["v1.4.0", "v1.2.0", "v1.1.0"])
def test_a_device_is_modified_through_every_version(application, device, version):
    response = application.put(f"/iocm/app/dm/{version}/devices/{device.id}", {
        "name": version, "endUserId": "user", "mute": "FALSE", "manufacturerId": "ACME01",
        "manufacturerName": "Acme", "location": "hall", "deviceType": "WaterMeter",
        "protocolType": "MQTT", "model": "WM200"})
    expect_empty(response, 204)
    info = device.query()["deviceInfo"]
    assert (info["name"], info["manufacturerId"], info["protocolType"]) == (version, "ACME01", "MQTT")


@pytest.mark.parametrize("members", [
    {"name": "n" * 257}, {"name": 5}, {"name": ""}, {"location": "l" * 1025}, {"imsi": "1" * 65},
    {"ip": "1" * 129}, {"mute": "MAYBE"}, {"mute": True}, {"psk": "1234567"}, {"psk": "g" * 8},
    {"deviceConfig": {"dataConfig": {"dataAgingTime": 91}}}, {"deviceConfig": 5},
    {"deviceConfig": {"dataConfig": {"dataAgingTime": -1}}}, {"tags": "zone"},
    {"tags": [{"tagValue": "without name"}]}, {"tags": [{"tagName": "without value"}]},
    {"tags": [{"tagName": "n" * 129, "tagValue": "b"}]}, {"tags": [{"tagName": "a", "tagValue": "v" * 1025}]},
    {"tags": [{"tagName": "a", "tagValue": "b", "tagType": "text"}]}, {"customFields": {}},
], ids=str)
def test_a_modification_refuses_wrong_values(device, members):
    expect_refusal(device.try_modify(**members), DEVICE_PARAMETER, INPUT_INVALID)


@pytest.mark.parametrize("value", ["TRUE", 1, "yes", []])
def test_is_secure_has_an_error_of_its_own(device, value):
    expect_refusal(device.try_modify(isSecure=value), IS_SECURE_INVALID)


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"'])
def test_a_modification_needs_an_object(application, device, body):
    expect_refusal(application.put(f"{DEVICES}/{device.id}", body), INPUT_INVALID)


def test_a_foreign_or_unknown_device_is_not_modified(platform, application, device):
    expect_refusal(platform.application().put(f"{DEVICES}/{device.id}", {"name": "x"}),
                   DEVICE_UNKNOWN)
    expect_refusal(application.put(f"{DEVICES}/nothing", {"name": "x"}), DEVICE_UNKNOWN)
    assert device.query()["deviceInfo"]["name"] is None


def test_a_frozen_device_is_refused_until_it_is_released(device):
    token = device.login()
    device.report({"litres": 1})
    device.modify(mute="TRUE")
    assert device.query()["deviceInfo"]["mute"] == "TRUE"
    expect_refusal(device.try_report({"litres": 2}, token=token), DEVICE_TOKEN_INVALID)
    expect_refusal(device.try_message("x", token=token), DEVICE_TOKEN_INVALID)
    expect_refusal(device.try_login(), DEVICE_AUTH_FAILED)
    assert device.query()["services"][0]["data"] == {"litres": 1}
    device.modify(mute="FALSE")
    device.login()
    device.report({"litres": 3})


# --- deletion


@pytest.mark.parametrize("version", ["v1.4.0", "v1.1.0"])
def test_a_deleted_device_is_gone_with_its_token_and_its_names(application, version):
    code = new_name()
    device = application.register_device()
    coded = application.register_device(by_code=True, verifyCode=code)
    token = device.login()
    for one in (device, coded):
        path = f"/iocm/app/dm/{version}/devices/{one.id}"
        expect_empty(application.delete(path, headers={"Content-Type": "application/json"}), 204)
        expect_refusal(application.delete(path), DEVICE_UNKNOWN)
        expect_refusal(application.get(path), DEVICE_UNKNOWN)
    expect_refusal(device.try_report({"litres": 1}, token=token), DEVICE_TOKEN_INVALID)
    expect_refusal(device.try_login(), DEVICE_AUTH_FAILED)
    application.register_device(device.node_id)
    application.register_device(coded.node_id, by_code=True, verifyCode=code)


def test_a_foreign_device_is_not_deleted(platform, device):
    expect_refusal(platform.application().delete(f"{DEVICES}/{device.id}"), DEVICE_UNKNOWN)
    assert device.query()["deviceId"] == device.id


@pytest.mark.parametrize("query", ["", "?cascade=true", "?cascade=TRUE"])
def test_children_are_deleted_with_their_gateway(application, query):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(3)]
    gateway.delete(query)
    assert all(one.is_gone() for one in [gateway, *children])
    application.register_device(children[0].node_id)


def test_without_cascade_children_become_directly_connected(application):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(3)]
    gateway.delete("?cascade=false")
    assert gateway.is_gone()
    for child in children:
        shown = child.query()
        assert (shown["gatewayId"], shown["nodeType"]) == (child.id, "GATEWAY")
        child.report({"litres": 1})


def test_a_child_is_deleted_alone(application):
    gateway = application.register_device()
    first, second = (application.register_device(gateway=gateway) for _ in range(2))
    first.delete()
    assert gateway.query() and second.query()

"""Services of a device: the commands that an application mutes, and the position that one reports."""

import json
import re

import pytest

from helpers.errors import (APP_NOT_AUTHORIZED, APP_UNKNOWN, DEVICE_PARAMETER, DEVICE_UNKNOWN, INPUT_INVALID,
                            expect_empty, expect_json, expect_refusal)
from helpers.models import METER_INFO, upload
from helpers.nouns import DEVICES

LOCATION = "/iocm/app/location/v1.1.0/queryDeviceRealtimeLocation"


def info_path(device, service="Valve"):
    return f"/iocm/app/dm/v1.1.0/devices/{device.id}/services/{service}"


def mute(device, *commands, service="Valve"):
    return device.app.put(info_path(device, service), {"serviceInfo": {"muteCmds": list(commands)}})


def services_of(device):
    return {s["serviceId"]: s for s in device.query()["services"]}


# --- muted commands


def test_muted_commands_are_shown_and_told(application, receiver):
    gateway = application.register_device()
    device = application.register_device(gateway=gateway)
    application.subscribe("serviceInfoChanged", receiver.url("/info"))
    expect_empty(mute(device, "SET_VALVE", "Öffnen"), 200)
    assert receiver.wait_for_one("/info").text == (
        '{"notifyType":"serviceInfoChanged","deviceId":"%s","gatewayId":"%s","serviceId":"Valve",'
        '"serviceType":"Valve","serviceInfo":{"muteCmds":["SET_VALVE","Öffnen"]}}' % (device.id, gateway.id))
    assert services_of(device) == {"Valve": {
        "serviceId": "Valve", "serviceType": "Valve", "serviceInfo": {"muteCmds": ["SET_VALVE", "Öffnen"]},
        "data": {}, "eventTime": None}}
    gateway.report_for(device, service="Valve", position=40)
    shown = services_of(device)["Valve"]
    assert (shown["serviceInfo"], shown["data"]) == ({"muteCmds": ["SET_VALVE", "Öffnen"]}, {"position": 40})
    assert re.fullmatch(r"\d{8}T\d{6}Z", shown["eventTime"])


def test_only_a_change_of_muted_commands_is_told(application, receiver, device):
    application.subscribe("serviceInfoChanged", receiver.url("/info"))
    for commands in (["A"], ["A"], ["A", "B"], [], []):
        expect_empty(mute(device, *commands), 200)
    expect_empty(mute(device, "A", service="Pump"), 200)
    told = [(r.json["serviceId"], r.json["serviceInfo"]["muteCmds"]) for r in receiver.wait_for(4, "/info")]
    assert told == [("Valve", ["A"]), ("Valve", ["A", "B"]), ("Valve", []), ("Pump", ["A"])]
    assert {k: s["serviceInfo"] for k, s in services_of(device).items()} == {
        "Valve": {"muteCmds": []}, "Pump": {"muteCmds": ["A"]}}


def test_the_type_of_a_service_is_that_of_its_model(application, receiver):
    upload(application)
    device = application.register_device(info=METER_INFO)
    application.subscribe("serviceInfoChanged", receiver.url("/info"))
    for service in ("Bypass", "Other"):
        expect_empty(mute(device, "A", service=service), 200)
    told = [(r.json["serviceId"], r.json["serviceType"]) for r in receiver.wait_for(2, "/info")]
    assert told == [("Bypass", "Valve"), ("Other", "Other")]


def test_the_body_may_leave_out_its_outer_object(application, device):
    expect_empty(application.put(info_path(device), {"muteCmds": ["A"], "more": 1}), 200)
    assert services_of(device)["Valve"]["serviceInfo"] == {"muteCmds": ["A"]}


@pytest.mark.parametrize("body, refusal", [
    ("", INPUT_INVALID), ("{", INPUT_INVALID), ("[]", INPUT_INVALID), ("{}", INPUT_INVALID),
    ('{"serviceInfo":null}', INPUT_INVALID), ('{"serviceInfo":{}}', INPUT_INVALID),
    ('{"serviceInfo":"x"}', INPUT_INVALID),
    ('{"muteCmds":null}', DEVICE_PARAMETER), ('{"muteCmds":"A"}', DEVICE_PARAMETER),
    ('{"muteCmds":[5]}', DEVICE_PARAMETER), ('{"muteCmds":[""]}', DEVICE_PARAMETER),
    ('{"muteCmds":["%s"]}' % ("c" * 257), DEVICE_PARAMETER),
    (json.dumps({"muteCmds": ["c"] * 101}), DEVICE_PARAMETER)])
def test_wrong_muted_commands_are_refused(application, device, body, refusal):
    expect_refusal(application.put(info_path(device), body), refusal)
    assert services_of(device) == {}


def test_a_service_that_cannot_be_is_refused(application, device):
    for service in ("s" * 257, "a%2Fb", "a%0Ab"):
        expect_refusal(mute(device, "A", service=service), DEVICE_PARAMETER)
    expect_empty(mute(device, "c" * 256, service="s" * 256), 200)
    assert list(services_of(device)) == ["s" * 256]


def test_the_limits_of_service_information_are_settings(start_platform):
    application = start_platform(device__muted_commands="2", device__shadow_properties="3").application()
    device = application.register_device()
    expect_refusal(mute(device, "A", "B", "C"), DEVICE_PARAMETER)
    for service in ("One", "Two", "Three"):
        expect_empty(mute(device, "A", "B", service=service), 200)
    expect_refusal(mute(device, "A", service="Four"), INPUT_INVALID)
    expect_empty(mute(device, "B", service="Three"), 200)


def test_a_foreign_or_unknown_devices_service_is_not_set(platform, application, device):
    other = platform.application()
    body = {"muteCmds": ["A"]}
    expect_refusal(other.put(info_path(device), body), DEVICE_UNKNOWN)
    for unknown in ("nothing", "a%20b", "x" * 300):
        path = f"/iocm/app/dm/v1.1.0/devices/{unknown}/services/V"
        expect_refusal(application.put(path, body), DEVICE_UNKNOWN)
    expect_refusal(application.put(f"{info_path(device)}?appId={other.id}", body), APP_NOT_AUTHORIZED)
    expect_refusal(application.put(f"{info_path(device)}?appId=nothing", body), APP_UNKNOWN)
    assert services_of(device) == {}


# --- position


def locate(device, **more):
    return device.app.post(LOCATION, {"deviceId": device.id, **more})


@pytest.mark.parametrize("reported, shown", [
    ({"latitude": 59.91, "longitude": 10.75, "radius": 12.5}, (59.91, 10.75, 12.5)),
    ({"latitude": "59.91", "longitude": "-10.75"}, (59.91, -10.75, None)),
    ({"latitude": -90, "longitude": 180, "radius": "far", "speed": 3}, (-90, 180, None)),
])
def test_a_device_is_where_it_last_reported_to_be(device, reported, shown):
    device.report({"latitude": 1, "longitude": 2}, service="Location")
    device.report({"latitude": 1}, service="Other")
    device.report(reported, service="Location", event_time="20190822T014400Z")
    expect_json(locate(device, horAcc=1000, geoInfo={"identifier": "x"}), 200, {
        "deviceId": device.id, "pd": {"time": "20190822T014400Z", "utcOff": "+0000", "srsName": "EPSG:4326",
                                      "X": shown[0], "Y": shown[1], "radius": shown[2]}, "poserr": None})


@pytest.mark.parametrize("reported", [
    None, {"latitude": 59.91}, {"latitude": 91, "longitude": 0}, {"latitude": 0, "longitude": -180.001},
    {"latitude": "north", "longitude": 0}, {"latitude": None, "longitude": 0},
    {"latitude": True, "longitude": 0},
    {"latitude": "", "longitude": 0}, {"latitude": [1], "longitude": 0}, {"Latitude": 1, "Longitude": 2},
])
def test_a_device_without_a_position_says_so(device, reported):
    if reported:
        device.report(reported, service="Location")
    answer = locate(device)
    assert answer.status == 200 and "error_code" not in answer.json, answer
    assert (answer.json["deviceId"], answer.json["pd"]) == (device.id, None)
    error = answer.json["poserr"]
    assert re.fullmatch(r"\d{8}T\d{6}Z", error["time"])
    assert (error["resid"], error["add_info"]) == ("6", "The device has not reported a position.")


def test_the_service_of_the_position_is_a_setting(start_platform):
    application = start_platform(device__location_service="Gps").application()
    device = application.register_device()
    device.report({"latitude": 1, "longitude": 2}, service="Location")
    assert locate(device).json["pd"] is None
    device.report({"latitude": 3, "longitude": 4}, service="Gps")
    assert locate(device).json["pd"]["X"] == 3


@pytest.mark.parametrize("body", [
    "", "{", "[]", "{}", '{"deviceId":null}', '{"deviceId":""}', '{"deviceId":5}',
    '{"deviceId":"d","horAcc":-1}', '{"deviceId":"d","horAcc":"1"}', '{"deviceId":"d","horAcc":2147483648}',
    '{"deviceId":"d","geoInfo":"x"}', '{"deviceId":"d","geoInfo":{"identifier":5}}',
    '{"deviceId":"%s"}' % ("d" * 257)])
def test_a_wrong_question_for_a_position_is_refused(application, body):
    expect_refusal(application.post(LOCATION, body), INPUT_INVALID)


def test_a_foreign_or_unknown_device_has_no_position(platform, application, device):
    other = platform.application()
    expect_refusal(other.post(LOCATION, {"deviceId": device.id}), DEVICE_UNKNOWN)
    expect_refusal(application.post(LOCATION, {"deviceId": "nothing"}), DEVICE_UNKNOWN)
    body = {"deviceId": device.id}
    expect_refusal(application.post(f"{LOCATION}?appId={other.id}", body), APP_NOT_AUTHORIZED)
    expect_refusal(application.post(f"{LOCATION}?appId=nothing", body), APP_UNKNOWN)
    assert application.get(f"{DEVICES}/{device.id}").status == 200

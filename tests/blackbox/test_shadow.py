"""Device shadows: desired values written and shown, and the history of what was written."""

import json
import time

import pytest

from helpers import models
from helpers.errors import (APP_NOT_AUTHORIZED, APP_UNKNOWN, APPLICATION_INPUT, DATA_UNKNOWN,
                            DEVICE_OR_GATEWAY, DEVICE_UNKNOWN, INPUT_INVALID, INTERNAL,
                            NO_CAPABILITY, NO_PROPERTIES, PROPERTY_READ_ONLY, PROPERTY_UNKNOWN,
                            SERVICE_UNKNOWN, TOKEN_INVALID, expect_empty, expect_refusal)
from helpers.waiting import wait_until
from test_history import ask, history

SHADOWS = "/iocm/app/shadow/v1.5.0/devices"
DESIRED_HISTORY = "/iocm/app/shadow/v1.5.0/deviceDesiredHistory"


def wish(**services):
    return {"serviceDesireds": [{"serviceId": service, "desired": desired}
                                for service, desired in services.items()]}


def try_write(device, body, query="", application=None):
    return (application or device.app).put(f"{SHADOWS}/{device.id}{query}", body)


def write(device, **services):
    expect_empty(try_write(device, wish(**services)), 200)


def shadow(device):
    response = device.app.get(f"{SHADOWS}/{device.id}")
    assert response.status == 200, response
    return response.json


def desired(device):
    return {s["serviceId"]: s["desiredProps"] for s in shadow(device)["services"]}


def written(device, **query):
    query = {"deviceId": device.id, "gatewayId": device.gateway_id, "pageSize": 250, **query}
    return history(device.app, DESIRED_HISTORY, **query)["deviceDesiredHistory"]


@pytest.fixture
def meter(application):
    """A device with a model: Flow may be read, Valve and Bypass be written too."""
    models.upload(application)
    return application.register_device(info=models.METER_INFO)


# --- writing and showing


def test_a_shadow_is_the_device_with_what_is_reported_and_what_is_desired(application, meter):
    write(meter, Valve={"position": 75})
    meter.report_services([
        {"service_id": "Valve", "properties": {"position": 40, "label": "ü"},
         "event_time": "20190822T014400Z"},
        {"service_id": "Flow", "properties": {"litres": 5}, "event_time": "20190822T014500Z"}])
    write(meter, Valve={"label": "x"}, Bypass={"position": 0})
    shown, device = shadow(meter), meter.query()
    services = {s["serviceId"]: s for s in shown.pop("services")}
    device.pop("services")
    assert shown == device
    assert services == {
        "Valve": {"serviceId": "Valve", "serviceType": "Valve",
                  "reportedProps": {"position": 40, "label": "ü"},
                  "desiredProps": {"position": 75, "label": "x"}, "eventTime": "20190822T014400Z"},
        "Flow": {"serviceId": "Flow", "serviceType": "Flow", "reportedProps": {"litres": 5},
                 "desiredProps": {}, "eventTime": "20190822T014500Z"},
        "Bypass": {"serviceId": "Bypass", "serviceType": "Valve", "reportedProps": {},
                   "desiredProps": {"position": 0}, "eventTime": None}}


def test_the_shadow_of_a_new_device_is_empty(device):
    assert shadow(device)["services"] == []


def test_the_reported_values_of_the_device_are_not_touched(meter):
    meter.report({"position": 40}, service="Valve")
    write(meter, Valve={"position": 75})
    assert meter.query()["services"][0]["data"] == {"position": 40}


def test_a_second_write_replaces_property_by_property(meter):
    write(meter, Valve={"position": 75, "label": "a"})
    write(meter, Valve={"position": 80})
    assert desired(meter) == {"Valve": {"position": 80, "label": "a"}}


def test_null_removes_a_desired_value(meter):
    write(meter, Valve={"position": 75, "label": "a"}, Bypass={"position": 1})
    write(meter, Valve={"position": None})
    assert desired(meter) == {"Valve": {"label": "a"}, "Bypass": {"position": 1}}
    write(meter, Valve={"label": None}, Bypass={"position": None})
    assert desired(meter) == {}


def test_of_two_wishes_for_one_service_the_last_counts(meter):
    body = {"serviceDesireds": [{"serviceId": "Valve", "desired": {"position": 1, "label": "a"}},
                                {"serviceId": "Valve", "desired": {"position": 2}}]}
    expect_empty(try_write(meter, body), 200)
    assert desired(meter) == {"Valve": {"position": 2, "label": "a"}}


def test_the_application_may_be_named(application, meter):
    expect_empty(try_write(meter, wish(Valve={"position": 75}), f"?appId={application.id}"), 200)
    assert application.get(f"{SHADOWS}/{meter.id}?appId={application.id}").status == 200


def test_a_device_behind_a_gateway_has_a_shadow(application, meter):
    child = application.register_device(gateway=meter, info=models.METER_INFO)
    write(child, Valve={"position": 75})
    assert shadow(child)["gatewayId"] == meter.id
    assert desired(child) == {"Valve": {"position": 75}}
    assert desired(meter) == {}


# --- refusals


@pytest.mark.parametrize("body", [
    "", "{", "[]", {}, {"serviceDesireds": None}, {"serviceDesireds": {}}, {"serviceDesireds": []},
    {"serviceDesireds": [1]}, {"serviceDesireds": [{}]},
    {"serviceDesireds": [{"serviceId": "Valve"}]},
    {"serviceDesireds": [{"desired": {"position": 1}}]},
    {"serviceDesireds": [{"serviceId": "", "desired": {"position": 1}}]},
    {"serviceDesireds": [{"serviceId": "x" * 257, "desired": {"position": 1}}]},
    {"serviceDesireds": [{"serviceId": 5, "desired": {"position": 1}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": [1]}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {"a.b": 1}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {"$b": 1}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {"": 1}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {"a\nb": 1}}]},
    {"serviceDesireds": [{"serviceId": "Valve", "desired": {"position": 1}}] * 1001}])
def test_a_malformed_wish_is_refused(meter, body):
    response = try_write(meter, body if isinstance(body, str) else json.dumps(body))
    expect_refusal(response, INPUT_INVALID)
    assert desired(meter) == {}


@pytest.mark.parametrize("services, refusal", [
    ({"Pump": {"position": 1}}, SERVICE_UNKNOWN),
    ({"Valve/x": {"position": 1}}, SERVICE_UNKNOWN),
    ({"Valve": {"pressure": 1}}, PROPERTY_UNKNOWN),
    ({"Valve": {"pressure": None}}, PROPERTY_UNKNOWN),
    ({"Valve": {"position": "1"}}, PROPERTY_UNKNOWN),
    ({"Valve": {"position": 101}}, PROPERTY_UNKNOWN),
    ({"Valve": {"position": -1}}, PROPERTY_UNKNOWN),
    ({"Valve": {"label": "x" * 33}}, PROPERTY_UNKNOWN),
    ({"Flow": {"litres": 1}}, PROPERTY_READ_ONLY),
    ({"Flow": {"litres": None}}, PROPERTY_READ_ONLY)])
def test_a_wish_that_the_model_does_not_allow_changes_nothing(meter, services, refusal):
    write(meter, Valve={"position": 10})
    expect_refusal(try_write(meter, wish(Bypass={"position": 5}, **services)), refusal)
    assert desired(meter) == {"Valve": {"position": 10}}
    assert len(written(meter)) == 1


def test_a_service_without_properties_takes_no_wish(application):
    models.upload(application, models.package(services={
        "Flow": models.service("Flow"), "Valve": models.VALVE}))
    device = application.register_device(info=models.METER_INFO)
    expect_refusal(try_write(device, wish(Flow={"litres": 1})), NO_PROPERTIES)


def test_a_device_without_a_model_takes_no_wish(device):
    expect_refusal(try_write(device, wish(Valve={"position": 1})), NO_CAPABILITY)
    assert desired(device) == {}


def test_a_device_without_a_model_takes_any_wish_when_that_is_wanted(start_platform):
    application = start_platform(shadow__needs_model="off").application()
    device = application.register_device()
    write(device, Any={"thing": {"deep": [1, None]}})
    assert desired(device) == {"Any": {"thing": {"deep": [1, None]}}}
    expect_refusal(try_write(device, wish(**{"a/b": {"x": 1}})), SERVICE_UNKNOWN)
    models.upload(application)
    meter = application.register_device(info=models.METER_INFO)
    expect_refusal(try_write(meter, wish(Any={"thing": 1})), SERVICE_UNKNOWN)


def test_wishes_may_be_for_lwm2m_devices_only(start_platform):
    application = start_platform(shadow__lwm2m_only="on").application()
    models.upload(application, models.package(protocolType="LWM2M"))
    info = {**models.METER_INFO, "protocolType": "LWM2M"}
    write(application.register_device(info=info), Valve={"position": 1})
    models.upload(application, models.package(model="WM300"))
    other = application.register_device(info={**models.METER_INFO, "model": "WM300"})
    expect_refusal(try_write(other, wish(Valve={"position": 1})), NO_CAPABILITY)


def test_a_device_that_is_not_there_has_no_shadow(platform, application, meter):
    body = wish(Valve={"position": 1})
    expect_refusal(application.put(f"{SHADOWS}/nobody", body), DEVICE_UNKNOWN)
    expect_refusal(application.get(f"{SHADOWS}/nobody"), DATA_UNKNOWN)
    stranger = platform.application()
    expect_refusal(try_write(meter, body, application=stranger), DEVICE_UNKNOWN)
    expect_refusal(stranger.get(f"{SHADOWS}/{meter.id}"), DATA_UNKNOWN)
    assert desired(meter) == {}


def test_another_application_cannot_be_named(platform, application, meter):
    other = platform.application()
    for app_id, refusal in ((other.id, APP_NOT_AUTHORIZED), ("nobody", APP_UNKNOWN)):
        query = f"?appId={app_id}"
        expect_refusal(try_write(meter, wish(Valve={"position": 1}), query), refusal)
        expect_refusal(application.get(f"{SHADOWS}/{meter.id}{query}"), refusal)
        expect_refusal(ask(application, DESIRED_HISTORY, deviceId=meter.id, appId=app_id), refusal)


def test_a_token_is_needed(application, meter):
    for method, path, body in (("GET", f"{SHADOWS}/{meter.id}", None),
                               ("PUT", f"{SHADOWS}/{meter.id}", wish(Valve={"position": 1})),
                               ("GET", DESIRED_HISTORY, None)):
        expect_refusal(application.platform.api(method, path, body, {
            "app_key": application.id, "Authorization": "Bearer wrong"}), TOKEN_INVALID)


def test_a_device_has_a_limited_number_of_desired_values(start_platform):
    application = start_platform(shadow__needs_model="off",
                                 shadow__desired_properties="2").application()
    device = application.register_device()
    write(device, A={"x": 1, "y": 2})
    expect_refusal(try_write(device, wish(A={"x": 5}, B={"x": 1})), INPUT_INVALID)
    assert desired(device) == {"A": {"x": 1, "y": 2}}
    write(device, A={"x": None}, B={"x": 1})
    assert desired(device) == {"A": {"y": 2}, "B": {"x": 1}}


def test_desired_values_have_a_limited_size(start_platform):
    application = start_platform(shadow__needs_model="off",
                                 shadow__desired_bytes="1k").application()
    device = application.register_device()
    expect_refusal(try_write(device, wish(A={"x": "y" * 1100})), INPUT_INVALID)
    write(device, A={"x": "y" * 900})


def test_without_redis_the_shadow_is_an_internal_error(start_redis, start_platform):
    redis = start_redis()
    application = start_platform(redis=redis, redis__command_timeout="300ms",
                                 shadow__needs_model="off").application()
    device = application.register_device()
    write(device, Valve={"position": 1})
    redis.freeze()
    try:
        expect_refusal(application.get(f"{SHADOWS}/{device.id}"), INTERNAL)
        expect_refusal(try_write(device, wish(Valve={"position": 2})), INTERNAL)
        expect_refusal(ask(application, DESIRED_HISTORY, deviceId=device.id), INTERNAL)
    finally:
        redis.thaw()


# --- the history of writes


def test_each_write_is_in_the_history_newest_first(application, meter):
    write(meter, Valve={"position": 1})
    write(meter, Valve={"position": None, "label": "x"}, Bypass={"position": 2})
    response = ask(application, DESIRED_HISTORY, deviceId=meter.id, gatewayId=meter.id)
    found = response.json["deviceDesiredHistory"]
    common = {"deviceId": meter.id, "gatewayId": meter.id, "appId": application.id}
    assert found == [
        {**common, "serviceId": "Bypass", "desired": {"position": 2},
         "timestamp": found[0]["timestamp"]},
        {**common, "serviceId": "Valve", "desired": {"position": None, "label": "x"},
         "timestamp": found[0]["timestamp"]},
        {**common, "serviceId": "Valve", "desired": {"position": 1},
         "timestamp": found[2]["timestamp"]}]
    assert {k: v for k, v in response.json.items() if k != "deviceDesiredHistory"} == {
        "totalCount": 3, "pageNo": 0, "pageSize": 25}


def test_the_history_of_writes_is_paged_and_filtered(meter):
    for position in range(5):
        write(meter, Valve={"position": position})
    write(meter, Valve={"label": "x"}, Bypass={"position": 9})

    def positions(**query):
        return [r["desired"].get("position") for r in written(meter, **query)]
    assert positions(serviceId="Valve") == [None, 4, 3, 2, 1, 0]
    assert positions(property="position") == [9, 4, 3, 2, 1, 0]
    assert positions(property="position", pageNo=1, pageSize=2) == [3, 2]
    assert positions(property="position", pageNo=9, pageSize=2) == []
    assert positions(startTime="21000101T000000Z") == []
    assert positions(endTime="20000101T000000Z") == []
    newest = written(meter)[0]["timestamp"]
    assert positions(startTime=newest)[0] == 9
    assert len(positions(endTime=newest)) == 7


@pytest.mark.parametrize("wrong", [
    {"pageSize": 251}, {"pageSize": 0}, {"pageSize": "x"}, {"pageNo": -1}, {"startTime": "now"},
    {"endTime": "now"}, {"serviceId": "x" * 257}, {"property": "x" * 257},
    {"startTime": "20190822T014402Z", "endTime": "20190822T014401Z"}])
def test_a_wrong_parameter_of_the_history_is_refused(application, device, wrong):
    expect_refusal(ask(application, DESIRED_HISTORY, deviceId=device.id, **wrong),
                   APPLICATION_INPUT)


def test_the_history_of_writes_needs_a_device_or_a_gateway(application):
    expect_refusal(ask(application, DESIRED_HISTORY), DEVICE_OR_GATEWAY)


def test_a_device_that_is_not_there_has_an_empty_history_of_writes(application):
    assert history(application, DESIRED_HISTORY, deviceId="nobody") == {
        "totalCount": 0, "pageNo": 0, "pageSize": 25, "deviceDesiredHistory": []}


def test_a_gateway_alone_asks_for_the_writes_of_all_its_devices(application, meter):
    child = application.register_device(gateway=meter, info=models.METER_INFO)
    write(meter, Valve={"position": 1})
    write(child, Valve={"position": 2})
    found = history(application, DESIRED_HISTORY, gatewayId=meter.id)["deviceDesiredHistory"]
    assert {r["deviceId"]: r["desired"] for r in found} == {
        meter.id: {"position": 1}, child.id: {"position": 2}}


def test_no_history_of_writes_is_kept_when_none_is_wanted(start_platform):
    application = start_platform(shadow__needs_model="off", shadow__history_entries="0").application()
    device = application.register_device()
    write(device, Valve={"position": 1})
    assert written(device) == []


# --- life


def test_desired_values_survive_a_restart(start_platform):
    platform = start_platform(shadow__needs_model="off")
    device = platform.application().register_device()
    write(device, Valve={"position": 1})
    platform.kill()
    platform.start()
    assert desired(device) == {"Valve": {"position": 1}}


def test_a_deleted_device_takes_its_shadow_along(start_redis, start_platform):
    redis = start_redis()
    application = start_platform(redis=redis, shadow__needs_model="off").application()
    device = application.register_device()
    write(device, Valve={"position": 1})
    device.report({"position": 2}, service="Valve")
    client = redis.client()
    assert sum(len(client("KEYS", f"*:{kind}:{device.id}")) for kind in ("ds", "dh", "sh")) == 3
    device.delete()
    assert client("KEYS", f"*:{device.id}") == []


def test_reports_go_on_whatever_is_desired(meter):
    write(meter, Valve={"position": 75})
    meter.report({"position": 40}, service="Valve")
    meter.report({"position": 75}, service="Valve")
    meter.report({"position": 41}, service="Valve")
    assert meter.query()["services"][0]["data"] == {"position": 41}
    assert desired(meter) == {"Valve": {"position": 75}}


# --- notifications


def test_the_status_of_a_delivery_is_pushed(start_redis, start_platform, receiver):
    """No transport is here to deliver: the event is one that a device's answer would make."""
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    device = application.register_device()
    application.subscribe("deviceDesiredPropertiesModifyStatusChanged", receiver.url("/desired"))
    stream = wait_until(lambda: redis.client()("KEYS", f"*:d:{device.id}"))[0].decode()
    stream = stream.split(":")[0] + ":q"
    payload = json.dumps({"service": "Valve", "properties": {"position": 75}, "status": "DELIVERED"},
                         separators=(",", ":"))
    redis.client()("XADD", stream, "*", "e",
                   f"1 desired.status {application.id} {device.id} {device.id} {int(time.time() * 1000)} {payload}")
    received = receiver.wait_for_one("/desired")
    assert received.text == json.dumps(
        {"notifyType": "deviceDesiredPropertiesModifyStatusChanged", "deviceId": device.id,
         "serviceId": "Valve", "properties": {"position": 75}, "status": "DELIVERED"},
        separators=(",", ":"))


# --- administration


def test_the_administrator_sees_a_shadow(platform, meter):
    meter.report_services([{"service_id": "Valve", "properties": {"position": 40},
                            "event_time": "20190822T014400Z"}])
    write(meter, Valve={"position": 75, "label": "x"}, Bypass={"position": 1})
    response = platform.admin("GET", f"/admin/v1/devices/{meter.id}/shadow")
    assert response.status == 200, response
    shown = response.json
    times = {s.pop("desireTime") for s in shown["services"]}
    assert len(times) == 1
    assert shown == {"deviceId": meter.id, "appId": meter.app.id, "status": "ONLINE", "services": [
        {"serviceId": "Valve", "serviceType": "Valve", "reported": {"position": 40},
         "reportTime": "20190822T014400Z", "desired": {"position": 75, "label": "x"},
         "version": 1, "sent": {}},
        {"serviceId": "Bypass", "serviceType": "Valve", "reported": {}, "reportTime": None,
         "desired": {"position": 1}, "version": 1, "sent": {}}]}
    response = platform.admin("GET", "/admin/v1/devices/nobody/shadow")
    assert (response.status, response.json["error_code"]) == (404, "not_found")


def test_iotpushctl_shows_a_row_for_each_property(platform, meter):
    assert platform.ctl("device", "shadow", meter.id).stdout == (
        "Nothing was reported, and nothing is desired.\n")
    meter.report({"position": 40}, service="Valve")
    write(meter, Valve={"position": 75, "label": "x"})
    done = platform.ctl("device", "shadow", meter.id)
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["SERVICE", "PROPERTY", "REPORTED", "DESIRED", "SENT", "(UTC)"],
        ["Valve", "position", "40", "75", "-"], ["Valve", "label", "-", '"x"', "-"]]
    assert json.loads(platform.ctl("--json", "device", "shadow", meter.id).stdout)[
        "deviceId"] == meter.id
    refused = platform.ctl("device", "shadow", "nobody")
    assert (refused.returncode, "no such device" in refused.stderr) == (1, True)


def test_a_service_that_was_only_set_up_is_not_in_the_shadow(application, meter):
    response = application.put(f"/iocm/app/dm/v1.1.0/devices/{meter.id}/services/Valve",
                               {"muteCmds": ["SET_VALVE"]})
    assert response.status in (200, 204), response
    assert len(meter.query()["services"]) == 1
    assert shadow(meter)["services"] == []


def test_a_report_that_its_model_cleans_out_leaves_the_wishes(meter):
    write(meter, Valve={"position": 75})
    meter.report({"unknown": 1}, service="Valve")
    assert desired(meter) == {"Valve": {"position": 75}}

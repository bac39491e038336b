"""
What a callback receives: the bodies compared as raw text, since receivers exist that search it, and
the headers.
"""

import json
import re
import time

import pytest

from helpers.nouns import CREDENTIALS_BY_CODE, CREDENTIALS_BY_SECRET, new_name
from helpers.waiting import wait_until

DEVICE_INFO = [
    "nodeId", "name", "description", "manufacturerId", "manufacturerName", "mac", "location",
    "deviceType", "model", "swVersion", "fwVersion", "hwVersion", "protocolType", "bridgeId",
    "status", "statusDetail", "mute", "supportedSecurity", "isSecurity", "signalStrength",
    "sigVersion", "serialNumber", "batteryLevel", "isHD"]


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def device_info(**known):
    assert set(known) <= set(DEVICE_INFO)
    return {name: known.get(name) for name in DEVICE_INFO}


def info_changed(device, **changed):
    return compact({"notifyType": "deviceInfoChanged", "deviceId": device.id,
                    "gatewayId": device.gateway_id, "networkStatus": None,
                    "deviceInfo": device_info(**changed)})


def texts(requests):
    return [r.text for r in requests]


# --- registration


def test_device_added_shows_a_device_that_was_never_connected(application, receiver):
    application.subscribe("deviceAdded", receiver.url("/added"))
    device = application.register_device()
    assert receiver.wait_for_one("/added").text == compact({
        "notifyType": "deviceAdded", "deviceId": device.id, "gatewayId": device.id,
        "nodeType": "GATEWAY",
        "deviceInfo": device_info(nodeId=device.node_id, status="OFFLINE",
                                  statusDetail="NOT_ACTIVE")})


MODEL = {"manufacturerId": "ACME01", "manufacturerName": "Acme", "deviceType": "WaterMeter",
         "model": "WM200", "protocolType": "CoAP"}


def test_a_registration_with_a_model_also_tells_of_changed_information(application, receiver):
    for notify_type in ("deviceAdded", "deviceInfoChanged"):
        application.subscribe(notify_type, receiver.url(f"/{notify_type}"))
    device = application.register_device(by_code=True, isSecure=True,
                                         info={"name": "Zähler \"17\"", "location": "hall", **MODEL})
    added = receiver.wait_for_one("/deviceAdded").json["deviceInfo"]
    assert added == device_info(nodeId=device.node_id, name="Zähler \"17\"", location="hall",
                                status="OFFLINE", statusDetail="NOT_ACTIVE", isSecurity="TRUE",
                                **MODEL)
    assert receiver.wait_for_one("/deviceInfoChanged").text == info_changed(device, **MODEL)


def test_a_child_is_added_as_an_endpoint_of_its_gateway(application, receiver):
    gateway = application.register_device()
    application.subscribe("deviceAdded", receiver.url("/added"))
    child = application.register_device(gateway=gateway)
    added = receiver.wait_for_one("/added").json
    assert (added["deviceId"], added["gatewayId"], added["nodeType"]) == (
        child.id, gateway.id, "ENDPOINT")


# --- first access, status


def test_the_first_access_binds_the_device_and_makes_it_online(application, receiver):
    application.subscribe("bindDevice", receiver.url("/bind"))
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device = application.register_device(info={"name": "meter-17"})
    device.login()
    assert receiver.wait_for_one("/bind").text == compact({
        "notifyType": "bindDevice", "deviceId": device.id, "resultCode": "succeeded",
        "deviceInfo": device_info(nodeId=device.node_id, name="meter-17", status="ONLINE",
                                  statusDetail="NONE")})
    assert receiver.wait_for_one("/info").text == info_changed(
        device, status="ONLINE", statusDetail="NONE")
    # Neither a second login nor reports say it again.
    device.login()
    device.report({"litres": 1})
    device.modify(name="marker")
    assert receiver.wait_for(2, "/info")[1].text == info_changed(device, name="marker")
    assert len(receiver.requests("/bind")) == 1


def test_a_child_is_bound_by_its_gateways_report(application, receiver):
    application.subscribe("bindDevice", receiver.url("/bind"))
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, by_code=True)
    gateway.report_for(child, litres=1)
    bound = [r.json for r in receiver.wait_for(2, "/bind")]
    assert {b["deviceId"] for b in bound} == {gateway.id, child.id}
    assert all("gatewayId" not in b for b in bound)


def test_a_registration_that_was_not_used_in_time_is_bound_as_expired(application, receiver):
    application.subscribe("bindDevice", receiver.url("/bind"))
    application.subscribe("deviceDeleted", receiver.url("/deleted"))
    device = application.register_device(by_code=True, timeout=1)
    assert receiver.wait_for_one("/bind").text == compact({
        "notifyType": "bindDevice", "deviceId": device.id, "resultCode": "expired",
        "deviceInfo": None})
    marker = application.register_device()
    marker.delete()
    assert receiver.wait_for_one("/deleted").json["deviceId"] == marker.id


def test_a_silent_device_is_told_to_be_abnormal_and_then_offline(start_platform, receiver):
    application = start_platform(device__abnormal_after="1s", device__offline_after="2s").application()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device = application.register_device()
    device.report({"litres": 1})
    infos = [r.json["deviceInfo"] for r in receiver.wait_for(3, "/info")]
    assert [i["status"] for i in infos] == ["ONLINE", "ABNORMAL", "OFFLINE"]
    for info in infos:  # a difference, no snapshot
        assert info == device_info(status=info["status"], statusDetail=info["statusDetail"])


# --- modification, deletion


def test_a_modification_tells_what_changed_and_nothing_else(application, receiver):
    device = application.register_device(info={"name": "old", "model": "M1"})
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device.modify(name="new", model="M1", location="hall", timezone="Europe/Oslo", mute="TRUE")
    device.modify(name="new", organization="org")  # nothing of DeviceInfo changes
    device.modify(mute="FALSE", deviceType="WaterMeter")
    first, second = receiver.wait_for(2, "/info")
    assert first.text == info_changed(device, name="new", location="hall", mute="TRUE")
    assert second.text == info_changed(device, mute="FALSE", deviceType="WaterMeter")


@pytest.mark.parametrize("changes, shown", [
    ({"name": "new"}, {"name": "new"}),
    ({"location": "Pump house \"2\""}, {"location": "Pump house \"2\""}),
    ({"manufacturerId": "ACME02"}, {"manufacturerId": "ACME02"}),
    ({"manufacturerName": "Acmé"}, {"manufacturerName": "Acmé"}),
    ({"deviceType": "GasMeter"}, {"deviceType": "GasMeter"}),
    ({"model": "WM300"}, {"model": "WM300"}),
    ({"protocolType": "MQTT"}, {"protocolType": "MQTT"}),
    ({"mute": "true"}, {"mute": "TRUE"}),
    ({"isSecure": True}, {"isSecurity": "TRUE"}),
    ({"isSecure": False}, {"isSecurity": "FALSE"}),
    *[(change, {}) for change in (
        {"endUser": "u"}, {"organization": "o"}, {"region": "r"}, {"timezone": "Europe/Oslo"},
        {"imsi": "460011234567890"}, {"ip": "192.0.2.1"}, {"psk": "0123456789abcdef"},
        {"deviceConfig": {"dataConfig": {"dataAgingTime": 7}}},
        {"tags": [{"tagName": "zone", "tagValue": "north"}]},
        {"customFields": [{"fieldName": "a", "fieldType": "b", "fieldValue": "c"}]})],
], ids=lambda value: ",".join(value) or "nothing")
def test_each_member_that_an_application_changes_is_told_alone(application, receiver, changes, shown):
    device = application.register_device(by_code=True, info={"name": "old", **MODEL})
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device.modify(**changes)
    device.modify(**changes)  # the second time nothing changes
    device.modify(name="marker")
    expected = [info_changed(device, **shown)] if shown else []
    expected.append(info_changed(device, name="marker"))
    assert texts(receiver.wait_for(len(expected), "/info")) == expected


MORE_INFO = {"description": "d", "mac": "00:11:22:33:44:55", "location": "hall", "swVersion": "1.1",
             "fwVersion": "1.2", "hwVersion": "1.3", "bridgeId": "b", "supportedSecurity": "FALSE",
             "isSecurity": "FALSE", "signalStrength": "-80", "sigVersion": "1", "serialNumber": "s",
             "batteryLevel": "88", "name": "meter"}


@pytest.mark.parametrize("by_code", [True, False])
def test_what_a_registration_says_is_told_of_the_new_device(application, receiver, by_code):
    for notify_type in ("deviceAdded", "deviceInfoChanged", "bindDevice"):
        application.subscribe(notify_type, receiver.url(f"/{notify_type}"))
    gateway = application.register_device()
    device = application.register_device(gateway=gateway, by_code=by_code,
                                         info={**MORE_INFO, **MODEL, "radiusIp": "192.0.2.1"})
    added = receiver.wait_for(2, "/deviceAdded")[1].json
    known = {"nodeId": device.node_id, **MORE_INFO, **MODEL}
    assert added["deviceInfo"] == device_info(status="OFFLINE", statusDetail="NOT_ACTIVE", **known)
    # Of these the model alone is a change as well.
    assert receiver.wait_for_one("/deviceInfoChanged").text == info_changed(device, **MODEL)
    gateway.report_for(device, litres=1)
    bound = {r.json["deviceId"]: r.json for r in receiver.wait_for(2, "/bindDevice")}
    assert bound[device.id]["deviceInfo"] == device_info(status="ONLINE", statusDetail="NONE", **known)
    info = device.query()["deviceInfo"]
    assert (info["radiusIp"], info["batteryLevel"], info["bridgeId"]) == ("192.0.2.1", "88", "b")


def test_a_new_node_id_is_told(application, receiver):
    coded, by_secret = application.register_device(by_code=True), application.register_device()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    names = [new_name(), new_name()]
    for device, path, name in ((coded, CREDENTIALS_BY_CODE, names[0]),
                               (by_secret, CREDENTIALS_BY_SECRET, names[1])):
        assert application.put(f"{path}/{device.id}", {"nodeId": name}).status == 200
        assert application.put(f"{path}/{device.id}", {}).status == 200  # keeps it
        assert application.put(f"{path}/{device.id}", {"nodeId": name}).status == 200
        device.modify(name="marker")
    told = texts(receiver.wait_for(4, "/info"))
    for device, name in ((coded, names[0]), (by_secret, names[1])):
        assert [t for t in told if device.id in t] == [info_changed(device, nodeId=name),
                                                       info_changed(device, name="marker")]


def test_a_device_that_was_never_connected_is_told_in_the_new_set_of_status_values(start_platform, receiver):
    """Old and new set differ before the first access only."""
    application = start_platform(device__old_status_set="off").application()
    for notify_type in ("deviceAdded", "deviceInfoChanged", "bindDevice"):
        application.subscribe(notify_type, receiver.url(f"/{notify_type}"))
    device = application.register_device()
    assert device.query()["deviceInfo"]["status"] == "INACTIVE"
    added = receiver.wait_for_one("/deviceAdded").json["deviceInfo"]
    assert (added["status"], added["statusDetail"]) == ("INACTIVE", "NOT_ACTIVE")
    device.login()
    bound = receiver.wait_for_one("/bindDevice").json["deviceInfo"]
    assert (bound["status"], bound["statusDetail"]) == ("ONLINE", "NONE")
    assert receiver.wait_for_one("/deviceInfoChanged").text == info_changed(
        device, status="ONLINE", statusDetail="NONE")


def test_the_node_id_may_be_sent_always(start_platform, receiver):
    application = start_platform(push__send_node_id="on").application()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device = application.register_device()
    device.modify(name="new")
    assert receiver.wait_for_one("/info").text == info_changed(device, nodeId=device.node_id, name="new")
    device.login()
    assert receiver.wait_for(2, "/info")[1].text == info_changed(
        device, nodeId=device.node_id, status="ONLINE", statusDetail="NONE")


def test_a_deletion_is_told_for_the_device_and_each_child(application, receiver):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(2)]
    application.subscribe("deviceDeleted", receiver.url("/deleted"))
    gateway.delete()
    expected = {compact({"notifyType": "deviceDeleted", "deviceId": d.id, "gatewayId": gateway.id})
                for d in (gateway, *children)}
    assert set(texts(receiver.wait_for(3, "/deleted"))) == expected


# --- reports


def service(service_id, data, event_time="20190822T014400Z"):
    return {"serviceId": service_id, "serviceType": service_id, "data": data,
            "eventTime": event_time}


def test_a_report_of_one_service_is_told_in_both_forms(application, receiver, device):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.subscribe("deviceDatasChanged", receiver.url("/datas"))
    device.report({"litres": 1204, "battery": 88}, event_time="20190822T014400Z")
    flow = service("Flow", {"litres": 1204, "battery": 88})
    assert receiver.wait_for_one("/data").text == compact({
        "notifyType": "deviceDataChanged", "deviceId": device.id, "gatewayId": device.id,
        "requestId": None, "service": flow})
    assert receiver.wait_for_one("/datas").text == compact({
        "notifyType": "deviceDatasChanged", "requestId": None, "deviceId": device.id,
        "gatewayId": device.id, "services": [flow]})


def test_a_report_of_several_services_is_one_datas_and_a_data_for_each(application, receiver, device):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.subscribe("deviceDatasChanged", receiver.url("/datas"))
    names = ["Flow", "Valve", "Flow", "Dienst Größe"]
    device.report_services([
        {"service_id": name, "properties": {"n": n}, "event_time": f"20190822T01440{n}Z"}
        for n, name in enumerate(names)])
    expected = [service(name, {"n": n}, f"20190822T01440{n}Z") for n, name in enumerate(names)]
    assert [r.json["service"] for r in receiver.wait_for(4, "/data")] == expected
    assert receiver.wait_for_one("/datas").json["services"] == expected
    device.report({"marker": 1})
    receiver.wait_for(5, "/data")
    assert len(receiver.wait_for(2, "/datas")) == len(receiver.requests("/datas"))


def test_values_arrive_as_they_were_written(application, receiver, device):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    data = ('{"big":12345678901234567890,"small":0.1,"exponent":1e400,"minus":-0,'
            '"text":"a\\"b\\\\ü€😀",'
            '"deep":{"list":[1,[],{},null,true,false,""]},"":"empty name","slash/":"a/b"}')
    response = device.call("properties/report", '{ "services" : [ { "service_id" : "Flow" ,\n'
                           '"properties" : %s , "event_time" : null } ] }' % data)
    assert response.status == 200, response
    text = receiver.wait_for_one("/data").text
    assert f'"service":{{"serviceId":"Flow","serviceType":"Flow","data":{data},"eventTime"' in text


@pytest.mark.parametrize("written, shown", [
    ('"2021-08-13T10:10:10.555Z"', "20210813T101010Z"),
    ('"2021-08-13T10:10:10Z"', "20210813T101010Z"),
    ('"20210813T101010Z"', "20210813T101010Z"),
    ("null", None), ('""', None), ('"yesterday"', None), ('"2021-02-30T10:10:10.555Z"', None),
    ("5", None), ("{}", None), (None, None),
])
def test_the_time_of_a_report_is_the_devices_or_that_of_arrival(application, receiver, device,
                                                                written, shown):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    member = f',"event_time":{written}' if written else ""
    device.login()
    # The server's clock may be a tick behind.
    before = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - 0.01))
    response = device.call("properties/report",
                           '{"services":[{"service_id":"a","properties":{"b":1}%s}]}' % member)
    assert response.status == 200, response
    after = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    event_time = receiver.wait_for_one("/data").json["service"]["eventTime"]
    if shown:
        assert event_time == shown
    else:
        assert before <= event_time <= after


def test_a_childs_report_names_its_gateway(application, receiver):
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(2)]
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    gateway.report_for(*children, litres=1)
    told = {r.json["deviceId"]: r.json for r in receiver.wait_for(2, "/data")}
    for child in children:
        assert told[child.id]["gatewayId"] == gateway.id
        assert told[child.id]["service"]["data"] == {"litres": 1}


def test_a_message_is_no_v1_notification(application, receiver, device):
    for notify_type in ("deviceDataChanged", "deviceDatasChanged", "deviceEvent"):
        application.subscribe(notify_type, receiver.url("/all"))
    assert device.try_message('{"services":[]}').status == 200
    device.report({"marker": 1})
    first, second = receiver.wait_for(2, "/all")
    assert {first.json["notifyType"], second.json["notifyType"]} == {
        "deviceDataChanged", "deviceDatasChanged"}


def test_an_application_hears_of_its_own_devices_only(platform, application, receiver, device):
    other = platform.application()
    other.subscribe("deviceDataChanged", receiver.url("/other"))
    application.subscribe("deviceDataChanged", receiver.url("/own"))
    device.report({"n": 1})
    receiver.wait_for_one("/own")
    marker = other.register_device()
    marker.report({"n": 2})
    assert receiver.wait_for_one("/other").json["deviceId"] == marker.id


# --- headers


def test_the_request_is_what_receivers_expect(application, receiver, device):
    path = "/iot/data?key=a%20b&list=1,2"
    subscription = application.subscribe("deviceDataChanged", receiver.url(path))
    before = int(time.time())
    device.report({"litres": 1})
    request = receiver.wait_for_one(path)
    headers = request.headers
    assert request.method == "POST"
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(request.body))
    assert headers["Host"] == f"{receiver.host}:{receiver.port}"
    assert re.fullmatch(r"iotpush/\S+", headers["User-Agent"])
    assert headers["X-Notify-Id"].endswith(f"-{subscription['subscriptionId']}")
    assert headers["X-Notify-Attempt"] == "1"
    assert headers["X-Notify-Subscription"] == subscription["subscriptionId"]
    assert before <= int(headers["X-Notify-Timestamp"]) <= time.time()
    for absent in ("Transfer-Encoding", "Expect", "Authorization", "app_key", "access_token"):
        assert absent not in headers
    for name in headers:
        assert len(headers.get_all(name)) == 1


def test_the_user_agent_is_a_setting(start_platform, receiver):
    application = start_platform(push__user_agent="harbour/7").application()
    application.subscribe("deviceAdded", receiver.url("/"))
    application.register_device()
    assert receiver.wait_for_one("/").headers["User-Agent"] == "harbour/7"


def test_every_notification_has_its_own_id_and_keeps_it_over_attempts(application, receiver, device):
    receiver.answers(503, 500, path="/data")
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.subscribe("deviceDatasChanged", receiver.url("/datas"))
    device.report_services([{"service_id": s, "properties": {"n": 1}} for s in ("A", "B")])
    attempts = receiver.wait_for(4, "/data")
    assert [r.headers["X-Notify-Attempt"] for r in attempts] == ["1", "2", "3", "1"]
    assert len({r.notify_id for r in attempts[:3]}) == 1
    assert len({r.body for r in attempts[:3]}) == 1
    ids = {attempts[0].notify_id, attempts[3].notify_id, receiver.wait_for_one("/datas").notify_id}
    assert len(ids) == 3


def test_connections_are_kept(application, receiver, device):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    for n in range(20):
        device.report({"n": n})
        receiver.wait_for(n + 1, "/data")
    assert receiver.connections == 1


def test_notifications_of_a_deleted_device_still_arrive(application, receiver):
    gate = receiver.holds("/data")
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.subscribe("deviceDeleted", receiver.url("/deleted"))
    device = application.register_device(new_name())
    device.report({"n": 1})
    device.report({"n": 2})
    receiver.wait_for_one("/data")
    device.delete()
    receiver.wait_for_one("/deleted")
    wait_until(device.is_gone, "the deletion")
    gate.open()
    assert [r.json["service"]["data"]["n"] for r in receiver.wait_for(2, "/data")] == [1, 2]

"""What devices send up over MQTT: reports, messages, a gateway's children, events, questions."""

import gzip
import json
import time

import pytest

from helpers import models
from helpers.link import Link
from helpers.mqtt import ACCEPTED, MqttDevice, connected
from helpers.nouns import new_name
from helpers.waiting import wait_until


@pytest.fixture
def client(device):
    return connected(device)


def values(device):
    return {one["serviceId"]: one["data"] for one in device.query()["services"] or []}


def ignored(platform, what):
    return platform.metric("mqtt_ignored_total", what=what)


def services(service="Meter", time=None, **properties):
    one = {"service_id": service, "properties": properties}
    return {"services": [{**one, "event_time": time} if time else one]}


# --- properties


@pytest.mark.parametrize("qos", [0, 1])
def test_a_report_is_pushed(application, device, client, receiver, qos):
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    client.publish(client.topic("properties/report"), services(time="20151212T121212Z", kWh=1.5), qos)
    body = receiver.wait_for_one("/data").json
    assert body["deviceId"] == device.id
    assert body["service"] == {"serviceId": "Meter", "serviceType": "Meter", "data": {"kWh": 1.5},
                               "eventTime": "20151212T121212Z"}


@pytest.mark.parametrize("suffix", ["?request_id=r-1", "?request_id=", "?x=y"])
def test_a_report_may_have_a_request_id(device, client, suffix):
    client.publish(client.topic("properties/report") + suffix, services(n=1))
    assert values(device) == {"Meter": {"n": 1}}


@pytest.mark.parametrize("suffix, told", [
    ("", None), ("?request_id=", None), ("?request_id=r-1", "r-1"), ("?request_id=r/1", "r/1"),
    ("?request_id=" + "x" * 128, "x" * 128), ("?request_id=" + "x" * 129, None), ("?request_id=a\tb", None)],
    ids=lambda value: str(value)[:20])
def test_applications_learn_how_a_device_calls_its_report(application, client, receiver, suffix, told):
    for kind in ("deviceDataChanged", "deviceDatasChanged"):
        application.subscribe(kind, receiver.url(f"/{kind}"))
    client.publish(client.topic("properties/report") + suffix, services(n=1))
    for kind in ("deviceDataChanged", "deviceDatasChanged"):
        body = receiver.wait_for_one(f"/{kind}").json
        assert "requestId" in body and body["requestId"] == told


@pytest.mark.parametrize("suffix", ["?encoding=gzip", "?request_id=1&encoding=gzip",
                                    "?encoding=gzip&request_id=1"])
def test_a_report_may_be_packed(device, client, suffix):
    packed = gzip.compress(json.dumps(services(n=2)).encode())
    client.publish(client.topic("properties/report") + suffix, packed)
    assert values(device) == {"Meter": {"n": 2}}


def test_messages_and_childrens_reports_may_be_packed(start_platform):
    platform = start_platform()
    application = platform.application()
    gateway = application.register_device()
    child = application.register_device(gateway=gateway)
    client = connected(gateway)
    packed = gzip.compress(json.dumps({"devices": [{"device_id": child.id, **services(n=3)}]}).encode())
    client.publish(client.topic("gateway/sub_devices/properties/report") + "?encoding=gzip", packed)
    assert values(child) == {"Meter": {"n": 3}}
    client.publish(client.topic("messages/up") + "?encoding=gzip",
                   gzip.compress(json.dumps({"object_device_id": child.id, "content": "x"}).encode()))
    client.publish(client.topic("messages/up") + "?encoding=gzip", b"no gzip")
    assert platform.metric("reports_total", transport="mqtt", result="ok") == 2
    assert ignored(platform, "payload") == 1


def test_what_is_too_large_unpacked_or_no_gzip_is_ignored(start_platform):
    platform = start_platform(device__mqtt_unpacked_bytes="10k")
    device = platform.application().register_device()
    client = connected(device)
    topic = client.topic("properties/report") + "?encoding=gzip"
    report = json.dumps(services(text="x" * 20000)).encode()
    good = gzip.compress(json.dumps(services(n=1)).encode())
    bombs = [gzip.compress(report), gzip.compress(b" " * 100_000_000), good[:-1], good[:10], b"",
             good + b"x", report]
    for bomb in bombs:
        client.publish(topic, bomb)
    assert ignored(platform, "payload") == len(bombs)
    client.publish(topic, good)
    assert values(device) == {"Meter": {"n": 1}}


@pytest.mark.parametrize("payload", [
    b"", b"{", b"[]", b"null", b"{}", b'{"services":{}}', b'{"services":[]}', b'{"services":[{}]}',
    b'{"services":[{"service_id":"a/b","properties":{}}]}', b'{"services":[{"service_id":"a"}]}',
    b'{"services":[{"service_id":"a","properties":[]}]}', b"\xff\x00",
], ids=repr)
def test_what_can_never_be_stored_is_acknowledged_and_counted(start_platform, payload):
    platform = start_platform()
    device = platform.application().register_device()
    client = connected(device)
    client.publish(client.topic("properties/report"), payload)
    assert platform.metric("reports_total", transport="mqtt", result="refused") == 1
    client.publish(client.topic("properties/report"), services(n=1))
    assert values(device) == {"Meter": {"n": 1}}


def test_topics_of_others_and_unknown_ones_are_taken_and_ignored(start_platform):
    platform = start_platform()
    application = platform.application()
    device, other = (application.register_device() for _ in range(2))
    client = connected(device)
    topics = [f"$oc/devices/{other.id}/sys/properties/report", f"$oc/devices/{device.id}/sys/x",
              f"$oc/devices/{device.id}/sys/properties/report/", f"$oc/devices/{device.id}/user/mine",
              f"$oc/devices//sys/properties/report", f"/huawei/v1/devices/{other.id}/data/json",
              f"/huawei/v1/devices/{device.id}/data/binary", "anything", "/", "$SYS/x",
              client.topic("commands/request_id=1"), client.topic("properties/set/request_id=1"),
              client.topic("bootstrap/up"), f"/huawei/v1/devices/{device.node_id}/iodpsData",
              f"/huawei/v1/products/p/sn/{device.node_id}/secretACK",
              f"$oc/bridges/{device.id}/devices/{device.id}/sys/properties/report"]
    for topic in topics:
        client.publish(topic, services(n=1))
    assert ignored(platform, "topic") == len(topics)
    assert values(device) == values(other) == {}


def test_retained_and_repeated_messages_are_ordinary_ones(device, client):
    client.publish(client.topic("properties/report"), services(n=1), retain=True)
    client.publish(client.topic("properties/report"), services(n=2), dup=True)
    assert values(device) == {"Meter": {"n": 2}}


def test_what_an_application_may_report_has_a_limit(start_platform):
    platform = start_platform(device__app_report_limit="2", device__report_interval="60s",
                              device__mqtt_unstored_close="100ms")
    client = connected(platform.application().register_device())
    for n in range(2):
        client.publish(client.topic("properties/report"), services(n=n))
    client.send_publish(client.topic("properties/report"), services(n=3))
    assert client.wait_for_close() == []
    assert platform.metric("throttled_total", scope="app_reports") == 1


# --- v1's dialect


@pytest.mark.parametrize("kind", [0, 2])
def test_v1_reports_name_services_in_their_own_way(application, receiver, kind):
    application.subscribe("deviceDatasChanged", receiver.url("/data"))
    device = application.register_device()
    client = MqttDevice(device)
    assert client.login(kind=kind) == ACCEPTED
    name = device.node_id if kind == 2 else device.id
    client.publish(f"/huawei/v1/devices/{name}/data/json", {
        "identifier": "123", "msgType": "deviceReq", "hasMore": 0,
        "data": [{"serviceId": "Battery", "serviceData": {"level": 75}, "eventTime": "20160503T121540Z"},
                 {"serviceId": "Meter", "serviceData": {"flow": "5"}}]})
    told = {one["serviceId"]: one for one in receiver.wait_for_one("/data").json["services"]}
    assert told["Battery"]["data"] == {"level": 75}
    assert told["Battery"]["eventTime"] == "20160503T121540Z"
    assert told["Meter"]["data"] == {"flow": "5"}


def test_each_part_of_a_v1_report_is_complete(device, client):
    for more, n in ((1, 1), (0, 2)):
        client.publish(f"/huawei/v1/devices/{device.id}/data/json", {
            "msgType": "deviceReq", "hasMore": more, "data": [{"serviceId": f"S{n}", "serviceData": {"n": n}}]})
        assert values(device)[f"S{n}"] == {"n": n}


def test_one_connection_may_speak_both_dialects(device, client):
    client.publish(f"/huawei/v1/devices/{device.id}/data/json",
                   {"msgType": "deviceReq", "data": [{"serviceId": "A", "serviceData": {"n": 1}}]})
    client.publish(client.topic("properties/report"), services("B", n=2))
    assert values(device) == {"A": {"n": 1}, "B": {"n": 2}}


@pytest.mark.parametrize("body", [
    {}, {"msgType": "x"}, {"msgType": "deviceReq"}, {"msgType": "deviceReq", "data": {}},
    {"msgType": "deviceReq", "data": [1]}, {"msgType": "deviceReq", "data": [{"serviceId": "A"}]},
    {"msgType": "deviceRsp", "mid": 7, "errcode": 0}], ids=str)
def test_other_v1_messages_do_no_harm(device, client, body):
    client.publish(f"/huawei/v1/devices/{device.id}/data/json", body)
    client.ping()
    assert values(device) == {}


# --- messages


@pytest.mark.parametrize("payload", [b"hello", b"\x00\xff", b'{"content":{"a":1},"name":"n"}', b""])
def test_messages_may_be_anything(start_platform, payload):
    platform = start_platform()
    device = platform.application().register_device()
    client = connected(device)
    client.publish(client.topic("messages/up"), payload)
    assert platform.metric("reports_total", transport="mqtt", result="ok") == 1


# --- gateways


@pytest.fixture
def gateway(application):
    return application.register_device()


@pytest.fixture
def children(application, gateway):
    return [application.register_device(gateway=gateway) for _ in range(3)]


def test_a_gateway_reports_for_its_children(gateway, children):
    client = connected(gateway)
    client.publish(client.topic("gateway/sub_devices/properties/report"), {"devices": [
        {"device_id": child.id, **services(n=n)} for n, child in enumerate(children)]})
    assert [values(child) for child in children] == [{"Meter": {"n": n}} for n in range(3)]
    assert children[0].query()["deviceInfo"]["status"] == "ONLINE"


def test_children_of_others_are_left_out(application, platform, gateway, children):
    stranger = application.register_device()
    client = connected(gateway)
    client.publish(client.topic("gateway/sub_devices/properties/report"), {"devices": [
        {"device_id": stranger.id, **services(n=1)}, {"device_id": "nobody", **services(n=1)},
        {"device_id": "{no id}", **services(n=1)}, {"device_id": children[0].id, **services(n=1)}]})
    assert values(children[0]) == {"Meter": {"n": 1}}
    assert values(stranger) == {}


def test_a_gateway_reports_for_a_hundred_children_at_most(start_platform):
    platform = start_platform()
    client = connected(platform.application().register_device())
    many = [{"device_id": f"c{n}", **services(n=1)} for n in range(101)]
    for devices in (many, [], {}):
        client.publish(client.topic("gateway/sub_devices/properties/report"), {"devices": devices})
    assert ignored(platform, "payload") == 3


def test_a_gateway_sends_a_childs_message(start_platform):
    platform = start_platform()
    application = platform.application()
    gateway, stranger = (application.register_device() for _ in range(2))
    child = application.register_device(gateway=gateway)
    client = connected(gateway)
    for about in (child.id, gateway.id, stranger.id, "nobody", "{no id}"):
        client.publish(client.topic("messages/up"), {"object_device_id": about, "content": "x"})
    assert platform.metric("reports_total", transport="mqtt", result="ok") == 2
    assert platform.metric("reports_total", transport="mqtt", result="refused") == 2
    assert ignored(platform, "payload") == 1


# --- events


def event(service, kind, paras, event_id="e-1"):
    return {"services": [{"service_id": service, "event_type": kind, "event_id": event_id,
                          "event_time": "20151212T121212Z", "paras": paras}]}


def ask(client, service, kind, paras):
    """The answer's type and paras."""
    client.publish(client.topic("events/up"), event(service, kind, paras))
    message = client.wait_for_message()
    assert message.topic == client.topic("events/down")
    assert message.json["object_device_id"] == client.device.id
    (answer,) = message.json["services"]
    assert answer["service_id"] == service and answer["event_id"] == "e-1"
    return answer["event_type"], answer["paras"]


def test_a_device_asks_for_the_time(client):
    before = time.time() * 1000
    kind, paras = ask(client, "$time_sync", "time_sync_request", {"device_send_time": 1595320000000})
    assert kind == "time_sync_response"
    assert paras["device_send_time"] == 1595320000000
    assert before - 1000 < paras["server_recv_time"] <= paras["server_send_time"] \
        < time.time() * 1000 + 1000


def test_an_event_without_an_id_is_given_one(client):
    body = event("$time_sync", "time_sync_request", {})
    del body["services"][0]["event_id"]
    client.publish(client.topic("events/up"), body)
    (answer,) = client.wait_for_message().json["services"]
    assert len(answer["event_id"]) == 36


@pytest.mark.parametrize("service, kind", [("$sdk_info", "sdk_info_report"), ("$ota", "version_report")])
def test_versions_are_kept_and_told(application, device, client, receiver, service, kind):
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    client.publish(client.topic("events/up"), event(service, kind, {
        "device_sdk_version": "C_v1.2.1", "sw_version": "v7", "fw_version": "f8"}))
    info = device.query()["deviceInfo"]
    assert (info["swVersion"], info["fwVersion"]) == ("v7", "f8")
    wait_until(lambda: any(r.json["deviceInfo"]["swVersion"] == "v7" for r in receiver.requests("/info")),
               "the notification")


def test_unknown_events_are_ignored_and_counted(start_platform):
    platform = start_platform()
    client = connected(platform.application().register_device())
    for body in (event("$x", "y", {}), event("$time_sync", "y", {}), event("$ota", "x", None),
                 {"services": []}, {"services": [1]}, {"object_device_id": "other", **event("$log", "x", {})}):
        client.publish(client.topic("events/up"), body)
    assert ignored(platform, "event") == 6
    for payload in (b"", b"{}", b"[]"):
        client.publish(client.topic("events/up"), payload)
    assert ignored(platform, "payload") == 3
    client.publish(client.topic("events/up"),
                   event("$log", "log_report", {"timestamp": "1", "type": "DEVICE_STATUS", "content": "x"}))
    assert ignored(platform, "event") == 6


def test_a_message_may_have_several_events(client):
    body = event("$time_sync", "time_sync_request", {}, "one")
    body["services"] += event("$x", "y", {})["services"]
    body["services"] += event("$time_sync", "time_sync_request", {}, "two")["services"]
    client.publish(client.topic("events/up"), body)
    assert [client.wait_for_message().json["services"][0]["event_id"] for _ in range(2)] == ["one", "two"]


# --- events: children


def manage(client, kind, paras):
    return ask(client, "$sub_device_manager", kind, paras)


def test_a_gateway_learns_which_children_it_has(gateway, children):
    kind, paras = manage(connected(gateway), "sub_device_sync_request", {"version": 0})
    assert kind == "add_sub_device_notify" and paras["version"] > 0
    assert {one["device_id"] for one in paras["devices"]} == {child.id for child in children}
    one = next(one for one in paras["devices"] if one["device_id"] == children[0].id)
    assert one["parent_device_id"] == gateway.id and one["node_id"] == children[0].node_id


def test_a_gateway_without_children_is_told_so(gateway):
    assert manage(connected(gateway), "sub_device_sync_request", {})[1]["devices"] == []


def test_a_gateway_says_who_is_there(application, gateway, children, receiver):
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    client = connected(gateway)
    stranger = application.register_device()
    for status in ("ONLINE", "OFFLINE"):
        kind, paras = manage(client, "sub_device_update_status", {"device_statuses": [
            {"device_id": children[0].id, "status": status},
            {"device_id": stranger.id, "status": status}, {"device_id": children[1].id, "status": "?"}]})
        assert kind == "sub_device_update_status_response"
        assert paras["successful_devices"] == [
            {"parent_device_id": gateway.id, "device_id": children[0].id, "status": status}]
        assert {one["device_id"] for one in paras["failed_devices"]} == {stranger.id, children[1].id}
        assert all(one["error_code"] and one["error_msg"] for one in paras["failed_devices"])
        assert children[0].query()["deviceInfo"]["status"] == status
        wait_until(lambda s=status: any(r.json["deviceId"] == children[0].id and
                                        r.json["deviceInfo"]["status"] == s
                                        for r in receiver.requests("/info")), "the notification")


def test_a_gateway_adds_and_deletes_children(application, gateway):
    product = models.upload(application)["productId"]
    client = connected(gateway)
    nodes = [new_name() for _ in range(3)]
    kind, paras = manage(client, "add_sub_device_request", {"devices": [
        {"node_id": nodes[0], "product_id": product, "name": "child", "parent_device_id": gateway.id},
        {"node_id": nodes[2], "product_id": product, "parent_device_id": application.register_device().id},
        {"node_id": nodes[1], "product_id": "0" * 24}, {"product_id": product},
        {"node_id": gateway.node_id, "product_id": product}]})
    assert kind == "add_sub_device_response"
    (added,) = paras["successful_devices"]
    assert added["node_id"] == nodes[0] and added["parent_device_id"] == gateway.id
    assert len(paras["failed_devices"]) == 4
    assert {one.get("node_id") for one in paras["failed_devices"]} == {*nodes[1:], None, gateway.node_id}
    child = application.query(added["device_id"])
    assert child["gatewayId"] == gateway.id and child["deviceInfo"]["name"] == "child"

    other = application.register_device()
    kind, paras = manage(client, "delete_sub_device_request",
                         {"devices": [added["device_id"], other.id, "{no id}", 5]})
    assert kind == "delete_sub_device_response"
    assert paras["successful_devices"] == [added["device_id"]]
    assert len(paras["failed_devices"]) == 3
    assert application.get(f"/iocm/app/dm/v1.4.0/devices/{added['device_id']}").status == 404
    assert not other.is_gone()


@pytest.mark.parametrize("kind, paras", [
    ("add_sub_device_request", {"devices": [{}] * 51}), ("add_sub_device_request", {"devices": []}),
    ("add_sub_device_request", {}), ("delete_sub_device_request", {"devices": ["x"] * 51}),
    ("sub_device_update_status", {"device_statuses": [{}] * 101}), ("sub_device_update_status", None)],
    ids=lambda value: str(value)[:40])
def test_requests_about_children_have_a_size(start_platform, kind, paras):
    platform = start_platform()
    client = connected(platform.application().register_device())
    client.publish(client.topic("events/up"), event("$sub_device_manager", kind, paras))
    assert ignored(platform, "event") == 1


# --- the shadow


def ask_for_shadow(client, body, request_id="998", topic_id=None):
    client.publish(f"$oc/devices/{topic_id or client.device.id}/sys/shadow/get/request_id={request_id}",
                   body)
    message = client.wait_for_message()
    assert message.topic == client.topic(f"shadow/get/response/request_id={request_id}")
    return message.json


def test_a_device_asks_for_its_shadow(device, client):
    assert ask_for_shadow(client, {}) == {"object_device_id": device.id, "shadow": []}
    client.publish(client.topic("properties/report"), services("A", time="20240720T014842Z", n=1))
    client.publish(client.topic("properties/report"), services("B", time="20240720T014843Z", n=2))
    shown = ask_for_shadow(client, {"service_id": "A"})
    assert shown["shadow"] == [{"service_id": "A", "desired": {"properties": {}}, "version": 0,
                                "reported": {"properties": {"n": 1}, "event_time": "20240720T014842Z"}}]
    assert {one["service_id"] for one in ask_for_shadow(client, b"")["shadow"]} == {"A", "B"}


@pytest.mark.parametrize("in_topic", [True, False])
def test_a_gateway_asks_for_a_childs_shadow(gateway, children, in_topic):
    client = connected(gateway)
    client.publish(client.topic("gateway/sub_devices/properties/report"),
                   {"devices": [{"device_id": children[0].id, **services(n=1)}]})
    if in_topic:
        shown = ask_for_shadow(client, {}, topic_id=children[0].id)
    else:
        shown = ask_for_shadow(client, {"object_device_id": children[0].id})
    assert shown["object_device_id"] == children[0].id
    assert shown["shadow"][0]["reported"]["properties"] == {"n": 1}


def test_nobody_sees_the_shadow_of_others(start_platform):
    platform = start_platform()
    application = platform.application()
    client, other = connected(application.register_device()), application.register_device()
    for topic_id, body in ((other.id, {}), (client.device.id, {"object_device_id": other.id}),
                           (client.device.id, {"object_device_id": "nobody"})):
        client.publish(f"$oc/devices/{topic_id}/sys/shadow/get/request_id=1", body)
    client.ping()
    assert client.kept == [] and ignored(platform, "question") == 3


# --- who speaks for others


@pytest.mark.parametrize("what", ["report", "message", "status", "add", "question"])
def test_a_gateway_that_was_taken_over_speaks_for_nobody(application, gateway, children, platform, what):
    """Also when nobody told this instance: its place in Redis is another's."""
    product = models.upload(application)["productId"]
    client = connected(gateway)
    Link(gateway)
    child = children[0]
    node = new_name()
    topic, body = {
        "report": ("gateway/sub_devices/properties/report", {"devices": [{"device_id": child.id, **services(n=1)}]}),
        "message": ("messages/up", {"object_device_id": child.id, "content": "x"}),
        "status": ("events/up", event("$sub_device_manager", "sub_device_update_status", {
            "device_statuses": [{"device_id": child.id, "status": "ONLINE"}]})),
        "add": ("events/up", event("$sub_device_manager", "add_sub_device_request", {
            "devices": [{"node_id": node, "product_id": product}]})),
        "question": ("shadow/get/request_id=1", {"object_device_id": child.id}),
    }[what]
    before = platform.metric("mqtt_closed_total", reason="not_allowed")
    client.send_publish(client.topic(topic), body)
    assert client.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="not_allowed") == before + 1
    assert values(child) == {} and child.query()["deviceInfo"]["status"] != "ONLINE"
    new = application.try_register(deviceInfo={"nodeId": node})
    assert new.status == 200, new  # it is not there yet


# --- events about a child


def about(child, *arguments):
    return {"object_device_id": child if isinstance(child, str) else child.id, **event(*arguments)}


@pytest.mark.parametrize("service, kind", [("$sdk_info", "sdk_info_report"), ("$ota", "version_report")])
def test_a_gateway_tells_of_a_childs_versions(gateway, children, service, kind):
    client = connected(gateway)
    client.publish(client.topic("events/up"), about(children[0], service, kind, {"sw_version": "v7"}))
    assert children[0].query()["deviceInfo"]["swVersion"] == "v7"
    assert not gateway.query()["deviceInfo"].get("swVersion")


def test_a_gateway_asks_for_the_time_for_a_child(gateway, children):
    client = connected(gateway)
    client.publish(client.topic("events/up"), about(children[0], "$time_sync", "time_sync_request", {}))
    message = client.wait_for_message()
    assert message.topic == client.topic("events/down")
    assert message.json["object_device_id"] == children[0].id


def test_events_about_others_are_ignored(start_platform):
    platform = start_platform()
    application = platform.application()
    gateway, stranger = application.register_device(), application.register_device()
    child = application.register_device(gateway=gateway)
    client = connected(gateway)
    for whom in (stranger, "nobody", "{no id}"):
        client.publish(client.topic("events/up"), about(whom, "$ota", "version_report", {"sw_version": "v7"}))
    assert ignored(platform, "event") == 3
    client.publish(client.topic("events/up"), about(child, "$sub_device_manager", "sub_device_sync_request", {}))
    assert ignored(platform, "event") == 4
    assert not stranger.query()["deviceInfo"].get("swVersion")
    client.ping()
    assert client.kept == []


# --- many children, and such as come and go


@pytest.mark.parametrize("qos", [0, 1])
def test_a_gateway_learns_of_many_children(start_platform, qos):
    """More than may wait for it to read, or to acknowledge, at once."""
    platform = start_platform(device__mqtt_output_bytes="32k", device__mqtt_window="2")
    application = platform.application()
    gateway = application.register_device()
    ids = {application.register_device(gateway=gateway).id for _ in range(320)}
    client = connected(gateway)
    client.subscribe(client.topic("events/down"), qos=qos)
    packet_ids = [client.send_publish(client.topic("events/up"), event(
        "$sub_device_manager", "sub_device_sync_request", {}, f"e-{n}")) for n in range(3)]
    got = [client.wait_for_message().json["services"][0] for _ in range(3 * 7)]
    for n in range(3):
        parts = [one["paras"]["devices"] for one in got if one["event_id"] == f"e-{n}"]
        assert [len(part) for part in parts] == [50] * 6 + [20]
        assert {one["device_id"] for part in parts for one in part} == ids
    assert [client.wait_for_puback() for _ in range(3)] == packet_ids


def test_a_gateway_may_go_while_it_is_told_of_its_children(start_platform):
    platform = start_platform(device__mqtt_output_bytes="32k")
    application = platform.application()
    gateway = application.register_device()
    for _ in range(120):
        application.register_device(gateway=gateway)
    client = connected(gateway)
    for _ in range(50):
        client.send_publish(client.topic("events/up"), event("$sub_device_manager", "sub_device_sync_request", {}))
    client.wait_for_message()
    client.reset()
    wait_until(lambda: platform.metric("mqtt_connections") == 0, "the end")
    kind, _ = manage(connected(gateway), "sub_device_sync_request", {})
    assert kind == "add_sub_device_notify"


def set_status(client, child, status):
    _, paras = manage(client, "sub_device_update_status",
                      {"device_statuses": [{"device_id": child.id, "status": status}]})
    return paras


def test_a_child_that_comes_and_goes_is_no_flood(start_platform, start_receiver):
    platform = start_platform(device__login_limit="3", device__login_interval="60s")
    application = platform.application()
    receiver = start_receiver()
    gateway = application.register_device()
    child, other = (application.register_device(gateway=gateway) for _ in range(2))
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    client = connected(gateway)
    for _ in range(5):  # what changes nothing does not count
        assert set_status(client, child, "OFFLINE")["successful_devices"]
    for n in range(6):
        assert set_status(client, child, "ONLINE")["successful_devices"]
        failed = set_status(client, child, "OFFLINE")["failed_devices"]
        assert [one["error_code"] for one in failed] == ([] if n < 3 else ["IOTDA.021101"])
    assert platform.metric("throttled_total", scope="child_status") == 3
    assert child.query()["deviceInfo"]["status"] == "ONLINE"
    set_status(client, other, "ONLINE")
    assert set_status(client, other, "OFFLINE")["successful_devices"]

    def told(device):
        return [r.json["deviceInfo"]["status"] for r in receiver.requests("/info")
                if r.json["deviceId"] == device.id]
    wait_until(lambda: len(told(other)) == 2, "the last notification")
    wait_until(lambda: told(child) == ["ONLINE", "OFFLINE"] * 3 + ["ONLINE"], "those of the child")


def test_a_gateway_does_not_take_offline_who_is_connected_itself(gateway, children):
    child = connected(children[0])
    client = connected(gateway)
    set_status(client, children[0], "OFFLINE")
    assert children[0].query()["deviceInfo"]["status"] == "ONLINE"
    child.disconnect()
    wait_until(lambda: children[0].query()["deviceInfo"]["status"] == "OFFLINE", "its own end")


def test_a_message_of_many_requests_is_worked_through(gateway, children):
    client = connected(gateway)
    body = {"services": [one for n in range(50) for one in event(
        "$sub_device_manager", "sub_device_update_status",
        {"device_statuses": [{"device_id": child.id, "status": "ONLINE"} for child in children * 33]},
        f"e-{n}")["services"]]}
    client.publish(client.topic("events/up"), body)
    answers = [client.wait_for_message().json["services"][0] for _ in range(50)]
    assert [one["event_id"] for one in answers] == [f"e-{n}" for n in range(50)]
    assert all(len(one["paras"]["successful_devices"]) == 99 for one in answers)

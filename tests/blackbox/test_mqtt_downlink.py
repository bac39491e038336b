"""What is sent down to MQTT devices: subscriptions, desired values and their answers."""

import threading

import pytest

from helpers import models
from helpers.mqtt import ACCEPTED, PUBLISH, MqttDevice, connected
from helpers.waiting import wait_until
from test_mqtt_uplink import event
from test_shadow import write

GRANTED = ["commands/#", "properties/set/#", "properties/get/#", "shadow/get/response/#", "messages/down",
           "events/down", "#", "+/down", "commands/+", "properties/+/#"]
REFUSED = ["#", "+/+", "$oc/#", "$oc/devices/#", "$oc/devices/+/sys/commands/#", "/huawei/#", "/#",
           "$SYS/#", "a/b", "$oc/devices/{other}/sys/commands/#", "$oc/devices/{id}",
           "$oc/devices/{id}x/sys/commands/#", "$oc/devices/{id}/sys/properties/report",
           "/huawei/v1/devices/{other}/command/json", "/huawei/v1/devices/{id}/command/binary",
           "/huawei/v1/devices/{id}/data/json", "$oc/devices/{id}/sys/messages/up",
           "$oc/devices/{id}/sys/bootstrap/down", "/huawei/v1/products/p/sn/{id}/secretNotify",
           "/huawei/v1/devices/{id}/iodpsCommand", "$oc/bridges/{id}/#", "/v1/devices/{id}/command"]


@pytest.fixture
def client(device):
    return connected(device)


# --- subscriptions


def test_own_topics_are_granted(device, client):
    for qos in (0, 1):
        filters = [client.topic(one) for one in GRANTED]
        filters += [f"/huawei/v1/devices/{name}/command/json" for name in (device.id, device.node_id)]
        filters += [f"$oc/devices/{device.id}/user/mine", f"$oc/devices/{device.id}/user/#"]
        assert client.subscribe(*filters, qos=qos) == [qos] * len(filters)


def test_qos_2_is_granted_as_qos_1(client):
    assert client.subscribe(client.topic("commands/#"), qos=2) == [1]


def test_topics_of_others_are_not_granted(application, device, client):
    other = application.register_device()
    filters = [one.format(id=device.id, other=other.id) for one in REFUSED]
    assert client.subscribe(*filters) == [0x80] * len(filters)


def test_each_filter_has_its_own_answer(client):
    filters = [client.topic("events/down"), "#", client.topic("commands/#"), client.topic("x")]
    assert client.subscribe(*filters) == [1, 0x80, 1, 0x80]


def test_subscriptions_have_a_limit(start_platform):
    platform = start_platform(device__mqtt_subscriptions="3")
    client = connected(platform.application().register_device())
    mine = [f"$oc/devices/{client.device.id}/user/{n}" for n in range(4)]
    assert client.subscribe(*mine) == [1, 1, 1, 0x80]
    assert client.subscribe(*mine[:3], qos=0) == [0, 0, 0]  # again, which is no new one
    client.unsubscribe(mine[0], "never subscribed")
    assert client.subscribe(mine[3]) == [1]
    assert client.subscribe("#") == [0x80]
    assert platform.metric("mqtt_ignored_total", what="subscription") == 2


def ask(client):
    client.publish(client.topic("events/up"), event("$time_sync", "time_sync_request", {}))
    return client.wait_for_message()


def test_answers_come_without_a_subscription_and_once_with_several(client):
    assert ask(client).qos == 0
    filters = [client.topic("events/down"), client.topic("#")]
    client.subscribe(filters[0], qos=0)
    client.subscribe(filters[1], qos=1)
    assert ask(client).qos == 1
    client.unsubscribe(filters[1])
    assert ask(client).qos == 0
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]


def test_packet_ids_differ_while_they_are_under_way(start_platform):
    platform = start_platform(device__mqtt_window="3")
    client = connected(platform.application().register_device())
    client.subscribe(client.topic("events/down"))
    for _ in range(5):
        client.publish(client.topic("events/up"), event("$time_sync", "time_sync_request", {}))
    messages = [client.wait_for_message(acknowledge=False) for _ in range(3)]
    assert len({one.id for one in messages}) == 3
    assert platform.metric("mqtt_ignored_total", what="window") == 2
    for one in messages:
        client.acknowledge(one)
    client.ping()
    assert ask(client).id not in (0, *[one.id for one in messages])


# --- desired values


@pytest.fixture
def meter(application):
    """A device with a model: Valve and Bypass may be written."""
    models.upload(application)
    return application.register_device(info=models.METER_INFO)


def wait_for_set(client):
    message = client.wait_for_message()
    start = client.topic("properties/set/request_id=")
    assert message.topic.startswith(start), message.topic
    return message.topic[len(start):], message.json


def answer(client, request_id, body=None):
    client.publish(client.topic(f"properties/set/response/request_id={request_id}"),
                   {"result_code": 0, "result_desc": "success"} if body is None else body)


def told(receiver):
    return [r.json["status"] for r in receiver.requests("/desired")]


def test_a_desired_value_goes_to_a_connected_device_at_once(application, meter, receiver):
    application.subscribe("deviceDesiredPropertiesModifyStatusChanged", receiver.url("/desired"))
    client = connected(meter)
    write(meter, Valve={"position": 75})
    request_id, body = wait_for_set(client)
    assert body == {"services": [{"service_id": "Valve", "properties": {"position": 75}}]}
    answer(client, request_id)
    body = receiver.wait_for_one("/desired").json
    assert body["status"] == "DELIVERED" and body["properties"] == {"position": 75}
    client.publish(client.topic("properties/report"),
                   {"services": [{"service_id": "Valve", "properties": {"position": 75}}]})
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]


@pytest.mark.parametrize("body", [{}, b"", {"result_code": None}, {"result_desc": "success"}], ids=repr)
def test_a_missing_result_code_is_a_success(application, meter, receiver, body):
    application.subscribe("deviceDesiredPropertiesModifyStatusChanged", receiver.url("/desired"))
    client = connected(meter)
    write(meter, Valve={"position": 75})
    answer(client, wait_for_set(client)[0], body)
    wait_until(lambda: told(receiver) == ["DELIVERED"], "the notification")


@pytest.mark.parametrize("body", [{"result_code": 1}, {"result_code": -1}, {"result_code": "x"}], ids=repr)
def test_what_a_device_refuses_is_offered_again_with_its_next_report(application, meter, receiver, body):
    application.subscribe("deviceDesiredPropertiesModifyStatusChanged", receiver.url("/desired"))
    client = connected(meter)
    write(meter, Valve={"position": 75})
    answer(client, wait_for_set(client)[0], body)
    wait_until(lambda: told(receiver) == ["FAILED"], "the notification")
    client.report({"litres": 1}, "Flow")
    assert wait_for_set(client)[1]["services"][0]["properties"] == {"position": 75}


def test_a_desired_value_waits_until_the_device_connects(meter):
    write(meter, Valve={"position": 75}, Bypass={"position": 1})
    client = connected(meter)
    sets = [wait_for_set(client)[1]["services"][0] for _ in range(2)]
    assert {one["service_id"]: one["properties"] for one in sets} == {
        "Valve": {"position": 75}, "Bypass": {"position": 1}}


def test_it_is_not_repeated_while_an_answer_may_come(meter):
    client = connected(meter)
    write(meter, Valve={"position": 75})
    wait_for_set(client)
    for _ in range(3):
        client.report({"litres": 1}, "Flow")
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]


def test_what_was_not_acknowledged_comes_again_with_the_next_connection(meter):
    client = connected(meter)
    client.subscribe(client.topic("properties/set/#"))
    write(meter, Valve={"position": 75})
    message = client.wait_for_message(acknowledge=False)
    assert message.qos == 1
    client.close()
    client = connected(meter)
    assert wait_for_set(client)[1] == message.json


def test_without_an_answer_it_comes_again_after_the_protection_window(start_platform):
    platform = start_platform(shadow__resend_after="1s", device__answer_timeout="100ms")
    application = platform.application()
    models.upload(application)
    meter = application.register_device(info=models.METER_INFO)
    client = connected(meter)
    write(meter, Valve={"position": 75})
    first, second = wait_for_set(client), wait_for_set(client)
    assert first[1] == second[1] and first[0] != second[0]
    answer(client, first[0])  # too late
    assert platform.metric("mqtt_ignored_total", what="answer") == 1


def test_answers_that_nobody_waits_for_are_ignored(start_platform):
    platform = start_platform()
    client = connected(platform.application().register_device())
    for topic in ("properties/set/response/request_id=1", "properties/get/response/request_id=1",
                  "properties/set/response/request_id="):
        client.publish(client.topic(topic), {"result_code": 0})
    assert platform.metric("mqtt_ignored_total", what="answer") == 3


def test_an_answer_to_a_question_never_changes_the_shadow(device, client):
    client.report({"n": 1})
    client.publish(client.topic("properties/get/response/request_id=1"),
                   {"services": [{"service_id": "Meter", "properties": {"n": 2}}]})
    client.report({"m": 3})
    assert device.query()["services"][0]["data"] == {"n": 1, "m": 3}


def test_a_childs_desired_value_goes_to_its_gateway(application):
    models.upload(application)
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, info=models.METER_INFO)
    write(child, Valve={"position": 1})
    client = connected(gateway)
    _, body = wait_for_set(client)
    assert body["object_device_id"] == child.id
    write(child, Bypass={"position": 2})
    _, body = wait_for_set(client)
    assert body == {"object_device_id": child.id,
                    "services": [{"service_id": "Bypass", "properties": {"position": 2}}]}


def test_a_device_of_v1_gets_nothing_on_topics_of_v5(meter):
    write(meter, Valve={"position": 75})
    client = MqttDevice(meter)
    assert client.login(kind=2) == ACCEPTED
    client.subscribe(f"/huawei/v1/devices/{meter.node_id}/command/json")
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]
    client.report({"litres": 1}, "Flow")  # on a topic of v5
    assert wait_for_set(client)[1]["services"][0]["properties"] == {"position": 75}


def test_an_application_at_one_instance_reaches_a_device_at_another(cluster):
    one, other = cluster().members
    application = one.application()
    models.upload(application)
    meter = application.register_device(info=models.METER_INFO)
    client = connected(meter, other)
    write(meter, Valve={"position": 75})
    request_id, _ = wait_for_set(client)
    answer(client, request_id)
    write(meter, Valve={"position": 76})
    assert wait_for_set(client)[1]["services"][0]["properties"] == {"position": 76}


# --- many children


def family_of(application, count):
    models.upload(application)
    gateway = application.register_device()
    return gateway, [application.register_device(gateway=gateway, info=models.METER_INFO) for _ in range(count)]


def next_sets(client, count, answered=True):
    """How often each device got one."""
    got = {}
    for _ in range(count):
        request_id, body = wait_for_set(client)
        got[body["object_device_id"]] = got.get(body["object_device_id"], 0) + 1
        if answered:
            answer(client, request_id)
    return got


class Hindrance:
    """Keeps a Redis busy nearly all of the time."""

    SCRIPT = """local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end
                local start = now()
                while now() - start < 4000 do end"""

    def __init__(self, redis):
        self.client = redis.client()
        self.is_over = False
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.is_over:
            self.client("EVAL", self.SCRIPT, 0)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        self.client.close()


def test_few_questions_for_a_gateways_children_are_under_way_at_once(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_gateway_offers="5", device__mqtt_awaited_answers="1000")
    gateway, children = family_of(platform.application(), 200)
    for child in children:
        write(child, Valve={"position": 1})
    with Hindrance(redis):
        client = connected(gateway)
        under_way = set()

        def all_are_sent():
            under_way.add(platform.metric("mqtt_gateway_offers"))
            return platform.metric("mqtt_messages_total", direction="down") == 200
        wait_until(all_are_sent, "all values", 60)
    assert max(under_way) == 5
    assert next_sets(client, 200, answered=False) == {child.id: 1 for child in children}
    assert client.is_open()


def test_no_more_desired_values_are_sent_than_answers_may_be_awaited(start_platform):
    platform = start_platform(device__mqtt_awaited_answers="3")
    gateway, children = family_of(platform.application(), 10)
    for child in children:
        write(child, Valve={"position": 1})
    client = connected(gateway)
    first = [wait_for_set(client) for _ in range(3)]
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]
    for request_id, _ in first:
        answer(client, request_id)
    got = next_sets(client, 7)
    assert {**got, **{body["object_device_id"]: 1 for _, body in first}} == {child.id: 1 for child in children}


@pytest.mark.parametrize("is_connected", [True, False])
def test_desired_values_of_many_children_wait_for_acknowledgements(start_platform, is_connected):
    platform = start_platform(device__mqtt_window="4")
    gateway, children = family_of(platform.application(), 20)
    if is_connected:
        client = connected(gateway)
        client.subscribe(client.topic("properties/set/#"))
    for child in children:
        write(child, Valve={"position": 1})
    if not is_connected:
        client = connected(gateway)
        client.subscribe(client.topic("properties/set/#"))
    assert next_sets(client, 20) == {child.id: 1 for child in children}


def test_desired_values_of_many_services_wait_for_acknowledgements(start_platform):
    platform = start_platform(device__mqtt_window="1")
    application = platform.application()
    models.upload(application)
    meter = application.register_device(info=models.METER_INFO)
    client = connected(meter)
    client.subscribe(client.topic("properties/set/#"))
    write(meter, Valve={"position": 1}, Bypass={"position": 2})
    assert {wait_for_set(client)[1]["services"][0]["service_id"] for _ in range(2)} == {"Valve", "Bypass"}

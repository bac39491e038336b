"""What waits for MQTT devices is not forgotten: when there is no room for it on the way down, when Redis is away,
when a word between instances is lost, when somebody else of the same gateway comes first."""

import zlib
from contextlib import contextmanager

import pytest

from helpers import models
from helpers.link import PARTITIONS
from helpers.mqtt import ACCEPTED, PUBLISH, MqttDevice, connected
from helpers.nouns import COMMANDS
from helpers.waiting import wait_until
from test_commands import INFO, meter_of, wait_for_status
from test_mqtt_commands import answer, expect_nothing, next_command, v5
from test_mqtt_downlink import answer as answer_set
from test_mqtt_downlink import wait_for_set
from test_mqtt_uplink import event
from test_shadow import write


@pytest.fixture
def meter(application):
    return meter_of(application)


def family_of(application, count):
    """A gateway with children that have commands and may be written to."""
    models.upload(application, models.package(protocolType="MQTT"))
    gateway = application.register_device()
    return gateway, [application.register_device(gateway=gateway, info=INFO) for _ in range(count)]


@contextmanager
def unseen(device):
    """Other instances than the one that holds its connection do not find it, and tell nobody of what is ordered."""
    redis = device.platform.redis.client()
    key = f"{{p{zlib.crc32(device.id.encode()) % PARTITIONS}}}:d:{device.id}"
    session = redis("HGET", key, "session")
    redis("HDEL", key, "session")
    yield
    redis("HSET", key, "session", session)


@pytest.fixture
def frail(start_redis, start_platform):
    """A server whose Redis can go away."""
    return start_platform(redis=start_redis(), redis__command_timeout="500ms", redis__connect_timeout="500ms",
                          device__mqtt_decide_time="200ms")


def bring_redis_back(application):
    application.platform.redis.start()
    wait_until(lambda: application.get(COMMANDS).status == 200, "the server to be back")


def codes(requests):
    return [r.json["result"]["resultCode"] for r in requests]


# --- room


def test_of_many_children_none_is_forgotten_when_there_is_room_again(start_platform):
    platform = start_platform(device__mqtt_window="2")
    application = platform.application()
    gateway, children = family_of(application, 6)
    client = v5(gateway)
    client.ping()
    for _ in range(2):
        application.command(children[0], expireTime=0)
    messages = [client.wait_for_message(acknowledge=False) for _ in range(2)]
    last = application.command(children[-1], expireTime=0)
    expect_nothing(client)
    for message in messages:
        client.acknowledge(message)
    assert next_command(client)[0] == last["commandId"]
    wait_for_status(application, last, "DELIVERED")


def test_commands_of_many_children_go_through_a_narrow_window(start_platform):
    platform = start_platform(device__mqtt_window="1")
    application = platform.application()
    gateway, children = family_of(application, 5)
    made = [application.command(child)["commandId"] for child in children for _ in range(2)]
    client = v5(gateway)
    assert sorted(next_command(client)[0] for _ in made) == sorted(made)
    expect_nothing(client)


@pytest.mark.parametrize("qos", [0, 1])
def test_desired_values_of_many_children_wait_for_room(start_platform, qos):
    platform = start_platform(device__mqtt_window="2", device__mqtt_awaited_answers="3")
    application = platform.application()
    gateway, children = family_of(application, 6)
    client = connected(gateway)
    if qos:
        client.subscribe(client.topic("properties/set/#"))
    else:
        client.report({"litres": 1}, "Flow")
    for child in children:
        write(child, Valve={"position": 1})
    told = []
    for _ in children:
        request_id, body = wait_for_set(client)
        told.append(body["object_device_id"])
        answer_set(client, request_id)
    assert sorted(told) == sorted(child.id for child in children)


def test_no_more_desired_values_are_under_way_than_may_be_awaited(start_platform):
    platform = start_platform(device__mqtt_awaited_answers="2")
    application = platform.application()
    gateway, children = family_of(application, 4)
    for child in children:
        write(child, Valve={"position": 1})
    client = connected(gateway)
    first = [wait_for_set(client)[0] for _ in range(2)]
    expect_nothing(client)
    for request_id in first:
        answer_set(client, request_id)
        wait_for_set(client)
    expect_nothing(client)


def test_several_services_of_one_device_need_room_each(start_platform):
    platform = start_platform(device__mqtt_window="1")
    application = platform.application()
    models.upload(application)
    device = application.register_device(info=models.METER_INFO)
    write(device, Valve={"position": 1}, Bypass={"position": 2})
    client = connected(device)
    client.subscribe(client.topic("properties/set/#"))
    assert {wait_for_set(client)[1]["services"][0]["service_id"] for _ in range(2)} == {"Valve", "Bypass"}


# --- Redis is away


def test_an_acknowledgement_while_redis_is_away_counts(frail, receiver):
    application = frail.application()
    meter = meter_of(application)
    client = v5(meter)
    first = application.command(meter, callbackUrl=receiver.url("/cmd"))
    second = application.command(meter)
    message = client.wait_for_message(acknowledge=False)
    frail.redis.stop()
    frail.wait_for_log("state=down")
    client.acknowledge(message)
    client.ping()
    bring_redis_back(application)
    assert next_command(client)[0] == second["commandId"]
    wait_for_status(application, first, "DELIVERED")
    assert codes([receiver.wait_for_one("/cmd")]) == ["DELIVERED"]


@pytest.mark.parametrize("qos", [0, 1])
def test_an_answer_while_redis_is_away_counts(frail, qos):
    application = frail.application()
    meter = meter_of(application)
    client = v5(meter)
    made = application.command(meter)
    next_command(client)
    wait_for_status(application, made, "DELIVERED")
    frail.redis.stop()
    frail.wait_for_log("state=down")
    client.send_publish(client.topic(f"commands/response/request_id={made['commandId']}"),
                        {"result_code": 0, "paras": {"result": 1}}, qos)
    client.ping()
    bring_redis_back(application)
    assert wait_for_status(application, made, "SUCCESSFUL")["result"]["resultDetail"] == {"result": 1}
    if qos:
        client.wait_for_puback()


def test_a_command_that_was_taken_though_nobody_heard_of_it_is_sent(frail):
    """Redis carries out the question for it, and its answer is lost."""
    application = frail.application()
    meter = meter_of(application)
    made = application.command(meter)
    redis = frail.redis.client()
    client = MqttDevice(meter)
    assert client.login(kind=2) == ACCEPTED  # of v1: there is no question before it subscribes
    client.ping()
    key = f"{{p{zlib.crc32(meter.id.encode()) % PARTITIONS}}}:cmd:{meter.id}"
    frail.redis.freeze()
    client.subscribe(f"/huawei/v1/devices/{meter.node_id}/command/json")
    frail.wait_for_log("state=down")
    frail.redis.thaw()
    assert client.wait_for_message().json["msgType"] == "cloudReq"
    assert redis("HGET", key, "@taken").decode().endswith(made["commandId"])
    now = wait_for_status(application, made, "DELIVERED")
    assert now["issuedTimes"] == 1
    expect_nothing(client)


def test_what_a_device_shows_to_speak_while_redis_is_away_is_remembered(frail):
    application = frail.application()
    meter = meter_of(application)
    write(meter, Valve={"position": 75})
    made = application.command(meter)
    client = MqttDevice(meter)
    assert client.login(kind=2) == ACCEPTED  # v1 has no way for desired values, and no subscription yet
    expect_nothing(client)
    frail.redis.stop()
    frail.wait_for_log("state=down")
    client.subscribe(client.topic("#"))
    expect_nothing(client)
    bring_redis_back(application)
    topics = [client.wait_for_message().topic for _ in range(2)]
    assert any(topic.endswith(made["commandId"]) for topic in topics)
    assert any("properties/set" in topic for topic in topics)


def test_what_waits_for_children_is_asked_for_when_redis_is_back(frail):
    application = frail.application()
    gateway, (first, second) = family_of(application, 2)
    write(first, Valve={"position": 75})
    made = application.command(second)
    client = MqttDevice(gateway)
    assert client.login(kind=2) == ACCEPTED
    expect_nothing(client)
    frail.redis.stop()
    frail.wait_for_log("state=down")
    client.subscribe(client.topic("#"))
    expect_nothing(client)
    bring_redis_back(application)
    topics = [client.wait_for_message().topic for _ in range(2)]
    assert any(topic.endswith(made["commandId"]) for topic in topics)
    assert any("properties/set" in topic for topic in topics)


def test_the_answer_to_desired_values_while_redis_is_away_is_told_once(frail, receiver):
    application = frail.application()
    models.upload(application)
    device = application.register_device(info=models.METER_INFO)
    application.subscribe("deviceDesiredPropertiesModifyStatusChanged", receiver.url("/desired"))
    client = connected(device)
    write(device, Valve={"position": 75})
    request_id, _ = wait_for_set(client)
    frail.redis.stop()
    frail.wait_for_log("state=down")
    client.send_publish(client.topic(f"properties/set/response/request_id={request_id}"), {"result_code": 0})
    client.ping()
    bring_redis_back(application)
    assert receiver.wait_for_one("/desired").json["status"] == "DELIVERED"
    client.wait_for_puback()


# --- occasions


def test_a_report_is_an_occasion_for_commands(cluster):
    one, other = cluster().members
    application = one.application()
    meter = meter_of(application)
    client = connected(meter, other)
    client.report({"litres": 1}, "Flow")
    with unseen(meter):
        made = application.command(meter)
    assert made["status"] == "PENDING"
    expect_nothing(client)
    client.report({"litres": 2}, "Flow")
    assert next_command(client)[0] == made["commandId"]


def test_a_childs_report_is_an_occasion_for_its_commands(cluster):
    one, other = cluster().members
    application = one.application()
    gateway, (child,) = family_of(application, 1)
    client = v5(gateway, other)
    client.ping()
    with unseen(gateway):
        made = application.command(child)
    assert made["status"] == "PENDING"
    client.publish(client.topic("gateway/sub_devices/properties/report"), {"devices": [
        {"device_id": child.id, "services": [{"service_id": "Flow", "properties": {"litres": 1}}]}]})
    assert next_command(client)[0] == made["commandId"]


def come_online(client, child):
    client.publish(client.topic("events/up"),
                   event("$sub_device_manager", "sub_device_update_status",
                         {"device_statuses": [{"device_id": child.id, "status": "ONLINE"}]}))


def test_a_child_that_comes_online_gets_what_waits(cluster):
    one, other = cluster().members
    application = one.application()
    gateway, (child,) = family_of(application, 1)
    client = v5(gateway, other)
    client.ping()
    write(child, Valve={"position": 1})
    request_id, _ = wait_for_set(client)
    answer_set(client, request_id, {"result_code": 1})  # not now
    with unseen(gateway):
        made = application.command(child)
    come_online(client, child)
    topics = [client.wait_for_message().topic for _ in range(3)]
    assert any(topic.endswith(made["commandId"]) for topic in topics)
    assert any("properties/set" in topic for topic in topics)


def test_frozen_children_get_what_waits_when_they_are_not_frozen_any_more(application):
    gateway, (first, second) = family_of(application, 2)
    made = application.command(first)
    write(second, Valve={"position": 75})
    for child in (first, second):
        child.modify(mute="TRUE")
    client = v5(gateway)
    expect_nothing(client)
    assert application.command_now(made)["status"] == "PENDING"
    first.modify(mute="FALSE")
    assert next_command(client)[0] == made["commandId"]
    second.modify(mute="FALSE")
    assert wait_for_set(client)[1]["object_device_id"] == second.id


def test_a_v1_device_that_subscribes_in_v5s_way_gets_desired_values_at_once(application):
    models.upload(application)
    meter = application.register_device(info=models.METER_INFO)
    write(meter, Valve={"position": 75})
    client = MqttDevice(meter)
    assert client.login(kind=2) == ACCEPTED
    expect_nothing(client)
    client.subscribe(client.topic("properties/set/#"))
    assert wait_for_set(client)[1]["services"][0]["properties"] == {"position": 75}


# --- again and again, when that is wished


def test_requeued_commands_are_sent_until_the_device_acknowledges(start_platform):
    platform = start_platform(command__requeue="on", command__ack_timeout="300ms")
    application = platform.application()
    meter = meter_of(application)
    client = v5(meter)
    made = application.command(meter)
    for _ in range(2):
        assert client.wait_for_message(acknowledge=False).topic.endswith(made["commandId"])
    client.reset()
    again = v5(meter)
    assert again.wait_for_message().topic.endswith(made["commandId"])
    wait_for_status(application, made, "DELIVERED")


def test_without_that_they_are_not(start_platform):
    platform = start_platform(command__ack_timeout="300ms")
    application = platform.application()
    meter = meter_of(application)
    client = v5(meter)
    made = application.command(meter)
    client.wait_for_message(acknowledge=False)
    wait_for_status(application, made, "TIMEOUT")
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]
    assert application.command_now(made)["issuedTimes"] == 1

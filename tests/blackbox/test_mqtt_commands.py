"""Commands to devices over MQTT, in both dialects, and what comes back of them."""

import pytest

from helpers import errors
from helpers.cluster import at
from helpers.errors import expect_refusal
from helpers.models import package, upload
from helpers.mqtt import ACCEPTED, PUBLISH, MqttDevice, connected
from helpers.waiting import wait_until
from test_commands import INFO, meter_of, wait_for_status


@pytest.fixture
def meter(application):
    return meter_of(application)


def next_command(client):
    """Id and body of the next one in v5's way."""
    message = client.wait_for_message()
    start = client.topic("commands/request_id=")
    assert message.topic.startswith(start), message.topic
    return message.topic[len(start):], message.json


def answer(client, command_id, **body):
    client.publish(client.topic(f"commands/response/request_id={command_id}"), body)


def expect_nothing(client):
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]


def test_a_command_goes_to_a_connected_device_at_once(application, meter):
    client = connected(meter)
    made = application.command(meter, paras={"position": 75})
    command_id, body = next_command(client)
    assert command_id == made["commandId"]
    assert body == {"object_device_id": meter.id, "service_id": "Valve", "command_name": "SET_VALVE",
                    "paras": {"position": 75}}
    wait_for_status(application, made, "DELIVERED")
    answer(client, command_id, result_code=0, response_name="CMD_RSP", paras={"result": 1})
    now = wait_for_status(application, made, "SUCCESSFUL")
    assert now["result"]["resultDetail"] == {"result": 1}


def test_a_device_that_acknowledges_is_waited_for(application, meter):
    client = connected(meter)
    client.subscribe(client.topic("commands/#"))
    first, second = application.command(meter), application.command(meter)
    message = client.wait_for_message(acknowledge=False)
    assert message.qos == 1 and first["commandId"] in message.topic
    expect_nothing(client)
    assert application.command_now(first)["status"] == "SENT"
    client.acknowledge(message)
    wait_for_status(application, first, "DELIVERED")
    assert next_command(client)[0] == second["commandId"]


def test_commands_wait_for_the_device_and_come_in_order(application, meter):
    made = [application.command(meter, paras={"position": n}) for n in range(3)]
    client = connected(meter)
    for one in made:
        command_id, body = next_command(client)
        assert command_id == one["commandId"]
        answer(client, command_id)
        wait_for_status(application, one, "SUCCESSFUL")


@pytest.mark.parametrize("body, status", [
    ({}, "SUCCESSFUL"), ({"result_code": None}, "SUCCESSFUL"), ({"result_code": 1}, "FAILED"),
    ({"result_code": -5, "paras": {"result": 0}}, "FAILED"), ({"result_code": "x"}, "FAILED")], ids=str)
def test_the_result_code_decides(application, meter, body, status):
    client = connected(meter)
    made = application.command(meter)
    answer(client, next_command(client)[0], **body)
    wait_for_status(application, made, status)


def test_each_change_is_told_to_the_commands_callback(application, meter, receiver):
    client = connected(meter)
    made = application.command(meter, callbackUrl=receiver.url("/command"))
    answer(client, next_command(client)[0], result_code=0, paras={"result": 1})
    wait_for_status(application, made, "SUCCESSFUL")
    codes = wait_until(lambda: (c := [r.json["result"]["resultCode"]
                                      for r in receiver.requests("/command")]) and
                       c[-1] == "SUCCESSFUL" and c, "the last callback")
    assert codes == ["DELIVERED", "SUCCESSFUL"]  # SENT was the answer to the order


def test_what_was_not_acknowledged_is_not_sent_twice_and_may_be_answered_later(application, meter):
    client = connected(meter)
    client.subscribe(client.topic("commands/#"))
    first, second = application.command(meter), application.command(meter)
    assert first["commandId"] in client.wait_for_message(acknowledge=False).topic
    client.close()
    wait_until(lambda: meter.query()["deviceInfo"]["status"] == "OFFLINE", "the end")
    assert application.command_now(first)["status"] == "SENT"
    client = connected(meter)
    assert next_command(client)[0] == second["commandId"]
    expect_nothing(client)
    answer(client, first["commandId"], result_code=0)
    wait_for_status(application, first, "SUCCESSFUL")


def test_an_answer_that_comes_too_late_changes_nothing(application, meter, platform):
    client = connected(meter)
    made = application.command(meter)
    command_id, _ = next_command(client)
    answer(client, command_id, result_code=1)
    wait_for_status(application, made, "FAILED")
    answer(client, command_id, result_code=0)
    answer(client, "0" * 32, result_code=0)
    answer(client, "", result_code=0)
    client.ping()
    assert application.command_now(made)["status"] == "FAILED"


def test_an_immediate_command_reaches_a_connected_device(application, meter):
    client = connected(meter)
    made = application.command(meter, expireTime=0)
    assert next_command(client)[0] == made["commandId"]
    called = application.try_call(meter, body={"position": 5})
    assert called.status == 200, called
    assert next_command(client)[1]["paras"] == {"position": 5}


# --- v1


def v1_topic(meter, rest):
    return f"/huawei/v1/devices/{meter.node_id}/{rest}/json"


@pytest.fixture
def old_client(meter):
    client = MqttDevice(meter)
    assert client.login(kind=2) == ACCEPTED
    return client


def test_v1_devices_get_cloud_requests_when_they_have_subscribed(application, meter, old_client):
    made = application.command(meter, paras={"position": 4})
    expect_nothing(old_client)
    assert old_client.subscribe(v1_topic(meter, "command")) == [1]
    message = old_client.wait_for_message()
    assert message.topic == v1_topic(meter, "command") and message.qos == 1
    body = message.json
    mid = body.pop("mid")
    assert 1 <= mid <= 65535
    assert body == {"msgType": "cloudReq", "serviceId": "Valve", "cmd": "SET_VALVE",
                    "paras": {"position": 4}, "hasMore": 0}
    wait_for_status(application, made, "DELIVERED")
    old_client.publish(v1_topic(meter, "data"), {"mid": mid, "errcode": 0, "msgType": "deviceRsp",
                                                 "body": {"result": 1}})
    now = wait_for_status(application, made, "SUCCESSFUL")
    assert now["result"]["resultDetail"] == {"result": 1}


def test_an_error_code_of_v1_is_a_failure_and_a_body_may_be_missing(application, meter, old_client):
    old_client.subscribe(v1_topic(meter, "command"))
    made = application.command(meter)
    mid = old_client.wait_for_message().json["mid"]
    for wrong in (0, mid % 65535 + 1, "x", None, 70000):
        old_client.publish(v1_topic(meter, "data"), {"msgType": "deviceRsp", "mid": wrong, "errcode": 0})
    assert application.command_now(made)["status"] in ("SENT", "DELIVERED")
    old_client.publish(v1_topic(meter, "data"), {"msgType": "deviceRsp", "mid": mid, "errcode": 1})
    wait_for_status(application, made, "FAILED")


def test_who_subscribed_to_both_dialects_gets_each_command_once(application, meter):
    client = connected(meter)
    client.subscribe(f"/huawei/v1/devices/{meter.id}/command/json", client.topic("commands/#"))
    made = application.command(meter)
    assert next_command(client)[0] == made["commandId"]
    expect_nothing(client)


# --- gateways


def test_a_childs_command_goes_by_its_gateway(application):
    upload(application, package(protocolType="MQTT"))
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, info=INFO)
    made = application.command(child, paras={"position": 1})
    client = connected(gateway)
    command_id, body = next_command(client)
    assert command_id == made["commandId"] and body["object_device_id"] == child.id
    answer(client, command_id, result_code=0)
    wait_for_status(application, made, "SUCCESSFUL")
    made = application.command(child)
    assert next_command(client)[0] == made["commandId"]


def test_a_childs_command_in_v1_names_it(application):
    upload(application, package(protocolType="MQTT"))
    gateway = application.register_device()
    child = application.register_device(gateway=gateway, info=INFO)
    client = connected(gateway)
    client.subscribe(f"/huawei/v1/devices/{gateway.id}/command/json")
    made = application.command(child)
    body = client.wait_for_message().json
    assert body["deviceId"] == child.id
    client.publish(f"/huawei/v1/devices/{gateway.id}/data/json",
                   {"msgType": "deviceRsp", "mid": body["mid"], "errcode": 0, "deviceId": child.id})
    wait_for_status(application, made, "SUCCESSFUL")


# --- over several instances


def test_a_command_given_at_one_instance_reaches_a_device_at_another(cluster):
    one, other = cluster().members
    application = one.application()
    meter = meter_of(application)
    client = connected(meter, other)
    made = application.command(meter)
    command_id, _ = next_command(client)
    answer(client, command_id, result_code=0)
    wait_for_status(application, made, "SUCCESSFUL")


def test_after_the_death_of_an_instance_commands_wait_and_go_by_another(cluster):
    instances = cluster()
    one, other = instances.members
    application = one.application()
    meter = meter_of(application)
    client = connected(meter, other)
    client.ping()
    instances.kill(other)
    wait_until(lambda: meter.query()["deviceInfo"]["status"] == "OFFLINE", "the device offline")
    many = [application.command(meter, paras={"position": n}) for n in range(3)]
    assert [made["status"] for made in many] == ["PENDING"] * 3
    made = many[0]
    back = connected(meter, one)
    for n, wanted in enumerate(many):  # in order, and each once
        command_id, body = next_command(back)
        assert (command_id, body["paras"]) == (wanted["commandId"], {"position": n})
        answer(back, command_id, result_code=0)
        wait_for_status(application, wanted, "SUCCESSFUL")
    expect_nothing(back)
    assert at(application, one).command_now(made)["status"] == "SUCCESSFUL"


# --- more of both: what waits for what, and what goes wrong


def v5(device, platform=None):
    """Connected, and subscribed to the commands of v5 with QoS 1."""
    client = connected(device, platform)
    client.subscribe(client.topic("commands/#"))
    return client


def v1_data(client, **answer):
    client.publish(f"/huawei/v1/devices/{client.device.id}/data/json", {"msgType": "deviceRsp", **answer})


def codes(requests):
    return [r.json["result"]["resultCode"] for r in requests]


def test_a_device_that_shows_nothing_is_taken_for_one_of_v5_after_a_moment(application, meter):
    application.command(meter)
    client = connected(meter)
    assert client.wait_for_message().topic.startswith(client.topic("commands/"))


def test_an_answer_may_come_before_the_acknowledgement(application, meter, receiver):
    client = v5(meter)
    command = application.command(meter, callbackUrl=receiver.url("/cmd"))
    message = client.wait_for_message(acknowledge=False)
    answer(client, command["commandId"])
    client.acknowledge(message)
    assert codes(receiver.wait_for(2, "/cmd")) == ["DELIVERED", "SUCCESSFUL"]


def test_answers_to_nothing_are_taken_and_counted(platform, application, meter):
    client = v5(meter)
    command = application.command(meter)
    client.wait_for_message()
    answer(client, command["commandId"])
    wait_for_status(application, command, "SUCCESSFUL")
    ignored = platform.metric("mqtt_ignored_total", what="answer")
    for command_id in (command["commandId"], "0" * 32, "nonsense", "x" * 300):
        answer(client, command_id, result_code=1)
    client.publish(client.topic(f"commands/response/request_id={command['commandId']}"), b"no JSON")
    wait_until(lambda: platform.metric("mqtt_ignored_total", what="answer") >= ignored + 4, "the metric")
    assert application.command_now(command)["status"] == "SUCCESSFUL"


def test_nobody_answers_for_others(application, meter):
    client = v5(meter)
    command = application.command(meter)
    client.wait_for_message()
    other = v5(application.register_device(info=INFO))
    answer(other, command["commandId"])
    assert application.command_now(command)["status"] == "DELIVERED"


def test_immediate_commands_overtake(application, meter):
    client = v5(meter)
    first = application.command(meter, paras={"position": 1})
    message = client.wait_for_message(acknowledge=False)
    application.command(meter, paras={"position": 2})
    application.command(meter, paras={"position": 3}, expireTime=0)
    assert client.wait_for_message(acknowledge=False).json["paras"] == {"position": 3}
    client.acknowledge(message)
    assert client.wait_for_message().json["paras"] == {"position": 2}
    wait_for_status(application, first, "DELIVERED")


def test_more_commands_than_the_window_come_all(start_platform):
    platform = start_platform(device__mqtt_window="2")
    application = platform.application()
    meter = meter_of(application)
    client = v5(meter)
    for n in range(6):
        application.command(meter, paras={"position": n}, expireTime=0)
    messages = [client.wait_for_message(acknowledge=False) for _ in range(2)]
    expect_nothing(client)
    for _ in range(4):
        client.acknowledge(messages.pop(0))
        messages.append(client.wait_for_message(acknowledge=False))
    assert messages[-1].json["paras"] == {"position": 5}


def test_a_connection_that_ends_before_the_acknowledgement_times_out(start_platform):
    platform = start_platform(command__ack_timeout="1s")
    application = platform.application()
    meter = meter_of(application)
    client = v5(meter)
    command = application.command(meter)
    second = application.command(meter)
    client.wait_for_message(acknowledge=False)
    client.reset()
    again = v5(meter)
    # It is not sent again: it might be carried out twice. What stands behind it does not wait.
    assert again.wait_for_message().topic.endswith(second["commandId"])
    wait_for_status(application, command, "TIMEOUT")


def test_a_device_that_has_gone_is_not_online(application, meter):
    client = v5(meter)
    client.disconnect()
    wait_until(lambda: meter.query()["deviceInfo"]["status"] == "OFFLINE", "the device OFFLINE")
    expect_refusal(application.try_command(meter, expireTime=0), errors.DEVICE_NOT_ONLINE)
    assert application.command(meter)["status"] == "PENDING"


def test_a_v1_device_gets_what_waited_when_it_subscribes(start_platform):
    platform = start_platform(device__mqtt_decide_time="1m")
    application = platform.application()
    meter = meter_of(application)
    command = application.command(meter)
    client = connected(meter)  # in the way that both dialects have
    expect_nothing(client)
    client.publish(f"/huawei/v1/devices/{meter.id}/data/json", {"msgType": "deviceReq", "hasMore": 0, "data": [
        {"serviceId": "Flow", "serviceData": {"litres": 1}}]})
    expect_nothing(client)
    assert application.command_now(command)["status"] == "PENDING"
    client.subscribe(f"/huawei/v1/devices/{meter.id}/command/json")
    assert client.wait_for_message().json["msgType"] == "cloudReq"
    wait_for_status(application, command, "DELIVERED")


def test_a_v5_device_that_shows_it_is_not_waited_for(start_platform):
    platform = start_platform(device__mqtt_decide_time="1m")
    application = platform.application()
    meter = meter_of(application)
    made = application.command(meter)
    client = connected(meter)
    expect_nothing(client)
    client.report({"litres": 1}, service="Flow")
    assert next_command(client)[0] == made["commandId"]


@pytest.mark.parametrize("wrong", [{"mid": 2}, {}, {"mid": 1, "deviceId": "no id?"},
                                   {"mid": 1, "deviceId": "other"}], ids=str)
def test_wrong_numbers_answer_nothing(application, meter, old_client, wrong):
    old_client.subscribe(v1_topic(meter, "command"))
    command = application.command(meter)
    assert old_client.wait_for_message().json["mid"] == 1
    v1_data(old_client, errcode=0, **wrong)
    assert application.command_now(command)["status"] in ("SENT", "DELIVERED")
    v1_data(old_client, errcode=0, mid=1)
    wait_for_status(application, command, "SUCCESSFUL")


def test_nobody_answers_for_others_in_v1(application, meter, old_client):
    old_client.subscribe(v1_topic(meter, "command"))
    command = application.command(meter)
    old_client.wait_for_message()
    other = connected(application.register_device(info=INFO))
    v1_data(other, errcode=0, mid=1, deviceId=meter.id)
    assert application.command_now(command)["status"] in ("SENT", "DELIVERED")


def test_calls_are_confirmed_and_answered(application, meter, receiver):
    application.subscribe("messageConfirm", receiver.url("/confirm"))
    application.subscribe("commandRsp", receiver.url("/rsp"))
    expect_refusal(application.try_call(meter), errors.DEVICE_NOT_ONLINE)
    client = v5(meter)
    assert application.try_call(meter, body={"position": 5}, requestId="r 1").json["status"] == "sent"
    message = client.wait_for_message()
    assert message.json["paras"] == {"position": 5}
    assert receiver.wait_for_one("/confirm").json["header"]["requestId"] == "r 1"
    answer(client, message.topic.partition("request_id=")[2], paras={"result": 1})
    told = receiver.wait_for_one("/rsp").json
    assert (told["header"]["requestId"], told["header"]["method"], told["body"]) == (
        "r 1", "CMD_RSP", {"result": 1})


def test_what_the_dead_instance_did_not_take_waits_again(cluster):
    """Ordered while nobody knows yet that the connection is gone."""
    instances = cluster(command__take_timeout="300ms", partition__lease="3s")
    one, other = instances.members
    application = one.application()
    meter = meter_of(application)
    lost = v5(meter, platform=other)
    instances.kill(other)
    command = application.command(meter)
    assert command["status"] == "SENT"
    immediate = application.command(meter, expireTime=0)
    wait_for_status(application, command, "PENDING")
    wait_for_status(application, immediate, "FAILED")
    assert v5(meter, platform=one).wait_for_message().topic.endswith(command["commandId"])
    lost.close()


# --- many children


def family_of(application, count):
    upload(application, package(protocolType="MQTT"))
    gateway = application.register_device()
    return gateway, [application.register_device(gateway=gateway, info=INFO) for _ in range(count)]


def next_commands(client, count, acknowledge=True):
    """How often each device got one."""
    got = {}
    for _ in range(count):
        device_id = client.wait_for_message(acknowledge).json["object_device_id"]
        got[device_id] = got.get(device_id, 0) + 1
    return got


@pytest.mark.parametrize("qos", [0, 1])
def test_each_of_many_children_gets_what_waited_for_it(start_platform, qos):
    platform = start_platform(device__mqtt_window="4")
    application = platform.application()
    gateway, children = family_of(application, 40)
    for child in children:
        assert application.command(child)["status"] == "PENDING"
    client = connected(gateway)
    if qos:
        client.subscribe(client.topic("commands/#"))
    assert next_commands(client, 40) == {child.id: 1 for child in children}
    expect_nothing(client)


def test_a_gateway_that_takes_little_is_not_flooded(start_platform):
    """What waits behind it is more than may wait for it, and than sockets hold: it is sent as it reads."""
    platform = start_platform(device__mqtt_output_bytes="64k", command__model_check="none",
                              command__max_bytes="256k", device__mqtt_window="1")
    application = platform.application()
    gateway = application.register_device()
    children = [application.register_device(gateway=gateway) for _ in range(100)]
    for child in children:
        application.command(child, paras={"text": "x" * 200000})
    client = MqttDevice(gateway)
    assert client.login() == ACCEPTED
    wait_until(lambda: platform.metric("mqtt_messages_total", direction="down") > 0 and
               platform.metric("mqtt_gateway_offers") == 0, "the pause")
    assert platform.metric("mqtt_messages_total", direction="down") < 100
    assert next_commands(client, 100) == {child.id: 1 for child in children}
    expect_nothing(client)


def test_commands_that_redis_was_not_there_for_go_later(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_decide_time="1m", redis__command_timeout="1s")
    application = platform.application()
    upload(application, package(protocolType="MQTT"))
    gateway = application.register_device(info=INFO)
    devices = [gateway, *(application.register_device(gateway=gateway, info=INFO) for _ in range(3))]
    for device in devices:
        application.command(device)
    client = connected(gateway)
    redis.stop()
    wait_until(lambda: not platform.is_ready(), "the loss of Redis")
    client.subscribe(client.topic("commands/#"))  # so it is known where they are to go
    client.ping()
    redis.start()
    platform.wait_until_ready()

    def all_are_there():
        client.ping()
        return [one.kind for one in client.kept].count(PUBLISH) == 4
    wait_until(all_are_there, "the commands")
    assert next_commands(client, 4) == {device.id: 1 for device in devices}

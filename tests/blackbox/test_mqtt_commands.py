"""Commands to devices over MQTT, in both dialects, and what comes back of them."""

import pytest

from helpers.cluster import at
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
    made = application.command(meter)
    assert made["status"] == "PENDING"
    back = connected(meter, one)
    assert next_command(back)[0] == made["commandId"]
    answer(back, made["commandId"], result_code=0)
    wait_for_status(application, made, "SUCCESSFUL")
    assert at(application, one).command_now(made)["status"] == "SUCCESSFUL"

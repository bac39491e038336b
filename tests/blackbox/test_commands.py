"""Commands for devices: ordering, looking, canceling. Nothing here needs a connected device but those tests that
play one."""

import json
import re
import time

import pytest

from helpers import errors
from helpers.errors import expect_refusal
from helpers.link import Link
from helpers.models import METER_INFO, package, upload
from helpers.nouns import CANCEL_TASKS, CALLS, COMMANDS
from helpers.waiting import wait_until

INFO = {**METER_INFO, "protocolType": "MQTT"}
TIME = r"\d{8}T\d{6}Z"


@pytest.fixture
def meter(application):
    """A device whose model has the service Valve with the command SET_VALVE."""
    return meter_of(application)


def meter_of(application):
    upload(application, package(protocolType="MQTT"))
    return application.register_device(info=INFO)


@pytest.fixture
def link(meter):
    return Link(meter)


def wait_for_status(application, command, status):
    return wait_until(lambda: (now := application.command_now(command))["status"] == status and now,
                      f"the command's status {status}")


def ids(page):
    return [c["commandId"] for c in page["data"]]


# ---- ordering


def test_a_command_for_a_device_that_is_away_waits(application, meter):
    made = application.command(meter, paras={"position": 75}, maxRetransmit=2)
    assert re.fullmatch("[0-9a-f]{32}", made.pop("commandId"))
    assert re.fullmatch(TIME, made.pop("creationTime"))
    assert made == {
        "appId": application.id, "deviceId": meter.id,
        "command": {"serviceId": "Valve", "method": "SET_VALVE", "paras": {"position": 75}},
        "expireTime": 172800, "status": "PENDING", "issuedTimes": 0, "maxRetransmit": 2}


def test_members_stand_in_the_protocols_order(application, meter):
    made = application.command(meter, callbackUrl="http://127.0.0.1:9/x", maxRetransmit=0, expireTime=60)
    assert list(made) == ["commandId", "appId", "deviceId", "command", "callbackUrl", "expireTime",
                          "status", "creationTime", "issuedTimes", "maxRetransmit"]


def test_numbers_may_be_texts_and_further_members_are_ignored(application, meter, link):
    made = application.command(meter, expireTime="0", maxRetransmit="3", appId="x", requestId="r")
    assert (made["expireTime"], made["maxRetransmit"], made["status"]) == (0, 3, "SENT")
    assert made["platformIssuedTime"] == made["creationTime"]
    assert made["issuedTimes"] == 0


@pytest.mark.parametrize("members", [{"expireTime": None, "maxRetransmit": None, "callbackUrl": None},
                                     {"callbackUrl": ""}, {"expireTime": 172800}, {"expireTime": "172800"}], ids=str)
def test_what_is_null_or_empty_was_not_said(application, meter, members):
    made = application.command(meter, **members)
    assert (made["expireTime"], "callbackUrl" in made, "maxRetransmit" in made) == (172800, False, False)


@pytest.mark.parametrize("given", ["-1", "+1", " 1", "1 ", "1.0", "1e3", "", "9" * 30, [], {}])
@pytest.mark.parametrize("member", ["expireTime", "maxRetransmit"])
def test_texts_that_are_no_numbers_are_refused(application, meter, member, given):
    expect_refusal(application.try_command(meter, **{member: given}), errors.DEVICE_PARAMETER)


def test_of_several_mistakes_the_first_is_told(start_platform):
    """In the protocol's order: the model, the parameters, the callback, the queue, the connection."""
    application = start_platform(command__pending="1").application()
    meter = meter_of(application)
    application.command(meter)
    bad = {"callbackUrl": "ftp://x"}
    without_model = application.register_device()
    expect_refusal(application.try_command(without_model, **bad), errors.SERVICE_UNKNOWN)
    expect_refusal(application.try_command(meter, service="Pump", paras={"position": "x"}, **bad),
                   errors.SERVICE_UNKNOWN)
    expect_refusal(application.try_command(meter, paras={"position": "x"}, **bad), errors.DEVICE_PARAMETER)
    expect_refusal(application.try_command(meter, **bad), errors.CALLBACK_ILLEGAL)
    expect_refusal(application.try_command(meter), errors.COMMAND_QUOTA)
    expect_refusal(application.try_command(meter, expireTime=0), errors.DEVICE_NOT_ONLINE)
    meter.modify(mute="TRUE")
    expect_refusal(application.try_command(meter, service="Pump", **bad), errors.DEVICE_FROZEN)


def test_parameters_may_be_missing(application, meter):
    for command in ({}, {"paras": None}):
        response = application.post(COMMANDS, {"deviceId": meter.id, "command": {
            "serviceId": "Valve", "method": "SET_VALVE", **command}})
        assert response.status == 201 and response.json["command"]["paras"] == {}, response


@pytest.mark.parametrize("members", [
    {"deviceId": None}, {"deviceId": ""}, {"deviceId": 7}, {"deviceId": "d" * 65},
    {"command": None}, {"command": "x"}, {"command": []},
    {"command": {"method": "m"}}, {"command": {"serviceId": "s"}},
    {"command": {"serviceId": "", "method": "m"}}, {"command": {"serviceId": "s", "method": ""}},
    {"command": {"serviceId": "s" * 65, "method": "m"}},
    {"command": {"serviceId": "s", "method": "m" * 129}},
    {"command": {"serviceId": "s", "method": "m", "paras": []}},
    {"command": {"serviceId": "s", "method": "m", "paras": "{}"}},
    {"expireTime": -1}, {"expireTime": 1.5}, {"expireTime": "x"}, {"expireTime": 172801},
    {"expireTime": True}, {"maxRetransmit": 4}, {"maxRetransmit": -1}, {"maxRetransmit": {}},
    {"callbackUrl": 5},
])
def test_malformed_orders_are_refused(application, meter, members):
    body = {"deviceId": meter.id, "command": {"serviceId": "Valve", "method": "SET_VALVE"}, **members}
    expect_refusal(application.post(COMMANDS, body), errors.DEVICE_PARAMETER)
    assert application.commands()["pagination"]["totalSize"] == 0


def test_a_body_that_is_no_object_is_refused(application):
    for body in ("", "{", "[]", "7"):
        expect_refusal(application.post(COMMANDS, body), errors.DEVICE_PARAMETER)


def test_large_parameters_are_refused(start_platform):
    platform = start_platform(command__max_bytes="100", command__model_check="none")
    application = platform.application()
    device = application.register_device()
    application.command(device, paras={"a": "x" * 90})
    expect_refusal(application.try_command(device, paras={"a": "x" * 95}), errors.DEVICE_PARAMETER)


def test_unknown_devices_are_refused(platform, application, meter):
    expect_refusal(application.try_command("nobody"), errors.COMMAND_DEVICE_UNKNOWN)
    expect_refusal(application.try_command("no body?"), errors.COMMAND_DEVICE_UNKNOWN)
    other = platform.application()
    expect_refusal(other.try_command(meter), errors.COMMAND_DEVICE_UNKNOWN)
    expect_refusal(application.try_command("nobody", service="s", path=COMMANDS + "?appId=nobody"),
                   errors.APP_UNKNOWN_200)
    expect_refusal(application.try_command(meter, path=f"{COMMANDS}?appId={other.id}"),
                   errors.APP_NOT_AUTHORIZED)


def test_frozen_devices_get_no_commands(application, meter):
    meter.modify(mute="TRUE")
    expect_refusal(application.try_command(meter), errors.DEVICE_FROZEN)


def test_a_device_that_was_away_for_long_is_a_zombie(start_platform):
    platform = start_platform(command__zombie_after="1s", command__model_check="none",
                              command__pending="1000")
    application = platform.application()
    device = application.register_device()
    wait_until(lambda: application.try_command(device).status == 403, "the device to be a zombie")
    expect_refusal(application.try_command(device), errors.DEVICE_ZOMBIE)
    device.report({"n": 1})
    application.command(device)


def test_immediate_commands_need_the_device(application, meter):
    expect_refusal(application.try_command(meter, expireTime=0), errors.DEVICE_NOT_ONLINE)
    assert application.commands()["pagination"]["totalSize"] == 0


def test_a_sleeping_device_misses_an_immediate_command(start_platform):
    platform = start_platform(command__ack_timeout="300ms", command__model_check="none")
    application = platform.application()
    device = application.register_device(info={"protocolType": "CoAP"})
    command = application.command(device, expireTime=0)
    assert command["status"] == "SENT"
    assert wait_for_status(application, command, "TIMEOUT")["result"] == {
        "resultCode": "TIMEOUT", "resultDetail": None}


def test_devices_that_speak_http_cannot_be_reached(application):
    upload(application, package(protocolType="HTTP"))
    device = application.register_device(info={**INFO, "protocolType": "HTTP"})
    expect_refusal(application.try_command(device), errors.DEVICE_NOT_ONLINE)


def test_twenty_commands_may_wait(application, meter):
    for _ in range(20):
        application.command(meter)
    expect_refusal(application.try_command(meter), errors.COMMAND_QUOTA)
    assert application.commands()["pagination"]["totalSize"] == 20
    application.try_cancel(application.commands()["data"][0])
    application.command(meter)


# ---- its callback


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9/x", "http://127.0.0.1/x", "http://127.0.0.1:9",
                                 "http://u:p@127.0.0.1:9/x", "http://127.0.0.1:9/x y",
                                 "http://10.0.0.1:9/x", "http://127.0.0.1:9/" + "x" * 1024])
def test_illegal_callbacks_are_refused(application, meter, url):
    expect_refusal(application.try_command(meter, callbackUrl=url), errors.CALLBACK_ILLEGAL)


def test_the_servers_own_listeners_are_no_callbacks(application, meter):
    url = f"http://{application.platform.api_address}/x"
    expect_refusal(application.try_command(meter, callbackUrl=url), errors.CALLBACK_ILLEGAL)


def test_the_rule_of_one_host_holds_for_commands(start_platform):
    platform = start_platform(subscription__needs_one_host="on", command__model_check="none")
    application = platform.application()
    device = application.register_device()
    application.subscribe("deviceAdded", "http://127.0.0.1:9100/a")
    application.command(device, callbackUrl="http://127.0.0.1:9100/b")
    expect_refusal(application.try_command(device, callbackUrl="http://127.0.0.1:9101/b"),
                   errors.CALLBACK_OF_ANOTHER_HOST)


# ---- the model


def test_a_device_without_a_model_has_no_services(application):
    expect_refusal(application.try_command(application.register_device()), errors.SERVICE_UNKNOWN)


def test_the_service_must_be_in_the_model(application, meter):
    expect_refusal(application.try_command(meter, service="Pump"), errors.SERVICE_UNKNOWN)


@pytest.mark.parametrize("paras", [{"position": 101}, {"position": "x"}, {"position": None},
                                   {"position": 1.5}, {"position": "101"}, {"position": "1.5"}])
def test_known_parameters_must_fit(application, meter, paras):
    expect_refusal(application.try_command(meter, paras=paras), errors.DEVICE_PARAMETER)


def test_lenient_checks_pass_what_the_model_does_not_know(application, meter, link):
    application.command(meter, method="OTHER", paras={"x": 1})
    application.command(meter, paras={"position": "75", "more": True})
    first = link.take()
    link.acknowledge(first["id"])
    assert first["method"] == "OTHER"
    assert link.take()["paras"] == {"position": "75", "more": True}  # unchanged


def test_strict_checks_do_not(start_platform):
    platform = start_platform(command__model_check="strict")
    application = platform.application()
    meter = meter_of(application)
    application.command(meter, paras={"position": 75})
    for how in ({"method": "OTHER"}, {"paras": {"position": 1, "more": 1}}, {"paras": {}},
                {"paras": {"position": "75"}}):
        expect_refusal(application.try_command(meter, **how), errors.DEVICE_PARAMETER)


# ---- states


def test_a_command_is_sent_delivered_and_answered(application, meter):
    command = application.command(meter, paras={"position": 75})
    link = Link(meter)
    taken = link.take()
    assert (taken["id"], taken["serviceId"], taken["method"], taken["paras"]) == (
        command["commandId"], "Valve", "SET_VALVE", {"position": 75})
    sent = application.command_now(command)
    assert (sent["status"], sent["issuedTimes"]) == ("SENT", 1)
    assert sent["result"] == {"resultCode": "SENT", "resultDetail": None}
    link.acknowledge(taken["id"])
    link.answer(taken["id"], {"result": 0})
    done = application.command_now(command)
    assert list(done) == ["commandId", "appId", "deviceId", "command", "expireTime", "status", "result",
                          "creationTime", "executeTime", "platformIssuedTime", "deliveredTime",
                          "issuedTimes"]
    assert (done["status"], done["result"]) == (
        "SUCCESSFUL", {"resultCode": "SUCCESSFUL", "resultDetail": {"result": 0}})


def test_a_connected_device_is_commanded_at_once(application, meter, link):
    first = application.command(meter)
    assert first["status"] == "SENT" and "result" not in first
    assert application.command(meter)["status"] == "PENDING"  # one after the other
    assert application.command(meter, expireTime=0)["status"] == "SENT"
    assert "result" not in application.command_now(first)


def test_a_command_that_nobody_answers_times_out(start_platform):
    platform = start_platform(command__ack_timeout="300ms", command__answer_timeout="1s")
    application = platform.application()
    meter = meter_of(application)
    command = application.command(meter, expireTime=1)
    link = Link(meter)
    link.acknowledge(link.take()["id"], answer_ms=300)  # the model says that there is an answer
    wait_for_status(application, command, "TIMEOUT")


def test_a_command_expires_when_the_device_stays_away(application, meter):
    command = application.command(meter, expireTime=1)
    assert wait_for_status(application, command, "EXPIRED")["result"]["resultCode"] == "EXPIRED"
    expect_refusal(application.try_cancel(command), errors.COMMAND_OVER)


def test_a_command_expires_though_the_server_was_down(start_platform, start_redis):
    platform = start_platform(redis=start_redis(), command__model_check="none")
    application = platform.application()
    command = application.command(application.register_device(), expireTime=1)
    assert platform.stop() == 0
    time.sleep(1.1)  # what is tested is that this time passes
    platform.start()
    wait_for_status(application, command, "EXPIRED")


def test_the_old_set_of_states_says_default(start_platform):
    platform = start_platform(command__old_status_set="on", command__model_check="none")
    application = platform.application()
    command = application.command(application.register_device())
    assert command["status"] == "DEFAULT"
    assert application.commands()["data"][0]["status"] == "DEFAULT"
    assert application.try_cancel(command).json["status"] == "CANCELED"


def test_the_commands_of_a_deleted_device_are_gone(application, meter):
    command = application.command(meter)
    meter.delete()
    expect_refusal(application.get(f"{COMMANDS}/{command['commandId']}"), errors.COMMAND_UNKNOWN)
    assert application.commands() == {"pagination": {"pageNo": 0, "pageSize": 1000, "totalSize": 0}, "data": []}


# ---- queries


def test_pages_show_the_newest_first(application, meter):
    made = [application.command(meter)["commandId"] for _ in range(5)]
    page = application.commands("?pageSize=2&pageNo=1")
    assert page["pagination"] == {"pageNo": 1, "pageSize": 2, "totalSize": 5}
    assert ids(page) == [made[2], made[1]]
    everything = application.commands()
    assert everything["pagination"] == {"pageNo": 0, "pageSize": 1000, "totalSize": 5}
    assert ids(everything) == made[::-1]
    assert application.commands("?pageNo=9")["data"] == []


def test_pages_of_one_device(application, meter):
    other = application.register_device(info=INFO)
    theirs = application.command(other)
    mine = application.command(meter)
    assert ids(application.commands()) == [mine["commandId"], theirs["commandId"]]
    for name in ("deviceId", "deviceid", "DEVICEID"):
        assert ids(application.commands(f"?{name}={meter.id}")) == [mine["commandId"]]
    expect_refusal(application.get(f"{COMMANDS}?deviceId=nobody"), errors.COMMAND_DEVICE_UNKNOWN)


def test_pages_between_times(application, meter):
    command = application.command(meter)
    at = command["creationTime"]
    assert len(application.commands(f"?startTime={at}")["data"]) == 1
    assert len(application.commands(f"?startTime=20200101T000000Z&endTime={at}")["data"]) == 1
    assert application.commands("?endTime=20200101T000000Z")["pagination"]["totalSize"] == 0
    assert application.commands("?startTime=20990101T000000Z")["data"] == []


@pytest.mark.parametrize("query", [
    "pageNo=-1", "pageNo=x", "pageSize=0", "pageSize=1001", "pageSize=x", "startTime=yesterday",
    "endTime=x", "startTime=20200102T000000Z&endTime=20200101T000000Z",
    "startTime=20200101T000000Z&endTime=20200101T000000Z", "deviceId=" + "d" * 65])
def test_bad_parameters_of_queries_are_refused(application, query):
    expect_refusal(application.get(f"{COMMANDS}?{query}"), errors.DEVICE_PARAMETER)
    expect_refusal(application.get(f"{CANCEL_TASKS}?{query}"), errors.DEVICE_PARAMETER)


def test_applications_see_their_own_commands(platform, application, meter):
    command = application.command(meter)
    other = platform.application()
    assert other.commands()["data"] == []
    expect_refusal(other.get(f"{COMMANDS}/{command['commandId']}"), errors.COMMAND_UNKNOWN)
    expect_refusal(other.try_cancel(command), errors.COMMAND_UNKNOWN)
    expect_refusal(other.get(f"{COMMANDS}?appId={application.id}"), errors.APP_NOT_AUTHORIZED)
    expect_refusal(other.get(f"{COMMANDS}?appId=nobody"), errors.APP_UNKNOWN_200)


@pytest.mark.parametrize("command_id", ["x", "0" * 32, "f" * 32, "0" * 31 + "G", "0" * 33, "-" * 32])
def test_unknown_commands_are_not_there(application, command_id):
    expect_refusal(application.get(f"{COMMANDS}/{command_id}"), errors.COMMAND_UNKNOWN)
    expect_refusal(application.try_cancel({"commandId": command_id}), errors.COMMAND_UNKNOWN)


def test_what_is_kept_per_device_is_bounded(start_platform):
    platform = start_platform(command__keep="3", command__model_check="none")
    application = platform.application()
    device = application.register_device()
    made = []
    for _ in range(5):
        made.append(application.command(device))
        application.try_cancel(made[-1])
    # Trimmed with the next one: what is kept, and no more.
    made.append(application.command(device))
    wait_until(lambda: application.commands()["pagination"]["totalSize"] == 3, "the list to be trimmed")
    assert ids(application.commands(f"?deviceId={device.id}")) == [c["commandId"] for c in made[:2:-1]]
    expect_refusal(application.get(f"{COMMANDS}/{made[0]['commandId']}"), errors.COMMAND_UNKNOWN)


# ---- canceling


def test_a_waiting_command_is_canceled(application, meter):
    command = application.command(meter)
    response = application.try_cancel(command)
    assert response.status == 200 and response.json["status"] == "CANCELED", response
    assert response.json["commandId"] == command["commandId"]
    expect_refusal(application.try_cancel(command), errors.COMMAND_OVER)
    assert Link(meter).take() is None


def test_a_command_that_was_sent_is_not_canceled(application, meter, link):
    command = application.command(meter)
    expect_refusal(application.try_cancel(command), errors.COMMAND_OVER)
    assert link.take()["id"] == command["commandId"]


@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": "PENDING"}, {"status": 1}, [], ""])
def test_commands_are_changed_in_no_other_way(application, meter, body):
    command = application.command(meter)
    expect_refusal(application.put(f"{COMMANDS}/{command['commandId']}", body), errors.DEVICE_PARAMETER)
    assert application.command_now(command)["status"] == "PENDING"


def test_canceling_names_an_application(platform, application, meter):
    command = application.command(meter)
    other = platform.application()
    path = f"{COMMANDS}/{command['commandId']}?appId="
    expect_refusal(application.put(path + other.id, {"status": "CANCELED"}), errors.APP_NOT_AUTHORIZED_200)
    expect_refusal(application.put(path + "nobody", {"status": "CANCELED"}), errors.APP_UNKNOWN_200)


def test_a_task_cancels_all_of_a_device(application, meter):
    made = [application.command(meter)["commandId"] for _ in range(3)]
    response = application.try_cancel_all(meter)
    assert response.status == 201, response
    task = response.json
    assert (task["appId"], task["deviceId"], task["status"], task["totalCount"]) == (
        application.id, meter.id, "SUCCESS", 3)
    assert [c["commandId"] for c in task["deviceCommands"]] == made
    assert {c["status"] for c in task["deviceCommands"]} == {"CANCELED"}
    empty = application.try_cancel_all(meter).json
    assert (empty["status"], empty["totalCount"], empty["deviceCommands"]) == ("SUCCESS", 0, [])


def test_tasks_cancel_only_what_waits(application, meter, link):
    application.command(meter)
    waiting = application.command(meter)
    task = application.try_cancel_all(meter).json
    assert [c["commandId"] for c in task["deviceCommands"]] == [waiting["commandId"]]


def test_tasks_need_a_device(platform, application, meter):
    for body in ({}, {"deviceId": ""}, {"deviceId": "d" * 65}, [], ""):
        expect_refusal(application.post(CANCEL_TASKS, body), errors.DEVICE_PARAMETER)
    expect_refusal(application.post(CANCEL_TASKS, {"deviceId": "nobody"}), errors.COMMAND_DEVICE_UNKNOWN)
    expect_refusal(platform.application().try_cancel_all(meter), errors.COMMAND_DEVICE_UNKNOWN)
    expect_refusal(application.post(CANCEL_TASKS + "?appId=nobody", {"deviceId": meter.id}),
                   errors.APP_UNKNOWN)


def test_tasks_are_found_by_what_they_are(application, meter):
    application.command(meter)
    first = application.try_cancel_all(meter).json
    other = application.register_device(info=INFO)
    second = application.try_cancel_all(other).json

    def found(query=""):
        response = application.get(CANCEL_TASKS + query)
        assert response.status == 200, response
        return response.json

    page = found()
    assert page["pagination"] == {"pageNo": 0, "pageSize": 1000, "totalSize": 2}
    assert {t["taskId"] for t in page["data"]} == {first["taskId"], second["taskId"]}
    assert found(f"?taskId={first['taskId']}")["data"] == [first]
    assert found(f"?deviceId={other.id}")["data"] == [second]
    assert len(found("?status=SUCCESS")["data"]) == 2
    assert found("?status=FAILED")["data"] == []
    assert found("?endTime=20200101T000000Z")["data"] == []
    assert len(found("?startTime=20200101T000000Z")["data"]) == 2
    assert found("?startTime=20990101T000000Z")["data"] == []
    assert found(f"?TASKID={first['taskId']}&deviceId={other.id}")["data"] == []
    expect_refusal(application.get(f"{CANCEL_TASKS}?deviceId=nobody"), errors.COMMAND_DEVICE_UNKNOWN)
    page = found("?pageSize=1&pageNo=1")
    assert page["pagination"]["totalSize"] == 2 and len(page["data"]) == 1


# ---- older paths


def old_body(**members):
    return {"command": {"serviceId": "Valve", "method": "SET_VALVE", "paras": {}, "hasMore": 0}, **members}


def test_the_older_paths_lead_to_the_same(application, meter):
    base = "/iocm/app/cmd/v1.2.0"
    made = application.post(f"{base}/devices/{meter.id}/commands", old_body())
    assert made.status == 200 and made.json["status"] == "PENDING", made
    newer = application.post(f"/iocm/app/cmd/v1.3.0/devices/{meter.id}/commands", old_body())
    assert newer.status == 201, newer
    listed = application.get(f"{base}/queryCmd?deviceId={meter.id}").json
    assert listed["totalCount"] == 2
    assert listed["list"][1] == {
        "commandId": made.json["commandId"], "command": made.json["command"], "expireTime": 172800,
        "result": {"resultCode": "PENDING", "resultDetail": None}}
    path = f"{base}/devices/{meter.id}/commands/{made.json['commandId']}"
    other = f"{base}/devices/other/commands/{made.json['commandId']}"
    expect_refusal(application.put(other, {"status": "CANCELED"}), errors.COMMAND_UNKNOWN)
    assert application.put(path, {"status": "CANCELED"}).json["status"] == "CANCELED"
    task = application.post(f"{base}/cancelCmd", {"deviceId": meter.id})
    assert (task.status, task.json["totalCount"]) == (201, 1)


# ---- calls


def test_a_call_is_sent_to_a_connected_device(application, meter, link):
    response = application.try_call(meter, body={"position": 75}, requestId="r-1")
    assert response.status == 200, response
    assert list(response.json) == ["status", "timestamp", "requestId"]
    assert (response.json["status"], response.json["requestId"]) == ("sent", "r-1")
    assert re.fullmatch(TIME, response.json["timestamp"])
    taken = link.take()
    assert (taken["serviceId"], taken["method"], taken["paras"]) == ("Valve", "SET_VALVE", {"position": 75})
    assert application.commands()["data"] == []


def test_a_call_without_a_request_id_gets_one(application, meter, link):
    response = application.try_call(meter)
    assert response.json["requestId"] == link.take()["id"]


def test_calls_need_a_connected_device(application, meter):
    expect_refusal(application.try_call(meter), errors.DEVICE_NOT_ONLINE)
    expect_refusal(application.try_call("nobody"), errors.COMMAND_DEVICE_UNKNOWN)
    child = application.register_device(gateway=meter, info=INFO)
    expect_refusal(application.try_call(child), errors.GATEWAY_NOT_ONLINE)
    Link(meter)
    assert application.try_call(child).json["status"] == "sent"


def test_calls_are_checked_against_the_model(application, meter, link):
    expect_refusal(application.try_call(meter, service="Pump"), errors.CALL_SERVICE_UNKNOWN)
    expect_refusal(application.try_call(meter, service="P" * 65), errors.CALL_SERVICE_UNKNOWN)
    expect_refusal(application.try_call(meter, method="OTHER"), errors.COMMAND_NAME)
    expect_refusal(application.try_call(meter, method=""), errors.COMMAND_NAME)
    expect_refusal(application.try_call(meter, method=None), errors.COMMAND_NAME)
    expect_refusal(application.try_call(meter, body={"position": 101}), errors.DEVICE_PARAMETER)
    expect_refusal(application.try_call(application.register_device()), errors.CALL_SERVICE_UNKNOWN)
    assert link.take() is None


def test_muted_calls_are_refused(application, meter, link):
    path = f"/iocm/app/dm/v1.1.0/devices/{meter.id}/services/Valve"
    assert application.put(path, {"muteCmds": ["SET_VALVE"]}).status == 200
    expect_refusal(application.try_call(meter), errors.COMMAND_MUTED)
    assert application.try_call(meter, service="Bypass").json["status"] == "sent"
    assert application.put(path, {"muteCmds": []}).status == 200
    assert application.try_call(meter).json["status"] == "sent"


@pytest.mark.parametrize("header", [{"mode": "MAYBE"}, {"toType": "MOON"}, {"requestId": "r" * 129},
                                    {"from": "f" * 129}, {"to": "t" * 129}, {"mode": 1}])
def test_malformed_calls_are_refused(application, meter, link, header):
    expect_refusal(application.try_call(meter, **header), errors.DEVICE_PARAMETER)


def test_calls_without_a_header_are_refused(application, meter):
    path = f"{CALLS}/{meter.id}/services/Valve/sendCommand"
    for body in ("", "[]", {}, {"header": None}, {"header": []}, {"header": {"method": "m"}, "body": []}):
        expect_refusal(application.post(path, body), errors.DEVICE_PARAMETER)


def test_calls_name_an_application(platform, application, meter):
    path = f"{CALLS}/{meter.id}/services/Valve/sendCommand?appId="
    body = {"header": {"method": "SET_VALVE"}}
    expect_refusal(application.post(path + "nobody", body), errors.APP_UNKNOWN_200)
    expect_refusal(application.post(path + platform.application().id, body), errors.APP_NOT_AUTHORIZED_200)


def test_illegal_callbacks_of_calls_are_refused(application, meter, link):
    expect_refusal(application.try_call(meter, callbackURL="ftp://x"), errors.CALLBACK_ILLEGAL)


# ---- the administrator


def test_the_administrator_sees_and_cancels_commands(platform, application, meter):
    made = [application.command(meter, paras={"position": n}, callbackUrl="http://127.0.0.1:9/x") for n in (1, 2)]
    other = application.command(application.register_device(info=INFO))
    listed = platform.ctl("command", "list", "--app", application.id)
    assert listed.returncode == 0, listed
    lines = listed.stdout.splitlines()
    assert lines[0].split()[:5] == ["ID", "DEVICE", "SERVICE", "METHOD", "STATUS"]
    assert [line.split()[0] for line in lines[1:]] == [c["commandId"] for c in (other, *made[::-1])]
    of_meter = platform.ctl("command", "list", "--app", application.id, "--device", meter.id, "-q")
    assert of_meter.stdout.split() == [c["commandId"] for c in made[::-1]]
    shown = platform.ctl("command", "show", made[0]["commandId"])
    for word in ("PENDING", meter.id, "SET_VALVE", "position  1", "http://127.0.0.1:9/x"):
        assert word in shown.stdout, shown
    canceled = platform.ctl("command", "cancel", made[0]["commandId"])
    assert canceled.returncode == 0 and "canceled" in canceled.stdout, canceled
    assert application.command_now(made[0])["status"] == "CANCELED"
    as_json = json.loads(platform.ctl("command", "show", made[0]["commandId"], "--json").stdout)
    assert (as_json["id"], as_json["status"], as_json["paras"]) == (made[0]["commandId"], "CANCELED", {"position": 1})
    lines = platform.ctl("command", "list", "--app", application.id, "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [c["commandId"] for c in (other, *made[::-1])]
    again = platform.ctl("command", "cancel", made[0]["commandId"])
    assert again.returncode == 1 and "not pending" in again.stderr, again


def test_the_administrator_hears_what_is_not_there(platform, application, meter):
    for arguments, words in (
            (("show", "0" * 32), "no such command"), (("cancel", "x"), "no such command"),
            (("list", "--app", application.id, "--device", "nobody"), "no such device")):
        said = platform.ctl("command", *arguments)
        assert said.returncode == 1 and words in said.stderr, said
    assert platform.ctl("command", "list").returncode == 2
    assert "no commands" in platform.ctl("command", "list", "--app", application.id).stdout
    for path in (f"/admin/v1/apps/{application.id}/commands?page=x",):
        assert platform.admin("GET", path).status == 400
    assert platform.admin("GET", "/admin/v1/apps/nobody/commands").status == 404

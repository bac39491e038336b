"""What the platform tells of commands: their states to their own callbacks, without any subscription and with the
guarantees of all notifications; messageConfirm and commandRsp to subscribers."""

import pytest

from helpers.link import Link
from helpers.models import METER_INFO, package, upload
from helpers.signature import signature_of
from helpers.waiting import wait_until
from test_signing import renew

INFO = {**METER_INFO, "protocolType": "MQTT"}


@pytest.fixture
def meter(application):
    return meter_of(application)


def meter_of(application):
    upload(application, package(protocolType="MQTT"))
    return application.register_device(info=INFO)


def codes(requests):
    return [r.json["result"]["resultCode"] for r in requests]


def order(application, device, receiver, path="/cmd", **how):
    return application.command(device, callbackUrl=receiver.url(path), **how)


# ---- the command's own callback


def test_each_state_is_told_without_a_subscription(application, meter, receiver):
    command = order(application, meter, receiver)
    assert Link(meter).carry_out({"result": 0}) == command["commandId"]
    requests = receiver.wait_for(3, "/cmd")
    head = f'{{"deviceId":"{meter.id}","commandId":"{command["commandId"]}","result":'
    assert [r.text for r in requests] == [
        head + '{"resultCode":"SENT","resultDetail":null}}',
        head + '{"resultCode":"DELIVERED","resultDetail":null}}',
        head + '{"resultCode":"SUCCESSFUL","resultDetail":{"result":0}}}']
    assert all(r.notify_id.endswith(command["commandId"]) for r in requests)
    assert len({r.notify_id for r in requests}) == 3
    assert requests[0].headers["X-Notify-Subscription"] == command["commandId"]


def test_what_the_creation_said_is_not_told_again(application, meter, receiver):
    link = Link(meter)
    assert order(application, meter, receiver, expireTime=0)["status"] == "SENT"
    link.carry_out()
    assert codes(receiver.wait_for(2, "/cmd")) == ["DELIVERED", "SUCCESSFUL"]


def test_failures_carry_the_devices_answer(application, meter, receiver):
    order(application, meter, receiver)
    Link(meter).carry_out({"why": "stuck"}, code=1)
    last = receiver.wait_for(3, "/cmd")[-1]
    assert last.json["result"] == {"resultCode": "FAILED", "resultDetail": {"why": "stuck"}}


def test_canceling_and_expiry_are_told(application, meter, receiver):
    application.try_cancel(order(application, meter, receiver, "/canceled"))
    order(application, meter, receiver, "/expired", expireTime=1)
    assert codes([receiver.wait_for_one("/canceled")]) == ["CANCELED"]
    assert codes([receiver.wait_for_one("/expired")]) == ["EXPIRED"]


def test_canceling_and_expiry_are_not_told_when_that_is_off(start_platform, receiver):
    platform = start_platform(command__push_end="off")
    application = platform.application()
    meter = meter_of(application)
    application.try_cancel(order(application, meter, receiver))
    order(application, meter, receiver)
    Link(meter).carry_out()
    assert codes(receiver.wait_for(3, "/cmd")) == ["SENT", "DELIVERED", "SUCCESSFUL"]


def test_a_task_tells_each_of_its_commands(application, meter, receiver):
    made = {order(application, meter, receiver)["commandId"] for _ in range(3)}
    application.try_cancel_all(meter)
    assert {r.json["commandId"] for r in receiver.wait_for(3, "/cmd")} == made


def test_immediate_commands_that_nobody_takes_have_failed(start_platform, receiver):
    platform = start_platform(command__take_timeout="100ms")
    application = platform.application()
    meter = meter_of(application)
    Link(meter)
    order(application, meter, receiver, expireTime=0)
    assert receiver.wait_for_one("/cmd").json["result"] == {
        "resultCode": "FAILED", "resultDetail": {"reason": "send command failed"}}


def test_timeouts_are_told(start_platform, receiver):
    platform = start_platform(command__ack_timeout="100ms")
    application = platform.application()
    meter = meter_of(application)
    order(application, meter, receiver)
    Link(meter).take(100)
    told = receiver.wait_for(2, "/cmd")
    assert [r.json["result"] for r in told] == [
        {"resultCode": "SENT", "resultDetail": None}, {"resultCode": "TIMEOUT", "resultDetail": None}]


def test_a_refused_callback_holds_back_its_own_command_only(application, meter, receiver):
    """404 is tried again with pauses, and the command's next state waits for that."""
    receiver.answers(404, then=200, path="/refused")
    first = order(application, meter, receiver, "/refused")
    second = order(application, meter, receiver, "/other")
    link = Link(meter)
    assert [link.carry_out(), link.carry_out()] == [first["commandId"], second["commandId"]]
    assert codes(receiver.wait_for(4, "/refused")) == ["SENT", "SENT", "DELIVERED", "SUCCESSFUL"]
    assert codes(receiver.wait_for(3, "/other")) == ["SENT", "DELIVERED", "SUCCESSFUL"]


def test_failed_callbacks_are_tried_again_in_order(application, meter, receiver):
    receiver.answers(503, 503, then=200)
    order(application, meter, receiver)
    Link(meter).carry_out()
    requests = receiver.wait_for(5, "/cmd")
    assert codes(requests) == ["SENT", "SENT", "SENT", "DELIVERED", "SUCCESSFUL"]
    assert len({r.notify_id for r in requests[:3]}) == 1
    assert [r.headers["X-Notify-Attempt"] for r in requests[:3]] == ["1", "2", "3"]


def test_one_commands_callback_does_not_hold_back_anothers(application, meter, receiver):
    gate = receiver.holds("/slow")
    order(application, meter, receiver, "/slow")
    order(application, meter, receiver, "/fast")
    link = Link(meter)
    link.carry_out()
    link.carry_out()
    assert codes(receiver.wait_for(3, "/fast")) == ["SENT", "DELIVERED", "SUCCESSFUL"]
    assert len(receiver.requests("/slow")) == 1
    gate.open()
    assert codes(receiver.wait_for(3, "/slow")) == ["SENT", "DELIVERED", "SUCCESSFUL"]


QUICK = {"push__retry_first": "5ms", "push__retry_max": "10ms", "push__fail_limit": "3"}


def carry_out_several(application, device, receiver, count, path="/cmd"):
    """Ids in their order."""
    made = []
    link = Link(device)
    for _ in range(count):
        made.append(order(application, device, receiver, path, expireTime=0)["commandId"])
        link.carry_out()
    return made


def assert_told_in_order(requests, made):
    told = {command: [] for command in made}
    for request in requests:
        if not told[request.json["commandId"]] or \
                told[request.json["commandId"]][-1][0] != request.notify_id:
            told[request.json["commandId"]].append((request.notify_id, codes([request])[0]))
    assert {command: [code for _, code in states] for command, states in told.items()} == {
        command: ["DELIVERED", "SUCCESSFUL"] for command in made}


def succeeded(receiver, path="/cmd"):
    return [r for r in receiver.requests(path) if codes([r]) == ["SUCCESSFUL"]]


def test_an_invalid_callback_is_parked_and_recovers(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="500ms")
    application = platform.application()
    meter = meter_of(application)
    receiver.answers(*[503] * 4, then=200)
    made = carry_out_several(application, meter, receiver, 20)
    platform.wait_for_log("state=invalid")
    wait_until(lambda: len({r.json["commandId"] for r in succeeded(receiver)}) == 20, "all commands' end")
    assert_told_in_order([r for r in receiver.requests("/cmd")], made)
    wait_until(lambda: platform.metric("parked_events") == 0, "the park to be empty")


def test_states_keep_their_order_when_a_callback_is_invalid_for_a_moment_only(start_platform, receiver):
    """What is on the wire when it becomes invalid is parked behind what follows it, and taken back with that."""
    platform = start_platform(**QUICK, push__probe_interval="500ms")
    application = platform.application()
    meter = meter_of(application)
    made = {}
    for path in [f"/cmd/{n}" for n in range(40)]:
        receiver.answers(*[503] * 4, then=200, path=path)
        made[path] = carry_out_several(application, meter, receiver, 8, path)
    for path, commands in made.items():
        wait_until(lambda p=path: len({r.json["commandId"] for r in succeeded(receiver, p)}) == 8, "all commands' end")
        assert_told_in_order(receiver.requests(path), commands)


def test_what_is_parked_is_there_after_a_restart(start_platform, start_redis, receiver):
    platform = start_platform(redis=start_redis(), **QUICK, push__probe_interval="300ms")
    application = platform.application()
    meter = meter_of(application)
    receiver.answers(then=503)
    link_redis = platform.redis.client()
    made = []
    link = Link(meter, link_redis)
    for _ in range(5):
        made.append(order(application, meter, receiver, expireTime=0)["commandId"])
        link.carry_out()
    platform.wait_for_log("state=invalid")
    platform.wait_for_metric("parked_events", 10)
    assert platform.stop() == 0
    receiver.answers(then=200)
    platform.start()
    wait_until(lambda: len({r.json["commandId"] for r in succeeded(receiver)}) == 5, "all commands' end")
    wait_until(lambda: platform.metric("parked_events") == 0, "the park to be empty")


def test_parked_notifications_follow_their_subscription_and_leave_commands_behind(
        start_platform, start_redis, receiver):
    """One URL for both; it becomes invalid; the subscription moves elsewhere."""
    platform = start_platform(redis=start_redis(), **QUICK, push__probe_interval="1h")
    application = platform.application()
    meter = meter_of(application)
    receiver.answers(then=503, path="/both")
    receiver.answers(then=200, path="/new")
    application.subscribe("deviceDataChanged", receiver.url("/both"))
    link = Link(meter, platform.redis.client())
    for n in range(5):
        order(application, meter, receiver, "/both", expireTime=0)
        link.carry_out()
        meter.report({"litres": n})
    platform.wait_for_log("state=invalid")
    platform.wait_for_metric("parked_events", 15)
    application.subscribe("deviceDataChanged", receiver.url("/new"))
    moved = receiver.wait_for(5, "/new")
    assert [r.json["service"]["data"]["litres"] for r in moved] == list(range(5))
    wait_until(lambda: platform.metric("parked_events") == 10, "what is left of the commands")
    meter.report({"litres": 6})  # nothing is in its way
    assert receiver.wait_for(6, "/new")[-1].json["service"]["data"]["litres"] == 6
    receiver.answers(then=200, path="/both")
    probe = platform.admin("POST", "/admin/v1/endpoints/probe", {"url": receiver.url("/both")})
    assert probe.status == 204, probe
    wait_until(lambda: len({r.json["commandId"] for r in receiver.requests("/both")
                            if "commandId" in r.json and codes([r]) == ["SUCCESSFUL"]}) == 5,
               "all commands' end")
    wait_until(lambda: platform.metric("parked_events") == 0, "the park to be empty")


def test_callbacks_of_commands_are_signed(platform, application, meter, receiver):
    key = renew(platform, application)
    application.try_cancel(order(application, meter, receiver))
    request = receiver.wait_for_one("/cmd")
    assert request.headers["X-Notify-Signature"] == signature_of(key, request)


def test_a_new_subscription_does_not_disturb_commands_under_way(application, meter, receiver):
    gate = receiver.holds("/cmd")
    order(application, meter, receiver)
    Link(meter).carry_out()
    receiver.wait_for(1, "/cmd")
    subscription = application.subscribe("deviceAdded", receiver.url("/added"))
    application.unsubscribe(subscription)
    gate.open()
    assert codes(receiver.wait_for(3, "/cmd")) == ["SENT", "DELIVERED", "SUCCESSFUL"]


def test_given_up_callbacks_are_dead_letters_and_can_be_tried_again(start_platform, receiver):
    platform = start_platform(push__refused_pauses="5ms, 5ms")
    application = platform.application()
    meter = meter_of(application)
    receiver.answers(404, 404, 404, then=200)
    command = order(application, meter, receiver)
    application.try_cancel(command)
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    replayed = platform.admin("POST", "/admin/v1/deadletters/replay", {})
    assert replayed.json == {"replayed": 1}, replayed
    requests = receiver.wait_for(4, "/cmd")
    assert codes(requests) == ["CANCELED"] * 4
    assert len({r.notify_id for r in requests}) == 1


# ---- subscribers


def test_subscribers_hear_of_acknowledgements_and_answers(application, meter, receiver):
    application.subscribe("messageConfirm", receiver.url("/confirm"))
    application.subscribe("commandRsp", receiver.url("/rsp"))
    command = application.command(meter)
    Link(meter).carry_out({"result": 0})
    confirmed = receiver.wait_for_one("/confirm").json
    timestamp = confirmed["header"].pop("timestamp")
    assert len(timestamp) == 16
    assert confirmed == {"notifyType": "messageConfirm", "header": {
        "requestId": command["commandId"], "from": f"/devices/{meter.id}",
        "to": f"/users/{application.id}", "status": "delivered"}, "body": {}}
    assert receiver.wait_for_one("/rsp").json == {"notifyType": "commandRsp", "header": {
        "requestId": command["commandId"], "from": f"/devices/{meter.id}/services/Valve",
        "to": f"/users/{application.id}", "deviceId": meter.id, "serviceType": "Valve",
        "method": "CMD_RSP"}, "body": {"result": 0}}


def test_calls_are_known_by_their_request_ids(application, meter, receiver):
    application.subscribe("messageConfirm", receiver.url("/confirm"))
    application.subscribe("commandRsp", receiver.url("/rsp"))
    link = Link(meter)
    response = application.try_call(meter, service="Bypass", requestId="r 1", **{"from": "/users/me"},
                                    callbackURL=receiver.url("/mine"))
    assert response.json["requestId"] == "r 1"
    link.carry_out(code=3)
    for path in ("/confirm", "/mine"):
        header = receiver.wait_for_one(path).json["header"]
        assert (header["requestId"], header["to"], header["status"]) == ("r 1", "/users/me", "delivered")
    answer = receiver.wait_for_one("/rsp").json
    assert answer["header"]["serviceType"] == "Valve"  # of that service's type
    assert answer["body"] == {"errcode": 3}  # there is nothing else


def test_calls_without_acknowledgement_are_not_confirmed(application, meter, receiver):
    application.subscribe("messageConfirm", receiver.url("/confirm"))
    application.subscribe("commandRsp", receiver.url("/rsp"))
    link = Link(meter)
    application.try_call(meter, mode="NOACK", callbackURL=receiver.url("/mine"))
    link.carry_out()
    receiver.wait_for_one("/rsp")
    application.try_call(meter, requestId="last")
    link.carry_out()
    assert receiver.wait_for_one("/confirm").json["header"]["requestId"] == "last"
    assert receiver.requests("/mine") == []


def test_a_call_that_was_not_sent_is_told_as_failed(start_platform, receiver):
    platform = start_platform(command__take_timeout="100ms")
    application = platform.application()
    meter = meter_of(application)
    application.subscribe("messageConfirm", receiver.url("/confirm"))
    Link(meter)
    application.try_call(meter, requestId="r")
    header = receiver.wait_for_one("/confirm").json["header"]
    assert (header["requestId"], header["status"]) == ("r", "failed")

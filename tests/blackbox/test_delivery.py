"""
Delivery of notifications: what each kind of answer does to a message, and that endpoints, devices and
subscriptions don't disturb each other.
"""

import email.utils
import os
import signal
import socket
import time

import pytest

from helpers.receiver import (Answer, DrippingHeader, EndlessBody, Hang, Raw, Reset,
                              new_loopback_address)
from helpers.waiting import wait_until


def values(requests):
    return [r.json["service"]["data"]["n"] for r in requests]


def subscribe(application, receiver, path="/data"):
    return application.subscribe("deviceDataChanged", receiver.url(path))


# --- what counts as delivered


@pytest.mark.parametrize("answer", [
    Answer(body=b""), Answer(body=b"ok"), Answer(204, {"Content-Length": "0"}, b""), Answer(202),
    Answer(body=b"x" * 10_000_000), EndlessBody(), EndlessBody(pause=0.05),
    Answer(closes=True), Raw(b"HTTP/1.1 200 OK\r\n\r\nbody until the end"),
    Raw(b"HTTP/1.0 200 OK\r\n\r\n"),
    Answer(before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    Answer(before=b"HTTP/1.1 100 Continue\r\n\r\n", closes=True),
    Answer(before=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 2),
], ids=["empty body", "short body", "204", "202", "10 MB", "endless", "endless and slow", "closing",
        "no length", "HTTP/1.0", "100 before", "100 before and closing", "103 before"])
def test_an_answer_2xx_delivers_once_whatever_its_body(application, receiver, device, answer):
    receiver.answers(then=answer)
    subscribe(application, receiver)
    device.login()
    for n in range(3):
        device.report({"n": n})
    first, second, third = receiver.wait_for(3)
    assert second.arrived - first.arrived < 2.5 and third.arrived - second.arrived < 2.5
    device.report({"n": 3})
    assert values(receiver.wait_for(4)) == [0, 1, 2, 3]


def test_with_strict200_only_200_delivers(start_platform, receiver):
    application = start_platform(push__strict200="on").application()
    receiver.answers(202, 204, then=200)
    subscribe(application, receiver)
    device = application.register_device()
    device.report({"n": 0})
    device.report({"n": 1})
    assert values(receiver.wait_for(4)) == [0, 0, 0, 1]


# --- what is tried again


@pytest.mark.parametrize("answer", [
    500, 501, 502, 503, 504, 599, 408, 425, Reset(),
    Raw(b""), Raw(b"garbage\r\n\r\n"), Raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    Raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
    Raw(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"),
    Raw(b"HTTP/1.1 200 OK\r\nX-Large: " + b"x" * 20_000 + b"\r\n\r\n"),
], ids=["500", "501", "502", "503", "504", "599", "408", "425", "reset", "closed", "garbage",
        "half a header", "101", "HTTP/2", "large header"])
def test_a_failed_push_is_sent_again_with_the_same_id(application, receiver, device, answer):
    receiver.answers(answer, answer, then=200)
    subscribe(application, receiver)
    device.report({"n": 0})
    device.report({"n": 1})
    attempts = receiver.wait_for(4)
    assert values(attempts) == [0, 0, 0, 1]
    assert len({a.notify_id for a in attempts[:3]}) == 1
    assert len({a.body for a in attempts[:3]}) == 1
    assert attempts[3].notify_id != attempts[0].notify_id


@pytest.fixture
def impatient(start_platform):
    return start_platform(push__timeout="1s", push__connect_timeout="1s", push__retry_first="20ms",
                          push__fail_limit="1000")


def test_an_answer_within_the_timeout_delivers_and_a_later_one_does_not(impatient, receiver):
    application = impatient.application()
    receiver.answers(Answer(delay=0.5), Answer(delay=1.5), then=200)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(3):
        device.report({"n": n})
    attempts = receiver.wait_for(4)
    assert values(attempts) == [0, 1, 1, 2]
    assert 0.9 < attempts[2].arrived - attempts[1].arrived < 5


@pytest.mark.parametrize("answer", [Hang(), DrippingHeader(), Raw(b"HTTP/1.1 200 OK\r\n", True)],
                         ids=["hang", "dripping header", "half a header"])
def test_an_endpoint_that_never_answers_fails_at_the_timeout(impatient, receiver, answer):
    application = impatient.application()
    receiver.answers(answer, then=200)
    subscribe(application, receiver)
    application.register_device().report({"n": 0})
    first, second = receiver.wait_for(2)
    assert 0.9 < second.arrived - first.arrived < 5
    assert first.notify_id == second.notify_id and first.connection != second.connection


# When exactly is asserted in tests/unit/net/http_client_test.c: a_peer_that_never_reads_is_a_timeout.
def test_an_endpoint_that_never_reads_fails_at_the_timeout(impatient, receiver):
    application = impatient.application()
    receiver.never_reads()
    subscribe(application, receiver)
    application.register_device().report({"n": 0, "text": "x" * 500_000})
    receiver.wait_for_connections(3)
    assert impatient.metric("push_requests_total", result="fail") >= 2
    receiver.reads_nothing = False
    assert values([receiver.wait_for_one()]) == [0]


def test_a_receiver_that_starts_later_gets_what_was_kept(application, device, start_receiver):
    host = new_loopback_address()
    with socket.socket() as reserved:  # bound and not listening: refuses connections
        reserved.bind((host, 0))
        port = reserved.getsockname()[1]
        application.subscribe("deviceDataChanged", f"http://{host}:{port}/data")
        for n in range(5):
            device.report({"n": n})
    receiver = start_receiver(host=host, port=port)
    assert values(receiver.wait_for(5)) == [0, 1, 2, 3, 4]


def test_pauses_between_attempts_grow(start_platform, receiver):
    application = start_platform(push__retry_first="100ms", push__retry_max="400ms",
                                 push__fail_limit="100").application()
    receiver.answers(*[500] * 5)
    subscribe(application, receiver)
    application.register_device().report({"n": 0})
    times = [r.arrived for r in receiver.wait_for(6)]
    gaps = [b - a for a, b in zip(times, times[1:])]
    for gap, wanted in zip(gaps, [0.1, 0.2, 0.4, 0.4, 0.4]):
        assert gap >= wanted * 0.8 - 0.01
    assert gaps[-1] < 2


# --- refusals and throttles


@pytest.mark.parametrize("status", [400, 404, 410, 417, 301, 302, 307, 308])
def test_a_refusal_is_tried_three_times_and_then_dropped(start_platform, start_receiver, status):
    platform = start_platform(push__refused_pauses="200ms, 600ms")
    application = platform.application()
    receiver, elsewhere = start_receiver(), start_receiver()
    receiver.answers(then=Answer(status, {"Location": elsewhere.url("/data")}), path="/data")
    subscribe(application, receiver)
    application.subscribe("deviceDatasChanged", receiver.url("/good"))
    device = application.register_device()
    device.report({"n": 0})
    first, second, third = receiver.wait_for(3, "/data")
    assert second.arrived - first.arrived >= 0.19 and third.arrived - second.arrived >= 0.59
    assert len(receiver.requests("/good")) == 1
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    device.report({"n": 1})
    attempts = receiver.wait_for(4, "/data")
    assert values(attempts) == [0, 0, 0, 1]
    assert attempts[3].headers["X-Notify-Attempt"] == "1"
    receiver.wait_for(2, "/good")
    assert platform.metric("push_requests_total", result="fail") == 0
    assert elsewhere.requests() == []


@pytest.mark.parametrize("status, retry_after, least, most", [
    (429, "1", 1.0, 3.5), (429, "9999", 2.0, 4.5), (429, "date", 0.9, 4.5), (429, None, 0.3, 1.5),
    (429, "nonsense", 0.3, 1.5), (503, "1", 1.0, 3.5), (503, "9999", 2.0, 4.5)])
def test_retry_after_pauses_the_whole_url(start_platform, receiver, status, retry_after, least, most):
    platform = start_platform(push__retry_after_max="2s", push__retry_after_default="300ms")
    application = platform.application()

    def answer(_):
        if retry_after == "date":
            return Answer(status, {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)})
        return Answer(status, {"Retry-After": retry_after} if retry_after else {})
    receiver.answers(answer, then=200)
    subscribe(application, receiver)
    one, other = application.register_device(), application.register_device()
    other.login()
    one.report({"n": 1})
    first = receiver.wait_for_one()
    platform.wait_for_metric("push_requests_total", 1, result="throttle")
    other.report({"n": 2})
    attempts = receiver.wait_for(3)
    assert sorted(values(attempts)) == [1, 1, 2]
    for later in attempts[1:]:
        assert least - 0.01 <= later.arrived - first.arrived <= most


# --- connections


def test_a_receiver_may_close_idle_connections(start_platform, receiver):
    platform = start_platform()
    application = platform.application()
    receiver.closes_idle_connections_after(0.1)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(5):
        device.report({"n": n})
        receiver.wait_for(n + 1)
        receiver.wait_until_all_connections_are_closed()
    device.report({"n": 5})
    assert values(receiver.wait_for(6)) == [0, 1, 2, 3, 4, 5]
    assert platform.metric("push_requests_total", result="fail") == 0


def test_a_kept_connection_that_dies_costs_no_failure(start_platform, receiver):
    platform = start_platform(push__retry_first="1h", push__retry_max="1h")
    application = platform.application()
    receiver.answers(200, Reset(), Answer(200), Raw(b""), then=200)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(3):
        device.report({"n": n})
        receiver.wait_for_match(lambda r: r.json["service"]["data"]["n"] == n)
    attempts = receiver.wait_for(5)
    assert values(attempts) == [0, 1, 1, 2, 2]
    assert attempts[1].notify_id == attempts[2].notify_id
    platform.wait_for_metric("push_requests_total", 3, result="ok")
    assert platform.metric("push_requests_total", result="fail") == 0


def test_an_endpoint_gets_at_most_so_many_requests_at_once(start_platform, receiver):
    platform = start_platform(push__max_connections="3")
    application = platform.application()
    gate = receiver.holds()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(10)]
    for n, device in enumerate(devices):
        device.report({"n": n})
    receiver.wait_for(3)
    platform.wait_for_metric("events_pending", 10)
    gate.open()
    receiver.wait_for(10)
    assert receiver.most_in_flight == 3


# --- order and isolation


def test_notifications_of_a_device_arrive_in_order_also_when_some_fail(start_platform, receiver):
    application = start_platform(push__retry_first="5ms", push__fail_limit="10000").application()
    count = 30
    devices = [application.register_device() for _ in range(5)]
    receiver.answers(then=lambda r: 503 if hash((r.notify_id, r.headers["X-Notify-Attempt"])) % 3 == 0
                     else 200)
    subscribe(application, receiver)
    for n in range(count):
        for device in devices:
            device.report({"n": n})
    for device in devices:
        receiver.wait_for_match(lambda r: r.json["deviceId"] == device.id
                                and r.json["service"]["data"]["n"] == count - 1)
        seen = values(r for r in receiver.requests() if r.json["deviceId"] == device.id)
        assert seen == sorted(seen) and set(seen) == set(range(count))


def test_a_message_that_is_retried_holds_back_only_its_own_device(application, receiver):
    stuck, free = application.register_device(), application.register_device()
    receiver.answers(then=lambda r: 500 if r.json["deviceId"] == stuck.id and not released else 200)
    released = []
    subscribe(application, receiver)
    stuck.report({"n": 0})
    stuck.report({"n": 1})
    for n in range(3):
        free.report({"n": n})
    receiver.wait_for_match(lambda r: r.json["deviceId"] == free.id
                            and r.json["service"]["data"]["n"] == 2)
    assert {n for n in values(r for r in receiver.requests() if r.json["deviceId"] == stuck.id)} == {0}
    released.append(True)
    receiver.wait_for_match(lambda r: r.json["deviceId"] == stuck.id
                            and r.json["service"]["data"]["n"] == 1)


def test_an_endpoint_that_hangs_delays_no_other(platform, application, start_receiver):
    bad, good = start_receiver(), start_receiver()
    bad.answers(then=Hang())
    subscribe(application, bad)
    application.subscribe("deviceDatasChanged", good.url("/good"))
    devices = [application.register_device() for _ in range(40)]  # more than one endpoint's limit
    for device in devices:
        device.report({"n": 1})
    good.wait_for(40, timeout=4)
    other = platform.application()
    other.subscribe("deviceDataChanged", good.url("/other"))
    other.register_device().report({"n": 2})
    good.wait_for(1, "/other", timeout=4)
    assert len(bad.requests()) <= 32


def test_urls_that_hang_leave_connections_to_others_of_their_host(start_platform, receiver):
    platform = start_platform(push__timeout="1h", push__stop_timeout="100ms")
    application = platform.application()
    receiver.answers(then=Hang(), path="/slow")
    receiver.answers(then=Hang(), path="/slower")
    subscribe(application, receiver, "/slow")
    devices = [application.register_device() for _ in range(40)]
    for device in devices:
        device.report({"n": 0})
    receiver.wait_for(20, "/slow")
    wait_until(lambda: platform.metric("events_pending") == 40, "all of them in memory")
    # Nobody knew of these when all that hang were under way.
    application.subscribe("deviceDatasChanged", receiver.url("/slower"))
    application.subscribe("deviceAdded", receiver.url("/good"))
    for device in devices:
        device.report({"n": 1})
    receiver.wait_for(2, "/slower")
    more = [application.register_device() for _ in range(20)]
    told = {r.json["deviceId"] for r in receiver.wait_for(20, "/good")}
    assert told == {device.id for device in more}
    assert receiver.most_in_flight <= 32


# --- subscriptions that change meanwhile


def test_after_its_deletion_a_subscription_gets_no_further_request(start_platform, receiver):
    platform = start_platform(push__fail_limit="1000")
    application = platform.application()
    receiver.answers(then=503)
    subscription = subscribe(application, receiver)
    device = application.register_device()
    device.report({"n": 0})
    device.report({"n": 1})
    receiver.wait_for(2)
    application.unsubscribe(subscription)
    platform.wait_for_metric("dropped_total", 2, reason="unsubscribed")
    receiver.answers(then=200)
    before = len(receiver.requests())
    subscribe(application, receiver)
    device.report({"n": 2})
    assert values(receiver.wait_for(before + 1)[before:]) == [2]


@pytest.mark.parametrize("answer", [503, 404, Reset()])
def test_what_is_on_the_wire_when_its_subscription_is_deleted_is_not_tried_again(start_platform, receiver,
                                                                                 answer):
    platform = start_platform()
    application = platform.application()
    gate = receiver.holds()
    gate.answer = Answer(answer) if isinstance(answer, int) else answer
    subscription = subscribe(application, receiver)
    device = application.register_device()
    device.report({"n": 0})
    receiver.wait_for_one()
    device.report({"n": 1})
    platform.wait_for_metric("deliveries_queued", 1)
    application.unsubscribe(subscription)
    platform.wait_for_metric("dropped_total", 1, reason="unsubscribed")
    receiver.answers(then=200)
    gate.open()
    platform.wait_for_metric("dropped_total", 2, reason="unsubscribed")
    assert len(receiver.requests()) == 1


def test_what_waits_follows_the_subscription_to_its_new_url(application, device, start_receiver):
    old, new = start_receiver(), start_receiver()
    old.answers(then=503)
    subscribe(application, old)
    for n in range(3):
        device.report({"n": n})
    first = old.wait_for_one()
    subscribe(application, new)
    device.report({"n": 3})
    moved = new.wait_for(4)
    assert values(moved) == [0, 1, 2, 3]
    assert moved[0].notify_id == first.notify_id


def test_a_server_killed_before_it_could_acknowledge_sends_again(start_platform, receiver):
    platform = start_platform()
    application = platform.application()
    device = application.register_device()
    device.login()

    def kill_and_answer(_):
        os.kill(platform.process.pid, signal.SIGKILL)
        return 200
    receiver.answers(200, kill_and_answer, then=200)
    subscribe(application, receiver)
    device.report({"n": 0})
    receiver.wait_for_one()
    try:
        device.report({"n": 1})
    except OSError:
        pass  # the answer may have been faster than the push, or not
    platform.process.wait(10)
    assert values(receiver.wait_for(2)) == [0, 1]
    platform.start()
    wait_until(lambda: values(receiver.requests()).count(1) == 2, "the second delivery")
    again = [r for r in receiver.requests() if values([r]) == [1]]
    assert again[0].notify_id == again[1].notify_id and again[0].body == again[1].body
    device.report({"n": 2})
    receiver.wait_for_match(lambda r: values([r]) == [2])

"""What operators can choose about delivering, beside times and limits."""

from collections import Counter

import pytest

from helpers.receiver import Answer
from helpers.waiting import wait_until


def values(requests):
    return [r.json["service"]["data"]["n"] for r in requests]


def subscribed(platform, receiver, path="/data"):
    """A device whose reports go there."""
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url(path))
    return application.register_device()


# ---- headers


@pytest.mark.parametrize("is_on", [True, False])
def test_the_id_is_sent_unless_it_is_switched_off_and_the_signature_with_it(start_platform, receiver, is_on):
    platform = start_platform(push__notify_id="on" if is_on else "off")
    device = subscribed(platform, receiver)
    assert platform.ctl("app", "signing-key", "renew", device.app.id).returncode == 0
    device.report({"n": 0})
    headers = receiver.wait_for_one().headers
    assert ("X-Notify-Id" in headers) == ("X-Notify-Signature" in headers) == is_on
    assert headers["X-Notify-Attempt"] == "1" and "X-Notify-Subscription" in headers


# ---- what is a failure


def test_a_5xx_that_is_not_a_failure_is_a_refusal(start_platform, receiver):
    platform = start_platform(push__fail_statuses="500, 502", push__fail_limit="2",
                              push__refused_pauses="10ms, 10ms")
    device = subscribed(platform, receiver)
    receiver.answers(501, 501, 501)
    device.report({"n": 0})
    device.report({"n": 1})
    assert values(receiver.wait_for(4)) == [0, 0, 0, 1]
    assert platform.metric("dropped_total", reason="refused") == 1
    assert platform.metric("push_requests_total", result="fail") == 0
    receiver.answers(502, 502)
    device.report({"n": 2})
    platform.wait_for_log("state=invalid failures=2 ")


@pytest.mark.parametrize("list_", ["4xx", "500-503", "", "200"])
def test_statuses_that_cannot_be_failures_are_mistakes(start_platform, list_):
    platform = start_platform(wait=False, push__fail_statuses=list_)
    assert platform.wait_for_exit() == 1
    assert "push.fail_statuses" in platform.log and "500 to 599" in platform.log


# ---- redirects


@pytest.mark.parametrize("status, location", [(307, "/moved?x=1"), (308, "{url}/moved?x=1")])
def test_a_redirect_of_the_same_origin_is_followed_when_that_is_wanted(start_platform, receiver, status,
                                                                       location):
    platform = start_platform(push__follow_same_origin="on")
    device = subscribed(platform, receiver)
    location = location.format(url=receiver.url(""))
    receiver.answers(then=Answer(status, {"Location": location}), path="/data")
    for n in range(3):
        device.report({"n": n})
    moved = receiver.wait_for(3, "/moved?x=1")
    assert values(moved) == [0, 1, 2]
    first = receiver.requests("/data")
    assert [r.notify_id for r in first] == [r.notify_id for r in moved]
    assert [r.headers["X-Notify-Attempt"] for r in moved] == ["1", "1", "1"]
    platform.wait_for_metric("push_requests_total", 3, result="ok")
    assert platform.metric("push_requests_total", result="refused") == 0


def test_a_redirect_is_followed_also_when_its_connection_is_closed(start_platform, receiver):
    platform = start_platform(push__follow_same_origin="on", push__max_connections="1")
    device = subscribed(platform, receiver)
    receiver.answers(then=Answer(307, {"Location": "/moved"}, closes=True), path="/data")
    for n in range(3):
        device.report({"n": n})
    assert values(receiver.wait_for(3, "/moved")) == [0, 1, 2]


def refused_pushes(platform, device):
    device.report({"n": 0})
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    assert platform.metric("push_requests_total", result="refused") == 3


def test_a_redirect_is_followed_once(start_platform, receiver):
    platform = start_platform(push__follow_same_origin="on")
    device = subscribed(platform, receiver)
    receiver.answers(then=Answer(307, {"Location": "/data"}))
    refused_pushes(platform, device)
    assert len(receiver.requests()) == 6


@pytest.mark.parametrize("status", [301, 302, 303])
def test_other_redirects_are_not_followed(start_platform, receiver, status):
    platform = start_platform(push__follow_same_origin="on")
    device = subscribed(platform, receiver)
    receiver.answers(then=Answer(status, {"Location": "/moved"}), path="/data")
    refused_pushes(platform, device)
    assert receiver.requests("/moved") == []


def test_a_redirect_to_another_host_or_port_is_not_followed(start_platform, receiver, start_receiver):
    platform = start_platform(push__follow_same_origin="on")
    other = start_receiver()
    device = subscribed(platform, receiver)
    receiver.answers(then=Answer(307, {"Location": other.url("/data")}))
    refused_pushes(platform, device)
    assert other.connections == 0


def test_a_redirect_is_not_followed_by_default(start_platform, receiver):
    platform = start_platform()
    device = subscribed(platform, receiver)
    receiver.answers(then=Answer(307, {"Location": "/moved"}), path="/data")
    refused_pushes(platform, device)
    assert receiver.requests("/moved") == []


# ---- order


def test_without_ordering_a_devices_notifications_do_not_wait_for_each_other(start_platform, receiver):
    platform = start_platform(push__ordering="none", push__retry_first="1h", push__retry_max="1h")
    device = subscribed(platform, receiver)
    gate = receiver.holds()
    device.report({"n": 0})
    receiver.wait_for_one()
    receiver.answers(503)
    device.report({"n": 1})  # tried again in an hour
    receiver.wait_for(2)
    for n in range(2, 6):
        device.report({"n": n})
    assert sorted(values(receiver.wait_for(6))) == [0, 1, 2, 3, 4, 5]
    gate.open()
    platform.wait_for_metric("push_requests_total", 5, result="ok")
    wait_until(lambda: platform.metric("events_pending") == 1, "the end of the others")


def test_without_ordering_nothing_parked_is_lost(start_platform, receiver):
    platform = start_platform(push__ordering="none", push__queue_events="5", push__fail_limit="1",
                              push__probe_interval="100ms")
    device = subscribed(platform, receiver)
    receiver.answers(*[503] * 3)
    for n in range(60):
        device.report({"n": n})
    wait_until(lambda: set(values(receiver.requests())) == set(range(60)), "all of them")
    wait_until(lambda: platform.metric("parked_events") == 0 and
               platform.metric("events_pending") == 0, "the last acknowledgement")
    assert platform.metric("dropped_total") == 0


# ---- rate


def test_no_more_goes_to_an_endpoint_than_its_rate(start_platform, receiver, start_receiver):
    platform = start_platform(push__rate="20")
    other = start_receiver()
    devices = [subscribed(platform, receiver) for _ in range(50)]
    elsewhere = subscribed(platform, other)
    assert platform.ctl("delivery", "pause").returncode == 0
    for device in [*devices, elsewhere]:
        device.report({"n": 0})
    assert platform.ctl("delivery", "resume").returncode == 0
    elsewhere_arrived = other.wait_for_one().arrived
    requests = receiver.wait_for(50)
    assert requests[-1].arrived > elsewhere_arrived  # an endpoint that waits is no matter of the others
    # One every 50 ms; a second has 21 when the first and the last of them lie at its ends.
    per_second = Counter(r.headers["X-Notify-Timestamp"] for r in requests)
    assert max(per_second.values()) <= 21


# ---- where it comes from


@pytest.mark.parametrize("is_https", [False, True])
def test_pushes_come_from_the_address_that_is_set(start_platform, start_receiver, authority, is_https):
    platform = start_platform(push__source_address="::1, 127.5.6.7", push__ca_file=authority.file)
    tls = authority.issue("good").server_context() if is_https else None
    receiver = start_receiver(tls=tls, host="127.0.0.1")
    receiver.answers(then=Answer(closes=True))
    device = subscribed(platform, receiver)
    for n in range(3):
        device.report({"n": n})
    assert [r.peer for r in receiver.wait_for(3)] == ["127.5.6.7"] * 3
    assert platform.metric("push_requests_total", result="fail") == 0


def test_a_callback_of_the_other_family_is_served_from_any_address(start_platform, receiver):
    platform = start_platform(push__source_address="::1")
    subscribed(platform, receiver).report({"n": 0})
    receiver.wait_for_one()


def test_an_address_that_is_not_ours_is_told_and_costs_no_notification(start_platform, receiver):
    platform = start_platform(files_only=True, push__source_address="192.0.2.1")
    device = subscribed(platform, receiver)
    device.report({"n": 0})
    platform.wait_for_log("ERROR push source_address=192.0.2.1 state=unusable "
                          'reason="Cannot assign requested address"')
    assert platform.metric("push_requests_total") == 0
    platform.write_config(push__source_address="")
    platform.reload()
    request = receiver.wait_for_one()
    assert values([request]) == [0] and request.headers["X-Notify-Attempt"] == "1"


@pytest.mark.parametrize("address", ["localhost", "10.0.0.0/8", "1.2.3", "::1 ::2"])
def test_what_is_no_address_is_a_mistake(start_platform, address):
    platform = start_platform(wait=False, push__source_address=address)
    assert platform.wait_for_exit() == 1
    assert "push.source_address" in platform.log

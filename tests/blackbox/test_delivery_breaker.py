"""Callback URLs that become invalid: how they are probed and recover, what is given up."""

import collections
import re

from helpers.receiver import Answer
from helpers.waiting import wait_until


def values(requests):
    return [r.json["service"]["data"]["n"] for r in requests]


def subscribe(application, receiver, path="/data"):
    return application.subscribe("deviceDataChanged", receiver.url(path))


def became_invalid(platform, receiver):
    return re.search(rf"{re.escape(receiver.url('/data'))}\S* state=invalid", platform.log)


def gaps(requests):
    return [b.arrived - a.arrived for a, b in zip(requests, requests[1:])]


QUICK = {"push__retry_first": "5ms", "push__retry_max": "10ms"}


def test_nine_failures_and_a_success_leave_the_url_valid(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="1h")
    application = platform.application()
    receiver.answers(*[503] * 9, 200, *[500] * 9, then=200)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(3):
        device.report({"n": n})
    attempts = receiver.wait_for(21)
    assert values(attempts) == [0] * 10 + [1] * 10 + [2]
    assert len({a.notify_id for a in attempts[:10]}) == 1
    assert not became_invalid(platform, receiver)


def test_ten_failures_make_the_url_invalid_until_a_probe_succeeds(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="1s")
    application = platform.application()
    receiver.answers(*[503] * 11, then=200)
    subscribe(application, receiver)
    application.subscribe("deviceDatasChanged", receiver.url("/other"))
    receiver.answers(then=200, path="/other")
    device = application.register_device()
    device.report({"n": 0})
    receiver.wait_for(10, "/data")
    platform.wait_for_log("state=invalid")
    assert became_invalid(platform, receiver)
    platform.wait_for_metric("endpoints", 1, state="invalid")
    for n in range(1, 6):
        device.report({"n": n})
    receiver.wait_for(6, "/other")  # another URL of the same host is not concerned
    attempts = receiver.wait_for(17, "/data")
    probes = gaps(attempts)[9:11]
    assert all(0.8 <= gap < 4 for gap in probes), probes  # a late one is followed in time
    assert values(attempts) == [0] * 12 + [1, 2, 3, 4, 5]
    assert len({a.notify_id for a in attempts[:12]}) == 1
    wait_until(lambda: platform.metric("endpoints", state="invalid") == 0, "the URL's recovery")


def test_the_limit_of_failures_counts_over_all_devices_of_a_url(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="1h", push__fail_limit="5")
    application = platform.application()
    receiver.answers(then=500)
    subscribe(application, receiver)
    for n in range(5):
        application.register_device().report({"n": n})
    platform.wait_for_log("state=invalid")
    # Requests that were under way when the limit was reached may still come; then silence.
    assert len(receiver.wait_for(5)) == 5
    application.subscribe("deviceDatasChanged", receiver.url("/marker"))
    application.register_device().report({"n": 6})
    receiver.wait_for_one("/marker")
    assert len(receiver.requests("/data")) <= 9


def test_refusals_neither_count_nor_reset(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="1h", push__refused_pauses="5ms, 5ms")
    application = platform.application()
    receiver.answers(*[404] * 30, *[500] * 5, 404, *[500] * 5, then=200)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(10):
        device.report({"n": n})
    platform.wait_for_metric("dropped_total", 10, reason="refused")
    assert not became_invalid(platform, receiver)
    device.report({"n": 10})
    attempts = receiver.wait_for(41)
    assert values(attempts[30:]) == [10] * 11
    platform.wait_for_log("state=invalid")
    assert became_invalid(platform, receiver)


def test_messages_older_than_the_cache_time_are_dropped_and_counted(start_platform, receiver):
    platform = start_platform(push__v1_cache_time="1s", push__probe_interval="200ms")
    application = platform.application()
    receiver.answers(then=503)
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(3)]
    for n in range(3):
        for device in devices:
            device.report({"n": n})
    platform.wait_for_metric("dropped_total", 9, reason="expired")
    before = len(receiver.requests())
    receiver.answers(then=200)
    for n in range(3, 6):
        for device in devices:
            device.report({"n": n})
    arrived = receiver.wait_for(before + 9)[before:]
    for device in devices:
        assert values(r for r in arrived if r.json["deviceId"] == device.id) == [3, 4, 5]
    assert platform.metric("dropped_total", reason="expired") == 9
    wait_until(lambda: platform.metric("events_pending") == 0, "the last acknowledgement")


def test_a_message_expires_also_while_its_url_is_invalid(start_platform, receiver):
    platform = start_platform(**QUICK, push__v1_cache_time="1s", push__probe_interval="1h")
    application = platform.application()
    receiver.answers(then=503)
    subscribe(application, receiver)
    application.register_device().report({"n": 0})
    receiver.wait_for(10)
    platform.wait_for_metric("dropped_total", 1, reason="expired")
    assert len(receiver.requests()) == 10


def test_a_recovered_url_gets_what_waited_slowly(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="500ms", push__drain_rate="20")
    application = platform.application()
    receiver.answers(*[503] * 10, then=200)
    subscribe(application, receiver)
    first = application.register_device()
    first.report({"n": 0})
    receiver.wait_for(10)
    devices = [application.register_device() for _ in range(50)]
    receiver.answers(then=503)
    for n, device in enumerate(devices):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 50)
    receiver.answers(then=200)
    everything = [first, *devices]
    wait_until(lambda: {r.json["deviceId"] for r in receiver.requests()} == {d.id for d in everything},
               "all deliveries", 20)
    answered = [r for r in receiver.requests() if r.json["deviceId"] != first.id][-49:]
    per_second = collections.Counter(int(r.arrived - answered[0].arrived) for r in answered)
    assert max(per_second.values()) <= 25  # on their way they may come closer to each other
    assert answered[-1].arrived - answered[0].arrived > 1
    wait_until(lambda: platform.metric("endpoints", state="invalid") == 0
               and platform.metric("endpoints", state="draining") == 0, "the end of draining")


def test_a_recovering_url_that_fails_again_is_invalid_at_once(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="500ms", push__drain_fail_limit="2")
    application = platform.application()
    # Ten failures, a good probe, two failures while draining: invalid again until the next probe.
    receiver.answers(*[503] * 10, 200, 503, 503, then=200)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(3):
        device.report({"n": n})
    attempts = receiver.wait_for(15)
    assert values(attempts) == [0] * 11 + [1] * 3 + [2]
    assert gaps(attempts)[12] >= 0.45


def test_a_probe_that_is_refused_leaves_the_url_invalid(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="500ms", push__refused_pauses="5ms, 5ms")
    application = platform.application()
    receiver.answers(*[503] * 10, Answer(404), then=200)
    subscribe(application, receiver)
    application.register_device().report({"n": 0})
    attempts = receiver.wait_for(12)
    assert gaps(attempts)[9] >= 0.45 and gaps(attempts)[10] >= 0.45


def test_what_waits_for_an_invalid_url_survives_a_restart(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="1h")
    application = platform.application()
    receiver.answers(then=503)
    subscribe(application, receiver)
    device = application.register_device()
    for n in range(5):
        device.report({"n": n})
    platform.wait_for_log("state=invalid")
    first = receiver.wait_for_one()
    assert platform.stop() == 0
    before = len(receiver.requests())
    receiver.answers(then=200)
    platform.start()
    # It is invalid still, and would be probed in an hour.
    wait_until(lambda: platform.metric("endpoints", state="invalid") == 1, "the URL's state")
    assert platform.ctl("endpoint", "probe", receiver.url("/data")).returncode == 0
    after = receiver.wait_for(before + 5)[before:]
    assert values(after) == [0, 1, 2, 3, 4]
    assert after[0].notify_id == first.notify_id

"""
Deliveries set aside in Redis: for callbacks that are invalid, paused, or slower than what comes. Their
order holds, nothing is lost, and what is given up by a limit is counted and can be seen.
"""

import json
import time
import zlib
from collections import Counter

import pytest

from helpers.cluster import PARTITIONS
from helpers.receiver import Answer, Hang
from helpers.waiting import wait_until

QUICK = {"push__retry_first": "5ms", "push__retry_max": "10ms"}


def values(requests):
    return [r.json["service"]["data"]["n"] for r in requests]


def of(device, requests):
    return [r for r in requests if r.json["deviceId"] == device.id]


def subscribe(application, receiver, path="/data"):
    return application.subscribe("deviceDataChanged", receiver.url(path))


def make_invalid(platform, application, receiver, device):
    """Fails until the URL is invalid; value 0 is what it was tried with, and is parked."""
    receiver.answers(then=503)
    device.report({"n": 0})
    platform.wait_for_log("state=invalid")
    platform.wait_for_metric("parked_events", 1)


def probe(platform, receiver, path="/data"):
    done = platform.ctl("endpoint", "probe", receiver.url(path))
    assert done.returncode == 0, done.stderr


def shown(platform, receiver, path="/data"):
    return json.loads(platform.ctl("--json", "endpoint", "show", receiver.url(path)).stdout)


def wait_until_nothing_is_left(platform):
    wait_until(lambda: platform.metric("parked_events") == 0 and
               platform.metric("events_pending") == 0, "the last acknowledgement")


@pytest.fixture
def quick(start_platform):
    """Probes only when they are asked for."""
    return lambda **more: start_platform(**QUICK, push__probe_interval="1h", **more)


# ---- callbacks that are slower than what comes


def test_more_than_fits_into_memory_is_parked_and_keeps_its_order(quick, receiver):
    platform = quick(push__queue_events="5", push__max_connections="2")
    application = platform.application()
    subscribe(application, receiver)
    gate = receiver.holds()
    devices = [application.register_device() for _ in range(4)]
    for n in range(40):
        devices[n % 4].report({"n": n})
    platform.wait_for_metric("parked_events", 30)
    wait_until(lambda: platform.metric("events_pending") <= 10, "the limit of the queue in memory")
    receiver.answers(then=200)
    gate.open()
    arrived = receiver.wait_for(40)
    for i, device in enumerate(devices):
        assert values(of(device, arrived)) == list(range(i, 40, 4))
    wait_until_nothing_is_left(platform)
    assert len(receiver.requests()) == 40
    wait_until(lambda: platform.metric("endpoints", state="valid") == 1, "the end of draining")


def test_a_callback_that_hangs_leaves_the_window_to_the_others(start_platform, receiver):
    platform = start_platform(push__window_events="40")
    application = platform.application()
    receiver.answers(then=Hang(), path="/slow")
    subscribe(application, receiver, "/slow")
    application.subscribe("deviceDatasChanged", receiver.url("/good"))
    device = application.register_device()
    for n in range(200):
        device.report({"n": n})
    arrived = receiver.wait_for(200, "/good")
    assert [r.json["services"][0]["data"]["n"] for r in arrived] == list(range(200))
    assert len(receiver.requests("/slow")) == 1
    platform.wait_for_metric("parked_events", 170)


def make_hang(platform, receiver, count, devices_each=1):
    """Applications whose callbacks take requests and never answer, each at a path of its own, -> their
    devices."""
    devices = []
    for i in range(count):
        application = platform.application(f"hanging-{i}")
        receiver.answers(then=Hang(), path=f"/hang/{i}")
        subscribe(application, receiver, f"/hang/{i}")
        devices += [application.register_device() for _ in range(devices_each)]
    return devices


def test_many_callbacks_that_hang_leave_the_window_to_the_others(start_platform, start_receiver):
    window = 100
    platform = start_platform(push__window_events=str(window), push__timeout="700ms",
                              push__retry_first="5ms", push__retry_max="10ms",
                              push__fail_limit="1000000", push__max_connections="100")
    good = start_receiver()
    application = platform.application()
    subscribe(application, good)
    device = application.register_device()
    hanging = make_hang(platform, start_receiver(), 30)
    for n in range(20):
        for one in hanging:
            one.report({"n": n})
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 20 * 30 - window)
    most = []

    def has_tried_often():
        most.append(platform.metric("events_pending"))
        return platform.metric("push_requests_total", result="fail") >= 5 * 30
    wait_until(has_tried_often, "some attempts", 20)
    # Attempts that fail let nothing into memory that has no place there.
    assert max(most) <= window
    for n in range(20, 40):
        device.report({"n": n})
    assert values(good.wait_for(40)) == list(range(40))


def test_callbacks_that_hang_leave_connections_to_the_others(start_platform, start_receiver):
    platform = start_platform(push__connections="16", push__timeout="1h")
    receivers = [start_receiver() for _ in range(5)]
    for i, receiver in enumerate(receivers):
        for one in make_hang(platform, receiver, 1, devices_each=10):
            one.report({"n": 0})
    wait_until(lambda: all(r.requests() for r in receivers), "a connection to each")
    good = start_receiver()
    application = platform.application()
    subscribe(application, good)
    device = application.register_device()
    for n in range(20):
        device.report({"n": n})
    assert values(good.wait_for(20)) == list(range(20))
    assert platform.metric("push_connections") <= 16


def test_a_callback_that_is_caught_up_with_needs_no_park_any_more(quick, receiver):
    platform = quick(push__queue_events="2")
    application = platform.application()
    subscribe(application, receiver)
    gate = receiver.holds()
    device = application.register_device()
    for n in range(10):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 8)
    receiver.answers(then=200)
    gate.open()
    receiver.wait_for(10)
    wait_until_nothing_is_left(platform)
    device.report({"n": 10})
    assert values(receiver.wait_for(11)) == list(range(11))


# ---- invalid ones


def test_what_waits_for_an_invalid_url_is_parked_and_comes_back_in_order(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(5)]
    make_invalid(platform, application, receiver, devices[0])
    for n in range(1, 300):
        devices[n % 5].report({"n": n})
    platform.wait_for_metric("parked_events", 300)
    wait_until(lambda: platform.metric("events_pending") == 0, "an empty memory")
    failed = len(receiver.requests())
    assert failed == 10
    receiver.answers(then=200)
    probe(platform, receiver)
    arrived = receiver.wait_for(failed + 300)[failed:]
    for i, device in enumerate(devices):
        assert values(of(device, arrived)) == list(range(i, 300, 5))
    wait_until_nothing_is_left(platform)
    wait_until(lambda: platform.metric("endpoints", state="valid") == 1, "the end of draining")


def test_attempts_go_on_counting_while_parked(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    make_invalid(platform, application, receiver, application.register_device())
    for attempt in (11, 12):
        probe(platform, receiver)
        receiver.wait_for(attempt)
        wait_until(lambda: platform.metric("endpoints", state="invalid") == 1, "the failed probe")
    receiver.answers(then=200)
    probe(platform, receiver)
    seen = receiver.wait_for(13)
    assert [int(r.headers["X-Notify-Attempt"]) for r in seen] == list(range(1, 14))
    assert len({r.notify_id for r in seen}) == 1


def test_the_first_message_after_a_due_probe_is_the_probe(start_platform, receiver):
    platform = start_platform(**QUICK, push__probe_interval="300ms", push__refused_pauses="5ms")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    # It fails ten times, and the probes are refused until it is given up: nothing is left to send.
    receiver.answers(*[503] * 10, 404, 404, then=200)
    device.report({"n": 0})
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    assert platform.metric("endpoints", state="invalid") == 1
    device.report({"n": 1})
    assert values(receiver.wait_for(13)) == [0] * 12 + [1]
    wait_until(lambda: platform.metric("endpoints", state="valid") == 1, "the URL's recovery")


def test_what_is_parked_survives_a_kill(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 50):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 50)
    first = receiver.wait_for_one()
    before = len(receiver.requests())
    platform.kill()
    receiver.answers(then=200)
    platform.start()
    wait_until(lambda: platform.metric("endpoints", state="invalid") == 1, "the URL's state")
    assert len(receiver.requests()) == before
    probe(platform, receiver)
    after = receiver.wait_for(before + 50)[before:]
    assert values(after) == list(range(50))
    assert after[0].notify_id == first.notify_id


def test_a_message_expires_in_its_park_and_is_counted(quick, receiver):
    platform = quick(push__v1_cache_time="1500ms")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 20):
        device.report({"n": n})
    platform.wait_for_metric("dropped_total", 20, reason="expired")
    wait_until_nothing_is_left(platform)
    assert len(receiver.requests()) == 10


def test_after_a_time_longer_than_the_cache_time_only_the_younger_ones_come(quick, receiver):
    platform = quick(push__v1_cache_time="3s")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 10):
        device.report({"n": n})
    platform.wait_for_metric("dropped_total", 10, reason="expired")
    failed = len(receiver.requests())
    for n in range(10, 20):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 10)
    receiver.answers(then=200)
    probe(platform, receiver)
    assert values(receiver.wait_for(failed + 10)[failed:]) == list(range(10, 20))
    wait_until_nothing_is_left(platform)
    assert platform.metric("dropped_total") == 10


def register_elsewhere(application, devices):
    """A device in a partition of its own: of one partition, the oldest is read first."""
    def partition(device):
        return zlib.crc32(device.id.encode()) % PARTITIONS
    others = {partition(device) for device in devices}
    while True:
        device = application.register_device()
        if partition(device) not in others:
            return device


def test_a_long_outage_is_made_up_for_at_the_drain_rate_and_new_ones_come_last(quick, receiver):
    count, rate = 5000, 800
    platform = quick(push__drain_rate=rate, push__v1_cache_time="2h", push__queue_events="100")
    application = platform.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(10)]
    late = register_elsewhere(application, devices)
    make_invalid(platform, application, receiver, devices[0])
    for n in range(1, count):
        devices[n % 10].report({"n": n})
    platform.wait_for_metric("parked_events", count)
    failed = len(receiver.requests())
    receiver.answers(then=200)
    probe(platform, receiver)
    receiver.wait_for(failed + 100)
    for n in range(20):
        late.report({"n": n})
    arrived = receiver.wait_for(failed + count + 20, timeout=60)[failed:]
    for i, device in enumerate(devices):
        assert values(of(device, arrived)) == list(range(i, count, 10))
    assert values(of(late, arrived)) == list(range(20))
    first_late = next(i for i, r in enumerate(arrived) if r.json["deviceId"] == late.id)
    # Among the last that are in memory together: as many as go out in a quarter of a second, which a
    # busy machine makes longer, but never more than this (TARGET_WINDOW).
    assert first_late >= count - 1024
    per_second = Counter(r.headers["X-Notify-Timestamp"] for r in arrived)
    assert max(per_second.values()) <= rate
    wait_until_nothing_is_left(platform)


def test_beyond_the_limit_of_bytes_the_oldest_go(quick, receiver):
    platform = quick(push__stack_bytes="64k")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 101):
        device.report({"n": n, "padding": "x" * 2000})
    # All are in the park or dropped from it: counting earlier would miss what is dropped later.
    wait_until(lambda: platform.metric("dropped_total", reason="stack_full") +
               platform.metric("parked_events") == 101 and
               platform.metric("parked_bytes") <= 65536, "the limit")
    kept = int(platform.metric("parked_events"))
    assert 20 <= kept <= 40
    receiver.answers(then=200)
    probe(platform, receiver)
    arrived = receiver.wait_for(10 + kept)[10:]
    assert values(arrived) == list(range(101 - kept, 101))
    wait_until_nothing_is_left(platform)


def test_what_is_parked_never_outgrows_its_limit_by_much(quick, receiver):
    limit = 65536
    platform = quick(push__stack_bytes="64k", push__window_events="200")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    assert platform.ctl("delivery", "pause").returncode == 0
    wait_until(lambda: "deliveries=paused" in platform.log, "the pause")
    count = 4000
    for n in range(1, count):
        device.report({"n": n, "padding": "x" * 400})
    assert platform.ctl("delivery", "resume").returncode == 0
    most = []

    def is_over():
        most.append(platform.metric("parked_bytes"))
        return (platform.metric("dropped_total", reason="stack_full") +
                platform.metric("parked_events") == count and most[-1] <= limit)
    wait_until(is_over, "the limit")
    assert max(most) <= 8 * limit
    receiver.answers(then=200)
    probe(platform, receiver)
    receiver.wait_for_match(lambda r: r.json["service"]["data"]["n"] == count - 1)
    wait_until_nothing_is_left(platform)
    kept = int(count - platform.metric("dropped_total"))
    assert 50 <= kept <= 130
    assert values(receiver.requests())[10:] == list(range(count - kept, count))


# ---- subscriptions that change meanwhile


def test_what_is_parked_for_a_deleted_subscription_is_never_sent(quick, receiver):
    platform = quick()
    application = platform.application()
    subscription = subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 10):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 10)
    application.unsubscribe(subscription)
    platform.wait_for_metric("dropped_total", 10, reason="unsubscribed")
    wait_until_nothing_is_left(platform)
    assert len(receiver.requests()) == 10


def test_what_is_parked_goes_to_the_new_url_of_its_subscription(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(3)]
    make_invalid(platform, application, receiver, devices[0])
    for n in range(1, 150):
        devices[n % 3].report({"n": n})
    platform.wait_for_metric("parked_events", 150)
    receiver.answers(then=200, path="/new")
    subscribe(application, receiver, "/new")
    for n in range(150, 180):
        devices[n % 3].report({"n": n})
    arrived = receiver.wait_for(180, "/new")
    for i, device in enumerate(devices):
        assert values(of(device, arrived)) == list(range(i, 180, 3))
    wait_until_nothing_is_left(platform)
    assert len(receiver.requests("/data")) == 10


def url_states(client):
    return sum(client("HLEN", key) for key in client("KEYS", "*:breakers"))


@pytest.mark.parametrize("then", ["unsubscribed", "elsewhere"])
def test_of_a_url_that_is_not_used_any_more_no_state_is_kept(start_redis, quick, receiver, then):
    redis = start_redis()
    platform = quick(redis=redis)
    application = platform.application()
    subscription = subscribe(application, receiver)
    make_invalid(platform, application, receiver, application.register_device())
    client = redis.client()
    wait_until(lambda: url_states(client) == 1, "the state in Redis")
    if then == "unsubscribed":
        application.unsubscribe(subscription)
    else:
        receiver.answers(then=200, path="/new")
        subscribe(application, receiver, "/new")
        receiver.wait_for(1, "/new")
    wait_until(lambda: url_states(client) == 0, "the end of that state")
    client.close()


def test_states_that_nobody_remembers_are_cleared_up(start_redis, quick, receiver):
    redis = start_redis()
    platform = quick(redis=redis)
    application = platform.application()
    client = redis.client()
    key = f"{{a{application.id}}}:breakers"
    for n in range(250):
        client("HSET", key, f"http://gone.example.test/{n}", "1790000000000 1890000000000 10 status 503")
    client("HSET", key, receiver.url("/data"), "1790000000000 1890000000000 10 status 503")
    subscribe(application, receiver)
    application.register_device().report({"n": 0})
    wait_until(lambda: client("HKEYS", key) == [receiver.url("/data").encode()], "the clearing up")
    platform.wait_for_metric("parked_events", 1)
    assert receiver.requests() == []
    client.close()


def test_what_cannot_be_read_in_a_park_is_counted_and_deleted(start_redis, quick, receiver):
    redis = start_redis()
    platform = quick(redis=redis)
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    client = redis.client()
    park, = client("KEYS", "*:park:*")
    client("ZADD", park, 0, "junk", 0, "000-1.0 x", 0, "zz", 0, "0" * 300)
    device.report({"n": 1})
    platform.wait_for_metric("parked_events", 6)
    receiver.answers(then=200)
    probe(platform, receiver)
    assert values(receiver.wait_for(12))[10:] == [0, 1]
    platform.wait_for_metric("dropped_total", 4, reason="unreadable")
    wait_until(lambda: client("KEYS", "*:park*") == [], "an empty park")
    client.close()


def test_an_event_that_cannot_be_read_is_counted_as_dropped(start_redis, quick, receiver):
    redis = start_redis()
    platform = quick(redis=redis)
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    client = redis.client()
    client("XADD", "{p7}:q", "*", "e", "junk")
    client("XADD", "{p7}:q", "*", "e",
           f"1 property.reported {application.id} {device.id} {device.id} 1790000000000 {{no json")
    client("XADD", "{p7}:q", "*", "e", f"1 property.reported {application.id} {'d' * 600} "
           f"{device.id} {int(time.time() * 1000)} "
           '{"services":[{"serviceId":"a","data":{"n":1}}]}')
    platform.wait_for_metric("dropped_total", 2, reason="unreadable")
    wait_until(lambda: client("XLEN", "{p7}:q") == 0, "their deletion")
    client.close()


# ---- what operators do


def test_one_callback_is_paused_and_others_go_on(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    application.subscribe("deviceDatasChanged", receiver.url("/other"))
    device = application.register_device()
    assert platform.ctl("delivery", "pause", receiver.url("/data")).returncode == 0
    for n in range(20):
        device.report({"n": n})
    receiver.wait_for(20, "/other")
    platform.wait_for_metric("parked_events", 20)
    assert receiver.requests("/data") == []
    shown = platform.ctl("--json", "endpoint", "show", receiver.url("/data"))
    assert '"state":"paused"' in shown.stdout and '"parked":20' in shown.stdout
    assert platform.ctl("delivery", "resume", receiver.url("/data")).returncode == 0
    assert values(receiver.wait_for(20, "/data")) == list(range(20))
    wait_until_nothing_is_left(platform)


def test_a_paused_callback_stays_paused_over_a_restart(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    platform.ctl("delivery", "pause", receiver.url("/data"))
    device.report({"n": 0})
    platform.wait_for_metric("parked_events", 1)
    assert platform.stop() == 0
    platform.start()
    device.report({"n": 1})
    platform.wait_for_metric("parked_events", 2)
    assert receiver.requests() == []
    platform.ctl("delivery", "resume", receiver.url("/data"))
    assert values(receiver.wait_for(2)) == [0, 1]


def test_an_endpoint_is_shown_with_its_state_error_and_latencies(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    device.report({"n": 0})
    receiver.wait_for(1)
    make_invalid(platform, application, receiver, device)
    response = platform.admin("POST", "/admin/v1/endpoints/show",
                              {"url": receiver.url("/data"), "app": application.id})
    (shown,) = response.json["endpoints"]
    assert shown["state"] == "invalid" and shown["failures"] == 10
    assert shown["lastError"] == "status 503"
    assert shown["parked"] == shown["parkedEverywhere"] == 1
    assert shown["parkedBytesEverywhere"] > 100
    assert 3500 <= shown["nextProbeSeconds"] <= 3600
    assert shown["delivered"] == 1 and shown["dropped"] == 0
    assert 0 <= shown["p50Ms"] <= shown["p99Ms"] <= shown["maxMs"] < 10000
    listed = platform.ctl("endpoints", "--failing")
    assert "invalid" in listed.stdout and receiver.url("/data")[:30] in listed.stdout
    human = platform.ctl("endpoint", "show", receiver.url("/data"))
    assert "status 503" in human.stdout


def test_figures_of_a_callback_say_whose_they_are(cluster, receiver):
    both = cluster(2, **QUICK)
    application = both.members[0].application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(32)]  # in partitions of both
    for device in devices:
        device.report({"n": 0})
    receiver.wait_for(32)
    both.wait_until_acknowledged()
    delivered = 0
    for member in both.members:
        name = member.status()["instance"]
        figures = shown(member, receiver)
        assert figures["instance"] == name
        delivered += figures["delivered"]
        assert json.loads(member.ctl("--json", "endpoints").stdout)["instance"] == name
        assert name in member.ctl("endpoint", "show", receiver.url("/data")).stdout
    assert delivered == 32


def reset(platform, receiver, path="/data"):
    done = platform.ctl("endpoint", "reset", receiver.url(path))
    assert done.returncode == 0 and "valid" in done.stdout, done.stderr


def test_an_invalid_callback_is_reset(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    device.report({"n": 1})
    receiver.answers(then=200)
    reset(platform, receiver)
    assert values(receiver.wait_for(12))[10:] == [0, 1]
    platform.wait_for_metric("endpoints", 1, state="valid")
    wait_until_nothing_is_left(platform)


def test_a_reset_counts_failures_from_0(start_platform, receiver):
    platform = start_platform(push__retry_first="1h", push__retry_max="1h")
    application = platform.application()
    subscribe(application, receiver)
    receiver.answers(then=503)
    for n in range(9):
        application.register_device().report({"n": n})
    receiver.wait_for(9)
    wait_until(lambda: shown(platform, receiver)["failures"] == 9, "nine failures")
    reset(platform, receiver)
    assert shown(platform, receiver)["failures"] == 0
    application.register_device().report({"n": 9})
    receiver.wait_for(10)
    wait_until(lambda: shown(platform, receiver)["failures"] == 1, "the tenth failure")
    assert shown(platform, receiver)["state"] == "valid"


def test_a_reset_ends_a_pause_that_the_callback_asked_for(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    receiver.answers(Answer(429, {"Retry-After": "180"}))
    application.register_device().report({"n": 0})
    receiver.wait_for_one()
    wait_until(lambda: shown(platform, receiver)["lastError"] == "status 429", "the answer's effect")
    application.register_device().report({"n": 1})
    reset(platform, receiver)
    assert values(receiver.wait_for(2)) == [0, 1]


def test_a_reset_counts_at_all_instances(cluster, receiver):
    both = cluster(2, **QUICK, push__probe_interval="1h")
    application = both.members[0].application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(32)]
    receiver.answers(then=503)
    for device in devices:
        device.report({"n": 0})
    for member in both.members:
        member.wait_for_metric("endpoints", 1, state="invalid")
    receiver.answers(then=200)
    reset(both.members[1], receiver)
    for member in both.members:
        member.wait_for_metric("endpoints", 1, state="valid")
    both.wait_until_acknowledged()


def test_what_nobody_uses_is_not_reset(platform):
    unknown = platform.ctl("endpoint", "reset", "http://nobody.test:80/x")
    assert unknown.returncode == 1 and "no application uses" in unknown.stderr


def test_a_url_of_several_applications_is_shown_and_emptied_in_all_partitions(quick, receiver):
    platform = quick(partition__count="200")
    assert platform.ctl("delivery", "pause", receiver.url("/data")).returncode == 0
    count = 3
    for i in range(count):
        application = platform.application(f"one-of-{i}")
        subscribe(application, receiver)
        for device in [application.register_device() for _ in range(i + 1)]:
            device.report({"n": 0})
    platform.wait_for_metric("parked_events", 1 + 2 + 3)
    response = platform.admin("POST", "/admin/v1/endpoints/show", {"url": receiver.url("/data")})
    assert sorted(one["parkedEverywhere"] for one in response.json["endpoints"]) == [1, 2, 3]
    done = platform.ctl("-y", "endpoint", "drop-parked", receiver.url("/data"))
    assert done.returncode == 0 and "6 parked" in done.stdout, done
    wait_until_nothing_is_left(platform)


def test_what_is_parked_is_thrown_away_on_demand(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 30):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 30)
    refused = platform.ctl("endpoint", "drop-parked", receiver.url("/data"))
    assert refused.returncode == 1 and "--yes" in refused.stderr
    done = platform.ctl("-y", "endpoint", "drop-parked", receiver.url("/data"))
    assert done.returncode == 0 and "30 parked" in done.stdout, done.stderr
    assert platform.metric("dropped_total", reason="operator") == 30
    wait_until_nothing_is_left(platform)
    receiver.answers(then=200)
    device.report({"n": 30})
    probe(platform, receiver)
    assert values(receiver.wait_for(11))[10:] == [30]


def test_a_callback_that_is_valid_or_unknown_is_not_probed(quick, receiver):
    platform = quick()
    application = platform.application()
    subscribe(application, receiver)
    unknown = platform.ctl("endpoint", "probe", "http://nobody.test:80/x")
    assert unknown.returncode == 1 and "no application uses" in unknown.stderr
    application.register_device().report({"n": 0})
    receiver.wait_for(1)
    valid = platform.ctl("endpoint", "probe", receiver.url("/data"))
    assert valid.returncode == 1 and "not invalid" in valid.stderr
    assert platform.ctl("endpoint", "probe", "no url").returncode == 1


# ---- dead letters


def test_what_was_dropped_is_listed_and_tried_again(quick, receiver):
    platform = quick(push__v1_cache_time="1500ms", push__refused_pauses="5ms, 5ms")
    application = platform.application()
    subscription = subscribe(application, receiver)
    device = application.register_device()
    receiver.answers(then=404)
    for n in range(3):
        device.report({"n": n})
    platform.wait_for_metric("dropped_total", 3, reason="refused")
    letters = platform.admin("GET", "/admin/v1/deadletters").json["deadletters"]
    assert [one["reason"] for one in letters] == ["refused"] * 3
    assert all(one["url"] == receiver.url("/data") and one["device"] == device.id and
               one["attempts"] == 3 and one["subscription"] == subscription["subscriptionId"] and
               one["lastError"] == "status 404" for one in letters)
    before = receiver.requests()
    receiver.answers(then=200)
    one = platform.ctl("deadletter", "replay", letters[0]["id"])
    assert one.returncode == 0 and one.stdout.startswith("1 "), one.stderr
    receiver.wait_for(len(before) + 1)
    rest = platform.ctl("deadletter", "replay", "--all")
    assert rest.returncode == 0 and rest.stdout.startswith("2 ")
    after = receiver.wait_for(len(before) + 3)[len(before):]
    assert values(after) == [0, 1, 2]
    assert [r.notify_id for r in after] == [before[i].notify_id for i in (0, 3, 6)]
    assert platform.ctl("deadletter", "replay", letters[0]["id"]).returncode == 1
    assert platform.ctl("deadletter", "list").stdout == "no deadletters\n"


def test_dead_letters_are_limited_and_purged(quick, receiver):
    platform = quick(push__deadletter_entries="10", push__refused_pauses="1ms")
    application = platform.application()
    subscribe(application, receiver)
    receiver.answers(then=404)
    device = application.register_device()
    for n in range(400):
        device.report({"n": n})
    platform.wait_for_metric("dropped_total", 400, reason="refused")
    kept = len(platform.admin("GET", "/admin/v1/deadletters").json["deadletters"])
    assert 10 <= kept <= 200  # Redis cuts by whole nodes
    assert platform.ctl("deadletter", "purge").returncode == 1
    done = platform.ctl("-y", "deadletter", "purge")
    assert done.returncode == 0 and done.stdout.startswith(str(kept))
    assert platform.admin("GET", "/admin/v1/deadletters").json["deadletters"] == []


def test_no_dead_letters_are_kept_when_they_are_switched_off(quick, receiver):
    platform = quick(push__deadletter_entries="0", push__refused_pauses="1ms")
    application = platform.application()
    subscribe(application, receiver)
    receiver.answers(then=404)
    application.register_device().report({"n": 0})
    platform.wait_for_metric("dropped_total", 1, reason="refused")
    assert platform.admin("GET", "/admin/v1/deadletters").json["deadletters"] == []


@pytest.mark.parametrize("method, target, body, status", [
    ("POST", "/admin/v1/endpoints/show", {}, 400),
    ("POST", "/admin/v1/endpoints/show", {"url": "ftp://x/"}, 400),
    ("POST", "/admin/v1/endpoints/show", {"url": "http://x:1/y", "app": "no id!"}, 400),
    ("POST", "/admin/v1/endpoints/drop-parked", {"url": 5}, 400),
    ("POST", "/admin/v1/endpoints/reset", {"url": "no url"}, 400),
    ("POST", "/admin/v1/delivery/pause", {"url": ""}, 400),
    ("GET", "/admin/v1/deadletters?after=x", None, 400),
    ("POST", "/admin/v1/deadletters/replay", {"id": "x"}, 400),
    ("POST", "/admin/v1/deadletters/replay", {"id": "1-1"}, 404),
])
def test_admin_requests_that_make_no_sense_are_refused(platform, method, target, body, status):
    assert platform.admin(method, target, body).status == status


# ---- several instances


@pytest.fixture
def two(start_redis, start_platform):
    def start(**more):
        redis = start_redis()
        members = [start_platform(redis=redis, **QUICK, partition__lease="1s",
                                  partition__heartbeat="100ms", cache__life="200ms",
                                  push__probe_interval="1h", **more) for _ in range(2)]
        wait_until(lambda: sum(one.metric("partitions_owned") for one in members) == PARTITIONS and
                   min(one.metric("partitions_owned") for one in members) > 0, "sharing")
        return members
    return start


def parked(members):
    return sum(one.metric("parked_events") for one in members if one.is_running)


def test_instances_share_what_is_invalid_and_one_of_them_probes(two, receiver):
    first, second = two()
    application = first.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(20)]
    receiver.answers(then=503)
    for n in range(5):
        for device in devices:
            device.report({"n": n})
    for one in (first, second):
        wait_until(lambda: one.metric("endpoints", state="invalid") == 1, "the state at both")
    wait_until(lambda: parked((first, second)) == 100, "parking at both")
    failed = len(receiver.requests())
    gate = receiver.holds()
    probe(first, receiver)
    receiver.wait_for(failed + 1)
    assert receiver.in_flight == 1
    receiver.answers(then=200)
    gate.open()
    arrived = receiver.wait_for(failed + 100)[failed:]
    for device in devices:
        assert values(of(device, arrived)) == [0, 1, 2, 3, 4]
    wait_until(lambda: parked((first, second)) == 0, "the last acknowledgement")


def test_instances_share_the_drain_rate(two, receiver):
    first, second = two(push__drain_rate="200")
    application = first.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(40)]
    receiver.answers(then=503)
    for n in range(25):
        for device in devices:
            device.report({"n": n})
    wait_until(lambda: parked((first, second)) == 1000, "parking at both")
    failed = len(receiver.requests())
    receiver.answers(then=200)
    probe(first, receiver)
    arrived = receiver.wait_for(failed + 1000, timeout=60)[failed:]
    for device in devices:
        assert values(of(device, arrived)) == list(range(25))
    per_second = Counter(r.headers["X-Notify-Timestamp"] for r in arrived)
    assert max(per_second.values()) <= 200


def test_what_a_killed_instance_had_parked_is_delivered_by_the_other(two, receiver):
    first, second = two()
    application = first.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(20)]
    receiver.answers(then=503)
    for n in range(5):
        for device in devices:
            device.report({"n": n})
    wait_until(lambda: parked((first, second)) == 100, "parking at both")
    second.kill()
    wait_until(lambda: first.metric("partitions_owned") == PARTITIONS, "the take-over")
    failed = len(receiver.requests())
    receiver.answers(then=200)
    probe(first, receiver)
    arrived = receiver.wait_for(failed + 100)[failed:]
    for device in devices:
        assert values(of(device, arrived)) == [0, 1, 2, 3, 4]
    wait_until(lambda: parked([first]) == 0, "the last acknowledgement")


def test_parked_deliveries_move_with_their_partitions(two, receiver):
    """A clean stop and a start: no loss, and nothing twice."""
    first, second = two()
    application = first.application()
    subscribe(application, receiver)
    devices = [application.register_device() for _ in range(20)]
    for one in (first, second):
        assert one.ctl("delivery", "pause", receiver.url("/data")).returncode == 0
    for n in range(5):
        for device in devices:
            device.report({"n": n})
    wait_until(lambda: parked((first, second)) == 100, "parking at both")
    assert second.stop() == 0
    wait_until(lambda: first.metric("partitions_owned") == PARTITIONS, "the take-over")
    second.start()
    wait_until(lambda: second.metric("partitions_owned") > 0, "the hand-over")
    assert receiver.requests() == []
    assert second.ctl("delivery", "resume", receiver.url("/data")).returncode == 0
    arrived = receiver.wait_for(100)
    for device in devices:
        assert values(of(device, arrived)) == [0, 1, 2, 3, 4]
    wait_until(lambda: parked((first, second)) == 0, "the last acknowledgement")
    assert len(receiver.requests()) == 100


def test_what_is_parked_late_takes_its_place_before_what_was_read(start_redis, quick, receiver):
    """As a new owner does with what it finds in the stream: it may be older than what is parked."""
    redis = start_redis()
    platform = quick(redis=redis, push__queue_events="1", push__max_connections="1")
    application = platform.application()
    subscribe(application, receiver)
    one = application.register_device()
    gate = receiver.holds()
    for n in range(300):
        one.report({"n": n})
    platform.wait_for_metric("parked_events", 298)
    client = redis.client()
    park, = client("KEYS", "*:park:*")
    partition = park.decode().split(":")[0]
    early = client("ZRANGE", park, 0, 0)[0]
    before = int(early.split(b"-")[0]) - 100_000
    # A place in the order of storing that lies before all of them, as of a device that was not begun.
    event = early.split(b" ", 4)[4]
    client("XADD", f"{partition}:q", "*", "e", event.replace(b'"n":1}', b'"n":"late"}'), "only",
           f"{before}-0 0 {early.split(b' ')[1].decode()}")
    platform.wait_for_metric("parked_events", 299)
    receiver.answers(then=200)
    gate.open()
    arrived = values(receiver.wait_for(301))
    assert sorted(arrived, key=str) == sorted([*range(300), "late"], key=str)
    assert [n for n in arrived if n != "late"] == list(range(300))
    wait_until_nothing_is_left(platform)
    client.close()


def test_redis_restarts_while_something_is_parked(start_redis, start_platform, receiver):
    redis = start_redis("--appendonly", "yes", "--appendfsync", "always")
    platform = start_platform(redis=redis, **QUICK, push__probe_interval="1h")
    application = platform.application()
    subscribe(application, receiver)
    device = application.register_device()
    make_invalid(platform, application, receiver, device)
    for n in range(1, 40):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", 40)
    redis.kill()
    redis.start()
    platform.wait_until_ready()
    receiver.answers(then=200)
    failed = len(receiver.requests())
    wait_until(lambda: platform.ctl("endpoint", "probe", receiver.url("/data")).returncode == 0,
               "Redis to be back")
    assert values(receiver.wait_for(failed + 40)[failed:]) == list(range(40))
    wait_until_nothing_is_left(platform)

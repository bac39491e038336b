"""
What one breaker guards: push.breaker_scope_v1 = url, each callback URL for itself, or host, all of an
application with the same scheme, host and port.

Reports go to /data, registrations to /added: so one path can fail while the other has nothing to say.
"""

import json
from collections import Counter

import pytest

from helpers.receiver import Answer
from helpers.waiting import wait_until

QUICK = {"push__retry_first": "5ms", "push__retry_max": "10ms", "push__probe_interval": "1h"}
BY_HOST = {**QUICK, "push__breaker_scope_v1": "host"}


def values(requests):
    return [r.json["service"]["data"]["n"] for r in requests]


def of(device, requests):
    return [r for r in requests if r.json["deviceId"] == device.id]


def subscribe(application, receiver):
    return [application.subscribe("deviceDataChanged", receiver.url("/data")),
            application.subscribe("deviceAdded", receiver.url("/added"))]


def host(receiver):
    return receiver.url("")


def make_invalid(platform, device, receiver, value=0):
    """By reports: what goes to /added has had no part in it."""
    receiver.answers(then=503)
    device.report({"n": value})
    platform.wait_for_log("state=invalid")
    platform.wait_for_metric("parked_events", 1)


def known(platform, state):
    return platform.metric("endpoints", state=state)


def shown(platform, url):
    """Of a URL that is not known yet: nothing of all that."""
    return Counter(json.loads(platform.ctl("--json", "endpoint", "show", url).stdout or "{}"))


def probe(platform, url):
    done = platform.ctl("endpoint", "probe", url)
    assert done.returncode == 0, done.stderr


def wait_until_all_is_delivered(platform):
    wait_until(lambda: platform.metric("parked_events") == 0 and
               platform.metric("events_pending") == 0, "the last acknowledgement")
    wait_until(lambda: known(platform, "draining") == known(platform, "invalid") == 0, "recovery")


def test_by_default_a_failing_url_rests_alone(start_platform, receiver):
    platform = start_platform(**QUICK)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    receiver.answers(then=200, path="/added")
    for _ in range(5):
        application.register_device()
    receiver.wait_for(5, "/added")
    wait_until(lambda: known(platform, "invalid") == known(platform, "valid") == 1, "both states")
    assert shown(platform, receiver.url("/data"))["breaker"] == receiver.url("/data")


def test_with_a_breaker_per_host_a_failing_url_rests_with_all_others_there(
        start_platform, start_receiver, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    elsewhere = start_receiver()
    application.subscribe("deviceDatasChanged", elsewhere.url("/data"))
    make_invalid(platform, device, receiver)
    receiver.answers(then=200)
    for _ in range(5):
        application.register_device()
    platform.wait_for_metric("parked_events", 6)
    assert receiver.requests("/added") == []
    assert known(platform, "invalid") == 2
    elsewhere.wait_for(1)  # another host is not concerned
    assert platform.wait_for_log(rf"host={host(receiver)} state=invalid failures=10 reason=\"status 503\"")
    for path in ("/data", "/added"):
        one = shown(platform, receiver.url(path))
        assert (one["state"], one["failures"]) == ("invalid", 10)
        assert one["breaker"] == host(receiver)
        assert one["lastError"] == "status 503"
        assert 3500 <= one["nextProbeSeconds"] <= 3600


def test_another_application_on_the_same_host_goes_on(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    failing, other = platform.application("failing"), platform.application("other")
    failing.subscribe("deviceDataChanged", receiver.url("/failing"))
    other.subscribe("deviceDataChanged", receiver.url("/other"))
    make_invalid(platform, failing.register_device(), receiver)
    receiver.answers(then=200, path="/other")
    other.register_device().report({"n": 1})
    assert values(receiver.wait_for(1, "/other")) == [1]


def test_a_success_of_one_url_counts_for_its_host(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    receiver.answers(*[503] * 9, then=200)
    receiver.answers(then=200, path="/added")
    device.report({"n": 0})
    receiver.wait_for(10, "/data")
    receiver.answers(*[503] * 9, then=200)
    device.report({"n": 1})
    assert values(receiver.wait_for(20, "/data")) == [0] * 10 + [1] * 10
    application.register_device()
    receiver.wait_for(1, "/added")
    assert "state=invalid" not in platform.log


def test_one_probe_is_made_for_all_urls_of_a_host_and_then_all_drain(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    devices = [application.register_device() for _ in range(4)]
    subscribe(application, receiver)
    make_invalid(platform, devices[0], receiver)
    for n in range(1, 200):
        devices[n % 4].report({"n": n})
    late = [application.register_device() for _ in range(50)]
    platform.wait_for_metric("parked_events", 250)
    failed = len(receiver.requests())
    gate = receiver.holds()
    probe(platform, receiver.url("/added"))  # of any URL there
    first = receiver.wait_for(failed + 1)[-1]
    assert (first.path, values([first])) == ("/data", [0])  # the oldest of all
    wait_until(lambda: known(platform, "probing") == 2, "the state of both")
    assert receiver.in_flight == 1
    receiver.answers(then=200)
    gate.open()
    arrived = receiver.wait_for(failed + 250)[failed:]
    data = [r for r in arrived if r.path == "/data"]
    for i, device in enumerate(devices):
        assert values(of(device, data)) == list(range(i, 200, 4))
    assert Counter(r.json["deviceId"] for r in arrived if r.path == "/added") == \
        Counter(device.id for device in late)
    wait_until_all_is_delivered(platform)
    assert len(receiver.requests()) == failed + 250


def test_many_urls_of_a_host_drain_in_turn(start_platform, receiver):
    """Far more than may be sent at a time: each waits for the others' requests, none is forgotten."""
    urls, reports, rate = 100, 5, 400
    platform = start_platform(**BY_HOST, subscription__same_type="fanout", push__drain_rate=rate,
                              push__max_connections="4")
    application = platform.application()
    for n in range(urls):
        application.subscribe("deviceDataChanged", receiver.url(f"/{n}"))
    device = application.register_device()
    receiver.answers(then=503)
    for n in range(reports):
        device.report({"n": n})
    platform.wait_for_metric("parked_events", urls * reports)
    failed = len(receiver.requests())
    receiver.answers(then=200)
    probe(platform, receiver.url("/7"))
    arrived = receiver.wait_for(failed + urls * reports)[failed:]
    for n in range(urls):
        assert values(r for r in arrived if r.path == f"/{n}") == list(range(reports))
    per_second = Counter(r.headers["X-Notify-Timestamp"] for r in arrived)
    assert max(per_second.values()) <= rate
    wait_until_all_is_delivered(platform)


def test_a_failed_probe_leaves_the_whole_host_invalid(start_platform, receiver):
    platform = start_platform(**{**BY_HOST, "push__probe_interval": "300ms"})
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    receiver.answers(*[503] * 13, then=200)
    device.report({"n": 0})
    receiver.wait_for(10)
    platform.wait_for_log("state=invalid")  # the answer to the tenth has been read
    application.register_device()
    arrived = receiver.wait_for(15)
    assert [r.path for r in arrived[:14]] == ["/data"] * 14
    assert values(arrived[:14]) == [0] * 14
    assert arrived[14].path == "/added"
    wait_until_all_is_delivered(platform)


def test_after_a_refused_probe_another_url_of_the_host_is_probed(start_platform, receiver):
    platform = start_platform(**BY_HOST, push__refused_pauses="5ms, 5ms, 5ms")
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    application.register_device()
    platform.wait_for_metric("parked_events", 2)
    failed = len(receiver.requests())
    receiver.answers(404, then=200, path="/data")
    receiver.answers(then=200, path="/added")
    probe(platform, receiver.url("/data"))
    receiver.wait_for(failed + 1)
    wait_until(lambda: known(platform, "invalid") == 2, "the end of that probe")
    wait_until(lambda: shown(platform, receiver.url("/data"))["lastError"] == "status 404",
               "the answer's effect")
    probe(platform, receiver.url("/data"))
    arrived = receiver.wait_for(failed + 3)[failed:]
    assert [r.path for r in arrived] == ["/data", "/added", "/data"]
    wait_until_all_is_delivered(platform)


def test_a_retry_after_of_one_url_pauses_its_host_and_a_reset_ends_that(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    receiver.answers(Answer(429, {"Retry-After": "180"}))
    device.report({"n": 0})
    receiver.wait_for_one()
    wait_until(lambda: shown(platform, receiver.url("/data"))["lastError"] == "status 429",
               "the answer's effect")
    application.register_device()
    wait_until(lambda: shown(platform, receiver.url("/added"))["waiting"] == 1, "the next one")
    assert receiver.requests("/added") == []
    assert platform.ctl("endpoint", "reset", receiver.url("/added")).returncode == 0
    receiver.wait_for(1, "/added")


def test_a_reset_of_one_url_makes_its_host_valid(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    application.register_device()
    platform.wait_for_metric("parked_events", 2)
    receiver.answers(then=200)
    assert platform.ctl("endpoint", "reset", receiver.url("/added")).returncode == 0
    receiver.wait_for(1, "/added")
    wait_until_all_is_delivered(platform)


def test_a_paused_url_neither_probes_nor_holds_its_host_back(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    application.register_device()
    platform.wait_for_metric("parked_events", 2)
    failed = len(receiver.requests())
    assert platform.ctl("delivery", "pause", receiver.url("/data")).returncode == 0
    receiver.answers(then=200)
    probe(platform, receiver.url("/data"))
    assert receiver.wait_for(failed + 1)[-1].path == "/added"
    application.register_device()
    receiver.wait_for(2, "/added")
    assert len(receiver.requests("/data")) == failed
    assert platform.ctl("delivery", "resume", receiver.url("/data")).returncode == 0
    assert values(receiver.wait_for(failed + 1, "/data"))[-1:] == [0]
    wait_until_all_is_delivered(platform)


def test_a_host_stays_invalid_over_a_restart_also_for_urls_not_used_before(start_platform, receiver):
    platform = start_platform(**BY_HOST)
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    failed = len(receiver.requests())
    assert platform.stop() == 0
    platform.start()
    receiver.answers(then=200)
    wait_until(lambda: known(platform, "invalid") == 1, "the URL's state")
    application.register_device()
    platform.wait_for_metric("parked_events", 2)
    assert known(platform, "invalid") == 2
    assert len(receiver.requests()) == failed
    probe(platform, receiver.url("/added"))
    arrived = receiver.wait_for(failed + 2)[failed:]
    assert Counter(r.path for r in arrived) == {"/data": 1, "/added": 1}
    wait_until_all_is_delivered(platform)


# ---- what is kept in Redis


def kept(client, application):
    return sorted(key.decode() for key in client("HKEYS", f"{{a{application.id}}}:breakers"))


@pytest.mark.parametrize("second", ["in use", "idle"])
def test_what_is_kept_of_a_host_goes_with_its_last_subscription(
        start_redis, start_platform, receiver, second):
    redis = start_redis()
    platform = start_platform(redis=redis, **BY_HOST, cache__life="200ms")
    application = platform.application()
    device = application.register_device()
    reports, registrations = subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    client = redis.client()
    wait_until(lambda: kept(client, application) == [f"host {host(receiver)}"], "the state in Redis")
    urls = 0
    if second == "in use":
        urls = 1
        application.register_device()
        wait_until(lambda: shown(platform, receiver.url("/added"))["parked"] == 1, "its parking")
    application.unsubscribe(reports)
    platform.wait_for_metric("dropped_total", 1, reason="unsubscribed")
    wait_until(lambda: known(platform, "invalid") == urls, "the end of the first URL")
    assert kept(client, application) == [f"host {host(receiver)}"]
    application.unsubscribe(registrations)
    wait_until(lambda: kept(client, application) == [], "the end of that state")
    client.close()


def test_hosts_that_nobody_remembers_are_cleared_up(start_redis, start_platform, receiver):
    redis = start_redis()
    platform = start_platform(redis=redis, **BY_HOST)
    application = platform.application()
    client = redis.client()
    key = f"{{a{application.id}}}:breakers"
    for n in range(250):
        client("HSET", key, f"host http://gone{n}.example.test:80", "1790000000000 1890000000000 10 status 503")
    client("HSET", key, "host junk", "1790000000000 1890000000000 10 status 503")
    mine = f"host {host(receiver)}"
    client("HSET", key, mine, "1790000000000 1890000000000 10 status 503")
    subscribe(application, receiver)
    application.register_device()
    wait_until(lambda: kept(client, application) == [mine], "the clearing up")
    platform.wait_for_metric("parked_events", 1)
    assert receiver.requests() == []
    client.close()


@pytest.mark.parametrize("before, after", [("url", "host"), ("host", "url")])
def test_after_the_setting_was_changed_what_was_invalid_begins_anew(
        start_redis, start_platform, receiver, before, after):
    redis = start_redis()
    platform = start_platform(redis=redis, **QUICK, push__breaker_scope_v1=before,
                              push__v1_cache_time="1h")
    application = platform.application()
    device = application.register_device()
    subscribe(application, receiver)
    make_invalid(platform, device, receiver)
    client = redis.client()
    wait_until(lambda: len(kept(client, application)) == 1, "the state in Redis")
    old = kept(client, application)
    assert platform.stop() == 0
    receiver.answers(then=200)
    platform.settings["push__breaker_scope_v1"] = after
    failed = len(receiver.requests())
    platform.start()
    assert values(receiver.wait_for(failed + 1)[failed:]) == [0]  # by this setting it is valid
    application.register_device()
    receiver.wait_for(1, "/added")
    wait_until_all_is_delivered(platform)
    assert kept(client, application) == old  # another instance may still go by it
    client.close()


@pytest.mark.parametrize("scope", ["url", "host"])
def test_what_another_setting_has_left_is_cleared_up_in_the_end(
        start_redis, start_platform, receiver, scope):
    redis = start_redis()
    platform = start_platform(redis=redis, **QUICK, push__breaker_scope_v1=scope)
    application = platform.application()
    client = redis.client()
    names = {"host": f"host {host(receiver)}", "url": receiver.url("/data")}
    mine = names.pop(scope)
    (others,) = names.values()
    subscribe(application, receiver)
    key = f"{{a{application.id}}}:breakers"
    client("HSET", key, mine, "1790000000000 1890000000000 10 status 503")
    # Its next probe was due long ago: nobody has had anything to send for longer than anything waits.
    client("HSET", key, others, "1690000000000 1690000180000 10 status 503")
    application.register_device().report({"n": 0})
    wait_until(lambda: kept(client, application) == [mine], "the clearing up")
    client.close()


# ---- several instances


def test_instances_share_a_host_and_one_of_them_probes_it(cluster, receiver):
    both = cluster(2, **BY_HOST)
    application = both.members[0].application()
    devices = [application.register_device() for _ in range(20)]
    subscribe(application, receiver)
    receiver.answers(then=503)
    for n in range(5):
        for device in devices:
            device.report({"n": n})
    late = [application.register_device() for _ in range(20)]
    for one in both.members:
        wait_until(lambda: known(one, "invalid") == 2, "the state at both")
    wait_until(lambda: sum(one.metric("parked_events") for one in both.members) == 120, "parking")
    failed = len(receiver.requests())
    gate = receiver.holds()
    probe(both.members[1], receiver.url("/added"))
    receiver.wait_for(failed + 1)
    assert receiver.in_flight == 1
    receiver.answers(then=200)
    gate.open()
    arrived = receiver.wait_for(failed + 120)[failed:]
    data = [r for r in arrived if r.path == "/data"]
    for device in devices:
        assert values(of(device, data)) == [0, 1, 2, 3, 4]
    assert {r.json["deviceId"] for r in arrived if r.path == "/added"} == {d.id for d in late}
    for one in both.members:
        wait_until_all_is_delivered(one)


def test_instances_with_different_settings_do_each_other_no_harm(cluster, receiver):
    """As in a rolling restart with another setting."""
    both = cluster(2, **QUICK, push__v1_cache_time="1h")
    by_url, by_host = both.members
    by_host.settings["push__breaker_scope_v1"] = "host"
    both.restart(by_host)
    both.wait_until_shared()
    application = by_url.application()
    devices = [application.register_device() for _ in range(20)]
    subscribe(application, receiver)
    receiver.answers(then=503)
    for n in range(5):
        for device in devices:
            device.report({"n": n})
    wait_until(lambda: known(by_url, "invalid") == 1 and known(by_host, "invalid") == 1, "the state at both")
    client = both.redis.client()
    both_names = sorted([f"host {host(receiver)}", receiver.url("/data")])
    wait_until(lambda: kept(client, application) == both_names, "what both have told")
    wait_until(lambda: sum(one.metric("parked_events") for one in both.members) == 100, "parking")
    assert kept(client, application) == both_names
    failed = len(receiver.requests())
    receiver.answers(then=200)
    probe(by_host, receiver.url("/data"))
    wait_until_all_is_delivered(by_host)
    assert known(by_url, "invalid") == 1
    probe(by_url, receiver.url("/data"))
    wait_until_all_is_delivered(by_url)
    arrived = receiver.wait_for(failed + 100)[failed:]
    for device in devices:
        assert values(of(device, arrived)) == [0, 1, 2, 3, 4]
    assert kept(client, application) == []
    client.close()

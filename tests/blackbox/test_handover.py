"""
A partition changes its owner while callbacks fail, hang or hold their answers: on a clean way nothing is
repeated where it was delivered, and who was too late gives nothing up.
"""

import time

import pytest

from helpers.load import Load
from helpers.receiver import Hang
from helpers.waiting import wait_until

LEASE, HEARTBEAT = 2.0, 1.0


def values(requests):
    return [r.json["services"][0]["data"]["n"] for r in requests]


def told(receiver):
    return {(r.json["deviceId"], *values([r])) for r in receiver.requests()}


def expect_all_in_order(requests, devices, count):
    """What one subscription got, each number as often as it was tried."""
    for device in devices:
        seen = values(r for r in requests if r.json["deviceId"] == device.id)
        assert list(dict.fromkeys(seen)) == list(range(count))


# --- a clean change of owners


@pytest.mark.parametrize("bad_answer", [503, Hang()], ids=["failing", "hanging"])
def test_a_rolling_restart_repeats_nothing_beside_a_callback_that_fails(cluster, start_receiver,
                                                                       bad_answer):
    instances = cluster(push__fail_limit="1000000", push__timeout="1h", push__stop_timeout="1500ms")
    good, bad = start_receiver(), start_receiver()
    bad.answers(then=bad_answer)
    application = instances.members[0].application()
    application.subscribe("deviceDatasChanged", bad.url("/datas"))
    load = Load(instances, application, good, devices=10, reports=60).start()
    for count, member in zip((100, 300), instances.members):
        load.wait_for_acknowledged(count)
        instances.restart(member)
        instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()
    bad.answers(then=200)
    for member in instances.members:  # what hangs is not waited for
        instances.restart(member)
    wait_until(lambda: len(told(bad)) == 10 * 60, "what the other was behind with")
    expect_all_in_order(bad.requests(), load.devices, 60)
    load.ledger.expect_no_repetition()


def test_a_stop_does_not_wait_for_a_timeout_of_an_hour(start_platform, start_receiver):
    platform = start_platform(push__timeout="1h", push__stop_timeout="1s")
    good, hanging = start_receiver(), start_receiver()
    hanging.answers(then=Hang())
    application = platform.application()
    application.subscribe("deviceDataChanged", good.url("/data"))
    application.subscribe("deviceDatasChanged", hanging.url("/datas"))
    device = application.register_device()
    for n in range(20):
        device.report({"n": n})
    good.wait_for(20)
    hanging.wait_for(1)
    assert platform.stop() == 0
    hanging.answers(then=200)
    platform.start()
    assert values(hanging.wait_for(21)) == [0, *range(20)]
    device.report({"n": 20})
    arrived = good.wait_for(21)
    assert [r.json["service"]["data"]["n"] for r in arrived] == list(range(21))


def test_a_stop_waits_for_an_answer_that_takes_its_time(start_platform, receiver):
    platform = start_platform(push__timeout="1h")
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    gate = receiver.holds("/data")
    device = application.register_device()
    device.report({"n": 0})
    receiver.wait_for(1)
    platform.process.terminate()
    platform.wait_for_log("state=stopping")
    gate.open()
    assert platform.wait_for_exit() == 0
    platform.start()
    device.report({"n": 1})
    assert [r.json["service"]["data"]["n"] for r in receiver.wait_for(2)] == [0, 1]


# --- an owner that slept


def test_an_owner_that_slept_longer_than_the_cache_time_gives_nothing_up(cluster, receiver):
    """Its successor has delivered what it still has in memory."""
    instances = cluster(push__v1_cache_time="4s", push__max_connections="2")
    sleeper, successor = instances.members
    gate = receiver.holds("/data")
    load = Load(instances, sleeper.application(), receiver, devices=20, reports=2).start()
    load.finish()
    receiver.wait_for(2)
    wait_until(lambda: sleeper.status()["push"]["deliveriesQueued"] > 0, "some that wait")
    instances.freeze(sleeper)
    gate.open()
    load.expect_everything_in_order()
    wait_until(lambda: time.monotonic() - receiver.requests()[-1].arrived > 4.5, "the cache time")
    instances.thaw(sleeper)
    wait_until(lambda: sleeper.metric("lease_losses_total") > 0, "the sleeper to notice")
    instances.wait_until_shared()
    for one in instances.members:
        assert one.metric("dropped_total") == 0
        assert one.admin("GET", "/admin/v1/deadletters").json["deadletters"] == []


def test_what_came_from_a_park_may_be_answered_after_its_partition_was_lost(cluster, receiver):
    instances = cluster()
    sleeper = instances.members[0]
    application = sleeper.application()
    for one in instances.members:
        assert one.ctl("delivery", "pause", receiver.url("/data")).returncode == 0
    load = Load(instances, application, receiver, devices=20, reports=2).start()
    load.finish()
    wait_until(lambda: sum(m.metric("parked_events") for m in instances.members) == 40, "parking")
    gate = receiver.holds("/data")
    assert sleeper.ctl("delivery", "resume", receiver.url("/data")).returncode == 0
    receiver.wait_for(20)
    instances.freeze(sleeper)
    instances.wait_until_owned()
    instances.thaw(sleeper)
    wait_until(lambda: sleeper.metric("lease_losses_total") > 0, "the sleeper to notice")
    instances.wait_until_shared()
    # The parks that it had are forgotten by now, while their deliveries are still on the wire.
    wait_until(lambda: "state=lost" in sleeper.log, "the loss")
    instances.kill(instances.members[1])
    instances.wait_until_owned()
    gate.open()
    load.expect_everything_in_order()
    wait_until(lambda: sleeper.status()["push"]["inFlight"] == 0, "the late answers")


# --- an owner that was killed


def test_who_is_killed_is_followed_within_lease_and_heartbeat(cluster, receiver):
    instances = cluster(partition__lease=f"{LEASE:.0f}s", partition__heartbeat=f"{HEARTBEAT:.0f}s")
    application = instances.members[0].application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    devices = [application.register_device() for _ in range(40)]
    for device in devices:
        device.login()
    killed = time.monotonic()
    instances.kill(instances.members[1])
    for device in devices:
        device.report({"n": 0})
    receiver.wait_for(len(devices), timeout=killed + LEASE + HEARTBEAT - time.monotonic())

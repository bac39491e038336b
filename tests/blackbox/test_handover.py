"""
A partition changes its owner while callbacks fail, hang or hold their answers: on a clean way nothing is
repeated where it was delivered, and who was too late gives nothing up.
"""

import random
import re
import time

import pytest

from helpers.ledger import Ledger
from helpers.load import Load
from helpers.receiver import Hang
from helpers.waiting import wait_until

LEASE, HEARTBEAT = 2.0, 1.0

# No lease of these ends by itself: on a busy machine one of a second would, and then a new owner
# repeats what it cannot know of.
CLEAN = {"partition__lease": "5m", "push__fail_limit": "1000000", "push__timeout": "1h",
         "push__stop_timeout": "1500ms"}

BOTH_KINDS = {"/data": "deviceDataChanged", "/datas": "deviceDatasChanged"}


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
    instances = cluster(**CLEAN)
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


def with_one_that_hangs(instances, start_receiver):
    """The application, the callback that gets everything, and one that answers nothing."""
    good, hanging = start_receiver(), start_receiver()
    hanging.answers(then=Hang())
    application = instances.members[0].application()
    application.subscribe("deviceDataChanged", good.url("/data"))
    application.subscribe("deviceDatasChanged", hanging.url("/datas"))
    return application, good, hanging


def report_and_wait(device, good, numbers):
    for n in numbers:
        device.report({"n": n})
    good.wait_for(numbers[-1] + 1)


def expect_each_once(good, device, count):
    """One more report, behind which nothing is on its way."""
    device.report({"n": count})
    arrived = good.wait_for(count + 1)
    assert [r.json["service"]["data"]["n"] for r in arrived] == list(range(count + 1))


def given_away(member):
    """What the log says of the partitions that were given away: the sums of its figures."""
    sums = {}
    for line in re.findall(r"state=given_away (.*)", member.log):
        for name, value in (word.split("=") for word in line.split()):
            sums[name] = sums.get(name, 0) + int(value)
    return sums


def announced(members):
    """Notifications that were on the wire when their partition was given away."""
    return {name for member in members
            for name in re.findall(r"notification=(\S+) state=left reason=on_wire", member.log)}


def test_a_stop_waits_for_a_redis_that_is_late(cluster, start_receiver):
    """What was had is recorded, however long after push.stop_timeout, while the lease lives."""
    instances = cluster(1, partition__lease="5m", redis__command_timeout="1m", push__timeout="1h",
                        push__stop_timeout="100ms")
    application, good, hanging = with_one_that_hangs(instances, start_receiver)
    device = application.register_device()
    report_and_wait(device, good, range(20))
    hanging.wait_for(1)
    platform, = instances.members
    instances.redis.freeze()
    platform.process.terminate()
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 6.0, "the delay")
    assert platform.is_running
    instances.redis.thaw()
    assert platform.wait_for_exit() == 0
    hanging.answers(then=200)
    platform.start()
    assert values(hanging.wait_for(21)) == [0, *range(20)]
    expect_each_once(good, device, 20)
    left = given_away(platform)
    assert (left["parked"], left["on_wire"], left["unconfirmed"]) == (20, 1, 0)


def test_what_is_answered_while_a_stop_waits_for_redis_is_not_repeated(cluster, start_receiver):
    instances = cluster(1, partition__lease="5m", redis__command_timeout="1m", push__timeout="1h",
                        push__stop_timeout="100ms")
    application, good, late = with_one_that_hangs(instances, start_receiver)
    gate = late.holds()
    device = application.register_device()
    report_and_wait(device, good, range(3))
    late.wait_for(1)
    platform, = instances.members
    instances.redis.freeze()
    platform.process.terminate()
    stopped = time.monotonic()
    wait_until(lambda: time.monotonic() - stopped > 1.0, "the limit, and parking")
    gate.open()
    wait_until(lambda: late.in_flight == 0, "the answer")
    instances.redis.thaw()
    assert platform.wait_for_exit() == 0
    late.answers(then=200)
    platform.start()
    expect_each_once(good, device, 3)
    assert values(late.wait_for(4)) == list(range(4))
    assert given_away(platform)["on_wire"] == 0


def test_a_stop_gives_up_a_redis_that_stays_away_and_says_what_may_come_once_more(cluster,
                                                                                  start_receiver):
    instances = cluster(1, redis__command_timeout="1s", push__timeout="1h", push__stop_timeout="100ms",
                        log__level="debug")
    application, good, hanging = with_one_that_hangs(instances, start_receiver)
    device = application.register_device()
    report_and_wait(device, good, range(3))
    hanging.wait_for(1)
    platform, = instances.members
    instances.redis.freeze()
    assert platform.stop() == 0
    left = given_away(platform)
    assert (left["on_wire"], left["unconfirmed"]) == (1, 3)
    instances.redis.thaw()
    hanging.answers(then=200)
    platform.start()
    wait_until(lambda: set(values(hanging.requests())) == {0, 1, 2}, "what the other was behind with")
    device.report({"n": 3})
    good.wait_for_match(lambda r: r.json["service"]["data"]["n"] == 3)
    repeated = Ledger(good, "/data").repeated()
    events = set(re.findall(r"event=(\S+) state=left reason=unconfirmed", platform.log))
    assert all(any(name.startswith(f"{event}-") for event in events) for name in repeated)


def test_two_that_stop_at_once_repeat_nothing(cluster, start_receiver):
    instances = cluster(3, **CLEAN, log__level="debug")
    application, good, hanging = with_one_that_hangs(instances, start_receiver)
    load = Load(instances, application, good, devices=10, reports=60).start()
    for count, pair in ((100, (0, 1)), (250, (1, 2)), (400, (2, 0))):
        load.wait_for_acknowledged(count)
        pair = [instances.members[n] for n in pair]
        instances.stop(*pair)
        for member in pair:
            instances.start(member)
        instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()
    assert set(load.ledger.repeated()) <= announced(instances.members)
    hanging.answers(then=200)
    for member in instances.members:
        instances.restart(member)
    wait_until(lambda: len(told(hanging)) == 10 * 60, "what the other was behind with")
    assert sum(given_away(m)["unconfirmed"] for m in instances.members) == 0


def test_five_rolling_restarts_lose_and_repeat_nothing_beside_bad_callbacks(cluster, start_receiver):
    """Of three instances, one after the other, under load."""
    instances = cluster(3, **{**CLEAN, "push__stop_timeout": "500ms"}, log__level="debug",
                        subscription__same_type="fanout")
    good, flapping, hanging = (start_receiver() for _ in range(3))
    flapping.answers(then=lambda request: random.choice((200, 200, 503)))
    hanging.answers(then=Hang())
    application = instances.members[0].application()
    application.subscribe("deviceDataChanged", flapping.url("/data"))
    application.subscribe("deviceDatasChanged", hanging.url("/data"))
    load = Load(instances, application, good, devices=10, reports=None, pause=0.01,
                paths=BOTH_KINDS).start()
    for _ in range(5):
        for member in instances.members:
            instances.restart(member)
            instances.wait_until_shared()
    load.enough()
    load.finish()
    load.expect_everything_in_order()
    assert set(load.ledger.repeated()) <= announced(instances.members)
    hanging.answers(then=200)
    for member in instances.members:  # what hangs is not waited for
        instances.restart(member)
    for bad in (flapping, hanging):
        ledger = Ledger(bad)
        ledger.promised = load.ledger.promised
        ledger.expect_everything_in_order()
    assert set(load.ledger.repeated()) <= announced(instances.members)
    assert sum(given_away(m)["unconfirmed"] for m in instances.members) == 0


# --- an owner that slept


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("who", ["instances", "redis"])
def test_a_pause_of_all_that_is_longer_than_a_lease_costs_nothing(cluster, start_receiver, who, size):
    """The machine was stopped, say: who wakes up first does not take the others for dead."""
    instances = cluster(size)
    application, good, hanging = with_one_that_hangs(instances, start_receiver)
    device = application.register_device()
    report_and_wait(device, good, range(20))
    hanging.wait_for(1)
    if who == "instances":
        for member in instances.members:
            instances.freeze(member)
        instances.wait_until_leases_are_over()
        instances.thaw_all()
    else:
        instances.redis.freeze()
        frozen = time.monotonic()
        wait_until(lambda: time.monotonic() - frozen > 3.0, "the end of all leases")
        instances.redis.thaw()
    expect_each_once(good, device, 20)
    for member in instances.members:
        assert member.metric("lease_losses_total") == 0
    assert values(hanging.requests()) == [0]


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

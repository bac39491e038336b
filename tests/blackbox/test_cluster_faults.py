"""
Several instances on one Redis, and what breaks: instances killed and frozen, Redis killed and frozen,
callbacks that hang. Whatever was acknowledged arrives, per device and subscription in order; what a
fault repeats was on its way at that moment, and has the same id.
"""

import random
import time

import pytest

from helpers.ledger import Ledger
from helpers.load import Load
from helpers.receiver import Answer, Gate, Hang, Reset
from helpers.waiting import wait_until

BOTH_KINDS = {"/data": "deviceDataChanged", "/datas": "deviceDatasChanged"}

# Three times the leases of these tests: a fault this long is not over before they are.
LONGER_THAN_LEASES = 3.0


def load_on(instances, receiver, application=None, **how):
    application = application or instances.members[0].application()
    return Load(instances, application, receiver, **how).start()


def in_flight(platform):
    return platform.status()["push"]["inFlight"]


# --- instances killed


def test_kills_at_random_lose_nothing_and_repeat_little(cluster, receiver):
    instances = cluster(3)
    load = load_on(instances, receiver, devices=15, reports=80, paths=BOTH_KINDS)
    kills = 0
    for count in range(150, 1000, 150):
        load.wait_for_acknowledged(count + random.randrange(100))
        victims = random.sample(instances.members, random.choice((1, 1, 2)))
        instances.kill(*victims)
        kills += 1
        if random.random() < 0.5:
            instances.wait_until_owned()
        for victim in victims:
            instances.start(victim)
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_repetitions_of_faults_only(kills)
    instances.wait_until_acknowledged()


def test_all_instances_and_redis_killed_at_once_lose_nothing(cluster, start_redis, receiver):
    redis = start_redis("--appendfsync", "always")
    instances = cluster(redis=redis)
    load = load_on(instances, receiver, devices=10, reports=60)
    for count in (150, 400):
        load.wait_for_acknowledged(count)
        victims = list(instances.members)
        instances.kill(*victims)
        redis.kill()
        redis.start()
        for victim in victims:
            instances.start(victim)
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_repetitions_of_faults_only(2)


def test_what_was_acknowledged_is_not_repeated_by_those_who_take_over(cluster, receiver):
    instances = cluster(3)
    load = load_on(instances, receiver, devices=20, reports=10)
    load.finish()
    load.expect_everything_in_order()
    instances.wait_until_acknowledged()
    instances.kill(instances.members[0], instances.members[1])
    instances.wait_until_owned()
    for device in load.devices:  # a marker in each stream that had something
        device.platform = instances
        device.report({"n": 10})
        load.ledger.promise(device.id, 10)
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()


def test_what_was_on_its_way_is_repeated_once_and_nothing_else(cluster, receiver):
    instances = cluster()
    victim = instances.members[0]
    gate = receiver.holds("/data")
    load = load_on(instances, receiver, devices=20, reports=3)
    load.finish()
    first = receiver.wait_for(20, "/data")  # one of each device: the next ones wait for its answer
    lost = in_flight(victim)
    instances.kill(victim)
    receiver.wait_for(20 + lost, "/data")
    gate.open()
    load.expect_everything_in_order()
    repeated = load.ledger.repeated()
    assert set(repeated.values()) <= {2} and len(repeated) == lost
    assert set(repeated) <= {r.notify_id for r in first}


def test_attempts_that_fail_while_instances_are_killed_lose_nothing(cluster, receiver):
    instances = cluster(push__fail_limit="100000", push__retry_first="5ms")
    answers = [200, 200, 503, Reset(), Answer(200, closes=True), 500]
    receiver.answers(then=lambda r: answers[hash((r.notify_id, r.arrived)) % len(answers)])
    load = load_on(instances, receiver, devices=10, reports=50)
    for count in (100, 250, 400):
        load.wait_for_acknowledged(count)
        victim = random.choice(instances.members)
        instances.kill(victim)
        instances.start(victim)
    load.finish()
    load.expect_everything_in_order()


# --- an instance that is stopped


def test_a_rolling_restart_hands_over_without_waiting_for_leases(cluster, receiver):
    """No lease of these ends by itself within the test."""
    instances = cluster(3, partition__lease="5m")
    load = load_on(instances, receiver, devices=15, reports=100, paths=BOTH_KINDS)
    for count, member in zip((150, 500, 850), instances.members):
        load.wait_for_acknowledged(count)
        instances.restart(member)
        instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()


def test_a_stop_repeats_nothing_where_one_subscription_is_behind_another(cluster, receiver):
    """What /data has had and /datas has not must come to /datas alone, and in its order."""
    instances = cluster()
    gate = receiver.holds("/datas")
    load = load_on(instances, receiver, devices=10, reports=5, paths=BOTH_KINDS)
    load.finish()
    receiver.wait_for(50, "/data")
    receiver.wait_for(10, "/datas")
    first, second = instances.members
    first.process.terminate()
    first.wait_for_log("state=stopping")
    gate.open()
    assert first.wait_for_exit() == 0
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()


# --- an instance that is frozen


def test_instances_that_freeze_in_turn_lose_nothing(cluster, receiver):
    instances = cluster()
    load = load_on(instances, receiver, devices=10, reports=150)
    for count, sleeper in zip((150, 500, 850), instances.members * 2):
        load.wait_for_acknowledged(count)
        before = sleeper.metric("lease_losses_total")
        instances.freeze(sleeper)
        instances.wait_until_owned()
        instances.thaw(sleeper)
        wait_until(lambda: sleeper.metric("lease_losses_total") > before, "the sleeper to notice")
        instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_repetitions_of_faults_only(3)


def test_an_acknowledgement_that_comes_too_late_is_refused(cluster, receiver):
    """The sleeper's pushes are answered while it sleeps; those of its successor are not."""
    instances = cluster()
    sleeper, successor = instances.members
    first_ones, second_ones = Gate(), Gate()
    seen = set()

    def answer(request):
        gate = second_ones if request.notify_id in seen else first_ones
        seen.add(request.notify_id)
        return gate
    receiver.answers(then=answer)
    load = load_on(instances, receiver, devices=20, reports=2)
    load.finish()
    receiver.wait_for(20)
    late = in_flight(sleeper)
    assert late > 0
    instances.freeze(sleeper)
    receiver.wait_for(20 + late)
    first_ones.open()
    wait_until(lambda: receiver.in_flight == late, "the answers to lie ready")
    instances.thaw(sleeper)
    wait_until(lambda: sleeper.metric("lease_losses_total") > 0, "the sleeper to notice")
    wait_until(lambda: in_flight(sleeper) == 0, "the late answers")
    # Nothing of what the successor holds was taken from it: when it dies, all of it comes again.
    instances.kill(successor)
    second_ones.open()
    load.expect_everything_in_order()
    assert list(load.ledger.repeated().values()).count(3) == late
    instances.wait_until_acknowledged()


# --- Redis


@pytest.fixture
def durable_redis(start_redis):
    """What it has confirmed is on the disk."""
    return start_redis("--appendfsync", "always")


def test_redis_killed_under_load_loses_nothing(cluster, durable_redis, receiver):
    instances = cluster(redis=durable_redis, redis__command_timeout="1s")
    load = load_on(instances, receiver, devices=10, reports=120)
    for count in (200, 500, 800):
        load.wait_for_acknowledged(count)
        durable_redis.kill()
        wait_until(lambda: not any(one.is_ready() for one in instances.members), "both to notice")
        durable_redis.start()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_repetitions_of_faults_only(3)
    instances.wait_until_shared()


@pytest.mark.parametrize("command_timeout", ["500ms", "30s"])
def test_redis_frozen_for_longer_than_the_leases_loses_nothing(cluster, durable_redis, receiver,
                                                               command_timeout):
    """With connections given up meanwhile, and with answers that come late."""
    instances = cluster(redis=durable_redis, redis__command_timeout=command_timeout)
    load = load_on(instances, receiver, devices=10, reports=80)
    for count in (200, 500):
        load.wait_for_acknowledged(count)
        durable_redis.freeze()
        time.sleep(LONGER_THAN_LEASES)
        durable_redis.thaw()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_repetitions_of_faults_only(2)
    instances.wait_until_shared()


def test_nothing_is_sent_by_an_instance_that_cannot_renew_its_leases(cluster, durable_redis, receiver):
    """Somebody else may own them: the answers to what is on the wire are awaited, nothing more."""
    instances = cluster(redis=durable_redis, redis__command_timeout="500ms")
    gate = receiver.holds("/data")
    load = load_on(instances, receiver, devices=10, reports=3)
    load.finish()
    receiver.wait_for(10)
    durable_redis.freeze()
    time.sleep(LONGER_THAN_LEASES)
    gate.open()
    wait_until(lambda: not any(map(in_flight, instances.members)), "the answers")
    assert len(receiver.requests()) == 10
    durable_redis.thaw()
    load.expect_everything_in_order()
    instances.wait_until_shared()


# --- callbacks


def test_bad_callbacks_cost_a_good_one_nothing_at_any_instance(cluster, start_receiver):
    """The same events for four callbacks; what hangs is not given up within the test."""
    instances = cluster(subscription__same_type="fanout", push__timeout="10m",
                        push__max_connections="64")
    good, hanging, flapping, dead = (start_receiver() for _ in range(4))
    hanging.answers(then=Hang())
    flapping.answers(then=lambda request: random.choice((200, 200, 503)))
    dead.close()
    application = instances.members[0].application()
    for bad in (hanging, flapping, dead):
        application.subscribe("deviceDataChanged", bad.url("/data"))
    load = load_on(instances, good, application, devices=40, reports=15)
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()
    for_flapping = Ledger(flapping)
    for_flapping.promised = load.ledger.promised
    for_flapping.expect_everything_in_order()
    for_risen = Ledger(start_receiver(host=dead.host, port=dead.port))
    for_risen.promised = load.ledger.promised
    for_risen.expect_everything_in_order()
    assert len(hanging.requests()) == 40  # one of each device, and it waits for its answer

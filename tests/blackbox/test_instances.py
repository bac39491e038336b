"""
Several instances on one Redis: they share the partitions, any of them answers everything, and what
one of them held when it died or fell asleep is taken over by the others. Nothing acknowledged is lost;
duplicates come only of crashes.
"""

import json
import random
import zlib

from helpers.cluster import PARTITIONS, at
from helpers.errors import TOKEN_INVALID, expect_refusal
from helpers.load import Load
from helpers.waiting import wait_until


def owners(platform):
    response = platform.admin("GET", "/admin/v1/partitions")
    assert response.status == 200, response
    return [one["owner"] for one in response.json["partitions"]]


def test_each_partition_has_one_owner_and_each_instance_some(cluster):
    instances = cluster(3)
    listed = instances.members[0].admin("GET", "/admin/v1/instances").json["instances"]
    assert len(listed) == 3 and [one["self"] for one in listed].count(True) == 1
    names = {one["id"] for one in listed}
    # A partition that is being handed over has no owner for a moment.
    told = wait_until(lambda: (t := owners(instances.members[0])) and set(t) == names and t,
                      "an owner of each partition")
    wait_until(lambda: sorted(map(told.count, names)) == sorted(instances.owned()),
               "the instances to say the same")


def listed_by(platform, *command):
    result = platform.ctl("--json", *command)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_command_line_shows_who_is_alive(cluster):
    both = cluster(2)
    names = {member.status()["instance"] for member in both.members}
    for member in both.members:
        rows = listed_by(member, "instances")
        assert {row["id"] for row in rows} == names
        assert [row["id"] for row in rows if row["self"]] == [member.status()["instance"]]
        assert all(0 <= row["silentMs"] <= 1000 for row in rows)  # longer, and it would be dead
        table = member.ctl("instances").stdout.splitlines()
        assert table[0].split() == ["ID", "SELF", "SILENT", "MS"]
        assert {line.split()[0] for line in table[1:]} == names
    gone = both.members[1].status()["instance"]
    both.kill(both.members[1])
    wait_until(lambda: [row["id"] for row in listed_by(both.members[0], "instances")] ==
               list(names - {gone}), "the end of a killed instance")


def test_the_command_line_shows_who_owns_what_and_what_waits_there(cluster, receiver):
    both = cluster(2)
    one = both.members[0]
    application = one.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    partition = zlib.crc32(device.id.encode()) % PARTITIONS
    device.report({"n": 0})
    receiver.wait_for_one("/data")
    both.wait_until_acknowledged()
    assert one.ctl("delivery", "pause").returncode == 0
    for member in both.members:
        member.wait_for_log("deliveries=paused")
    for n in range(1, 4):
        device.report({"n": n})

    rows = wait_until(lambda: (r := listed_by(one, "partitions"))[partition]["oldestSeconds"] >= 1 and r,
                      "the age of what waits")
    assert [row["partition"] for row in rows] == list(range(PARTITIONS))
    assert {row["owner"] for row in rows} == {member.status()["instance"] for member in both.members}
    assert [row["backlog"] for row in rows] == [3 if n == partition else 0 for n in range(PARTITIONS)]
    assert [row["oldestSeconds"] for row in rows if row["partition"] != partition] == [0] * (PARTITIONS - 1)
    table = one.ctl("partitions").stdout.splitlines()
    assert table[0].split() == ["PARTITION", "OWNER", "BACKLOG", "OLDEST"]
    assert table[1 + partition].split()[:3] == [str(partition), rows[partition]["owner"], "3"]

    assert one.ctl("delivery", "resume").returncode == 0
    receiver.wait_for(4)
    both.wait_until_acknowledged()
    assert all(row["backlog"] == row["oldestSeconds"] == 0 for row in listed_by(one, "partitions"))


def test_what_one_instance_did_the_others_know(cluster, receiver):
    one, other = cluster().members
    here = one.application()
    token = here.login()
    there = at(here, other)
    assert there.try_probe(token).status == 200
    device = here.register_device()
    here.subscribe("deviceDataChanged", receiver.url("/data"))
    device.login()
    device.platform = other
    wait_until(lambda: [s["callbackUrl"] for s in there.get(
        "/iocm/app/sub/v1.2.0/subscriptions").json["subscriptions"]], "the subscription", 2)
    device.report({"n": 1})
    assert receiver.wait_for_one("/data").json["service"]["data"] == {"n": 1}


def test_a_token_that_ended_at_one_instance_ends_at_the_others(cluster):
    one, other = cluster().members
    here = one.application()
    token = here.login()
    there = at(here, other)
    assert there.try_probe(token).status == 200
    assert one.api("POST", "/iocm/app/sec/v1.1.0/logout", {"accessToken": token}).status == 204
    response = wait_until(
        lambda: (r := there.try_probe(token)).status != 200 and r, "the end of the token", 2)
    expect_refusal(response, TOKEN_INVALID)


def test_a_rolling_restart_under_load_loses_and_repeats_nothing(cluster, receiver):
    instances = cluster()
    load = Load(instances, instances.members[0].application(), receiver, devices=10, reports=60)
    load.start()
    for count, member in zip((100, 300), instances.members):
        load.wait_for_acknowledged(count)
        instances.restart(member)
        instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()


def test_no_acknowledged_report_is_lost_when_instances_are_killed(cluster, receiver):
    instances = cluster(3)
    load = Load(instances, instances.members[0].application(), receiver, devices=20, reports=60)
    load.start()
    for count in (200, 500, 800):
        load.wait_for_acknowledged(count)
        victim = random.choice(instances.alive)
        instances.kill(victim)
        instances.wait_until_owned()
        instances.start(victim)
    load.finish()
    load.expect_everything_in_order()


def test_an_instance_that_slept_through_its_lease_is_refused(cluster, receiver):
    instances = cluster()
    sleeper, other = instances.members
    application = other.application()
    receiver.answers(then=200)
    load = Load(instances, application, receiver, devices=10, reports=60).start()
    load.wait_for_acknowledged(100)
    instances.freeze(sleeper)
    instances.wait_until_owned()
    instances.thaw(sleeper)
    wait_until(lambda: sleeper.metric("lease_losses_total") > 0, "the sleeper to notice")
    instances.wait_until_shared()
    load.finish()
    load.expect_everything_in_order()


def test_deliveries_that_are_paused_wait_at_every_instance(cluster, receiver):
    instances = cluster()
    one, other = instances.members
    application = one.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    devices = [application.register_device() for _ in range(8)]
    assert one.ctl("delivery", "pause").returncode == 0
    other.wait_for_log("deliveries=paused")
    for device in devices:
        device.report({"n": 1})
    assert receiver.requests("/data") == []
    assert other.ctl("delivery", "resume").returncode == 0
    told = {r.json["deviceId"] for r in receiver.wait_for(len(devices), "/data")}
    assert told == {device.id for device in devices}

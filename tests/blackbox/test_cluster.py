"""
Several instances on one Redis, as applications and devices see them: what is done at one holds at the
others, with and without HAProxy in front.
"""

import itertools
import subprocess
from pathlib import Path

import pytest

from helpers import haproxy
from helpers.cluster import at
from helpers.errors import (APP_FROZEN, DEVICE_AUTH_FAILED, DEVICE_TOKEN_INVALID, TOKEN_INVALID,
                            expect_refusal)
from helpers.haproxy import HAProxy
from helpers.load import Load
from helpers.mqtt import connected
from helpers.nouns import LOGOUT
from helpers.platform import BUILD, clean_environment
from helpers.waiting import wait_until

CLUSTER_DEMO = Path(__file__).resolve().parents[2] / "scripts/cluster-demo"
ONE_SECOND = 1.0  # what the documents promise; tests' caches live shorter than that


# --- what is done at one instance holds at the others


def test_a_login_at_one_is_good_at_all_until_the_logout_at_another(cluster):
    one, two, three = cluster(3).members
    here = one.application()
    token = here.login()
    for other in (two, three):
        assert at(here, other).try_probe(token).status == 200
    assert two.api("POST", LOGOUT, {"accessToken": token}).status == 204
    for other in (one, three):
        response = wait_until(lambda: (r := at(here, other).try_probe(token)).status != 200 and r,
                              "the end of the token", ONE_SECOND)
        expect_refusal(response, TOKEN_INVALID)


def test_a_token_is_refreshed_at_another_instance(cluster):
    one, two = cluster().members
    here = one.application()
    here.login()
    there = at(here, two)
    refreshed = there.try_refresh(here.refresh_token)
    assert refreshed.status == 200
    assert here.try_probe(refreshed.json["accessToken"]).status == 200


def test_a_frozen_application_is_frozen_everywhere(cluster):
    one, two = cluster().members
    here = one.application()
    there = at(here, two)
    assert there.try_probe().status == 200
    here.freeze()
    response = wait_until(lambda: (r := there.try_probe()).status != 200 and r, "the freezing",
                          ONE_SECOND)
    expect_refusal(response, TOKEN_INVALID)
    expect_refusal(there.try_login(), APP_FROZEN)
    here.unfreeze()
    wait_until(lambda: there.try_login().status == 200, "the end of the freezing", ONE_SECOND)


def test_a_device_is_one_device_at_all_instances(cluster):
    one, two = cluster().members
    here = one.application()
    there = at(here, two)
    device = here.register_device(info={"name": "before"})
    device.platform = two
    device.login()
    device.platform = one
    device.report({"n": 1})
    device.modify(name="after")
    assert there.query(device.id)["deviceInfo"]["name"] == "after"
    there.delete(f"/iocm/app/dm/v1.4.0/devices/{device.id}")
    wait_until(device.is_gone, "the deletion")
    expect_refusal(device.try_report({"n": 2}), DEVICE_TOKEN_INVALID)
    expect_refusal(device.try_login(), DEVICE_AUTH_FAILED)


def test_a_subscription_made_at_one_is_served_by_the_owner_of_each_device(cluster, receiver):
    instances = cluster(3)
    one, two, three = instances.members
    application = one.application()
    devices = [application.register_device() for _ in range(30)]
    for device in devices:
        device.platform = three
    numbers = itertools.count()
    at(application, two).subscribe("deviceDataChanged", receiver.url("/data"))

    def is_known_everywhere():
        n = next(numbers)
        for device in devices:
            device.report({"n": n})
        instances.wait_until_acknowledged()
        return len([r for r in receiver.requests() if r.json["service"]["data"]["n"] == n]) == 30
    wait_until(is_known_everywhere, "the subscription", ONE_SECOND)
    assert all(one.metric("push_requests_total", result="ok") > 0 for one in instances.members)


def test_a_subscription_that_ended_at_one_ends_at_all(cluster, receiver):
    instances = cluster(3)
    one, two, _ = instances.members
    application = one.application()
    devices = [application.register_device() for _ in range(10)]
    subscription = application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.subscribe("deviceDatasChanged", receiver.url("/marker"))
    at(application, two).unsubscribe(subscription)

    def is_over():
        before = len(receiver.requests("/data"))
        for device in devices:
            device.report({"n": 1})
        instances.wait_until_acknowledged()
        return len(receiver.requests("/data")) == before
    wait_until(is_over, "the end of the subscription", ONE_SECOND)
    assert receiver.requests("/marker")


# --- HAProxy in front


@pytest.fixture
def behind_haproxy(cluster, authority, workdir):
    haproxy.is_needed()
    instances = cluster(2, **haproxy.SETTINGS)
    entrance = HAProxy(workdir, authority.issue("haproxy"), authority.client_context(),
                       instances.members).start()
    instances.entrance = entrance
    yield instances
    entrance.stop()


def answered(instances, listener):
    return [one.metric("http_requests_total", listener=listener) for one in instances.alive]


def test_haproxy_takes_devices_over_mqtt_to_an_instance_that_lives(behind_haproxy):
    instances = behind_haproxy
    application = instances.members[0].application()
    devices = [application.register_device() for _ in range(4)]
    clients = [connected(device, instances.entrance) for device in devices]
    assert [one.metric("mqtt_connections") for one in instances.members] == [2, 2]
    instances.kill(instances.members[1])
    wait_until(lambda: [c.is_open() for c in clients].count(False) == 2, "the end of two connections")
    for device in devices:
        connected(device, instances.entrance).report({"n": 1})


def test_haproxy_spreads_all_requests_over_both_instances(behind_haproxy, receiver):
    """Without stickiness: each step finds what another instance did before."""
    instances = behind_haproxy
    application = at(instances.members[0].application(), instances.entrance)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    before = answered(instances, "api"), answered(instances, "device")
    devices = [application.register_device() for _ in range(10)]
    for device in devices:
        application.query(device.id)
    for n in range(3):
        for device in devices:
            device.report({"n": n})
    after = answered(instances, "api"), answered(instances, "device")
    for listener_before, listener_after in zip(before, after):
        shares = [b - a for a, b in zip(listener_before, listener_after)]
        assert min(shares) >= sum(shares) * 0.4, shares
    arrived = [(r.json["deviceId"], r.json["service"]["data"]["n"]) for r in receiver.wait_for(30)]
    assert sorted(arrived) == sorted((device.id, n) for device in devices for n in range(3))


def test_haproxy_leads_around_an_instance_that_was_killed(behind_haproxy):
    instances = behind_haproxy
    application = at(instances.members[0].application(), instances.entrance)
    application.login()
    instances.kill(instances.members[0])
    # Not one of them is refused, from the first on.
    assert [application.try_probe().status for _ in range(20)] == [200] * 20


def test_haproxy_leads_around_an_instance_that_hangs(behind_haproxy):
    instances = behind_haproxy
    victim = instances.members[0]
    instances.freeze(victim)
    application = at(instances.members[1].application(), instances.entrance)
    wait_until(lambda: "Server applications/one is DOWN" in instances.entrance.log,
               "the check to fail")
    assert [application.try_probe().status for _ in range(20)] == [200] * 20
    instances.thaw(victim)
    wait_until(lambda: "Server applications/one is UP" in instances.entrance.log, "its return")


def test_behind_haproxy_a_stop_under_load_loses_and_repeats_nothing(behind_haproxy, receiver):
    instances = behind_haproxy
    application = at(instances.members[0].application(), instances.entrance)
    load = Load(instances.entrance, application, receiver, devices=10, reports=80).start()
    load.wait_for_acknowledged(200)
    assert instances.members[1].stop() == 0
    load.finish()
    assert not load.refusals
    load.expect_everything_in_order()
    load.ledger.expect_no_repetition()


def is_alive(pid):
    """One that has ended may lie there until somebody asks for its result: without a command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_the_demo_of_a_cluster_shows_what_it_says_and_ends_what_it_started(workdir):
    haproxy.is_needed()
    environment = clean_environment(IOTPUSH_BUILD=str(BUILD), IOTPUSH_PARTITION_LEASE="1s",
                                    IOTPUSH_PARTITION_HEARTBEAT="100ms")

    def demo(*verb):
        return subprocess.run([CLUSTER_DEMO, "--dir", workdir, *verb], env=environment, text=True,
                              capture_output=True, timeout=120)
    try:
        shown = demo()
        assert shown.returncode == 0, shown
        assert shown.stdout.count("-> POST /callback") >= 2
        assert {f"answered by {name}" in shown.stdout for name in ("one", "two")} == {True}
        again = demo("demo")
        assert again.returncode == 0, again
        assert demo("status").stdout.count("process") == 5
    finally:
        pids = [int(file.read_text()) for file in workdir.glob("*.pid")]
        assert demo("stop").returncode == 0
    assert len(pids) == 5
    assert not any(is_alive(pid) for pid in pids)
    assert demo("status").returncode == 1


def test_the_example_for_haproxy_is_valid(authority, workdir):
    haproxy.is_needed()
    certificate = authority.issue("example")
    (workdir / "iotpush.pem").write_text(open(certificate.file).read() + open(certificate.key).read())
    (workdir / "haproxy.cfg").write_text(haproxy.without_root(haproxy.EXAMPLE.read_text()).replace(
        "/etc/haproxy/iotpush.pem", str(workdir / "iotpush.pem")))
    result = subprocess.run([haproxy.PROGRAM, "-c", "-f", str(workdir / "haproxy.cfg")],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr

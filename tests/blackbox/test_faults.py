"""
What breaks: the server killed under load, Redis restarted, frozen, absent, killed. What was
acknowledged must arrive, per device in order; duplicates may, with the same id.
"""

import os
import signal
import time

import pytest

from helpers.cluster import PARTITIONS
from helpers.errors import DEVICE_INTERNAL, INTERNAL, expect_refusal
from helpers.load import Load
from helpers.nouns import DEVICES, SUBSCRIPTIONS
from helpers.passage import Passage
from helpers.waiting import wait_until


REPORT = {"services": [{"service_id": "Flow", "properties": {"n": 1}}]}


# --- the server


def test_no_acknowledged_report_is_lost_when_the_server_is_killed(start_platform, receiver):
    platform = start_platform()
    load = Load(platform, platform.application(), receiver).start()
    for count in (700, 1400):
        load.wait_for_acknowledged(count)
        platform.kill()
        platform.start()
    load.finish()
    load.expect_everything_in_order()
    wait_until(lambda: platform.metric("events_pending") == 0, "the last acknowledgement")


def test_no_acknowledged_report_is_lost_when_pushes_fail_and_the_server_is_killed(start_platform,
                                                                                  receiver):
    platform = start_platform(push__fail_limit="100000", push__retry_first="5ms")
    receiver.answers(then=lambda r: 503
                     if hash(r.notify_id + r.headers["X-Notify-Attempt"]) % 4 == 0 else 200)
    load = Load(platform, platform.application(), receiver, devices=10, reports=50).start()
    load.wait_for_acknowledged(250)
    platform.kill()
    platform.start()
    load.finish()
    load.expect_everything_in_order()


def test_a_server_that_is_restarted_under_load_loses_and_repeats_nothing(start_platform, receiver):
    platform = start_platform()
    load = Load(platform, platform.application(), receiver, devices=10, reports=50).start()
    load.wait_for_acknowledged(200)
    platform.restart()
    load.finish()
    load.expect_everything_in_order()
    ids = [r.notify_id for r in receiver.requests()]
    assert len(ids) == len(set(ids))


def test_everything_is_there_after_a_kill(start_platform):
    platform = start_platform()
    application = platform.application()
    device = application.register_device(info={"name": "kept"})
    device.report({"n": 1})
    shown, subscription = device.query(), application.subscribe("deviceAdded", "http://127.0.0.1:9/x")
    for _ in range(3):
        platform.kill()
        platform.start()
    assert device.query() == shown
    assert application.get(f"{SUBSCRIPTIONS}/{subscription['subscriptionId']}").json == subscription
    device.report({"n": 2})


# --- an external Redis


@pytest.fixture
def redis(start_redis):
    return start_redis()


@pytest.fixture
def with_redis(redis, start_platform):
    return start_platform(redis=redis, redis__command_timeout="500ms", redis__connect_timeout="500ms")


def test_no_acknowledged_report_is_lost_when_redis_is_restarted(with_redis, redis, receiver):
    load = Load(with_redis, with_redis.application(), receiver, devices=10, reports=100).start()
    for count in (300, 600):
        load.wait_for_acknowledged(count)
        redis.stop()
        wait_until(lambda: not with_redis.is_ready(), "the loss to be noticed")
        redis.start()
    load.finish()
    load.expect_everything_in_order()
    assert load.refusals <= {(500, "IOTDA.000001"), (503, "IOTDA.000001")}
    assert with_redis.is_ready()


@pytest.fixture
def passage(redis, workdir):
    passage = Passage(redis, workdir)
    yield passage
    passage.close()


def test_what_is_read_again_after_a_reconnect_and_acknowledged_meanwhile_is_not_repeated(
        passage, redis, start_platform, receiver):
    """The reply to the read comes when its entries have long been deleted."""
    platform = start_platform(redis=passage)
    application = platform.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    gate = receiver.holds("/data")
    devices = [application.register_device() for _ in range(10)]
    for device in devices:
        device.report({"n": 0})
    receiver.wait_for(10)
    passage.hold_what_is_read()
    passage.cut()
    for device in devices:
        passage.wait_for_held(device.id)
    gate.open()
    client = redis.client()
    wait_until(lambda: not any(client("XLEN", f"{{p{n}}}:q") for n in range(PARTITIONS)), "the deletions")
    client.close()
    platform.wait_for_metric("redis_commands_total", platform.metric("redis_commands_total") + 1)
    passage.let_through()
    receiver.answers(then=200, path="/data")
    for device in devices:
        device.report({"n": 1})
    arrived = receiver.wait_for(20)
    assert [r.json["service"]["data"]["n"] for r in arrived] == [0] * 10 + [1] * 10


def test_scripts_that_redis_has_forgotten_are_loaded_again(with_redis, redis, receiver):
    application = with_redis.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    for n in range(3):
        client = redis.client()
        client("SCRIPT", "FLUSH")
        client.close()
        device.report({"n": n})
    assert [r.json["service"]["data"]["n"] for r in receiver.wait_for(3)] == [0, 1, 2]


def test_a_frozen_redis_makes_errors_and_no_one_waits(with_redis, redis, receiver):
    application = with_redis.application()
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    device.report({"n": 0})
    redis.freeze()
    started = time.monotonic()
    expect_refusal(device.try_report({"n": 1}), DEVICE_INTERNAL)
    expect_refusal(application.get(f"{DEVICES}/{device.id}"), INTERNAL)
    expect_refusal(application.try_login(), INTERNAL)
    expect_refusal(application.try_refresh(), INTERNAL)
    assert time.monotonic() - started < 5
    wait_until(lambda: not with_redis.is_ready(), "the server to be not ready")
    assert with_redis.admin("GET", "/readyz").status == 503
    assert with_redis.admin("GET", "/healthz").status == 200
    redis.thaw()
    wait_until(with_redis.is_ready, "the recovery")
    device.report({"n": 2})
    receiver.wait_for_match(lambda r: r.json["service"]["data"]["n"] == 2)


def test_a_redis_that_is_absent_at_the_start_is_waited_for(redis, start_platform):
    redis.stop()
    platform = start_platform(redis=redis, redis__connect_timeout="500ms", wait=False).wait_until_up()
    assert platform.admin("GET", "/readyz").status == 503
    assert platform.metric("redis_connected") == 0
    platform.wait_for_log(r"WARN redis .*state=")
    expect_refusal(platform.api("POST", "/iocm/app/sec/v1.1.0/login", "appId=x&secret=y"), INTERNAL)
    for path, body in (("/v5/device-auth", {"device_id": "x", "sign_type": 0, "password": "0" * 64,
                                            "timestamp": "2025041401"}),
                       ("/v5/devices/x/sys/messages/up", "text"),
                       ("/v5/devices/x/sys/properties/report", "no report"),
                       ("/v5/devices/x/sys/properties/report", REPORT)):
        expect_refusal(platform.device_api("POST", path, body, {"access_token": "x"}), DEVICE_INTERNAL)
    redis.start()
    platform.wait_until_ready()
    assert platform.application().try_login().status == 200
    assert platform.stop() == 0


def test_a_server_without_redis_stops_properly(with_redis, redis):
    redis.stop()
    wait_until(lambda: not with_redis.is_ready(), "the loss to be noticed")
    assert with_redis.stop() == 0


def test_a_redis_that_is_full_refuses_new_work_and_keeps_delivering(start_redis, start_platform,
                                                                    receiver):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    receiver.answers(then=503)
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    device = application.register_device()
    for n in range(5):
        device.report({"n": n})
    client = redis.client()
    client("CONFIG", "SET", "maxmemory", "1mb")
    refused = wait_until(lambda: (r := device.try_report({"n": 5})).status != 200 and r, "a refusal")
    expect_refusal(refused, DEVICE_INTERNAL)
    receiver.answers(then=200)
    wait_until(lambda: platform.metric("events_pending") == 0, "the deliveries")
    assert application.get(f"{DEVICES}/{device.id}").status == 200
    application.delete(f"{DEVICES}/{device.id}")
    wait_until(device.is_gone, "a deletion")
    client("CONFIG", "SET", "maxmemory", "0")
    client.close()
    application.register_device().report({"n": 6})
    receiver.wait_for_match(lambda r: r.json["service"]["data"]["n"] == 6)


# --- the embedded Redis


def child_of(platform):
    """The pid of the running embedded Redis, or 0."""
    return platform.status()["redis"]["pid"]


def test_an_embedded_redis_that_is_killed_is_started_again(start_platform, receiver):
    platform = start_platform(redis__embedded_fsync="always", redis__command_timeout="1s")
    load = Load(platform, platform.application(), receiver, devices=10, reports=50).start()
    load.wait_for_acknowledged(200)
    before = child_of(platform)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: child_of(platform) not in (0, before), "another Redis")
    platform.wait_until_ready()
    load.finish()
    load.expect_everything_in_order()


def test_an_embedded_redis_that_is_stopped_by_somebody_is_started_again(start_platform):
    platform = start_platform()
    application = platform.application()
    for _ in range(2):
        before = child_of(platform)
        os.kill(before, signal.SIGTERM)
        wait_until(lambda: child_of(platform) not in (0, before), "another Redis")
        platform.wait_until_ready()
        assert application.try_login().status == 200


def test_an_embedded_redis_does_not_outlive_a_killed_server(start_platform):
    platform = start_platform()
    redis = child_of(platform)
    platform.kill()
    wait_until(lambda: not os.path.exists(f"/proc/{redis}"), "the end of the embedded Redis")
    platform.start()
    assert child_of(platform) != redis


def test_the_data_of_an_embedded_redis_is_nobody_elses(start_platform):
    platform = start_platform()
    data = platform.settings["redis__embedded_dir"]
    assert os.stat(data).st_mode & 0o077 == 0
    with open(f"/proc/{child_of(platform)}/net/tcp") as connections:
        inodes = {line.split()[9] for line in connections.readlines()[1:] if line.split()[3] == "0A"}
    directory = f"/proc/{child_of(platform)}/fd"
    sockets = {os.readlink(f"{directory}/{fd}") for fd in os.listdir(directory)}
    assert not sockets & {f"socket:[{inode}]" for inode in inodes}  # it listens on no port

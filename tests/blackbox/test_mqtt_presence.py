"""
Presence of MQTT devices: ONLINE and OFFLINE, one connection each over all instances, and what becomes of
devices whose instance dies.
"""

import pytest

from helpers.cluster import at
from helpers.mqtt import ACCEPTED, UNAVAILABLE, MqttDevice, connected
from helpers.waiting import wait_until


def status(device):
    return device.query()["deviceInfo"]["status"]


def wait_for_status(device, wanted):
    wait_until(lambda: status(device) == wanted, f"the device {wanted}")


def told(receiver, device=None):
    """What deviceInfoChanged said, in order; what came twice, since its instance died, counts once."""
    first = {}
    for request in receiver.requests("/info"):
        first.setdefault(request.notify_id, request.json)
    return [body["deviceInfo"]["status"] for body in first.values()
            if body["deviceInfo"]["status"] and (not device or body["deviceId"] == device.id)]


@pytest.fixture
def watched(application, receiver):
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    return application.register_device()


def test_a_device_is_online_while_it_is_connected(watched, receiver):
    assert status(watched) in ("OFFLINE", "INACTIVE")
    client = connected(watched)
    assert status(watched) == "ONLINE"
    client.disconnect()
    wait_for_status(watched, "OFFLINE")
    wait_until(lambda: told(receiver) == ["ONLINE", "OFFLINE"], "both notifications")


@pytest.mark.parametrize("end", ["disconnect", "close", "reset"])
def test_however_a_connection_ends_the_device_is_offline(watched, receiver, end):
    client = connected(watched)
    getattr(client, end)()
    wait_until(lambda: told(receiver) == ["ONLINE", "OFFLINE"], "both notifications")


def test_the_first_connection_binds_the_device(application, receiver):
    application.subscribe("bindDevice", receiver.url("/bound"))
    device = application.register_device()
    for _ in range(2):
        connected(device).disconnect()
    body = receiver.wait_for_one("/bound").json
    assert body["deviceId"] == device.id and body["resultCode"] == "succeeded"


def test_a_new_connection_takes_the_place_of_the_old_one(watched, receiver):
    old = connected(watched)
    new = connected(watched)
    assert old.wait_for_close() == []
    new.report({"n": 1})
    assert status(watched) == "ONLINE"
    new.disconnect()
    wait_until(lambda: told(receiver) == ["ONLINE", "OFFLINE"], "one of each")


def test_the_client_id_does_not_matter_for_that(device):
    old = MqttDevice(device)
    assert old.login("2025041401") == ACCEPTED
    new = MqttDevice(device)
    assert new.login("2025041402") == ACCEPTED
    assert old.wait_for_close() == []
    new.ping()


def test_two_that_take_each_others_place_are_no_flood(watched, receiver):
    clients = []
    for _ in range(10):
        clients.append(connected(watched))
    for client in clients[:-1]:
        assert client.wait_for_close() == []
    clients[-1].disconnect()
    wait_until(lambda: told(receiver) == ["ONLINE", "OFFLINE"], "one of each")


def test_a_silent_device_stays_online_as_long_as_it_is_connected(start_platform):
    platform = start_platform(device__abnormal_after="300ms", device__offline_after="600ms")
    application = platform.application()
    silent, other = application.register_device(), application.register_device()
    client = connected(silent)
    other.report({"n": 1})  # over HTTPS
    wait_for_status(other, "OFFLINE")
    client.ping()
    assert status(silent) == "ONLINE"


def test_a_device_that_also_reports_over_https_is_online_again(watched):
    client = connected(watched)
    watched.report({"n": 1})
    client.disconnect()
    wait_for_status(watched, "OFFLINE")
    watched.report({"n": 2})
    assert status(watched) == "ONLINE"


def test_an_end_that_redis_did_not_hear_of_is_told_later(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, redis__command_timeout="1s")
    device = platform.application().register_device()
    client = connected(device)
    redis.stop()
    wait_until(lambda: not platform.is_ready(), "the loss of Redis")
    client.close()
    wait_until(lambda: platform.metric("mqtt_connections") == 0, "the end")
    redis.start()
    platform.wait_until_ready()
    wait_for_status(device, "OFFLINE")


def test_an_end_that_redis_has_no_memory_for_is_told_later(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    device, other = application.register_device(), application.register_device()
    client = connected(device)
    memory = redis.client()
    memory("CONFIG", "SET", "maxmemory", "1")
    client.close()
    wait_until(lambda: platform.metric("mqtt_connections") == 0, "the end")
    assert MqttDevice(other).login() == UNAVAILABLE
    memory("CONFIG", "SET", "maxmemory", "0")
    memory.close()
    wait_for_status(device, "OFFLINE")
    connected(other).report({"n": 1})


def test_a_stop_takes_all_devices_offline(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    devices = [platform.application().register_device() for _ in range(20)]
    clients = [connected(device) for device in devices]
    assert platform.stop() == 0
    platform.start()
    assert {status(device) for device in devices} == {"OFFLINE"}
    assert len(clients) == 20


def test_an_instance_that_was_killed_takes_its_devices_offline_when_it_starts_again(
        start_redis, start_platform):
    platform = start_platform(redis=start_redis())
    devices = [platform.application().register_device() for _ in range(5)]
    clients = [connected(device) for device in devices]
    platform.kill()
    platform.start()
    back = connected(devices[0])
    for device in devices[1:]:
        wait_for_status(device, "OFFLINE")
    assert status(devices[0]) == "ONLINE"
    back.report({"n": 1})
    assert len(clients) == 5


# --- over several instances


def test_a_device_has_one_connection_over_all_instances(cluster, receiver):
    one, other = cluster().members
    application = one.application()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device = application.register_device()
    old = connected(device, one)
    new = connected(device, other)
    assert old.wait_for_close() == []
    new.report({"n": 1})
    back = connected(device, one)
    assert new.wait_for_close() == []
    assert status(device) == "ONLINE"
    back.disconnect()
    wait_until(lambda: told(receiver) == ["ONLINE", "OFFLINE"], "one of each")


def test_what_ends_a_device_at_one_instance_ends_its_connection_at_another(cluster):
    one, other = cluster().members
    application = one.application()
    device, second = application.register_device(), application.register_device()
    clients = [connected(device, other), connected(second, other)]
    device.delete()
    assert clients[0].wait_for_close() == []
    second.modify(mute="TRUE")
    assert clients[1].wait_for_close() == []


def test_devices_of_a_dead_instance_go_offline(cluster, receiver):
    instances = cluster()
    one, other = instances.members
    application = one.application()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    devices = [application.register_device() for _ in range(10)]
    clients = [connected(device, other) for device in devices]
    staying = application.register_device()
    stays = connected(staying, one)
    instances.kill(other)
    moved = connected(devices[0], one)
    for device in devices[1:]:
        wait_for_status(device, "OFFLINE")
    assert status(devices[0]) == status(staying) == "ONLINE"
    moved.report({"n": 1})
    stays.report({"n": 1})
    wait_until(lambda: told(receiver).count("OFFLINE") == 9, "nine notifications")
    for device in devices[1:]:
        assert told(receiver, device) == ["ONLINE", "OFFLINE"]
    # Whatever was still to be told of those who were taken over would come before this.
    moved.disconnect()
    wait_until(lambda: told(receiver, devices[0])[-1] == "OFFLINE", "the last notification")
    assert told(receiver, devices[0]) == ["ONLINE", "OFFLINE"]
    assert told(receiver, staying) == ["ONLINE"]
    assert len(clients) == 10


def test_an_instance_that_was_taken_for_dead_lets_its_devices_go(cluster):
    instances = cluster()
    one, sleeper = instances.members
    application = one.application()
    device, moved = application.register_device(), application.register_device()
    client, old = connected(device, sleeper), connected(moved, sleeper)
    instances.freeze(sleeper)
    wait_for_status(device, "OFFLINE")
    new = connected(moved, one)
    instances.thaw(sleeper)
    # They were idle: it has to find out by itself.
    assert client.wait_for_close() == []
    assert old.wait_for_close() == []
    new.report({"n": 1})
    assert status(moved) == "ONLINE" and status(device) == "OFFLINE"
    there = at(application, sleeper)
    assert there.query(moved.id)["deviceInfo"]["status"] == "ONLINE"

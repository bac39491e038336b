"""Devices over MQTT: who may log in, and what others are told."""

import hashlib
import hmac
import subprocess
import time

import pytest

from helpers.mqtt import (ACCEPTED, BAD_CLIENT_ID, BAD_LOGIN, BAD_VERSION, NOT_AUTHORIZED, UNAVAILABLE,
                          Client, MqttDevice, connect_packet, connected)
from helpers.nouns import device_password, new_name
from helpers.waiting import wait_until


@pytest.fixture
def client(device):
    return MqttDevice(device)


def test_a_device_logs_in_with_its_device_id(client):
    assert client.login() == ACCEPTED
    client.ping()


def test_a_device_logs_in_with_its_node_id(client):
    assert client.login(kind=2) == ACCEPTED
    client.ping()


def test_node_ids_may_have_underscores_and_so_may_ids_before_the_last_three_parts(platform, application):
    device = application.register_device(node_id=new_name("a_b_0_1"))
    assert MqttDevice(device).login(kind=2) == ACCEPTED


def test_of_devices_with_one_node_id_the_password_tells_which_it_is(platform):
    name = new_name()
    one, other = (platform.application().register_device(node_id=name) for _ in range(2))
    for device in (one, other):
        connected_device = MqttDevice(device)
        assert connected_device.login(kind=2) == ACCEPTED
        wait_until(lambda d=device: status(d) == "ONLINE", "the right one online")
        assert MqttDevice(device).login(kind=2, password=device_password("x", "1")) == BAD_LOGIN
        connected_device.disconnect()
        wait_until(lambda d=device: status(d) == "OFFLINE", "it offline again")


def test_an_old_node_id_is_no_name_any_more(application):
    device = application.register_device()
    name, old = new_name(), device.node_id
    response = application.put(f"/iocm/app/reg/v2.0.0/deviceCredentials/{device.id}",
                               {"nodeId": name, "secret": device.secret})
    assert response.status == 200, response
    assert MqttDevice(device).login(kind=2) == BAD_LOGIN
    device.node_id = name
    assert MqttDevice(device).login(kind=2) == ACCEPTED
    device.node_id = old
    assert MqttDevice(device).login(kind=2) == BAD_LOGIN


def status(device):
    return device.query()["deviceInfo"]["status"]


@pytest.mark.parametrize("timestamp", ["2019120219", "20201103", "0", "any text", "9" * 64])
def test_an_unsigned_time_is_any_text(device, timestamp):
    assert MqttDevice(device).login(timestamp) == ACCEPTED


def hour(offset):
    return time.strftime("%Y%m%d%H", time.gmtime(time.time() + offset * 3600))


def login_at(device, offset):
    """Once more when an hour ends meanwhile."""
    while True:
        timestamp = hour(offset)
        code = MqttDevice(device).login(timestamp, sign=1)
        if hour(offset) == timestamp:
            return code


def test_a_signed_time_may_be_off_by_an_hour(device):
    for offset in (0, -1, 1):
        assert login_at(device, offset) == ACCEPTED
    for offset in (-2, 2):
        assert login_at(device, offset) == BAD_LOGIN
    for timestamp in ("20201103", "2025999999", "any text"):
        assert MqttDevice(device).login(timestamp, sign=1) == BAD_LOGIN


def test_a_password_may_be_made_with_sm3(device):
    try:
        password = hmac.new(b"2025041401", device.secret.encode(),
                            lambda: hashlib.new("sm3")).hexdigest()
    except ValueError:
        password = subprocess.run(
            ["openssl", "dgst", "-sm3", "-hmac", "2025041401", "-r"], input=device.secret.encode(),
            capture_output=True, check=True).stdout.split()[0].decode()
    assert MqttDevice(device).login(sign=2, password=password) == ACCEPTED
    assert MqttDevice(device).login(sign=0, password=password) == BAD_LOGIN
    assert MqttDevice(device).login(sign=2) == BAD_LOGIN


def test_mqtt_31_is_served_by_its_protocol_name(client):
    assert client.login(name="MQIsdp", level=3) == ACCEPTED
    client.report({"n": 1})


@pytest.mark.parametrize("how", [{"level": 5}, {"level": 3}, {"name": "MQIsdp"},
                                 {"name": "MQIsdp", "level": 5}], ids=str)
def test_other_versions_are_refused(client, how):
    assert client.login(**how) == BAD_VERSION
    assert client.wait_for_close() == []


@pytest.mark.parametrize("keep_alive", [0, 29, 1201, 65535])
def test_keep_alive_times_outside_of_the_allowed_ones_are_refused(start_platform, keep_alive):
    device = start_platform(device__mqtt_keep_alive_min="30").application().register_device()
    assert MqttDevice(device).login(keep_alive=keep_alive) == BAD_CLIENT_ID
    for allowed in (30, 1200):
        assert MqttDevice(device).login(keep_alive=allowed) == ACCEPTED


@pytest.mark.parametrize("client_id, code", [
    ("", BAD_CLIENT_ID), ("{id}", BAD_CLIENT_ID), ("{id}_0", BAD_CLIENT_ID), ("{id}_0_0", BAD_CLIENT_ID),
    ("{id}_0_0_", BAD_CLIENT_ID), ("{id}_4_0_{ts}", BAD_CLIENT_ID), ("{id}_0_3_{ts}", BAD_CLIENT_ID),
    ("{id}_00_0_{ts}", BAD_CLIENT_ID), ("_0_0_{ts}", BAD_CLIENT_ID), ("{id}_0_x_{ts}", BAD_CLIENT_ID),
    ("x" * 250 + "_0_0_{ts}", BAD_CLIENT_ID), ("{id}_0_0_" + "1" * 65, BAD_CLIENT_ID),
    ("{id}_1_0_{ts}", NOT_AUTHORIZED),  # by a product's secret
    ("product_{id}_1_0_{ts}", NOT_AUTHORIZED),
    ("{id}_3_0_{ts}", NOT_AUTHORIZED),  # a bridge
    ("x{id}_0_0_{ts}", BAD_LOGIN),      # is not the user name
], ids=lambda value: str(value)[:30])
def test_client_ids_have_a_form(client, client_id, code):
    client_id = client_id.format(id=client.device.id, ts="2025041401")
    assert client.connect(client_id, client.device.id,
                          device_password(client.device.secret, "2025041401")) == code
    assert client.wait_for_close() == []


def test_wrong_and_missing_secrets_are_refused(platform, application, device):
    by_code = application.register_device(by_code=True)
    by_code.secret = by_code.verify_code
    right = device_password(device.secret, "2025041401")
    assert MqttDevice(device).login(password="0" * 64) == BAD_LOGIN
    assert MqttDevice(device).login(password=right.upper()) == BAD_LOGIN
    assert MqttDevice(device).login(password=right[:-1]) == BAD_LOGIN
    assert MqttDevice(device).login(password=device.secret) == BAD_LOGIN
    assert MqttDevice(device).login(password="") == BAD_LOGIN
    assert MqttDevice(device).login(user="somebody") == BAD_LOGIN
    assert MqttDevice(device).login(user=None, password=None) == BAD_LOGIN
    assert MqttDevice(by_code).login() == BAD_LOGIN
    device.id = "nobody"
    assert MqttDevice(device).login() == BAD_LOGIN
    device.id = "not an id"
    assert MqttDevice(device).login() == BAD_LOGIN
    assert MqttDevice(device).login(kind=2, user="unknown") == BAD_LOGIN


def test_a_certificate_in_place_of_a_password_is_refused_and_the_log_says_so(start_platform):
    platform = start_platform()
    client = MqttDevice(platform.application().register_device())
    assert client.login(password=None) == NOT_AUTHORIZED
    platform.wait_for_log(rf"reason=certificate client={client.device.id}")


def test_a_muted_device_may_not_log_in_and_is_closed_when_it_is_there(device):
    client = connected(device)
    device.modify(mute="TRUE")
    client.wait_for_close()
    assert MqttDevice(device).login() == NOT_AUTHORIZED
    assert MqttDevice(device).login(password="0" * 64) == BAD_LOGIN
    device.modify(mute="FALSE")
    assert MqttDevice(device).login() == ACCEPTED


def test_a_deleted_device_is_closed_and_cannot_log_in(device):
    client = connected(device)
    device.delete()
    client.wait_for_close()
    assert MqttDevice(device).login() == BAD_LOGIN


def test_another_application_cannot_end_a_connection(platform, device):
    client = connected(device)
    stranger = platform.application()
    assert stranger.delete(f"/iocm/app/dm/v1.4.0/devices/{device.id}").status == 404
    assert stranger.put(f"/iocm/app/dm/v1.4.0/devices/{device.id}", {"mute": "TRUE"}).status == 404
    client.report({"n": 1})


def test_a_new_secret_ends_the_connection_that_was_made_with_the_old_one(application, device):
    client = connected(device)
    response = application.put(f"/iocm/app/reg/v2.0.0/deviceCredentials/{device.id}",
                               {"secret": "0123456789abcdef0123"})
    assert response.status == 200, response
    client.wait_for_close()
    assert MqttDevice(device).login() == BAD_LOGIN
    device.secret = response.json["secret"]
    assert MqttDevice(device).login() == ACCEPTED


def test_a_will_is_read_and_ignored(application, device):
    other = application.register_device()
    client = MqttDevice(device)
    report = '{"services":[{"service_id":"Meter","properties":{"n":1}}]}'
    assert client.login(will=(client.topic("properties/report"), report)) == ACCEPTED
    client.reset()  # an end that wills are for
    wait_until(lambda: status(device) == "OFFLINE", "the end")
    connected(other).report({"n": 2})
    assert not device.query()["services"]


def test_a_session_is_never_there_before(device):
    """Clean or not: what waits for a device is kept elsewhere, and subscriptions it makes anew."""
    for clean in (False, True, False):
        client = MqttDevice(device)
        assert client.login(clean=clean) == ACCEPTED  # and says that there was no session
        client.publish(client.topic("events/up"), {"services": [
            {"service_id": "$time_sync", "event_type": "time_sync_request", "paras": {}}]})
        assert client.wait_for_message().qos == 0
        assert client.subscribe(client.topic("events/down")) == [1]
        client.close()


@pytest.mark.parametrize("clean", [True, False])
def test_a_client_needs_an_id(client, clean):
    assert client.connect("", client.device.id, "0" * 64, clean=clean) == BAD_CLIENT_ID
    assert client.wait_for_close() == []


def test_who_fails_too_often_is_not_listened_to_for_a_while(start_platform):
    platform = start_platform(device__login_failures="3", device__login_failure_interval="2s")
    device = platform.application().register_device()
    for _ in range(3):
        assert MqttDevice(device).login(password="0" * 64) == BAD_LOGIN
    assert MqttDevice(device).login() == UNAVAILABLE
    wait_until(lambda: MqttDevice(device).login() == ACCEPTED, "the end of the interval")
    assert platform.metric("mqtt_logins_total", result="wrong") == 3
    assert platform.metric("mqtt_logins_total", result="throttled") >= 1


def test_a_device_that_logs_in_again_and_again_is_slowed_down(start_platform, start_receiver):
    platform = start_platform(device__login_limit="3", device__login_interval="60s")
    application = platform.application()
    receiver = start_receiver()
    application.subscribe("deviceInfoChanged", receiver.url("/info"))
    device = application.register_device()
    codes = []
    for _ in range(6):
        client = MqttDevice(device)
        codes.append(client.login())
        client.close()
    assert codes == [ACCEPTED] * 3 + [UNAVAILABLE] * 3
    other = application.register_device()
    connected(other).disconnect()

    def told(about):
        return [r.json["deviceInfo"]["status"] for r in receiver.requests("/info") if
                r.json["deviceId"] == about.id]
    wait_until(lambda: told(other) == ["ONLINE", "OFFLINE"], "the other's notifications")
    wait_until(lambda: status(device) == "OFFLINE", "the device OFFLINE")
    wait_until(lambda: told(device) and told(device)[-1] == "OFFLINE", "its last notification")
    assert told(device) in (["ONLINE", "OFFLINE"] * 3, ["ONLINE", "OFFLINE"] * 2, ["ONLINE", "OFFLINE"])


def test_without_redis_nobody_can_log_in(start_platform):
    platform = start_platform(wait=False, redis__url="unix:/nonexistent", redis__embedded_dir="")
    platform.wait_until_up()
    client = Client(platform.address("mqtt"))
    assert client.connect("d_0_0_2025041401", "d", "0" * 64) == UNAVAILABLE


def test_over_tls_too(start_platform, authority):
    identity = authority.issue("localhost")
    platform = start_platform(device__listen_mqtts="127.0.0.1:0", device__tls_certificate=identity.file,
                              device__tls_key=identity.key)
    device = platform.application().register_device()
    client = MqttDevice(device, listener="mqtts", tls=authority.file)
    assert client.login() == ACCEPTED
    client.report({"n": 1})
    assert platform.metric("tls_handshakes_total", result="ok") == 1
    client.disconnect()


def test_what_is_no_connect_is_closed_at_once(platform):
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\x00", b"\xc0\x00", b"\x00\x00", b"\x11\x00",
                 b"\x10\xff\xff\xff\xff\x01", b"\x10\xff\xff\x7f",
                 connect_packet("d_0_0_1", "d", "p", name="HTTP"),
                 connect_packet("d_0_0_1", "d", "p")[:-1] + b"\x00\x00" * 4):
        client = Client(platform.address("mqtt"))
        client.send(data)
        assert client.wait_for_close() == [] or data.endswith(b"\x00\x00")

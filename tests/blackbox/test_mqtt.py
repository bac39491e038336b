"""MQTT connections: packets, limits, and what becomes of those who do not keep to the rules."""

import gzip
import json
import re
import socket
import struct
import subprocess

import pytest

from helpers.mqtt import (ACCEPTED, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE, UNSUBSCRIBE, Client, MqttDevice,
                          connect_packet, connected, packet, publish_packet, text)
from helpers.nouns import device_password
from helpers.platform import DAEMON
from helpers.waiting import wait_until
from test_commands import meter_of, wait_for_status

REPORT = b'{"services":[{"service_id":"Meter","properties":{"n":1}}]}'


@pytest.fixture
def client(device):
    return connected(device)


def services(device):
    return device.query()["services"] or []


def test_packets_may_come_in_pieces(device):
    client = MqttDevice(device)
    whole = connect_packet(f"{device.id}_0_0_2025041401", device.id,
                           device_password(device.secret, "2025041401"))
    whole += publish_packet(client.topic("properties/report"), REPORT, 1, 7) + packet(PINGREQ)
    for byte in whole:
        client.send(bytes([byte]))
    assert client.wait_for_connack() == ACCEPTED
    assert client.wait_for_puback() == 7
    client.wait_for(13)


def test_many_packets_may_come_at_once(device):
    client = MqttDevice(device)
    topic = client.topic("properties/report")
    whole = connect_packet(f"{device.id}_0_0_2025041401", device.id,
                           device_password(device.secret, "2025041401"))
    whole += b"".join(publish_packet(topic, REPORT, 1, n) for n in range(1, 501))
    client.send(whole)
    assert client.wait_for_connack() == ACCEPTED
    assert [client.wait_for_puback() for _ in range(500)] == list(range(1, 501))


def test_a_goodbye_closes(client):
    client.disconnect()


@pytest.mark.parametrize("data", [
    packet(PINGREQ, b"x"),
    packet(PINGREQ, flags=1),
    packet(PUBACK, b"\x00\x00"),
    packet(PUBACK, b"\x00\x01\x00"),
    packet(5, b"\x00\x01"), packet(6, b"\x00\x01", 2), packet(7, b"\x00\x01"),  # of QoS 2
    packet(2, b"\x00\x00"), packet(9, b"\x00\x01\x00"), packet(11, b"\x00\x01"), packet(13),  # a server's
    packet(0), packet(15),
    packet(SUBSCRIBE, b"\x00\x01" + text("a") + b"\x00"),         # flags
    packet(SUBSCRIBE, b"\x00\x00" + text("a") + b"\x00", 2),      # packet id 0
    packet(SUBSCRIBE, b"\x00\x01" + text("a") + b"\x03", 2),      # QoS 3
    packet(SUBSCRIBE, b"\x00\x01" + text("a#") + b"\x01", 2),
    packet(SUBSCRIBE, b"\x00\x01", 2),
    packet(UNSUBSCRIBE, b"\x00\x01", 2),
    publish_packet("a/#", b"", 1), publish_packet("", b"", 1), publish_packet("a", b"", 1, 0),
    publish_packet(b"\xff", b"", 1), publish_packet(b"a\x00", b"", 1),
    publish_packet("a", b"", 2), publish_packet("a", b"", 3), publish_packet("a", b"", 0, dup=True),
    b"\x30\xff\xff\xff\xff\x00",
], ids=lambda data: data.hex()[:24])
def test_what_the_standard_forbids_is_closed(client, data):
    client.send(data)
    assert client.wait_for_close() == []


def test_a_second_connect_is_closed(client, device):
    client.send(connect_packet(f"{device.id}_0_0_2025041401", device.id, "x" * 64))
    assert client.wait_for_close() == []


def test_a_connect_must_come_in_time(start_platform):
    platform = start_platform(limits__header_timeout="300ms")
    silent = Client(platform.address("mqtt"))
    slow = Client(platform.address("mqtt"))
    slow.send(b"\x10\x20\x00")
    for client in (silent, slow):
        assert client.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="connect_timeout") == 2


def test_a_packet_must_come_to_its_end(start_platform):
    platform = start_platform(limits__body_timeout="300ms")
    client = connected(platform.application().register_device())
    client.send(publish_packet("a", b"x" * 100)[:-1])
    assert client.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="packet_timeout") == 1


def test_who_is_silent_for_longer_than_its_keep_alive_time_is_closed(start_platform):
    platform = start_platform()
    application = platform.application()
    silent, lively = (MqttDevice(application.register_device()) for _ in range(2))
    assert silent.login(keep_alive=1) == ACCEPTED
    assert lively.login(keep_alive=1) == ACCEPTED

    def silent_is_gone():
        lively.ping()
        return platform.metric("mqtt_closed_total", reason="keep_alive") == 1
    wait_until(silent_is_gone, "the end of the silent one")
    assert silent.wait_for_close() == []
    lively.ping()


@pytest.mark.parametrize("header_timeout, is_first", [("2500ms", True), ("3500ms", False)])
def test_silence_may_last_one_and_a_half_times_the_keep_alive_time(start_platform, header_timeout, is_first):
    """Between two clocks: who sends no CONNECT at all is closed before it, or after it."""
    platform = start_platform(limits__header_timeout=header_timeout, log__level="debug")
    device = platform.application().register_device()
    others = [Client(platform.address("mqtt"))] if is_first else []
    client = MqttDevice(device)
    assert client.login(keep_alive=2) == ACCEPTED
    others += [] if is_first else [Client(platform.address("mqtt"))]
    for one in (client, *others):
        assert one.wait_for_close() == []
    platform.wait_for_log("reason=keep_alive")
    platform.wait_for_log("reason=connect_timeout")
    in_order = platform.log.index("reason=connect_timeout") < platform.log.index("reason=keep_alive")
    assert in_order == is_first
    wait_until(lambda: device.query()["deviceInfo"]["status"] == "OFFLINE", "the device OFFLINE")


def test_limits_are_the_protocols_by_default():
    told = subprocess.run([DAEMON, "--help-config"], capture_output=True, text=True, check=True).stdout
    defaults = dict(re.findall(r"^  (mqtt_\w+) .*default (\w+);", told, re.M))
    assert {name: defaults[name] for name in (
        "mqtt_messages", "mqtt_bytes", "mqtt_payload_bytes", "mqtt_subscriptions", "mqtt_keep_alive_min",
        "mqtt_keep_alive_max")} == {
        "mqtt_messages": "50", "mqtt_bytes": "1m", "mqtt_payload_bytes": "1m",
        "mqtt_subscriptions": "100", "mqtt_keep_alive_min": "30", "mqtt_keep_alive_max": "1200"}


def test_a_large_payload_is_taken_and_a_larger_one_is_closed(start_platform):
    platform = start_platform(device__mqtt_payload_bytes="100k")
    device = platform.application().register_device()
    client = connected(device)
    client.publish(client.topic("messages/up"), b"x" * 102400)
    client.send_publish(client.topic("messages/up"), b"x" * 102401)
    assert client.wait_for_close() == []
    client = connected(device)
    client.send(b"\x32\xff\xff\x7f")  # two megabytes are announced
    assert client.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="too_large") == 2


def test_a_megabyte_is_taken(client):
    client.publish(client.topic("messages/up"), bytes(range(256)) * 4096)


def test_who_sends_too_fast_has_to_wait_and_loses_nothing(start_platform):
    platform = start_platform(device__mqtt_messages="5")
    client = connected(platform.application().register_device())
    ids = [client.send_publish(client.topic("properties/report"), REPORT) for _ in range(12)]
    assert [client.wait_for_puback() for _ in ids] == ids
    assert platform.metric("throttled_total", scope="mqtt") >= 2
    client.ping()


def test_bytes_are_counted_too(start_platform):
    platform = start_platform(device__mqtt_bytes="10k")
    client = connected(platform.application().register_device())
    ids = [client.send_publish(client.topic("messages/up"), b"x" * 6000) for _ in range(4)]
    assert [client.wait_for_puback() for _ in ids] == ids
    assert platform.metric("throttled_total", scope="mqtt") == 1


def test_requests_to_subscribe_are_counted_too(start_platform):
    platform = start_platform(device__mqtt_messages="2")
    client = connected(platform.application().register_device())
    for _ in range(3):
        assert client.subscribe(client.topic("events/down")) == [1]
        client.unsubscribe(client.topic("events/down"))
    assert platform.metric("throttled_total", scope="mqtt") >= 2


def test_few_messages_of_a_connection_are_under_way_at_once(start_platform):
    platform = start_platform(device__mqtt_in_flight="1")
    client = connected(platform.application().register_device())
    ids = [client.send_publish(client.topic("properties/report"), REPORT) for _ in range(50)]
    assert [client.wait_for_puback() for _ in ids] == ids


def test_all_messages_together_may_need_so_much_memory(start_platform):
    platform = start_platform(device__mqtt_bytes_in_flight="1m", device__mqtt_bytes="0")
    application = platform.application()
    clients = [connected(application.register_device()) for _ in range(4)]
    ids = [[client.send_publish(client.topic("messages/up"), b"x" * 400000) for _ in range(4)]
           for client in clients]
    for client, wanted in zip(clients, ids):
        assert [client.wait_for_puback() for _ in wanted] == wanted


@pytest.mark.parametrize("payload", [
    {"services": [{"service_id": "Meter", "properties": {"text": "x" * 1000000}}]},  # larger when unpacked
    {"services": [{"service_id": "Meter", "properties": {"list": [1] * 300000}}]},   # and as a tree
], ids=["text", "list"])
def test_what_a_message_becomes_counts_too(start_redis, start_platform, payload):
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_bytes_in_flight="1m")
    application = platform.application()
    client, other = (connected(application.register_device()) for _ in range(2))
    topic = client.topic("properties/report") + "?encoding=gzip"
    packed = gzip.compress(json.dumps(payload).encode())
    redis.freeze()
    ids = [client.send_publish(topic, packed) for _ in range(8)]
    platform.wait_for_metric("mqtt_messages_total", 1, direction="up")
    for _ in range(5):
        other.ping()
    taken = platform.metric("mqtt_messages_total", direction="up")
    redis.thaw()
    assert [client.wait_for_puback() for _ in ids] == ids
    assert taken <= 2


def test_more_connections_than_allowed_are_closed_at_once(start_platform):
    platform = start_platform(device__max_connections="2")
    application = platform.application()
    clients = [connected(application.register_device()) for _ in range(2)]
    assert Client(platform.address("mqtt")).wait_for_close() == []
    assert platform.metric("connections_refused_total", reason="limit") == 1
    assert platform.metric("connections", listener="mqtt") == 2
    clients.pop().disconnect()
    wait_until(lambda: platform.metric("connections", listener="mqtt") == 1, "room")
    clients.append(connected(application.register_device()))


def test_an_address_may_have_only_so_many_connections(start_platform):
    platform = start_platform(limits__connections_per_address="2")
    clients = [Client(platform.address("mqtt")) for _ in range(3)]
    assert clients[2].wait_for_close() == []
    assert platform.metric("connections_refused_total", reason="address") == 1


def test_the_last_descriptors_are_not_for_devices(start_platform):
    platform = start_platform(wrapper=["prlimit", "--nofile=160:160"])
    device = platform.application().register_device()
    clients = [Client(platform.address("mqtt")) for _ in range(160)]
    platform.wait_for_metric("connections_refused_total", 1, reason="descriptors")
    assert platform.application().login()  # others still find some
    for client in clients:
        client.close()
    wait_until(lambda: platform.metric("connections", listener="mqtt") == 0, "the ends")
    connected(device).report({"n": 1})


def test_who_does_not_take_what_is_sent_is_closed(start_platform):
    platform = start_platform(device__mqtt_output_bytes="1k")
    device = platform.application().register_device()
    client = MqttDevice(device)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert client.login() == ACCEPTED
    event = {"services": [{"service_id": "$time_sync", "event_type": "time_sync_request", "paras": {}}]}

    def is_closed():
        try:
            for _ in range(100):
                client.send_publish(client.topic("events/up"), event, 0)
        except OSError:
            return True
        return False
    wait_until(is_closed, "the server's patience to end", 60)
    assert platform.metric("mqtt_closed_total", reason="slow") == 1


def test_a_message_that_redis_does_not_take_is_not_acknowledged(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_unstored_close="300ms",
                              redis__command_timeout="1s")
    device = platform.application().register_device()
    client = connected(device)
    client.report({"n": 1})
    redis.stop()
    wait_until(lambda: not platform.is_ready(), "the loss of Redis")
    client.send_publish(client.topic("properties/report"), REPORT)
    client.send_publish(client.topic("properties/report"), REPORT)
    assert client.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="unstored") == 1
    redis.start()
    platform.wait_until_ready()
    connected(device).report({"n": 2})


def test_an_unacknowledged_message_of_qos_0_ends_nothing(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_unstored_close="100ms",
                              redis__command_timeout="1s")
    client = connected(platform.application().register_device())
    redis.stop()
    wait_until(lambda: not platform.is_ready(), "the loss of Redis")
    client.send_publish(client.topic("properties/report"), REPORT, 0)
    client.ping()
    wait_until(lambda: platform.metric("reports_total", transport="mqtt", result="refused") == 1,
               "the end of the report")
    client.ping()
    redis.start()
    platform.wait_until_ready()
    client.report({"n": 1})


def test_the_server_says_how_many_devices_are_there(start_platform):
    platform = start_platform()
    application = platform.application()
    clients = [connected(application.register_device()) for _ in range(3)]
    assert platform.metric("mqtt_connections") == 3
    clients[0].disconnect()
    clients[1].reset()
    wait_until(lambda: platform.metric("mqtt_connections") == 1, "two ends")
    assert platform.metric("mqtt_closed_total", reason="disconnect") == 1
    assert platform.metric("mqtt_messages_total", direction="up") == 0


def test_a_stop_is_orderly(start_platform):
    platform = start_platform()
    clients = [connected(platform.application().register_device()) for _ in range(5)]
    for client in clients:
        client.send_publish(client.topic("properties/report"), REPORT)
    assert platform.stop() == 0
    for client in clients:
        assert [one.kind for one in client.wait_for_close()] in ([PUBACK], [])


# --- as others do it


def mosquitto(platform, device, program, *arguments, listener="mqtt", version="mqttv311"):
    host, port = platform.address(listener).split(":")
    return [program, "-h", host, "-p", port, "-V", version, "-i", f"{device.id}_0_0_2025041401",
            "-u", device.id, "-P", device_password(device.secret, "2025041401"), *arguments]


@pytest.mark.parametrize("version", ["mqttv311", "mqttv31"])
def test_mosquitto_pub_reports(platform, device, version):
    subprocess.run(mosquitto(platform, device, "mosquitto_pub", "-q", "1", "-t",
                             f"$oc/devices/{device.id}/sys/properties/report", "-m", REPORT.decode(),
                             version=version),
                   check=True, timeout=30)
    assert services(device)[0]["data"] == {"n": 1}


def test_mosquitto_pub_reports_over_tls(start_platform, authority):
    identity = authority.issue("127.0.0.1")
    platform = start_platform(device__listen_mqtts="127.0.0.1:0", device__tls_certificate=identity.file,
                              device__tls_key=identity.key)
    device = platform.application().register_device()
    subprocess.run(mosquitto(platform, device, "mosquitto_pub", "-q", "1", "--cafile", authority.file, "-t",
                             f"$oc/devices/{device.id}/sys/properties/report", "-m", REPORT.decode(),
                             listener="mqtts"),
                   check=True, timeout=30)
    assert services(device)[0]["data"] == {"n": 1}


def test_mosquitto_sub_gets_a_command_that_mosquitto_pub_answers(platform, application):
    meter = meter_of(application)
    made = application.command(meter, paras={"position": 7})
    commands = f"$oc/devices/{meter.id}/sys/commands"
    got = subprocess.run(
        mosquitto(platform, meter, "mosquitto_sub", "-q", "1", "-C", "1", "-W", "20", "-v", "-t",
                  f"{commands}/#"), capture_output=True, text=True, check=True, timeout=30).stdout
    topic, _, payload = got.partition(" ")
    assert topic == f"{commands}/request_id={made['commandId']}"
    assert json.loads(payload)["paras"] == {"position": 7}
    subprocess.run(
        mosquitto(platform, meter, "mosquitto_pub", "-q", "1", "-m", '{"result_code":0}', "-t",
                  f"{commands}/response/request_id={made['commandId']}"), check=True, timeout=30)
    wait_for_status(application, made, "SUCCESSFUL")


def test_mosquitto_rr_asks_and_is_answered(platform, device):
    request = {"services": [{"service_id": "$time_sync", "event_type": "time_sync_request",
                             "event_id": "e-1", "paras": {"device_send_time": 5}}]}
    events = f"$oc/devices/{device.id}/sys/events"
    answer = subprocess.run(
        mosquitto(platform, device, "mosquitto_rr", "-q", "1", "-W", "20", "-t", f"{events}/up", "-e",
                  f"{events}/down", "-m", json.dumps(request)),
        capture_output=True, check=True, timeout=30)
    (service,) = json.loads(answer.stdout)["services"]
    assert service["event_id"] == "e-1" and service["paras"]["device_send_time"] == 5


def test_mosquitto_sub_is_subscribed(platform, device):
    done = subprocess.run(
        mosquitto(platform, device, "mosquitto_sub", "-q", "1", "-W", "1", "-d", "-t",
                  f"$oc/devices/{device.id}/sys/commands/#", "-t", "#"),
        capture_output=True, text=True, timeout=30)
    assert "Subscribed (mid: 1): 1, 128" in done.stdout


def test_mosquitto_pub_with_a_wrong_password_is_refused(platform, device):
    command = mosquitto(platform, device, "mosquitto_pub", "-t", "a", "-m", "b")
    command[command.index("-P") + 1] = "0" * 64
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 5 or "not authorised" in done.stderr or "user name" in done.stderr


def test_what_is_said_twice_is_acknowledged_twice(device, client):
    """With a packet id that is in use, and repeated ones: at least once is what QoS 1 promises."""
    topic = client.topic("properties/report")
    client.send(publish_packet(topic, REPORT, 1, 9) + publish_packet(topic, REPORT, 1, 9) +
                publish_packet(topic, REPORT, 1, 9, dup=True))
    assert [client.wait_for_puback() for _ in range(3)] == [9, 9, 9]
    assert services(device)[0]["data"] == {"n": 1}


def test_who_is_silent_on_a_tls_listener_or_speaks_in_plain_is_closed(start_platform, authority):
    identity = authority.issue("localhost")
    platform = start_platform(device__listen_mqtts="127.0.0.1:0", device__tls_certificate=identity.file,
                              device__tls_key=identity.key, limits__header_timeout="300ms")
    device = platform.application().register_device()
    silent, plain = (Client(platform.address("mqtts")) for _ in range(2))
    tls = MqttDevice(device, listener="mqtts", tls=authority.file)  # and then no CONNECT
    plain.send(connect_packet(f"{device.id}_0_0_1", device.id, device_password(device.secret, "1")))
    silent.wait_for_close()
    plain.wait_for_close()
    assert tls.wait_for_close() == []
    assert platform.metric("mqtt_closed_total", reason="connect_timeout") == 2
    wait_until(lambda: platform.metric("tls_handshakes_total", result="failed") == 2, "the count")


def test_shutdown_of_one_side_only_is_an_end(client):
    client.socket.shutdown(socket.SHUT_WR)
    assert client.wait_for_close() == []


def test_unknown_acknowledgements_are_ignored(client):
    client.send(packet(PUBACK, struct.pack("!H", 77)))
    client.ping()
    assert PUBLISH not in [one.kind for one in client.kept]


def test_the_time_that_the_server_does_not_read_is_not_the_clients(start_redis, start_platform):
    """The rest of a packet that came while earlier ones waited for Redis."""
    redis = start_redis()
    platform = start_platform(redis=redis, device__mqtt_in_flight="1", limits__body_timeout="1s",
                              limits__header_timeout="300ms")
    application = platform.application()
    client, other = (connected(application.register_device()) for _ in range(2))
    topic = client.topic("properties/report")
    rest = publish_packet(topic, REPORT, 1, 2)
    redis.freeze()
    client.send(publish_packet(topic, REPORT, 1, 1) + rest[:-5])
    other.send(rest[:-5])
    assert other.wait_for_close() == []  # so the time of both is over
    redis.thaw()
    assert client.wait_for_puback() == 1
    assert Client(platform.address("mqtt")).wait_for_close() == []  # and a moment more
    client.send(rest[-5:])
    assert client.wait_for_puback() == 2

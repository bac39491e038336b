"""iotpush-bench over MQTT: devices that report, idle connections, and the subscriber to compare with."""

import json
import re
import resource
import signal
import socket
import struct
import subprocess

import pytest

from helpers import mqtt
from helpers.broker import Broker, acknowledge
from helpers.platform import BENCH, clean_environment
from helpers.waiting import wait_until
from test_bench import CLEARED, Terminal, bench, expect_nothing_left, run, run_at


@pytest.fixture
def own_platform(start_platform):
    """Where nobody else pauses deliveries or makes applications."""
    return start_platform()


@pytest.fixture
def start_broker():
    mine = []

    def start(**how):
        mine.append(Broker(**how))
        return mine[-1]
    yield start
    for one in mine:
        one.close()


def at_broker(broker, verb, *options):
    result = bench(verb, "--broker", broker.url, "--json", *options)
    assert result.stdout, result.stderr
    return result, json.loads(result.stdout)


# --- reports


@pytest.mark.parametrize("dialect", ["v5", "v1"])
def test_reports_over_mqtt_are_acknowledged(own_platform, dialect):
    result, summary = run(own_platform, "report", "--mqtt", "--dialect", dialect, "--devices", 5,
                          "--events", 200, "--expect-rate", 1)
    assert result.returncode == 0, result.stderr
    assert summary["sent"] == summary["accepted"] == 200 and summary["unanswered"] == 0
    assert summary["connections"] == 5 and summary["benchCpuUs"] > 0
    assert summary["refused"] == summary["notConnected"] == summary["dropped"] == 0
    assert own_platform.metric("reports_total", transport="mqtt", result="ok") == 200
    expect_nothing_left(own_platform)


@pytest.mark.parametrize("dialect", ["v5", "v1"])
def test_push_over_mqtt_finds_everything_delivered_once_and_in_order(own_platform, dialect):
    result, summary = run(own_platform, "push", "--mqtt", "--dialect", dialect, "--devices", 5,
                          "--events", 300, "--expect-loss", 0, "--expect-duplicates", 0,
                          "--expect-order-violations", 0)
    assert result.returncode == 0, result.stderr
    assert summary["reports"] == summary["callbacks"] == 300
    assert own_platform.metric("reports_total", transport="mqtt", result="ok") == 300
    expect_nothing_left(own_platform)


def test_drain_over_mqtt(own_platform):
    result, summary = run(own_platform, "drain", "--mqtt", "--devices", 10, "--events", 300,
                          "--expect-loss", 0)
    assert result.returncode == 0, result.stderr
    assert summary["reports"] == summary["callbacks"] == 300


def test_a_rate_is_kept_over_mqtt(own_platform):
    _, summary = run(own_platform, "report", "--mqtt", "--devices", 3, "--rate", 200, "--events", 60)
    assert summary["accepted"] == 60 and summary["timeUs"] >= 59 * 5000


@pytest.fixture
def mqtts_platform(start_platform, authority):
    certificate = authority.issue("bench-mqtts")
    return start_platform(device__listen_mqtts="127.0.0.1:0",
                          api__tls_certificate=certificate.file, api__tls_key=certificate.key)


def test_with_tls_the_other_listener_is_used_and_verified(mqtts_platform, authority):
    result, summary = run(mqtts_platform, "report", "--mqtt", "--tls", "--ca-file", authority.file,
                          "--devices", 5, "--events", 500, "--payload-bytes", "4k")
    assert result.returncode == 0 and summary["accepted"] == 500, result.stderr
    result = bench("report", "--socket", mqtts_platform.admin_socket, "--mqtt", "--tls", "--devices", 1)
    assert result.returncode == 1 and "mqtts://" in result.stderr and "--ca-file" in result.stderr


def test_without_a_listener_it_says_which_one(start_platform):
    platform = start_platform(device__listen_mqtt="")
    result = bench("report", "--socket", platform.admin_socket, "--mqtt")
    assert result.returncode == 1 and "device.listen_mqtt" in result.stderr


@pytest.mark.parametrize("dialect, name", [("v5", "id"), ("v1", "node_id")])
def test_devices_over_mqtt_are_taken_from_a_file(platform, application, workdir, dialect, name):
    devices = [application.register_device() for _ in range(2)]
    file = workdir / "devices"
    file.write_text("".join(f"{getattr(one, name)} {one.secret}\n" for one in devices))
    options = ("--devices-file", file, "--server", f"mqtt://{platform.address('mqtt')}", "--dialect",
               dialect, "--events", 10)
    result, summary = run(platform, "report", *options)
    assert result.returncode == 0 and summary["accepted"] == 10, result.stderr
    file.write_text(f"{getattr(devices[0], name)} wrong-secret\n")
    result = bench("report", "--json", *options)
    assert result.returncode == 1 and "CONNACK 4" in result.stderr and result.stdout == ""


def test_a_report_over_mqtt_has_the_form_of_its_dialect(start_broker):
    for dialect, topic in (("v5", r"\$oc/devices/bench-\w+-0/sys/properties/report"),
                           ("v1", r"/huawei/v1/devices/bench-\w+-0/data/json")):
        broker = start_broker()
        at_broker(broker, "report", "--dialect", dialect, "--devices", 1, "--events", 20,
                  "--payload-bytes", 300)
        reports = [mqtt.Message(packet) for packet in broker.of_kind(mqtt.PUBLISH)]
        assert len(reports) == 20
        for number, report in enumerate(reports):
            assert re.fullmatch(topic, report.topic) and report.qos == 1
            assert len(report.payload) == 300
            service = report.json["services" if dialect == "v5" else "data"][0]
            assert service["properties" if dialect == "v5" else "serviceData"]["seq"] == number
        wait_until(lambda: broker.of_kind(mqtt.DISCONNECT), "the goodbye")


def test_so_many_reports_are_outstanding_and_no_more(start_broker):
    waiting = []

    def answer_five(connection, message, count):
        waiting.append(message)
        if count % 5 == 0:  # backwards: any order will do
            for one in reversed(waiting):
                acknowledge(connection, one)
            waiting.clear()
    broker = start_broker(on_publish=answer_five)
    result, summary = at_broker(broker, "report", "--devices", 1, "--outstanding", 5, "--events", 100)
    assert result.returncode == 0 and summary["accepted"] == 100
    broker = start_broker(on_publish=lambda *_: None)
    result, summary = at_broker(broker, "report", "--devices", 3, "--outstanding", 7, "--duration",
                                "300ms", "--timeout", "1s")
    assert summary["sent"] == summary["unanswered"] == 21 and summary["accepted"] == 0


def test_what_has_no_puback_when_its_connection_ends_is_unanswered(start_broker):
    def end_after_ten(connection, message, count):
        if count == 10:
            connection.reset()
        acknowledge(connection, message)
    broker = start_broker(on_publish=end_after_ten)
    result, summary = at_broker(broker, "report", "--devices", 2, "--events", 100, "--duration", "1m")
    assert result.returncode == 0, result.stderr
    assert summary["sent"] == 100 == summary["accepted"] + summary["unanswered"]
    assert summary["unanswered"] >= summary["dropped"] > 0
    assert summary["connections"] > 2


@pytest.mark.parametrize("code, word", [(1, "version"), (3, "not available"), (5, "not authorized"),
                                        (77, "unknown")])
def test_a_refused_login_ends_a_run(start_broker, code, word):
    broker = start_broker(code=code)
    result = bench("report", "--broker", broker.url, "--devices", 3)
    assert result.returncode == 1 and result.stdout == ""
    assert f"CONNACK {code}" in result.stderr and word in result.stderr


def test_a_broker_that_is_not_there_exits_3():
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"mqtt://127.0.0.1:{mine.getsockname()[1]}"
        for arguments in (["report"], ["connect"], ["store", "--redis", "127.0.0.1:1"]):
            result = bench(*arguments, "--broker", url)
            assert result.returncode == 3, result.stderr
            assert "refused" in result.stderr


def test_what_is_no_mqtt_ends_a_run(start_broker):
    def talk_http(connection):
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    result = bench("report", "--broker", start_broker(code=None, on_connect=talk_http).url, "--devices", 1)
    assert result.returncode == 1 and "closed a connection" in result.stderr


def test_a_report_that_nobody_answers_is_given_up(start_broker):
    result = bench("report", "--broker", start_broker(code=0, on_publish=lambda *_: None).url,
                   "--devices", 2, "--outstanding", 1, "--events", 4, "--timeout", "200ms", "--json")
    summary = json.loads(result.stdout)
    assert summary["unanswered"] == 4 and summary["dropped"] >= 2


# --- idle connections


def test_connect_makes_connections_and_holds_them(own_platform):
    result, summary = run(own_platform, "connect", "--connections", 30, "--duration", "500ms",
                          "--expect-refused", 0, "--expect-dropped", 0, "--expect-rate", 1,
                          "--expect-memory", "1g")
    assert result.returncode == 0, result.stderr
    assert summary["connections"] == summary["open"] == 30 and summary["connacks"] == {"0": 30}
    assert summary["connectTime"]["count"] == 30 and summary["heldUs"] >= 500_000
    assert summary["dropped"] == 0 and summary["asExpected"]
    assert summary["serverBytesBefore"] > 1_000_000 and summary["serverBytesAfter"] > 1_000_000
    assert summary["bytesPerConnection"] >= 0
    expect_nothing_left(own_platform)


def test_connect_keeps_a_rate_and_shows_a_table(own_platform):
    result = bench("connect", "--socket", own_platform.admin_socket, "--connections", 20, "--rate", 100,
                   "--duration", 0)
    assert result.returncode == 0 and result.stderr == ""
    assert re.search(r"^  CONNACKs by code +0: 20 *$", result.stdout, re.M)
    seconds = float(re.search(r"^  time to make them +([\d.]+) s$", result.stdout, re.M)[1])
    assert seconds >= 0.19


def test_at_a_terminal_a_line_shows_how_many_connections_are_open(own_platform):
    terminal = Terminal()
    process = run_at(terminal, "connect", "--socket", own_platform.admin_socket, "--connections", 7,
                     "--duration", "10m", "--json")
    terminal.read_until(CLEARED + r"registering devices: \d+ of 7")
    terminal.read_until(CLEARED + r"7 open, \d+ /s, 0 refused, 0 not connected, 0 dropped, \d+ pings")
    process.send_signal(signal.SIGINT)
    terminal.read_until(None)
    out, _ = process.communicate(timeout=60)
    terminal.close()
    assert process.returncode == 0 and json.loads(out)["open"] == 7
    assert re.search(CLEARED + "$", terminal.text)
    expect_nothing_left(own_platform)


def test_connect_over_tls_and_by_node_id(mqtts_platform, authority):
    result, summary = run(mqtts_platform, "connect", "--tls", "--ca-file", authority.file, "--dialect",
                          "v1", "--connections", 10, "--duration", "100ms", "--expect-refused", 0)
    assert result.returncode == 0 and summary["open"] == 10, result.stderr


def test_connect_counts_refusals_by_code(platform, application, workdir):
    devices = [application.register_device() for _ in range(3)]
    file = workdir / "devices"
    file.write_text(f"{devices[0].id} {devices[0].secret}\n" +
                    "".join(f"{one.id} wrong-secret\n" for one in devices[1:]))
    options = ("--devices-file", file, "--duration", "100ms")
    result, summary = run(platform, "connect", *options)
    assert result.returncode == 0 and summary["connacks"] == {"0": 1, "4": 2}
    assert summary["connections"] == summary["open"] == 1
    result, summary = run(platform, "connect", *options, "--expect-refused", 1)
    assert result.returncode == 1 and "refused or not connected 2" in result.stderr
    result, summary = run(platform, "connect", *options, "--keep-alive", "10h")
    assert result.returncode == 1 and summary["connacks"] == {"2": 3} and "CONNACK 2" in result.stderr


def test_connect_counts_what_is_dropped(start_broker):
    broker = start_broker(on_connect=lambda connection: connection.reset())
    result, summary = at_broker(broker, "connect", "--connections", 4, "--duration", "100ms",
                                "--expect-dropped", 3)
    assert result.returncode == 1 and "dropped 4" in result.stderr
    assert summary["dropped"] == 4 and summary["open"] == 0 and broker.connections == 4


def test_connections_are_kept_alive_by_pings(start_broker):
    broker = start_broker()
    process = subprocess.Popen(
        [str(BENCH), "connect", "--broker", broker.url, "--connections", "5", "--keep-alive", "400ms",
         "--duration", "10m", "--json"], stdout=subprocess.PIPE, text=True, env=clean_environment())
    wait_until(lambda: len(broker.of_kind(mqtt.PINGREQ)) >= 25, "pings")
    process.send_signal(signal.SIGTERM)
    summary = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    assert summary["open"] == 5 and summary["dropped"] == 0 and summary["pings"] >= 25
    assert [struct.unpack("!H", packet.body[8:10])[0] for packet in broker.of_kind(mqtt.CONNECT)] == [1] * 5


def test_who_answers_no_ping_is_dropped(start_broker):
    broker = start_broker(answers_pings=False)
    process = subprocess.Popen(
        [str(BENCH), "connect", "--broker", broker.url, "--connections", "3", "--keep-alive", "200ms",
         "--duration", "1s", "--json"], stdout=subprocess.PIPE, text=True, env=clean_environment())
    summary = json.loads(process.communicate(timeout=60)[0])
    assert summary["connections"] == summary["dropped"] == 3 and summary["open"] == 0


def test_more_connections_than_descriptors_are_refused_in_words(own_platform):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    for verb, option in (("connect", "--connections"), ("report", "--devices")):
        options = ["--mqtt"] if verb == "report" else []
        result = subprocess.run(
            [str(BENCH), verb, "--socket", str(own_platform.admin_socket), option, "37", *options],
            capture_output=True, text=True, timeout=60, preexec_fn=limit, env=clean_environment())
        assert result.returncode == 1 and result.stdout == ""
        assert "100 descriptors, enough for 36" in result.stderr
    expect_nothing_left(own_platform)


def test_memory_that_cannot_be_known_meets_no_expectation(start_broker):
    result, summary = at_broker(start_broker(), "connect", "--connections", 1, "--duration", 0,
                                "--expect-memory", "1g")
    assert result.returncode == 1 and "memory is not known" in result.stderr
    assert "bytesPerConnection" not in summary


# --- the subscriber


def deliver(count):
    def send(connection):
        for number in range(1, count + 1):
            connection.send(mqtt.publish_packet(f"t/{number % 2}", b"payload %d" % number, 1, number))
    return send


@pytest.mark.parametrize("outstanding", [1, 1000])
def test_store_writes_messages_to_redis_and_acknowledges_them(start_broker, start_redis, outstanding):
    redis = start_redis()
    broker = start_broker(on_subscribe=deliver(50))
    result, summary = at_broker(broker, "store", "--redis", redis.socket, "--events", 50, "--filter",
                                "t/+", "--outstanding", outstanding)
    assert result.returncode == 0 and summary["received"] == summary["stored"] == 50, result.stderr
    assert "subscribed to t/+" in result.stderr
    wait_until(lambda: broker.of_kind(mqtt.DISCONNECT), "the goodbye")
    assert [struct.unpack("!H", packet.body)[0] for packet in broker.of_kind(mqtt.PUBACK)] == \
        list(range(1, 51))
    client = redis.client()
    assert client("XLEN", "bench:events") == 50
    assert client("HGET", "bench:last:t/0", "payload") == b"payload 50"
    assert client("HGET", "bench:last:t/1", "payload") == b"payload 49"
    client.close()


def test_store_acknowledges_nothing_that_redis_refuses(start_broker, start_redis):
    redis = start_redis("--maxmemory", "1")
    broker = start_broker(on_subscribe=deliver(3))
    result, summary = at_broker(broker, "store", "--redis", redis.socket, "--events", 3)
    assert result.returncode == 1 and "OOM" in result.stderr
    assert summary["stored"] == 0 and broker.of_kind(mqtt.PUBACK) == []


def test_store_says_when_redis_is_gone(start_broker, start_redis):
    redis = start_redis()
    broker = start_broker(on_subscribe=deliver(3))
    process = subprocess.Popen(
        [str(BENCH), "store", "--broker", broker.url, "--redis", str(redis.socket)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())
    wait_until(lambda: len(broker.of_kind(mqtt.PUBACK)) == 3, "three PUBACKs")
    redis.kill()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "--redis" in err


# --- usage


@pytest.mark.parametrize("arguments, word", [
    (["report", "--mqtt", "--server", "http://127.0.0.1:1"], "mqtt://"),
    (["report", "--dialect", "v2"], "v5"),
    (["connect", "--window", "3"], "--window"),
    (["connect", "--keep-alive", "20h"], "--keep-alive"),
    (["push", "--broker", "mqtt://127.0.0.1:1"], "--broker"),
    (["store", "--mqtt"], "--mqtt"),
])
def test_wrong_usage_over_mqtt_exits_2(arguments, word):
    result = bench(*arguments)
    assert result.returncode == 2 and word in result.stderr and result.stdout == ""

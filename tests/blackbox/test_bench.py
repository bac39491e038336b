"""iotpush-bench: the receiver, and what it measures of a server."""

import json
import os
import pty
import re
import select
import signal
import ssl
import subprocess
import time

import pytest

from helpers.http import Client, RawConnection, request
from helpers.platform import BENCH, clean_environment


class Sink:
    """iotpush-bench sink at a port of its own; stop() gives its summary."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [str(BENCH), "sink", "--listen", "127.0.0.1:0", "--json", *options], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment())
        line = self.process.stderr.readline()
        found = re.search(r"listening at port (\d+)", line)
        assert found, line
        self.port = int(found[1])
        self.address = f"127.0.0.1:{self.port}"

    def post(self, body="{}", tls=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return request(self.address, "POST", "/callback", body, headers, tls=tls)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=20)
        assert self.process.returncode == 0, err
        return json.loads(out)


@pytest.fixture
def start_sink():
    mine = []

    def start(*options):
        mine.append(Sink(*options))
        return mine[-1]
    yield start
    for one in mine:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate(timeout=10)


def bench(*arguments):
    return subprocess.run([str(BENCH), *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, env=clean_environment())


def data_changed(number, device="d1"):
    return json.dumps({"notifyType": "deviceDataChanged", "deviceId": device,
                       "service": {"data": {"seq": number}}}, separators=(",", ":"))


# --- sink


def test_the_sink_answers_and_counts(start_sink):
    sink = start_sink()
    with Client(sink.address) as client:
        for _ in range(5):
            assert client.request("POST", "/callback", "x" * 400).status == 200
    assert sink.post().status == 200
    summary = sink.stop()
    assert summary["requests"] == 6 and summary["connections"] == 2
    assert summary["bytes"] > 5 * 400


def test_the_sink_answers_requests_that_come_together_and_in_pieces(start_sink):
    sink = start_sink()
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    with RawConnection(sink.address) as raw:
        raw.send(post * 3 + post[:20])
        for _ in range(3):
            assert raw.read_response().status == 200
        raw.send(post[20:])
        assert raw.read_response().status == 200
        raw.send(b"what is this\r\n\r\n")
        assert raw.read_response().status == 400
        assert raw.read_to_end() == b""
    summary = sink.stop()
    assert summary["requests"] == 4 and summary["brokenRequests"] == 1


def test_answers_that_nobody_takes_are_kept_and_their_sender_waits(start_sink):
    sink = start_sink()
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    with RawConnection(sink.address) as raw:
        raw.sock.setblocking(False)
        quiet_since = time.monotonic()
        sent = 0
        while sent < 200_000_000 and time.monotonic() < quiet_since + 0.5:
            try:
                sent += raw.sock.send((post * 1000)[sent % len(post):])
                quiet_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 200_000_000
        count = sent // len(post)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        raw.sock.settimeout(15)
        received = 0
        while received < count * len(answer):
            received += len(raw.sock.recv(1 << 20))


def test_the_sink_counts_duplicates_attempts_and_wrong_order(start_sink):
    sink = start_sink()
    sent = [(1, "a", 1), (2, "b", 1), (2, "b", 2), (4, "d", 1), (3, "c", 1)]
    for number, notify_id, attempt in sent:
        sink.post(data_changed(number), X_Notify_Id=notify_id, X_Notify_Attempt=str(attempt),
                  X_Notify_Subscription="s")
    summary = sink.stop()
    assert (summary["duplicates"], summary["repeatedAttempts"], summary["outOfOrder"]) == (1, 1, 1)


def test_the_sink_fails_as_it_is_told(start_sink):
    sink = start_sink("--fail", "every=3:502")
    assert [sink.post().status for _ in range(6)] == [200, 200, 502, 200, 200, 502]
    assert sink.stop()["failedOnPurpose"] == 2


def test_the_sink_resets(start_sink):
    sink = start_sink("--fail", "reset=100%")
    with pytest.raises(ConnectionResetError):
        sink.post()
    assert sink.stop()["resetOnPurpose"] == 1


def test_the_sink_hangs(start_sink):
    sink = start_sink("--fail", "hang=100%")
    with Client(sink.address, timeout=0.3) as client, pytest.raises(TimeoutError):
        client.request("POST", "/callback", "{}")
    assert sink.stop()["hungOnPurpose"] == 1


def test_the_sink_answers_with_the_status_and_delay_it_is_told(start_sink):
    sink = start_sink("--status", "204", "--delay", "50ms")
    post = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    with RawConnection(sink.address) as raw:
        raw.send(post * 3)
        assert [raw.read_response().status for _ in range(3)] == [204, 204, 204]
    assert sink.stop()["requests"] == 3


def test_the_sink_speaks_https(start_sink, authority):
    certificate = authority.issue("bench-sink")
    sink = start_sink("--tls", "--certificate", certificate.file, "--key", certificate.key)
    tls = authority.client_context()
    with Client(sink.address, tls=tls) as client:
        assert client.request("POST", "/callback", "x" * 100_000).status == 200
        assert client.request("POST", "/callback", "x").status == 200
    with pytest.raises((ssl.SSLError, OSError)):
        request(sink.address, "POST", "/callback", "{}")
    assert sink.stop()["requests"] == 2


def test_connections_above_the_limit_are_closed_at_once(start_sink):
    sink = start_sink("--connections", "1")
    with Client(sink.address) as client:
        assert client.request("POST", "/", "{}").status == 200
        with RawConnection(sink.address) as second:
            assert second.read_to_end() == b""
    assert sink.stop()["refusedConnections"] == 1


def test_the_sink_ends_by_itself(start_sink):
    sink = start_sink("--duration", "100ms")
    out, _ = sink.process.communicate(timeout=20)
    assert sink.process.returncode == 0 and json.loads(out)["requests"] == 0


# --- usage


@pytest.mark.parametrize("arguments, word", [
    ([], "usage"),
    (["dig"], "dig"),
    (["sink", "--depth", "3"], "--depth"),
    (["sink", "--delay", "3"], "unit"),
    (["sink", "--fail", "often"], "every=10:503"),
    (["sink", "--status", "99"], "--status"),
    (["sink", "--tls"], "--certificate"),
    (["sink", "more"], "more"),
])
def test_wrong_usage_exits_2_and_says_what_is_wrong(arguments, word):
    result = bench(*arguments)
    assert result.returncode == 2 and word in result.stderr and result.stdout == ""


def test_help_is_no_mistake():
    assert "sink" in bench("--help").stdout
    help_of_sink = bench("sink", "--help")
    assert help_of_sink.returncode == 0 and "--fail" in help_of_sink.stdout


# --- what it measures


def run(platform, verb, *options):
    result = bench(verb, "--socket", platform.admin_socket, "--json", *options)
    assert result.stdout, result.stderr
    return result, json.loads(result.stdout)


def expect_nothing_left(platform):
    """Applications of the bench are named bench-..."""
    apps = platform.admin("GET", "/admin/v1/apps").json["apps"]
    assert [app for app in apps if app["name"].startswith("bench-")] == []


@pytest.fixture
def own_platform(start_platform):
    """Where nobody else pauses deliveries or makes applications."""
    return start_platform()


def test_push_finds_everything_delivered_once_and_in_order(own_platform):
    result, summary = run(own_platform, "push", "--devices", 5, "--events", 200,
                          "--expect-loss", 0, "--expect-duplicates", 0,
                          "--expect-order-violations", 0, "--expect-rate", 1)
    assert result.returncode == 0, result.stderr
    assert summary["reports"] == summary["callbacks"] == 200
    assert summary["lost"] == summary["duplicates"] == summary["orderViolations"] == 0
    assert summary["answers"] == {"200": 200} and summary["asExpected"]
    times = summary["callbackTime"]
    assert 0 < times["p50Us"] <= times["p95Us"] <= times["p99Us"] <= times["maxUs"]
    expect_nothing_left(own_platform)


def test_push_keeps_a_rate(own_platform):
    result, summary = run(own_platform, "push", "--devices", 3, "--rate", 200, "--events", 60)
    assert result.returncode == 0 and summary["callbacks"] == 60
    assert summary["timeUs"] >= 59 * 5000


def test_push_shows_a_table_to_people(own_platform):
    result = bench("push", "--socket", own_platform.admin_socket, "--devices", 2, "--events", 10)
    assert result.returncode == 0 and result.stderr == ""
    assert re.search(r"^  lost +0$", result.stdout, re.M)
    assert re.search(r"^  report to callback +p50 [0-9.]+  p95 .* ms$", result.stdout, re.M)


class Terminal:
    """What a program writes to a terminal that is its standard error."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.text = ""

    def started(self):
        os.close(self.slave)

    def read_until(self, pattern):
        """None: to the end."""
        while not pattern or not re.search(pattern, self.text):
            assert select.select([self.master], [], [], 60)[0], self.text
            try:
                data = os.read(self.master, 4096)
            except OSError:  # nobody has it open any more
                data = b""
            if not data:
                assert not pattern, self.text
                return
            self.text += data.decode()

    def close(self):
        os.close(self.master)


@pytest.fixture
def terminal():
    mine = Terminal()
    yield mine
    mine.close()


def run_at(terminal, *arguments):
    process = subprocess.Popen([str(BENCH), *map(str, arguments)], stdout=subprocess.PIPE,
                               stderr=terminal.slave, text=True, env=clean_environment())
    terminal.started()
    return process


CLEARED = r"\r\x1b\[K"


def test_at_a_terminal_a_line_shows_how_a_run_goes_and_is_gone_at_its_end(own_platform, terminal):
    process = run_at(terminal, "push", "--socket", own_platform.admin_socket, "--devices", 3, "--rate",
                     100, "--duration", "3s")
    terminal.read_until(CLEARED + r"registering devices: \d+ of 3")
    terminal.read_until(CLEARED + r"[1-9]\d* reports \([1-9]\d* /s\), [1-9]\d* callbacks "
                        r"\(\d+ /s\), \d+ on their way, p99 [\d.]+ ms")
    terminal.read_until(None)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert re.search(CLEARED + "$", terminal.text)
    assert "\n" not in terminal.text and "\x1b" not in out
    assert re.search(r"^  lost +0$", out, re.M)


def test_at_a_terminal_the_receiver_shows_what_comes(terminal):
    process = run_at(terminal, "sink", "--listen", "127.0.0.1:0", "--json")
    terminal.read_until(r"listening at port (\d+)\r\n")
    port = re.search(r"port (\d+)", terminal.text)[1]
    for _ in range(3):
        assert request(f"127.0.0.1:{port}", "POST", "/callback", "{}").status == 200
    terminal.read_until(CLEARED + r"3 requests, \d+ /s, \d+ connections, 0 failures given, 0 duplicates")
    process.send_signal(signal.SIGTERM)
    terminal.read_until(None)
    out, _ = process.communicate(timeout=20)
    assert re.search(CLEARED + "$", terminal.text) and json.loads(out)["requests"] == 3


@pytest.mark.parametrize("expectation, word", [
    (("--expect-rate", 100_000_000), "callbacks a second"),
    (("--expect-p99", "1ms"), "p99"),
])
def test_push_exits_1_when_it_is_not_as_expected(own_platform, expectation, word):
    result, summary = run(own_platform, "push", "--devices", 64, "--connections", 64,
                          "--events", 2000, *expectation)
    assert result.returncode == 1 and word in result.stderr
    assert not summary["asExpected"] and summary["lost"] == 0
    expect_nothing_left(own_platform)


def test_push_tells_losses_from_repetitions(start_platform):
    """Callbacks that come too late for --settle are losses to it."""
    platform = start_platform()
    assert platform.admin("POST", "/admin/v1/delivery/pause").status == 204
    result, summary = run(platform, "push", "--devices", 2, "--events", 10, "--duration", "2s",
                          "--window", 0, "--settle", "100ms", "--expect-loss", 0)
    assert result.returncode == 1 and "lost 10" in result.stderr
    assert summary["reports"] == summary["lost"] == 10 and summary["callbacks"] == 0


def test_a_window_bounds_what_is_on_its_way(start_platform):
    platform = start_platform()
    assert platform.admin("POST", "/admin/v1/delivery/pause").status == 204
    _, summary = run(platform, "push", "--devices", 3, "--window", 4, "--duration", "500ms",
                     "--settle", "1ms")
    assert summary["reports"] == 12


def test_push_to_endpoints_of_which_some_hang(own_platform):
    result, summary = run(own_platform, "push", "--endpoints", 5, "--hang-endpoints", 3,
                          "--devices", 10, "--rate", 300, "--events", 100, "--expect-loss", 0)
    assert result.returncode == 0, result.stderr
    assert summary["callbacks"] + summary["reportsUnheard"] == 100
    assert summary["callbacks"] == 40 and summary["hungRequests"] >= 1
    expect_nothing_left(own_platform)


def test_push_over_https_callbacks(start_platform, authority):
    platform = start_platform(push__ca_file=authority.file)
    certificate = authority.issue("bench-callbacks")
    result, summary = run(platform, "push", "--devices", 5, "--events", 100, "--callback-tls",
                          "--certificate", certificate.file, "--key", certificate.key)
    assert result.returncode == 0 and summary["callbacks"] == 100, result.stderr
    assert summary["repeatedAttempts"] == 0


def test_devices_report_over_https(start_platform, authority):
    certificate = authority.issue("bench-devices")
    platform = start_platform(device__listen_http="", device__listen_https="127.0.0.1:0",
                              api__tls_certificate=certificate.file, api__tls_key=certificate.key)
    result, summary = run(platform, "push", "--devices", 5, "--events", 100,
                          "--ca-file", authority.file)
    assert result.returncode == 0 and summary["callbacks"] == 100, result.stderr


def test_drain_pushes_a_backlog_and_leaves_deliveries_going(own_platform):
    result, summary = run(own_platform, "drain", "--devices", 10, "--events", 300,
                          "--expect-loss", 0, "--expect-duplicates", 0,
                          "--expect-order-violations", 0)
    assert result.returncode == 0, result.stderr
    assert summary["reports"] == summary["callbacks"] == 300 and summary["drainUs"] > 0
    expect_nothing_left(own_platform)
    _, summary = run(own_platform, "push", "--devices", 1, "--events", 3)
    assert summary["callbacks"] == 3


def test_report_counts_answers_by_status(start_platform):
    platform = start_platform(device__report_limit="5")
    result, summary = run(platform, "report", "--devices", 2, "--events", 30)
    assert result.returncode == 0, result.stderr
    assert set(summary["answers"]) == {"200", "403"} and sum(summary["answers"].values()) == 30
    assert summary["accepted"] == summary["answers"]["200"]
    expect_nothing_left(platform)


def test_report_takes_devices_from_a_file(platform, application, workdir):
    devices = [application.register_device() for _ in range(2)]
    file = workdir / "devices"
    file.write_text("".join(f"{device.id} {device.secret}\n" for device in devices))
    result, summary = run(platform, "report", "--devices-file", file, "--events", 10,
                          "--server", f"http://{platform.device_address}")
    assert result.returncode == 0 and summary["accepted"] == 10, result.stderr
    file.write_text("no-secret\n")
    result = bench("report", "--devices-file", file, "--socket", platform.admin_socket)
    assert result.returncode == 2 and "line 1" in result.stderr


def test_a_signal_ends_a_run_and_what_it_made_is_removed(own_platform):
    process = subprocess.Popen(
        [str(BENCH), "push", "--socket", str(own_platform.admin_socket), "--json", "--devices", "3",
         "--duration", "10m"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=clean_environment())
    own_platform.wait_for_metric("reports_total", 10, result="ok")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and json.loads(out)["reports"] >= 10, err
    expect_nothing_left(own_platform)


def test_a_server_that_is_not_there_exits_3(workdir):
    result = bench("push", "--socket", workdir / "nobody.sock")
    assert result.returncode == 3 and "nobody.sock" in result.stderr


@pytest.mark.parametrize("arguments, word", [
    (["push", "--hang-endpoints", "1"], "--endpoints"),
    (["push", "--hang-endpoints", "1", "--endpoints", "2"], "--rate"),
    (["push", "--rate", "fast"], "max"),
    (["push", "--callback-tls"], "--certificate"),
    (["drain", "--rate", "5"], "--rate"),
    (["report", "--endpoints", "5"], "--endpoints"),
])
def test_wrong_usage_of_a_load_exits_2(arguments, word):
    result = bench(*arguments)
    assert result.returncode == 2 and word in result.stderr and result.stdout == ""

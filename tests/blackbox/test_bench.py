"""iotpush-bench: the receiver, and what it measures of a server."""

import json
import re
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

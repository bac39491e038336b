"""The sample receivers of the documentation, as callbacks of a real server."""

import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from helpers import http
from helpers.platform import BUILD
from helpers.signature import signature
from helpers.waiting import wait_until

SAMPLES = Path(__file__).resolve().parents[2] / "docs/receivers"
COMMANDS = {
    "python": ["/usr/bin/python3", SAMPLES / "receiver.py"],
    "node": ["node", SAMPLES / "receiver.mjs"],
    "c": [BUILD / "docs/receivers/receiver"],
}


class Sample:
    """A running sample; lines are what it has printed."""

    def __init__(self, command, key_file):
        self.process = subprocess.Popen([*map(str, command), "0", str(key_file)],
                                        stdout=subprocess.PIPE, text=True)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()
        wait_until(lambda: self.lines, "the sample's first line")
        self.port = int(re.fullmatch(r"listening on port (\d+)", self.lines.pop(0)).group(1))

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def post(self, body, **headers):
        """Headers with an underscore for the hyphen; those that are None are left out."""
        return http.request(f"127.0.0.1:{self.port}", "POST", "/callback", body,
                            {k.replace("_", "-"): v for k, v in headers.items() if v is not None})

    def url(self):
        return f"http://127.0.0.1:{self.port}/callback"

    def ids(self, what):
        return [line.partition(" ")[2] for line in self.lines if line.startswith(what + " ")]

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(params=sorted(COMMANDS))
def command(request):
    if request.param == "node" and not shutil.which("node"):
        pytest.skip("node is not installed")
    return COMMANDS[request.param]


@pytest.fixture
def key(platform, application):
    result = platform.ctl("-q", "app", "signing-key", "renew", "--yes", application.id)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def sample(command, key, workdir):
    key_file = workdir / "key"
    key_file.write_text(key + "\n")
    running = Sample(command, key_file)
    yield running
    running.stop()


def post_signed(sample, key, notify_id="7-1-0-abc", timestamp=None, body=b'{"n":1}', signed=None):
    timestamp = timestamp or str(int(time.time()))
    return sample.post(body, X_Notify_Id=notify_id, X_Notify_Timestamp=timestamp,
                       X_Notify_Signature=signed or signature(key, notify_id, timestamp, body))


def test_a_sample_takes_what_the_server_sends(application, sample):
    subscription = application.subscribe("deviceDataChanged", sample.url())
    device = application.register_device()
    for n in range(5):
        device.report({"n": n, "text": "é" * n})
    wait_until(lambda: len(sample.ids("new")) == 5, "five notifications")
    assert all(i.endswith(subscription["subscriptionId"]) for i in sample.ids("new"))
    assert len(set(sample.ids("new"))) == 5 and len(sample.lines) == 5


def test_a_sample_takes_what_the_server_sends_while_the_key_is_renewed(platform, application, sample):
    result = platform.ctl("app", "signing-key", "renew", "--yes", application.id)
    assert result.returncode == 0, result.stderr
    application.subscribe("deviceDataChanged", sample.url())
    application.register_device().report({"n": 1})
    wait_until(lambda: sample.lines, "the notification")
    assert len(sample.ids("new")) == 1


def test_a_sample_counts_a_repeated_id_once(sample, key):
    for _ in range(3):
        assert post_signed(sample, key).status == 200
    assert post_signed(sample, key, "7-2-0-abc").status == 200
    wait_until(lambda: len(sample.lines) == 4)
    assert sample.ids("new") == ["7-1-0-abc", "7-2-0-abc"]
    assert sample.ids("again") == ["7-1-0-abc"] * 2


def test_a_sample_refuses_what_is_forged(sample, key):
    now = str(int(time.time()))
    right = signature(key, "7-1-0-abc", now, b'{"n":1}')
    other = signature("A" * 43 + "=", "7-1-0-abc", now, b'{"n":1}')
    forged = [
        post_signed(sample, key, body=b'{"n":2}', timestamp=now, signed=right),
        post_signed(sample, key, notify_id="7-2-0-abc", timestamp=now, signed=right),
        post_signed(sample, key, timestamp=str(int(now) - 1), signed=right),
        post_signed(sample, key, timestamp=str(int(now) - 3600)),  # recorded, sent again later
        post_signed(sample, key, timestamp=str(int(now) + 3600)),
        post_signed(sample, key, signed=other),
        post_signed(sample, key, timestamp=now, signed=right[:-1]),
        post_signed(sample, key, timestamp=now, signed=right.replace("v1=", "v2=")),
        post_signed(sample, key, timestamp="soon"),
        sample.post(b"{}", X_Notify_Id="7-1-0-abc", X_Notify_Timestamp=now),
        sample.post(b"{}", X_Notify_Signature=right),
        sample.post(b"{}"),
    ]
    assert [r.status for r in forged] == [401] * len(forged)
    assert post_signed(sample, key, timestamp=now, signed=f"{other}, {right}").status == 200
    wait_until(lambda: len(sample.lines) == len(forged) + 1)
    assert sample.ids("new") == ["7-1-0-abc"]


def test_a_sample_refuses_what_is_too_large(sample, key):
    assert post_signed(sample, key, body=b"x" * (4 * 1024 * 1024)).status == 200
    try:
        assert post_signed(sample, key, body=b"x" * (4 * 1024 * 1024 + 1)).status == 413
    except OSError:
        pass  # it closed before all was written
    assert post_signed(sample, key, "7-2-0-abc").status == 200

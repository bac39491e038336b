"""HAProxy with the example's configuration, in front of the instances of a cluster."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from . import http
from .waiting import wait_until

PROGRAM = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
EXAMPLE = Path(__file__).resolve().parents[3] / "conf/haproxy.cfg.example"

# What an instance behind it needs.
SETTINGS = {"metrics__listen_http": "127.0.0.1:0", "limits__connections_per_address": "0"}


def is_needed():
    """Where the tests are to be complete (scripts/test says so), a missing one is a failure."""
    if PROGRAM:
        return
    reason = "haproxy is not installed (scripts/deps --test installs it)"
    if os.environ.get("IOTPUSH_TESTS") == "complete":
        pytest.fail(reason)
    pytest.skip(reason)


def without_root(text):
    return re.sub(r"^ *(chroot|user|group) .*\n", "", text, flags=re.M)


class HAProxy:
    """
    The example with the addresses of two instances, and one change: devices come over plain HTTP and MQTT,
    which are passed on as the example passes TLS on.
    """

    def __init__(self, directory, certificate, tls, instances):
        self.directory = directory
        self.process = None
        self.tls = tls
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.api_address, self.device_address, self.mqtt_address = (
            "%s:%d" % one.getsockname() for one in self.listeners)
        pem = directory / "server.pem"
        pem.write_text(Path(certificate.file).read_text() + Path(certificate.key).read_text())
        replacements = {
            "log /dev/log local0": "log stdout format raw local0",
            "bind :8743": f"bind fd@{self.listeners[0].fileno()}",
            "bind :8943": f"bind fd@{self.listeners[1].fileno()}",
            "bind :8883": f"bind fd@{self.listeners[2].fileno()}",
            "/etc/haproxy/iotpush.pem": str(pem),
            "inter 1s": "inter 100ms",
            "maxconn 50000": "maxconn 1000",
        }
        for host, one in zip(("192.0.2.11", "192.0.2.12"), instances):
            check = f"check port {one.address('metrics').rpartition(':')[2]}"
            replacements[f"{host}:8080 check port 9090"] = f"{one.api_address} {check}"
            replacements[f"{host}:8943 check port 9090"] = f"{one.device_address} {check}"
            replacements[f"{host}:8883 check port 9090"] = f"{one.address('mqtt')} {check}"
        text = without_root(EXAMPLE.read_text())
        for old, new in replacements.items():
            assert old in text, f"{EXAMPLE.name} has no {old!r}"
            text = text.replace(old, new)
        self.config = directory / "haproxy.cfg"
        self.config.write_text(text)

    def address(self, listener):
        """As of an instance, for those who connect."""
        return {"api": self.api_address, "device": self.device_address, "mqtt": self.mqtt_address}[listener]

    @property
    def log(self):
        return (self.directory / "haproxy.log").read_text()

    def start(self):
        with open(self.directory / "haproxy.log", "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "-db", "-f", str(self.config)], stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, pass_fds=[one.fileno() for one in self.listeners])
        for one in self.listeners:
            one.close()
        wait_until(self._answers, "HAProxy")
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log
        try:
            return self.api("GET", "/").status == 404
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    # --- applications and devices speak to it as to an instance

    def api(self, method, target, body=None, headers=None, **how):
        return http.request(self.api_address, method, target, body, headers, tls=self.tls, **how)

    def device_api(self, method, target, body=None, headers=None, **how):
        return http.request(self.device_address, method, target, body, headers, **how)

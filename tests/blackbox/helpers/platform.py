"""
The server under test: the real iotpushd on a directory of its own, with random ports.

Settings are keyword arguments with a double underscore for the dot: push__timeout="500ms".
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from . import http
from .nouns import Application
from .waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("IOTPUSH_BUILD") or ROOT / "build")
DAEMON = BUILD / "iotpushd"
CTL = BUILD / "iotpushctl"
BENCH = BUILD / "iotpush-bench"

# Short pauses, no throttles: tests of those set their own.
DEFAULTS = {
    "api__listen_http": "127.0.0.1:0",
    "device__listen_http": "127.0.0.1:0",
    "device__listen_mqtt": "127.0.0.1:0",
    "device__report_limit": "0",
    "device__mqtt_decide_time": "100ms",
    "device__mqtt_keep_alive_min": "1",
    "device__mqtt_messages": "0",
    "device__login_limit": "0",
    "device__login_failures": "0",
    "auth__api_limit": "0",
    "auth__login_limit": "0",
    "push__allow_networks": "loopback",
    "push__retry_first": "50ms",
    "push__retry_max": "200ms",
    "push__refused_pauses": "100ms, 200ms",
    "push__probe_interval": "300ms",
    "push__timer_interval": "50ms",
}

SANITIZER_REPORT = re.compile(r"(ERROR: \w+Sanitizer|runtime error:)")


def clean_environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IOTPUSH_") and k != "NO_COLOR"}
    return {**kept, **more}


def short_directory():
    """Names of unix sockets have 107 characters at most, and pytest's own paths are long."""
    return Path(tempfile.mkdtemp(prefix="iotpush-"))


class Platform:
    def __init__(self, redis=None, directory=None, config="", files_only=False, wrapper=(),
                 **settings):
        """
        redis: an external RedisServer; without it iotpushd starts its own.
        files_only: settings are given in the configuration file only, not by --set.
        wrapper: the beginning of a command that becomes iotpushd in the end.
        """
        self.directory = directory or short_directory()
        self.admin_socket = self.directory / "admin.sock"
        self.log_file = self.directory / "iotpushd.log"
        self.config_file = self.directory / "iotpushd.conf"
        self.redis = redis
        self.process = None
        self.files_only = files_only
        self.wrapper = list(wrapper)
        self.settings = {
            **DEFAULTS,
            "admin__socket": self.admin_socket,
            "redis__url": redis.url if redis else "embedded:",
            "redis__embedded_dir": self.directory / "data",
            **settings,
        }
        self.config = config
        self.write_config()

    # --- its life

    def write_config(self, **changes):
        """For reloads: with files_only all settings are in the file."""
        self.settings.update(changes)
        sections = {}
        for name, value in self.settings.items() if self.files_only else ():
            section, key = name.split("__")
            sections.setdefault(section, []).append(f"{key} = {value}\n")
        text = "".join(f"[{s}]\n{''.join(lines)}\n" for s, lines in sections.items())
        self.config_file.write_text(text + self.config)

    def command_line(self, *more):
        arguments = [str(DAEMON), "-c", str(self.config_file)]
        if not self.files_only:
            for name, value in self.settings.items():
                arguments += ["--set", f"{name.replace('__', '.')}={value}"]
        return arguments + list(more)

    def start(self, wait=True):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(self.wrapper + self.command_line(), stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=clean_environment(),
                                            cwd=self.directory)
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout=30):
        wait_until(self.is_ready, "the server's readiness", timeout)
        return self

    def wait_until_up(self, timeout=30):
        """It answers on its admin socket, ready or not."""
        wait_until(lambda: self._ask_admin("/healthz") == 200, "the admin socket", timeout)
        return self

    def is_ready(self):
        return self._ask_admin("/readyz") == 200

    def _ask_admin(self, target):
        if self.process.poll() is not None:
            raise AssertionError(f"iotpushd ended with {self.process.returncode}:\n{self.log[-4000:]}")
        try:
            return self.admin("GET", target).status
        except OSError:
            return None

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.wait_for_exit(timeout)

    def wait_for_exit(self, timeout=30):
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def restart(self):
        assert self.stop() == 0
        return self.start()

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def close(self):
        """The end of a test: it must stop properly, and a sanitizer must have had nothing to say."""
        try:
            if self.is_running:
                assert self.stop() == 0, self.log[-4000:]
            assert not SANITIZER_REPORT.search(self.log), self.log[-8000:]
        finally:
            if self.is_running:
                self.kill()
            shutil.rmtree(self.directory, ignore_errors=True)

    # --- what it says

    @property
    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_for_log(self, pattern, timeout=10):
        return wait_until(lambda: re.search(pattern, self.log, re.M), f"{pattern!r} in the log", timeout)

    def admin(self, method, target, body=None):
        return http.request(str(self.admin_socket), method, target, body)

    def status(self):
        response = self.admin("GET", "/admin/v1/status")
        assert response.status == 200, response
        return response.json

    def address(self, listener):
        for one in self.status()["listeners"]:
            if one["name"] == listener:
                return one["address"]
        raise KeyError(listener)

    def metrics(self):
        response = self.admin("GET", "/metrics")
        assert response.status == 200, response
        return response.text

    def metric(self, name, **labels):
        """The sum of all series of a metric that carry these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            series, _, value = line.rpartition(" ")
            base, _, rest = series.partition("{")
            if base == f"iotpush_{name}" and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += float(value)
        return total

    def wait_for_metric(self, name, value, timeout=10, **labels):
        wait_until(lambda: self.metric(name, **labels) >= value, f"{name} {labels} >= {value}", timeout)

    def ctl(self, *arguments, input=None, **environment):
        return subprocess.run([str(CTL), "-s", str(self.admin_socket), *map(str, arguments)],
                              input=input, capture_output=True, text=True, timeout=60,
                              env=clean_environment(**environment), cwd=self.directory)

    # --- its nouns

    def application(self, name="test"):
        response = self.admin("POST", "/admin/v1/apps", {"name": name})
        assert response.status in (200, 201), response
        return Application(self, response.json)

    def api(self, method, target, body=None, headers=None, **how):
        return http.request(self.api_address, method, target, body, headers, **how)

    def device_api(self, method, target, body=None, headers=None, **how):
        return http.request(self.device_address, method, target, body, headers, **how)

    # Ports are chosen at each start.

    @property
    def api_address(self):
        return self._address_of_this_process("api")

    @property
    def device_address(self):
        return self._address_of_this_process("device")

    def _address_of_this_process(self, listener):
        known = self.__dict__.setdefault("_addresses", {})
        key = (self.process.pid, listener)
        if key not in known:
            known[key] = self.address(listener)
        return known[key]

"""What the scripts that measure share: processes on cores of their own, a server with them, the machine."""

import datetime
import http.client
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, OTHER_CORE = (CORES[0], CORES[1]) if len(CORES) > 1 else (None, None)
STEP_TIMEOUT = 120  # seconds; no step comes near it
STEP_TIMEOUT_LARGE = 1800


def pinned(core, *command):
    words = [str(word) for word in command]
    return words if core is None else ["taskset", "-c", str(core), *words]


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_seconds(pid):
    """Of all its life."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    """The processes and files of a run; leaving it ends and removes them."""

    def __init__(self, build):
        self.build = build
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="iotpush-bench-"))
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for process in reversed(self.processes):
            self.end(process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, core, *command, **how):
        process = subprocess.Popen(pinned(core, *command), cwd=self.directory,
                                   stdin=subprocess.DEVNULL, **how)
        self.processes.append(process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- the server

    def start_server(self, **more):
        """more: settings, as device__listen_mqtt="127.0.0.1:0"."""
        self.certificate = self.directory / "callback.pem"
        self.key = self.directory / "callback.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", self.key,
                        "-out", self.certificate, "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        self.socket = self.directory / "admin.sock"
        settings = {
            "api.listen_http": "127.0.0.1:0", "device.listen_http": "127.0.0.1:0",
            "device.report_limit": "0", "auth.api_limit": "0", "auth.login_limit": "0",
            "device.listen_mqtt": "127.0.0.1:0", "device.mqtt_messages": "0", "device.mqtt_bytes": "0",
            "limits.connections_per_address": "0",
            "push.allow_networks": "loopback", "push.ca_file": self.certificate,
            "push.v1_cache_time": "1h",  # so that a large backlog does not expire
            "redis.url": "embedded:", "redis.embedded_dir": self.directory / "data",
            "admin.socket": self.socket, "log.file": self.directory / "iotpushd.log"}
        settings.update((key.replace("__", ".", 1), value) for key, value in more.items())
        self.settings = settings
        words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
        (self.directory / "iotpushd.conf").touch()
        self.server = self.start(SERVER_CORE, self.build / "iotpushd", "-c",
                                 self.directory / "iotpushd.conf", *words)
        deadline = time.monotonic() + 30
        while not self.is_ready():
            if self.server.poll() is not None or time.monotonic() > deadline:
                log = self.directory / "iotpushd.log"
                sys.exit("iotpushd is not ready:\n" + (log.read_text() if log.exists() else ""))
            time.sleep(0.05)
        self.move_redis()

    def is_ready(self):
        shown = subprocess.run([self.build / "iotpushctl", "-s", self.socket, "--json", "status"],
                               capture_output=True, text=True)
        return shown.returncode == 0 and json.loads(shown.stdout).get("ready") is True

    def redis_pids(self):
        pid = self.server.pid
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def move_redis(self):
        if OTHER_CORE is None:
            return
        for child in self.redis_pids():
            subprocess.run(["taskset", "-acp", str(OTHER_CORE), child], check=True,
                           capture_output=True)

    def metrics(self):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(str(self.socket))
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def resident_most_mib(self):
        status = pathlib.Path(f"/proc/{self.server.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+)", status, re.M)[1]) // 1024


def output_of(*command):
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, cwd=ROOT)
    except OSError:
        return "none"
    return (result.stdout + result.stderr).strip() or "none"


def facts(build):
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "commit": output_of("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "cpu": model[1] if model else platform.machine(),
        "cores": len(CORES),
        "pinned": OTHER_CORE is not None,
        "memoryMiB": int(memory[1]) // 1024 if memory else 0,
        "kernel": platform.release(),
        "iotpushd": " ".join(output_of(build / "iotpushd", "--version").split("\n")),
        "redis": output_of("redis-server", "--version"),
        "wrk": output_of("wrk", "-v").split("\n")[0],
        "nginx": output_of(shutil.which("nginx") or "/usr/sbin/nginx", "-v"),
        "loadBefore": os.getloadavg()[0],
    }


def median(values):
    return round(statistics.median(values))


def find_build(parser, place):
    """The folder of a build that has all programs."""
    build = pathlib.Path(place).resolve()
    for name in ("iotpushd", "iotpushctl", "iotpush-bench"):
        if not (build / name).exists():
            parser.error(f"{build / name} is not there: build first, or name the place with --build")
    return build


def write_results(out, result, markdown):
    out = pathlib.Path(out)
    out.with_name(out.name + ".json").write_text(json.dumps(result, indent=2) + "\n")
    out.with_name(out.name + ".md").write_text(markdown, encoding="utf-8")
    print(markdown, end="")

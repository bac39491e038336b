"""The daemon as a program: options, configuration, exit codes, signals, health, logs."""

import json
import os
import re
import signal
import subprocess

import pytest

from helpers.http import request
from helpers.nouns import LOGIN
from helpers.platform import DAEMON, clean_environment
from helpers.waiting import wait_until


def run(*arguments, cwd=None, **environment):
    return subprocess.run([str(DAEMON), *map(str, arguments)], capture_output=True, text=True,
                          timeout=30, cwd=cwd, env=clean_environment(**environment),
                          stdin=subprocess.DEVNULL)


def check(directory, text, *arguments, **environment):
    file = directory / "test.conf"
    file.write_text(text)
    return run("-c", "test.conf", "-t", *arguments, cwd=directory, **environment)


# --- options


def test_help_names_every_option(platform):
    result = run("--help")
    assert result.returncode == 0 and result.stderr == ""
    for option in ("-c", "-t", "-f", "-v", "--set", "--help-config", "--version"):
        assert option in result.stdout


def test_version_names_the_program_and_its_libraries():
    result = run("--version")
    assert result.returncode == 0
    assert re.match(r"iotpushd \d+\.\d+", result.stdout)
    for library in ("libevent", "OpenSSL", "hiredis", "yajl"):
        assert library in result.stdout


def test_help_config_describes_every_setting():
    result = run("--help-config")
    assert result.returncode == 0
    for section in ("instance", "redis", "api", "device", "limits", "auth", "push", "admin", "log"):
        assert f"[{section}]" in result.stdout
    assert re.search(r"^ +timeout +.*15s", result.stdout, re.M)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-x"], ["argument"], ["-c"], ["--set"]])
def test_wrong_usage_ends_with_2_and_a_hint(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert "--help" in result.stderr and result.stdout == ""


# --- configuration

MISTAKES = [
    ("[push]\n# a comment\ntimeout = 15 minutes\n", 3, r"push\.timeout = 15 minutes: not a time; .*15s"),
    ("[push]\ntimeot = 5s\n", 2, r"push\.timeot: .*did you mean timeout"),
    ("[pusch]\ntimeout = 5s\n", 1, r"\[pusch\]: .*did you mean \[push\]"),
    ("[push]\nretry_first = 0\n", 2, r"push\.retry_first = 0: .*1ms"),
    ("[limits]\nconnections = many\n", 2, r"limits\.connections = many: .*number"),
    ("[limits]\nconnections = -1\n", 2, r"limits\.connections = -1: "),
    ("[limits]\n\n\nheader_bytes = 1z\n", 4, r"limits\.header_bytes = 1z: not a size"),
    ("[log]\nformat = xml\n", 2, r"log\.format = xml: .*text or json"),
    ("[redis]\nstrict = maybe\n", 2, r"redis\.strict = maybe: .*on or off"),
    ("[redis]\nurl = http://127.0.0.1\n", 2, r"redis\.url = http://127\.0\.0\.1: .*redis://"),
    ("[api]\nlisten_http = here\n", 2, r"api\.listen_http = here: .*127\.0\.0\.1:8080"),
    ("[api]\nlisten_http = 127.0.0.1:99999\n", 2, r"api\.listen_http = 127\.0\.0\.1:99999: "),
    ("[push]\nallow_networks = 10.0.0.0/99\n", 2, r"push\.allow_networks = 10\.0\.0\.0/99: .*network"),
    ("[push]\nrefused_pauses = 5s, soon\n", 2, r"push\.refused_pauses = 5s, soon: .*times"),
    ("[push]\nca_file = /nonexistent.pem\n", 2, r"push\.ca_file = /nonexistent\.pem: .*No such file"),
    ("[push]\nno equals sign\n", 2, r"no equals sign: "),
    ("[push\n", 1, r"\]"),
    ("timeout = 5s\n", 1, r"section"),
    ("[api]\nlisten_https = 127.0.0.1:0\ntls_certificate = /nonexistent.pem\ntls_key = x\n", 3,
     r"api\.tls_certificate = /nonexistent\.pem: .*No such file"),
    ("[admin]\nlisten_http = 127.0.0.1:0\ntoken_file = /nonexistent\n", 3,
     r"admin\.token_file = /nonexistent: .*No such file"),
]


@pytest.mark.parametrize("text, line, pattern", MISTAKES, ids=[m[2] for m in MISTAKES])
def test_each_mistake_is_one_line_with_its_place(workdir, text, line, pattern):
    result = check(workdir, text)
    assert result.returncode == 1
    assert re.fullmatch(rf"test\.conf:{line}: .*{pattern}.*\n", result.stderr), result.stderr


def test_all_mistakes_are_told_at_once(workdir):
    result = check(workdir, "[push]\ntimeout = x\ntimeot = 1s\n[log]\nlevel = loud\n")
    assert [line.split(": ")[0] for line in result.stderr.splitlines()] == [
        "test.conf:2", "test.conf:3", "test.conf:5"]


def test_a_mistake_ends_the_start_with_1_as_well(workdir):
    (workdir / "test.conf").write_text("[push]\ntimeout = x\n")
    result = run("-c", workdir / "test.conf")
    assert result.returncode == 1 and "test.conf:2: push.timeout" in result.stderr


def test_a_file_that_is_not_there_is_a_mistake(workdir):
    result = run("-c", "nothing.conf", "-t", cwd=workdir)
    assert result.returncode == 1
    assert re.fullmatch(r"nothing\.conf: .*No such file or directory\n", result.stderr)


@pytest.mark.parametrize("setting", ["nodot", "push.timeout", "push.timeot=5s", "push.timeout=x"])
def test_mistakes_of_set_are_told_like_those_of_a_file(workdir, setting):
    result = check(workdir, "", "--set", setting)
    assert result.returncode == 1 and re.match(r"--set: .+\n$", result.stderr), result.stderr


def test_mistakes_in_the_environment_are_told_like_those_of_a_file(workdir):
    result = check(workdir, "", IOTPUSH_PUSH_TIMEOUT="x", IOTPUSH_PUSH_TIMEOT="5s")
    assert result.returncode == 1
    assert "IOTPUSH_PUSH_TIMEOUT: push.timeout = x: not a time" in result.stderr
    assert "IOTPUSH_PUSH_TIMEOT: " in result.stderr


def test_a_right_configuration_is_said_to_be_right(workdir):
    (workdir / "more.conf").write_text("[log]\nlevel = debug\n")
    result = check(workdir, "; comment\n[push]\ntimeout = 10s ; comment\n\nallow_networks = loopback, "
                            "10.0.0.0/8\n[limits]\nbody_bytes = 2m\ninclude = more.conf\n")
    assert result.returncode == 0, result.stderr


def test_flag_beats_environment_beats_file(workdir):
    text = "[push]\ntimeout = wrong-in-file\n"
    assert "wrong-in-file" in check(workdir, text).stderr
    # What is overridden is a mistake all the same, but the value that counts is the other one.
    good = "[partition]\nlease = 10s\n"
    assert check(workdir, good, IOTPUSH_PARTITION_HEARTBEAT="6s").returncode == 1
    assert check(workdir, good, "--set", "partition.lease=12s",
                 IOTPUSH_PARTITION_HEARTBEAT="6s").returncode == 0
    assert check(workdir, good, "--set", "partition.heartbeat=1s",
                 IOTPUSH_PARTITION_HEARTBEAT="6s").returncode == 0


# --- start and stop


def test_a_port_in_use_ends_the_start_with_3(platform, start_platform):
    taken = platform.api_address
    second = start_platform(wait=False, api__listen_http=taken)
    assert second.wait_for_exit() == 3
    assert re.search(rf"ERROR.*api\.listen_http = {re.escape(taken)}.*in use", second.log)


def test_a_second_server_on_one_data_directory_ends_with_3(platform, start_platform):
    data = platform.settings["redis__embedded_dir"]
    second = start_platform(wait=False, redis__embedded_dir=data)
    assert second.wait_for_exit() == 3
    assert re.search(rf"ERROR.*{re.escape(str(data))}", second.log)
    assert platform.is_ready()


def test_a_missing_redis_program_ends_the_start_with_3(start_platform):
    platform = start_platform(wait=False, redis__embedded_program="/nonexistent/redis-server")
    assert platform.wait_for_exit() == 3
    assert "/nonexistent/redis-server" in platform.log


def test_a_careless_redis_is_refused_when_strict(start_redis, start_platform):
    redis = start_redis("--appendonly", "no", "--maxmemory-policy", "allkeys-lru")
    strict = start_platform(redis=redis, redis__strict="on", wait=False)
    assert strict.wait_for_exit() == 3
    careless = start_platform(redis=redis)
    for word in ("appendonly", "maxmemory-policy"):
        assert re.search(rf"WARN.*{word}", careless.log), careless.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_properly(start_platform, number):
    platform = start_platform()
    redis = platform.status()["redis"]["pid"]
    platform.process.send_signal(number)
    assert platform.wait_for_exit() == 0
    assert not platform.admin_socket.exists()
    assert not os.path.exists(f"/proc/{redis}")
    assert "state=stopped" in platform.log


def test_a_stop_lets_a_push_in_flight_end(start_platform, receiver):
    platform = start_platform()
    application = platform.application()
    gate = receiver.holds("/data")
    application.subscribe("deviceDataChanged", receiver.url("/data"))
    application.register_device().report({"n": 1})
    receiver.wait_for_one("/data")
    platform.process.terminate()
    platform.wait_for_log("state=stopping")
    gate.open()
    assert platform.wait_for_exit() == 0
    # It was acknowledged: after the next start something else is the next thing.
    platform.start()
    application.register_device().report({"n": 2})
    assert [r.json["service"]["data"]["n"] for r in receiver.wait_for(2, "/data")] == [1, 2]


def test_it_listens_where_it_is_told(start_platform, workdir):
    token_file = workdir / "token"
    token_file.write_text("a-token-of-operators\n")
    platform = start_platform(metrics__listen_http="127.0.0.1:0", admin__listen_http="127.0.0.1:0",
                              admin__token_file=token_file)
    listeners = {one["name"]: one for one in platform.status()["listeners"]}
    assert set(listeners) == {"api", "device", "mqtt", "admin", "admin-http", "metrics"}
    assert not any(one["tls"] for one in listeners.values())
    for one in listeners.values():
        assert f"name={one['name']} address={one['address']} tls=off" in platform.log
    metrics, admin = listeners["metrics"]["address"], listeners["admin-http"]["address"]
    for path in ("/metrics", "/healthz", "/readyz"):
        assert request(metrics, "GET", path).status == 200
    assert request(metrics, "GET", "/admin/v1/status").status == 404
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-token-of-operators"}):
        assert request(admin, "GET", "/admin/v1/status", headers=headers).status == 401
    good = {"Authorization": "Bearer a-token-of-operators"}
    assert request(admin, "GET", "/admin/v1/status", headers=good).json["ready"] is True
    assert os.stat(platform.admin_socket).st_mode & 0o777 == 0o660
    for address in (platform.api_address, platform.device_address):
        assert request(address, "GET", "/admin/v1/status").status == 404
        assert request(address, "GET", "/metrics").status == 404


# --- health


def test_health_and_metrics_have_their_forms(platform):
    assert platform.admin("GET", "/healthz").status == 200
    assert platform.admin("GET", "/readyz").status == 200
    response = platform.admin("GET", "/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    series = r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-z_]+="[^"]*",?)*\})? (-?[0-9.e+-]+|NaN|\+Inf)'
    names = set()
    for line in response.text.splitlines():
        if line.startswith("# TYPE "):
            names.add(line.split()[2])
        assert line.startswith("#") or re.fullmatch(series, line), line
    for name in ("build_info", "http_requests_total", "http_request_duration_seconds", "connections",
                 "push_requests_total", "dropped_total", "redis_connected", "process_open_fds"):
        assert f"iotpush_{name}" in names
    assert platform.metric("redis_connected") == 1


def test_requests_are_counted_by_route(platform):
    labels = {"listener": "api", "route": LOGIN, "status": "401"}
    before = platform.metric("http_requests_total", **labels)
    platform.api("POST", LOGIN, "appId=x&secret=y")
    assert platform.metric("http_requests_total", **labels) == before + 1
    assert "/no/such/path" not in platform.metrics()


# --- reload


def test_a_reload_takes_what_can_be_reloaded(start_platform):
    platform = start_platform(files_only=True)
    application = platform.application()
    platform.write_config(auth__token_life="77s", partition__count="128")
    platform.reload()
    platform.wait_for_log("reload.*state=done")
    assert application.try_login().json["expiresIn"] == 77
    assert re.search(r"WARN reload.*partition\.count", platform.log)


def test_a_reload_with_a_mistake_changes_nothing(start_platform):
    platform = start_platform(files_only=True)
    application = platform.application()
    platform.write_config(auth__token_life="77s", push__timeout="soon")
    platform.reload()
    platform.wait_for_log("ERROR reload")
    assert "push.timeout = soon: not a time" in platform.log
    assert application.try_login().json["expiresIn"] == 3600


def test_a_reload_opens_the_log_file_again(start_platform, workdir):
    file = workdir / "server.log"
    platform = start_platform(log__file=file)
    assert "name=api" in file.read_text()
    file.rename(workdir / "server.log.1")
    platform.reload()
    wait_until(lambda: file.exists() and "reload" in file.read_text(), "the new file")


def test_a_status_signal_writes_a_summary(start_platform):
    platform = start_platform()
    platform.process.send_signal(signal.SIGUSR1)
    platform.wait_for_log(r"INFO status .*ready=yes")


# --- logs


def test_text_lines_have_one_form(start_platform):
    platform = start_platform()
    assert platform.log.count("\n") >= 5
    for line in platform.log.splitlines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (ERROR|WARN|INFO) \w+ .+",
                            line), line
    assert re.search(r"INFO start version=\S+", platform.log)
    assert "DEBUG" not in platform.log


def test_json_lines_are_objects_with_the_same_keys(start_platform):
    platform = start_platform(log__format="json")
    lines = [json.loads(line) for line in platform.log.splitlines()]
    for line in lines:
        assert list(line)[:3] == ["time", "level", "area"]
    listener = next(line for line in lines if line["area"] == "listener" and line["name"] == "api")
    assert (listener["address"], listener["tls"]) == (platform.api_address, "off")


def test_no_secret_gets_into_the_log(start_platform, receiver):
    platform = start_platform(log__level="debug")
    application = platform.application()
    tokens = [application.login(), application.refresh_token]
    application.subscribe("deviceDataChanged", receiver.url("/data?key=value"))
    by_code = application.register_device(by_code=True, psk="0123456789abcdef0123")
    device = application.register_device()
    tokens.append(device.login())
    device.report({"n": 1})
    device.try_message('{"secret":"hidden-in-a-body","password":"hidden-as-well"}')
    application.try_login(secret="a-wrong-secret")
    application.post("/iocm/app/sec/v1.1.0/refreshToken", {"appId": application.id,
                     "secret": application.secret, "refreshToken": "a-wrong-token"})
    receiver.wait_for_one()
    assert platform.stop() == 0
    for secret in [application.secret, device.secret, by_code.verify_code, "0123456789abcdef0123",
                   "hidden-in-a-body", "hidden-as-well", "a-wrong-secret", "a-wrong-token", *tokens]:
        assert secret not in platform.log

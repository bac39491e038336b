"""iotpushctl: commands, tables, JSON, what it says of mistakes; and where secrets are."""

import json
import re
import subprocess

import pytest

from helpers.http import request
from helpers.mqtt import connected
from helpers.nouns import Application
from helpers.platform import CTL, clean_environment
from helpers.waiting import wait_until


@pytest.fixture
def name(application):
    """Of an application that nobody else has."""
    return f"plant {application.id}"


def create(platform, name):
    result = platform.ctl("app", "create", name, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


# --- applications


def test_create_prints_one_object_that_can_log_in(platform, name):
    made = create(platform, name)
    assert made["name"] == name and {"appId", "secret", "name"} <= set(made)
    application = Application(platform, made)
    application.login()
    assert application.try_probe().status == 200


def test_create_shows_id_and_secret_to_people(platform, name):
    result = platform.ctl("app", "create", name)
    assert result.returncode == 0
    assert re.search(r"^id +\S+$", result.stdout, re.M)
    secret = re.search(r"^secret +(\S+)$", result.stdout, re.M).group(1)
    assert "once" in result.stdout
    assert secret not in platform.ctl("app", "show", name).stdout
    assert secret not in platform.ctl("app", "list", "--json").stdout


@pytest.mark.parametrize("bad", ["", "x" * 257, "line\nbreak"])
def test_create_refuses_a_name_that_is_none(platform, bad):
    result = platform.ctl("app", "create", bad)
    assert result.returncode == 1
    assert result.stderr.startswith("iotpushctl: ") and result.stdout == ""


def test_list_is_a_table_with_aligned_columns(platform, name):
    ids = [create(platform, f"{name} {n}")["appId"] for n in ("a", "long name " * 5, "Größe")]
    lines = platform.ctl("app", "list").stdout.splitlines()
    assert lines[0].split()[:4] == ["ID", "NAME", "STATE", "DEVICES"]
    column = lines[0].index("STATE")
    rows = [line for line in lines if line.split()[0] in ids]
    assert len(rows) == 3
    for row in rows:
        assert row[column:].startswith("active") and row[column - 2:column] == "  "
    assert "\033" not in "".join(lines)


def test_list_as_json_is_one_object_a_line(platform, application, name):
    made = create(platform, name)
    application.register_device()
    rows = {row["appId"]: row for row in
            map(json.loads, platform.ctl("app", "list", "--json").stdout.splitlines())}
    assert rows[made["appId"]]["name"] == name
    assert rows[made["appId"]]["devices"] == 0 and rows[application.id]["devices"] == 1


def test_quiet_list_is_ids_only(platform, application):
    assert application.id in platform.ctl("-q", "app", "list").stdout.splitlines()


def test_show_finds_by_id_and_by_name(platform, application, name):
    made = create(platform, name)
    by_name = platform.ctl("app", "show", name, "--json")
    by_id = platform.ctl("app", "show", made["appId"], "--json")
    assert by_name.returncode == by_id.returncode == 0
    shown = json.loads(by_id.stdout)
    assert json.loads(by_name.stdout) == shown
    assert (shown["appId"], shown["name"], shown["state"]) == (made["appId"], name, "active")
    assert "secret" not in shown
    text = platform.ctl("app", "show", name).stdout
    assert re.search(rf"^name +{re.escape(name)}$", text, re.M)


def test_a_name_that_several_have_is_refused(platform, name):
    create(platform, name), create(platform, name)
    result = platform.ctl("app", "show", name)
    assert result.returncode == 1 and "several" in result.stderr


def test_freeze_and_unfreeze_change_the_state(platform, name):
    application = Application(platform, create(platform, name))
    token = application.login()
    assert platform.ctl("app", "freeze", name).returncode == 0
    assert json.loads(platform.ctl("app", "show", name, "--json").stdout)["state"] == "frozen"
    assert application.try_probe(token).status == 403
    assert application.try_login().status == 400
    assert json.loads(platform.ctl("app", "unfreeze", name, "--json").stdout)["state"] == "active"
    application.login()


def test_reset_secret_shows_a_new_one_once(platform, name):
    application = Application(platform, create(platform, name))
    result = platform.ctl("app", "reset-secret", name, "--json")
    assert result.returncode == 0
    made = json.loads(result.stdout)
    assert made["appId"] == application.id and made["secret"] != application.secret
    assert application.try_login().status == 401
    assert application.try_login(secret=made["secret"]).status == 200


def test_delete_asks_and_takes_devices_only_with_cascade(platform, name):
    application = Application(platform, create(platform, name))
    device = application.register_device()
    application.register_device(gateway=device)
    result = platform.ctl("app", "delete", name)
    assert result.returncode == 1 and "--yes" in result.stderr
    result = platform.ctl("app", "delete", name, "--yes")
    assert result.returncode == 1 and "devices" in result.stderr
    device.report({"n": 1})
    result = platform.ctl("app", "delete", name, "--yes", "--cascade")
    assert result.returncode == 0, result.stderr
    assert platform.ctl("app", "show", name).returncode == 1
    assert application.try_login().status == 401
    assert device.try_report({"n": 2}, token=device.token).status == 403


def test_what_does_not_exist_is_said(platform):
    for verb in ("show", "freeze", "unfreeze", "reset-secret"):
        result = platform.ctl("app", verb, "nobody")
        assert result.returncode == 1
        assert re.fullmatch(r"iotpushctl: .*nobody.*\n", result.stderr)


# --- status


def test_status_is_for_people_and_for_programs(platform):
    shown = json.loads(platform.ctl("status", "--json").stdout)
    assert shown["ready"] is True
    assert {"name": "api", "address": platform.api_address, "tls": False} in shown["listeners"]
    text = platform.ctl("status").stdout
    assert re.search(r"^ready +yes$", text, re.M) and platform.api_address in text


# --- usage


@pytest.mark.parametrize("arguments, pattern", [
    ([], "usage:"), (["ap", "list"], "did you mean app"), (["app", "lst"], "did you mean list"),
    (["app", "creat", "x"], "did you mean create"), (["app", "zzzzzz"], "iotpushctl help app"),
    (["app"], "verb"), (["app", "create"], r"usage: iotpushctl app create NAME"),
    (["app", "create", "a", "b"], "usage:"), (["status", "now"], "usage:"),
    (["app", "list", "--cascade"], "--cascade"), (["--nonsense"], "nonsense"),
    (["-u", "http://127.0.0.1:1", "status"], "exclude"), (["help", "ap"], "did you mean app"),
])
def test_wrong_usage_ends_with_2_and_a_suggestion(platform, arguments, pattern):
    result = platform.ctl(*arguments)
    assert result.returncode == 2
    assert re.search(pattern, result.stderr) and result.stdout == ""


def test_help_shows_the_commands(platform):
    for arguments in (["--help"], ["help"], ["help", "app"], ["app", "--help"]):
        result = platform.ctl(*arguments)
        assert result.returncode == 0 and "create NAME" in result.stdout
    assert platform.ctl("--version").stdout.startswith("iotpushctl ")


def test_a_server_that_is_not_there_ends_with_3(platform, workdir):
    result = platform.ctl("-s", workdir / "nothing.sock", "status")
    assert result.returncode == 3
    assert str(workdir / "nothing.sock") in result.stderr


def test_the_socket_may_come_from_the_environment(platform, workdir):
    result = subprocess.run([str(CTL), "status", "--json"], capture_output=True, text=True, cwd=workdir,
                            env=clean_environment(IOTPUSH_ADMIN_SOCKET=str(platform.admin_socket)))
    assert result.returncode == 0 and json.loads(result.stdout)["ready"] is True


def test_it_speaks_http_with_a_token_as_well(start_platform, workdir):
    token_file = workdir / "token"
    token_file.write_text("a-token-of-operators\n")
    (workdir / "wrong").write_text("wrong\n")
    platform = start_platform(admin__listen_http="127.0.0.1:0", admin__token_file=token_file)
    url = f"http://{platform.address('admin-http')}"

    def ctl(*arguments):
        return subprocess.run([str(CTL), "-u", url, *map(str, arguments)], capture_output=True,
                              text=True, env=clean_environment())
    assert ctl("--token-file", token_file, "status", "--json").returncode == 0
    result = ctl("--token-file", workdir / "wrong", "status")
    assert result.returncode == 1 and "token" in result.stderr
    assert ctl("--token-file", workdir / "nothing", "status").returncode == 2
    assert request(platform.address("admin-http"), "GET", "/healthz").status in (200, 401)


# --- where secrets are


def test_reading_redis_gives_no_secret_away(start_redis, start_platform):
    redis = start_redis()
    platform = start_platform(redis=redis)
    application = platform.application()
    secrets = [application.secret, application.login(), application.refresh_token]
    device = application.register_device()
    secrets += [device.login(), device.login()]
    by_code = application.register_device(by_code=True)
    client = redis.client()
    everything = client.everything()
    keys = [key.decode() for key in client("KEYS", "*")]
    client.close()
    assert application.id in everything and device.id in everything  # it has been read
    for secret in secrets:
        assert secret not in everything
    assert not any(by_code.verify_code in key for key in keys)


# --- sessions


def test_sessions_lists_who_is_connected(start_platform):
    platform = start_platform()
    none = platform.ctl("sessions")
    assert none.stdout == "no sessions\n", none.stderr
    application = platform.application()
    clients = [connected(application.register_device()) for _ in range(3)]
    clients[0].subscribe(clients[0].topic("commands/#"))
    rows = [json.loads(line) for line in platform.ctl("sessions", "--json").stdout.splitlines()]
    assert [row["device"] for row in rows] == [client.device.id for client in clients]
    assert rows[0]["subscriptions"] == 1 and rows[1]["subscriptions"] == 0
    assert rows[0]["address"].startswith("127.0.0.1:") and rows[0]["tls"] is False
    shown = platform.ctl("sessions", "--size", "2", "--page", "1").stdout.splitlines()
    assert len(shown) == 2 and clients[2].device.id in shown[1]
    answer = platform.admin("GET", "/admin/v1/sessions?size=2").json
    assert answer["totalCount"] == 3 and len(answer["sessions"]) == 2
    for query in ("page=-1", "page=x", "size=0", "size=1001"):
        assert platform.admin("GET", f"/admin/v1/sessions?{query}").status == 400
    clients[1].disconnect()
    wait_until(lambda: platform.admin("GET", "/admin/v1/sessions").json["totalCount"] == 2, "its end")
